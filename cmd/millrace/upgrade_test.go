package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file proves, from outside, that a running tracker is replaced by another process, and that no client notices.

// upgrade replaces the tracker by another process and waits until that serves. The tracker of the test is that process then.
func (tr *tracker) upgrade() {
	tr.t.Helper()
	times := strings.Count(tr.log.String(), handedOver) + 1
	tr.signal(syscall.SIGUSR2)
	tr.logged("took over from another process", times)
	tr.logged(handedOver, times)
	all := regexp.MustCompile(handedOver+`" pid=(\d+)`).FindAllStringSubmatch(tr.log.String(), -1)
	pid, _ := strconv.Atoi(all[len(all)-1][1])
	heir, err := os.FindProcess(pid)
	if err != nil {
		tr.t.Fatal(err)
	}
	old := tr.heir
	tr.heir = heir
	tr.t.Cleanup(func() { heir.Kill() })
	if old == nil {
		old = tr.cmd.Process
	}
	eventually(tr.t, "the old process ends", func() bool { return !alive(old.Pid) })
	if log, _, _ := strings.Cut(tr.log.String(), fmt.Sprintf(handedOver+`" pid=%d`, pid)); strings.Count(log, "msg=stopped") >= times {
		tr.t.Error("the process ended before it had said to which other one it has handed over")
	}
}

const handedOver = "handed over to a new process"

// alive reports whether a process runs, and has not ended without somebody to notice.
func alive(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// half sends half of a message, and returns a function that sends the rest and wants one reply. Without TLS that is half of a frame, in
// the middle of a fragmented message.
func (tr *tracker) half(hash string) (finish func()) {
	tr.t.Helper()
	if tr.scheme != "ws" {
		return func() {}
	}
	c := tr.raw()
	fmt.Fprint(c, head("GET / HTTP/1.1", "")+"\r\n")
	readUntil(tr.t, c, "\r\n\r\n")
	text := fmt.Sprintf(`{"action":"scrape","info_hash":%q}`, hash)
	first, second := text[:10], text[10:]
	frame := func(op byte, payload string) []byte {
		return append([]byte{op, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...) // a mask of zeros changes nothing
	}
	rest := frame(0x80, second)
	c.Write(append(frame(0x01, first), rest[:12]...))
	return func() {
		tr.t.Helper()
		c.Write(rest[12:])
		if got := readUntil(tr.t, c, "}}}"); !strings.Contains(got, `"complete":1`) {
			tr.t.Errorf("the message of two halves is answered with %q", got)
		}
		c.Close()
	}
}

// TestUpgrade proves that clients, with TLS and without, stay connected while the tracker is replaced, several times and with other
// numbers of shards: an offer from before is answered after, swarms and what they remember are the same, a message of which half had
// come is read whole, what a client had sent ahead is answered once, and new clients are let in. The last process stops as usual.
func TestUpgrade(t *testing.T) {
	pk := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour))
	f := func(name, network string, connect func(*tracker)) {
		t.Run(name, func(t *testing.T) {
			s := settings{top: "socket_workers = 2", network: "address = '" + freeAddr(t) + "'\n" + network}
			tr := start(t, s)
			connect(tr)
			hash := id("torrent")
			a, b := tr.dial(), tr.dial()
			a.send(announce(hash, id("a"), 0, map[string]any{"left": 0}))
			a.receive()
			for k, shards := range []int{1, 3, 2} {
				b.send(announce(hash, id("b"), 1, nil))
				if m := b.receive(); m["complete"] != 1.0 || m["incomplete"] != 1.0 {
					t.Fatalf("before hand-over %d: %v", k, m)
				}
				offer := a.receive()
				s.top = fmt.Sprintf("socket_workers = %d", shards)
				if err := os.WriteFile(tr.config, []byte(s.file()), 0o644); err != nil {
					t.Fatal(err)
				}
				finish := tr.half(hash)
				tr.upgrade()
				finish()
				a.send(map[string]any{
					"action": "announce", "info_hash": hash, "peer_id": id("a"), "to_peer_id": offer["peer_id"],
					"offer_id": offer["offer_id"], "answer": map[string]any{"type": "answer", "sdp": "v=0"},
				})
				if m := b.receive(); m["offer_id"] != offer["offer_id"] || m["answer"] == nil {
					t.Fatalf("the answer to an offer from before hand-over %d is %v", k, m)
				}
				a.send(map[string]any{"action": "scrape", "info_hash": hash})
				if m := a.receive()["files"].(map[string]any)[hash].(map[string]any); m["complete"] != 1.0 || m["incomplete"] != 1.0 {
					t.Fatalf("behind hand-over %d: %v", k, m)
				}
				relay(t, tr)
			}
			if tr.code != 0 {
				t.Errorf("the first process has ended with %d", tr.code)
			}
			last := tr.dial()
			tr.signal(syscall.SIGTERM)
			if code := last.closeCode(); code != 1001 {
				t.Errorf("closed with %d at the stop", code)
			}
			tr.wait() // for the end of the last process
		})
	}
	f("ws", "", func(*tracker) {})
	f("wss 1.3", pk.settings(), func(tr *tracker) { tr.client = pk.client(tls.VersionTLS13, nil) })
	f("wss 1.2", pk.settings(), func(tr *tracker) { tr.client = pk.client(tls.VersionTLS12, nil) })
}

// TestUpgradeFails proves that the tracker goes on with its clients where the new process cannot start, and says why; and that a later
// one takes over.
func TestUpgradeFails(t *testing.T) {
	s := settings{top: "socket_workers = 1", network: "address = '" + freeAddr(t) + "'"}
	tr := start(t, s)
	p := tr.dial()
	f := func(config, want string, times int) {
		t.Helper()
		if err := os.WriteFile(tr.config, []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		tr.signal(syscall.SIGUSR2)
		tr.logged("cannot hand over to a new process: this one goes on", times)
		tr.logged(want, 1)
		p.asks()
	}
	p.asks()
	f("socket_workers = 'many'", `the other process: `+tr.config+`:1:18: socket_workers must be a whole number`, 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.network = "address = '" + taken.Addr().String() + "'"
	f(s.file(), "the new process cannot serve: the other process: cannot listen on "+taken.Addr().String()+": another program listens", 2)
	s.network = "address = '" + tr.addr + "'"
	if err := os.WriteFile(tr.config, []byte(s.file()), 0o644); err != nil {
		t.Fatal(err)
	}
	tr.upgrade()
	p.asks()
	tr.signal(syscall.SIGTERM)
	if code := p.closeCode(); code != 1001 {
		t.Errorf("closed with %d at the stop", code)
	}
	tr.wait()
}

// TestUpgradePaths proves that the paths of unix sockets are those of the process that serves: they are there behind a hand-over, also behind
// one that fails, and go with the last process, or with their listener.
func TestUpgradePaths(t *testing.T) {
	s, control := controlled(t, "")
	path := filepath.Join(filepath.Dir(control), "s")
	with := s
	with.network = "shutdown_timeout = 1\naddress = '" + freeAddr(t) + "'"
	with.other += "[[listen]]\naddress = 'unix:" + path + "'\n"
	tr := start(t, with)
	tr.rewrite(settings{top: "socket_workers = 'many'"})
	tr.logged("the new configuration is not good", 1)
	tr.signal(syscall.SIGUSR2)
	tr.logged("cannot hand over to a new process", 1)
	tr.at("ws", "unix:"+path, nil).dial()
	for k := range 2 {
		tr.rewrite(with)
		tr.logged("configuration read again", k+1)
		tr.upgrade()
		tr.at("ws", "unix:"+path, nil).dial()
		tr.expect("no problems", "status")
	}
	without := with
	without.other = s.other
	tr.rewrite(without)
	tr.logged("configuration read again", 3)
	if _, err := os.Lstat(path); err == nil {
		t.Error("the path of a listener that has ended is still there")
	}
	tr.stop()
	if _, err := os.Lstat(control); err == nil {
		t.Error("the socket for commands is there after the stop")
	}
}
