package ring

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// This file opens connections (OpConnect): IORING_OP_CONNECT, 5.5. A connection takes its place in the table when it is
// asked for, and its slot is handed out when it is there.

// nameSize is the room of one address, a sockaddr_in or a sockaddr_in6. Each submission entry has its own, since the
// kernel reads it when it takes the entry.
const nameSize = 32

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
	i, c := r.take(fd)
	c.flags |= connConnecting
	c.asked = op.Tag
	c.pending++
	r.room(1)
	at := r.lay.Names + int(r.sqTail&uint32(len(r.mem.SQEs)-1))*nameSize
	n := putName(r.mem.Arena[at:at+nameSize], op.Remote)
	fillConnect(r.nextEntry(userData(kindConnect, c.gen, i)), fd, r.mem.Base+uint64(at), n)
}

func (r *Ring) onConnect(events []Event, cqe CQE) []Event {
	i, c := r.completed(cqe)
	if c == nil {
		return events
	}
	c.flags &^= connConnecting
	if c.flags&connClosing != 0 {
		r.settle(i, c)
		return events
	}
	e := Event{Kind: EventConnect, Tag: c.asked}
	c.asked = 0
	if cqe.Res < 0 {
		e.Errno = Errno(-cqe.Res)
		r.k.CloseFD(c.fd)
		r.release(i)
		return append(events, e)
	}
	e.Slot = Slot{Index: i, Gen: c.gen}
	r.armReceive(i, c)
	return append(events, e)
}

// putName writes an address as the kernel reads it and returns its length.
func putName(b []byte, a netip.AddrPort) int {
	clear(b)
	binary.BigEndian.PutUint16(b[2:], a.Port())
	if a.Addr().Is4() {
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		ip := a.Addr().As4()
		copy(b[4:], ip[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	ip := a.Addr().As16()
	copy(b[8:], ip[:])
	binary.NativeEndian.PutUint32(b[24:], zoneIndex(a.Addr().Zone()))
	return unix.SizeofSockaddrInet6
}
