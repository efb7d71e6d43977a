package swarm

// This file owns the way into a Table for the content of others: it takes their records of peers.

import (
	"cmp"
	"slices"
)

// Restoring fills a new Table with the records of others. It is used by the thread of its table, which does nothing else
// meanwhile. What it cannot take it leaves out and counts.
type Restoring struct {
	t     *Table
	now   uint32
	line  uint32           // the number in line of a record whose Line is 0
	lines map[uint32]uint8 // of the members, by slot, whose Line is not 0
	ages  []agedOffers     // by age
	count Restored
}

// agedOffers are the pending offers of one age, which follow each other in the chain of all offers.
type agedOffers struct{ age, oldest uint32 } // the oldest of them by slot

// Restored says how much has come into a table, and how much has been left out.
type Restored struct {
	Peers, Offers int           // in the table now, successors included
	LeftOut       [Statuses]int // peers, by the reason why an announce of them would be refused
	OffersTooOld  int           // offers that nobody could answer any more
	OffersLeftOut int           // others: their peer was, or it or the table has enough, or they came in no good order
}

// Restore begins to fill a table. It has its options, its access rule and nothing else: Restore panics if it has peers or
// offers. now is the time for which the ages in the records hold, on the clock of all later calls of the table. The table is
// ready for these at any time; there is no last call. peers and offers say about how many will come. They may be wrong, but if
// they are right the table does not have to grow.
func (t *Table) Restore(now uint32, peers, offers int) *Restoring {
	if t.peers.len() > 0 || t.offers.pending.len() > 0 {
		panic("BUG: swarm.Table.Restore is for a table without peers")
	}
	peers, offers = min(peers, t.o.MaxPeers), min(offers, t.o.MaxPendingOffers)
	t.peers.reserve(peers)
	t.swarms.reserve(peers / 8)
	t.conns.reserve(peers)
	t.offers.pending.reserve(offers)
	t.offers.senders.reserve(min(peers, offers))
	r := &Restoring{t: t, now: now, line: t.line, lines: make(map[uint32]uint8)}
	t.line += 1 << 8 // new successors come behind all restored ones
	return r
}

// Restored returns what has been done up to now.
func (r *Restoring) Restored() Restored {
	c := r.count
	c.Peers, c.Offers = r.t.peers.len(), r.t.offers.pending.len()
	return c
}

// Peer puts a saved peer and its offers into the table. From must name its connection as it is now, and source and origin are
// those of its client as in Announce. Origins may be over their limits: Announce.Full is not asked. Nothing of p is kept.
//
// The records may come in any order and from any number of tables, but those with More must follow the peer's first, in
// their order. If the member of a peer id comes later than its successors, or never, the first in line stands in for it.
//
// The status is StatusAdded, StatusSuccessor, or StatusUpdated for a connection's peer that is there already: it takes only the
// offers then. Any other one says why the peer is left out; StatusAbsent is that of a record with More whose peer was. No
// record, however absurd, harms the table.
func (r *Restoring) Peer(p *SavedPeer, source uint64, origin uint32) Status {
	slot, status := r.peer(p, source, origin)
	if slot == 0 {
		r.count.OffersLeftOut += len(p.Offers)
		if !p.More {
			r.count.LeftOut[status]++
		}
		return status
	}
	if len(p.Offers) > 0 {
		r.offers(slot, status != StatusUpdated, p.Offers)
	}
	return status
}

// peer returns the slot of the peer of a record, 0 if it is left out.
func (r *Restoring) peer(p *SavedPeer, source uint64, origin uint32) (slot uint32, status Status) {
	t := r.t
	if !t.Allowed(&p.Key.Hash) {
		return 0, StatusForbidden
	}
	s, m := t.findSwarm(&p.Key), uint32(0)
	if s != 0 {
		m = t.findPeer(s, &p.Peer)
	}
	if m != 0 {
		slot = t.findRecord(s, &p.Peer, m, p.From)
	}
	switch {
	case slot != 0:
		return slot, StatusUpdated
	case p.More:
		return 0, StatusAbsent
	}
	a := Announce{Key: p.Key, Peer: p.Peer, From: p.From, Source: source, Origin: origin, Left: LeftMore}
	if p.Seeder {
		a.Left = LeftZero
	}
	seen := r.now - min(p.Age, maxAge)
	if m == 0 {
		s, slot, status = t.join(seen, &a, s)
	} else {
		slot, status = t.succeed(seen, &a, m)
	}
	if slot != 0 {
		sw := t.swarms.at(s)
		if p.Downloaded > sw.downloaded {
			sw.downloaded = p.Downloaded
			t.changed(sw)
		}
		r.place(p, slot, m)
	}
	return slot, status
}

// maxAge is the greatest age of a peer, in seconds. A greater one would soon be that of a peer that has just announced.
const maxAge = 1 << 31

// place gives a peer that has just come its class and its place in line. m is the slot of the member of its peer id that was
// there, or 0.
func (r *Restoring) place(p *SavedPeer, slot, m uint32) {
	t := r.t
	pr := t.peers.at(slot)
	fresh := !t.quietAt(r.now, pr)
	if m == 0 {
		t.set(slot, p.Seeder, fresh)
		if p.Line > 0 {
			r.lines[slot] = p.Line
		}
		return
	}
	pr.role, pr.place = successorRole(fresh), r.line+uint32(p.Line)
	if standIn := r.lines[m]; p.Line < standIn {
		t.exchange(m, slot, r.line+uint32(standIn))
		if p.Line > 0 {
			r.lines[slot] = p.Line
		}
	}
}

// offers gives the peer at slot p offers that are older than those that it has. A new peer has none.
func (r *Restoring) offers(p uint32, isNew bool, saved []SavedOffer) {
	t, o := r.t, &r.t.offers
	h, own := hashSender(t.o.Seed, p), uint32(0)
	if !isNew {
		own = o.findSender(h, p)
	}
	for i, offer := range saved {
		if offer.Age >= t.o.MaxOfferAge {
			r.count.OffersTooOld++
			continue
		}
		// A search in the table takes long: it is left to those few that may find something.
		twice := slices.ContainsFunc(saved[:i], func(o SavedOffer) bool { return o.Fingerprint == offer.Fingerprint }) ||
			!isNew && own != 0 && o.find(offer.Fingerprint, own) != 0
		if twice || !r.room(own, &offer) {
			r.count.OffersLeftOut++
			continue
		}
		if own == 0 {
			own = o.senders.insert(h, sender{peer: p})
		}
		slot := o.add(offer.Fingerprint, own)
		o.pending.at(slot).at = r.now - offer.Age
		o.enchainOwn(slot, own)
		o.enchainAll(slot, r.older(slot, offer.Age))
	}
}

// room reports whether the sender at slot own, 0 for one without offers, may have one more, and this is not newer than one
// before.
func (r *Restoring) room(own uint32, saved *SavedOffer) bool {
	t, o := r.t, &r.t.offers
	if o.pending.len() >= t.o.MaxPendingOffers || t.o.MaxPendingPerPeer == 0 {
		return false
	}
	if own == 0 {
		return true
	}
	s := o.senders.at(own)
	return int(s.count) < t.o.MaxPendingPerPeer && saved.Age >= r.now-o.pending.at(s.own.oldest).at
}

// older makes the offer at a slot the oldest of its age. It returns the slot of the offer that is the next newer one, 0 if
// there is none.
func (r *Restoring) older(slot, age uint32) (newer uint32) {
	i, found := slices.BinarySearchFunc(r.ages, age, func(a agedOffers, age uint32) int { return cmp.Compare(a.age, age) })
	if found {
		newer = r.ages[i].oldest
		r.ages[i].oldest = slot
		return newer
	}
	if i > 0 {
		newer = r.ages[i-1].oldest
	}
	r.ages = slices.Insert(r.ages, i, agedOffers{age, slot})
	return newer
}
