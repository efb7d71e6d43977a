#!/usr/bin/env bash
# Shows how a tracker gets its certificate: an ACME server for tests (pebble), a
# configuration of five lines, and a client that trusts nothing else. Needs Go
# and curl. It takes the ports 14000, 15000 and 5001 of this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
tracker=$(realpath "${MILLRACE_BIN:-../../bin/millrace}")
command -v curl >/dev/null || { echo "acme.sh needs curl" >&2; exit 1; }

work=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$work"
}
trap finish EXIT

go build -o "$work/pebble" github.com/letsencrypt/pebble/v2/cmd/pebble
pebble=$(go list -m -f '{{.Dir}}' github.com/letsencrypt/pebble/v2)
(cd "$pebble" && exec env PEBBLE_VA_NOSLEEP=1 "$work/pebble" -config test/config/pebble-config.json) >"$work/pebble.log" 2>&1 &
pids+=($!)

# The authority of pebble's own page takes the place of those of the system.
export SSL_CERT_FILE=$pebble/test/certs/pebble.minica.pem

# The address is [::]:443 and the last two lines are not needed where the
# certificate is to come from Let's Encrypt and to be kept in /var/lib/millrace.
cat >"$work/millrace.toml" <<EOF
network.address = "127.0.0.1:5001"
network.enable_tls = true
tls.acme_domains = ["localhost"]
tls.acme_directory = "https://localhost:14000/dir"
tls.acme_storage = "$work/acme"
EOF
echo "# The configuration:"
cat "$work/millrace.toml"

# retry tries a command until it succeeds, for half a minute.
retry() {
	for _ in $(seq 60); do
		"$@" 2>/dev/null && return
		sleep 0.5
	done
	echo "acme.sh: in vain: $*" >&2
	cat "$work"/*.log >&2
	return 1
}

retry curl -fsS --cacert "$SSL_CERT_FILE" -o "$work/root.pem" https://localhost:15000/roots/0
"$tracker" -c "$work/millrace.toml" >"$work/millrace.log" 2>&1 &
pids+=($!)

# A WebSocket is open when the tracker has said 101; curl then waits for frames
# until its time is up.
opened() {
	curl -isS --http1.1 --max-time 1 --cacert "$work/root.pem" -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
		-H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' https://localhost:5001/ >"$work/answer" ||
		true
	grep '^HTTP/1.1 101' "$work/answer"
}
echo "# The answer over wss://localhost:5001, by a client that trusts this server's certificates only:"
retry opened
echo "# The tracker's log:"
grep certificate "$work/millrace.log"
