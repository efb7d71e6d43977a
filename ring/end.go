package ring

import "golang.org/x/sys/unix"

func (r *Ring) hangup(events []Event, i uint32, c *conn, e Errno) []Event {
	c.flags |= connHungUp
	return append(events, Event{Kind: EventHangup, Slot: Slot{Index: i, Gen: c.gen}, Errno: e})
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
