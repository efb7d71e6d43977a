package host

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// This file owns the tests of sockets that are handed on.

// dialed connects so many clients, which wait in the queues of the sockets.
func dialed(t *testing.T, address string, n int) {
	t.Helper()
	network, name := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, name = "unix", path
	}
	for range n {
		c, err := net.Dial(network, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

// waiting takes the clients out of the queues of the listeners and returns their number.
func waiting(t *testing.T, ls []*Listener) (n int) {
	t.Helper()
	for _, l := range ls {
		if len(l.FDs()) == 0 || !l.Shared() {
			t.Errorf("listener %+v", l)
		}
		for _, fd := range l.FDs() {
			_ = unix.SetNonblock(fd, true)
			for {
				client, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
				if err != nil {
					break
				}
				_ = unix.Close(client)
				n++
			}
		}
	}
	return n
}

// handedOn returns duplicates of all descriptors of the listeners, and closes those.
func handedOn(t *testing.T, ls []*Listener) (all []Handed) {
	t.Helper()
	for _, l := range ls {
		for _, fd := range l.FDs() {
			h, err := l.HandOn(fd)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, h)
		}
		l.Close()
	}
	return all
}

// TestHandOn proves that clients which wait in the queues of sockets are all found by a process with as many, fewer and more
// listeners, over several hand-overs, and that the sockets are found by the address that was asked for and by their own.
func TestHandOn(t *testing.T) {
	const clients = 24
	f := func(address string, sockets int) {
		t.Helper()
		ls, err := Listen(ListenOptions{Address: address, Sockets: 3, Mode: 0o600})
		if err != nil {
			t.Fatal(err)
		}
		own := ls[0].String()
		for i, shards := range []int{3, 1, 2, 5, 2} {
			dialed(t, own, clients)
			passed, err := HandedSockets(handedOn(t, ls))
			if err != nil {
				t.Fatal(err)
			}
			if l := passed.Missing([]string{address}); l != nil {
				t.Errorf("%s is missing", l)
			}
			if got := len(passed.listeners); got != sockets {
				t.Errorf("%s: %d sockets, want %d", address, got, sockets)
			}
			if ls, err = passed.Listen([]string{address, own}[i%2], shards); err != nil || len(ls) != shards {
				t.Fatalf("%d listeners, %v, want %d", len(ls), err, shards)
			}
			if again, err := passed.Listen(address, shards); again != nil || err != nil || passed.Missing(nil) != nil {
				t.Errorf("the sockets are there once more: %v, %v", again, err)
			}
			if n := waiting(t, ls); n != clients {
				t.Errorf("%s: %d clients were found by %d listeners, want %d", address, n, shards, clients)
			}
			passed.Close()
		}
		for _, l := range ls {
			l.Close()
		}
		if c, err := net.Dial("tcp", own); err == nil {
			t.Errorf("%s still listens", own)
			_ = c.Close()
		}
	}
	f("127.0.0.1:0", 3)
	f("[::1]:0", 3)
	f("unix:"+filepath.Join(t.TempDir(), "s"), 1)
}

// TestHandOnKept proves that a socket of the service manager stays with each process that it is handed on to, and that its path
// is never removed; that of another one is, by the process that has claimed it.
func TestHandOnKept(t *testing.T) {
	f := func(kept bool) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "s")
		address := "unix:" + path
		ls, err := Listen(ListenOptions{Address: address, Mode: 0o600})
		if err != nil {
			t.Fatal(err)
		}
		ls[0].kept = kept
		passed, err := HandedSockets(handedOn(t, ls))
		if err != nil {
			t.Fatal(err)
		}
		first, err := passed.Listen(address, 1)
		if err != nil || len(first) != 1 {
			t.Fatal(first, err)
		}
		if again, err := passed.Listen(address, 1); (again != nil) != kept || err != nil {
			t.Errorf("kept %v: again %v, %v", kept, again, err)
		}
		if err := first[0].Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("kept %v: the path was removed by a process that it is not left to: %v", kept, err)
		}
		if err := first[0].Claim(0o600); err != nil {
			t.Error(err)
		}
		if err := first[0].Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); (err == nil) != kept {
			t.Errorf("kept %v: the path after its end: %v", kept, err)
		}
		if h, err := first[0].HandOn(first[0].FD()); err != nil || h.Kept != kept || h.Address != address {
			t.Errorf("handed on again: %+v, %v", h, err)
		} else {
			h.Close()
		}
	}
	f(false)
	f(true)
}

// TestHandedMistakes proves that what is no listening socket is refused, and that then no descriptor stays open.
func TestHandedMistakes(t *testing.T) {
	ls, err := Listen(ListenOptions{Address: "127.0.0.1:0", Sockets: 2})
	if err != nil {
		t.Fatal(err)
	}
	handed := handedOn(t, ls)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	handed = []Handed{handed[0], {Address: "192.0.2.1:80", FD: pair[0]}, handed[1]}
	p, err := HandedSockets(handed)
	if p != nil || err == nil || !strings.Contains(err.Error(), "192.0.2.1:80 that was handed on: it is not a listening") {
		t.Errorf("%v, %v", p, err)
	}
	for _, h := range handed {
		if _, err := unix.FcntlInt(uintptr(h.FD), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d of %s: %v", h.FD, h.Address, err)
		}
	}
	if _, err := ls[0].HandOn(-1); err == nil || !strings.Contains(err.Error(), "cannot hand on the socket of 127.0.0.1:0") {
		t.Errorf("got %v", err)
	}
}
