package ring

import (
	"millrace/ring/internal/sockaddr"

	"golang.org/x/sys/unix"
)

// This file owns the opening of connections (OpConnect) by IORING_OP_CONNECT, 5.5. A connection takes its place in the
// table when it is asked for, and its slot is handed out when it is there.

func (r *Ring) connect(op *Op) {
	if !r.plan.Outgoing {
		panic("BUG: ring: a connect with a plan that has no Outgoing")
	}
	fail := func(e Errno) {
		r.unconnected = append(r.unconnected, Event{Kind: EventConnect, Tag: op.Tag, Errno: e})
	}
	if r.freeHead == noSlot {
		fail(Errno(unix.ENFILE))
		return
	}
	fd, errno := r.k.Socket(op.Local, op.Remote)
	if errno != 0 {
		fail(errno)
		return
	}
	i, c := r.take(fd, endConnect)
	c.flags |= flagConnecting
	c.asked = op.Tag
	c.pending++
	r.room(1)
	at := r.lay.Names + int(r.sqTail&uint32(len(r.mem.SQEs)-1))*sockaddr.Size
	n := sockaddr.Put(r.mem.Arena[at:at+sockaddr.Size], op.Remote)
	fillConnect(r.nextEntry(userData(kindConnect, c.gen, i)), fd, r.mem.Base+uint64(at), n)
}

func (r *Ring) onConnect(events []Event, cqe CQE) []Event {
	i, c := r.completed(cqe)
	if c == nil {
		return events
	}
	c.flags &^= flagConnecting
	if c.state == connClosing {
		r.endJoin(i, c)
		return events
	}
	e := Event{Kind: EventConnect, Tag: c.asked}
	c.asked = 0
	if cqe.Res < 0 {
		e.Errno = Errno(-cqe.Res)
		r.k.CloseFD(c.fd)
		r.release(i, endFail)
		return append(events, e)
	}
	c.endStep(endConnected)
	e.Slot = Slot{Index: i, Gen: c.gen}
	r.receive(i, c)
	return append(events, e)
}
