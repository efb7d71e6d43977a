package swarm

// This file proves what a Table makes of the records of others: in bad order, in great number, and absurd ones.

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// savedOfConn returns a record of peer 1 in one torrent, on a connection.
func savedOfConn(conn uint32, line uint8) SavedPeer {
	return SavedPeer{Key: Key{Hash: testID('h', 1)}, Peer: testID('p', 1), From: addrOf(conn), Line: line}
}

// Whatever the order in which the records of a peer id come, and whichever are missing, the first in line is the member,
// and the others follow in their order.
func TestRestoredLine(t *testing.T) {
	f := func(want []uint32, records ...SavedPeer) {
		t.Helper()
		table := New(testOptions())
		r := table.Restore(50, 4, 0)
		for i := range records {
			wantStatus := StatusSuccessor
			if i == 0 {
				wantStatus = StatusAdded
			}
			if i > maxSuccessors {
				wantStatus = StatusNotOwner
			}
			if got := r.Peer(&records[i], 0, 0); got != wantStatus {
				t.Errorf("record %d: %s, want %s", i, got, wantStatus)
			}
			checkTable(t, table)
		}
		table.Announce(50, &Announce{Key: records[0].Key, Peer: records[0].Peer, From: addrOf(9)}, nil)
		var got []uint32
		for table.Has(records[0].Key) {
			m := table.AppendMembers(nil, records[0].Key, 1)[0].From
			got = append(got, m.Index)
			table.Gone(m)
			checkTable(t, table)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the connections have the peer in the order %v, want %v", got, want)
		}
	}
	a, b, c, d := savedOfConn(1, 0), savedOfConn(2, 1), savedOfConn(3, 2), savedOfConn(4, 3)
	f([]uint32{1, 2, 3, 4}, a, b, c, d)
	f([]uint32{1, 2, 3, 4}, d, c, b, a)
	f([]uint32{1, 2, 3, 4}, c, d, a, b)
	f([]uint32{2, 4, 9}, d, b)
	f([]uint32{3, 4, 9}, c, d)
	f([]uint32{4, 9}, d)
	f([]uint32{1, 4, 9}, a, d)
	e, g := savedOfConn(5, 0), savedOfConn(6, 255)
	f([]uint32{1, 5, 6, 9}, g, a, e) // two members: the first one is
	f([]uint32{1, 5, 2, 3}, a, b, e, c, d)
}

// A peer of a torrent that keeps its downloads, with its age, its side and its offers is what it was, and goes when it would
// have gone.
func TestRestoredPeer(t *testing.T) {
	old, o := New(testOptions()), testOptions()
	leecher, seeder := announceOf(1, 1, LeftMore, EventUpdate), announceOf(2, 2, LeftMore, EventUpdate)
	old.Announce(1000, &leecher, nil)
	old.Announce(1000, &seeder, nil)
	seeder.Event, seeder.Offers = EventCompleted, []ID{testID('o', 1)}
	old.Announce(1100, &seeder, nil)
	count := 0
	o.Count = func(origin uint32, delta int) { count += int(origin) * delta }
	table := New(o)
	const now = 3
	r := table.Restore(now, 0, 0)
	old.Save(0, 100, 1219, func(s *SavedPeer) {
		s.From.Index += 10
		if status := r.Peer(s, 0, 100); status != StatusAdded {
			t.Error(status)
		}
	})
	if got := r.Restored(); got != (Restored{Peers: 2, Offers: 1}) || count != 200 {
		t.Errorf("%+v, count %d", got, count)
	}
	k := leecher.Key
	if c, i, d := table.Scrape(k); c != 1 || i != 1 || d != 1 {
		t.Errorf("scrape is %d, %d, %d", c, i, d)
	}
	if c := table.Counts(); c.Quiet != 1 || c.Seeders != 1 { // the leecher has 219 s, the limit is 180 s
		t.Errorf("%+v", c)
	}
	answer := Answer{Key: k, Peer: leecher.Peer, From: addrOf(11), To: seeder.Peer, Offer: testID('o', 1)}
	if to, status := table.Answer(now, &answer); status != AnswerRelay || to != addrOf(12) {
		t.Errorf("%s to %+v", status, to) // the offer has 119 s, the limit is 120 s
	}
	last := uint32(now + 1799 - 219)
	table.Sweep(last, table.Len())
	if c := table.Counts(); c.Peers != 2 {
		t.Errorf("%+v", c)
	}
	table.Sweep(last+1, table.Len())
	if c := table.Counts(); c.Peers != 1 || c.PeersAgedOut != 1 || count != 100 {
		t.Errorf("%+v, count %d", c, count)
	}
}

// A peer with more offers than a record can have gets several records, and all its offers in their order, or the newest of
// them if it may have fewer. Offers that are too old are left out.
func TestRestoredOffers(t *testing.T) {
	const n = 3*MaxSavedOffers - 5
	o := testOptions()
	o.MaxPendingPerPeer = n
	old, offer, _ := offerTable(o, 2)
	for i := range n {
		offer(uint32(i/10), 1, i)
	}
	f := func(now uint32, change func(*Options), want, tooOld, leftOut int) {
		t.Helper()
		changed := o
		change(&changed)
		table := New(changed)
		r, records := table.Restore(7000, 2, n), 0
		old.Save(0, 10, now, func(s *SavedPeer) {
			if len(s.Offers) > MaxSavedOffers || s.More != (records > 0) && s.Peer == testID('p', 1) {
				t.Errorf("%d offers, more is %t", len(s.Offers), s.More)
			}
			if s.Peer == testID('p', 1) {
				records++
			}
			r.Peer(s, 0, 0)
		})
		checkTable(t, table)
		if got := r.Restored(); records != 3 || got.Offers != want || got.OffersTooOld != tooOld || got.OffersLeftOut != leftOut {
			t.Errorf("%d records, %+v, want %d offers", records, got, want)
		}
		answer := Answer{Key: Key{Hash: testID('h', 1)}, Peer: testID('p', 2), From: Addr{Index: 2}, To: testID('p', 1)}
		for i := range n {
			answer.Offer = testID('o', i)
			if _, status := table.Answer(7000, &answer); (status == AnswerRelay) != (i >= n-want) {
				t.Fatalf("answer to offer %d of %d: %s", i, n, status)
			}
		}
	}
	f(76, func(*Options) {}, n, 0, 0)
	f(120, func(*Options) {}, n-10, 10, 0)
	f(76, func(o *Options) { o.MaxPendingPerPeer = 300 }, 300, 0, n-300)
	f(76, func(o *Options) { o.MaxPendingOffers = 299 }, 299, 0, n-299)
	f(76, func(o *Options) { o.MaxPendingPerPeer = 0 }, 0, 0, n)
	f(76, func(o *Options) { o.MaxOfferAge = 1 }, 3, n-3, 0)
}

// absurd returns a record that no table has saved, among few peers and connections.
func absurd(r *rand.Rand) SavedPeer {
	number := func() uint32 {
		return []uint32{0, 1, 9, 10, 20, 39, 40, 1 << 31, 1<<31 + 1, math.MaxUint32 - 1, math.MaxUint32, r.Uint32N(60), r.Uint32()}[r.IntN(13)]
	}
	s := SavedPeer{
		Key: Key{Hash: testID('h', r.IntN(3)), Family: uint8(r.IntN(9))}, Downloaded: number(), Peer: testID('p', r.IntN(6)),
		From: Addr{Index: uint32(r.IntN(9))}, Age: number(), Seeder: r.IntN(2) == 0, Line: uint8(number()), More: r.IntN(3) == 0,
	}
	for range r.IntN(6) {
		s.Offers = append(s.Offers, SavedOffer{Fingerprint: uint64(r.IntN(8)), Age: number()})
	}
	return s
}

// No records break a table: repeated peers, peers with two members or none, ages and places in line out of all range, offers
// in no order, more of everything than the limits allow. The table works on, and is empty when the time has come.
func TestAbsurdRecords(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		origins := make(map[uint32]int)
		o := worldOptions(r)
		o.MaxPeerAge, o.MaxQuietAge, o.MaxOfferAge = 10, 40, 20
		o.Count = func(origin uint32, delta int) { origins[origin] += delta }
		table := New(o)
		table.SetAccess(&Access{Mode: AccessDeny, List: newAccessList([]ID{testID('h', 2)}, &pieces{})})
		now := r.Uint32()
		into := table.Restore(now, 0, 0)
		for range 200 {
			s := absurd(r)
			into.Peer(&s, uint64(s.From.Index), s.From.Index%4)
		}
		checkTable(t, table)
		c, got := table.Counts(), into.Restored()
		if c.Peers+c.Successors != got.Peers || c.PendingOffers != got.Offers || got.Peers > o.MaxPeers || got.Offers > o.MaxPendingOffers {
			t.Fatalf("seed %d: counts are %+v, restored is %+v", seed, c, got)
		}
		for i := range 200 {
			s := absurd(r)
			a := Announce{Key: s.Key, Peer: s.Peer, From: s.From, Source: uint64(s.From.Index), Origin: s.From.Index % 4, Left: Left(r.IntN(3))}
			a.Event, a.Offers = Event(r.IntN(3)), make([]ID, r.IntN(4))
			table.Announce(now, &a, nil)
			if i%20 == 0 {
				table.Gone(a.From)
				table.Yield(Addr{Index: a.From.Index ^ 1})
				now++
			}
		}
		checkTable(t, table)
		for now += o.MaxQuietAge; table.Sweep(now, 100) > 0; {
		}
		checkTable(t, table)
		if c := table.Counts(); c.Peers+c.Successors+c.PendingOffers+c.Torrents+c.Connections != 0 {
			t.Fatalf("seed %d: left are %+v", seed, c)
		}
		for origin, n := range origins {
			if n != 0 {
				t.Fatalf("seed %d: origin %d has %d peers in an empty table", seed, origin, n)
			}
		}
	}
}

// A peer whose age is out of all range is not young a second later.
func TestAbsurdAge(t *testing.T) {
	for _, age := range []uint32{math.MaxUint32, math.MaxUint32 - 1, 1 << 31, 1800} {
		table := New(testOptions())
		s := savedOfConn(1, 0)
		s.Age = age
		table.Restore(5, 1, 1).Peer(&s, 0, 0)
		table.Sweep(6, 10)
		if c := table.Counts(); c.PeersAgedOut != 1 {
			t.Errorf("age %d: %+v", age, c)
		}
	}
}

// Only a table without peers can be filled.
func TestRestoreNeedsNewTable(t *testing.T) {
	table := New(testOptions())
	fill(table, 1, 1, 1)
	defer func() {
		if fmt.Sprint(recover()) != "BUG: swarm.Table.Restore is for a table without peers" {
			t.Error("there is no panic")
		}
	}()
	table.Restore(0, 0, 0)
}
