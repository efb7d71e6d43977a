#!/bin/sh
# After the files are there: the user of the unit, and the folder for its sockets. The tracker is not started, since its configuration comes first; one that
# runs goes on until systemctl reload has the new version take over from it.
set -e
if ! getent passwd millrace >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers millrace.conf
	else
		useradd --system --user-group --no-create-home --home-dir /var/lib/millrace --shell /usr/sbin/nologin millrace
	fi
fi
if command -v systemd-tmpfiles >/dev/null; then
	systemd-tmpfiles --create millrace.conf
else
	install -d -o millrace -g millrace /run/millrace
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
exit 0
