package shard

import (
	"encoding/binary"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/shard/post"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns what comes from the other nodes of a cluster, by way of the bridge: their counts, offers of their peers for peers here,
// answers for connections here, and news of peers that have come there with ids of peers here.

// fromBridge handles a record of the bridge, which the home of its torrent may have passed on.
func (s *Shard) fromBridge(rec []byte) {
	ab, b, ok := s.chores.abroad, rec[1:], false
	switch record.MailKind(rec[0]) {
	case record.MailVisit, record.MailArrived, record.MailAnswered:
		// While the shard stands still, for its state to be carried elsewhere, other nodes change nothing. What they send is as good as
		// lost. But replies to scrapes are not, and they come behind it.
		if s.turn.Stands {
			return
		}
	}
	switch record.MailKind(rec[0]) {
	case record.MailNodes:
		if ok = ab.nodes.Read(b); ok {
			s.torrents.SetNodes(ab.nodes.Live)
		}
	case record.MailResend:
		if ok = ab.resend.Read(b); ok {
			s.resendTorrents(time.Duration(ab.resend.Within) * time.Millisecond)
		}
	case record.MailOthers:
		if ok = ab.known.Read(b); ok && !s.passedOn(&ab.known.Key.Hash, rec) {
			s.setOthers(&ab.known)
		}
	case record.MailVisit:
		if ok = ab.visit.Read(b); ok && !s.passedOn(&ab.visit.Key.Hash, rec) {
			s.visited(&ab.visit)
		}
	case record.MailArrived:
		if ok = ab.arrived.Read(b); ok && !s.passedOn(&ab.arrived.Key.Hash, rec) {
			s.arrivedElsewhere(&ab.arrived)
		}
	case record.MailAnswered:
		if ok = ab.answered.Read(b); ok {
			s.answeredFromAbroad(&ab.answered)
		}
	case record.MailTold:
		if ok = ab.scraped.Read(b); ok {
			s.told(&ab.scraped)
		}
	}
	if !ok {
		panic("BUG: the bridge has sent what no shard can read")
	}
}

// passedOn passes a record on to the shard that holds its torrent, and reports whether that is another one.
func (s *Shard) passedOn(hash *swarm.ID, rec []byte) bool {
	k := s.torrents.Loans.Holder(hash)
	if k == s.opt.ID || s.torrents.Loans.Home(hash) != s.opt.ID {
		return false
	}
	s.post.PassOn(k, rec) // one that has no room is as good as lost, as any message of another node may be
	return true
}

// setOthers takes in how many peers of a torrent are on other nodes. If nobody is in it here any more, its home is told.
func (s *Shard) setOthers(r *record.Known) {
	ab := s.chores.abroad
	ab.others = ab.others[:0]
	for k := range r.Others {
		ab.others = append(ab.others, swarm.Others{Node: r.Others[k].Node, PeerCounts: swarm.PeerCounts(r.Others[k].Counts)})
	}
	if !s.torrents.SetOthers(r.Key, ab.others) && !s.torrents.Table.Has(r.Key) {
		ab.report(&swarm.Presence{Key: r.Key})
	}
}

// visited finds receivers for the offers of a peer of another node.
func (s *Shard) visited(r *record.Routed) {
	ids := s.scratch.offerIDs[:0]
	for k := range r.Offers {
		ids = append(ids, r.Offers[k].ID)
	}
	s.scratch.offerIDs = ids
	from := r.From
	from.Node = r.Node
	targets := s.torrents.Visit(s.turn.Now, &swarm.Visit{Key: r.Key, Peer: r.Peer, Seeder: r.Seeder, From: from, Offers: ids}, s.scratch.targets[:0])
	s.scratch.targets = targets
	s.stats.Abroad.OffersIn += uint64(len(targets))
	s.stats.Abroad.OffersMissed += uint64(len(ids) - len(targets))
	for k := range targets {
		o := &r.Offers[k]
		s.deliverOffer(targets[k].To, &post.Relay{Hash: r.Key.Hash, Peer: r.Peer, Offer: o.ID, SDP: o.SDP})
	}
}

// answeredFromAbroad takes an answer of another node's peer to the connection here that has made the offer.
func (s *Shard) answeredFromAbroad(r *record.Answer) {
	s.stats.Abroad.AnswersIn++
	to := swarm.Addr{Index: r.To.Index, Gen: r.To.Gen, Shard: uint16(s.opt.ID)}
	s.deliverAnswer(to, &post.Relay{Hash: r.Hash, Peer: r.Peer, Offer: r.Offer, SDP: r.SDP})
}

// told completes a scrape with what other nodes know.
func (s *Shard) told(r *record.Scraped) {
	s.chores.abroad.owed -= owedFor(r.Kept)
	q := &s.scratch.scrape
	q.From, q.Files = r.From, q.Files[:0]
	q.From.Shard = uint16(s.opt.ID)
	for b := r.Kept; len(b) >= keptFile; b = b[keptFile:] {
		n := b[len(swarm.ID{}):]
		q.Files = append(q.Files, wsproto.ScrapeFile{
			Hash: swarm.ID(b[:len(swarm.ID{})]), Complete: binary.LittleEndian.Uint32(n), Incomplete: binary.LittleEndian.Uint32(n[4:]),
			Downloaded: binary.LittleEndian.Uint32(n[8:]),
		})
	}
	// Both lists are in the order of the request, and one of them has some of the other.
	at := 0
	for k := range q.Files {
		if f := &q.Files[k]; at < len(r.Files) && r.Files[at].Hash == f.Hash {
			f.Complete, f.Incomplete, f.Downloaded = r.Files[at].Seeders, r.Files[at].Leechers, r.Files[at].Downloaded
			at++
		}
	}
	s.deliverScrape(q)
	s.replied(q.From)
}

// arrivedElsewhere asks the connection of a peer whose id has come to another node whether it is still there. A client that has come back
// elsewhere is one peer again when it does not answer.
func (s *Shard) arrivedElsewhere(r *record.Arrived) {
	owner, ok := s.torrents.Member(r.Key, &r.Peer)
	if !ok {
		return
	}
	s.noteRival(owner, rival{r.Key, r.Peer, s.turn.Now})
	s.challenge(owner)
}
