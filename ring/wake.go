package ring

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// This file owns the wakes by other threads and rings, and the housekeeping timer.

// Waker wakes a ring from any thread, by a write to an eventfd that the ring always has a READ on. (A POLL on the
// eventfd works as well; a WRITE request of another ring does not wake it.)
type Waker struct {
	k     Kernel
	users atomic.Int32 // calls of Wake under way; negative once the ring is closed
}

const wakerStopped = -1 << 30

// Wake makes the ring return from its wait with an EventWake. Several wakes may become one event. After the ring's
// Close it does nothing.
func (w *Waker) Wake() {
	if w.users.Add(1) > 0 {
		w.k.Notify()
	}
	w.users.Add(-1)
}

// stop returns when no Wake is under way and none will touch the eventfd again.
func (w *Waker) stop() {
	w.users.Add(wakerStopped)
	for w.users.Load() != wakerStopped {
		runtime.Gosched()
	}
}

// wakePeer wakes another ring: by MSG_RING, which posts a completion there, or by its eventfd.
func (r *Ring) wakePeer(target uint16) {
	peer := r.peers[target]
	if !r.plan.Use[MessageRing] || peer.waker.users.Load() < 0 {
		peer.waker.Wake()
		return
	}
	e := r.entry(userData(kindNotify, 0, uint32(target)))
	fillMessage(e, peer.k.RingFD(), userData(kindMessage, 0, 0))
}

// onNotify falls back to the eventfd when a MSG_RING failed, for example because the other queue is full.
func (r *Ring) onNotify(c CQE) {
	if c.Res < 0 {
		r.peers[uint32(c.UserData)].waker.Wake()
	}
}

func (r *Ring) armWakeRead() {
	e := r.entry(userData(kindWakeRead, 0, 0))
	fillRead(e, r.mem.WakeFD, r.mem.Base+uint64(r.lay.WakeCount), 8)
}

func (r *Ring) onWakeRead() {
	r.woken = true
	if !r.closing {
		r.armWakeRead()
	}
}

// armTick starts the housekeeping timer.
func (r *Ring) armTick() {
	period := r.tick()
	// A struct __kernel_timespec, which stays where it is while the kernel may read it.
	ts := (*[2]int64)(unsafe.Pointer(&r.mem.Arena[r.lay.Tick]))
	ts[0], ts[1] = int64(period/time.Second), int64(period%time.Second)
	fillTimeout(r.entry(userData(kindTick, 0, 0)), r.mem.Base+uint64(r.lay.Tick))
}

// tick is the period of the housekeeping timer. That of an idle ring is longer, because each wake costs most there.
func (r *Ring) tick() time.Duration {
	switch {
	case !r.quiet:
		return r.plan.Tick
	case r.stats.Connections > 0:
		return r.plan.Tick * quietTicks
	}
	return r.plan.Tick * emptyTicks
}

// The period is so many times that of the plan while nothing happens, with and without connections.
const (
	quietTicks = 2
	emptyTicks = 4
)

// LongestTick is the longest time between two events of kind [EventTick].
func (p Plan) LongestTick() time.Duration { return p.Tick * emptyTicks }

func (r *Ring) onTick(events []Event) []Event {
	if r.lastTick {
		return events
	}
	r.armTick()
	r.armAccepts()
	r.cancelAcceptsAgain()
	r.cancelAgain()
	return append(events, Event{Kind: EventTick})
}
