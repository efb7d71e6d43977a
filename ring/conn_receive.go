package ring

import "golang.org/x/sys/unix"

// This file owns the RECV and POLL requests of connections, and the queue of connections that wait for a buffer.

// receive starts to receive, or has the connection wait behind those for which there was no buffer: else a connection with a full
// socket, whose next receive comes first, would take each buffer that is given back.
func (r *Ring) receive(i uint32, c *conn) {
	if r.parkHead != noSlot {
		r.park(i, c)
		return
	}
	r.armReceive(i, c)
}

// armReceive starts to receive. Without a buffer ring a POLL comes first: before 5.18 a receive that waits keeps the
// buffer it chose, so that idle connections would own them all.
func (r *Ring) armReceive(i uint32, c *conn) {
	if !r.plan.Use[BufferRing] {
		r.room(2)
		c.pending++
		fillPoll(r.nextEntry(userData(kindPoll, c.gen, i)), c.fd)
	}
	c.pending++
	e := r.entry(userData(kindReceive, c.gen, i))
	fillReceive(e, c.fd, r.plan.ReceiveBufferSize, r.multishot(c))
}

// multishot reports whether a receive of the connection goes on after its first buffer. The kernel gives a
// connection with a full socket all the buffers there are, so one that was paused gets one at a time until its socket is empty.
// (Those that find no buffer do not: under a load that the loop cannot follow, that halved what it could do.)
func (r *Ring) multishot(c *conn) bool {
	return r.plan.Use[MultishotReceive] && c.flags&flagSingle == 0
}

func (r *Ring) onReceive(events []Event, cqe CQE) []Event {
	buffer := uint16(cqe.Flags >> 16)
	if cqe.Flags&cqeBuffer != 0 {
		r.lent = append(r.lent, buffer)
	}
	i, c := r.completed(cqe)
	if c == nil {
		return events
	}
	if !c.state.receives() {
		r.endJoin(i, c)
		r.notePaused(i, c)
		return events
	}
	ended, multishot := cqe.Flags&cqeMore == 0, r.multishot(c)
	switch errno := unix.Errno(max(-cqe.Res, 0)); {
	case cqe.Res > 0:
		if cqe.Flags&cqeNonEmpty == 0 {
			c.flags &^= flagSingle
		}
		data := r.buffer(buffer, int(cqe.Res))
		events = append(events, Event{Kind: EventRecv, Slot: Slot{Index: i, Gen: c.gen}, Data: data})
	case errno == unix.ENOBUFS:
		r.stats.NoBuffers++
		if ended && c.flags&flagPausing == 0 {
			r.park(i, c)
			return events
		}
	case errno == unix.EINTR || errno == unix.EAGAIN || errno == unix.ECANCELED: // cancelled by a pause
	default:
		events = r.endHangup(events, i, c, Errno(errno))
	}
	if ended && c.flags&flagPausing == 0 && c.state.receives() {
		// A multishot receive may end with a positive result, for instance when the completion queue overflows.
		if multishot {
			r.stats.Rearms++
		}
		r.receive(i, c)
	}
	r.notePaused(i, c)
	return events
}

// onPoll: the linked receive reports by itself, unless the poll failed; then the receive ends with ECANCELED.
func (r *Ring) onPoll(events []Event, cqe CQE) []Event {
	i, c := r.completed(cqe)
	if c == nil {
		return events
	}
	if !c.state.receives() {
		r.endJoin(i, c)
		r.notePaused(i, c)
		return events
	}
	if cqe.Res < 0 && unix.Errno(-cqe.Res) != unix.ECANCELED { // that is a pause
		events = r.endHangup(events, i, c, Errno(-cqe.Res))
	}
	r.notePaused(i, c)
	return events
}

// park puts a connection whose receive found no buffer at the end of the queue for buffers.
func (r *Ring) park(i uint32, c *conn) {
	c.flags |= flagParked
	c.next, c.prev = noSlot, r.parkTail
	if r.parkTail == noSlot {
		r.parkHead = i
	} else {
		r.conns[r.parkTail].next = i
	}
	r.parkTail = i
	r.stats.Parked++
}

func (r *Ring) leavePark(i uint32, c *conn) {
	if c.prev == noSlot {
		r.parkHead = c.next
	} else {
		r.conns[c.prev].next = c.next
	}
	if c.next == noSlot {
		r.parkTail = c.prev
	} else {
		r.conns[c.next].prev = c.prev
	}
	c.flags &^= flagParked
	r.stats.Parked--
}

// unpark starts the receives that found no buffer again, no more than there are buffers. Wait calls it when it has
// just given all buffers back: starting them blindly would fail in a loop (measured: six times the CPU).
func (r *Ring) unpark() {
	for range r.plan.ReceiveBuffers {
		i := r.parkHead
		if i == noSlot {
			return
		}
		c := &r.conns[i]
		r.leavePark(i, c)
		r.stats.Rearms++
		r.armReceive(i, c)
	}
}
