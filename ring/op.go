package ring

import "net/netip"

// This file owns the vocabulary of a ring: the ops that an event loop gives it and the events that it reports.

// Slot names a connection of one ring: Index is its place in the connection table, Gen tells the successive users of
// that place apart. The ring hands a Slot out with [EventAccept], [EventConnect] or [EventAdopted] and takes it back
// with [EventClosed] or [OpRelease]; in between it is the only name by which the connection is addressed.
type Slot struct {
	Index uint32
	Gen   uint32
}

// OpKind is the kind of an [Op].
type OpKind uint8

const (
	// OpSend sends Data, which must lie in a buffer of the ring's [Pool], on the connection. At most one send per
	// connection may be outstanding. The bytes belong to the ring until the EventSent that answers it; that event may
	// report fewer bytes than asked, and the caller then sends the rest.
	OpSend OpKind = iota + 1

	// OpShutdown closes the connection's sending side (a FIN). It may be given once, and neither OpSend, OpPause nor
	// OpRelease may follow. Data that arrives is still reported, so that the caller can wait for the client's end
	// before OpClose and not lose its last frame to a reset.
	OpShutdown

	// OpClose ends the connection. No EventRecv or EventHangup follows. A send that is outstanding still gets its
	// EventSent; when every request of the connection has come back and its descriptor is closed, EventClosed follows.
	// This is the last op that may name the slot. With Abort the client gets a reset at once and unsent data is lost.
	OpClose

	// OpWake makes the ring whose number is Target return from its wait with an EventWake.
	OpWake

	// OpStopAccept closes the listening sockets. Connections that are already accepted stay.
	OpStopAccept

	// OpConnect opens a connection to Remote, from Local where that is valid (its port may be 0). EventConnect answers
	// it. It needs a plan made with Options.Outgoing.
	OpConnect

	// OpPause stops receiving on the connection without a sign to its client. Bytes that the kernel has received by
	// then are still reported; when nothing more can come, EventPaused follows. Sending goes on. OpClose and OpResume
	// may follow at any time, before EventPaused too, which then does not come any more (unless it is already on its
	// way).
	OpPause

	// OpResume starts to receive again after OpPause. However much is in the connection's socket, one receive buffer of it comes
	// between two calls of Wait, until the socket is empty.
	OpResume

	// OpRelease takes a connection for which EventPaused has been reported, and on which no send is outstanding, out of
	// the table; [Ring.Quiet] tells the same. Its descriptor stays open and becomes the caller's, to be given to OpAdopt
	// of some ring. This is the last op that may name the slot; no event answers it.
	OpRelease

	// OpAdopt takes the connected socket FD into the table. No other ring may have a request on it. EventAdopted
	// answers it. With Paused the connection is as if EventPaused had been reported for it: nothing is received until
	// OpResume, and OpSend, OpRelease and OpClose may be given before.
	OpAdopt

	// OpCancelSend asks that the send which is outstanding on the connection end now, whether or not its client makes
	// room. EventSent answers the send as always: N bytes were taken, none with N and Errno 0. Nothing of Data is sent
	// after that event, and the caller may send the rest again. The kernel may be at work on the send at that moment:
	// then the ring asks again at each tick until the event has come. Without a send outstanding, and when it is given
	// again, the op does nothing. OpClose may follow.
	OpCancelSend

	// OpHoldAccept stops accepting and leaves the listening sockets open: new clients wait in the sockets' queues. A
	// connection that the kernel had accepted by then is still reported by EventAccept; [Ring.AcceptHeld] tells when none
	// can come any more. While accepting is held, a listening socket that ends is closed without a shutdown, so that a
	// process to which a duplicate was passed goes on with it.
	OpHoldAccept

	// OpGoAccept begins to accept again after OpHoldAccept, on all listening sockets.
	OpGoAccept
)

// Op is a request of the event loop to its ring: plain data, without any call into the kernel.
type Op struct {
	Data   []byte         // OpSend
	Local  netip.AddrPort // OpConnect
	Remote netip.AddrPort // OpConnect
	Slot   Slot           // OpSend, OpShutdown, OpClose, OpPause, OpResume, OpRelease, OpCancelSend
	Tag    uint32         // OpConnect, OpAdopt: any number, given back in its event
	FD     int32          // OpAdopt
	Target uint16         // OpWake
	Kind   OpKind
	Abort  bool // OpClose
	Paused bool // OpAdopt
}

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	// EventAccept reports a new connection: Slot is its name, Listener the number of the listening socket, Peer its remote
	// address (an IPv4-mapped address is given as IPv4; on a unix socket there is none, and it is the zero AddrPort). The
	// ring has begun to receive on it.
	EventAccept EventKind = iota + 1

	// EventRecv reports bytes received, in order. Data is never empty. It may be read and changed in place until the
	// next call of Wait, when the buffer goes back to the kernel.
	EventRecv

	// EventHangup reports that nothing more will be received: Errno is 0 at the orderly end of the client's data, else
	// the error. It comes at most once and is not followed by EventRecv; the connection stays until OpClose.
	EventHangup

	// EventSent answers an OpSend: N bytes of its Data were taken by the kernel, or none and Errno says why. N and Errno
	// are both 0 where the send was interrupted or cancelled before anything was taken. The bytes of Data belong to the
	// caller again.
	EventSent

	// EventClosed reports that a connection is gone after OpClose and that its slot may be handed out again.
	EventClosed

	// EventTick comes at every period of the housekeeping timer.
	EventTick

	// EventWake reports that another thread or ring asked for attention. Several wakes may be reported as one.
	EventWake

	// EventRefused reports N connections that were closed at once because the connection table was full.
	EventRefused

	// EventConnect answers an OpConnect and gives its Tag back. With Errno 0, Slot is the name of the new connection
	// and the ring has begun to receive on it; else there is none.
	EventConnect

	// EventAcceptFailed reports that accepting failed with Errno (for example EMFILE). The ring tries again at the next
	// tick.
	EventAcceptFailed

	// EventPaused answers an OpPause: nothing more is received, and FD is the connection's descriptor, which belongs to
	// the ring until OpRelease. A connection on which EventHangup was reported can be paused too.
	EventPaused

	// EventAdopted answers an OpAdopt and gives its Tag back. With Errno 0, Slot is the name of the connection and the
	// ring has begun to receive on it, unless the op said Paused; with ENFILE the connection table was full and the ring
	// has closed the descriptor.
	EventAdopted
)

// Event is a report of a ring to its event loop: plain data.
type Event struct {
	Data  []byte         // EventRecv
	Peer  netip.AddrPort // EventAccept
	Slot  Slot
	N     uint32
	Tag   uint32 // EventConnect, EventAdopted
	FD    int32  // EventPaused
	Errno Errno
	Kind  EventKind

	Listener uint8 // EventAccept
}
