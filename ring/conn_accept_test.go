package ring

import (
	"net"
	"net/netip"
	"runtime"
	"testing"

	"millrace/ring/host"
)

// This file owns the test of the addresses that accepting reports.

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
