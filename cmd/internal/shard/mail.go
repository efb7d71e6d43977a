package shard

import (
	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file reads the mail of the other shards: requests go to lend.go and serve.go, payloads to deliver.go, connections to
// the mover.

// readMail handles the records of the other shards.
func (s *Shard) readMail() {
	for from, rec := s.post.Next(); rec != nil; from, rec = s.post.Next() {
		s.record(from, rec)
	}
}

// record handles one record from another shard.
func (s *Shard) record(from int, rec []byte) {
	kind := post.KindOf(rec)
	if kind >= post.Kind(record.FirstMail) {
		s.fromBridge(rec)
		return
	}
	switch kind {
	case post.KindAnnounce:
		a := &s.scratch.announce
		post.ReadAnnounce(rec, a)
		s.mailedAnnounce(from, a, s.noteMail(kind, from, a.From, &a.Key.Hash))
		if s.isHere(a.From) {
			s.replied(a.From)
		}
	case post.KindAnswer:
		var a post.Answer
		post.ReadAnswer(rec, &a)
		s.mailedAnswer(&a, s.noteMail(kind, from, a.From, &a.Key.Hash))
		if s.opt.ReplyToAnswers && s.isHere(a.From) {
			s.replied(a.From)
		}
	case post.KindScrape:
		r := &s.scratch.scrape
		post.ReadScrape(rec, r)
		mailed := s.serveScrape(r, s.noteMail(kind, from, r.From, nil))
		if !mailed && s.isHere(r.From) {
			s.replied(r.From)
		}
	case post.KindEnded:
		s.endedElsewhere(from, post.ReadSender(rec))
	case post.KindYield:
		s.yieldElsewhere(from, post.ReadSender(rec))
	case post.KindReturn:
		hash, seen := post.ReadReturn(rec)
		s.torrents.Loans.Return(&hash, from, seen)
	case post.KindMove:
		var m post.Move
		post.ReadMove(rec, &m)
		s.mover.Arrive(from, &m)
	default:
		s.delivery(kind, post.ReadAddr(rec, s.opt.ID), rec)
	}
}

// nameMail is the name of the first kind of mail in traces; those of the others follow.
var nameMail = conn.Names.Add(mailNames()...)

func mailNames() (names []string) {
	for kind := range post.Kinds {
		names = append(names, kind.String())
	}
	return names
}

// noteMail adds a request of another shard to the trace.
func (s *Shard) noteMail(kind post.Kind, from int, of swarm.Addr, hash *swarm.ID) *trace.Record {
	r := s.turn.NoteOf(of, trace.Mail)
	r.What, r.N = nameMail+trace.Name(kind), uint32(from)
	if hash != nil {
		r.Hash = [8]byte(hash[:])
	}
	return r
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
	case post.KindChallenge:
		s.challenge(to)
	default:
		panic("BUG: mail of an unknown kind")
	}
}
