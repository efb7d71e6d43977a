package ring

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"millrace/ring/host"
)

// This file owns the listening sockets and the ACCEPT requests on them.

// MaxListeners bounds the numbers of the listeners of a ring. Event.Listener counts them from 0.
const MaxListeners = 16

// singleAccepts is the number of accepts in flight on each listener without multishot: a batching window would let in one
// client per window otherwise.
const singleAccepts = 16

// listening is one listening socket. Accepts name it by its index in Ring.listeners, which others use when it has ended.
type listening struct {
	fd     int32  // -1: none
	flight uint32 // bit i: accept i is in flight
	number uint8  // of the listener that it is of, which may have several
	shared bool   // other rings or processes accept from the socket too
	ending bool   // no more accepts; the descriptor is closed when the last one has come back
}

// Listen takes a listener over under the number n, which no other has, and begins to accept. It reports false, and has taken
// nothing, where n is in use: a listener that was ended keeps its number until its last accept has come back.
func (r *Ring) Listen(n int, l *host.Listener) bool {
	if r.stopped || n >= MaxListeners || r.Listens(n) {
		return false
	}
	for _, fd := range l.FDs() {
		r.listen(n, int32(fd), l.Shared())
	}
	l.Release()
	return true
}

func (r *Ring) listen(n int, fd int32, shared bool) {
	i := slices.IndexFunc(r.listeners, func(l listening) bool { return l.fd < 0 })
	if i < 0 {
		i = len(r.listeners)
		r.listeners = append(r.listeners, listening{})
	}
	r.listeners[i] = listening{fd: fd, number: uint8(n), shared: shared}
	r.armAccepts()
}

// Unlisten ends the listener with the number n. Connections that are accepted already stay.
func (r *Ring) Unlisten(n int) {
	for i := range r.listeners {
		if int(r.listeners[i].number) == n {
			r.endListener(uint32(i))
		}
	}
}

// Listens reports whether the number n is in use.
func (r *Ring) Listens(n int) bool {
	return slices.ContainsFunc(r.listeners, func(l listening) bool { return l.fd >= 0 && int(l.number) == n })
}

// ListenerFDs returns the descriptors of the listener with the number n. They stay the ring's.
func (r *Ring) ListenerFDs(n int) (fds []int) {
	for _, l := range r.listeners {
		if l.fd >= 0 && !l.ending && int(l.number) == n {
			fds = append(fds, int(l.fd))
		}
	}
	return fds
}

// Accepting reports whether a listening socket is open. It can be so for a moment after OpStopAccept, and it is so after
// OpHoldAccept.
func (r *Ring) Accepting() bool {
	return slices.ContainsFunc(r.listeners, func(l listening) bool { return l.fd >= 0 })
}

// AcceptHeld reports that OpHoldAccept is in force and no accept is in flight: Wait has reported every connection that this
// ring has taken from its listening sockets.
func (r *Ring) AcceptHeld() bool {
	return r.held && !slices.ContainsFunc(r.listeners, func(l listening) bool { return l.flight != 0 })
}

// admit takes an accepted descriptor into the connection table, or closes it.
func (r *Ring) admit(events []Event, l *listening, fd int32) []Event {
	if l.ending {
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
	return append(events, Event{
		Kind: EventAccept, Slot: Slot{Index: i, Gen: c.gen}, Peer: peer, Listener: l.number,
	})
}

func (r *Ring) onAccept(events []Event, c CQE) []Event {
	n, k := uint32(c.UserData)/singleAccepts, uint32(c.UserData)%singleAccepts
	l := &r.listeners[n]
	if c.Flags&cqeMore == 0 {
		l.flight &^= 1 << k
	}
	pause := false
	if c.Res >= 0 {
		events = r.admit(events, l, c.Res)
	} else if !l.ending {
		errno := Errno(-c.Res)
		if pause = acceptMustPause(errno); pause {
			r.acceptErrno = errno
		}
	}
	if l.ending {
		r.closeListener(l)
	} else if c.Flags&cqeMore == 0 && !pause && !r.held {
		if r.acceptsMany(l) {
			r.stats.Rearms++
		}
		r.armAccept(n, k)
	}
	return events
}

// acceptMustPause tells the errors that concern one client or one accept, after which accepting goes on, from those that
// would come again at once.
func acceptMustPause(e Errno) bool {
	switch unix.Errno(e) {
	case unix.ECONNABORTED, unix.EINTR, unix.EAGAIN, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENOPROTOOPT,
		unix.EHOSTDOWN, unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH,
		unix.ECANCELED: // by an OpHoldAccept that OpGoAccept has followed
		return false
	}
	return true
}

// armAccepts starts the accepts that are missing.
func (r *Ring) armAccepts() {
	if r.stopped || r.held {
		return
	}
	for n := range r.listeners {
		l := &r.listeners[n]
		for k := range r.accepts(l) {
			if l.fd >= 0 && !l.ending && l.flight&(1<<k) == 0 {
				r.armAccept(uint32(n), k)
			}
		}
	}
}

// acceptData names accept k of the listening socket n.
func acceptData(n, k uint32) uint64 { return userData(kindAccept, 0, n*singleAccepts+k) }

// armAccept starts an accept. On a shared socket it ends with its first client, and the next one stands behind those of the
// other rings: the clients go round. One that stays would stand before all others and take every client.
func (r *Ring) armAccept(n, k uint32) {
	l := &r.listeners[n]
	l.flight |= 1 << k
	fillAccept(r.entry(acceptData(n, k)), l.fd, r.acceptsMany(l))
}

func (r *Ring) acceptsMany(l *listening) bool { return r.plan.Use[MultishotAccept] && !l.shared }

// accepts returns how many accepts are in flight on a listener.
func (r *Ring) accepts(l *listening) uint32 {
	if r.acceptsMany(l) {
		return 1
	}
	return singleAccepts
}

// stopAccept ends all listeners.
func (r *Ring) stopAccept() {
	r.stopped = true
	for n := range r.listeners {
		r.endListener(uint32(n))
	}
}

// holdAccept cancels the accepts. One that has a client by then reports it.
func (r *Ring) holdAccept() {
	r.held = true
	for n := range r.listeners {
		r.cancelAccepts(uint32(n))
	}
}

func (r *Ring) goAccept() {
	r.held = false
	r.armAccepts()
}

// endListener ends a listening socket. The ring's own one is shut down, which refuses new clients at once and ends the accepts
// in flight; on one that is or may be shared they are cancelled, and its clients go to the others.
func (r *Ring) endListener(n uint32) {
	l := &r.listeners[n]
	if l.fd < 0 || l.ending {
		return
	}
	l.ending = true
	if l.shared || r.held || r.k.Shutdown(l.fd, unix.SHUT_RDWR) != 0 {
		r.cancelAccepts(n)
	}
	r.closeListener(l)
}

func (r *Ring) cancelAccepts(n uint32) {
	for k := range uint32(singleAccepts) {
		if r.listeners[n].flight&(1<<k) != 0 {
			r.cancel(acceptData(n, k))
		}
	}
}

// cancelAcceptsAgain repeats the cancels of accepts that have not come back: see conn_cancel.go. It is called at each tick.
func (r *Ring) cancelAcceptsAgain() {
	for n, l := range r.listeners {
		if r.held || l.ending {
			r.cancelAccepts(uint32(n))
		}
	}
}

// closeListener closes a listener that has ended, unless an accept is still in flight.
func (r *Ring) closeListener(l *listening) {
	if l.flight == 0 && l.fd >= 0 {
		r.k.CloseFD(l.fd)
		l.fd = -1
	}
}

// closeListeners closes all listeners. No accept is in flight, or the ring is given up.
func (r *Ring) closeListeners() {
	for n := range r.listeners {
		if l := &r.listeners[n]; l.fd >= 0 {
			r.k.CloseFD(l.fd)
			l.fd = -1
		}
	}
}
