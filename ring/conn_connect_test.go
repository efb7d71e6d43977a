package ring

import (
	"net/netip"
	"runtime"
	"testing"

	"millrace/ring/host"

	"golang.org/x/sys/unix"
)

// This file owns the tests of OpConnect.

// TestConnect proves that OpConnect to a listener gives a slot on which bytes go both ways, from the source address
// asked for; and that a refused connect, or one into a full table, is reported with its tag and keeps no descriptor.
func TestConnect(t *testing.T) {
	eachPlan(t, testConnect)
}

func testConnect(t *testing.T, p Plan) {
	echo := startEcho(t, p, Window{Min: 1})
	defer echo.close()
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	p.Outgoing = true
	p.MaxConnections = 2
	r, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort(echo.addr)
	nobody := netip.MustParseAddrPort("127.0.0.1:1")
	local := netip.MustParseAddrPort("127.0.0.9:0")
	r.Submit([]Op{
		{Kind: OpConnect, Remote: server, Local: local, Tag: 7},
		{Kind: OpConnect, Remote: nobody, Tag: 8},
		{Kind: OpConnect, Remote: server, Tag: 9},
	})
	got := map[uint32]Event{}
	for len(got) < 3 {
		events, err := r.Wait(nil, Window{Min: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == EventConnect {
				got[e.Tag] = e
			}
		}
	}
	if got[7].Errno != 0 || unix.Errno(got[8].Errno) != unix.ECONNREFUSED || unix.Errno(got[9].Errno) != unix.ENFILE {
		t.Errorf("connects ended with %v, %v, %v", got[7].Errno, got[8].Errno, got[9].Errno)
	}
	name, err := unix.Getsockname(int(r.conns[got[7].Slot.Index].fd))
	if a, ok := name.(*unix.SockaddrInet4); err != nil || !ok || a.Addr != local.Addr().As4() {
		t.Errorf("the connection comes from %v, %v", name, err)
	}
	expectEcho(t, r, got[7].Slot)
	if n := r.Stats().Connections; n != 1 {
		t.Errorf("%d connections in the table", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// expectEcho sends a few bytes and waits until they are back.
func expectEcho(t *testing.T, r *Ring, s Slot) {
	t.Helper()
	buf := r.Pool().Get(5)
	data := r.Pool().Bytes(buf)[:5]
	copy(data, "hello")
	r.Submit([]Op{{Kind: OpSend, Slot: s, Data: data}})
	back := ""
	for back != "hello" {
		events, err := r.Wait(nil, Window{Min: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch e.Kind {
			case EventRecv:
				back += string(e.Data)
			case EventHangup:
				t.Fatalf("hung up with %v", e.Errno)
			}
		}
	}
}

// TestCloseWhileConnecting proves that Close joins connects which are still under way: those to a listener whose queue
// is full.
func TestCloseWhileConnecting(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		runtime.LockOSThread()
		full, err := host.Listen(host.ListenOptions{Address: "127.0.0.1:0", Backlog: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer full[0].Close()
		p.Outgoing = true
		p.MaxConnections = 8
		r, err := Open(p)
		if err != nil {
			t.Fatal(err)
		}
		for range p.MaxConnections {
			r.Submit([]Op{{Kind: OpConnect, Remote: full[0].Addr()}})
		}
		if _, err := r.Wait(nil, Window{}); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n := r.Stats().Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}
