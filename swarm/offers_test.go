package swarm

// This file proves the rules by which offers are remembered, answered and forgotten.

import "testing"

// offerTable returns a table with peers 1 to n in one swarm, each on the connection of its number, and
// functions that let one offer to all others and let one answer another's offer.
func offerTable(o Options, n int) (table *Table, offer func(now uint32, from int, ids ...int) int,
	answer func(now uint32, from, to, id int) AnswerStatus) {
	table = New(o)
	key := Key{Hash: testID('h', 1)}
	offer = func(now uint32, from int, ids ...int) int {
		a := Announce{Key: key, Peer: testID('p', from), From: Addr{Index: uint32(from)}}
		for _, id := range ids {
			a.Offers = append(a.Offers, testID('o', id))
		}
		_, targets := table.Announce(now, &a, nil)
		return len(targets)
	}
	answer = func(now uint32, from, to, id int) AnswerStatus {
		at, s := table.Answer(now, &Answer{
			Key: key, Peer: testID('p', from), From: Addr{Index: uint32(from)}, To: testID('p', to), Offer: testID('o', id),
		})
		if s == AnswerRelay && at != (Addr{Index: uint32(to)}) {
			panic("the answer goes to the wrong connection")
		}
		return s
	}
	for i := range n {
		offer(0, i+1)
	}
	return table, offer, answer
}

// An answer is relayed once, in time, between the two peers of an offer that was relayed, and otherwise not.
func TestAnswerRules(t *testing.T) {
	table, offer, answer := offerTable(testOptions(), 2)
	offer(0, 1, 10)
	f := func(now uint32, from, to, id int, want AnswerStatus) {
		t.Helper()
		if got := answer(now, from, to, id); got != want {
			t.Fatalf("answer by %d to %d about %d: %s, want %s", from, to, id, got, want)
		}
	}
	f(0, 3, 1, 10, AnswerNotPeer)
	f(0, 2, 3, 10, AnswerNoPeer)
	f(0, 2, 1, 11, AnswerNoOffer)
	f(0, 1, 2, 10, AnswerNoOffer)
	f(119, 2, 1, 10, AnswerRelay)
	f(119, 2, 1, 10, AnswerNoOffer)

	offer(200, 1, 10)
	offer(300, 1, 10) // the same offer again lives longer
	f(419, 2, 1, 10, AnswerRelay)
	offer(500, 1, 10)
	f(620, 2, 1, 10, AnswerNoOffer)
	if c := table.Counts(); c.OffersExpired != 1 || c.PendingOffers != 0 {
		t.Fatalf("counts are %+v", c)
	}

	offer(700, 1, 10, 11)
	other := Answer{Key: Key{Hash: testID('h', 1)}, Peer: testID('p', 2), From: Addr{Index: 9}, To: testID('p', 1)}
	if _, s := table.Answer(700, &other); s != AnswerNotPeer {
		t.Fatalf("an impostor's answer: %s", s)
	}
	other.Key.Family = 6
	if _, s := table.Answer(700, &other); s != AnswerNotPeer {
		t.Fatalf("an answer in an unknown swarm: %s", s)
	}
}

// If a sender has as many pending offers as it may, the oldest of its own gives way. If the table has, the
// oldest of all gives way. An offer that is too old anyway counts as expired, not as pushed out.
func TestPendingLimits(t *testing.T) {
	o := testOptions()
	o.MaxPendingPerPeer, o.MaxPendingOffers = 3, 5
	table, offer, answer := offerTable(o, 2)
	f := func(got, want, pending int, pushedOut uint64) {
		t.Helper()
		c := table.Counts()
		if got != want || c.PendingOffers != pending || c.OffersPushedOut != pushedOut {
			t.Fatalf("relayed %d, want %d; %d pending, want %d; %d pushed out, want %d",
				got, want, c.PendingOffers, pending, c.OffersPushedOut, pushedOut)
		}
	}
	f(offer(0, 1, 10), 1, 1, 0)
	f(offer(1, 1, 11), 1, 2, 0)
	f(offer(2, 1, 12), 1, 3, 0)
	f(offer(3, 1, 13), 1, 3, 1)
	if s := answer(3, 2, 1, 10); s != AnswerNoOffer {
		t.Fatalf("the offer that gave way: %s", s)
	}
	f(offer(3, 2, 20), 1, 4, 1)
	f(offer(3, 2, 21), 1, 5, 1)
	f(offer(4, 2, 22), 1, 5, 2) // the table is full: 11, the oldest of all
	offer(5, 3)
	f(offer(5, 3, 30, 31), 2, 5, 4) // 12 and 13, the oldest of all
	if s := answer(5, 2, 1, 13); s != AnswerNoOffer {
		t.Fatalf("the offer of another peer that gave way: %s", s)
	}
	f(offer(123, 3, 32, 33), 2, 5, 5) // the table is full: 20, too old; the sender has three: 30, its own
	if c := table.Counts(); c.OffersExpired != 1 {
		t.Fatalf("%d offers have expired, want 1", c.OffersExpired)
	}
	if s := answer(123, 1, 2, 22); s != AnswerRelay {
		t.Fatalf("an offer older than the one of its sender that gave way: %s", s)
	}
}

// A table full of pending offers still relays those of everybody: each announce relays as many as the table
// can hold, and none of them gives way to another of the same announce.
func TestFullTableStopsNobody(t *testing.T) {
	o := testOptions()
	o.MaxPendingOffers = 2
	table, offer, _ := offerTable(o, 5)
	for i := range 5 {
		if n := offer(0, i+1, 1, 2, 3); n != 2 {
			t.Fatalf("peer %d: %d offers are relayed, want 2", i+1, n)
		}
	}
	if c := table.Counts(); c.PendingOffers != 2 || c.OffersPushedOut != 8 {
		t.Fatalf("counts are %+v", c)
	}
}

// A peer that leaves takes its pending offers with it, and a sweep forgets those that are too old, so
// that an empty table remembers nothing.
func TestOffersGoWithTheirSender(t *testing.T) {
	table, offer, answer := offerTable(testOptions(), 4)
	offer(0, 1, 1, 2, 3)
	offer(0, 2, 1, 2)
	if n := table.Counts().PendingOffers; n != 5 {
		t.Fatalf("%d pending offers, want 5", n)
	}
	table.Gone(Addr{Index: 1})
	if n := table.Counts().PendingOffers; n != 2 {
		t.Fatalf("%d pending offers are left, want 2", n)
	}
	offer(0, 1)
	for from := 2; from <= 4; from++ {
		for id := 1; id <= 3; id++ {
			if s := answer(0, from, 1, id); s != AnswerNoOffer {
				t.Fatalf("an offer of a peer that had left: %s", s)
			}
		}
	}
	table.Sweep(119, 1)
	if c := table.Counts(); c.PendingOffers != 2 || c.OffersExpired != 0 {
		t.Fatalf("counts after 119 s are %+v", c)
	}
	table.Sweep(120, 1)
	if c := table.Counts(); c.PendingOffers != 1 || c.OffersExpired != 1 {
		t.Fatalf("counts after 120 s and one entry of work are %+v", c)
	}
}

// pendingOf returns a table in which one connection has n peers with the same number of pending offers each,
// all of them to a peer of another connection.
func pendingOf(n, offers int) *Table {
	o := testOptions()
	o.MaxPeersPerConnection, o.MaxIDsPerTorrent = n, n
	table := New(o)
	a := Announce{Key: Key{Hash: testID('h', 1)}, Peer: testID('p', 0), From: Addr{Index: 2}}
	table.Announce(0, &a, nil)
	a.From, a.Offers = Addr{Index: 1}, make([]ID, 1)
	for i := range n {
		for k := range offers {
			a.Peer, a.Offers[0] = testID('p', 1+i), testID('o', k)
			table.Announce(0, &a, nil)
		}
	}
	return table
}

// A connection that closes costs a bounded number of entries for each of its peers, with any number of
// pending offers. The offers are gone at once all the same: no answer to them is relayed, they are not
// counted, and they keep no others out. The next sweeps or announces free their memory and count nothing.
func TestGoneLeavesOffersToLaterCalls(t *testing.T) {
	const peers, offers = 50, 40
	f := func(name string, free func(table *Table)) {
		t.Helper()
		table := pendingOf(peers, offers)
		before := table.offers.pending.len()
		if before < peers*offers/2 || table.Counts().PendingOffers != before {
			t.Fatalf("%s: %d offers are pending, and the counts are %+v", name, before, table.Counts())
		}
		if n := table.Gone(Addr{Index: 1}); n != peers {
			t.Fatalf("%s: %d peers are removed, want %d", name, n, peers)
		}
		if dropped := before - table.offers.pending.len(); dropped > orphansAtOnce*peers {
			t.Fatalf("%s: %d offers are dropped for %d peers", name, dropped, peers)
		}
		checkTable(t, table)
		if n := table.Counts().PendingOffers; n != 0 {
			t.Fatalf("%s: %d offers are pending after their senders have gone", name, n)
		}
		free(table)
		checkTable(t, table)
		c := table.Counts()
		if n := table.offers.pending.len(); n != c.PendingOffers || c.OffersExpired+c.OffersPushedOut != 0 {
			t.Fatalf("%s: %d offers are left, and the counts are %+v", name, n, c)
		}
	}
	f("sweeps", func(table *Table) {
		for work := 1; work > 0; {
			if work = table.Sweep(0, 7); work > 7 {
				t.Fatalf("a sweep touched %d entries", work)
			}
		}
	})
	f("announces in a table that is full of them", func(table *Table) {
		table.o.MaxPendingOffers = table.offers.pending.len()
		a := Announce{Key: Key{Hash: testID('h', 1)}, From: Addr{Index: 3}, Offers: make([]ID, 1)}
		for i := range table.o.MaxPendingOffers {
			a.Peer, a.Offers[0] = testID('q', i/offers), testID('o', i%offers)
			if _, targets := table.Announce(0, &a, nil); len(targets) != 1 {
				t.Fatalf("offer %d is not relayed", i)
			}
		}
	})
}

// Many senders that offer the same to a receiver of the same peer id make no long chain in the table of offers, although all
// these offers have one fingerprint.
func TestAlikeOffersAreSpread(t *testing.T) {
	const senders = 20_000
	table := New(testOptions())
	for i := range senders {
		a := Announce{Key: Key{Hash: testID('h', i)}, Peer: testID('r', 0), From: Addr{Index: uint32(i)}}
		table.Announce(0, &a, nil)
		a.Peer, a.From.Gen, a.Offers = testID('s', 0), 1, make([]ID, 1)
		table.Announce(0, &a, nil)
	}
	o, longest := &table.offers.pending, 0
	for i := range o.buckets {
		n := 0
		for l := o.heads[i>>pageBits][i%pageLen]; l != 0; l = *o.link(l & slotMask) {
			n++
		}
		longest = max(longest, n)
	}
	if o.len() != senders || longest > 4*load {
		t.Errorf("%d offers, the longest chain has %d", o.len(), longest)
	}
}

// An offer is found only as its sender's, even if another sender has one with the same fingerprint in the same chain.
func TestOfferOfAnotherSender(t *testing.T) {
	table := New(testOptions())
	table.offers.add(7, 1)
	for own := range uint32(1 << 20) {
		if found := table.offers.find(7, own) != 0; found != (own == 1) {
			t.Fatalf("the offer of sender 1 is found for sender %d: %t", own, found)
		}
	}
}

// checkOffers checks the invariants of the memory of offers: each offer is in the chain of all and in that of
// its sender, in the order of time, and each sender is either found by its peer or among the orphans.
func checkOffers(t *testing.T, table *Table) {
	t.Helper()
	o := &table.offers
	own := make(map[uint32][]uint32)
	n, last, at := 0, uint32(0), uint32(0)
	for slot := o.all.oldest; slot != 0; slot = o.pending.at(slot).inAll.newer {
		p := o.pending.at(slot)
		if p.inAll.older != last || n > 0 && int32(p.at-at) < 0 || o.find(p.fingerprint, p.sender) != slot {
			t.Fatalf("offer %d is %+v after offer %d of %d", slot, p, last, at)
		}
		own[p.sender] = append(own[p.sender], slot)
		n, last, at = n+1, slot, p.at
	}
	if n != o.pending.len() || last != o.all.newest {
		t.Fatalf("%d offers up to %d in the chain of all, %d up to %d in the table", n, last, o.pending.len(), o.all.newest)
	}
	orphans, orphaned := 0, 0
	for slot := o.orphaned; slot != 0; slot = o.senders.at(slot).next {
		orphans += int(o.senders.at(slot).count)
		orphaned++
		if o.senders.at(slot).peer != 0 {
			t.Fatalf("orphaned sender %d is %+v", slot, o.senders.at(slot))
		}
	}
	if orphans != o.orphans || len(own) != orphaned+o.senders.len() {
		t.Fatalf("%d orphans of %d senders, %d of %d in all", orphans, orphaned, o.orphans, len(own))
	}
	for slot, offers := range own {
		s := o.senders.at(slot)
		if int(s.count) != len(offers) || s.own.oldest != offers[0] || s.own.newest != offers[len(offers)-1] {
			t.Fatalf("sender %d is %+v, its offers are %v", slot, s, offers)
		}
		if s.peer == 0 {
			continue
		}
		isThere := s.peer&guestBit != 0 || table.peers.at(s.peer).conn != 0
		if o.findSender(hashSender(table.o.Seed, s.peer), s.peer) != slot || !isThere {
			t.Fatalf("sender %d is %+v and not found", slot, s)
		}
	}
}
