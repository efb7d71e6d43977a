package e2e

// This file starts the tracker in each of its settings.

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// setting is one way to configure the tracker.
type setting struct {
	name    string
	shards  int
	tls     bool
	packs   []string // messages are compressed, and the test fails if none was in each of these directions
	proxied bool     // answers only after a PROXY header: the proxy's start waits for both
	network string   // more keys of the table [network], as TOML
	tables  string   // TOML tables that follow [network]
}

var (
	oneShard  = setting{name: "1 shard", shards: 1}
	twoShards = setting{name: "2 shards", shards: 2}
	// A kernel of 5.8 has none of the features that are optional.
	oldKernel = setting{name: "2 shards, every optional kernel feature off", shards: 2, tables: `
[io_uring]
multishot_accept = "off"
buffer_ring = "off"
multishot_receive = "off"
message_ring = "off"
coop_taskrun = "off"
single_issuer = "off"
defer_taskrun = "off"
registered_ring = "off"
registered_buffers = "off"
fixed_send = "off"
timed_wait = "off"
min_wait = "off"
`}
	packing    = setting{name: "2 shards, compression", shards: 2, packs: []string{"in", "out"}}
	tlsPacking = setting{name: "TLS, 2 shards, compression", shards: 2, tls: true, packs: []string{"in", "out"}}
	// The package ws does not compress what is as short as its own messages here.
	answering    = setting{name: "2 shards, compression", shards: 2, packs: []string{"out"}}
	tlsAnswering = setting{name: "TLS, 2 shards, compression", shards: 2, tls: true, packs: []string{"out"}}
	tlsOneShard  = setting{name: "TLS, 1 shard", shards: 1, tls: true}
	tlsTwoShards = setting{name: "TLS, 2 shards", shards: 2, tls: true}
)

// eachTracker runs test as a subtest with the URL of a tracker for each
// setting, or once with the tracker that MILLRACE_E2E_TRACKER names.
func eachTracker(t *testing.T, settings []setting, test func(t *testing.T, trackerURL string)) {
	if url := os.Getenv("MILLRACE_E2E_TRACKER"); url != "" {
		t.Run("running tracker", func(t *testing.T) { test(t, url) })
		return
	}
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) { test(t, startTracker(t, s)) })
	}
}

// startTracker starts the built tracker on a free port, waits until it
// accepts WebSocket connections and returns its URL. At the end of the test it
// asks it to stop and requires exit code 0.
func startTracker(t *testing.T, s setting) string {
	t.Helper()
	address := freeAddress(t)
	url, network := "ws://"+address, s.network
	if s.tls {
		url = "wss://" + address
		network += fmt.Sprintf("enable_tls = true\ntls_certificate_path = %q\ntls_private_key_path = %q\n",
			certificate.chainPath, certificate.keyPath)
	}
	metrics := ""
	if s.packs == nil {
		network += "compression = \"off\"\n"
	} else {
		metrics = freeAddress(t)
		s.tables += fmt.Sprintf("[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = %q\n", metrics)
	}
	config := filepath.Join(t.TempDir(), "millrace.toml")
	text := fmt.Sprintf("socket_workers = %d\n\n[network]\naddress = %q\n%s%s", s.shards, address, network, s.tables)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	atEnd := func(state *os.ProcessState) {
		if state.ExitCode() != 0 {
			t.Errorf("the tracker ended with %v, want exit code 0", state)
		}
	}
	tracker := startServer(t, atEnd, trackerProgram(t), "-c", config)
	if !s.proxied {
		waitForTracker(t, url, tracker)
	}
	if s.packs != nil {
		t.Cleanup(func() { requirePacked(t, metrics, s.packs) }) // before the tracker ends
	}
	return url
}

// waitForTracker dials until the tracker answers, since no event tells a
// stranger that a port is open. The server is the tracker or a proxy before it.
func waitForTracker(t *testing.T, url string, through *server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	var last error // the last one that is not merely that the time is up
	for {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
		if err == nil {
			conn.Close()
			return
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-through.exited:
			t.Fatalf("%s ended instead of listening; its log says why", through.name)
		case <-ctx.Done():
			t.Fatalf("%s does not accept WebSocket connections after %v: %v", through.name, startTimeout, last)
		case <-retry.C:
		}
	}
}

func trackerProgram(t *testing.T) string {
	t.Helper()
	name := os.Getenv("MILLRACE_BIN")
	if name == "" {
		name = filepath.Join("..", "..", "bin", "millrace")
	}
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("cannot find the tracker: %v; build it with \"make build\" or name it in MILLRACE_BIN", err)
	}
	return path
}

// The ports that freeAddress gives out: below those that the kernel gives to clients and to listeners that ask for any, so that nobody takes
// one before it is used. Processes begin at different ones.
const (
	firstPort = 10_000
	ports     = 20_000
)

var nextPort atomic.Uint32

func init() { nextPort.Store(uint32(os.Getpid()) * 101) }

// freeAddress returns a loopback address whose port is free, and which it has not returned before.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range ports {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%ports)
		if l, err := net.Listen("tcp4", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
