package simulation

import (
	"math/rand/v2"
	"time"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
)

// This file owns hand-overs, as the shards see them that have everything: they stand still, are written down and give everything
// away, or go on as if nothing had happened. heirs.go has the side of those that take over. It is the order of package server, with
// a kernel of memory and without processes.

// thawAtOnce bounds the connections of a shard that go on at once.
const thawAtOnce = 8

// handOverEvery is after how many acts of clients there is a hand-over, on the mean.
const handOverEvery = 50

// hand is what a run with hand-overs has.
type hand struct {
	*rand.Rand // of its own, so that the runs without are what they were
	HandOvers
	heirs   []*loop     // of a process that takes over, until it has
	retired [][]*loop   // processes that have given everything away and end
	past    shard.Stats // of those that have ended
	shrinks bool        // the next processes may have too small tables
}

// drawHand draws whether there are hand-overs in a run; nil: there are none.
func drawHand(seed uint64) *hand {
	rng := rand.New(rand.NewPCG(seed, 12))
	if rng.IntN(4) > 0 {
		return nil
	}
	return &hand{Rand: rng, shrinks: rng.IntN(4) == 0}
}

// A step is one at which a hand-over may fail.
type step uint8

const (
	never    step = iota
	standing      // nothing is accepted any more
	freezing      // the shards stand still, but not yet
	adopting      // some connections have their new places
	ending        // all have, and so have the peers
	steps
)

// running returns all loops that turn.
func (w *world) running() []*loop {
	if w.hand == nil {
		return w.loops
	}
	all := append(w.loops[:len(w.loops):len(w.loops)], w.hand.heirs...)
	for _, loops := range w.hand.retired {
		all = append(all, loops...)
	}
	return all
}

// handOvers returns how many hand-overs there were.
func (w *world) handOvers() uint64 {
	if w.hand == nil {
		return 0
	}
	return w.hand.Done
}

// maybeHandOver hands over once in so many calls, or tries to.
func (w *world) maybeHandOver(every int) {
	if w.hand == nil || w.hand.IntN(every) > 0 {
		return
	}
	fails := never
	if w.hand.IntN(2) == 0 {
		fails = 1 + step(w.hand.IntN(int(steps)-1))
	}
	w.handOver(fails)
}

// handOver hands everything over, unless it fails at a step.
func (w *world) handOver(fails step) {
	t := &takeover{world: w, fails: fails}
	if t.stand() && t.freeze() && t.takeConnections() && t.takeAddresses() && t.takePeers() {
		t.give()
		return
	}
	if len(w.problems) == 0 {
		w.hand.Failed[fails]++
	}
	t.giveUp()
}

// stand has the shards accept nothing more.
func (t *takeover) stand() bool {
	t.order(t.world.loops, ring.OpHoldAccept)
	t.someTurns()
	return t.fails != standing
}

// freeze has the shards stand still. It reports false if that fails.
func (t *takeover) freeze() bool {
	w := t.world
	t.frozen = true
	before := w.figures()
	for _, l := range w.loops {
		w.do(l, l.shard.Freeze)
	}
	if t.fails == freezing {
		t.someTurns()
		return false
	}
	var mail uint64
	for range patience {
		t.someActs()
		sent, read, still := uint64(0), uint64(0), true
		for _, l := range w.loops {
			w.see(l)
			out, in := l.shard.Mail()
			sent, read = sent+out, read+in
			still = still && l.ring.AcceptHeld() && l.shard.Still(l.ring.Quiet)
		}
		if still && sent == read && sent == mail {
			w.noteRest(&before)
			return true
		}
		mail = sent
	}
	w.failf("the shards do not stand still")
	return false
}

// give lets the heirs go on, and the others go.
func (t *takeover) give() {
	w := t.world
	w.hand.Done++
	goOn := func() {
		t.thaw(t.loops)
		t.order(t.loops, ring.OpGoAccept)
	}
	first := w.hand.IntN(2) == 0
	if first {
		goOn()
	}
	for _, l := range w.loops {
		w.giveAway(l, t.left)
	}
	w.hand.heirs, w.hand.retired = nil, append(w.hand.retired, w.loops)
	w.loops, w.addresses = t.loops, t.addresses
	if !first {
		t.someTurns()
		goOn()
	}
}

// giveUp has the shards go on, and ends those that were to take over.
func (t *takeover) giveUp() {
	w := t.world
	if t.frozen {
		t.thaw(w.loops)
	}
	t.order(w.loops, ring.OpGoAccept)
	t.someTurns()
	if t.loops == nil {
		return
	}
	for _, l := range t.loops {
		w.giveAway(l, nil)
	}
	w.hand.heirs, w.hand.retired = nil, append(w.hand.retired, t.loops)
}

// giveAway closes the descriptors of a shard without harm to the sockets, but for those that are left to it.
func (w *world) giveAway(l *loop, left map[handover.Name]bool) {
	w.see(l)
	before := l.open()
	w.do(l, func() []ring.Op {
		return l.shard.GiveAway(l.ring.FD, w.k.CloseFD, func(n handover.Name) bool { return left[n] })
	})
	l.given = before - l.open()
}

// open returns how many connections a shard has.
func (l *loop) open() int {
	st := l.shard.Snapshot()
	return st.Open()
}

// thaw lets all connections go on, some of each shard at a time.
func (t *takeover) thaw(loops []*loop) {
	most := 1 + t.world.hand.IntN(thawAtOnce)
	for more := true; more; t.someTurns() {
		more = false
		for _, l := range loops {
			t.world.do(l, func() []ring.Op {
				ops, left := l.shard.Thaw(most)
				more = more || left
				return ops
			})
		}
	}
}

// do has a shard do something between two turns of its loop, and its ring what comes of it.
func (w *world) do(l *loop, f func() []ring.Op) {
	w.see(l)
	l.ring.Submit(f())
}

// see has a shard see what its ring has reported.
func (w *world) see(l *loop) {
	l.ops = l.shard.Step(w.k.Now(), l.events, l.ops[:0])
	l.events = l.events[:0]
	l.ring.Submit(l.ops)
}

func (t *takeover) order(loops []*loop, kind ring.OpKind) {
	for _, l := range loops {
		l.ring.Submit([]ring.Op{{Kind: kind}})
	}
}

// someTurns lets all loops turn a few times.
func (t *takeover) someTurns() {
	for range t.world.hand.IntN(6) {
		t.someActs()
	}
}

// someActs lets clients act, amid faults, and all loops turn.
func (t *takeover) someActs() {
	w := t.world
	w.k.Advance(time.Duration(w.hand.IntN(20)) * time.Millisecond)
	if w.phase == "faults" && w.hand.IntN(8) == 0 {
		w.act()
	}
	w.turn()
}

// bury closes the rings of the processes that have ended.
func (w *world) bury() {
	if w.hand == nil {
		return
	}
	kept := w.hand.retired[:0]
	for _, loops := range w.hand.retired {
		over := true
		for _, l := range loops {
			over = over && l.shard.Stopped() && !l.ring.Accepting()
		}
		if !over {
			kept = append(kept, loops)
			continue
		}
		for _, l := range loops {
			w.end(l)
		}
	}
	w.hand.retired = kept
}

// end closes the ring of a shard that has given everything away.
func (w *world) end(l *loop) {
	l.giveHeldBack()
	st := l.shard.Snapshot()
	if !l.isEmpty(&st) {
		w.failf("a shard that has given everything away still holds something: %+v", st)
	}
	if n := st.Table.Closed[conn.ReasonStopping]; n > 0 {
		w.failf("a hand-over ended %d connections", n)
	}
	w.hand.past.Add(&st)
	l.ended = true
	if err := l.ring.Close(); err != nil {
		w.failf("cannot close a ring after a hand-over: %v", err)
	}
}

// lostReplies reports whether shards that have ended have left replies out on purpose.
func (h *hand) lostReplies() bool {
	if h == nil {
		return false
	}
	lost := lostReplies(&h.past)
	for _, loops := range h.retired {
		for _, l := range loops {
			st := l.shard.Snapshot()
			lost = lost || lostReplies(&st)
		}
	}
	return lost
}

// addTo adds what hand-overs have led to.
func (h *hand) addTo(r *Result) {
	if h != nil {
		r.Stats.Add(&h.past)
		r.HandOvers = h.HandOvers
	}
}
