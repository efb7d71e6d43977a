package e2e

// This file starts and stops the nodes of a cluster, and reads what they say of themselves.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clusterNode is a tracker that is a node of a cluster. It can go and come back.
type clusterNode struct {
	name     string
	config   string
	url      string // of ws
	secure   string // of wss
	metrics  string
	log      replacedLog
	server   *server // of its present life, which may have been handed over
	pid      int     // of the process that serves
	expected []int   // processes whose failure is no failure of the test
}

// clusterSetting is what differs between nodes.
type clusterSetting struct {
	name   string
	shards int
	nats   string // its URL
	secret string // the path of its file; empty: the one of all nodes
	more   string // lines of TOML that follow in [cluster]
}

// newNode prepares a node, which does not run yet.
func newNode(t *testing.T, s clusterSetting) *clusterNode {
	t.Helper()
	dir := t.TempDir()
	if s.secret == "" {
		s.secret = filepath.Join(dir, "secret")
		writeSecret(t, s.secret, 's')
	}
	address, secure := freeAddress(t), freeAddress(t)
	n := &clusterNode{name: s.name, config: filepath.Join(dir, "millrace.toml"), url: "ws://" + address, secure: "wss://" + secure,
		metrics: freeAddress(t), log: replacedLog{more: make(chan struct{}, 1)}}
	text := fmt.Sprintf(`socket_workers = %d
[network]
address = %q
enable_http_health_checks = true
tls_certificate_path = %q
tls_private_key_path = %q
shutdown_timeout = 1
[[listen]]
address = %q
tls = true
[cpu_pinning]
active = false
[metrics]
run_prometheus_endpoint = true
prometheus_endpoint_address = %q
[cluster]
nats_url = %q
node = %q
secret_file = %q
%s
`, s.shards, address, certificate.chainPath, certificate.keyPath, secure, n.metrics, s.nats, s.name, s.secret, s.more)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// writeSecret writes a secret of one letter.
func writeSecret(t *testing.T, path string, letter rune) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Repeat(string(letter), 32)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start begins a life of the node, and waits until it serves.
func (n *clusterNode) start(t *testing.T) {
	t.Helper()
	n.launch(t)
	waitForTracker(t, n.url, n.server)
}

// launch begins a life of the node. The process that serves at the end of the test is stopped then.
func (n *clusterNode) launch(t *testing.T) {
	t.Helper()
	n.server = startLoggedServer(t, &n.log, func(state *os.ProcessState) {
		if state.ExitCode() != 0 && !slices.Contains(n.expected, state.Pid()) {
			t.Errorf("node %s ended with %v, want exit code 0", n.name, state)
		}
	}, trackerProgram(t), "-c", n.config)
	n.pid = n.server.cmd.Process.Pid
	life := n.server
	t.Cleanup(func() {
		select {
		case <-life.exited:
			return
		default:
		}
		syscall.Kill(n.pid, syscall.SIGTERM)
		select {
		case <-life.exited:
		case <-time.After(stopTimeout):
			t.Errorf("process %d of node %s still runs %v after SIGTERM; it is killed", n.pid, n.name, stopTimeout)
			syscall.Kill(n.pid, syscall.SIGKILL)
		}
	})
}

// kill ends the node without a word.
func (n *clusterNode) kill(t *testing.T) {
	t.Helper()
	n.expected = append(n.expected, n.pid)
	n.server.signal(t, syscall.SIGKILL)
	<-n.server.exited
}

// handOver has another process take over.
func (n *clusterNode) handOver(t *testing.T) {
	t.Helper()
	times := len(n.log.handOvers())
	n.server.signal(t, syscall.SIGUSR2)
	await(t, "another process of node "+n.name+" has taken over", func() bool { return len(n.log.handOvers()) > times })
	pid, err := strconv.Atoi(n.log.handOvers()[times][1])
	if err != nil {
		t.Fatal(err)
	}
	n.pid = pid
}

// says reports whether the log of the node has a text.
func (n *clusterNode) says(text string) bool {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return strings.Contains(n.log.text.String(), text)
}

// health returns the answer to a health check: its status, and its text.
func (n *clusterNode) health() (status int, text string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+strings.TrimPrefix(n.url, "ws")+"/health", nil)
	if err != nil {
		return 0, err.Error()
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(b)
}

// figure returns a figure of the metrics page by its series, without the prefix of all those of a cluster: the sum of all shards.
func (n *clusterNode) figure(t *testing.T, series string) (sum float64) {
	t.Helper()
	found := false
	for _, m := range figureLine.FindAllStringSubmatch(string(metricsPage(t, n.metrics)), -1) {
		name, isOurs := strings.CutPrefix(m[1], "millrace_cluster_")
		if !isOurs || name != series && !strings.HasPrefix(name, series+"{worker_index=") {
			continue
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		found, sum = true, sum+v
	}
	if !found {
		t.Fatalf("the page of node %s has no millrace_cluster_%s", n.name, series)
	}
	return sum
}

// sees waits until the node has so many others.
func (n *clusterNode) sees(t *testing.T, others int) {
	t.Helper()
	await(t, fmt.Sprintf("node %s sees %d others", n.name, others), func() bool { return n.figure(t, "nodes") == float64(others) })
}

// isAlone waits until the node knows that it has no connection to NATS.
func (n *clusterNode) isAlone(t *testing.T) {
	t.Helper()
	await(t, "node "+n.name+" has no connection to NATS", func() bool { return n.figure(t, "connected") == 0 })
}

// testCluster is NATS with its nodes.
type testCluster struct {
	nats  *natsServer
	nodes []*clusterNode
}

// newCluster prepares NATS and three nodes of 1, 2 and 1 shards.
func newCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{nats: newNATS(t, "")}
	for k, shards := range []int{1, 2, 1} {
		c.nodes = append(c.nodes, newNode(t, clusterSetting{name: fmt.Sprintf("node%d", k+1), shards: shards, nats: "nats://" + c.nats.address}))
	}
	return c
}

// startCluster starts them, and waits until each node sees the others.
func startCluster(t *testing.T) *testCluster {
	t.Helper()
	c := newCluster(t)
	c.nats.start(t)
	for _, n := range c.nodes {
		n.launch(t)
	}
	for _, n := range c.nodes {
		waitForTracker(t, n.url, n.server)
		n.sees(t, len(c.nodes)-1)
	}
	t.Cleanup(func() { // all at once, which takes less time
		for _, n := range c.nodes {
			select {
			case <-n.server.exited:
			default:
				syscall.Kill(n.pid, syscall.SIGTERM)
			}
		}
	})
	return c
}
