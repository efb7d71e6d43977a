package shard

import (
	"encoding/binary"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/shard/paced"
	"millrace/cmd/internal/shard/post"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns what goes from a shard to the other nodes of a cluster, by way of the bridge (package cluster): how many peers it has, offers
// for theirs, answers, scrapes. visitors.go has what comes from there. The shard waits for none of it: what has no room is left out.

// abroad is what a shard has to do with other nodes.
type abroad struct {
	report   func(*swarm.Presence) bool
	retell   func(*swarm.Torrent)
	reported uint32 // second in which all changes were reported
	full     bool   // the mailbox had no room in this Step: the next one tries again, a tick later at the latest
	pass     paced.Scan
	period   time.Duration // of the pass over all torrents that is under way; 0: none is
	place    uint32        // up to which the pass has come
	rivals   map[swarm.Addr][]rival
	others   []swarm.Others
	owed     int // bytes of replies to scrapes that the bridge owes at most

	// Memory for records.
	presence  record.Presence
	seek      record.Seek
	relay     record.Routed
	answering record.Answering
	arrived   record.Arrived
	scrape    record.Scrape
	nodes     record.Nodes
	known     record.Known
	visit     record.Routed
	answered  record.Answer
	scraped   record.Scraped
	resend    record.Resend
}

// AbroadStats are the counters of what goes to other nodes and comes from them, at the shards.
type AbroadStats struct {
	OffersOut     uint64 `metric:"cluster_offers_total" label:"direction=out" help:"Offers to and from other nodes of the cluster."`
	OffersIn      uint64 `metric:"cluster_offers_total" label:"direction=in"`
	OffersHeld    uint64 `metric:"cluster_offers_sought_total" help:"Offers of the first peer of a torrent here that waited for news of peers elsewhere."`
	OffersMissed  uint64 `metric:"cluster_offers_without_receiver_total" help:"Offers of other nodes for which no peer was here any more."`
	AnswersOut    uint64 `metric:"cluster_answers_total" label:"direction=out" help:"Answers to and from other nodes of the cluster."`
	AnswersIn     uint64 `metric:"cluster_answers_total" label:"direction=in"`
	Rivals        uint64 `metric:"cluster_rivals_total" help:"Connections that were challenged because their peer id has come to another node."`
	RivalsGone    uint64 `metric:"cluster_rivals_gone_total" help:"Peers of such connections that did not answer, and were removed."`
	DroppedOffers uint64 `metric:"cluster_dropped_total" label:"what=offer" help:"What did not go to other nodes because the mailbox to the bridge had no room, or because it is longer than nodes let each other be."`
	DroppedOther  uint64 `metric:"cluster_dropped_total" label:"what=answer"`
	DroppedScrape uint64 `metric:"cluster_dropped_total" label:"what=scrape"`
	DroppedArrive uint64 `metric:"cluster_dropped_total" label:"what=arrival"`
}

// newAbroad returns nothing without a bridge.
func newAbroad(s *Shard) *abroad {
	if !s.post.HasBridge() {
		return nil
	}
	ab := &abroad{rivals: make(map[swarm.Addr][]rival)}
	ab.report = s.reportTorrent
	ab.retell = func(t *swarm.Torrent) {
		if p, ok := s.torrents.Presence(t.Key); ok {
			ab.report(&p) // one that has no room waits for the next pass
		}
	}
	return ab
}

// announcedAbroad tells the other nodes of an announce that was served here: offers go to the nodes that were drawn, and those of the first
// peer of a torrent wait for news of it.
func (s *Shard) announcedAbroad(a *post.Announce, res *swarm.Result, targets []swarm.Target) {
	ab := s.chores.abroad
	for k := range targets {
		if targets[k].To.Node != 0 {
			s.relayAbroad(a, res.Seeder, targets[k:], a.SDPs[k:])
		}
	}
	if res.Status != swarm.StatusAdded {
		return
	}
	ab.arrived = record.Arrived{Key: a.Key, Peer: a.Peer}
	if !s.post.Bridge(record.MailArrived, &ab.arrived, false) {
		s.stats.Abroad.DroppedArrive++
	}
	if res.Complete+res.Incomplete > 1 || len(a.SDPs) == 0 || len(targets) > 0 {
		return
	}
	p, ok := s.torrents.Presence(a.Key)
	if !ok {
		return
	}
	ab.seek.Presence = record.Presence{Key: p.Key, Counts: record.Counts(p.PeerCounts), First: true}
	ab.seek.Relay = record.Relay{Key: a.Key, Peer: a.Peer, Seeder: res.Seeder, From: a.From, Offers: ab.seek.Relay.Offers[:0]}
	for k := range a.SDPs {
		if len(a.SDPs[k].SDP) <= record.MaxSDP {
			ab.seek.Relay.Offers = append(ab.seek.Relay.Offers, a.SDPs[k])
		}
	}
	if !s.post.Bridge(record.MailSeek, &ab.seek, false) {
		s.stats.Abroad.DroppedOffers += uint64(len(a.SDPs))
		return
	}
	s.stats.Abroad.OffersHeld += uint64(len(a.SDPs))
}

// relayAbroad sends the offers that are for the node of the first target to it, and takes that node out of the targets.
func (s *Shard) relayAbroad(a *post.Announce, seeder bool, targets []swarm.Target, offers []wsproto.Offer) {
	r := &s.chores.abroad.relay
	r.Node = targets[0].To.Node
	r.Relay = record.Relay{Key: a.Key, Peer: a.Peer, Seeder: seeder, From: a.From, Offers: r.Offers[:0]}
	for k := range targets {
		if targets[k].To.Node != r.Node {
			continue
		}
		targets[k].To.Node = 0
		if len(offers[k].SDP) <= record.MaxSDP {
			r.Offers = append(r.Offers, offers[k])
		} else {
			s.stats.Abroad.DroppedOffers++
		}
	}
	if len(r.Offers) == 0 {
		return
	}
	if s.post.Bridge(record.MailRelay, r, false) {
		s.stats.Abroad.OffersOut += uint64(len(r.Offers))
	} else {
		s.stats.Abroad.DroppedOffers += uint64(len(r.Offers))
	}
}

// answerAbroad sends an answer to the connection of another node that has made the offer.
func (s *Shard) answerAbroad(to swarm.Addr, a *post.Answer) {
	r := &s.chores.abroad.answering
	*r = record.Answering{Node: to.Node, Answer: record.Answer{To: to, Hash: a.Key.Hash, Peer: a.Peer, Offer: a.Offer, SDP: a.SDP}}
	if len(a.SDP) <= record.MaxSDP && s.post.Bridge(record.MailAnswer, r, false) {
		s.stats.Abroad.AnswersOut++
	} else {
		s.stats.Abroad.DroppedOther++
	}
}

// keptFile is how a torrent of a scrape is written that waits for news of others: hash, and three counts.
const keptFile = len(swarm.ID{}) + 12

// owedFor returns how many bytes the bridge's reply to a scrape takes in a mailbox at most.
func owedFor(kept []byte) int { return 64 + 2*len(kept) }

// scrapeAbroad asks the other nodes for the torrents of a scrape that nobody here is in. It reports false where there are none, or no room.
func (s *Shard) scrapeAbroad(r *post.Scrape) bool {
	ab := s.chores.abroad
	if ab == nil {
		return false
	}
	q := &ab.scrape
	q.Family, q.From, q.Hashes, q.Kept = r.Family, r.From, q.Hashes[:0], q.Kept[:0]
	for k := range r.Files {
		f := &r.Files[k]
		if f.Complete+f.Incomplete == 0 && s.torrents.Allowed(&f.Hash) {
			q.Hashes = append(q.Hashes, f.Hash)
		}
		q.Kept = append(q.Kept, f.Hash[:]...)
		for _, n := range [...]uint32{f.Complete, f.Incomplete, f.Downloaded} {
			q.Kept = binary.LittleEndian.AppendUint32(q.Kept, n)
		}
	}
	if len(q.Hashes) == 0 {
		return false
	}
	// A client waits for the reply of the bridge. So nothing is asked that it might have no room for.
	owed := owedFor(q.Kept)
	if ab.owed+owed > s.post.BridgeRoom() || !s.post.Bridge(record.MailScrape, q, false) {
		s.stats.Abroad.DroppedScrape++
		return false
	}
	ab.owed += owed
	return true
}

// awaitsScrapes reports whether the bridge owes replies to scrapes.
func (s *Shard) awaitsScrapes() bool { return s.chores.abroad != nil && s.chores.abroad.owed > 0 }

// Bounds of what a Step tells the bridge.
const (
	maxReportsPerStep = 256
	maxPassPerStep    = 1024 // places of the table of torrents

	missedWithin = 5 * time.Second // all torrents are told when so many have changed that not all were noted
)

// reportAbroad tells the bridge of torrents whose peers have changed: of those that have become empty, or are so no more, at once, and of the
// others once a second. A pass over all torrents goes on that the bridge has asked for.
func (s *Shard) reportAbroad() {
	ab := s.chores.abroad
	if ab == nil || s.door.Closed() {
		return
	}
	ab.full = false
	all := s.turn.Now != ab.reported
	more := s.torrents.Report(all, maxReportsPerStep, ab.report)
	if all && !more {
		ab.reported = s.turn.Now
		s.forgetRivals()
	}
	if s.torrents.Missed() {
		s.resendTorrents(missedWithin)
	}
	behind := s.passTorrents()
	s.turn.More = s.turn.More || !ab.full && (more || behind)
}

// passTorrents goes on with the pass over all torrents, and reports whether more are due already.
func (s *Shard) passTorrents() (more bool) {
	ab := s.chores.abroad
	if ab.period == 0 {
		return false
	}
	n, more := ab.pass.Due(s.turn.Nanos, max(s.torrents.Places(), 1), ab.period, maxPassPerStep)
	if n == 0 {
		return false
	}
	ab.place = s.torrents.Torrents(ab.place, n, ab.retell)
	if ab.place == 0 {
		ab.period = 0
	}
	return more && ab.period > 0
}

// reportTorrent tells the bridge of one torrent. It is false where there is no room.
func (s *Shard) reportTorrent(p *swarm.Presence) bool {
	ab := s.chores.abroad
	ab.presence = record.Presence{Key: p.Key, Counts: record.Counts(p.PeerCounts)}
	ok := s.post.Bridge(record.MailPresence, &ab.presence, true)
	ab.full = ab.full || !ok
	return ok
}

// resendTorrents tells the bridge of all torrents within a time.
func (s *Shard) resendTorrents(within time.Duration) {
	ab := s.chores.abroad
	ab.place, ab.period, ab.pass = 0, max(within, time.Second/4), paced.Scan{}
}
