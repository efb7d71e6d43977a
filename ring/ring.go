package ring

import (
	"fmt"

	"millrace/ring/host"
	"millrace/ring/pool"
)

// This file owns the ring as its caller sees it: Open, Submit, Wait and Close.

// Ring is one io_uring instance with its sockets, its connection table and its arena. It turns ops into requests and
// completions into events. Everything but its Waker is used by one goroutine, locked to the thread that called Open.
type Ring struct {
	k     Kernel
	plan  Plan
	lay   Layout
	mem   Memory
	pool  *pool.Pool
	waker *Waker
	peers []*Ring

	sqTail    uint32 // entries filled; the kernel has seen those up to *mem.SQTail
	cqHead    uint32 // completions walked; the kernel has seen those up to *mem.CQHead
	backlog   []CQE  // completions taken out of the queue to make room, not yet walked
	backlogAt int
	inflight  int // requests whose last completion has not been walked
	provides  int // PROVIDE_BUFFERS among the entries not yet submitted: they complete at once

	conns              []conn
	freeHead           uint32   // free slots, last used first
	parkHead, parkTail uint32   // connections whose receive found no buffer, longest waiting first
	joined             []uint32 // connections whose descriptor the next Wait closes
	unconnected        []Event  // connects that failed before a request was made
	paused             []uint32 // connections whose EventPaused is due
	cancels            []Slot   // connections on which a cancel may have missed: the next tick looks after them
	adopted            []Event  // EventAdopted that are due
	lent               []uint16 // receive buffers that the events of the last Wait point into
	ring               bufRing

	listeners     []listening
	stopped       bool // accepting has been stopped
	held          bool // OpHoldAccept is in force
	refused       uint32
	acceptErrno   Errno
	woken         bool
	closing       bool
	lastTick      bool // the housekeeping timer is not started again
	quiet         bool // no event since the runtime last interrupted a wait
	alwaysGiveUpP bool
	broken        error
	stats         Stats
}

// Open makes a ring of the plan, takes the listeners over (at most [MaxListeners], numbered from 0; none: the ring accepts
// nothing) and begins to accept. It must be called on the locked thread that will use the ring. If it fails, the listeners
// stay the caller's.
func Open(p Plan, ls ...*host.Listener) (*Ring, error) { return open(p, ls, lockTries) }

// OpenWithin is Open for a process whose user has other processes with locked memory, such as a second tracker: the limit
// counts them together, and the kernel does not tell how much is left. Where the plan finds no room, a smaller one is tried
// as by [Fit], down to the least. [Ring.Plan] returns the one that was opened.
func OpenWithin(p Plan, ls ...*host.Listener) (*Ring, error) {
	r, err := Open(p, ls...)
	for noRoom(err) {
		smaller, _, fitErr := Fit(p, p.LockedBytes()/2)
		if fitErr != nil {
			return nil, err
		}
		p = smaller
		r, err = open(p, ls, smallerTries)
	}
	return r, err
}

func open(p Plan, ls []*host.Listener, tries int) (*Ring, error) {
	k := newSysKernel()
	k.tries = tries
	r, err := OpenOn(k, p)
	if err != nil {
		return nil, err
	}
	for n, l := range ls {
		if !r.Listen(n, l) {
			panic("BUG: a ring has more than MaxListeners listeners")
		}
	}
	r.alwaysGiveUpP = environmentPreemptionOff()
	return r, nil
}

// OpenOn makes a ring on a given kernel, which listens on these descriptors. It is Open for ringtest.
func OpenOn(k Kernel, p Plan, listeners ...int32) (*Ring, error) {
	mem, err := k.Setup(p)
	if err != nil {
		return nil, err
	}
	r := &Ring{k: k, plan: p, lay: p.Layout(), mem: mem, parkHead: noSlot, parkTail: noSlot, held: p.HoldAccept}
	r.waker = &Waker{k: k}
	r.pool = pool.New(mem.Arena[r.lay.Send : r.lay.Send+p.SendMemory])
	r.lent = make([]uint16, p.ReceiveBuffers)
	for i := range r.lent {
		r.lent[i] = uint16(i)
	}
	if p.Use[BufferRing] {
		r.ring = newBufRing(mem.Arena[r.lay.BufferRing:][:p.ReceiveBuffers*bufRingEntry])
	}
	r.initConns(p.MaxConnections)
	r.giveBack()
	r.armTick()
	r.armWakeRead()
	for n, fd := range listeners {
		r.listen(n, fd, false)
	}
	return r, nil
}

// Plan returns the plan by which the ring was made.
func (r *Ring) Plan() Plan { return r.plan }

// Pool returns the memory from which the Data of every OpSend must be taken.
func (r *Ring) Pool() *pool.Pool { return r.pool }

// Waker returns the means by which other threads wake the ring.
func (r *Ring) Waker() *Waker { return r.waker }

// SetPeers gives the rings that OpWake addresses by number. It keeps the slice.
func (r *Ring) SetPeers(rings []*Ring) { r.peers = rings }

// Stats returns the counters and gauges.
func (r *Ring) Stats() Stats {
	s := r.stats
	s.BuffersInUse = len(r.lent)
	return s
}

// Submit turns ops into requests. They reach the kernel with the next Wait, or earlier when the queue is full.
func (r *Ring) Submit(ops []Op) {
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case OpSend:
			r.send(op)
		case OpShutdown:
			r.endShutdown(op.Slot)
		case OpClose:
			r.endClose(op.Slot, op.Abort)
		case OpWake:
			r.wakePeer(op.Target)
		case OpStopAccept:
			r.stopAccept()
		case OpConnect:
			r.connect(op)
		case OpPause:
			r.pause(op.Slot)
		case OpResume:
			r.resume(op.Slot)
		case OpRelease:
			r.giveAway(op.Slot)
		case OpAdopt:
			r.adopt(op)
		case OpHoldAccept:
			r.holdAccept()
		case OpGoAccept:
			r.goAccept()
		case OpCancelSend:
			r.cancelSend(op.Slot)
		default:
			panic(fmt.Sprintf("BUG: ring: op of unknown kind %d", op.Kind))
		}
	}
}

// Wait gives the receive buffers of the last round back, submits every request, waits as w says in (but for
// interruptions, and for work that the kernel leaves) one system call, and appends the events to those given. There may
// be none. An error means that the ring is broken and can only be closed.
func (r *Ring) Wait(events []Event, w Window) ([]Event, error) {
	before := len(events)
	r.giveBack()
	r.unpark()
	if r.broken == nil {
		r.enter(w)
		r.gather(w)
	}
	events = append(events, r.adopted...)
	r.adopted = r.adopted[:0]
	events = r.walk(events)
	events = r.report(events)
	r.stats.Events += uint64(len(events) - before)
	if len(events) > before && (len(events) > before+1 || events[before].Kind != EventTick) {
		r.quiet = false
	}
	return events, r.broken
}

// report adds what a round gathered: paused and ended connections, and the events of which one stands for many.
func (r *Ring) report(events []Event) []Event {
	for _, i := range r.paused {
		if c := &r.conns[i]; c.flags&flagPausing != 0 && c.state.nameable() {
			events = append(events, Event{Kind: EventPaused, Slot: Slot{Index: i, Gen: c.gen}, FD: c.fd})
		}
	}
	r.paused = r.paused[:0]
	events = r.endReport(events)
	events = append(events, r.unconnected...)
	r.unconnected = r.unconnected[:0]
	if r.refused > 0 {
		events = append(events, Event{Kind: EventRefused, N: r.refused})
		r.refused = 0
	}
	if r.acceptErrno != 0 {
		events = append(events, Event{Kind: EventAcceptFailed, Errno: r.acceptErrno})
		r.acceptErrno = 0
	}
	if r.woken {
		events = append(events, Event{Kind: EventWake})
		r.woken = false
	}
	return events
}

// Close ends everything: no more accepts, every connection reset, every request cancelled and joined; only then is the
// memory unmapped, since the kernel writes into it until the last completion. It returns an error, and leaves the
// memory mapped, if a request does not come back.
func (r *Ring) Close() error {
	r.waker.stop()
	r.closing = true
	r.stopAccept()
	r.endAll()
	r.k.Notify() // completes the READ of the eventfd
	var events []Event
	ticks := 0
	// The housekeeping timer runs until the end, so that a wait cannot last for ever. The rounds are bounded for
	// kernels whose time stands still.
	for rounds := 0; r.broken == nil && (r.inflight > 1 || len(r.joined) > 0 || r.provides > 0); rounds++ {
		if ticks == closeTicks || rounds == closeRounds {
			break
		}
		events, _ = r.Wait(events[:0], Window{Min: 1})
		for _, e := range events {
			if e.Kind == EventTick {
				ticks++
				r.endCancelAll()
			}
		}
	}
	r.lastTick = true
	r.cancel(userData(kindTick, 0, 0))
	for tries := 0; r.broken == nil && r.inflight > 0 && tries < closeTicks; tries++ {
		events, _ = r.Wait(events[:0], Window{Min: 1})
	}
	r.closeListeners()
	if r.broken == nil && r.inflight > 0 {
		r.broken = fmt.Errorf("cannot close a ring: %d requests did not come back", r.inflight)
	}
	if r.broken != nil {
		return r.broken
	}
	return r.k.Teardown()
}

const (
	closeTicks  = 100
	closeRounds = 100_000
)
