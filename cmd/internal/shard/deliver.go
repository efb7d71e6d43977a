package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file takes payloads to connections of any shard. The shard that holds the connection makes the frame, so a frame
// may depend on its receiver; between shards a payload travels as a record of mail.

// isHere reports whether a connection is one of this shard's.
func (s *Shard) isHere(to swarm.Addr) bool { return int(to.Shard) == s.opt.ID }

// mailed counts a payload that found no room in the mailbox to another shard.
func (s *Shard) mailed(ok bool, to swarm.Addr, kind outbox.Kind) {
	if ok {
		return
	}
	s.stats.DroppedMail[kind]++
	r := s.turn.NoteOf(to, trace.Frame)
	r.What, r.Decision, r.To = outbox.NameOf(kind), trace.MailFull, uint32(to.Shard)
}

// deliverReply takes the reply to an announce to its connection.
func (s *Shard) deliverReply(to swarm.Addr, r *post.Reply) {
	if !s.isHere(to) {
		s.mailed(s.post.Reply(to, r), to, outbox.Reply)
		return
	}
	if dst := s.outbox.RoomAt(to.Index, to.Gen, wsproto.AnnounceReplySize, outbox.Reply); dst != nil {
		s.outbox.Commit(wsproto.AppendAnnounceReply(dst, &r.Hash, r.Complete, r.Incomplete, s.opt.Interval))
		s.stats.replies.note(r.Came)
	}
}

// deliverFailure tells a connection that its request cannot be served. hash is nil where the failure names none.
func (s *Shard) deliverFailure(to swarm.Addr, action wsproto.Action, hash *swarm.ID, why wsproto.Failure) {
	if !s.isHere(to) {
		f := post.Failure{Action: action, Why: why, HasHash: hash != nil}
		if hash != nil {
			f.Hash = *hash
		}
		s.mailed(s.post.Failure(to, &f), to, outbox.Failure)
		return
	}
	if dst := s.outbox.RoomAt(to.Index, to.Gen, wsproto.FailureSize, outbox.Failure); dst != nil {
		s.outbox.Commit(wsproto.AppendFailure(dst, action, hash, why.String()))
	}
}

// deliverOffer takes an offer to the peer that it is for.
func (s *Shard) deliverOffer(to swarm.Addr, r *post.Relay) {
	if !s.isHere(to) {
		s.mailed(s.post.Offer(to, r), to, outbox.Offer)
		return
	}
	if c := s.table.Find(to.Index, to.Gen); c != nil && !s.meter.Offer(c, r.Origin) {
		c.Dropped++
		return
	}
	if dst := s.outbox.RoomAt(to.Index, to.Gen, wsproto.OfferSize(len(r.SDP)), outbox.Offer); dst != nil {
		s.outbox.Commit(wsproto.AppendOffer(dst, &r.Hash, &r.Peer, &r.Offer, r.SDP))
	}
}

// deliverAnswer takes an answer to the peer that made the offer.
func (s *Shard) deliverAnswer(to swarm.Addr, r *post.Relay) {
	if !s.isHere(to) {
		s.mailed(s.post.Answered(to, r), to, outbox.Answer)
		return
	}
	if dst := s.outbox.RoomAt(to.Index, to.Gen, wsproto.AnswerSize(len(r.SDP)), outbox.Answer); dst != nil {
		s.outbox.Commit(wsproto.AppendAnswer(dst, &r.Hash, &r.Peer, &r.Offer, r.SDP))
	}
}

// deliverScrape takes the reply to a scrape to its connection, which is one of this shard's.
func (s *Shard) deliverScrape(r *post.Scrape) {
	size := wsproto.ScrapeReplySize(len(r.Files))
	if dst := s.outbox.RoomAt(r.From.Index, r.From.Gen, size, outbox.Scrape); dst != nil {
		s.outbox.Commit(wsproto.AppendScrapeReply(dst, r.Files))
	}
}

// deliverPing asks a silent client whether it is still there.
func (s *Shard) deliverPing(i uint32, c *conn.Conn) {
	if dst := s.outbox.Room(i, c, wsproto.MaxControlFrame, outbox.Control); dst != nil {
		s.outbox.Commit(wsproto.AppendPing(dst, nil))
		s.turn.Note(i, c, trace.Silence)
		c.Flags |= conn.Pinged
		c.PingAt = s.turn.Now
	}
}
