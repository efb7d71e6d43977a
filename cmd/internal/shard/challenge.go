package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/swarm"
)

// This file owns challenges: a connection whose peer id another connection announces is asked at once whether it is still
// there. If it does not answer, its peers go to those that stand in line for them (see swarm.Table.Yield). A phone that
// has changed its address is a peer again after seconds, and nobody gets the peers of a client that answers.

// challengePatience is the seconds in which a challenged connection has to send something. It is challenged at most once
// in so many seconds, so people who announce the peer ids of others cost these a ping now and then.
const challengePatience = 5

// challenge asks a connection, of any shard, whether it is still there.
func (s *Shard) challenge(to swarm.Addr) {
	if !s.isHere(to) {
		if !s.post.Challenge(to) {
			s.stats.ChallengesLost++
		}
		return
	}
	c := s.table.Find(to.Index, to.Gen)
	if c == nil || c.State() != conn.Open || c.Flags.Has(conn.Challenged|conn.HungUp) ||
		c.ChallengedAt != 0 && s.turn.Now-c.ChallengedAt < challengePatience {
		return
	}
	s.deliverPing(to.Index, c)
	if !c.Flags.Has(conn.Pinged) {
		return // there is no memory for a ping
	}
	s.stats.Challenges++
	c.Flags |= conn.Challenged
	c.ChallengedAt = s.turn.Now
}

// checkChallenge gives up the peers of a challenged connection that has not answered in time. The loop may have stood
// still meanwhile, with the answer in the socket. So a connection whose time is over gets one second more, in which the
// loop has turned.
func (s *Shard) checkChallenge(i uint32, c *conn.Conn) {
	switch {
	case s.turn.Now-c.ChallengedAt < challengePatience:
	case !c.Flags.Has(conn.Doubted):
		c.Flags |= conn.Doubted
		c.ChallengedAt = s.turn.Now - challengePatience + 1
	default:
		c.Flags &^= conn.Challenged | conn.Doubted
		c.ChallengedAt = s.turn.Now
		s.stats.ChallengesFailed++
		addr := s.table.Address(i)
		if c.Owners>>(s.opt.ID%64)&1 != 0 {
			s.yield(addr)
		}
		if !s.post.Yield(addr, c.Owners) {
			s.stats.ChallengesLost++
		}
	}
}

// yield hands over the peers of a connection, of any shard, that does not answer.
func (s *Shard) yield(addr swarm.Addr) {
	if !s.torrents.Yield(addr) {
		s.stats.ChallengesLost++
		return
	}
	s.removeRivals(addr)
}
