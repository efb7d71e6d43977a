package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// This file proves that clients find each other, how the tracker stops, and how it refuses clients, files and machines.

// With every plan of kernel features, and with one and two shards, clients find each other: each announce is answered,
// an offer reaches the other peer, its answer comes back, large messages pass unchanged, and a stop ends with 1001 and
// exit code 0.
func TestRelay(t *testing.T) {
	for plan := range plans {
		for _, shards := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", plan, shards), func(t *testing.T) {
				tr := start(t, settings{top: fmt.Sprintf("socket_workers = %d", shards), plan: plan})
				relay(t, tr)
				tr.stop()
			})
		}
	}
}

// relay lets pairs of peers meet in several torrents, with an sdp of 50,000 bytes.
func relay(t *testing.T, tr *tracker) {
	t.Helper()
	relaySDP(t, tr, strings.Repeat("v=0 é \r\n\"", 5000))
}

// relaySDP is relay with an sdp of one's choice.
func relaySDP(t *testing.T, tr *tracker, sdp string) {
	t.Helper()
	for k := range 8 { // torrents and connections fall on all shards
		hash := id("torrent %d", k)
		a, b := tr.dial(), tr.dial()
		a.send(announce(hash, id("a"), 0, map[string]any{"left": 0}))
		if m := a.receive(); m["complete"] != 1.0 || m["incomplete"] != 0.0 || m["interval"] != 120.0 {
			t.Fatalf("first reply %v", m)
		}
		m := announce(hash, id("b"), 1, nil)
		m["offers"].([]any)[0].(map[string]any)["offer"] = map[string]any{"type": "offer", "sdp": sdp}
		b.send(m)
		if m := b.receive(); m["complete"] != 1.0 || m["incomplete"] != 1.0 {
			t.Fatalf("second reply %v", m)
		}
		offer := a.receive()
		if offer["peer_id"] != id("b") || offer["offer"].(map[string]any)["sdp"] != sdp {
			t.Fatalf("offer %.200v", offer)
		}
		a.send(map[string]any{
			"action": "announce", "info_hash": hash, "peer_id": id("a"), "to_peer_id": offer["peer_id"],
			"offer_id": offer["offer_id"], "answer": map[string]any{"type": "answer", "sdp": sdp},
		})
		if m := b.receive(); m["peer_id"] != id("a") || m["answer"].(map[string]any)["sdp"] != sdp {
			t.Fatalf("answer %.200v", m)
		}
		b.send(map[string]any{"action": "scrape", "info_hash": []string{hash, id("unknown")}})
		files := b.receive()["files"].(map[string]any)
		if files[hash].(map[string]any)["complete"] != 1.0 || files[id("unknown")].(map[string]any)["complete"] != 0.0 {
			t.Fatalf("scrape reply %v", files)
		}
		a.send(announce(hash, id("a"), 0, map[string]any{"event": "stopped"}))
		if m := a.receive(); m["complete"] != 0.0 || m["incomplete"] != 1.0 {
			t.Fatalf("reply to stopped %v", m)
		}
		a.conn.CloseNow()
		b.conn.CloseNow()
	}
}

// Without asynchronous preemption the runtime cannot interrupt a thread that waits in the kernel: the tracker must wait
// in a way that still lets garbage collection run, so it works and stops.
func TestWithoutAsyncPreemption(t *testing.T) {
	tr := start(t, settings{top: "socket_workers = 2", env: []string{"GODEBUG=asyncpreemptoff=1", "GOGC=1"}})
	relay(t, tr)
	tr.signal(syscall.SIGINT)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A stop waits for clients that stay, but no longer than shutdown_timeout, and a later signal ends it at once.
func TestStop(t *testing.T) {
	stay := func(tr *tracker) net.Conn {
		c := tr.raw()
		io.WriteString(c, head("GET / HTTP/1.1", "")+"\r\n")
		readUntil(t, c, "\r\n\r\n")
		return c
	}
	tr := start(t, settings{network: "shutdown_timeout = 1\nclose_timeout = 60"})
	stay(tr)
	tr.signal(syscall.SIGTERM)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d after the shutdown timeout", code)
	}
	tr = start(t, settings{network: "shutdown_timeout = 3600\nclose_timeout = 3600"})
	c := stay(tr)
	tr.signal(syscall.SIGTERM)
	if b := make([]byte, 1); readFull(c, b) != nil || b[0] != 0x88 {
		t.Fatalf("got %x, want a close frame", b)
	}
	eventually(t, "a later signal ends it", func() bool {
		tr.signal(syscall.SIGTERM)
		select {
		case <-tr.exited:
			return true
		default:
			return false
		}
	})
	if code := tr.wait(); code != 1 {
		t.Errorf("exit code %d after a later signal, want 1", code)
	}
}

// Two signals at once, as some programs send them, are one: clients are told 1001, and the exit code is 0.
func TestTwoSignalsAtOnce(t *testing.T) {
	for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		tr := start(t, settings{})
		var peers []*peer
		for range 20 {
			peers = append(peers, tr.dial())
		}
		tr.signal(syscall.SIGTERM)
		tr.logged("shutting down", 1)
		tr.signal(second)
		for _, p := range peers {
			if code := p.closeCode(); code != 1001 {
				t.Errorf("closed with %d, want 1001", code)
			}
		}
		if code := tr.wait(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}

// head returns a request with the headers of an upgrade, those of more after them, and no blank line.
func head(line, more string) string {
	return line + "\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + more
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return err
}

// readUntil reads up to a mark, and nothing after it.
func readUntil(t *testing.T, r io.Reader, mark string) string {
	t.Helper()
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte(mark)); got = append(got, b[0]) {
		if err := readFull(r, b); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
	}
	return string(got)
}

// A request that is no acceptable upgrade gets its status, whole, and then the end of the connection.
func TestRefusedRequests(t *testing.T) {
	tr := start(t, settings{network: "handshake_timeout = 1\nmax_request_head = 2048"})
	f := func(request, want string) {
		t.Helper()
		c := tr.raw()
		io.WriteString(c, request)
		got, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("%.40q: %v", request, err)
		}
		if !strings.HasPrefix(string(got), "HTTP/1.1 "+want+" ") || !strings.Contains(string(got), "\r\n\r\n") {
			t.Errorf("%.40q: answered with %q, want %s", request, got, want)
		}
	}
	f("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400")
	f("hello\r\n\r\n", "400")
	f("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "426")
	f(strings.Replace(head("GET / HTTP/1.1", "\r\n"), "Version: 13", "Version: 8", 1), "426")
	f(strings.Replace(head("GET / HTTP/1.1", "\r\n"), "dGhl", "dGh", 1), "400")
	f(head("POST / HTTP/1.1", "\r\n"), "405")
	f(head("GET / HTTP/1.1", "X: "+strings.Repeat("x", 3000)+"\r\n\r\n"), "431")
	f("GET / HT", "408")
	relay(t, tr)
}

// Broken frames close the connection with the code that says why.
func TestCloseCodes(t *testing.T) {
	tr := start(t, settings{other: "[limits]\nbad_messages_per_connection = 2"})
	f := func(frames string, want int) {
		t.Helper()
		c := tr.raw()
		io.WriteString(c, head("GET /any/path?and=query HTTP/1.1", "\r\n")+frames)
		readUntil(t, c, "\r\n\r\n")
		b, err := io.ReadAll(c)
		if err != nil || len(b) < 4 || b[0] != 0x88 || int(b[2])<<8|int(b[3]) != want {
			t.Errorf("%.20q: got %x, %v; want close code %d", frames, b, err, want)
		}
	}
	mask := "\x00\x00\x00\x00"
	f("\x81\x05hello", 1002)                                 // not masked
	f("\x83\x80"+mask, 1002)                                 // unknown opcode
	f("\xc1\x80"+mask, 1002)                                 // a reserved bit
	f("\x80\x80"+mask, 1002)                                 // a continuation of nothing
	f("\x89\xfe\x00\x7e"+mask, 1002)                         // a long ping
	f("\x81\x82"+mask+"\xc3\x28", 1007)                      // not UTF-8
	f("\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00"+mask, 1009) // a megabyte
	f(strings.Repeat("\x81\x81"+mask+"x", 3), 1008)          // not JSON, once too often
	f("\x88\x82"+mask+"\x03\xe8", 1000)                      // a normal close
	f("\x01\x81"+mask+"{\x88\x00", 1002)                     // a close without a mask, inside a message
	relay(t, tr)
}

// Mistakes of the configuration, the command line and the machine each give one clear sentence, first, and the exit
// code: never a stack trace.
func TestCannotStart(t *testing.T) {
	f := func(code int, want []string, s settings, args ...string) {
		t.Helper()
		if args == nil {
			args = []string{"-c", s.configFile(t)}
		}
		cmd := command(&s, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%v: exit code %d, want %d; wrote %s", args, got, code, stderr.String())
		}
		for _, w := range want {
			if !strings.Contains(stderr.String()+stdout.String(), w) {
				t.Errorf("%v: %q does not say %q", args, stderr.String(), w)
			}
		}
		if strings.Contains(stderr.String(), "goroutine ") {
			t.Errorf("a stack trace: %s", stderr.String())
		}
	}
	f(0, []string{"Usage: millrace"}, settings{}, "-h")
	f(0, []string{"millrace "}, settings{}, "--version")
	f(0, []string{"[io_uring]"}, settings{}, "-p")
	f(0, []string{"address = \"127.0.0.1:0\""}, settings{}, "-P", "-c", (&settings{}).configFile(t))
	f(2, []string{"-h"}, settings{}, "--nonsense")
	f(1, []string{"no such file"}, settings{}, "-c", "does-not-exist.toml")
	f(1, []string{":1:", "socket_workers", "network.adress", "did you mean"},
		settings{top: "socket_workers = 'two'", network: "address = '127.0.0.1:0'\nadress = 1"})
	f(1, []string{"enable_tls"}, settings{network: "enable_tls = true"})
	f(1, []string{"cannot listen", "192.0.2.1"}, settings{network: "address = '192.0.2.1:3000'"})
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	f(1, []string{busy.Addr().String(), "in use"}, settings{network: "address = '" + busy.Addr().String() + "'"})
	theirs := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(theirs, []byte(`{"tracker":{"maxOffers":7}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	f(0, []string{"a configuration of wt-tracker", "max_offers = 7"}, settings{}, "--convert", theirs)
	f(1, []string{"cannot read the file to convert"}, settings{}, "--convert", theirs+".none")
	f(1, []string{"cannot convert", "aquatic_ws"}, settings{}, "--convert", "/proc/version")
	test := func(s settings) []string { return []string{"-t", "-c", s.configFile(t)} }
	f(0, []string{"is good"}, settings{}, test(settings{})...)
	f(0, []string{"is good", "listens there already"}, settings{},
		test(settings{network: "address = '" + busy.Addr().String() + "'"})...)
	f(1, []string{"192.0.2.1", "access_list.path", "198.51.100.1", "no-certificate"}, settings{}, test(settings{
		network: "address = '192.0.2.1:3000'\nenable_tls = true\ntls_certificate_path = 'no-certificate'\n" +
			"tls_private_key_path = 'no-key'",
		other: "[access_list]\nmode = 'deny'\npath = 'no-list'\n[metrics]\nrun_prometheus_endpoint = true\n" +
			"prometheus_endpoint_address = '198.51.100.1:9000'",
	})...)
	f(1, []string{"memlock", "LimitMEMLOCK="}, settings{uid: stranger(), shell: "ulimit -l 16"})
}

// stranger returns the id of an unprivileged user that no other process has: the kernel counts the locked memory of a
// user over all of its processes. It is 0, this user, where the test runs unprivileged already.
func stranger() uint32 {
	if os.Getuid() != 0 {
		return 0
	}
	strangers++
	return 1_000_000 + uint32(os.Getpid())*16 + strangers
}

var strangers uint32

// An unprivileged user with a small limit of locked memory gets smaller buffers and a warning, and a tracker that
// works.
func TestSmallMemlock(t *testing.T) {
	for _, kib := range []int{512, 8192} {
		tr := start(t, settings{
			top:   "socket_workers = 2",
			other: "[cpu_pinning]\nactive = false",
			uid:   stranger(),
			large: true,
			shell: fmt.Sprintf("ulimit -l %d", kib),
		})
		if !strings.Contains(tr.log.String(), "limit of locked memory") {
			t.Errorf("%d KiB: no warning about the limit of locked memory", kib)
		}
		relaySDP(t, tr, strings.Repeat("a=candidate\r\n", 100)) // the shrunken memory is too small for the largest frames
		tr.signal(syscall.SIGTERM)
		tr.wait()
	}
}

// IPv4 and IPv6 clients meet on one socket where only_ipv6 is off, and only IPv6 ones get through where it is on.
func TestDualStack(t *testing.T) {
	tr := start(t, settings{network: "address = '[::]:0'\nonly_ipv6 = false", other: "[protocol]\nshare_swarms_across_ip_versions = true"})
	_, port, _ := net.SplitHostPort(tr.addr)
	tr.addr = "127.0.0.1:" + port
	four := tr.dial()
	tr.addr = "[::1]:" + port
	six := tr.dial()
	four.send(announce(id("hash"), id("four"), 0, nil))
	four.receive()
	six.send(announce(id("hash"), id("six"), 1, nil))
	if m := six.receive(); m["incomplete"] != 2.0 {
		t.Errorf("shared swarms: %v", m)
	}
	if m := four.receive(); m["peer_id"] != id("six") {
		t.Errorf("no offer across IP versions: %v", m)
	}
	relay(t, tr)

	tr = start(t, settings{network: "address = '[::1]:0'\nonly_ipv6 = true"})
	relay(t, tr)
}

// An unprivileged user whose descriptors run out loses no connection that is open: others are turned away, and there is
// room again when somebody leaves.
func TestFewDescriptors(t *testing.T) {
	tr := start(t, settings{top: "socket_workers = 1", network: "max_connections = 8"})
	var peers []*peer
	for k := range 8 {
		p := tr.dial()
		p.send(announce(id("hash"), id("peer %d", k), 0, nil))
		p.receive()
		peers = append(peers, p)
	}
	if b, _ := io.ReadAll(tr.raw()); len(b) != 0 {
		t.Errorf("the ninth was sent %q", b)
	}
	peers[0].conn.CloseNow()
	// The slot is free when the tracker has seen the end; until then connections are turned away.
	for {
		c := tr.raw()
		io.WriteString(c, head("GET / HTTP/1.1", "\r\n"))
		if b := make([]byte, 12); readFull(c, b) == nil && string(b) == "HTTP/1.1 101" {
			break
		}
	}
	peers[1].send(announce(id("hash"), id("peer 1"), 0, nil))
	if m := peers[1].receive(); m["incomplete"] != 7.0 {
		t.Errorf("reply %v", m)
	}
}
