package swarm

// This file proves that offers of peers on other nodes find receivers, and answers their way back.

import "testing"

// visitOf returns a visit of a peer of a node with offers of these ids.
func visitOf(peer int, node uint16, conn uint32, ids ...int) Visit {
	v := Visit{Key: announceOf(0, 0, 0, 0).Key, Peer: testID('p', peer), From: Addr{Index: conn, Gen: 3, Shard: 9, Node: node}}
	for _, id := range ids {
		v.Offers = append(v.Offers, testID('o', id))
	}
	return v
}

// visited returns a table with leechers 1 to n, each on the connection of its number, that has nodes 1 and 2 beside it.
// visit lets a visit come and says how many offers find receivers, and answer lets one answer another's offer and returns
// the address to which the answer goes.
func visited(o Options, n int) (table *Table, visit func(now uint32, v Visit) int,
	answer func(now uint32, from, to, id int) (Addr, AnswerStatus)) {
	table = New(o)
	for i := range n {
		a := announceOf(1+i, uint32(1+i), LeftMore, EventUpdate)
		table.Announce(0, &a, nil)
	}
	table.SetNodes([]uint16{1, 2})
	visit = func(now uint32, v Visit) int { return len(table.Visit(now, &v, nil)) }
	answer = func(now uint32, from, to, id int) (Addr, AnswerStatus) {
		return table.Answer(now, &Answer{
			Key: announceOf(0, 0, 0, 0).Key, Peer: testID('p', from), From: addrOf(uint32(from)), To: testID('p', to), Offer: testID('o', id),
		})
	}
	return table, visit, answer
}

// The answer to an offer of another node's peer goes to the connection from which that came, once, in time, while its node
// is there. A guest changes no counts, and is forgotten with its last offer.
func TestAnswersToGuests(t *testing.T) {
	table, visit, answer := visited(farOptions(1), 1)
	v := visitOf(7, 1, 5, 10, 11)
	f := func(now uint32, from, to, id int, want AnswerStatus, guests int) {
		t.Helper()
		at, got := answer(now, from, to, id)
		if got != want || want == AnswerRelay && at != v.From {
			t.Fatalf("answer by %d to %d about %d: %s to %+v, want %s", from, to, id, got, at, want)
		}
		if n := table.Counts().Guests; n != guests {
			t.Fatalf("%d guests, want %d", n, guests)
		}
		checkTable(t, table)
	}
	f(0, 1, 7, 10, AnswerNoPeer, 0)
	v.Offers = v.Offers[:1]
	if targets := table.Visit(0, &v, []Target{{Peer: testID('x', 1)}}); len(targets) != 2 || targets[0].Peer != testID('x', 1) ||
		targets[1] != (Target{To: addrOf(1), Peer: testID('p', 1)}) {
		t.Fatalf("targets are %+v", targets)
	}
	if c := table.Counts(); c.Peers != 1 || c.PendingOffers != 1 || c.Connections != 1 {
		t.Fatalf("counts are %+v", c)
	}
	f(0, 1, 7, 11, AnswerNoOffer, 1)
	f(0, 2, 7, 10, AnswerNotPeer, 1)
	f(0, 1, 8, 10, AnswerNoPeer, 1)
	f(119, 1, 7, 10, AnswerRelay, 0)
	f(119, 1, 7, 10, AnswerNoPeer, 0)

	visit(200, v)
	f(320, 1, 7, 10, AnswerNoOffer, 0) // too late
	visit(400, v)
	table.Sweep(519, 10)
	f(519, 1, 7, 11, AnswerNoOffer, 1)
	table.Sweep(520, 10)
	f(520, 1, 7, 10, AnswerNoPeer, 0)

	visit(600, v)
	table.SetNodes([]uint16{2})
	f(600, 1, 7, 10, AnswerNoPeer, 1)
	if n := visit(600, v); n != 0 {
		t.Fatalf("%d offers of a node that is not there are relayed", n)
	}
	table.SetNodes([]uint16{2, 1})
	f(600, 1, 7, 10, AnswerRelay, 0)
}

// Of senders with one peer id the member and its successors come first, and then guests in the order in which they came,
// each with its own connection.
func TestGuestsOfOneID(t *testing.T) {
	table, visit, answer := visited(farOptions(1), 1)
	a := announceOf(7, 7, LeftMore, EventUpdate)
	a.Offers = []ID{testID('o', 10)}
	table.Announce(0, &a, nil)
	successor := a
	successor.From = addrOf(8)
	table.Announce(0, &successor, nil)
	first, second := visitOf(7, 1, 5, 10, 11), visitOf(7, 2, 5, 10, 12)
	for range 2 { // known ones keep their place
		if n := visit(0, first) + visit(0, second); n != 2 {
			t.Fatalf("%d offers are relayed, want 2: none to the sender's id", n)
		}
	}
	f := func(id int, want Addr, wantStatus AnswerStatus) {
		t.Helper()
		if to, got := answer(0, 1, 7, id); to != want || got != wantStatus {
			t.Fatalf("an answer about %d: %s to %+v, want %s to %+v", id, got, to, wantStatus, want)
		}
		checkTable(t, table)
	}
	f(13, Addr{}, AnswerNoOffer)
	f(10, a.From, AnswerRelay)
	f(10, successor.From, AnswerRelay)
	f(10, first.From, AnswerRelay)
	f(10, second.From, AnswerRelay)
	f(10, Addr{}, AnswerNoOffer)
	table.Gone(a.From)
	table.Gone(successor.From)
	f(10, Addr{}, AnswerNoPeer)
}

// A peer id has a bounded number of guests in a torrent, and the table of guests one: the one that came first gives way,
// or the one with the longest time since its visit. Its offers are gone at once, and their memory soon.
func TestGuestsGiveWay(t *testing.T) {
	o := farOptions(1)
	o.MaxVisits = 6
	table, visit, answer := visited(o, 3)
	f := func(v Visit, want, guests, pending int, pushedOut uint64) {
		t.Helper()
		got := visit(0, v)
		if c := table.Counts(); got != want || c.Guests != guests || c.PendingOffers != pending || c.GuestsPushedOut != pushedOut {
			t.Fatalf("%d offers are relayed, %+v, want %d, %d guests, %d offers, %d pushed out", got, c, want, guests, pending, pushedOut)
		}
		checkTable(t, table)
	}
	gone := func(peer, id int, want AnswerStatus) {
		t.Helper()
		for from := 1; from <= 3; from++ {
			if _, got := answer(0, from, peer, id); got != want {
				t.Fatalf("an answer to guest %d: %s, want %s", peer, got, want)
			}
		}
	}
	f(visitOf(10, 1, 1, 1, 2, 3), 3, 1, 3, 0)
	f(visitOf(10, 1, 2, 4, 5, 6), 3, 2, 6, 0)
	f(visitOf(10, 1, 3, 7), 1, 3, 7, 0)
	f(visitOf(10, 2, 1, 7), 1, 4, 8, 0)
	f(visitOf(10, 1, 1, 8), 1, 4, 9, 0) // it still is the one that came first
	f(visitOf(10, 2, 2, 9), 1, 4, 6, 1)
	gone(10, 1, AnswerNoOffer)
	f(visitOf(11, 1, 5, 1), 1, 5, 7, 1)
	f(visitOf(12, 1, 5, 1), 1, 6, 8, 1)
	f(visitOf(10, 1, 2, 14), 1, 6, 9, 1) // now another one has been away for longer
	f(visitOf(13, 1, 5, 1), 1, 6, 9, 2)  // (10, 1, 3)
	f(visitOf(14, 1, 5, 1), 1, 6, 9, 3)  // (10, 2, 1)
	f(visitOf(15, 1, 5, 1), 1, 6, 9, 4)  // (10, 2, 2)
	f(visitOf(16, 1, 5, 1), 1, 6, 9, 5)  // 11
	gone(11, 1, AnswerNoPeer)
	for from := 1; from <= 3; from++ {
		answer(0, from, 10, 14)
	}
	f(visitOf(17, 1, 5, 1), 1, 6, 8, 6) // 12
	for table.Sweep(0, 7) > 0 {
	}
	checkTable(t, table)
	if n := table.offers.pending.len(); n != table.Counts().PendingOffers {
		t.Fatalf("%d offers are left", n)
	}
	table.o.MaxVisits = 0
	f(visitOf(18, 1, 5, 1), 0, 6, 8, 6)
}

// Guests have as many pending offers as peers, and these give way in the same order: also where a guest's only offer gives
// way to its next one.
func TestPendingLimitsOfGuests(t *testing.T) {
	o := farOptions(1)
	o.MaxPendingPerPeer, o.MaxPendingOffers = 2, 3
	table, visit, answer := visited(o, 2)
	f := func(now uint32, v Visit, want, guests, pending int, pushedOut uint64) {
		t.Helper()
		got := visit(now, v)
		if c := table.Counts(); got != want || c.Guests != guests || c.PendingOffers != pending || c.OffersPushedOut != pushedOut {
			t.Fatalf("%d offers are relayed, %+v, want %d, %d guests, %d offers, %d pushed out", got, c, want, guests, pending, pushedOut)
		}
		checkTable(t, table)
	}
	f(0, visitOf(10, 1, 1, 1, 2, 3), 2, 1, 2, 0)
	f(1, visitOf(10, 1, 1, 4), 1, 1, 2, 1) // its own oldest
	f(2, visitOf(11, 1, 1, 1, 2), 2, 2, 3, 2)
	f(3, visitOf(12, 2, 1, 1, 2), 2, 2, 3, 4) // the last of 10, and one of 11
	a := announceOf(1, 1, LeftMore, EventUpdate)
	a.Offers = []ID{testID('o', 9)}
	if _, targets := table.Announce(4, &a, nil); len(targets) != 1 || table.Counts().Guests != 1 {
		t.Fatalf("a peer of this node has %d receivers, %d guests are left", len(targets), table.Counts().Guests)
	}
	table.o.MaxPendingPerPeer = 1
	f(5, visitOf(13, 2, 1, 1), 1, 2, 3, 6)
	f(6, visitOf(13, 2, 1, 2), 1, 2, 3, 7)
	for from := 1; from <= 2; from++ {
		answer(6, from, 13, 2)
	}
	f(6, visitOf(13, 2, 1, 3), 1, 2, 3, 7)
}

// A visit is for members of the torrent that are served here, and from another node that is there.
func TestVisitsThatFindNobody(t *testing.T) {
	f := func(name string, want int, o Options, change func(*Table, *Visit)) {
		t.Helper()
		table, visit, _ := visited(o, 2)
		v := visitOf(9, 1, 1, 1, 2, 3)
		change(table, &v)
		if n := visit(0, v); n != want {
			t.Errorf("%s: %d offers are relayed, want %d", name, n, want)
		}
		if n := table.Counts().Guests; n != min(want, 1) {
			t.Errorf("%s: %d guests", name, n)
		}
	}
	f("two peers", 2, farOptions(1), func(*Table, *Visit) {})
	f("one of them the sender", 1, farOptions(1), func(_ *Table, v *Visit) { v.Peer = testID('p', 2) })
	f("the sender alone", 0, farOptions(1), func(table *Table, v *Visit) { table.Gone(addrOf(1)); v.Peer = testID('p', 2) })
	f("this node", 0, farOptions(1), func(_ *Table, v *Visit) { v.From.Node = 0 })
	f("a node that is not there", 0, farOptions(1), func(_ *Table, v *Visit) { v.From.Node = 3 })
	f("another torrent", 0, farOptions(1), func(_ *Table, v *Visit) { v.Key.Family = 6 })
	f("a forbidden torrent", 0, farOptions(1), func(table *Table, _ *Visit) { table.SetAccess(&Access{Mode: AccessAllow}) })
	f("no offers", 0, farOptions(1), func(_ *Table, v *Visit) { v.Offers = nil })
	f("peers elsewhere", 2, farOptions(1), func(table *Table, v *Visit) { table.SetOthers(v.Key, []Others{leechersAt(1, 9)}) })
	o := farOptions(1)
	o.MaxPendingOffers = 0
	f("no room for offers", 0, o, func(*Table, *Visit) {})
	f("a table of a node alone", 0, testOptions(), func(*Table, *Visit) {})
}

// Two nodes choose together: the peers of both are equally likely to get an offer of a peer of one of them, which gets none
// itself, also where it is known on the other node too. A seeder's go to leechers first, on both.
func TestReceiversAreUniformOverTwoTables(t *testing.T) {
	f := func(name string, left Left, offers, wanted, certain int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			here, there := New(farOptions(1)), New(farOptions(1))
			a := mixed(here, 6, 7, 0, left)
			mixed(there, 9, 11, 0, LeftZero)
			here.SetNodes([]uint16{2})
			there.SetNodes([]uint16{1})
			p, _ := there.Presence(a.Key)
			here.SetOthers(a.Key, []Others{{Node: 2, PeerCounts: p.PeerCounts}})
			a.Offers = make([]ID, offers)
			for i := range a.Offers {
				a.Offers[i] = testID('o', i)
			}
			counts := make([]int, 13+21)
			var targets, others []Target
			for range 60_000 {
				_, targets = here.Announce(0, &a, targets[:0])
				v := Visit{Key: a.Key, Peer: testID('z', 1), Seeder: left == LeftZero, From: Addr{Node: 1}}
				for i, to := range targets {
					if to.To.Node != 0 {
						v.Offers = append(v.Offers, a.Offers[i])
					} else {
						counts[to.To.Index]++
					}
				}
				if others = there.Visit(0, &v, others[:0]); len(others) != len(v.Offers) {
					t.Fatalf("%d of %d offers find receivers", len(others), len(v.Offers))
				}
				for _, to := range others {
					counts[13+to.To.Index]++
				}
			}
			var among, rest []int
			for i, n := range counts {
				if leecher := i < 6 || i >= 13 && i < 13+9; leecher && wanted == 15 {
					among = append(among, n)
				} else if !leecher && wanted == 19 || wanted == 34 {
					among = append(among, n)
				} else {
					rest = append(rest, n)
				}
			}
			for _, n := range rest {
				if n != certain*60_000 {
					t.Errorf("a peer of another class has %d offers", n)
				}
			}
			if x := chiSquare(among); x > 4.5 || len(among) != wanted {
				t.Errorf("receivers are not uniform, by %.1f deviations: %v", x, among)
			}
		})
	}
	f("a leecher's offers", LeftMore, 5, 34, 0)
	f("a seeder's offers", LeftZero, 5, 15, 0)
	f("more offers than leechers", LeftZero, 20, 19, 1)
}

// checkGuests checks that each guest has offers, is found by its torrent and peer id, and is in the chain of visits.
func checkGuests(t *testing.T, table *Table) {
	t.Helper()
	g, o := &table.offers.guests, &table.offers
	n, last := 0, uint32(0)
	for slot := g.byVisit.oldest; slot != 0; slot = g.all.at(slot).in.newer {
		x := g.all.at(slot)
		found := g.all.find(x.name, func(y *guest) bool { return y.name == x.name && y.addr() == x.addr() })
		if x.in.older != last || found != slot || o.findSender(hashSender(table.o.Seed, slot|guestBit), slot|guestBit) == 0 {
			t.Fatalf("guest %d is %+v, behind %d", slot, x, last)
		}
		n, last = n+1, slot
	}
	if n != g.all.len() || last != g.byVisit.newest || g.visiting != 0 {
		t.Fatalf("%d guests up to %d in the chain, %d up to %d in the table", n, last, g.all.len(), g.byVisit.newest)
	}
	of := 0
	for slot := range o.senders.high {
		if o.senders.at(slot+1).peer&guestBit != 0 {
			of++
		}
	}
	if of != n {
		t.Fatalf("%d senders of offers are guests, %d guests", of, n)
	}
}
