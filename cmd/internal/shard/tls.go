package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/door"
	"millrace/cmd/internal/trace"
	"millrace/tlsconn"
)

// This file puts TLS between the ring and receive.go: received bytes are decrypted where they lie. A handshake runs in a
// helper goroutine of the pool that all shards share; the shard is told from there that a connection has bytes to send.
// The outbox encrypts.

// TLSOptions are the needs of a shard that speaks TLS.
type TLSOptions struct {
	Pool        *tlsconn.Pool
	Notify      func(tlsconn.Handle) // from any goroutine: HandshakesReady is to be called with it, between two Steps
	MaxBuffered int                  // bytes for records that have arrived in part
	MaxExpanded int                  // connections that keep their expanded keys
	FirstFlight uint32               // seconds from a client's first byte to its whole ClientHello
	GracePeriod uint32               // seconds that connections on a replaced certificate may stay
}

// manyKeyUpdates stands for no limit.
const manyKeyUpdates = 1 << 30

// secure is a shard's side of TLS, but for the connections, which are in the table.
type secure struct {
	engine *tlsconn.Engine
	ready  []tlsconn.Handle
	flight uint32 // TLSOptions.FirstFlight
	grace  uint32 // TLSOptions.GracePeriod

	generation uint32 // of the certificate in use
	replaced   uint32 // second in which the one before it was replaced, 0: never
}

// newSecure returns the TLS of a shard, nil where it has none.
func newSecure(s *Shard) *secure {
	o, updates := s.opt.TLS, manyKeyUpdates
	if o == nil {
		return nil
	}
	if s.opt.Guard.Active {
		updates = s.opt.Guard.KeyUpdatesPerMinute
	}
	return &secure{
		engine: tlsconn.NewEngine(o.Pool, tlsconn.EngineOptions{
			Notify: o.Notify, MaxBuffered: o.MaxBuffered, MaxExpanded: o.MaxExpanded,
			KeyUpdatesPerMinute: updates,
			Admit:               s.handshakeBegins, Ended: s.handshakeEnded,
		}),
		flight:     o.FirstFlight,
		grace:      o.GracePeriod,
		generation: 1,
	}
}

// tlsEngine returns the engine, nil without TLS.
func (x *secure) tlsEngine() *tlsconn.Engine {
	if x == nil {
		return nil
	}
	return x.engine
}

// setTime tells TLS the time of a Step.
func (x *secure) setTime(now uint32) {
	if x != nil {
		x.engine.SetTime(now)
	}
}

// handshakeBegins reports whether the address of a connection's client may have one more handshake now.
func (s *Shard) handshakeBegins(h tlsconn.Handle) bool {
	return s.door.Handshake(s.table.At(door.SlotOf(h).Index))
}

// handshakeEnded follows each handshake that was let begin.
func (s *Shard) handshakeEnded(h tlsconn.Handle) {
	s.door.EndHandshake(s.table.At(door.SlotOf(h).Index))
}

// retryHandshake lets a handshake begin that its client's address could not have before.
func (s *Shard) retryHandshake(i uint32, c *conn.Conn) {
	t := s.table.TLS(i)
	if t == nil || t.Waiting() != tlsconn.ForAdmission {
		return
	}
	if err := t.Retry(); err != nil {
		s.endTLS(i, c, err)
	}
}

// HandshakesReady says that the handshakes of these connections have bytes to send or have ended. It is called between
// two Steps, by the loop's thread; the next Step looks at them.
func (s *Shard) HandshakesReady(all []tlsconn.Handle) {
	s.secure.ready = append(s.secure.ready, all...)
}

// SetCertificate says that a new certificate is in use. Connections on older ones may stay for a time. It is called
// between two Steps, by the loop's thread.
func (s *Shard) SetCertificate(generation uint32) {
	s.secure.generation, s.secure.replaced = generation, s.turn.Now
	s.turn.NoteOrder(conn.OrderCertificate)
}

// readyTLS looks at the connections whose handshakes have gone on.
func (s *Shard) readyTLS() {
	if s.secure == nil {
		return
	}
	for _, h := range s.secure.ready {
		slot := door.SlotOf(h)
		c, t := s.table.Find(slot.Index, slot.Gen), s.table.TLS(slot.Index)
		if c != nil && t != nil { // it may have ended meanwhile
			s.decrypt(slot.Index, c, t)
		}
	}
	s.secure.ready = s.secure.ready[:0]
}

// receivedTLS handles bytes of a TLS connection.
func (s *Shard) receivedTLS(i uint32, c *conn.Conn, data []byte) {
	if !c.State().Reads() {
		return
	}
	t := s.table.TLS(i)
	if err := t.Feed(data); err != nil {
		s.endTLS(i, c, err)
		return
	}
	s.decrypt(i, c, t)
}

// decrypt handles all that can be read of a connection now, and sends the bytes of TLS itself.
func (s *Shard) decrypt(i uint32, c *conn.Conn, t *tlsconn.Conn) {
	for c.State().Reads() {
		data, err := t.Next()
		s.countHandshake(i, c, t)
		if err != nil {
			s.endTLS(i, c, err)
			return
		}
		if len(data) == 0 {
			break
		}
		s.readPlain(i, c, data)
	}
	if c.State() == conn.Closed || c.State() == conn.Free {
		return
	}
	if t.Pending() > 0 {
		s.outbox.Touch(i, c)
	}
	switch { // a record that does not end is a message that does not end
	case c.Asm != 0:
	case t.Partial():
		s.inbox.Began(c)
	default:
		s.inbox.Between(c)
	}
}

// countHandshake counts a handshake when it is complete, whatever becomes of the connection.
func (s *Shard) countHandshake(i uint32, c *conn.Conn, t *tlsconn.Conn) {
	if c.Flags.Has(conn.Established) || t.Info().Version == 0 {
		return
	}
	c.Flags |= conn.Established
	r := s.turn.Note(i, c, trace.Handshake)
	if t.Info().Resumed {
		s.stats.TLSResumed++
		r.What = nameHandshake + 1
	} else {
		s.stats.TLSFull++
		r.What = nameHandshake
	}
}

// nameHandshake is the name of a full handshake in traces; that of a resumed one follows.
var nameHandshake = conn.Names.Add("full", "resumed")

// halfOpen reports whether a connection has been in the middle of its ClientHello for longer than it may. Its time runs
// from its first byte.
func (s *Shard) halfOpen(i uint32, c *conn.Conn) bool {
	t := s.table.TLS(i)
	return t != nil && c.AsmSince != 0 && s.turn.Now-c.AsmSince > s.secure.flight && t.Waiting() == tlsconn.ForHello
}

// outdated reports whether a connection has been on a replaced certificate for longer than it may.
func (s *Shard) outdated(i uint32) bool {
	x := s.secure
	return x != nil && x.replaced != 0 && s.turn.Now-x.replaced > x.grace &&
		s.table.TLS(i).Info().Generation != x.generation
}
