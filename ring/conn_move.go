package ring

import (
	"slices"

	"golang.org/x/sys/unix"
)

// This file owns the move of a connection from one ring to another one of the same process: OpPause, EventPaused,
// OpRelease here, and OpAdopt, EventAdopted there. Until OpRelease the connection stays in this ring's table, so that
// the caller may change its mind by OpResume or OpClose, which cannot fail.

// pause ends the receive by cancelling it. Bytes that have arrived by then are still reported; later ones stay in the
// socket. A receive that a poll is linked before may start while its own cancel is under way: it finds the data that
// the poll has seen and ends by itself.
func (r *Ring) pause(s Slot) {
	c := r.named(s)
	if c.flags&flagPausing != 0 || !c.state.sends() {
		panic("BUG: ring: a connection is paused twice, or after shutdown")
	}
	c.flags |= flagPausing
	if c.flags&flagParked != 0 {
		r.leavePark(s.Index, c)
	}
	if c.receiving() == 0 {
		r.paused = append(r.paused, s.Index)
		return
	}
	r.cancelReceive(s.Index, c)
	r.cancels = append(r.cancels, s)
}

// receiving returns how many requests in flight are not a send.
func (c *conn) receiving() int {
	if c.flags&flagSending != 0 {
		return int(c.pending) - 1
	}
	return int(c.pending)
}

// notePaused notes that a connection which is to be paused receives no more. It is called after each completion of a
// receive or a poll.
func (r *Ring) notePaused(i uint32, c *conn) {
	if c.flags&flagPausing != 0 && c.receiving() == 0 {
		r.paused = append(r.paused, i)
	}
}

// resume starts to receive again. A cancel that is still under way does no harm: a receive that ends by it is started
// again like one that was interrupted.
func (r *Ring) resume(s Slot) {
	c := r.named(s)
	if c.flags&flagPausing == 0 {
		panic("BUG: ring: a connection is resumed that was not paused")
	}
	c.flags &^= flagPausing
	c.flags |= flagSingle
	r.forgetPaused(s.Index)
	if c.state.receives() && c.receiving() == 0 {
		r.receive(s.Index, c)
	}
}

// forgetPaused withdraws an EventPaused that is due.
func (r *Ring) forgetPaused(i uint32) {
	r.paused = slices.DeleteFunc(r.paused, func(other uint32) bool { return other == i })
}

// FD returns the descriptor of a connection that ops may name. It belongs to the ring until [OpRelease]. A duplicate is of the
// same socket: [OpClose] and [Ring.Close] end the connection for its holder too, and [OpRelease] does not.
func (r *Ring) FD(s Slot) int32 { return r.named(s).fd }

// Quiet reports that a connection which ops may name is paused, that the kernel has no request on it, and that all events of
// its requests were reported. It stays so until OpSend or OpResume, and meanwhile another ring or process may adopt a duplicate
// of the descriptor. [OpRelease] demands no more than this. From EventPaused on it is true while no send is outstanding. Where
// it is true before, OpRelease may be given too, and EventPaused does not come.
func (r *Ring) Quiet(s Slot) bool {
	c := r.named(s)
	return c.flags&flagPausing != 0 && c.pending == 0
}

// giveAway takes a paused connection out of the table and leaves its descriptor open.
func (r *Ring) giveAway(s Slot) {
	if !r.Quiet(s) {
		panic("BUG: ring: a connection is released that is not paused or has a send in flight")
	}
	r.forgetPaused(s.Index)
	r.release(s.Index, endRelease)
}

// adopt takes a connected descriptor into the table. The event that tells the slot comes before those of its data.
func (r *Ring) adopt(op *Op) {
	e := Event{Kind: EventAdopted, Tag: op.Tag}
	if r.freeHead == noSlot {
		r.k.CloseFD(op.FD)
		e.Errno = Errno(unix.ENFILE)
	} else {
		i, c := r.take(op.FD, endTake)
		e.Slot = Slot{Index: i, Gen: c.gen}
		if op.Paused {
			c.flags |= flagPausing
		} else {
			r.receive(i, c)
		}
	}
	r.adopted = append(r.adopted, e)
}
