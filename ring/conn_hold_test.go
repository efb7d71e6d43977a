package ring

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"millrace/ring/host"
)

// This file owns the tests of OpHoldAccept and OpGoAccept, and of listening sockets that go from ring to ring, on the real
// kernel. Package ringtest has those in which a cancel misses.

// holdAccepts gives OpHoldAccept, waits until nothing is accepted any more, and returns the number of clients that came till then.
func holdAccepts(t *testing.T, r *Ring) (n int) {
	t.Helper()
	r.Submit([]Op{{Kind: OpHoldAccept}})
	for !r.AcceptHeld() {
		events, err := r.Wait(nil, Window{Min: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			switch e.Kind {
			case EventAccept:
				n++
			case EventAcceptFailed:
				t.Errorf("accepting failed: %v", e.Errno)
			}
		}
	}
	return n
}

// eachHold runs f under every plan, with a ring that listens on a socket of its own and on one that has other descriptors. With
// a tick of an hour nothing is repeated.
func eachHold(t *testing.T, f func(t *testing.T, r *Ring, addresses []string)) {
	eachPlan(t, func(t *testing.T, p Plan) {
		runtime.LockOSThread() // a subtest has a goroutine of its own
		p.Tick = time.Hour
		own, other := mustListen(t, "127.0.0.1:0", 1)[0], mustListen(t, "unix:"+filepath.Join(t.TempDir(), "s"), 1)[0]
		r, err := Open(p, own, other)
		if err != nil {
			t.Fatal(err)
		}
		f(t, r, []string{own.String(), other.String()})
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestHoldAccept proves that no client is taken while accepting is held, that none is lost when it stops and starts, whenever
// that is, and that those who wait come in when it goes on.
func TestHoldAccept(t *testing.T) {
	const clients = 5
	eachHold(t, func(t *testing.T, r *Ring, addresses []string) {
		if r.AcceptHeld() {
			t.Error("accepting is held and nobody has asked for it")
		}
		dialAll := func() {
			for range clients {
				for _, address := range addresses {
					dialListener(t, address)
				}
			}
		}
		all := 2 * clients
		for range 3 {
			dialAll() // at the moment of the hold
			n := holdAccepts(t, r)
			dialAll()
			if got := countAccepts(t, r) + countAccepts(t, r); got != 0 || !r.AcceptHeld() || !r.Accepting() {
				t.Errorf("%d clients came in while accepting was held", got)
			}
			r.Submit([]Op{{Kind: OpGoAccept}, {Kind: OpHoldAccept}, {Kind: OpHoldAccept}, {Kind: OpGoAccept}})
			if n += len(nextAccepts(t, r, 2*all-n)); n != 2*all {
				t.Errorf("%d clients came in, want %d", n, 2*all)
			}
			if r.AcceptHeld() {
				t.Error("accepting is held still")
			}
		}
	})
}

// TestHoldIsSilent proves that a hold which is taken back before the kernel has seen it is no failure to accept, and that a
// listener which comes meanwhile waits too.
func TestHoldIsSilent(t *testing.T) {
	eachHold(t, func(t *testing.T, r *Ring, addresses []string) {
		r.Submit([]Op{{Kind: OpHoldAccept}, {Kind: OpGoAccept}})
		for range 3 {
			events, err := r.Wait(nil, Window{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				t.Errorf("unexpected %+v", e)
			}
		}
		dialListener(t, addresses[0])
		nextAccepts(t, r, 1)
		holdAccepts(t, r)
		late := mustListen(t, "127.0.0.1:0", 1)[0]
		if !r.Listen(2, late) {
			t.Fatal("a listener was not taken")
		}
		dialListener(t, late.String())
		if n := countAccepts(t, r) + countAccepts(t, r); n != 0 {
			t.Errorf("%d clients came in through a new listener", n)
		}
		r.Submit([]Op{{Kind: OpGoAccept}})
		if e := nextAccepts(t, r, 1)[0]; e.Listener != 2 {
			t.Errorf("accepted through %d", e.Listener)
		}
	})
}

// handOn returns duplicates of the listeners that a ring has taken over.
func handOn(t *testing.T, r *Ring, ls []*host.Listener) (handed []host.Handed) {
	t.Helper()
	for n, l := range ls {
		fds := r.ListenerFDs(n)
		if len(fds) != 1 {
			t.Fatalf("listener %d has the descriptors %v", n, fds)
		}
		h, err := l.HandOn(fds[0])
		if err != nil {
			t.Fatal(err)
		}
		handed = append(handed, h)
	}
	return handed
}

// TestHandOnListeners proves that a ring which holds accepting can end without harm to the sockets that it has handed on: the
// clients that waited come in at the next ring, which has the two sockets of an address under one number, and ends both.
func TestHandOnListeners(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		runtime.LockOSThread()
		p.Tick = time.Hour
		const clients = 40
		ls := mustListen(t, "127.0.0.1:0", 2)
		address := ls[0].String()
		old, err := Open(p, ls[0], ls[1])
		if err != nil {
			t.Fatal(err)
		}
		holdAccepts(t, old)
		for range clients {
			dialListener(t, address)
		}
		handed := handOn(t, old, ls)
		if err := old.Close(); err != nil {
			t.Error(err)
		}
		passed, err := host.HandedSockets(handed)
		if err != nil {
			t.Fatal(err)
		}
		both, err := passed.Listen("127.0.0.1:0", 1)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(p)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Listen(3, both[0]) || both[0].FD() != -1 || len(r.ListenerFDs(3)) != 2 || r.Listens(0) {
			t.Errorf("the ring has the descriptors %v", r.ListenerFDs(3))
		}
		for _, e := range nextAccepts(t, r, clients) {
			if e.Listener != 3 || !e.Peer.IsValid() {
				t.Errorf("accepted through %d from %v", e.Listener, e.Peer)
			}
		}
		r.Unlisten(3)
		for r.Listens(3) {
			if _, err := r.Wait(nil, Window{Min: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.ListenerFDs(3)) != 0 || r.Accepting() {
			t.Error("a socket of an address that has ended is open")
		}
		again, err := host.Listen(host.ListenOptions{Address: address, Once: true})
		if err != nil {
			t.Error(err)
		}
		for _, l := range again {
			l.Close()
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
