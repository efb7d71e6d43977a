package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/post"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file reads the mail of the other shards: requests go to serve.go, payloads to deliver.go, connections to the mover.

// readMail handles what the other shards have sent.
func (s *Shard) readMail() {
	for from, rec := s.post.Next(); rec != nil; from, rec = s.post.Next() {
		s.record(from, rec)
	}
}

// record handles one record from another shard.
func (s *Shard) record(from int, rec []byte) {
	switch kind := post.KindOf(rec); kind {
	case post.KindAnnounce:
		post.ReadAnnounce(from, rec, &s.scratch.announce)
		s.serveAnnounce(&s.scratch.announce)
	case post.KindAnswer:
		var a post.Answer
		post.ReadAnswer(from, rec, &a)
		s.serveAnswer(&a)
	case post.KindScrape:
		post.ReadScrape(rec, &s.scratch.scrape)
		s.serveScrape(&s.scratch.scrape)
		if from := s.scratch.scrape.From; s.isHere(from) {
			s.replied(from)
		}
	case post.KindEnded:
		s.torrents.Ended(post.ReadAddr(rec, from))
	case post.KindMove:
		var m post.Move
		post.ReadMove(rec, &m)
		s.mover.Arrive(from, &m)
	default:
		s.delivery(kind, post.ReadAddr(rec, s.opt.ID), rec)
	}
}

// delivery handles a record for a connection of this shard.
func (s *Shard) delivery(kind post.Kind, to swarm.Addr, rec []byte) {
	switch kind {
	case post.KindReply:
		var r post.Reply
		post.ReadReply(rec, &r)
		s.deliverReply(to, &r)
		s.replied(to)
	case post.KindFailure:
		var f post.Failure
		post.ReadFailure(rec, &f)
		var hash *wsproto.ID
		if f.HasHash {
			hash = &f.Hash
		}
		s.deliverFailure(to, f.Action, hash, f.Why)
		s.replied(to)
	case post.KindOffer:
		var r post.Relay
		post.ReadRelay(rec, &r)
		s.deliverOffer(to, &r)
	case post.KindAnswered:
		var r post.Relay
		post.ReadRelay(rec, &r)
		s.deliverAnswer(to, &r)
	default:
		panic("BUG: mail of an unknown kind")
	}
}

// replied ends a connection that has ended its own side and was only waiting for this reply.
func (s *Shard) replied(to swarm.Addr) {
	c := s.table.Find(to.Index, to.Gen)
	if c == nil || c.Asks == 0 {
		return
	}
	c.Asks--
	if c.Asks == 0 && c.State() == conn.Open && c.Flags.Has(conn.HungUp) {
		s.end(to.Index, c, conn.ReasonEOF)
	}
}
