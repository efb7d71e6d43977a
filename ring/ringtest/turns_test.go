package ringtest

import (
	"net/netip"
	"testing"
	"time"

	"millrace/ring"
)

// This file tests who gets the receive buffers where there are too few.

// TestBuffersTakeTurns proves that connections whose sockets are always full share the buffers evenly, with any plan: one that
// has had a buffer waits behind those that found none.
func TestBuffersTakeTurns(t *testing.T) {
	const conns, buffers, waits = 12, 4, 60
	f := func(name string, want ring.Want) {
		t.Helper()
		k := New(1, Faults{SocketBuffer: 1000})
		p, err := ring.Choose(ring.Features{}, ring.Options{
			Entries: 64, ReceiveBuffers: buffers, ReceiveBufferSize: 512, SendMemory: 64 << 10, MaxConnections: 32,
			Tick: 10 * time.Millisecond, Want: want,
		})
		if err != nil {
			t.Fatal(err)
		}
		r := k.Open(p)
		var events []ring.Event
		received := map[ring.Slot]int{}
		for n := range conns {
			c := k.Dial(r, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(n)))
			c.Write(make([]byte, 1<<20))
		}
		for range waits {
			if events, err = r.Wait(events[:0], ring.Window{}); err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				switch e.Kind {
				case ring.EventAccept:
					received[e.Slot] = 0
				case ring.EventRecv:
					received[e.Slot]++
				}
			}
		}
		for slot, n := range received {
			if even := waits * buffers / conns; n < even-3 || n > even+3 {
				t.Errorf("%s: connection %d got %d buffers in %d waits, want about %d", name, slot.Index, n, waits, even)
			}
			r.Submit([]ring.Op{{Kind: ring.OpClose, Slot: slot, Abort: true}})
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	f("the newest features", ring.Want{})
	f("single receives", ring.Want{ring.MultishotReceive: ring.Off})
	f("without a buffer ring", ring.Want{ring.MultishotReceive: ring.Off, ring.BufferRing: ring.Off})
}
