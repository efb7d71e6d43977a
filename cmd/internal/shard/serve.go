package shard

import (
	"millrace/cmd/internal/shard/post"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file serves requests at the shard that owns their torrent: it changes or reads the swarm table and hands the
// replies and relayed messages to deliver.go, for connections of any shard.

// owner returns the shard that owns the torrent.
func (s *Shard) owner(hash *swarm.ID) int {
	if s.opt.Shards == 1 {
		return 0
	}
	return swarm.Owner(s.opt.OwnerSeed, hash, s.opt.Shards)
}

// serveAnnounce changes the swarm, replies, and relays the offers.
func (s *Shard) serveAnnounce(a *post.Announce) {
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
		s.deliverFailure(a.From, wsproto.ActionAnnounce, &a.Key.Hash, wsproto.FailureConnectionFull)
		return
	case swarm.StatusTableFull:
		s.deliverFailure(a.From, wsproto.ActionAnnounce, &a.Key.Hash, wsproto.FailureTableFull)
		return
	case swarm.StatusForbidden:
		s.deliverFailure(a.From, wsproto.ActionAnnounce, &a.Key.Hash, wsproto.FailureForbidden)
		return
	}
	s.deliverReply(a.From, &post.Reply{Hash: a.Key.Hash, Complete: res.Complete, Incomplete: res.Incomplete})
	for k := range targets {
		o := &a.SDPs[k]
		s.deliverOffer(targets[k].To, &post.Relay{Hash: a.Key.Hash, Peer: a.Peer, Offer: o.ID, SDP: o.SDP})
	}
}

// serveAnswer relays an answer to the peer whose offer it answers.
func (s *Shard) serveAnswer(a *post.Answer) {
	to, status := s.torrents.Answer(s.turn.Now, &a.Answer)
	s.stats.Answers[status]++
	if status == swarm.AnswerForbidden {
		s.deliverFailure(a.From, wsproto.ActionAnnounce, &a.Key.Hash, wsproto.FailureForbidden)
		return
	}
	if s.opt.ReplyToAnswers {
		complete, incomplete, _ := s.torrents.Scrape(a.Key)
		s.deliverReply(a.From, &post.Reply{Hash: a.Key.Hash, Complete: complete, Incomplete: incomplete})
	}
	if status == swarm.AnswerRelay {
		s.deliverAnswer(to, &post.Relay{Hash: a.Key.Hash, Peer: a.Peer, Offer: a.Offer, SDP: a.SDP})
	}
}

// serveScrape fills in the torrents that this shard owns and sends the record where it has to go next. It reports whether
// it went to another shard.
func (s *Shard) serveScrape(r *post.Scrape) (mailed bool) {
	next := int(r.From.Shard)
	for k := range r.Files {
		if r.Filled[k] {
			continue
		}
		f := &r.Files[k]
		if owner := s.owner(&f.Hash); owner != s.opt.ID {
			next = owner
			continue
		}
		f.Complete, f.Incomplete, f.Downloaded = s.torrents.Scrape(swarm.Key{Hash: f.Hash, Family: r.Family})
		r.Filled[k] = true
	}
	switch {
	case next == s.opt.ID:
		s.deliverScrape(r)
	case s.post.Scrape(next, r):
		return true
	default:
		s.stats.Overloaded[wsproto.ActionScrape]++
		s.deliverFailure(r.From, wsproto.ActionScrape, nil, wsproto.FailureOverloaded)
	}
	return false
}
