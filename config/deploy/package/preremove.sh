#!/bin/sh
# Before the files go, but not before an upgrade: dpkg calls it with "remove", rpm with the number of versions that stay.
set -e
case ${1:-remove} in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now millrace.service || true
	fi
	;;
esac
exit 0
