package ring

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"millrace/ring/host"
	"millrace/ring/internal/sockaddr"

	"golang.org/x/sys/unix"
)

// This file owns the test that a loop makes no garbage.

// TestLoopDoesNotAllocate proves that a message received and answered costs no garbage under any plan.
func TestLoopDoesNotAllocate(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	eachPlan(t, func(t *testing.T, p Plan) {
		runtime.LockOSThread() // a subtest has a goroutine of its own
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
		fd := connect(t, addr)
		defer unix.Close(fd)
		var events []Event
		var slot Slot
		await := func(kind EventKind) {
			for {
				if events, err = r.Wait(events[:0], Window{Min: 1}); err != nil {
					t.Fatal(err)
				}
				for i := range events {
					if events[i].Kind == kind {
						slot = events[i].Slot
						return
					}
				}
			}
		}
		await(EventAccept)
		message := make([]byte, 200)
		ops := make([]Op, 1)
		if n := testing.AllocsPerRun(200, func() {
			_, _ = unix.Write(fd, message)
			await(EventRecv)
			buf := r.Pool().Get(len(message))
			ops[0] = Op{Kind: OpSend, Slot: slot, Data: r.Pool().Bytes(buf)[:len(message)]}
			r.Submit(ops)
			await(EventSent)
			r.Pool().Put(buf)
			_, _ = unix.Read(fd, message)
		}); n != 0 {
			t.Errorf("%v allocations a message", n)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// connect returns a connected blocking socket, without the machinery of package net.
func connect(t testing.TB, addr netip.AddrPort) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, sockaddr.Of(addr)); err != nil {
		t.Fatal(err)
	}
	return fd
}
