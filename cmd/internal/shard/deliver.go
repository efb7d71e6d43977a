package shard

import (
	"millrace/cmd/internal/mailbox"
	"millrace/ring"
	"millrace/swarm"
)

// This file takes frames to connections. A frame is composed in the place where it stays: at the end of the
// connection's waiting buffer, or in the mailbox of the shard that holds the connection. All that waits for a
// connection at the end of a Step leaves as one send.

// frameKind says what a frame that leaves is, for the counters and for what happens when there is no room.
type frameKind uint8

const (
	frameControl frameKind = iota // ping, pong, close
	frameHTTP                     // a response of the upgrade
	frameReply                    // announce reply
	frameOffer
	frameAnswer
	frameScrape
	frameFailure
	frameKinds
)

var frameNames = [frameKinds]string{"control", "http", "announce", "offer", "answer", "scrape", "failure"}

// droppable reports whether a frame of the kind is left out when its receiver is over the limit of waiting bytes. What
// is relayed can be missed: WebRTC offers go to a sample of peers, and clients announce again.
func (k frameKind) droppable() bool { return k == frameOffer || k == frameAnswer }

// room is a reservation for one frame: between a call of roomFor or roomAt and the commit that ends it.
type room struct {
	box  *mailbox.Box // not nil: the frame ends a record of this box
	conn *conn
	at   uint32
	kind frameKind
}

// How memory for sending is shared out. Frames that can be missed leave a part of the pool to those that cannot. A
// client for which replies pile up is held back (hold.go), but the requests that it has sent before, a thousand perhaps,
// still come and want replies.
const (
	gatherFactor   = 4  // times MaxPending: what may gather in one Step for a client that has taken all before
	burstFactor    = 16 // times MaxPending: replies that may wait for a client
	scarceFactor   = 2  // the same where memory runs short
	scarcePatience = 3  // seconds that slow sends and messages are given where memory runs short
)

// scarce reports whether a pool is nearly used up.
func scarce(p *ring.Pool) bool { return p.InUse() > p.Size()/4*3 }

// sendPatience is how long a send may go without progress. Where memory runs short it ends with those who hold it
// longest.
func (s *Shard) sendPatience() uint32 {
	if scarce(s.sendPool) {
		return min(scarcePatience, s.opt.SendTimeout)
	}
	return s.opt.SendTimeout
}

// pendingLimit is how many bytes may wait for a connection before it counts as slow. A busy swarm may have more for a
// client in one Step than a slow one is allowed; whoever has taken everything before is not slow.
func (s *Shard) pendingLimit(c *conn) int {
	if c.flight == 0 {
		return gatherFactor * s.opt.MaxPending
	}
	return s.opt.MaxPending
}

// verdict says whether a frame may be queued for a connection.
type verdict uint8

const (
	admitted  verdict = iota
	overLimit         // too much waits for the connection
	noMemory          // what is left is kept for frames that matter more
)

// admit decides whether n more bytes may wait for a connection.
func (s *Shard) admit(c *conn, n int, kind frameKind) verdict {
	waiting := int(c.outLen)
	if kind.droppable() {
		switch {
		case waiting > 0 && waiting+n > s.pendingLimit(c):
			return overLimit
		case scarce(s.sendPool):
			return noMemory
		}
		return admitted
	}
	most := burstFactor * s.opt.MaxPending
	if scarce(s.sendPool) {
		most = scarceFactor * s.opt.MaxPending
	}
	if waiting+n > most {
		return overLimit
	}
	return admitted
}

// roomFor returns an empty slice with a capacity of at least n bytes in which the next frame for the connection is
// composed, or nil if it may not have one, which has been counted then. Commit must follow before anything else is sent.
func (s *Shard) roomFor(i uint32, c *conn, n int, kind frameKind) []byte {
	if c.state != stateOpen && c.state != stateHandshake {
		s.stats.DroppedGone[kind]++
		return nil
	}
	switch s.admit(c, n, kind) {
	case overLimit:
		s.stats.DroppedFull[kind]++
		return nil
	case noMemory:
		s.stats.DroppedMemory[kind]++
		return nil
	}
	if !s.growOut(c, int(c.outLen)+n) {
		s.stats.DroppedMemory[kind]++
		return nil
	}
	if !kind.droppable() {
		s.holdBack(i, c, n)
	}
	s.markDirty(i, c)
	s.open = room{conn: c, at: c.outLen, kind: kind}
	return s.sendPool.Bytes(c.out)[c.outLen:c.outLen:len(s.sendPool.Bytes(c.out))]
}

// markDirty has a connection looked at when the Step ends, because it may have something to send.
func (s *Shard) markDirty(i uint32, c *conn) {
	if c.flags&flagDirty == 0 {
		c.flags |= flagDirty
		s.dirty = append(s.dirty, i)
	}
}

// freeOut gives up what waits for a connection.
func (s *Shard) freeOut(c *conn) {
	if c.out != 0 {
		s.sendPool.Put(c.out)
		c.out, c.outLen = 0, 0
	}
}

// growOut makes the waiting buffer at least n bytes long.
func (s *Shard) growOut(c *conn, n int) bool {
	if c.out != 0 && n <= len(s.sendPool.Bytes(c.out)) {
		return true
	}
	grown := s.sendPool.Get(n)
	if grown == 0 {
		return false
	}
	if c.out != 0 {
		copy(s.sendPool.Bytes(grown), s.sendPool.Bytes(c.out)[:c.outLen])
		s.sendPool.Put(c.out)
	}
	c.out = grown
	return true
}

// roomAt is roomFor for a connection of any shard, named as the swarm table names it.
func (s *Shard) roomAt(to swarm.Addr, n int, kind frameKind) []byte {
	if int(to.Shard) != s.opt.ID {
		return s.roomInMail(to, n, kind)
	}
	c := &s.conns[to.Index]
	if c.gen != to.Gen {
		s.stats.DroppedGone[kind]++
		return nil
	}
	return s.roomFor(to.Index, c, n, kind)
}

// commit ends a reservation with the frame, which was appended to what roomFor or roomAt returned.
func (s *Shard) commit(frame []byte) {
	r := &s.open
	if r.box != nil {
		s.commitMail(r, len(frame))
	} else {
		if int(r.at)+len(frame) > len(s.sendPool.Bytes(r.conn.out)) {
			panic("BUG: a frame is longer than the room reserved for it: " + frameNames[r.kind])
		}
		r.conn.outLen += uint32(len(frame))
		s.stats.ByIP[r.conn.version].FramesOut[r.kind]++
	}
	*r = room{}
}

// flush issues one send for each connection that has something waiting and no send in flight.
func (s *Shard) flush() {
	for _, i := range s.dirty {
		c := &s.conns[i]
		c.flags &^= flagDirty
		switch {
		case c.flight != 0 || c.state == stateClosed || c.state == stateFree || c.out == 0 && !s.sealed(i):
			continue
		case s.secure == nil:
			c.flight, c.flightOff, c.flightLen = c.out, 0, c.outLen
			c.out, c.outLen = 0, 0
		case !s.seal(i, c):
			s.unsealable(i, c)
			continue
		}
		s.issueSend(i, c)
	}
	s.dirty = s.dirty[:0]
}

// issueSend hands what is left of the flight to the ring.
func (s *Shard) issueSend(i uint32, c *conn) {
	c.sendTime = s.now
	s.stats.Sends++
	s.ops = append(s.ops, ring.Op{
		Kind: ring.OpSend,
		Slot: s.slot(i),
		Data: s.sendPool.Bytes(c.flight)[c.flightOff:c.flightLen],
	})
}

// sent handles the completion of a send: the rest of a short one follows, else the next waiting bytes.
func (s *Shard) sent(e *ring.Event) {
	i, c := e.Slot.Index, s.conn(e.Slot)
	s.stats.BytesOut += uint64(e.N)
	c.flightOff += e.N
	if c.state != stateClosed && e.Errno == 0 && c.flightOff < c.flightLen {
		s.stats.ShortSends++
		s.issueSend(i, c)
		return
	}
	s.sendPool.Put(c.flight)
	c.flight, c.flightOff, c.flightLen = 0, 0, 0
	if e.Errno != 0 {
		s.drop(i, c, ReasonReset, false)
		return
	}
	if c.out != 0 || s.sealed(i) {
		s.markDirty(i, c)
	} else {
		s.letGo(i, c)
	}
	s.advanceClosing(i, c)
	s.advanceMove(i, c)
}
