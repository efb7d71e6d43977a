package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"millrace/cmd/internal/ctl"
)

// This file proves `millrace ctl` as operators use it: one process asks another.

// ctl runs a command at the tracker, and returns its output, what it wrote to standard error, and its exit code.
func (tr *tracker) ctl(args ...string) (out, trouble string, code int) {
	tr.t.Helper()
	return runCommand(&settings{}, append([]string{"ctl", "-c", tr.config}, args...)...)
}

// runCommand runs a process to its end.
func runCommand(s *settings, args ...string) (out, trouble string, code int) {
	cmd := command(s, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// expect runs a command that must succeed with an output that matches, and returns that.
func (tr *tracker) expect(want string, args ...string) string {
	tr.t.Helper()
	out, trouble, code := tr.ctl(args...)
	if code != 0 || !regexp.MustCompile(want).MatchString(out) {
		tr.t.Errorf("%q: exit code %d, wrote %q and %q, want %s", args, code, out, trouble, want)
	}
	return out
}

// refused runs a command that must fail with words that contain want.
func (tr *tracker) refused(want string, args ...string) {
	tr.t.Helper()
	if out, trouble, code := tr.ctl(args...); code != 1 || !strings.Contains(trouble, want) {
		tr.t.Errorf("%q: exit code %d, wrote %q and %q, want %q", args, code, out, trouble, want)
	}
}

// controlled returns settings of a tracker of two shards that takes commands on a socket in a folder of its own.
func controlled(t *testing.T, more string) (s settings, socket string) {
	dir, err := os.MkdirTemp("", "millrace-test") // t.TempDir may have a path too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	socket = filepath.Join(dir, "c")
	return settings{top: "socket_workers = 2", other: "[control]\nlisten = 'unix:" + socket + "'\n[limits]\nexempt = []\n" + more}, socket
}

// TestCtl proves each question and order on a tracker with clients: its state, who uses it most, the story of an address and
// of a torrent, the last events, a ban that ends connections and one that is taken back.
func TestCtl(t *testing.T) {
	s, socket := controlled(t, "")
	tr := start(t, s)
	hash := hex.EncodeToString([]byte(id("torrent")))
	seeder, leecher := tr.dial(), tr.dial()
	seeder.send(announce(id("torrent"), id("-WW0205-s"), 0, map[string]any{"left": 0}))
	seeder.receive()
	leecher.send(announce(id("torrent"), id("-WW0205-l"), 1, nil))
	leecher.receive()
	seeder.receive() // the offer
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	eventually(t, "both clients are in the status", func() bool {
		out, _, _ := tr.ctl("status")
		return strings.Contains(out, "\nclients       2 (2 IPv4, 0 IPv6) of ") && strings.Contains(out, "\npeers         2 (1 seeder) of ")
	})
	tr.expect(`(?s)listening     ws://`+tr.addr+"\n.*no problems\n", "status")
	tr.expect(`(?s)"clients": 2,.*"shards": \[\n    \{.*"problems": \[\]`, "status", "--json")
	tr.expect(`(?s)127\.0\.0\.1 +0 +0 B +0 B +0 +2\n.*`+hash+` +\S+ +1 +1\n`, "top", "--by", "peers")
	story := tr.expect(`(?s)127\.0\.0\.1: 2 connections\nit uses 2 connections, 2 peers, 0 TLS handshakes;.*connection \d/\d+\.\d+, open.*`+
		`WebTorrent 2\.5, (seeder|leecher), announced \d+ s ago`, "client", "127.0.0.1")
	if !strings.Contains(story, hash) || !strings.Contains(story, "announce with 1 offers, torrent "+hash[:16]) {
		t.Errorf("the story has not the torrent, or the announce:\n%s", story)
	}
	tr.expect(`(?s)`+hash+`: 1 seeder, 1 leecher, downloaded 0 times; shard \d\n.*WebTorrent 2\.5, leecher, announced \d+ s ago, 127\.0\.0\.1:\d+\n`,
		"torrent", hash[:8])
	tr.expect(`(?s)^(\d+\.\d{6}s shard .*\n){3}$`, "trace", "-n", "3")
	tr.expect(`^$`, "trace", "192.0.2.1")
	tr.refused("no torrent with peers has an info hash that begins with abab", "torrent", "abab")

	tr.expect(`^127\.0\.0\.1 is banned until .*; 2 connections ended\n$`, "ban", "127.0.0.1", "5")
	if a, b := seeder.closeCode(), leecher.closeCode(); a != 1008 || b != 1008 {
		t.Errorf("closed with %d and %d, want 1008", a, b)
	}
	tr.expect(`it is banned for 5 min\n`, "client", "127.0.0.1")
	if c, err := net.Dial("tcp", tr.addr); err == nil { // it may be reset at any time
		if _, err = c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection of a banned address was served")
		}
		c.Close()
	}
	tr.expect(`banned no more`, "unban", "127.0.0.1")
	tr.logged("msg=banned address=127.0.0.1 minutes=5", 1)
	tr.logged(`msg="banned no more" address=127.0.0.1`, 1)
	tr.stop()
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is still there after the stop")
	}
	tr.refused("cannot reach a tracker at unix:"+socket, "status")
}

// TestCtlReload proves that a reload tells which files were read and what is wrong with one, that the status then has it as a
// problem, also when it has gone; which keys need a restart; and that the listener itself can move while it is asked to.
func TestCtlReload(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list.txt")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(list, fmt.Sprintf("%x\n", id("a")))
	s, socket := controlled(t, "[access_list]\nmode = 'deny'\npath = '"+list+"'\n")
	tr := start(t, s)
	tr.expect(`^configuration: read again\naccess_list.path: read again\n$`, "reload")
	write(list, "nonsense\n")
	if out, trouble, code := tr.ctl("reload"); code != 1 || !strings.Contains(out, "access_list.path: the previous version stays in force: ") ||
		!strings.Contains(trouble, "not all was read again") {
		t.Errorf("exit code %d, wrote %q and %q", code, out, trouble)
	}
	tr.expect(`! access_list\.path could not be read again, and the previous version is in force: `, "status")
	write(list, "")
	tr.expect(`^configuration: read again\naccess_list.path: read again\n$`, "reload")
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status misses the list", func() bool {
		out, _, _ := tr.ctl("status")
		return strings.Contains(out, "! access_list.path could not be read again")
	})
	write(list, "")
	s.other = strings.Replace(s.other, socket, socket+"2", 1)
	s.top = "socket_workers = 1"
	write(tr.config, s.file())
	out, trouble, code := runCommand(&settings{}, "ctl", "--at", "unix:"+socket, "reload")
	if code != 0 || !strings.Contains(out, "configuration: read again, but for keys that change with a restart only: socket_workers\n") {
		t.Errorf("exit code %d, wrote %q and %q", code, out, trouble)
	}
	tr.expect("no problems", "status") // at the new place, which the configuration names
	if _, err := os.Stat(socket); err == nil {
		t.Error("the old socket is still there")
	}
}

// TestCtlDrain proves that a drain takes no new clients, tells those that are there to go, and ends the tracker with exit
// code 0; the command waits for that.
func TestCtlDrain(t *testing.T) {
	s, _ := controlled(t, "")
	tr := start(t, s)
	var all []*peer
	for range 4 {
		all = append(all, tr.dial())
	}
	gone := make(chan int, len(all))
	for _, p := range all {
		go func() { gone <- p.closeCode() }()
	}
	tr.expect(`(?s)^draining: \d clients left, 2 s to go\n.*the tracker has ended\n$`, "drain", "2")
	for range all {
		if code := <-gone; code != 1001 {
			t.Errorf("closed with %d, want 1001", code)
		}
	}
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	tr.logged(`msg="draining: no new clients, and those that are there are sent away one after the other" seconds=2`, 1)
}

// TestCtlOnLoopback proves that a listener on an address answers a command, and neither an order without its field nor a name
// that is not of this machine, which is what a page of a website can send.
func TestCtlOnLoopback(t *testing.T) {
	at := freeAddr(t)
	tr := start(t, settings{other: "[control]\nlisten = '" + at + "'\n"})
	tr.logged(`msg="serving commands" url=`+at, 1)
	if out, trouble, code := runCommand(&settings{}, "ctl", "--at", at, "status"); code != 0 || !strings.Contains(out, "no problems") {
		t.Errorf("exit code %d, wrote %q and %q", code, out, trouble)
	}
	f := func(want int, method, path, host string, order bool) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		if order {
			r.Header.Set(ctl.OrderHeader, "1")
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s %s for %s: %d, want %d", method, path, host, answer.StatusCode, want)
		}
	}
	f(200, "GET", ctl.PathStatus, at, false)
	f(200, "GET", ctl.PathStatus, "localhost", false)
	f(403, "GET", ctl.PathStatus, "evil.example", false)
	f(403, "POST", ctl.PathReload, at, false)
	f(200, "POST", ctl.PathReload, at, true)
	f(405, "GET", ctl.PathReload, at, true)
	f(404, "GET", "/else", at, false)
	f(400, "GET", ctl.PathDrain, at, false)
	f(400, "GET", ctl.PathClient+"?address=x", at, false)
	f(400, "GET", ctl.PathTorrent+"?hash=x", at, false)
	f(400, "GET", ctl.PathTrace+"?since=x", at, false)
	f(400, "GET", ctl.PathTop+"?n=0", at, false)
	f(400, "GET", ctl.PathTop+"?by=x", at, false)
	f(400, "POST", ctl.PathBan+"?address=127.0.0.1", at, true) // exempt
	f(400, "POST", ctl.PathBan+"?address=192.0.2.1&minutes=x", at, true)
}

// TestCtlAccess proves that another user of the machine may not use the socket.
func TestCtlAccess(t *testing.T) {
	if os.Getuid() != 0 {
		return // nobody else can be tried
	}
	s, _ := controlled(t, "")
	tr := start(t, s)
	if out, trouble, code := runCommand(&settings{uid: 65534}, "ctl", "-c", tr.config, "status"); code != 1 ||
		!strings.Contains(trouble, "permission denied; name its configuration with -c") {
		t.Errorf("exit code %d, wrote %q and %q", code, out, trouble)
	}
}

// TestCtlWithoutListener proves that the error for a configuration without one says what to do.
func TestCtlWithoutListener(t *testing.T) {
	tr := start(t, settings{})
	tr.refused("has no control.listen, so the tracker takes no commands: set it", "status")
}

// TestCtlBans proves which addresses cannot be banned, and why: exempt ones, proxies that are trusted, and all where there are no
// limits; that a client behind a trusted proxy is banned by its own address, and that a ban of an IPv6 network spares exempt
// addresses in it.
func TestCtlBans(t *testing.T) {
	s, _ := controlled(t, "")
	s.network = "address = '[::]:0'\ntrusted_proxies = ['127.0.0.2']"
	s.other = strings.Replace(s.other, "exempt = []", "exempt = ['::1/128', '192.0.2.0/24']", 1)
	tr := start(t, s)
	tr.refused("cannot ban 192.0.2.1: limits.exempt has a network with this address", "ban", "192.0.2.1")
	tr.refused("cannot ban 127.0.0.2: it is a proxy that network.trusted_proxies names", "ban", "127.0.0.2")
	exempt := tr.dial() // from ::1
	tr.expect(`^::/64 is banned until .*; 0 connections ended\n$`, "ban", "::2")
	exempt.send(announce(id("t"), id("p"), 0, nil))
	exempt.receive()
	tr.rewrite(settings{top: s.top, network: s.network, other: s.other + "active = false\n"})
	tr.logged("configuration read again", 1)
	tr.refused("cannot ban 192.0.2.1: addresses have no limits while limits.active is false", "ban", "192.0.2.1")
}
