package ring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file owns the SEND request of each connection.

func (r *Ring) send(op *Op) {
	c := r.named(op.Slot)
	if c.flags&flagSending != 0 || !c.state.sends() || len(op.Data) == 0 {
		panic("BUG: ring: a second send, an empty one, or one after shutdown")
	}
	at := r.offset(op.Data)
	c.flags |= flagSending
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
	c.flags &^= flagSending | flagCancelling
	e := Event{Kind: EventSent, Slot: Slot{Index: i, Gen: c.gen}}
	switch unix.Errno(max(-cqe.Res, 0)) {
	case 0:
		e.N = uint32(cqe.Res)
		if e.N < c.asked {
			r.stats.ShortSends++
		}
	case unix.EINTR, unix.EAGAIN, unix.ECANCELED:
		r.stats.ShortSends++ // N is 0: the caller sends it again
	default:
		e.Errno = Errno(-cqe.Res)
	}
	r.endJoin(i, c)
	return append(events, e)
}
