package ringtest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"millrace/ring"
)

// This file tests the requests whose cancel misses: the ring has to ask again.

// busy is a ring on a kernel whose cancels miss, with one client.
type busy struct {
	t *testing.T
	k *Kernel
	r *ring.Ring
	c *Client
}

func (b *busy) rounds(n int) (all []ring.Event) {
	for range n {
		b.k.Advance(50 * time.Millisecond) // a tick of an idle ring, at least
		events, err := b.r.Wait(nil, ring.Window{})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, e := range events {
			e.Data = bytes.Clone(e.Data) // it is the ring's again at the next Wait
			all = append(all, e)
		}
	}
	return all
}

// count returns how many of the events are of a kind, and the last of them.
func count(events []ring.Event, kind ring.EventKind) (n int, last ring.Event) {
	for _, e := range events {
		if e.Kind == kind {
			n, last = n+1, e
		}
	}
	return n, last
}

// eachBusy runs f on all kinds of kernels, on which every cancel misses.
func eachBusy(t *testing.T, f func(t *testing.T, b *busy, slot ring.Slot)) {
	g := func(name string, want ring.Want) {
		t.Run(name, func(t *testing.T) {
			p, err := ring.Choose(ring.Features{}, ring.Options{
				Entries: 64, ReceiveBuffers: 4, ReceiveBufferSize: 512, SendMemory: 64 << 10, MaxConnections: 8,
				Tick: 10 * time.Millisecond, Want: want,
			})
			if err != nil {
				t.Fatal(err)
			}
			b := &busy{t: t, k: New(1, Faults{BusyCancel: 1, SocketBuffer: 100})}
			b.r = b.k.Open(p)
			b.c = b.k.Dial(b.r, netip.MustParseAddrPort("192.0.2.1:1000"))
			n, e := count(b.rounds(3), ring.EventAccept)
			if n != 1 {
				t.Fatalf("%d connections", n)
			}
			f(t, b, e.Slot)
			if err := b.r.Close(); err != nil {
				t.Error(err)
			}
			if err := b.k.Check(); err != nil {
				t.Error(err)
			}
		})
	}
	g("the newest features", ring.Want{})
	g("single requests", ring.Want{ring.MultishotReceive: ring.Off, ring.MultishotAccept: ring.Off})
	g("without a buffer ring", ring.Want{ring.MultishotReceive: ring.Off, ring.BufferRing: ring.Off})
}

// TestBusyCancelSend proves that a send which a worker of the kernel executes goes on when it is cancelled, and comes back at a
// tick once the kernel lets it: with what it has taken, or with nothing.
func TestBusyCancelSend(t *testing.T) {
	eachBusy(t, func(t *testing.T, b *busy, slot ring.Slot) {
		data := b.r.Pool().Bytes(b.r.Pool().Get(300))[:300]
		send := func(from int) {
			t.Helper()
			b.r.Submit([]ring.Op{{Kind: ring.OpSend, Slot: slot, Data: data[from:]}})
		}
		sent := func(n int, want uint32) {
			t.Helper()
			got, e := count(b.rounds(5), ring.EventSent)
			if got != n || e.N != want || e.Errno != 0 {
				t.Errorf("%d sends came back, the last with %d bytes and %v; want %d with %d", got, e.N, e.Errno, n, want)
			}
		}
		send(0)
		sent(1, 100)
		send(100) // which waits
		b.r.Submit([]ring.Op{{Kind: ring.OpCancelSend, Slot: slot}})
		sent(0, 0)
		b.c.Read()
		sent(1, 100) // the send was first
		send(200)
		b.r.Submit([]ring.Op{{Kind: ring.OpCancelSend, Slot: slot}})
		sent(0, 0)
		b.k.SetFaults(Faults{SocketBuffer: 100})
		sent(1, 0)
		b.c.Read()
		send(200)
		sent(1, 100)
	})
}

// TestBusyPause proves the same of a receive: the connection is paused at a tick once the kernel lets it.
func TestBusyPause(t *testing.T) {
	eachBusy(t, func(t *testing.T, b *busy, slot ring.Slot) {
		b.r.Submit([]ring.Op{{Kind: ring.OpPause, Slot: slot}})
		n, _ := count(b.rounds(5), ring.EventPaused)
		if b.r.Quiet(slot) != (n == 1) {
			t.Errorf("paused %d times, quiet %v", n, b.r.Quiet(slot))
		}
		b.k.SetFaults(Faults{})
		if m, _ := count(b.rounds(5), ring.EventPaused); n+m != 1 || !b.r.Quiet(slot) {
			t.Errorf("paused %d times, quiet %v", n+m, b.r.Quiet(slot))
		}
	})
}

// TestBusyHold proves that accepting is held once the kernel lets it, that a client whom an accept takes until then is reported,
// and that later ones wait.
func TestBusyHold(t *testing.T) {
	eachBusy(t, func(t *testing.T, b *busy, _ ring.Slot) {
		dial := func() *Client { return b.k.Dial(b.r, netip.MustParseAddrPort("192.0.2.2:1000")) }
		accepted := func(want int) {
			t.Helper()
			if n, _ := count(b.rounds(5), ring.EventAccept); n != want {
				t.Errorf("%d clients came in, want %d", n, want)
			}
		}
		b.r.Submit([]ring.Op{{Kind: ring.OpHoldAccept}})
		b.rounds(3)
		dial()
		accepted(1)
		if b.r.AcceptHeld() {
			t.Error("accepting is held, and an accept is in flight")
		}
		b.k.SetFaults(Faults{})
		b.rounds(5)
		if !b.r.AcceptHeld() {
			t.Error("accepting is not held, although the kernel lets it")
		}
		c := dial()
		accepted(0)
		b.r.Submit([]ring.Op{{Kind: ring.OpGoAccept}})
		accepted(1)
		if c.Refused() || c.WasReset() {
			t.Error("a client that waited has been refused")
		}
	})
}

// TestHandOver proves that a ring takes the connections and the listener of another one over by duplicates, without a sign to
// the clients, and that the other one resumes all where that does not come about.
func TestHandOver(t *testing.T) {
	f := func(succeeds bool) {
		t.Helper()
		p, err := ring.Choose(ring.Features{}, ring.Options{
			Entries: 64, ReceiveBuffers: 4, ReceiveBufferSize: 512, SendMemory: 64 << 10, MaxConnections: 8,
			Tick: 10 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		k := New(1, Faults{})
		old := &busy{t: t, k: k, r: k.Open(p)}
		c := k.Dial(old.r, netip.MustParseAddrPort("192.0.2.1:1000"))
		_, e := count(old.rounds(3), ring.EventAccept)
		old.r.Submit([]ring.Op{{Kind: ring.OpHoldAccept}, {Kind: ring.OpPause, Slot: e.Slot}})
		old.rounds(3)
		if !old.r.Quiet(e.Slot) || !old.r.AcceptHeld() {
			t.Fatal("the ring does not come to rest")
		}
		late := k.Dial(old.r, netip.MustParseAddrPort("192.0.2.1:1001"))
		c.Write([]byte("meanwhile"))
		fd, listener := k.Duplicate(old.r.FD(e.Slot)), k.Duplicate(int32(old.r.ListenerFDs(0)[0]))
		heir := &busy{t: t, k: k, r: old.r}
		var events []ring.Event
		goOn := []ring.Op{{Kind: ring.OpGoAccept}, {Kind: ring.OpResume, Slot: e.Slot}}
		if succeeds {
			p.HoldAccept = true
			heir.r = k.OpenOn(p, listener)
			heir.r.Submit([]ring.Op{{Kind: ring.OpAdopt, FD: fd, Paused: true}})
			events = heir.rounds(1)
			if n, _ := count(events, ring.EventAccept); n != 0 || !heir.r.AcceptHeld() {
				t.Errorf("%d clients came in before the hand-over was done", n)
			}
			_, adopted := count(events, ring.EventAdopted)
			released := old.r.FD(e.Slot)
			old.r.Submit([]ring.Op{{Kind: ring.OpRelease, Slot: e.Slot}})
			if err := old.r.Close(); err != nil {
				t.Error(err)
			}
			k.CloseFD(released)
			goOn = []ring.Op{{Kind: ring.OpGoAccept}, {Kind: ring.OpResume, Slot: adopted.Slot}}
		} else {
			k.CloseFD(fd)
			k.CloseFD(listener)
		}
		k.Dial(heir.r, netip.MustParseAddrPort("192.0.2.1:1002"))
		heir.r.Submit(goOn)
		events = append(events, heir.rounds(3)...)
		if n, e := count(events, ring.EventRecv); n != 1 || string(e.Data) != "meanwhile" {
			t.Errorf("%d receives, %q", n, e.Data)
		}
		if n, _ := count(events, ring.EventAccept); n != 2 || c.WasReset() || c.EOF() || late.WasReset() {
			t.Errorf("%d clients came in, or one was lost", n)
		}
		if err := heir.r.Close(); err != nil {
			t.Error(err)
		}
		if err := k.Check(); err != nil {
			t.Error(err)
		}
	}
	f(true)
	f(false)
}

// TestLateCancel proves that a cancel which the kernel executes after the next send of the connection does no harm: that send
// reports that nothing was taken.
func TestLateCancel(t *testing.T) {
	eachBusy(t, func(t *testing.T, b *busy, slot ring.Slot) {
		b.k.SetFaults(Faults{LateCancel: 1, SocketBuffer: 100})
		data := b.r.Pool().Bytes(b.r.Pool().Get(100))[:100]
		send := func() { b.r.Submit([]ring.Op{{Kind: ring.OpSend, Slot: slot, Data: data}}) }
		send()
		b.r.Submit([]ring.Op{{Kind: ring.OpCancelSend, Slot: slot}})
		if n, e := count(b.rounds(1), ring.EventSent); n != 1 || e.N != 100 {
			t.Errorf("%d sends came back: %+v", n, e)
		}
		send() // the client has no room
		b.rounds(1)
		b.k.SetFaults(Faults{SocketBuffer: 100})
		if n, e := count(b.rounds(1), ring.EventSent); n != 1 || e.N != 0 || e.Errno != 0 {
			t.Errorf("%d sends came back: %+v", n, e)
		}
		if b.c.WasReset() {
			t.Error("the connection has ended")
		}
	})
}
