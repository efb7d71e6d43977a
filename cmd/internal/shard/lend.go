package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/loans"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file lends torrents to the shards of their clients, and passes requests on to the shards that hold them (see package
// loans).

// shardFor returns the shard to which a request of a connection goes. While earlier requests of the connection may still be
// on their way through the home of a torrent that has just been lent to this shard, later ones go the same way: the messages
// of a client are served in order.
func (s *Shard) shardFor(c *conn.Conn, hash *swarm.ID) int {
	k := s.torrents.Loans.Holder(hash)
	if k == s.opt.ID && c.Asks > 0 {
		k = s.torrents.Loans.Home(hash)
	}
	return k
}

// wants says whether this shard would hold the torrent of an announce that goes to shard k: where its client already is in
// a torrent here.
func (s *Shard) wants(c *conn.Conn, a *post.Announce, k int) post.Hold {
	if k == s.opt.ID || !s.opt.FollowTorrents || c.Wants >= loans.MaxPerConnection ||
		c.Owners>>(s.opt.ID%64)&1 == 0 || a.Event == swarm.EventStopped {
		return post.Asks
	}
	c.Wants++
	return post.Wants
}

// mailAnnounce sends an announce to the home of its torrent. Where this shard is the home, it is passed on to shard k, the
// holder.
func (s *Shard) mailAnnounce(k int, a *post.Announce) bool {
	if s.torrents.Loans.Home(&a.Key.Hash) != s.opt.ID {
		return s.post.Announce(k, a)
	}
	a.Hold, a.Number = post.Held, s.torrents.Loans.Next(&a.Key.Hash)
	if !s.post.Announce(k, a) {
		return false
	}
	s.torrents.Loans.PassedOn(&a.Key.Hash, true)
	return true
}

// mailedAnnounce serves an announce that has come by mail, or passes it on.
func (s *Shard) mailedAnnounce(from int, a *post.Announce, r *trace.Record) {
	hash := &a.Key.Hash
	if a.Hold == post.Held {
		s.torrents.Loans.Hold(hash, a.Number)
		if c := s.table.Find(a.From.Index, a.From.Gen); c != nil && s.isHere(a.From) {
			c.Owners |= 1 << (s.opt.ID % 64)
		}
	}
	k := s.torrents.Loans.Holder(hash)
	switch {
	case k != s.opt.ID && s.torrents.Loans.Home(hash) == s.opt.ID:
		r.Decision, r.To = trace.Mailed, uint32(k)
		if !s.mailAnnounce(k, a) {
			s.overloaded(a.From, wsproto.ActionAnnounce, hash, r)
		}
	case a.Hold == post.Wants && s.lend(from, a):
		r.Decision, r.To = trace.Mailed, uint32(from)
	default:
		s.serveAnnounce(a, r)
	}
}

// mailedAnswer serves an answer that has come by mail, or passes it on.
func (s *Shard) mailedAnswer(a *post.Answer, r *trace.Record) {
	hash := &a.Key.Hash
	if k := s.torrents.Loans.Holder(hash); k != s.opt.ID && s.torrents.Loans.Home(hash) == s.opt.ID {
		r.Decision, r.To = trace.Mailed, uint32(k)
		if !s.post.Answer(k, a) {
			s.overloaded(a.From, wsproto.ActionAnswer, hash, r)
			return
		}
		s.torrents.Loans.PassedOn(hash, false)
		return
	}
	s.serveAnswer(a, r)
}

// overloaded says that a request found no room in the mailbox to the holder of its torrent.
func (s *Shard) overloaded(from swarm.Addr, action wsproto.Action, hash *swarm.ID, r *trace.Record) {
	s.stats.Overloaded[action]++
	r.Decision = trace.MailFull
	if action == wsproto.ActionAnnounce || s.opt.ReplyToAnswers {
		s.deliverFailure(from, action, hash, wsproto.FailureOverloaded)
	}
}

// lend lends the torrent of an announce to shard k, which would hold it, and sends the announce back there. It reports
// false, and has done nothing, where that cannot be.
func (s *Shard) lend(k int, a *post.Announce) bool {
	hash := &a.Key.Hash
	if !s.torrents.Loans.MayLend() || s.torrents.Has(hash) || !s.torrents.Allowed(hash) || !s.mover.TakesTorrent(k) {
		return false
	}
	a.Hold, a.Number = post.Held, 1
	if !s.post.Announce(k, a) {
		return false
	}
	s.torrents.Loans.Lend(hash, k)
	return true
}

// giveBack gives torrents in which nobody is back to their homes. In a stop nobody would read the mail.
func (s *Shard) giveBack() {
	if s.door.Closed() {
		return
	}
	more := s.torrents.Loans.Housekeep(s.turn.Nanos, func(hash *swarm.ID) bool { return !s.torrents.Has(hash) }, s.post.Return)
	s.turn.More = s.turn.More || more
}

// endedElsewhere takes the peers of a connection of another shard out of the swarms here. If its own shard says that it has
// ended, the shards that hold torrents of this home are told as well: this one may have passed on announces of it.
func (s *Shard) endedElsewhere(from int, addr swarm.Addr) {
	s.torrents.Ended(addr)
	if holders := s.torrents.Loans.Holders(); holders != 0 && from == int(addr.Shard) {
		s.post.PassEnded(addr, holders)
	}
}

// yieldElsewhere does the same for a connection that does not answer.
func (s *Shard) yieldElsewhere(from int, addr swarm.Addr) {
	s.yield(addr)
	if holders := s.torrents.Loans.Holders(); holders != 0 && from == int(addr.Shard) && !s.post.Yield(addr, holders) {
		s.stats.ChallengesLost++
	}
}
