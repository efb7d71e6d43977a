package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// setting is one way to configure the tracker.
type setting struct {
	name   string
	shards int
	tables string // TOML tables that follow [network]
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
)

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 20 * time.Second
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
	config := filepath.Join(t.TempDir(), "millrace.toml")
	text := fmt.Sprintf("socket_workers = %d\n\n[network]\naddress = %q\n%s", s.shards, address, s.tables)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(trackerProgram(t), "-c", config)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start the tracker: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait() // its error is the exit code, which stopTracker reads
		close(exited)
	}()
	t.Cleanup(func() { stopTracker(t, cmd, exited) })

	url := "ws://" + address
	waitForTracker(t, url, exited)
	return url
}

// waitForTracker dials until the tracker answers, since no event tells a
// stranger that a port is open.
func waitForTracker(t *testing.T, url string, exited <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, _, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-exited:
			t.Fatal("the tracker ended instead of listening; its log says why")
		case <-ctx.Done():
			t.Fatalf("the tracker does not accept WebSocket connections after %v: %v", startTimeout, err)
		case <-retry.C:
		}
	}
}

func stopTracker(t *testing.T, cmd *exec.Cmd, exited <-chan struct{}) {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("cannot send SIGTERM to the tracker: %v", err)
	}
	select {
	case <-exited:
	case <-time.After(stopTimeout):
		t.Errorf("the tracker still runs %v after SIGTERM; it is killed", stopTimeout)
		cmd.Process.Kill()
		<-exited
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the tracker ended with %v, want exit code 0", cmd.ProcessState)
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

// freeAddress returns a loopback address whose port was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
