package shard

import (
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
	"millrace/swarm"
)

// This file makes a shard stand still, so that all it has can be handed to another process, and go on again if that fails:
//
//	Freeze   nothing new is received, read or sent; what is under way comes to rest
//	Still    nothing is under way any more in this shard, but perhaps between two of them: see Mail
//	Thaw     all goes on as if nothing had happened, some connections at a time
//	GiveAway everything is another process's
//
// A frozen shard has Steps, which handle events and mail. It keeps no times and ends nobody, since it has no chance to send: its seconds
// stand still, so that this is nobody's silence.

// freezeState is what a shard has that stands still.
type freezeState struct {
	on        bool
	heirs     []heir           // connections of another process that the ring is to adopt, by tag
	restoring *swarm.Restoring // peers of another process; nil: there are none yet
	thawed    uint32           // connections below it go on already
}

// Freeze makes the shard come to rest. TLS handshakes that have begun end: another process could not go on with their computation.
// It is called between two Steps, by the loop's thread, and returns ops for the ring, as the others here do.
func (s *Shard) Freeze() []ring.Op {
	s.turn.NoteOrder(conn.OrderFreeze)
	s.chores.freeze.on, s.chores.freeze.thawed, s.turn.Stands = true, 0, true
	for i := range s.table.Used() {
		s.freezeConn(i, s.table.At(i))
	}
	return s.turn.End()
}

// enters reports whether an event has brought a connection that still has to be frozen: one of a client, or of another shard.
func (s *Shard) enters(e *ring.Event) bool {
	return e.Kind == ring.EventAccept || e.Kind == ring.EventAdopted && e.Errno == 0 && e.Tag&heirTag == 0
}

// freezeConn has nothing received from a connection, and its send come back. What it has sent while it was about to go to another
// shard is read here.
func (s *Shard) freezeConn(i uint32, c *conn.Conn) {
	stays := s.mover.Stay(i, c)
	if c.State() != conn.Open && c.State() != conn.Handshake {
		return
	}
	if t := s.table.TLS(i); t != nil && !c.Flags.Has(conn.Established) && !t.Unbegun() {
		s.endNow(i, c, conn.ReasonStopping, true)
		return
	}
	s.table.Pause(&s.turn, i, c, conn.Frozen)
	if c.Flight != 0 {
		s.turn.Do(ring.Op{Kind: ring.OpCancelSend, Slot: s.table.Slot(i)})
	}
	if stays {
		s.readKept(i, c)
	}
}

// frozenConn reports whether a connection can go to another process.
func frozenConn(c *conn.Conn) bool { return c.Flags.Has(conn.Frozen) && !c.State().Ends() }

// Still reports whether nothing is under way in a frozen shard. quiet says that of a connection in the ring.
func (s *Shard) Still(quiet func(ring.Slot) bool) bool {
	for i := range s.table.Used() {
		if frozenConn(s.table.At(i)) && !quiet(s.table.Slot(i)) {
			return false
		}
	}
	return s.post.Stats().Backlog == 0 && s.mover.Coming() == 0 && !s.awaitsScrapes()
}

// Leaving returns how many connections of a frozen shard go to no other process, but to their end, by the reason; of one that serves,
// none.
func (s *Shard) Leaving() (n [conn.Reasons]uint64) {
	if !s.chores.freeze.on {
		return n
	}
	for i := range s.table.Used() {
		if c := s.table.At(i); c.State().Ends() && c.State() != conn.Free {
			n[c.Reason]++
		}
	}
	return n
}

// Mail returns how many records the shard has sent to others, and read. When all are still, and all together have read what they have
// sent, nothing is under way between them.
func (s *Shard) Mail() (sent, read uint64) {
	st := s.post.Stats()
	return st.MailOut, st.MailIn
}

// TLSHandshakes returns how many are under way, those included that have not begun to compute.
func (s *Shard) TLSHandshakes() int {
	if s.secure == nil {
		return 0
	}
	return s.secure.engine.InFlight() + s.secure.engine.Fresh()
}

// Second returns the second in which the shard is, on the clock of its deadlines.
func (s *Shard) Second() uint32 { return s.turn.Now }

// Thaw lets some connections of a frozen shard go on as if nothing had happened, and reports whether there are more. Clients have sent
// meanwhile, and all of it at once would be too much for the mailboxes to other shards. With the first call the shard is no longer frozen.
func (s *Shard) Thaw(most int) (ops []ring.Op, more bool) {
	s.turn.NoteOrder(conn.OrderThaw)
	f := &s.chores.freeze
	*f, s.turn.Stands = freezeState{thawed: f.thawed}, false
	for ; f.thawed < s.table.Used(); f.thawed++ {
		c := s.table.At(f.thawed)
		if !c.Flags.Has(conn.Frozen) {
			continue
		}
		if most == 0 {
			return s.turn.End(), true
		}
		most--
		s.table.Resume(&s.turn, f.thawed, c, conn.Frozen)
		s.outbox.GoOn(f.thawed, c)
		if c.State() == conn.Handshake {
			s.checkHandshake(f.thawed, c) // its ClientHello may be whole
		}
		if c.State() == conn.Open && c.Asm != 0 {
			s.readKept(f.thawed, c)
		}
	}
	f.thawed = 0
	return s.turn.End(), false
}

// GiveAway takes all connections that another process has now out of the table and the ring. giveUp gets their descriptors, which are
// the caller's. What is left of the shard stops: those that the other process has no place for, as stays says, are told that they may come
// back.
func (s *Shard) GiveAway(fd func(ring.Slot) int32, giveUp func(fd int32), stays func(handover.Name) bool) []ring.Op {
	s.turn.NoteOrder(conn.OrderGiveAway)
	for i := range s.table.Used() {
		c := s.table.At(i)
		if !frozenConn(c) || stays(s.nameOf(i)) {
			continue
		}
		giveUp(fd(s.table.Slot(i)))
		s.letGo(i, c)
	}
	s.chores.freeze, s.turn.Stands = freezeState{}, false
	s.beginStop(conn.OrderStop, 0)
	s.chores.stop.why = conn.ReasonNoPlace
	return s.turn.End()
}

// nameOf returns the name of a connection, for another process.
func (s *Shard) nameOf(i uint32) handover.Name {
	a := s.table.Address(i)
	return handover.Name{Shard: a.Shard, Index: a.Index, Gen: a.Gen}
}

// letGo takes a connection at rest out of the table and the ring. Its descriptor stays open.
func (s *Shard) letGo(i uint32, c *conn.Conn) {
	s.turn.Do(ring.Op{Kind: ring.OpRelease, Slot: s.table.Slot(i)})
	s.inbox.Free(c)
	s.outbox.GiveUp(c)
	s.table.CloseTLS(i)
	s.door.Lost(c.Guard)
	s.table.Leave(i, conn.GivenAway)
}
