package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// This file owns the tools of the tests in this package, which run the tracker as its operators do, as a process, and
// talk to it as its clients do. The process is this test binary, which becomes the tracker when runMain is set in its
// environment: so the race detector watches the tracker too.

const runMain = "MILLRACE_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		playHeir()
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(runTests(m))
}

// executable is a copy of this program that every user may run.
var executable string

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "millrace-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	executable = filepath.Join(dir, "millrace")
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(executable, b, 0o755); err != nil {
		panic(err)
	}
	return m.Run()
}

// patience is how long anything that must happen may take before the test gives up. It bounds a hang; no test passes
// because of it.
const patience = 30 * time.Second

// plans are the [io_uring] sections with which the tests run: everything that the kernel has, the 5.8 baseline, and a
// step between (5.19, with buffer rings but without deferred work).
var plans = map[string]string{
	"newest": "",
	"baseline": "multishot_accept='off'\nbuffer_ring='off'\nmultishot_receive='off'\nmessage_ring='off'\n" +
		"coop_taskrun='off'\nsingle_issuer='off'\ndefer_taskrun='off'\nregistered_ring='off'\n" +
		"registered_buffers='off'\nfixed_send='off'\ntimed_wait='off'\nmin_wait='off'\n",
	"between": "multishot_receive='off'\nsingle_issuer='off'\ndefer_taskrun='off'\nmin_wait='off'\nfixed_send='require'\n",
}

// tracker is a running process.
type tracker struct {
	t      *testing.T
	cmd    *exec.Cmd
	config string       // path of the configuration file
	scheme string       // ws or wss
	addr   string       // host:port
	client *http.Client // for wss
	heir   *os.Process  // that has taken over from cmd; nil: none has
	exited chan struct{}
	code   int
	log    syncBuffer
}

// settings make a configuration file: the words of each section.
type settings struct {
	top, network, other string
	plan                string     // a key of plans; "" is the newest
	env                 []string   // more environment
	uid                 uint32     // not 0: run as this user
	shell               string     // shell words to run before, in the same process
	files               []*os.File // are descriptors of the process, from 3 on
	large               bool       // buffers of the default sizes
}

// smallBuffers keep a tracker of two shards, and another one beside it, within the 8 MiB that an ordinary user may
// lock.
const smallBuffers = "entries = 256\nreceive_buffers = 32\nsend_memory = 1048576\n"

// file returns the configuration.
func (s *settings) file() string {
	network := s.network
	if !strings.Contains(network, "address") {
		network = "address = '127.0.0.1:0'\n" + network
	}
	buffers := smallBuffers
	if s.large {
		buffers = ""
	}
	return fmt.Sprintf("%s\n[network]\n%s\n%s\n[io_uring]\n%s%s", s.top, network, s.other, buffers, plans[s.plan])
}

// command returns the process that runs the tracker with these arguments.
func command(s *settings, args ...string) *exec.Cmd {
	cmd := exec.Command(executable, args...)
	if s.shell != "" {
		cmd = exec.Command("/bin/sh", append([]string{"-c", s.shell + `; exec "$0" "$@"`, executable}, args...)...)
	}
	cmd.Env = append(append(os.Environ(), runMain+"=1"), s.env...)
	cmd.ExtraFiles = s.files
	if s.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.uid, Gid: s.uid}}
	}
	return cmd
}

// configFile writes the settings to a file that every user may read.
func (s *settings) configFile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	name := filepath.Join(dir, "millrace.toml")
	if err := os.WriteFile(name, []byte(s.file()), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// start starts a tracker and waits until it listens. It is stopped at the end of the test.
func start(t *testing.T, s settings) *tracker {
	t.Helper()
	file := s.configFile(t)
	tr := &tracker{t: t, cmd: command(&s, "-c", file), config: file, exited: make(chan struct{})}
	stderr, err := tr.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan []string, 1)
	go func() {
		lines := bufio.NewScanner(io.TeeReader(stderr, &tr.log))
		for lines.Scan() {
			if m := listeningLine.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case listening <- m[1:]:
				default: // a further address
				}
			}
		}
		tr.cmd.Wait()
		tr.code = tr.cmd.ProcessState.ExitCode()
		close(tr.exited)
	}()
	t.Cleanup(func() {
		tr.cmd.Process.Kill()
		<-tr.exited
		if t.Failed() {
			t.Logf("the tracker wrote:\n%s", tr.log.String())
		}
	})
	select {
	case m := <-listening:
		tr.scheme, tr.addr = m[0], m[1]
	case <-tr.exited:
		t.Fatalf("the tracker ended at once with %d:\n%s", tr.code, tr.log.String())
	case <-time.After(patience):
		t.Fatalf("the tracker does not listen:\n%s", tr.log.String())
	}
	return tr
}

var listeningLine = regexp.MustCompile(`msg=listening url=(wss?)://(\S+)`)

// signal sends a signal to the process.
func (tr *tracker) signal(sig os.Signal) {
	if tr.heir != nil {
		tr.heir.Signal(sig)
		return
	}
	tr.cmd.Process.Signal(sig)
}

// wait waits for the end of the process and returns its exit code.
func (tr *tracker) wait() int {
	tr.t.Helper()
	select {
	case <-tr.exited:
	case <-time.After(patience):
		tr.t.Fatal("the tracker does not end")
	}
	return tr.code
}

// stop stops the tracker with a client connected, which must be told 1001, and requires exit code 0.
func (tr *tracker) stop() {
	tr.t.Helper()
	last := tr.dial()
	tr.signal(syscall.SIGTERM)
	if code := last.closeCode(); code != 1001 {
		tr.t.Errorf("closed with %d at the stop, want 1001", code)
	}
	if code := tr.wait(); code != 0 {
		tr.t.Errorf("exit code %d after a stop", code)
	}
}

// syncBuffer is a buffer for two goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// peer is a WebSocket client.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
}

// dial connects a client.
func (tr *tracker) dial() *peer {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := &websocket.DialOptions{HTTPClient: tr.client}
	c, _, err := websocket.Dial(ctx, tr.scheme+"://"+tr.addr+"/announce?key=1", o)
	if err != nil {
		tr.t.Fatalf("cannot connect: %v", err)
	}
	c.SetReadLimit(1 << 20)
	tr.t.Cleanup(func() { c.CloseNow() })
	return &peer{tr.t, c}
}

// send sends the JSON of v, or v itself where it is a string.
func (p *peer) send(v any) {
	p.t.Helper()
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			p.t.Fatal(err)
		}
		text = string(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatalf("cannot send: %v", err)
	}
}

// receive returns the next message.
func (p *peer) receive() map[string]any {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, b, err := p.conn.Read(ctx)
	if err != nil {
		p.t.Fatalf("cannot receive: %v", err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil || kind != websocket.MessageText {
		p.t.Fatalf("not a text message of JSON: %q", b)
	}
	return m
}

// asks announces for the only peer of a torrent, and checks the reply.
func (p *peer) asks() {
	p.t.Helper()
	p.send(announce(id("torrent"), id("peer"), 0, nil))
	if m := p.receive(); m["incomplete"] != 1.0 {
		p.t.Fatalf("reply %v", m)
	}
}

// closeCode reads until the tracker closes and returns its code.
func (p *peer) closeCode() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, _, err := p.conn.Read(ctx)
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			return int(closed.Code)
		}
		if err != nil {
			p.t.Fatalf("no close frame: %v", err)
		}
	}
}

// raw connects without a word and returns the connection.
func (tr *tracker) raw() net.Conn {
	tr.t.Helper()
	c, err := net.DialTimeout("tcp", tr.addr, patience)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// id returns a 20-byte id that starts with the text of its arguments.
func id(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	return s + "--------------------"[len(s):]
}

// announce returns an announce with n offers.
func announce(hash, from string, n int, more map[string]any) map[string]any {
	offers := []any{}
	for k := range n {
		offers = append(offers, map[string]any{
			"offer_id": id("%.8s-%d", from, k),
			"offer":    map[string]any{"type": "offer", "sdp": "v=0\r\no=" + from},
		})
	}
	m := map[string]any{"action": "announce", "info_hash": hash, "peer_id": from, "left": 1, "offers": offers}
	for k, v := range more {
		m[k] = v
	}
	return m
}
