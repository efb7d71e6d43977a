package shard

import "millrace/ring"

// This file holds a client back that asks faster than it reads. While more replies wait for it than they should, the ring
// receives nothing from it: its requests stay in its socket and, when that is full, with the client, as TCP means it to
// be. It is let go when what waited is on its way. Nothing is lost by that, and one that does not read at all is closed
// when its send makes no progress (Options.SendTimeout).

// holdBack stops receiving from a connection for which n more bytes of replies are about to wait.
func (s *Shard) holdBack(i uint32, c *conn, n int) {
	if int(c.outLen)+n <= s.pendingLimit(c) || c.state != stateOpen || c.flags.has(flagHeld|flagHungUp) {
		return
	}
	// It has become too late to move: an EventPaused must have one meaning only.
	c.flags |= flagHeld | flagSettled
	s.stats.HeldBack++
	s.ops = append(s.ops, ring.Op{Kind: ring.OpPause, Slot: s.slot(i)})
}

// letGo receives again from a connection that was held back. The time in which it was not heard does not count.
func (s *Shard) letGo(i uint32, c *conn) {
	if !c.flags.has(flagHeld) {
		return
	}
	c.flags &^= flagHeld
	c.lastSeen = s.now
	if c.asmSince != 0 {
		c.asmSince = s.now
	}
	s.ops = append(s.ops, ring.Op{Kind: ring.OpResume, Slot: s.slot(i)})
}
