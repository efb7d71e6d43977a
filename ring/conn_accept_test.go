package ring

import (
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"millrace/ring/host"
)

// This file owns the tests of listening sockets on the real kernel.

// mustListen returns listeners of an address.
func mustListen(t *testing.T, address string, sockets int) []*host.Listener {
	t.Helper()
	ls, err := host.Listen(host.ListenOptions{Address: address, Sockets: sockets, Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

// dialListener connects to a listener.
func dialListener(t *testing.T, address string) net.Conn {
	t.Helper()
	network, name := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, name = "unix", path
	}
	c, err := net.Dial(network, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// nextAccepts waits for so many clients at least and returns their accepts.
func nextAccepts(t *testing.T, r *Ring, least int) (all []Event) {
	t.Helper()
	var events []Event
	for len(all) < least {
		var err error
		if events, err = r.Wait(events[:0], Window{Min: 1}); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == EventAccept {
				all = append(all, e)
			}
		}
	}
	return all
}

// countAccepts looks at a ring once, without a wait, and returns the number of clients that it accepted.
func countAccepts(t *testing.T, r *Ring) (n int) {
	t.Helper()
	events, err := r.Wait(nil, Window{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == EventAccept {
			n++
		}
	}
	return n
}

// TestListeners proves that a ring accepts on several sockets, of unix too, tells which one a client came through, and takes
// and ends them while it runs; with every feature of the kernel and with none.
func TestListeners(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	testPlans(t, func(name string, p Plan) {
		unixSocket := "unix:" + filepath.Join(t.TempDir(), "s")
		first, second := mustListen(t, "127.0.0.1:0", 1)[0], mustListen(t, unixSocket, 1)[0]
		r, err := Open(p, first, second)
		if err != nil {
			t.Fatal(err)
		}
		third := mustListen(t, "127.0.0.1:0", 1)[0]
		if r.Listen(1, third) || !r.Listen(2, third) || third.FD() != -1 {
			t.Fatal("a listener was not taken as its number allows")
		}
		through := func(address string, n uint8, named bool) Slot {
			t.Helper()
			dialListener(t, address)
			e := nextAccepts(t, r, 1)[0]
			if e.Listener != n || e.Peer.IsValid() != named {
				t.Errorf("%s: accepted through %d from %v", address, e.Listener, e.Peer)
			}
			return e.Slot
		}
		through(first.String(), 0, true)
		stays := through(unixSocket, 1, false)
		through(third.String(), 2, true)

		r.Unlisten(1)
		for r.Listens(1) {
			if _, err := r.Wait(nil, Window{Min: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if c, err := net.Dial("unix", strings.TrimPrefix(unixSocket, "unix:")); err == nil {
			t.Error("a listener that was ended takes clients")
			_ = c.Close()
		}
		if r.named(stays) == nil {
			t.Error("a connection has ended with its listener")
		}
		if err := second.Remove(); err != nil {
			t.Error(err)
		}
		if !r.Listen(1, mustListen(t, unixSocket, 1)[0]) {
			t.Error("the number of a listener that was ended is not free")
		}
		through(unixSocket, 1, false)
		if err := r.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
}

// TestSharedListener proves that two rings accept on one socket, and that one of them can end without the other. They take
// turns at it where the kernel wakes one of those that wait, as every kernel with multishot accept does (5.19). On 5.10 it
// wakes all of them, and any may be first.
func TestSharedListener(t *testing.T) {
	p, err := Choose(Probe(), testOptions(Want{}))
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	address := "unix:" + filepath.Join(t.TempDir(), "s")
	ls := mustListen(t, address, 2)
	var rings [2]*Ring
	for i := range rings {
		if rings[i], err = Open(p, ls[i]); err != nil {
			t.Fatal(err)
		}
		rings[i].flush()
	}
	burst := func() {
		t.Helper()
		for range singleAccepts {
			dialListener(t, address)
		}
	}
	for _, r := range rings {
		burst()
		if p.Use[MultishotAccept] {
			nextAccepts(t, r, singleAccepts)
			continue
		}
		for n, k := 0, 0; n < singleAccepts; k++ {
			n += countAccepts(t, rings[k%len(rings)])
		}
	}
	if err := rings[0].Close(); err != nil {
		t.Error(err)
	}
	burst()
	nextAccepts(t, rings[1], singleAccepts)
	if err := rings[1].Close(); err != nil {
		t.Error(err)
	}
}

// TestPeerAddress proves that clients' addresses are told right: IPv4, IPv6, and IPv4 over a dual-stack socket.
func TestPeerAddress(t *testing.T) {
	p, err := Choose(Probe(), testOptions(Want{}))
	if err != nil {
		t.Fatal(err)
	}
	f := func(address, dialTo string) {
		t.Helper()
		ls, err := host.Listen(host.ListenOptions{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		port := ls[0].Addr().Port()
		r, err := Open(p, ls[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(dialTo), port).String())
		if err != nil {
			t.Fatal(err)
		}
		var events []Event
		for len(events) == 0 || events[0].Kind != EventAccept {
			if events, err = r.Wait(events[:0], Window{Min: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := events[0].Peer.String(), c.LocalAddr().String(); got != want {
			t.Errorf("peer %s, want %s", got, want)
		}
		_ = c.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f("127.0.0.1:0", "127.0.0.1")
	f("[::]:0", "127.0.0.1")
	f("[::]:0", "::1")
}
