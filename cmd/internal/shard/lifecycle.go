package shard

import (
	"time"

	"millrace/ring"
	"millrace/wsproto"
)

// This file says how connections end. The ways lead through these states:
//
//	handshake ─► open ─► closing ─► draining ─► closed ─► free
//	              └─► moving ─► free, and open on another shard
//
// moving falls back to open before it goes any other way (move.go). closing: a close frame or an HTTP error is queued
// and the peers of the connection are gone. draining: it has left and our side is shut, so that the client reads it
// before the descriptor goes (closing with unread data would reset the connection and could destroy the last frame).
// closed: the ring was told to close. Every state can fall to closed.

// Reason says why a connection ended.
type Reason uint8

// The reasons. Each has a counter in Stats.Closed and a name in [Reason.String].
const (
	ReasonNone             Reason = iota
	ReasonClientClose             // the client sent a close frame
	ReasonEOF                     // the client ended its data without a close frame
	ReasonReset                   // the connection failed: reset, timed out in TCP, unreachable
	ReasonBadRequest              // not an acceptable upgrade request
	ReasonHandshakeTimeout        // no whole upgrade request in time
	ReasonIdle                    // silent, pings included, for too long
	ReasonSlowConsumer            // did not take what was sent in time
	ReasonSlowMessage             // did not finish a message in time
	ReasonProtocol                // broke the WebSocket protocol
	ReasonTooBig                  // a message or frame over the limit
	ReasonBadMessages             // too many unusable messages in a row
	ReasonNoMemory                // no buffer left for it
	ReasonStopping                // the tracker stops
	ReasonHealthCheck             // a health check was answered
	ReasonTLS                     // TLS failed: no handshake, or a record that is not what it should be
	ReasonCertificate             // was on a replaced certificate for too long
	Reasons
)

var reasonNames = [Reasons]string{
	"none", "client_close", "eof", "reset", "bad_request", "handshake_timeout", "idle", "slow_consumer", "slow_message",
	"protocol_error", "too_big", "bad_messages", "no_memory", "stopping",
	"health_check", "tls_error", "certificate",
}

// Abusive reports whether a client that ends for this reason may mean harm, so that logs should tell its address.
func (r Reason) Abusive() bool {
	switch r {
	case ReasonBadRequest, ReasonHandshakeTimeout, ReasonSlowConsumer, ReasonSlowMessage, ReasonProtocol, ReasonTooBig,
		ReasonBadMessages, ReasonTLS:
		return true
	}
	return false
}

// String returns the reason's name as it stands in logs and metrics.
func (r Reason) String() string { return reasonNames[r] }

// clientClose answers a close frame with one of the same code and begins to end the connection.
//
// RFC 6455 §5.5.1: «If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST
// send a Close frame in response.»
func (s *Shard) clientClose(i uint32, c *conn, payload []byte) {
	code, bad := wsproto.ParseClose(payload)
	if bad != nil {
		s.protocolError(i, c, bad)
		return
	}
	s.closeWith(i, c, ReasonClientClose, code, "")
}

// closeWith sends a close frame after what is already queued and ends the connection when it has left.
func (s *Shard) closeWith(i uint32, c *conn, why Reason, code wsproto.StatusCode, text string) {
	s.stay(i, c)
	if dst := s.roomFor(i, c, wsproto.MaxControlFrame, frameControl); dst != nil {
		s.commit(wsproto.AppendClose(dst, code, text))
	}
	s.finish(i, c, why)
}

// refuse answers a request that does not become a WebSocket.
func (s *Shard) refuse(i uint32, c *conn, why Reason, status int) {
	if !s.canSpeak(i) {
		s.drop(i, c, why, true) // in the middle of its TLS handshake
		return
	}
	s.stats.countRefusal(status)
	if dst := s.roomFor(i, c, httpErrorSize, frameHTTP); dst != nil {
		s.commit(wsproto.AppendHTTPError(dst, status))
	}
	s.finish(i, c, why)
}

// httpErrorSize bounds an HTTP error: status line, five headers and a line of text.
const httpErrorSize = 512

// finish lets queued bytes leave and then ends the connection: open or handshake ─► closing.
func (s *Shard) finish(i uint32, c *conn, why Reason) {
	s.stay(i, c)
	if c.state != stateHandshake && c.state != stateOpen {
		return // it ends already
	}
	s.letGo(i, c) // to see the client's end
	s.leave(i, c)
	c.reason = why
	c.deadline = s.now + s.opt.CloseTimeout
	s.setState(c, stateClosing)
	s.freeAssembly(c)
	s.advanceClosing(i, c)
}

// advanceClosing moves a closing connection on when nothing waits to be sent.
func (s *Shard) advanceClosing(i uint32, c *conn) {
	if c.state != stateClosing || c.out != 0 || c.flight != 0 || s.sealed(i) || s.sayGoodbye(i, c) {
		return
	}
	if c.flags.has(flagHungUp) {
		s.issueClose(i, c, false)
		return
	}
	s.ops = append(s.ops, ring.Op{Kind: ring.OpShutdown, Slot: s.slot(i)})
	c.deadline = s.now + s.opt.CloseTimeout
	s.setState(c, stateDraining)
}

// drop ends a connection without a word: any state ─► closed.
func (s *Shard) drop(i uint32, c *conn, why Reason, abort bool) {
	if c.state == stateClosed {
		return
	}
	s.stay(i, c)
	s.leave(i, c)
	if c.reason == ReasonNone {
		c.reason = why
	}
	s.issueClose(i, c, abort)
}

// issueClose gives back what the connection holds and tells the ring to close it. A send in flight keeps its buffer
// until its event.
func (s *Shard) issueClose(i uint32, c *conn, abort bool) {
	s.freeAssembly(c)
	s.freeOut(c)
	if s.secure != nil {
		s.secure.conns[i].Close()
		s.secure.conns[i] = nil
	}
	s.setState(c, stateClosed)
	c.flags &^= flagHeld // the ring closes it as it is
	s.ops = append(s.ops, ring.Op{Kind: ring.OpClose, Slot: s.slot(i), Abort: abort})
}

// leave takes the connection's peers out of all swarms. From then on nothing is delivered to it.
func (s *Shard) leave(i uint32, c *conn) {
	if c.owners == 0 {
		return
	}
	s.sendGone(s.address(i), c.owners)
	c.owners = 0
}

// hungUp handles the end of what the client sends.
func (s *Shard) hungUp(e *ring.Event) {
	i, c := e.Slot.Index, s.conn(e.Slot)
	if e.Errno != 0 {
		c.flags |= flagHungUp
		s.drop(i, c, ReasonReset, false)
		return
	}
	s.clientEnded(i, c)
	if c.state == stateDraining {
		s.issueClose(i, c, false)
	}
}

// clientEnded handles an orderly end of what the client sends: a FIN, or close_notify. It may have ended only its own
// side, so what is queued for it and the replies that are under way still reach it.
func (s *Shard) clientEnded(i uint32, c *conn) {
	first := !c.flags.has(flagHungUp)
	c.flags |= flagHungUp
	if c.state == stateMoving {
		s.comeBack(i, c)
	}
	if c.state == stateOpen && c.asks > 0 {
		if first {
			c.deadline = s.now + s.opt.CloseTimeout
		}
		return
	}
	s.finish(i, c, ReasonEOF)
}

// closed frees the slot of a connection that the ring has closed.
func (s *Shard) closed(e *ring.Event) {
	i, c := e.Slot.Index, s.conn(e.Slot)
	if c.state != stateClosed || c.flight != 0 || c.out != 0 || c.asm != 0 {
		panic("BUG: the ring closed a connection that still holds buffers: " + stateNames[c.state])
	}
	s.stats.Closed[c.reason]++
	if c.reason.Abusive() {
		s.stats.LastClient[c.reason] = c.client()
	}
	s.stats.Conns[stateClosed]--
	s.live--
	s.conns[i] = conn{gen: e.Slot.Gen}
}

// scanConns looks at the next n slots for deadlines that have passed.
func (s *Shard) scanConns(n int) {
	for range n {
		if s.scanAt >= s.used {
			s.scanAt = 0
		}
		i := s.scanAt
		s.scanAt++
		if c := &s.conns[i]; c.state != stateFree {
			s.checkDeadlines(i, c)
		}
	}
}

// checkDeadlines ends a connection that has used up its time, and pings a silent one.
func (s *Shard) checkDeadlines(i uint32, c *conn) {
	if c.flight != 0 && c.state != stateClosed && s.now-c.sendTime > s.sendPatience() {
		s.drop(i, c, ReasonSlowConsumer, true)
		return
	}
	switch c.state {
	case stateHandshake:
		if s.now > c.deadline {
			s.refuse(i, c, ReasonHandshakeTimeout, 408)
		}
	case stateOpen:
		s.checkOpen(i, c)
	case stateMoving:
		if s.now > c.deadline {
			s.comeBack(i, c)
		}
	case stateClosing, stateDraining:
		if s.now > c.deadline {
			s.drop(i, c, c.reason, true)
		}
	}
}

// checkOpen is checkDeadlines for a WebSocket connection.
func (s *Shard) checkOpen(i uint32, c *conn) {
	silent := s.now - c.lastSeen
	switch {
	case c.flags.has(flagHeld):
		if c.flight == 0 { // what waited could not be sent
			s.letGo(i, c)
		}
	case c.flags.has(flagHungUp):
		if s.now > c.deadline {
			s.finish(i, c, ReasonEOF)
		}
	case c.asmSince != 0 && s.now-c.asmSince > s.messagePatience():
		s.closeWith(i, c, ReasonSlowMessage, wsproto.StatusPolicy, "message took too long")
	case s.outdated(i):
		s.closeWith(i, c, ReasonCertificate, wsproto.StatusGoingAway, "certificate was replaced")
	case silent > s.opt.IdleTimeout:
		s.closeWith(i, c, ReasonIdle, wsproto.StatusGoingAway, "idle")
	case silent > s.opt.PingInterval && !c.flags.has(flagPinged):
		if dst := s.roomFor(i, c, wsproto.MaxControlFrame, frameControl); dst != nil {
			s.commit(wsproto.AppendPing(dst, nil))
			c.flags |= flagPinged
		}
	}
}

// stopState is how far a graceful stop has come.
type stopState struct {
	begun     bool
	listening bool   // the listeners are still to be closed
	final     bool   // time is up: who remains is dropped
	told      uint32 // in this pass, indices below it have been dealt with
	deadline  int64  // nanoseconds at which time is up
}

// maxToldPerStep bounds how many clients one Step says goodbye to.
const maxToldPerStep = 512

// Stop begins a graceful stop at the next Step: no connection is accepted, each client gets close code 1001, and who
// has not left after Options.ShutdownTimeout is dropped. It is called between two Steps, by the loop's thread.
func (s *Shard) Stop() {
	if s.stop.begun {
		return
	}
	s.stop = stopState{
		begun:     true,
		listening: true,
		deadline:  s.nanos + int64(s.opt.ShutdownTimeout)*int64(time.Second),
	}
}

// Stopped reports whether a stop has been asked for and no connection is left or on its way here.
func (s *Shard) Stopped() bool {
	return s.stop.begun && !s.stop.listening && s.live == 0 && s.doors[s.opt.ID].closeUp()
}

// stopSlice ends the next connections because the tracker stops.
func (s *Shard) stopSlice() {
	if !s.stop.begun {
		return
	}
	if s.stop.listening {
		s.stop.listening = false
		s.ops = append(s.ops, ring.Op{Kind: ring.OpStopAccept})
	}
	if !s.stop.final && s.nanos >= s.stop.deadline {
		s.stop.final, s.stop.told = true, 0
	}
	for n := 0; s.stop.told < s.used && n < maxToldPerStep; n++ {
		s.stopConn(s.stop.told, &s.conns[s.stop.told])
		s.stop.told++
	}
	s.moreWork = s.moreWork || s.stop.told < s.used
}

// stopConn ends one connection because the tracker stops.
func (s *Shard) stopConn(i uint32, c *conn) {
	switch {
	case c.state == stateFree || c.state == stateClosed:
	case s.stop.final:
		s.drop(i, c, ReasonStopping, true)
	case c.state == stateHandshake:
		s.refuseStopping(i, c)
	case c.state == stateOpen || c.state == stateMoving:
		s.closeWith(i, c, ReasonStopping, wsproto.StatusGoingAway, "tracker is stopping")
	}
}

// refuseStopping answers a connection that has not become a WebSocket before the stop.
func (s *Shard) refuseStopping(i uint32, c *conn) { s.refuse(i, c, ReasonStopping, 503) }
