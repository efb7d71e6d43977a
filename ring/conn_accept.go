package ring

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// This file owns the listening socket and the ACCEPT requests on it.

// singleAccepts is the number of accepts in flight without multishot: a batching window would let in one client per
// window otherwise.
const singleAccepts = 16

// admit takes an accepted descriptor into the connection table, or closes it.
func (r *Ring) admit(events []Event, fd int32) []Event {
	if r.stopped {
		r.k.CloseFD(fd)
		return events
	}
	if r.freeHead == noSlot {
		r.refused++
		r.k.CloseFD(fd)
		return events
	}
	// A multishot accept shares one address buffer among all its connections, so the address is asked for.
	peer, errno := r.k.PeerName(fd)
	if errno != 0 {
		r.stats.Vanished++
		r.k.CloseFD(fd)
		return events
	}
	i, c := r.take(fd, endTake)
	r.receive(i, c)
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	return append(events, Event{Kind: EventAccept, Slot: Slot{Index: i, Gen: c.gen}, Peer: peer})
}

func (r *Ring) onAccept(events []Event, c CQE) []Event {
	n := uint32(c.UserData)
	if c.Flags&cqeMore == 0 {
		r.accepting &^= 1 << n
	}
	pause := false
	if c.Res >= 0 {
		events = r.admit(events, c.Res)
	} else if !r.stopped {
		errno := Errno(-c.Res)
		if pause = acceptMustPause(errno); pause {
			r.acceptErrno = errno
		}
	}
	if r.stopped {
		r.closeListener()
	} else if c.Flags&cqeMore == 0 && !pause {
		if r.plan.Use[MultishotAccept] {
			r.stats.Rearms++
		}
		r.armAccept(n)
	}
	return events
}

// acceptMustPause tells the errors that concern one client, after which accepting goes on, from those that would come
// again at once.
func acceptMustPause(e Errno) bool {
	switch unix.Errno(e) {
	case unix.ECONNABORTED, unix.EINTR, unix.EAGAIN, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENOPROTOOPT,
		unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return false
	}
	return true
}

func (r *Ring) armAccepts() {
	if r.listener < 0 {
		return
	}
	for n := range r.accepts {
		if r.accepting&(1<<n) == 0 {
			r.armAccept(n)
		}
	}
}

func (r *Ring) armAccept(n uint32) {
	r.accepting |= 1 << n
	fillAccept(r.entry(userData(kindAccept, 0, n)), r.listener, r.plan.Use[MultishotAccept])
}

// stopAccept shuts the listening socket down, which refuses new clients at once and ends the accepts in flight. The
// descriptor is closed when the last of them has come back.
func (r *Ring) stopAccept() {
	if r.stopped {
		return
	}
	r.stopped = true
	if r.listener >= 0 {
		if errno := r.k.Shutdown(r.listener, unix.SHUT_RDWR); errno != 0 {
			r.cancelAccepts()
		}
		r.closeListener()
	}
}

func (r *Ring) cancelAccepts() {
	for n := range r.accepts {
		if r.accepting&(1<<n) != 0 {
			r.cancel(userData(kindAccept, 0, n))
		}
	}
}

func (r *Ring) closeListener() {
	if r.accepting == 0 && r.listener >= 0 {
		r.k.CloseFD(r.listener)
		r.listener = -1
	}
}
