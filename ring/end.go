package ring

import "golang.org/x/sys/unix"

// This file owns the end of a connection. Every function that brings one nearer to its end has the prefix end. Only
// endStep changes the state of a connection, and it obeys endTable. This is the table, state × event → state. An event
// with a dot cannot come in that state: it would be a mistake of the ring or of its caller.
//
//	state       take  connect     connected  fail  shutdown  hangup  close    join    report  release
//	free        open  connecting  ·          ·     ·         ·       ·        ·       ·       ·
//	connecting  ·     ·           open       free  ·         ·       closing  ·       ·       ·
//	open        ·     ·           ·          ·     shut      hungup  closing  ·       ·       free
//	shut        ·     ·           ·          ·     ·         silent  closing  ·       ·       ·
//	hungup      ·     ·           ·          ·     silent    ·       closing  ·       ·       free
//	silent      ·     ·           ·          ·     ·         ·       closing  ·       ·       ·
//	closing     ·     ·           ·          ·     ·         ·       ·        joined  ·       ·
//	joined      ·     ·           ·          ·     ·         ·       ·        ·       free    ·
//
// And this is the same as a drawing:
//
//	free ──take──► open ──shutdown──► shut
//	 │              │ ▲                 └──hangup───┐
//	 │           hangup └─────connected──┐          ▼
//	 │              └──► hungup ─shutdown┼──────► silent
//	 └──connect──► connecting ───────────┘
//	                   └──fail──► free        open, hungup ──release──► free
//
//	connecting, open, shut, hungup, silent ──close──► closing ──join──► joined ──report──► free
//
// Who waits for whom, from OpClose on:
//
//	kernel   The shutdown or reset of the socket makes each of its requests complete once more, for the last time.
//	ring     In closing it counts the requests back (conn.pending), since the kernel reads and writes the arena until
//	         the last completion, and since a descriptor that is closed before names another file soon. In joined there
//	         is none left: the same or the next Wait closes the descriptor, reports EventClosed and frees the place.
//	caller   It keeps the bytes of a send until EventSent and uses the slot for nothing else until EventClosed.
//	Close    It waits for the last request of all connections, then unmaps the arena.

// connState says how far a connection has come.
type connState uint8

const (
	connNever      connState = iota // no state: in endTable, the event cannot come
	connFree                        // the place is free
	connConnecting                  // OpConnect was given; the slot is not handed out yet
	connOpen                        // bytes go both ways
	connShut                        // OpShutdown was given: nothing more is sent
	connHungUp                      // EventHangup was reported: nothing more is received
	connSilent                      // both
	connClosing                     // OpClose was given; requests are in flight
	connJoined                      // no request is in flight; EventClosed is due
	connStates
)

// nameable reports whether ops may name the connection.
func (s connState) nameable() bool { return s >= connOpen && s <= connSilent }

// receives reports whether bytes may still be reported.
func (s connState) receives() bool { return s == connOpen || s == connShut }

// sends reports whether OpSend may be given.
func (s connState) sends() bool { return s == connOpen || s == connHungUp }

// An endEvent brings a connection from one state to the next. The method of Ring with the same name handles it.
type endEvent uint8

const (
	endTake      endEvent = iota // accepted, or OpAdopt
	endConnect                   // OpConnect
	endConnected                 // the connect succeeded
	endFail                      // the connect failed
	endShutdown                  // OpShutdown
	endHangup                    // the client's data has ended, in order or by an error
	endClose                     // OpClose, or the end of the ring
	endJoin                      // the last request has come back
	endReport                    // the descriptor is closed, EventClosed reported
	endRelease                   // OpRelease
	endEvents
)

// endTable is the table above. A pair that is missing here has a dot there.
var endTable = [connStates][endEvents]connState{
	connFree:       {endTake: connOpen, endConnect: connConnecting},
	connConnecting: {endConnected: connOpen, endFail: connFree, endClose: connClosing},
	connOpen:       {endShutdown: connShut, endHangup: connHungUp, endClose: connClosing, endRelease: connFree},
	connShut:       {endHangup: connSilent, endClose: connClosing},
	connHungUp:     {endShutdown: connSilent, endClose: connClosing, endRelease: connFree},
	connSilent:     {endClose: connClosing},
	connClosing:    {endJoin: connJoined},
	connJoined:     {endReport: connFree},
}

// The words of the table, for panics and for the test that compares it with the comment above.
var (
	stateNames = [connStates]string{"·", "free", "connecting", "open", "shut", "hungup", "silent", "closing", "joined"}
	eventNames = [endEvents]string{
		"take", "connect", "connected", "fail", "shutdown", "hangup", "close", "join", "report", "release",
	}
)

// endStep brings a connection to its next state.
func (c *conn) endStep(e endEvent) {
	next := endTable[c.state][e]
	if next == connNever {
		panic("BUG: ring: " + eventNames[e] + " of a connection that is " + stateNames[c.state])
	}
	c.state = next
}

// endHangup reports that nothing more is received.
func (r *Ring) endHangup(events []Event, i uint32, c *conn, e Errno) []Event {
	c.endStep(endHangup)
	return append(events, Event{Kind: EventHangup, Slot: Slot{Index: i, Gen: c.gen}, Errno: e})
}

// endShutdown sends a FIN. On a connection that is gone already this fails, and the receive tells why.
func (r *Ring) endShutdown(s Slot) {
	c := r.named(s)
	c.endStep(endShutdown)
	r.k.Shutdown(c.fd, unix.SHUT_WR)
}

// endClose obeys OpClose.
func (r *Ring) endClose(s Slot, abort bool) {
	r.endConn(s.Index, r.named(s), abort)
}

// endConn ends every request of a connection. Shutdown and reset are states of the socket: a request that waits on it
// completes, and one that starts later completes at once, so that nothing need be cancelled by name.
func (r *Ring) endConn(i uint32, c *conn, abort bool) {
	c.endStep(endClose)
	if c.flags&flagParked != 0 {
		r.leavePark(i, c)
	}
	var errno Errno
	if abort {
		errno = r.k.Reset(c.fd)
	} else {
		errno = r.k.Shutdown(c.fd, unix.SHUT_RDWR)
	}
	if errno != 0 && c.pending > 0 {
		r.endCancel(i, c)
	}
	r.endJoin(i, c)
}

// endJoin notes that nothing is in flight any more on a connection that is closing. It is called after each completion
// of a request on a connection that may be closing.
func (r *Ring) endJoin(i uint32, c *conn) {
	if c.state == connClosing && c.pending == 0 {
		c.endStep(endJoin)
		r.joined = append(r.joined, i)
	}
}

// endReport closes the descriptors of the connections that are joined, and reports their end.
func (r *Ring) endReport(events []Event) []Event {
	for _, i := range r.joined {
		c := &r.conns[i]
		r.k.CloseFD(c.fd)
		events = append(events, Event{Kind: EventClosed, Slot: Slot{Index: i, Gen: c.gen}})
		r.release(i, endReport)
	}
	r.joined = r.joined[:0]
	return events
}

// endCancel cancels by name every request that may be in flight on a connection.
func (r *Ring) endCancel(i uint32, c *conn) {
	if c.flags&flagConnecting != 0 {
		r.cancel(userData(kindConnect, c.gen, i))
		return
	}
	r.cancelReceive(i, c)
	if c.flags&flagSending != 0 {
		r.cancel(userData(kindSend, c.gen, i))
	}
}

// endAll resets every connection, those included whose slot is not handed out yet. Close calls it.
func (r *Ring) endAll() {
	for i := range r.conns {
		if c := &r.conns[i]; c.state.nameable() || c.state == connConnecting {
			r.endConn(uint32(i), c, true)
		}
	}
}

// endCancelAll asks by name for every request that Close still waits for. Shutdown and reset have normally ended it.
func (r *Ring) endCancelAll() {
	for n := range r.listeners {
		r.cancelAccepts(uint32(n))
	}
	for i := range r.conns {
		if c := &r.conns[i]; c.pending > 0 {
			r.endCancel(uint32(i), c)
		}
	}
}
