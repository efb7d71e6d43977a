package swarm

// This file proves that the content of tables can move into others, by the naive model of model_test.go.

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// world are tables with their models that share a seed and divide the torrents, as the shards of a process do.
type world struct {
	t     *testing.T
	r     *rand.Rand
	o     Options
	ids   int
	pairs []*pair
}

// newWorld returns n empty tables. A clock begins anywhere.
func newWorld(t *testing.T, r *rand.Rand, n, ids int, o Options) *world {
	w := &world{t: t, r: r, o: o, ids: ids}
	now := r.Uint32()
	if r.IntN(3) == 0 {
		now = -uint32(r.IntN(100)) // it passes 2^32 soon
	}
	for i := range n {
		p := newPair(t, ids, o, r.IntN)
		p.now, p.hashes = now, nil
		for k := range 12 {
			if id := testID('h', k); Owner(o.Seed, &id, n) == i {
				p.hashes = append(p.hashes, k)
			}
		}
		if r.IntN(2) == 0 {
			shrink(p.table)
		}
		w.pairs = append(w.pairs, p)
	}
	return w
}

// run does operations on all tables that own a torrent.
func (w *world) run(steps int) {
	for _, p := range w.pairs {
		for range steps {
			if len(p.hashes) > 0 {
				p.one()
			}
		}
		checkTable(w.t, p.table)
	}
}

// savedOf is all that the records of a peer say.
type savedOf struct {
	records []SavedPeer
	status  Status // of the first record
	from    *pair
}

// save returns the records of all tables by peer, the peers in any order, with small records and small pieces.
func (w *world) save() (all []*savedOf) {
	for _, p := range w.pairs {
		n := 0
		record := &SavedPeer{Offers: make([]SavedOffer, 0, 1+w.r.IntN(4))}
		for at, first := uint32(0), true; first || at != 0; first = false {
			at = p.table.save(at, 1+w.r.IntN(9), p.now, record, func(s *SavedPeer) {
				n++
				clone := *s
				clone.Offers = slices.Clone(s.Offers)
				if !s.More {
					all = append(all, &savedOf{from: p})
				}
				last := all[len(all)-1]
				last.records = append(last.records, clone)
				*s = SavedPeer{} // it is the caller's until it returns
			})
			record.Offers = make([]SavedOffer, 0, 1+w.r.IntN(4))
		}
		if c := p.table.Counts(); n < c.Peers+c.Successors {
			w.t.Fatalf("%d records, counts are %+v", n, c)
		}
	}
	w.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// moved returns the name that a connection has in the next world.
func (w *world) moved(a Addr) Addr {
	return Addr{Index: uint32(1+w.ids/4) - a.Index, Gen: 1 - a.Gen, Shard: 1 - a.Shard}
}

// sourceOf returns the source of a connection, which depends on its place alone.
func sourceOf(a Addr) uint64 { return uint64(a.Index%3) << 40 }

// restore fills the next world, and gives its models what has to be in its tables.
func (w *world) restore(next *world) (counts []Restored) {
	all := w.save()
	into := make([]*Restoring, len(next.pairs))
	for i, p := range next.pairs {
		into[i] = p.table.Restore(p.now, w.r.IntN(100_000), w.r.IntN(100_000))
	}
	owner := func(s *savedOf) int { return Owner(next.o.Seed, &s.records[0].Key.Hash, len(next.pairs)) }
	for _, s := range all {
		for i := range s.records {
			record := s.records[i]
			record.From = w.moved(record.From)
			status := into[owner(s)].Peer(&record, sourceOf(record.From), originOf(record.From))
			if i == 0 {
				s.status = status
			}
		}
	}
	// Those that have come in are put into the models in their order.
	slices.SortStableFunc(all, func(a, b *savedOf) int { return cmp.Compare(a.records[0].Line, b.records[0].Line) })
	for _, s := range all {
		next.pairs[owner(s)].adopt(w, s)
	}
	for i, p := range next.pairs {
		p.adoptOffers(w)
		p.compareRestored()
		counts = append(counts, into[i].Restored())
		checkTable(next.t, p.table)
	}
	return counts
}

// adopt puts a peer that the table has taken into the model.
func (p *pair) adopt(w *world, s *savedOf) {
	first := &s.records[0]
	p.what = func() string { return fmt.Sprintf("restore %+v: %s", first, s.status) }
	switch allowed := p.model.allows(first.Key.Hash); {
	case allowed == (s.status == StatusForbidden):
		p.fatalf("allowed is %t", allowed)
	case s.status != StatusAdded && s.status != StatusSuccessor:
		return
	}
	old := s.from.model.record(first.Key, first.Peer, first.From)
	if old == nil || old.seeder != first.Seeder || s.from.now-old.seen != first.Age {
		p.fatalf("the peer was %+v", old)
	}
	owner := w.moved(old.owner)
	now := &modelPeer{owner: owner, source: sourceOf(owner), seeder: old.seeder, seen: p.now - (s.from.now - old.seen)}
	sw := p.model.swarms[first.Key]
	if sw == nil {
		sw = &modelSwarm{peers: make(map[ID]*modelPeer), downloaded: s.from.model.swarms[first.Key].downloaded}
		p.model.swarms[first.Key] = sw
	}
	if member := sw.peers[first.Peer]; member != nil {
		member.successors = append(member.successors, now)
	} else {
		sw.peers[first.Peer] = now
	}
}

// adoptOffers puts the offers of another world that the table has now into the model, in the order of the table. Those of
// one second have no order, but for those of one sender.
func (p *pair) adoptOffers(w *world) {
	p.what = func() string { return "restore offers" }
	o := &p.table.offers
	place := make(map[uint32]int)
	for slot := o.all.oldest; slot != 0; slot = o.pending.at(slot).inAll.newer {
		place[slot] = len(place)
	}
	var found []modelOffer
	places := make(map[modelOffer]int)
	for _, from := range w.pairs {
		last := make(map[modelOffer]int) // by sender
		for _, offer := range from.model.offers {
			age := from.now - offer.at
			offer.from, offer.at = w.moved(offer.from), p.now-age
			slot := p.slotOf(&offer)
			if slot == 0 {
				continue
			}
			if o.pending.at(slot).at != offer.at {
				p.fatalf("an offer of %d s has %d s now", age, p.now-o.pending.at(slot).at)
			}
			places[offer] = place[slot]
			found = append(found, offer)
			sender := modelOffer{key: offer.key, sender: offer.sender, from: offer.from}
			if before, ok := last[sender]; ok && place[slot] < before {
				p.fatalf("the offers of a sender have changed their order")
			}
			last[sender] = place[slot]
		}
	}
	if len(found) != len(place) {
		p.fatalf("%d offers are in the table, %d of them from a model", len(place), len(found))
	}
	slices.SortFunc(found, func(a, b modelOffer) int { return cmp.Compare(places[a], places[b]) })
	p.model.offers = found
}

// slotOf returns the slot of an offer in the table, or 0.
func (p *pair) slotOf(o *modelOffer) uint32 {
	t := p.table
	s := t.findSwarm(&o.key)
	if s == 0 {
		return 0
	}
	m := t.findPeer(s, &o.sender)
	if m == 0 {
		return 0
	}
	sender := t.findRecord(s, &o.sender, m, o.from)
	own := t.offers.findSender(hashSender(t.o.Seed, sender), sender)
	if sender == 0 || own == 0 {
		return 0
	}
	return t.offers.find(t.fingerprint(&o.receiver, &o.offer), own)
}

// compareRestored compares a table that has just been restored with its model.
func (p *pair) compareRestored() {
	p.what = func() string { return "restored" }
	p.compareCounts()
	if len(p.hashes) > 0 {
		p.look()
	}
	p.model.each(func(k Key, id ID, r *modelPeer) {
		if r == p.model.peer(k, id) && p.quiet(k, id) != (p.now-r.seen >= p.model.o.MaxPeerAge) {
			p.fatalf("a peer of %d s is in the wrong class", p.now-r.seen)
		}
	})
}

// worldOptions returns random limits.
func worldOptions(r *rand.Rand) Options {
	o := Options{
		Seed: [2]uint64{r.Uint64(), r.Uint64()}, MaxPeerAge: 10 + r.Uint32N(50), MaxOfferAge: 5 + r.Uint32N(50),
		MaxPeersPerConnection: 1 + r.IntN(40), MaxIDsPerTorrent: 1 + r.IntN(8), MaxPeers: 1 + r.IntN(60),
		MaxPendingOffers: r.IntN(60), MaxPendingPerPeer: r.IntN(12),
	}
	o.MaxQuietAge = o.MaxPeerAge + r.Uint32N(100)
	return o
}

// Tables that have taken over the content of others, with another number of tables, other names of connections and another
// clock, go on as the model of the others does, again and again: with the same counts, answers, successors and ages.
func TestUpgradeAgainstModel(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 2))
			o, ids := worldOptions(r), 2+r.IntN(40)
			w := newWorld(t, r, 1+r.IntN(4), ids, o)
			for range 4 {
				w.run(400)
				n := len(w.pairs)
				o.MaxPeers, o.MaxPeersPerConnection, o.MaxPendingOffers = n*o.MaxPeers, n*o.MaxPeersPerConnection, n*o.MaxPendingOffers
				next := newWorld(t, r, 1+r.IntN(4), ids, o)
				if r.IntN(3) == 0 {
					next.pairs[0].setAccess()
				}
				for _, c := range w.restore(next) {
					c.LeftOut[StatusForbidden] = 0
					if forbidden := next.pairs[0].model.access != AccessOff; c.LeftOut != [Statuses]int{} || c.OffersLeftOut > 0 && !forbidden {
						t.Fatalf("left out: %+v", c)
					}
				}
				w = next
			}
			w.run(1000)
			for _, p := range w.pairs {
				p.drain()
			}
		})
	}
}

// Where the limits are smaller than before, a table leaves out what does not fit, says how much and why, and goes on as the
// model of the rest does.
func TestUpgradeToSmallerLimits(t *testing.T) {
	seeds := 200
	if testing.Short() {
		seeds = 40
	}
	var reasons [Statuses]int
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		o, ids := worldOptions(r), 2+r.IntN(40)
		w := newWorld(t, r, 1+r.IntN(4), ids, o)
		w.run(600)
		small := worldOptions(r)
		small.Seed = o.Seed
		next := newWorld(t, r, 1+r.IntN(4), ids, small)
		sum := func(counts []Restored) (peers, offers int) {
			for _, c := range counts {
				peers, offers = peers+c.Peers, offers+c.Offers+c.OffersLeftOut+c.OffersTooOld
				for status, n := range c.LeftOut {
					peers += n
					reasons[status] += n
				}
			}
			return peers, offers
		}
		peers, offers := sum(w.restore(next))
		for _, p := range w.pairs {
			c := p.table.Counts()
			peers, offers = peers-c.Peers-c.Successors, offers-c.PendingOffers
		}
		if peers != 0 || offers != 0 {
			t.Fatalf("seed %d: %d peers and %d offers more than there were", seed, peers, offers)
		}
		next.run(600)
		for _, p := range next.pairs {
			p.drain()
		}
	}
	for _, s := range []Status{StatusTableFull, StatusConnectionFull, StatusTooManyIDs} {
		if reasons[s] == 0 {
			t.Errorf("no peer was left out with %s", s)
		}
	}
}
