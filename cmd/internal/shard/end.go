package shard

import (
	"errors"
	"io"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/trace"
	"millrace/ring"
	"millrace/tlsconn"
	"millrace/wsproto"
)

// This file ends connections. Everything that ends one begins with the word end, and there is one order:
//
//	end        queue the last words, take the peers out of the swarms          handshake, open ─► closing
//	endJoin    when all queued bytes have left: close_notify, shut our side    closing ─► draining
//	endClose   when the client has ended too, or time is up: give everything   any ─► closed
//	           back and have the ring close the descriptor
//	endClosed  when the ring has closed it: free the slot                      closed ─► free
//
// endNow goes to endClose at once. The client reads our last bytes before the descriptor goes, because closing with unread
// data would reset the connection and could destroy the last frame. A moving connection stays first (mover.Stay) and is
// open then. conn/state.go has the table of states, tlsconn/end.go and ring/end.go have theirs; cmd/ARCHITECTURE.md draws
// the three machines together and says which waits for which.

// end ends a connection in order, for a reason that its client has been told or need not be told.
func (s *Shard) end(i uint32, c *conn.Conn, why conn.Reason) {
	s.mover.Stay(i, c)
	if c.State().Ends() {
		return
	}
	s.outbox.Release(i, c) // to see the client's end
	s.meter.Forgive(i, c)
	if s.table.Resume(&s.turn, i, c, conn.Frozen) {
		s.outbox.GoOn(i, c) // it goes to its end here
	}
	s.endPeers(i, c)
	c.Reason = why
	c.Deadline = s.turn.Now + s.opt.CloseTimeout
	s.endNote(i, c, trace.Ending)
	s.table.Change(c, conn.Ends)
	s.inbox.Free(c)
	s.endJoin(i, c)
}

// endNote adds the decision to end a connection to the trace.
func (s *Shard) endNote(i uint32, c *conn.Conn, how trace.Decision) {
	r := s.turn.Note(i, c, trace.End)
	r.Decision, r.Why = how, conn.NameOf(c.Reason)
}

// endSaying ends a WebSocket connection with a close frame after the bytes that are already queued.
func (s *Shard) endSaying(i uint32, c *conn.Conn, why conn.Reason, code wsproto.StatusCode, text string) {
	s.mover.Stay(i, c)
	if dst := s.outbox.Room(i, c, wsproto.MaxControlFrame, outbox.Control); dst != nil {
		s.outbox.Commit(wsproto.AppendClose(dst, code, text))
	}
	s.end(i, c, why)
}

// endHTTP answers a request whose head is not complete with an error, and ends its connection.
func (s *Shard) endHTTP(i uint32, c *conn.Conn, why conn.Reason, status int) {
	s.endRequest(i, c, why, status, c.Asm != 0 && wsproto.AsksHead(s.inbox.Bytes(c)))
}

// endRequest answers a request that does not become a WebSocket with an error, and ends its connection. head says that
// the method is HEAD.
func (s *Shard) endRequest(i uint32, c *conn.Conn, why conn.Reason, status int, head bool) {
	if !s.table.CanSpeak(i) {
		s.endNow(i, c, why, true) // in the middle of its TLS handshake
		return
	}
	s.stats.countRefusal(status)
	if dst := s.outbox.Room(i, c, wsproto.HTTPErrorSize, outbox.HTTP); dst != nil {
		s.outbox.Commit(wsproto.AppendHTTPError(dst, status, head))
	}
	s.end(i, c, why)
}

// endNow ends a connection without a word. abort resets it, so that nothing waits for the client.
func (s *Shard) endNow(i uint32, c *conn.Conn, why conn.Reason, abort bool) {
	if c.State() == conn.Closed {
		return
	}
	s.mover.Stay(i, c)
	s.endPeers(i, c)
	if c.Reason == conn.ReasonNone {
		c.Reason = why
	}
	s.endNote(i, c, trace.Ends)
	s.endClose(i, c, abort)
}

// endPeers takes the connection's peers out of all swarms. From then on nothing is delivered to it.
func (s *Shard) endPeers(i uint32, c *conn.Conn) {
	if c.Owners == 0 {
		return
	}
	addr := s.table.Address(i)
	if c.Owners>>(s.opt.ID%64)&1 != 0 {
		s.torrents.Ended(addr)
	}
	s.post.Ended(addr, c.Owners)
	c.Owners = 0
}

// endJoin moves a closing connection on when nothing waits to be sent.
func (s *Shard) endJoin(i uint32, c *conn.Conn) {
	if c.State() != conn.Closing || !s.outbox.Idle(i, c) || s.outbox.CloseNotify(i, c) {
		return
	}
	if c.Flags.Has(conn.HungUp) {
		s.endClose(i, c, false)
		return
	}
	s.turn.Do(ring.Op{Kind: ring.OpShutdown, Slot: s.table.Slot(i)})
	c.Deadline = s.turn.Now + s.opt.CloseTimeout
	s.table.Change(c, conn.Flushed)
}

// endClose gives back the buffers of the connection and tells the ring to close it. A send in flight keeps its buffer until
// its event.
func (s *Shard) endClose(i uint32, c *conn.Conn, abort bool) {
	s.inbox.Free(c)
	s.outbox.GiveUp(c)
	s.table.CloseTLS(i)
	s.table.Change(c, conn.Closes)
	c.Flags &^= conn.Pauses // the ring closes it as it is
	s.turn.Do(ring.Op{Kind: ring.OpClose, Slot: s.table.Slot(i), Abort: abort})
}

// endClosed frees the slot of a connection that the ring has closed.
func (s *Shard) endClosed(i uint32, c *conn.Conn) {
	if c.Flight != 0 || c.Out != 0 || c.Asm != 0 {
		panic("BUG: the ring closed a connection that still holds buffers: " + c.State().String())
	}
	s.door.Leave(i, conn.Gone)
}

// endHangup handles the end of the client's bytes: a FIN, or with errno a failure.
func (s *Shard) endHangup(i uint32, c *conn.Conn, errno ring.Errno) {
	if errno != 0 {
		s.turn.Note(i, c, trace.Failed).N = uint32(errno)
		c.Flags |= conn.HungUp
		s.endNow(i, c, conn.ReasonReset, false)
		return
	}
	s.endHalf(i, c)
	if c.State() == conn.Draining {
		s.endClose(i, c, false)
	}
}

// endHalf handles an orderly end of the client's bytes: a FIN, or close_notify. The client may have ended only its own
// side, so queued bytes and the replies that are under way still reach it, and bytes that wait for their turn are read.
func (s *Shard) endHalf(i uint32, c *conn.Conn) {
	first := !c.Flags.Has(conn.HungUp)
	c.Flags |= conn.HungUp
	s.turn.Note(i, c, trace.Ended)
	if s.mover.Stay(i, c) {
		s.readKept(i, c)
	}
	if c.State() == conn.Open && (c.Asks > 0 || c.Flags.Has(conn.Postponed|conn.Throttled)) {
		if first {
			c.Deadline = s.turn.Now + s.opt.CloseTimeout
		}
		return
	}
	s.end(i, c, conn.ReasonEOF)
}

// endByClient answers a close frame with one of the same code.
//
// RFC 6455 §5.5.1: «If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST
// send a Close frame in response.»
func (s *Shard) endByClient(i uint32, c *conn.Conn, payload []byte) {
	code, bad := wsproto.ParseClose(payload)
	if bad != nil {
		s.endProtocol(i, c, bad)
		return
	}
	s.endSaying(i, c, conn.ReasonClientClose, code, "")
}

// endProtocol ends the connection of a client that broke the WebSocket protocol.
func (s *Shard) endProtocol(i uint32, c *conn.Conn, bad *wsproto.CloseError) {
	reason := conn.ReasonProtocol
	if bad.Code == wsproto.StatusTooBig {
		reason = conn.ReasonTooBig
	}
	s.endSaying(i, c, reason, bad.Code, bad.Reason)
}

// endNoMemory ends a connection for whose partial message no memory is left. The client may come back: 1013.
func (s *Shard) endNoMemory(i uint32, c *conn.Conn) {
	s.mover.Stay(i, c)
	if c.State() == conn.Open {
		s.endSaying(i, c, conn.ReasonNoMemory, wsproto.StatusTryAgainLater, "try again later")
		return
	}
	s.endHTTP(i, c, conn.ReasonNoMemory, 503)
}

// endStopping ends a connection because the tracker stops.
func (s *Shard) endStopping(i uint32, c *conn.Conn) {
	why, code, text := s.chores.stop.why, wsproto.StatusGoingAway, "tracker is stopping"
	if why == conn.ReasonNoPlace {
		code, text = wsproto.StatusServiceRestart, "no place in the new process"
	}
	switch c.State() {
	case conn.Handshake:
		s.endHTTP(i, c, why, 503)
	case conn.Open, conn.Moving:
		s.endSaying(i, c, why, code, text)
	}
}

// endBanned ends a connection of an address that the operator has banned.
func (s *Shard) endBanned(i uint32, c *conn.Conn) {
	if c.State() == conn.Handshake {
		s.endHTTP(i, c, conn.ReasonBanned, 429)
		return
	}
	s.endSaying(i, c, conn.ReasonBanned, wsproto.StatusPolicy, "this address is banned")
}

// endTLS ends a connection that TLS cannot go on with. An alert for the client still leaves.
func (s *Shard) endTLS(i uint32, c *conn.Conn, err error) {
	if errors.Is(err, io.EOF) { // close_notify: nothing more will come, as after a FIN
		s.endHalf(i, c)
		return
	}
	if errors.Is(err, tlsconn.ErrPlainHTTP) {
		s.endPlainHTTP(i, c)
		return
	}
	why := conn.ReasonTLS
	switch {
	case errors.Is(err, tlsconn.ErrPoolFull), errors.Is(err, tlsconn.ErrNoMemory):
		why = conn.ReasonNoMemory
	case errors.Is(err, tlsconn.ErrFlood):
		why = conn.ReasonTLSFlood
	case errors.Is(err, tlsconn.ErrTimeout):
		why = conn.ReasonHandshakeTimeout
	}
	if !c.Flags.Has(conn.Established) {
		s.stats.TLSFailed++
	}
	s.outbox.Discard(c) // it cannot be encrypted any more
	if s.table.TLSPending(i) {
		s.outbox.Touch(i, c)
		s.end(i, c, why)
		return
	}
	s.endNow(i, c, why, false)
}

// endPlainHTTP tells a client that speaks HTTP without TLS to use TLS. From then on the connection has none, and the
// outbox sends the response as it is.
func (s *Shard) endPlainHTTP(i uint32, c *conn.Conn) {
	s.stats.TLSFailed++
	s.stats.countRefusal(400)
	s.table.CloseTLS(i)
	if dst := s.outbox.Room(i, c, wsproto.HTTPErrorSize, outbox.HTTP); dst != nil {
		s.outbox.Commit(wsproto.AppendPlainOnTLS(dst))
	}
	s.end(i, c, conn.ReasonTLS)
}
