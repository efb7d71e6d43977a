package ring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is one place of the connection table: a descriptor and which requests are in flight on it. No pointers.
type conn struct {
	fd      int32
	gen     uint32 // 24 bits, never 0; what the present user of the place is told apart by
	next    uint32 // in the free list or the parking list
	prev    uint32 // in the parking list
	asked   uint32 // bytes of the send in flight; the tag of a connect
	flags   uint8
	pending uint8 // requests whose last completion has not been walked
}

const (
	connOpen       = 1 << iota // the place is taken
	connSending                // a send is in flight
	connHungUp                 // EventHangup was reported: nothing more is received
	connParked                 // waits for a receive buffer
	connClosing                // OpClose was given
	connShut                   // OpShutdown was given
	connConnecting             // a connect is in flight; the slot is not handed out yet
	connPausing                // OpPause was given: no receive is started
)

func (r *Ring) initConns(n int) {
	r.conns = make([]conn, n)
	for i := range r.conns {
		r.conns[i] = conn{fd: -1, gen: 1, next: uint32(i + 1)}
	}
	r.conns[n-1].next = noSlot
}

// take gives a descriptor the place that was freed last, whose cache lines are the warmest.
func (r *Ring) take(fd int32) (uint32, *conn) {
	i := r.freeHead
	c := &r.conns[i]
	r.freeHead = c.next
	*c = conn{fd: fd, gen: c.gen, flags: connOpen}
	r.stats.Connections++
	return i, c
}

func (r *Ring) release(i uint32) {
	c := &r.conns[i]
	gen := (c.gen + 1) & genMask
	if gen == 0 {
		gen = 1
	}
	*c = conn{fd: -1, gen: gen, next: r.freeHead}
	r.freeHead = i
	r.stats.Connections--
}

// named returns the connection an op names.
func (r *Ring) named(s Slot) *conn {
	if int(s.Index) < len(r.conns) {
		if c := &r.conns[s.Index]; c.gen == s.Gen && c.flags&connOpen != 0 && c.flags&connClosing == 0 {
			return c
		}
	}
	panic("BUG: ring: an op names a connection that is closed")
}

// completed returns the connection of a completion, or nil if it is gone, and counts the request's end.
func (r *Ring) completed(cqe CQE) (uint32, *conn) {
	i := uint32(cqe.UserData)
	gen := uint32(cqe.UserData>>genShift) & genMask
	if int(i) >= len(r.conns) || r.conns[i].gen != gen || r.conns[i].flags&connOpen == 0 {
		r.stats.StaleCompletions++
		return 0, nil
	}
	c := &r.conns[i]
	if cqe.Flags&cqeMore == 0 {
		c.pending--
	}
	return i, c
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
	fillReceive(e, c.fd, r.plan.ReceiveBufferSize, r.plan.Use[MultishotReceive])
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
	if c.flags&(connClosing|connHungUp) != 0 {
		r.settle(i, c)
		r.notePaused(i, c)
		return events
	}
	ended := cqe.Flags&cqeMore == 0
	switch errno := unix.Errno(max(-cqe.Res, 0)); {
	case cqe.Res > 0:
		data := r.buffer(buffer, int(cqe.Res))
		events = append(events, Event{Kind: EventRecv, Slot: Slot{Index: i, Gen: c.gen}, Data: data})
	case errno == unix.ENOBUFS:
		r.stats.NoBuffers++
		if ended && c.flags&connPausing == 0 {
			r.park(i, c)
			return events
		}
	case errno == unix.EINTR || errno == unix.EAGAIN || errno == unix.ECANCELED: // cancelled by a pause
	default:
		events = r.hangup(events, i, c, Errno(errno))
	}
	if ended && c.flags&(connPausing|connHungUp) == 0 {
		// A multishot receive may end with a positive result, for instance when the completion queue overflows.
		if r.plan.Use[MultishotReceive] {
			r.stats.Rearms++
		}
		r.armReceive(i, c)
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
	if c.flags&(connClosing|connHungUp) != 0 {
		r.settle(i, c)
		r.notePaused(i, c)
		return events
	}
	if cqe.Res < 0 && unix.Errno(-cqe.Res) != unix.ECANCELED { // that is a pause
		events = r.hangup(events, i, c, Errno(-cqe.Res))
	}
	r.notePaused(i, c)
	return events
}

func (r *Ring) hangup(events []Event, i uint32, c *conn, e Errno) []Event {
	c.flags |= connHungUp
	return append(events, Event{Kind: EventHangup, Slot: Slot{Index: i, Gen: c.gen}, Errno: e})
}

func (r *Ring) send(op *Op) {
	c := r.named(op.Slot)
	if c.flags&(connSending|connShut) != 0 || len(op.Data) == 0 {
		panic("BUG: ring: a second send, an empty one, or one after shutdown")
	}
	at := r.offset(op.Data)
	c.flags |= connSending
	c.pending++
	c.asked = uint32(len(op.Data))
	e := r.entry(userData(kindSend, c.gen, op.Slot.Index))
	fillSend(e, c.fd, r.mem.Base+uint64(at), len(op.Data), r.plan.Use[FixedSend])
}

// offset returns where data lies in the arena.
func (r *Ring) offset(data []byte) int {
	arena := uintptr(unsafe.Pointer(unsafe.SliceData(r.mem.Arena)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(data))) - arena
	if at < uintptr(r.lay.Send) || at+uintptr(len(data)) > uintptr(r.lay.Send+r.plan.SendMemory) {
		panic("BUG: ring: a send of memory that is not the pool's")
	}
	return int(at)
}

func (r *Ring) onSend(events []Event, cqe CQE) []Event {
	i, c := r.completed(cqe)
	if c == nil {
		return events
	}
	c.flags &^= connSending
	e := Event{Kind: EventSent, Slot: Slot{Index: i, Gen: c.gen}}
	switch {
	case cqe.Res >= 0:
		e.N = uint32(cqe.Res)
		if e.N < c.asked {
			r.stats.ShortSends++
		}
	case unix.Errno(-cqe.Res) == unix.EINTR || unix.Errno(-cqe.Res) == unix.EAGAIN:
		r.stats.ShortSends++ // N is 0: the caller sends it again
	default:
		e.Errno = Errno(-cqe.Res)
	}
	r.settle(i, c)
	return append(events, e)
}

func (r *Ring) shutdown(s Slot) {
	c := r.named(s)
	c.flags |= connShut
	r.k.Shutdown(c.fd, unix.SHUT_WR) // on a connection that is gone already it fails, and the receive tells why
}

// closeConn ends every request of the connection. Shutdown and reset are states of the socket: a request that waits
// on it completes, and one that starts after completes at once, so that nothing need be cancelled by name.
func (r *Ring) closeConn(s Slot, abort bool) {
	c := r.named(s)
	c.flags |= connClosing
	if c.flags&connParked != 0 {
		r.leavePark(s.Index, c)
	}
	var errno Errno
	if abort {
		errno = r.k.Reset(c.fd)
	} else {
		errno = r.k.Shutdown(c.fd, unix.SHUT_RDWR)
	}
	if errno != 0 && c.pending > 0 {
		r.cancelConn(s.Index, c)
	}
	r.settle(s.Index, c)
}

// settle notes that a closing connection has nothing in flight any more.
func (r *Ring) settle(i uint32, c *conn) {
	if c.flags&connClosing != 0 && c.pending == 0 {
		r.done = append(r.done, i)
	}
}

// cancelConn cancels what may be in flight on a connection, by name. A cancel that finds nothing does no harm.
func (r *Ring) cancelConn(i uint32, c *conn) {
	if c.flags&connConnecting != 0 {
		r.cancel(userData(kindConnect, c.gen, i))
		return
	}
	r.cancel(userData(kindReceive, c.gen, i))
	if !r.plan.Use[BufferRing] {
		r.cancel(userData(kindPoll, c.gen, i))
	}
	if c.flags&connSending != 0 {
		r.cancel(userData(kindSend, c.gen, i))
	}
}

func (r *Ring) cancel(target uint64) {
	fillCancel(r.entry(userData(kindCancel, 0, 0)), target)
}

// park puts a connection whose receive found no buffer at the end of the queue for buffers.
func (r *Ring) park(i uint32, c *conn) {
	c.flags |= connParked
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
	c.flags &^= connParked
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
