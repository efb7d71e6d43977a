package cluster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file has the shards of the simulation: tables of torrents with peers, which do what a shard has to do and no more.

// simTorrents is how many torrents there are in a run.
const simTorrents = 6

// simKey returns the key of a torrent. Two of them share a hash.
func simKey(k int) swarm.Key {
	return swarm.Key{Hash: swarm.ID{0: byte(k / 2), 19: 7}, Family: []uint8{4, 6}[k%2]}
}

// simOwner returns the shard of a hash.
func simOwner(hash *swarm.ID, shards int) int { return int(hash[0]) % shards }

// simPeer is a peer.
type simPeer struct {
	id            swarm.ID
	from          swarm.Addr
	seeder, fresh bool
}

// simTorrent is a torrent on one node.
type simTorrent struct {
	peers      []simPeer
	downloaded uint32
	others     map[uint16]record.Counts
	dirty      bool
	reported   time.Duration
	resend     time.Duration // when it is to be told anew; 0: never
}

func (t *simTorrent) counts() (c record.Counts) {
	c.Downloaded = t.downloaded
	if len(t.peers) == 0 {
		return record.Counts{}
	}
	for _, p := range t.peers {
		switch {
		case p.seeder && p.fresh:
			c.FreshSeeders++
			c.Seeders++
		case p.seeder:
			c.Seeders++
		case p.fresh:
			c.FreshLeechers++
			c.Leechers++
		default:
			c.Leechers++
		}
	}
	return c
}

// simShard is one shard of a node.
type simShard struct {
	w        *simWorld
	n        *simNode
	number   int
	torrents [simTorrents]simTorrent
	live     map[uint16]bool
	inbox    [][]byte
}

// take is the mailbox of the shard.
func (s *simShard) take(rec []byte) bool {
	if len(s.inbox) >= 1000 || s.w.chance(s.w.faults.full) {
		return false
	}
	s.inbox = append(s.inbox, bytes.Clone(rec))
	return true
}

// mail gives the bridge a record.
func (s *simShard) mail(kind record.MailKind, r fields) {
	s.n.core.FromShard(s.w.now, s.number, r.Append([]byte{byte(kind)}))
}

// step reads the mail and reports what has changed.
func (s *simShard) step() {
	inbox := s.inbox
	s.inbox = nil
	for _, rec := range inbox {
		s.read(rec)
	}
	for k := range s.torrents {
		t := &s.torrents[k]
		again := t.resend != 0 && s.w.now >= t.resend
		if !again && (!t.dirty || s.w.now-t.reported < time.Second) {
			continue
		}
		if again {
			t.resend = 0
		}
		if len(t.peers) > 0 {
			s.report(k, false)
		}
	}
}

func (s *simShard) report(k int, first bool) {
	t := &s.torrents[k]
	t.dirty, t.reported = false, s.w.now
	s.mail(record.MailPresence, &record.Presence{Key: simKey(k), Counts: t.counts(), First: first})
}

// known returns what the shard knows of the others in a torrent, by their numbers here.
func (s *simShard) known(k int) map[uint16]record.Counts {
	all := make(map[uint16]record.Counts)
	for n, c := range s.torrents[k].others {
		if s.live[n] {
			all[n] = c
		}
	}
	return all
}

// knownList is the same in an order.
func (s *simShard) knownList(k int) (list []record.Other) {
	for n, c := range s.known(k) {
		list = append(list, record.Other{Node: n, Counts: c})
	}
	slices.SortFunc(list, func(a, b record.Other) int { return int(a.Node) - int(b.Node) })
	return list
}

// join lets a new peer come with offers.
func (s *simShard) join(k int) *simPeer {
	w, t := s.w, &s.torrents[k]
	w.serial++
	p := simPeer{fresh: true, seeder: w.rng.IntN(3) == 0}
	binary.LittleEndian.PutUint64(p.id[:], w.serial)
	p.from = swarm.Addr{Index: uint32(w.serial), Gen: uint32(s.n.life), Shard: uint16(s.number)}
	w.homes[p.id] = s.n
	t.peers = append(t.peers, p)
	w.res.Joins++
	r := record.Relay{Key: simKey(k), Peer: p.id, Seeder: p.seeder, From: p.from, Offers: w.newOffers(&p, k)}
	if len(t.peers) == 1 {
		t.others, t.dirty, t.reported = nil, false, w.now
		s.mail(record.MailSeek, &record.Seek{Presence: record.Presence{Key: r.Key, Counts: t.counts(), First: true}, Relay: r})
		return &t.peers[0]
	}
	t.dirty = true
	s.spread(k, &r)
	if len(s.known(k)) > 0 {
		s.mail(record.MailArrived, &record.Arrived{Key: r.Key, Peer: p.id})
	}
	return &t.peers[len(t.peers)-1]
}

// spread sends offers to the nodes that are known to have others.
func (s *simShard) spread(k int, r *record.Relay) {
	known := s.knownList(k)
	nodes := draw(s.w.rng, r.Seeder, known, len(r.Offers))
	for _, o := range known {
		one := record.Routed{Node: o.Node, Relay: *r}
		one.Offers = nil
		for i, n := range nodes {
			if n == o.Node {
				one.Offers = append(one.Offers, r.Offers[i])
			}
		}
		if len(one.Offers) > 0 {
			s.mail(record.MailRelay, &one)
		}
	}
}

// change lets a peer leave, become a seeder, or become quiet or fresh.
func (s *simShard) change(k int) {
	t := &s.torrents[k]
	if len(t.peers) == 0 {
		return
	}
	at := s.w.rng.IntN(len(t.peers))
	p := &t.peers[at]
	switch s.w.rng.IntN(4) {
	case 0, 1:
		t.peers = slices.Delete(t.peers, at, at+1)
	case 2:
		if !p.seeder {
			p.seeder = true
			t.downloaded++
		}
	case 3:
		p.fresh = !p.fresh
	}
	t.dirty = true
	if len(t.peers) == 0 {
		t.downloaded, t.others = 0, nil
		s.report(k, false)
	}
}

// scrape asks for torrents that nobody here is in.
func (s *simShard) scrape() *simScrape {
	w := s.w
	w.serial++
	q := &simScrape{number: w.serial, n: s.n, family: []uint8{4, 6}[w.rng.IntN(2)], since: w.now, faulty: w.faulty}
	r := record.Scrape{Family: q.family, From: swarm.Addr{Index: uint32(w.serial), Gen: uint32(s.n.life), Shard: uint16(s.number)}, Kept: []byte("kept")}
	for k := range simTorrents {
		key := simKey(k)
		if key.Family == q.family && len(s.n.shards[simOwner(&key.Hash, len(s.n.shards))].torrents[k].peers) == 0 {
			r.Hashes = append(r.Hashes, key.Hash)
			q.torrents = append(q.torrents, k)
		}
	}
	w.scrapes[uint32(w.serial)] = q
	s.mail(record.MailScrape, &r)
	return q
}

// simScrape is a scrape under way.
type simScrape struct {
	number   uint64
	n        *simNode
	family   uint8
	torrents []int
	since    time.Duration
	answered bool
	faulty   bool // it began amid faults
	files    []record.File
}

// read takes a record of mail.
func (s *simShard) read(rec []byte) {
	w, b := s.w, rec[1:]
	bad := func(ok bool) {
		if !ok {
			w.failf("node %s: mail %v cannot be read", s.n.id, record.MailKind(rec[0]))
		}
	}
	switch record.MailKind(rec[0]) {
	case record.MailNodes:
		var r record.Nodes
		bad(r.Read(b))
		s.live = make(map[uint16]bool)
		for _, n := range r.Live {
			s.live[n] = true
		}
	case record.MailOthers:
		var r record.Known
		bad(r.Read(b))
		s.others(&r)
	case record.MailVisit:
		var r record.Routed
		bad(r.Read(b))
		s.visit(&r)
	case record.MailAnswered:
		var r record.Answer
		bad(r.Read(b))
		w.answered(s.n, &r)
	case record.MailTold:
		var r record.Scraped
		bad(r.Read(b))
		q := w.scrapes[r.From.Index]
		if q == nil || q.answered || q.n != s.n || string(r.Kept) != "kept" || int(r.From.Shard) != s.number {
			w.failf("node %s: a scrape that nobody waits for is answered: %+v", s.n.id, r)
			return
		}
		q.answered, q.files = true, r.Files
		w.res.Scrapes++
		if took := w.now - q.since; took > askTime+simTick && !q.faulty {
			w.failf("node %s: a scrape took %v", s.n.id, took)
		}
	case record.MailArrived:
		var r record.Arrived
		bad(r.Read(b))
		w.res.Arrivals++
		if w.homes[r.Peer] == s.n {
			w.failf("node %s hears of the arrival of its own peer", s.n.id)
		}
	case record.MailResend:
		var r record.Resend
		bad(r.Read(b))
		for k := range s.torrents {
			s.torrents[k].resend = w.now + 1 + time.Duration(r.Within)*time.Millisecond*time.Duration(k)/simTorrents
		}
	default:
		bad(false)
	}
}

// others takes what is known of the others in a torrent.
func (s *simShard) others(r *record.Known) {
	k := -1
	for i := range simTorrents {
		if simKey(i) == r.Key {
			k = i
		}
	}
	if k < 0 || simOwner(&r.Key.Hash, len(s.n.shards)) != s.number {
		s.w.failf("node %s, shard %d: mail about a torrent of another one: %+v", s.n.id, s.number, r)
		return
	}
	t := &s.torrents[k]
	if len(t.peers) == 0 {
		s.report(k, false)
		return
	}
	t.others = make(map[uint16]record.Counts)
	for _, o := range r.Others {
		t.others[o.Node] = o.Counts
	}
}

// visit takes the offers of a peer elsewhere, and answers some.
func (s *simShard) visit(r *record.Routed) {
	w := s.w
	for i := range r.Offers {
		o := w.offers[r.Offers[i].ID]
		switch {
		case o == nil || o.peer.id != r.Peer || o.peer.from != r.From || simKey(o.torrent) != r.Key:
			w.failf("node %s got an offer that nobody has made: %+v", s.n.id, r)
		case w.homes[r.Peer] == s.n:
			w.failf("node %s got an offer of its own peer", s.n.id)
		case o.delivered:
			w.failf("node %s got an offer that was delivered before", s.n.id)
		default:
			o.delivered = true
			w.res.Offers++
			if w.rng.IntN(2) == 0 {
				a := record.Answering{Node: r.Node, Answer: record.Answer{
					To: r.From, Hash: r.Key.Hash, Offer: r.Offers[i].ID, SDP: []byte(fmt.Sprintf(`"answer %d"`, o.number)),
				}}
				s.mail(record.MailAnswer, &a)
			}
		}
	}
}
