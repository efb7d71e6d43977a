#!/usr/bin/env bash
# Installs the packages on a fresh Debian in a folder (debootstrap, so as root), runs the tracker there as its own user, and
# removes it again. It needs the packages of `make package` in dist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
deb=$(ls dist/millrace_*_"$(dpkg --print-architecture)".deb)
root=$(mktemp -d)
chmod 755 "$root"
pid=
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	umount "$root/proc" 2>/dev/null || true
	rm -rf "$root"
}
trap finish EXIT
say() { echo "try: $*"; }
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

debootstrap --variant=minbase --include=bash-completion,passwd "${SUITE:-trixie}" "$root" "${MIRROR:-http://deb.debian.org/debian}" >/dev/null
mount -t proc proc "$root/proc"
cp "$deb" "$root/tmp/millrace.deb"

in_root dpkg -i /tmp/millrace.deb
in_root getent passwd millrace
say "the user is there, the configuration is good:"
in_root setpriv --reuid=millrace --regid=millrace --clear-groups millrace -t -c /etc/millrace/millrace.toml
say "the tracker runs as that user and takes clients:"
chroot "$root" /usr/bin/env -i PATH=/usr/bin setpriv --reuid=millrace --regid=millrace --clear-groups --no-new-privs \
	millrace -c /etc/millrace/millrace.toml >/dev/null 2>"$root/tmp/log" &
pid=$!
for _ in $(seq 100); do
	grep -q listening "$root/tmp/log" && break
	sleep 0.1
done
exec 3<>/dev/tcp/127.0.0.1/3000
printf 'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n' >&3
read -r -t 10 answer <&3
exec 3>&-
case $answer in
*101*) say "$answer" ;;
*) say "got $answer" && cat "$root/tmp/log" && exit 1 ;;
esac
say "root may give commands, the tracker's user too, and nobody else:"
in_root millrace ctl status | head -1
in_root setpriv --reuid=millrace --regid=millrace --clear-groups millrace ctl status >/dev/null
if in_root setpriv --reuid=nobody --regid=nogroup --clear-groups millrace ctl status >/dev/null 2>&1; then
	say "another user may give commands" && exit 1
fi
in_root millrace ctl drain 1
wait "$pid"
pid=
say "bash completes its options:"
in_root bash -c '. /usr/share/bash-completion/completions/millrace; COMP_WORDS=(millrace --te); COMP_CWORD=1; _millrace; test "$COMPREPLY" = --test-config && echo "$COMPREPLY"'
say "a change of the configuration outlives an upgrade, and a purge leaves nothing:"
echo '# mine' >>"$root/etc/millrace/millrace.toml"
mkdir -p "$root/var/lib/millrace/acme"
in_root dpkg -i /tmp/millrace.deb >/dev/null
grep -q '^# mine' "$root/etc/millrace/millrace.toml"
in_root dpkg --purge millrace
left=$(find "$root/etc/millrace" "$root/var/lib/millrace" "$root/run/millrace" "$root/usr/bin/millrace" "$root/usr/share/doc/millrace" 2>/dev/null || true)
[ -z "$left" ] || { say "left: $left"; exit 1; }
say "all is well"
