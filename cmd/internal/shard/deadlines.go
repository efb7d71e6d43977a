package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/paced"
	"millrace/wsproto"
)

// This file looks for connections that have used up their time, a slice of the table in every Step.

// scan is how far the pass over the connections has come.
type scan struct {
	pace paced.Scan
	at   uint32 // the next connection to look at
}

// maxScanPerStep bounds the connections at which one Step looks. It keeps the longest Step short while letting a busy
// loop (thousands of Steps a second) and an idle one (a few ticks a second) keep up alike.
const maxScanPerStep = 4096

// scanConns looks at the slots that are due.
func (s *Shard) scanConns() {
	n, more := s.chores.scan.pace.Due(s.turn.Nanos, int(s.table.Used()), s.opt.ScanPeriod, maxScanPerStep)
	s.turn.More = s.turn.More || more
	for range n {
		if s.chores.scan.at >= s.table.Used() {
			s.chores.scan.at = 0
		}
		i := s.chores.scan.at
		s.chores.scan.at++
		if c := s.table.At(i); c.State() != conn.Free {
			s.checkDeadlines(i, c)
		}
	}
}

// checkDeadlines ends a connection that has used up its time, and pings a silent one.
func (s *Shard) checkDeadlines(i uint32, c *conn.Conn) {
	if c.State() != conn.Closed && s.outbox.Late(c) {
		s.endNow(i, c, conn.ReasonSlowConsumer, true)
		return
	}
	switch c.State() {
	case conn.Handshake:
		if s.turn.Now > c.Deadline || s.halfOpen(i, c) {
			s.endHTTP(i, c, conn.ReasonHandshakeTimeout, 408)
			return
		}
		s.checkHandshake(i, c)
	case conn.Open:
		s.checkOpen(i, c)
	case conn.Moving:
		if s.turn.Now > c.Deadline {
			s.mover.Stay(i, c)
			s.readKept(i, c)
		}
	case conn.Closing, conn.Draining:
		if s.turn.Now > c.Deadline {
			s.endNow(i, c, c.Reason, true)
		}
	}
}

// checkOpen is checkDeadlines for a WebSocket connection.
func (s *Shard) checkOpen(i uint32, c *conn.Conn) {
	silent := s.turn.Now - c.LastSeen
	if c.Flags.Has(conn.Challenged) && !c.Flags.Has(conn.Held|conn.HungUp) {
		s.checkChallenge(i, c)
	}
	switch {
	case c.Flags.Has(conn.Held):
		if c.Flight == 0 { // the bytes that waited could not be sent
			s.outbox.Release(i, c)
		}
	case c.Flags.Has(conn.Throttled):
		if s.meter.Recover(i, c) {
			c.LastSeen = s.turn.Now
			s.inbox.Restart(c)
			s.readKept(i, c)
		}
	case c.Flags.Has(conn.HungUp):
		if s.turn.Now > c.Deadline {
			s.end(i, c, conn.ReasonEOF)
		}
	case c.AsmSince != 0 && s.turn.Now-c.AsmSince > s.inbox.Patience(s.opt.SendTimeout):
		s.endSaying(i, c, conn.ReasonSlowMessage, wsproto.StatusPolicy, "message took too long")
	case s.outdated(i):
		s.endSaying(i, c, conn.ReasonCertificate, wsproto.StatusGoingAway, "certificate was replaced")
	case !c.Flags.Has(conn.Pinged):
		if silent > min(s.opt.PingInterval, s.opt.IdleTimeout) {
			s.deliverPing(i, c)
		}
	case silent > s.opt.IdleTimeout && s.turn.Now-c.PingAt > pongPatience:
		s.endSaying(i, c, conn.ReasonIdle, wsproto.StatusGoingAway, "idle")
	}
}

// pongPatience is for how many seconds a client may leave a ping without an answer before its silence counts.
const pongPatience = 5
