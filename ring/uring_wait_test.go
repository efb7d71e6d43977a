package ring

import (
	"runtime"
	"testing"
	"time"

	"millrace/ring/host"

	"golang.org/x/sys/unix"
)

// This file owns the tests of the wait, and of how the runtime's settings are read.

// TestWaitLeavesNothing proves on the real kernel that one wait for a single event brings all that is there: since Linux
// 6.13 a call runs 20 pieces of the work that is due, and the rest would stand behind a Step.
func TestWaitLeavesNothing(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.Tick = time.Hour
		ls, err := host.Listen(host.ListenOptions{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		addr := ls[0].Addr()
		r, err := Open(p, ls[0])
		if err != nil {
			t.Fatal(err)
		}
		n := min(60, p.ReceiveBuffers)
		var clients []int
		var events []Event
		for range n {
			fd := connect(t, addr)
			defer unix.Close(fd)
			clients = append(clients, fd)
		}
		for accepted := 0; accepted < n; {
			if events, err = r.Wait(events[:0], Window{Min: 1}); err != nil {
				t.Fatal(err)
			}
			accepted += len(events)
		}
		if events, err = r.Wait(events[:0], Window{}); err != nil || len(events) > 0 { // submits the last receives
			t.Fatalf("%v, %v", events, err)
		}
		for _, fd := range clients {
			if _, err := unix.Write(fd, []byte("here")); err != nil {
				t.Fatal(err)
			}
		}
		for arrived(t, r) < n {
			runtime.Gosched()
		}
		if events, err = r.Wait(events[:0], Window{Min: 1}); err != nil || len(events) != n {
			t.Errorf("a wait brought %d events (%v), but %d messages are there", len(events), err, n)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// arrived returns how many connections have a message in their socket, or a completion for it.
func arrived(t *testing.T, r *Ring) int {
	t.Helper()
	n := 0
	for i := range r.conns {
		if c := &r.conns[i]; c.state == connOpen {
			unread, err := unix.IoctlGetInt(int(c.fd), unix.TIOCINQ)
			if err != nil {
				t.Fatal(err)
			}
			n += min(unread, 1)
		}
	}
	return n + int(r.completions())
}

// TestPreemptionOff proves which GODEBUG settings are recognised.
func TestPreemptionOff(t *testing.T) {
	f := func(godebug string, want bool) {
		t.Helper()
		if got := preemptionOff(godebug); got != want {
			t.Errorf("%q: %v", godebug, got)
		}
	}
	f("", false)
	f("asyncpreemptoff=1", true)
	f("gctrace=1,asyncpreemptoff=1", true)
	f("asyncpreemptoff=1,asyncpreemptoff=0", false)
	f("xasyncpreemptoff=1", false)
}
