package shard

import (
	"errors"
	"io"

	"millrace/ring"
	"millrace/tlsconn"
)

// This file puts TLS between the ring and the rest of the shard: received bytes are decrypted where they lie before
// receive.go sees them, and what deliver.go has gathered for a connection is encrypted as a whole when it leaves. A
// handshake runs in a helper goroutine of the pool that all shards share; its connection is told from there that there
// is something to send.

// TLSOptions are what a shard needs to speak TLS.
type TLSOptions struct {
	Pool        *tlsconn.Pool
	Notify      func(tlsconn.Handle) // from any goroutine: HandshakeReady is to be called with it, between two Steps
	MaxBuffered int                  // bytes for records that have arrived in part
	MaxExpanded int                  // connections that keep their expanded keys
	GracePeriod uint32               // seconds that connections on a replaced certificate may stay
}

// secure is a shard's side of TLS; nil without it.
type secure struct {
	engine *tlsconn.Engine
	conns  []*tlsconn.Conn // by Slot.Index
	ready  []tlsconn.Handle
	grace  uint32

	generation uint32 // of the certificate in use
	replaced   uint32 // second in which the one before it was replaced, 0: never
}

func newSecure(o *TLSOptions, connections int) *secure {
	if o == nil {
		return nil
	}
	return &secure{
		engine: tlsconn.NewEngine(o.Pool, tlsconn.EngineOptions{
			Notify: o.Notify, MaxBuffered: o.MaxBuffered, MaxExpanded: o.MaxExpanded,
		}),
		conns:      make([]*tlsconn.Conn, connections),
		grace:      o.GracePeriod,
		generation: 1,
	}
}

// handleOf returns the name under which helper goroutines know a connection.
func handleOf(slot ring.Slot) tlsconn.Handle {
	return tlsconn.Handle(uint64(slot.Gen)<<32 | uint64(slot.Index))
}

// HandshakesReady says that the handshakes of these connections have something to send or have ended. It is called
// between two Steps, by the loop's thread; the next Step looks at them.
func (s *Shard) HandshakesReady(all []tlsconn.Handle) {
	s.secure.ready = append(s.secure.ready, all...)
}

// readyTLS looks at the connections whose handshakes have gone on.
func (s *Shard) readyTLS() {
	if s.secure == nil {
		return
	}
	for _, h := range s.secure.ready {
		i := uint32(h)
		if c := &s.conns[i]; c.gen == uint32(h>>32) && s.secure.conns[i] != nil { // it may have ended meanwhile
			s.decrypt(i, c, s.secure.conns[i])
		}
	}
	s.secure.ready = s.secure.ready[:0]
}

// SetCertificate says that a new certificate is in use. Connections on older ones may stay for a time. It is called
// between two Steps, by the loop's thread.
func (s *Shard) SetCertificate(generation uint32) {
	s.secure.generation, s.secure.replaced = generation, s.now
}

// receivedTLS handles bytes of a TLS connection.
func (s *Shard) receivedTLS(i uint32, c *conn, data []byte) {
	t := s.secure.conns[i]
	if !c.reads() {
		return
	}
	if err := t.Feed(data); err != nil {
		s.failedTLS(i, c, err)
		return
	}
	s.decrypt(i, c, t)
}

// decrypt handles all that can be read of a connection now, and has sent what TLS itself has to say.
func (s *Shard) decrypt(i uint32, c *conn, t *tlsconn.Conn) {
	for c.reads() {
		data, err := t.Next()
		s.countHandshake(c, t)
		if err != nil {
			s.failedTLS(i, c, err)
			return
		}
		if len(data) == 0 {
			break
		}
		s.readPlain(i, c, data)
	}
	if c.state == stateClosed || c.state == stateFree {
		return
	}
	if t.Pending() > 0 {
		s.markDirty(i, c)
	}
	switch { // a record that does not end is a message that does not end
	case c.asm != 0:
	case !t.Partial():
		c.asmSince = 0
	case c.asmSince == 0:
		c.asmSince = s.now
	}
}

// countHandshake counts a handshake when it is complete, whatever comes of the connection.
func (s *Shard) countHandshake(c *conn, t *tlsconn.Conn) {
	if c.flags.has(flagEstablished) || t.Info().Version == 0 {
		return
	}
	c.flags |= flagEstablished
	if t.Info().Resumed {
		s.stats.TLSResumed++
	} else {
		s.stats.TLSFull++
	}
}

// failedTLS ends a connection that TLS cannot go on with. An alert for the client still leaves.
func (s *Shard) failedTLS(i uint32, c *conn, err error) {
	if errors.Is(err, io.EOF) { // close_notify: nothing more will come, as after a FIN
		s.clientEnded(i, c)
		return
	}
	why := ReasonTLS
	switch {
	case errors.Is(err, tlsconn.ErrPoolFull), errors.Is(err, tlsconn.ErrNoMemory):
		why = ReasonNoMemory
	case errors.Is(err, tlsconn.ErrTimeout):
		why = ReasonHandshakeTimeout
	}
	if !c.flags.has(flagEstablished) {
		s.stats.TLSFailed++
	}
	s.freeOut(c) // it cannot be encrypted any more
	if s.secure.conns[i].Pending() > 0 {
		s.markDirty(i, c)
		s.finish(i, c, why)
		return
	}
	s.drop(i, c, why, false)
}

// sealed reports whether TLS has something of its own to send.
func (s *Shard) sealed(i uint32) bool {
	return s.secure != nil && s.secure.conns[i] != nil && s.secure.conns[i].Pending() > 0
}

// canSpeak reports whether a connection can be sent frames or HTTP: always without TLS, and with it after the handshake.
func (s *Shard) canSpeak(i uint32) bool {
	return s.secure == nil || s.secure.conns[i] != nil && s.secure.conns[i].Phase() == tlsconn.Established
}

// seal encrypts what waits for a connection into its flight: all of it, as few records as possible. It reports false
// where there is no memory for it now.
func (s *Shard) seal(i uint32, c *conn) bool {
	t := s.secure.conns[i]
	flight := s.sendPool.Get(int(c.outLen) + tlsconn.RecordOverhead(int(c.outLen)) + t.Pending())
	if flight == 0 {
		return false
	}
	dst := s.sendPool.Bytes(flight)[:0]
	if c.outLen > 0 {
		var err error
		if dst, err = t.Write(dst, s.sendPool.Bytes(c.out)[:c.outLen]); err != nil {
			panic("BUG: a TLS connection that is established does not write: " + err.Error())
		}
	} else {
		dst = t.Drain(dst)
	}
	s.freeOut(c)
	c.flight, c.flightOff, c.flightLen = flight, 0, uint32(len(dst))
	return true
}

// unsealable gives up what waits for a connection and cannot be encrypted, because there is no memory for it beside the
// plain bytes. They are whole frames, so the connection can go on without them; without what TLS itself has to say it
// cannot.
func (s *Shard) unsealable(i uint32, c *conn) {
	s.stats.SealFailed++
	if c.outLen == 0 || s.sealed(i) {
		s.drop(i, c, ReasonNoMemory, true)
		return
	}
	s.freeOut(c)
	s.advanceClosing(i, c)
	s.advanceMove(i, c)
}

// sayGoodbye sends close_notify as the last thing of a TLS connection. It reports whether there is something to wait for.
func (s *Shard) sayGoodbye(i uint32, c *conn) bool {
	if s.secure == nil || c.flags.has(flagNotified) || !s.canSpeak(i) {
		return false
	}
	c.flags |= flagNotified
	t := s.secure.conns[i]
	flight := s.sendPool.Get(2 + tlsconn.RecordOverhead(2) + t.Pending())
	if flight == 0 {
		return false
	}
	dst := t.CloseNotify(s.sendPool.Bytes(flight)[:0])
	if len(dst) == 0 {
		s.sendPool.Put(flight)
		return false
	}
	c.flight, c.flightOff, c.flightLen = flight, 0, uint32(len(dst))
	s.issueSend(i, c)
	return true
}

// outdated reports whether a connection has been on a replaced certificate for longer than it may.
func (s *Shard) outdated(i uint32) bool {
	x := s.secure
	return x != nil && x.replaced != 0 && s.now-x.replaced > x.grace && x.conns[i].Info().Generation != x.generation
}
