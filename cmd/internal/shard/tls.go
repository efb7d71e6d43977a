package shard

import (
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/door"
	"millrace/cmd/internal/trace"
	"millrace/tlsconn"
)

// This file puts TLS between the ring and receive.go: received bytes are decrypted where they lie, and handshakes go on
// for a bounded time of each Step. The outbox encrypts.

// TLSOptions are the needs of a shard that speaks TLS.
type TLSOptions struct {
	Certificates *tlsconn.Certificates
	MaxInFlight  int    // handshakes that have begun to compute and not ended
	MaxFresh     int    // bytes of the ClientHellos of those that have not begun to compute
	MaxBuffered  int    // bytes for records that have arrived in part
	MaxExpanded  int    // connections that keep their expanded keys
	FirstFlight  uint32 // seconds from a client's first byte to its whole ClientHello, and for its answer
	GracePeriod  uint32 // seconds that connections on a replaced certificate may stay
}

// Handshakes may take a part of the time since they went on last, but one of them always goes on. In a storm the clients that
// are connected wait for it. Where Steps are short, leastHandshakes lets one full handshake compute, or some that only end.
// Where the messages of others make Steps long, mostHandshakes keeps a share for clients that come.
const (
	handshakeShare  = 4 // one part of so many
	leastHandshakes = 250 * time.Microsecond
	mostHandshakes  = time.Millisecond
)

// manyKeyUpdates stands for no limit.
const manyKeyUpdates = 1 << 30

// secure is a shard's side of TLS, but for the connections, which are in the table.
type secure struct {
	engine *tlsconn.Engine
	clock  func() time.Duration
	flight uint32 // TLSOptions.FirstFlight
	grace  uint32 // TLSOptions.GracePeriod

	generation uint32 // of the certificate in use
	replaced   uint32 // second in which the one before it was replaced, 0: never

	gaveWay bool          // handshakes did not go on in the last Step that they could have
	rested  time.Duration // when they went on last
}

// newSecure returns the TLS of a shard, nil where it has none.
func newSecure(s *Shard) *secure {
	o := s.opt.TLS
	if o == nil {
		return nil
	}
	return &secure{
		engine: tlsconn.NewEngine(tlsconn.EngineOptions{
			Certificates: o.Certificates, MaxInFlight: o.MaxInFlight, MaxFresh: o.MaxFresh,
			FirstFlight: seconds(o.FirstFlight), Timeout: seconds(s.opt.HandshakeTimeout),
			MaxBuffered: o.MaxBuffered, MaxExpanded: o.MaxExpanded, KeyUpdatesPerMinute: s.opt.keyUpdates(),
			Admit: s.handshakeBegins, Ended: s.handshakeEnded,
		}),
		clock:      s.opt.Clock,
		flight:     o.FirstFlight,
		grace:      o.GracePeriod,
		generation: 1,
	}
}

// keyUpdates returns how many changes of keys a TLS connection may ask for in a minute.
func (o *Options) keyUpdates() int {
	if o.Guard.Active {
		return o.Guard.KeyUpdatesPerMinute
	}
	return manyKeyUpdates
}

// change takes the settings that may change from the options.
func (x *secure) change(o *Options) {
	if x != nil {
		x.grace = o.TLS.GracePeriod
		x.engine.SetLimits(seconds(o.HandshakeTimeout), o.keyUpdates())
	}
}

// tlsEngine returns the engine, nil without TLS.
func (x *secure) tlsEngine() *tlsconn.Engine {
	if x == nil {
		return nil
	}
	return x.engine
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

// setTime tells TLS the time of a Step.
func (x *secure) setTime(now time.Duration) {
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

// checkHandshake ends a handshake that is late, and lets one begin that its client's address could not have before.
func (s *Shard) checkHandshake(i uint32, c *conn.Conn) {
	t := s.table.TLS(i)
	if t == nil {
		return
	}
	err := t.Expire()
	if t.Waiting() == tlsconn.ForAdmission {
		err = t.Retry()
	}
	if err != nil {
		s.endTLS(i, c, err)
	}
}

// SetCertificate says that a new certificate is in use. Connections on older ones may stay for a time. It is called
// between two Steps, by the loop's thread.
func (s *Shard) SetCertificate(generation uint32) {
	s.secure.generation, s.secure.replaced = generation, s.turn.Now
	s.turn.NoteOrder(conn.OrderCertificate)
}

// handshakes goes on with handshakes, one at least, until they have had their time. Where clients wait for the replies of
// this Step it leaves that to the next one, but not twice in a row.
func (s *Shard) handshakes() {
	x := s.secure
	if x == nil || !x.engine.Ready() {
		return
	}
	if x.gaveWay = !x.gaveWay && s.stats.replies.waiting(); x.gaveWay {
		s.turn.More = true
		return
	}
	now := x.clock()
	end := now + min(max((now-x.rested)/handshakeShare, leastHandshakes), mostHandshakes)
	for {
		h, ok := x.engine.Compute()
		if !ok {
			break
		}
		i := door.SlotOf(h).Index
		s.decrypt(i, s.table.At(i), s.table.TLS(i))
		if now = x.clock(); now >= end && x.engine.Ready() {
			s.turn.More = true
			break
		}
	}
	x.rested = now
}

// close ends all handshakes. It is called by the loop's thread, when there are no more Steps.
func (x *secure) close() {
	if x != nil {
		x.engine.Close()
	}
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
	x, t := s.secure, s.table.TLS(i)
	return t != nil && x.replaced != 0 && s.turn.Now-x.replaced > x.grace && t.Info().Generation != x.generation
}
