#!/usr/bin/env bash
# Runs the command line of millrace.service under the restrictions of the unit, where systemd itself does not run: its user's
# rights, read-only folders, private /dev, /home and /tmp, system call filter, no new privileges. Then it puts clients on it, and
# has it take its configuration again. As root, on Debian with systemd (for its lists of system calls), python3-seccomp and
# util-linux; the unit itself is checked by systemd-analyze.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
unit=config/deploy/millrace.service
say() { echo "try-unit: $*"; }
value() { sed -n "s/^$1=//p" "$unit"; }

work=$(mktemp -d)
pid=
finish() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
install -m 755 bin/millrace "$work/millrace"
install -d -m 700 -o 65534 -g 65534 "$work/state"
chmod 755 "$work"
cat >"$work/millrace.toml" <<EOF
network.address = "127.0.0.1:13000"
network.enable_http_health_checks = true
EOF

# The unit's lists of system calls, as names.
calls() { systemd-analyze syscall-filter "$1" | sed -n 's/^ *\([@a-z0-9_][a-z0-9_-]*\)$/\1/p' | while read -r name; do
	case $name in "$1") ;; @*) calls "$name" ;; *) echo "$name" ;; esac
done; }
value SystemCallFilter | while read -r list; do
	case $list in
	"~"*) calls "${list#\~}" | sed 's/^/-/' ;;
	*) calls "$list" | sed 's/^/+/' ;;
	esac
done | sort -u >"$work/calls"
cat >"$work/run.py" <<'EOF'
import errno, os, seccomp, sys
lines = open(sys.argv[1]).read().split()
kept = {l[1:] for l in lines if l[0] == "+"} - {l[1:] for l in lines if l[0] == "-"}
f = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
for name in sorted(kept):
    try:
        f.add_rule(seccomp.ALLOW, name)
    except Exception:
        pass  # a call of another architecture
f.add_rule(seccomp.ALLOW, "execve")  # systemd's own, before the filter counts
f.load()
os.execv(sys.argv[2], sys.argv[2:])
EOF

systemd-analyze verify --man=no "$unit" 2>&1 | grep -v 'Command /usr/bin/millrace is not executable' || true
say "$(systemd-analyze security --offline=true "$unit" 2>/dev/null | tail -1)"

caps=$(value CapabilityBoundingSet | tr '[:upper:]' '[:lower:]' | sed 's/cap_/+/g')
inside='
mount --make-rprivate /
for d in /home /root /media /mnt; do [ ! -d $d ] || mount -t tmpfs -o ro,mode=000 none $d; done
mount --bind "$WORK/state" "$WORK/state"
mount --rbind / /
mount -o remount,bind,ro /
mount -t tmpfs -o mode=755 none /dev/shm 2>/dev/null || true
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all,$CAPS --inh-caps=-all,$CAPS --ambient-caps=-all,$CAPS \
	--no-new-privs prlimit --nofile='"$(value LimitNOFILE | awk '{print ($1 > 20000) ? 20000 : $1}')"' \
	python3 "$WORK/run.py" "$WORK/calls" "$WORK/millrace" -c "$WORK/millrace.toml"'
WORK=$work CAPS=$caps unshare --mount --ipc --uts sh -c "$inside" 2>"$work/log" &
pid=$!
for _ in $(seq 100); do
	grep -q listening "$work/log" && break
	sleep 0.1
done
grep -q listening "$work/log" || { cat "$work/log"; exit 1; }
say "it runs; clients:"
bin/millrace-load -profile light -duration 5 -url ws://127.0.0.1:13000 2>&1 | tail -4
echo 'network.ping_interval = 50' >>"$work/millrace.toml"
kill -HUP "$pid"
for _ in $(seq 50); do
	grep -q 'configuration read again' "$work/log" && break
	sleep 0.1
done
grep 'configuration read again' "$work/log"
kill "$pid"
wait "$pid"
pid=
grep -E 'level=(WARN|ERROR)' "$work/log" || true
say "all is well"
