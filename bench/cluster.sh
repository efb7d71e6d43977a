#!/usr/bin/env bash
# Runs a cluster on this machine, until Ctrl-C: a NATS server, three nodes, and
# HAProxy in front where it is installed. It prints how to use it.
# cluster.sh [NODES [PORT]]: port PORT is HAProxy's, PORT+1 and so on the nodes'.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
nodes=${1:-3}
port=${2:-3000}
nats_version=v2.15.3 # a tool, not a dependency: pinned here alone

dir=$(mktemp -d)
pids=()
stop() {
	trap - EXIT INT TERM
	echo "stopping"
	for ((k = ${#pids[@]} - 1; k >= 0; k--)); do # the last one started ends first
		kill "${pids[k]}" 2>/dev/null || true
		wait "${pids[k]}" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap stop EXIT
trap exit INT TERM

# await waits until a port of loopback takes connections, or the process has ended.
await() {
	for _ in {1..100}; do
		if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
			return
		fi
		kill -0 "$2" 2>/dev/null || break
		sleep 0.1
	done
	echo "cluster.sh: $3 does not take connections at port $1; its last lines:" >&2
	tail -n 5 "$dir/$3.log" >&2
	exit 1
}

if [ "$(bin/nats-server --version 2>/dev/null)" != "nats-server: $nats_version" ]; then
	echo "building nats-server $nats_version"
	GOBIN="$PWD/bin" go install "github.com/nats-io/nats-server/v2@$nats_version"
fi
nats=$((port + 900))
bin/nats-server --addr 127.0.0.1 --port "$nats" >"$dir/nats.log" 2>&1 &
pids+=($!)
await "$nats" $! nats

head -c 32 /dev/urandom >"$dir/secret"
chmod 600 "$dir/secret"
for ((k = 1; k <= nodes; k++)); do
	cat >"$dir/node$k.toml" <<-EOF
		socket_workers = 1
		[network]
		address = "127.0.0.1:$((port + k))"
		trusted_proxies = ["127.0.0.1"]
		[[listen]]
		address = "127.0.0.1:$((port + 100 + k))"
		proxy_protocol = true
		[cpu_pinning]
		active = false
		[limits]
		active = false
		[metrics]
		run_prometheus_endpoint = true
		prometheus_endpoint_address = "127.0.0.1:$((port + 200 + k))"
		[control]
		listen = "unix:$dir/node$k.sock"
		[cluster]
		nats_url = "nats://127.0.0.1:$nats"
		node = "node$k"
		secret_file = "$dir/secret"
	EOF
	bin/millrace -c "$dir/node$k.toml" >"$dir/node$k.log" 2>&1 &
	pids+=($!)
done
for ((k = 1; k <= nodes; k++)); do
	await $((port + k)) "${pids[k]}" "node$k"
done

front=
if command -v haproxy >/dev/null; then
	{
		cat <<-EOF
			defaults
			    mode tcp
			    timeout connect 5s
			    timeout client 5m
			    timeout server 5m
			frontend clients
			    bind 127.0.0.1:$port
			    default_backend nodes
			backend nodes
			    balance roundrobin
		EOF
		for ((k = 1; k <= nodes; k++)); do
			echo "    server node$k 127.0.0.1:$((port + 100 + k)) send-proxy-v2 check"
		done
	} >"$dir/haproxy.cfg"
	haproxy -db -f "$dir/haproxy.cfg" >"$dir/haproxy.log" 2>&1 &
	pids+=($!)
	await "$port" $! haproxy
	front="clients:    ws://127.0.0.1:$port/ (HAProxy, which takes the nodes in turn)"
else
	front="clients:    HAProxy is not installed, so there is no address for all nodes"
fi

urls=
for ((k = 1; k <= nodes; k++)); do
	urls+="${urls:+,}ws://127.0.0.1:$((port + k))/"
done
cat <<EOF

$front
nodes:      $urls
load:       bin/millrace-load -profile light -scale 0.1 -url $urls
metrics:    curl -s http://127.0.0.1:$((port + 201))/metrics | grep cluster
control:    bin/millrace ctl --at unix:$dir/node1.sock status
logs:       $dir/node1.log and so on
a fault:    kill -9 ${pids[1]} (node1), kill -STOP ${pids[0]} (NATS)

Ctrl-C stops all of it.
EOF
wait
