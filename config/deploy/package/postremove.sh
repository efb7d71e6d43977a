#!/bin/sh
# After the files are gone. Certificates and keys in /var/lib/millrace stay until `apt purge`; rpm knows no such step.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ "${1:-}" = purge ]; then
	rm -rf /var/lib/millrace /run/millrace
fi
exit 0
