package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file serves requests at the shard that holds their torrent: it changes or reads the swarm table and hands the
// replies and relayed messages to deliver.go, for connections of any shard.

// nameFailure is the name of wsproto.FailureNone in traces; those of the other failures follow.
var nameFailure = conn.Names.Add(failureNames()...)

func failureNames() (names []string) {
	for why := range wsproto.Failures {
		names = append(names, why.String())
	}
	return names
}

// refuse tells a connection that its request about a torrent is not served.
func (s *Shard) refuse(to swarm.Addr, hash *swarm.ID, why wsproto.Failure, r *trace.Record) {
	r.Decision, r.Why = trace.Refused, nameFailure+trace.Name(why)
	s.deliverFailure(to, wsproto.ActionAnnounce, hash, why)
}

// serveAnnounce changes the swarm, replies, and relays the offers. Like the other functions of this kind it completes the
// record r of the trace.
func (s *Shard) serveAnnounce(a *post.Announce, r *trace.Record) {
	ids := s.scratch.offerIDs[:0]
	for k := range a.SDPs {
		ids = append(ids, a.SDPs[k].ID)
	}
	s.scratch.offerIDs, a.Offers = ids, ids
	res, targets := s.torrents.Announce(s.turn.Now, &a.Announce, s.scratch.targets[:0])
	s.scratch.targets = targets
	s.stats.Announces[res.Status]++
	switch res.Status {
	case swarm.StatusConnectionFull:
		s.refuse(a.From, &a.Key.Hash, wsproto.FailureConnectionFull, r)
		return
	case swarm.StatusTooManyIDs:
		s.refuse(a.From, &a.Key.Hash, wsproto.FailureTooManyIDs, r)
		return
	case swarm.StatusAddressFull:
		s.refuse(a.From, &a.Key.Hash, wsproto.FailureAddressFull, r)
		return
	case swarm.StatusTableFull:
		s.refuse(a.From, &a.Key.Hash, wsproto.FailureTableFull, r)
		return
	case swarm.StatusForbidden:
		s.refuse(a.From, &a.Key.Hash, wsproto.FailureForbidden, r)
		return
	}
	if res.Status == swarm.StatusSuccessor {
		s.challenge(res.Owner)
	}
	r.Decision, r.To = trace.Relayed, uint32(len(targets))
	s.deliverReply(a.From, &post.Reply{
		Hash: a.Key.Hash, Complete: res.Complete, Incomplete: res.Incomplete, Came: a.Came,
	})
	for k := range targets {
		if targets[k].To.Node != 0 {
			continue
		}
		o := &a.SDPs[k]
		s.deliverOffer(targets[k].To,
			&post.Relay{Hash: a.Key.Hash, Peer: a.Peer, Offer: o.ID, Origin: a.Origin, SDP: o.SDP})
	}
	if s.chores.abroad != nil {
		s.announcedAbroad(a, &res, targets)
	}
}

// nameAnswer is the name of the first status of an answer in traces; those of the others follow.
var nameAnswer = conn.Names.Add(answerNames()...)

func answerNames() (names []string) {
	for status := range swarm.AnswerNoOffer + 1 {
		names = append(names, status.String())
	}
	return names
}

// serveAnswer relays an answer to the peer whose offer it answers.
func (s *Shard) serveAnswer(a *post.Answer, r *trace.Record) {
	to, status := s.torrents.Answer(s.turn.Now, &a.Answer)
	s.stats.Answers[status]++
	r.Decision, r.Why = trace.Ignored, nameAnswer+trace.Name(status)
	if status == swarm.AnswerForbidden {
		s.refuse(a.From, &a.Key.Hash, wsproto.FailureForbidden, r)
		return
	}
	if s.opt.ReplyToAnswers {
		complete, incomplete, _ := s.torrents.Scrape(a.Key)
		s.deliverReply(a.From, &post.Reply{Hash: a.Key.Hash, Complete: complete, Incomplete: incomplete})
	}
	if status == swarm.AnswerRelay {
		r.Decision, r.To, r.Why = trace.Relayed, 1, 0
		if to.Node != 0 {
			s.answerAbroad(to, a)
			return
		}
		s.deliverAnswer(to, &post.Relay{Hash: a.Key.Hash, Peer: a.Peer, Offer: a.Offer, SDP: a.SDP})
	}
}

// serveScrape fills in the torrents that this shard holds and sends the record where it has to go next. It reports whether
// it went to another shard.
func (s *Shard) serveScrape(r *post.Scrape, note *trace.Record) (mailed bool) {
	next := int(r.From.Shard)
	for k := range r.Files {
		if r.Filled[k] {
			continue
		}
		f := &r.Files[k]
		if holder := s.torrents.Loans.Holder(&f.Hash); holder != s.opt.ID {
			next = holder
			continue
		}
		f.Complete, f.Incomplete, f.Downloaded = s.torrents.Scrape(swarm.Key{Hash: f.Hash, Family: r.Family})
		r.Filled[k] = true
	}
	switch {
	case next == s.opt.ID:
		if s.scrapeAbroad(r) {
			note.Decision, note.To = trace.Mailed, uint32(s.opt.Shards)
			return true
		}
		note.Decision = trace.Served
		s.deliverScrape(r)
	case s.post.Scrape(next, r):
		note.Decision, note.To = trace.Mailed, uint32(next)
		return true
	default:
		s.stats.Overloaded[wsproto.ActionScrape]++
		note.Decision, note.To = trace.MailFull, uint32(next)
		s.deliverFailure(r.From, wsproto.ActionScrape, nil, wsproto.FailureOverloaded)
	}
	return false
}
