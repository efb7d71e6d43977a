package swarm

// This file proves how much memory a Table takes and gives back, and that the steady state allocates nothing.

import (
	"encoding/binary"
	"testing"
)

// fill puts peers into swarms, with so many of them on each connection.
func fill(table *Table, peers, swarms, perConn int) {
	var a Announce
	for i := range peers {
		binary.LittleEndian.PutUint32(a.Key.Hash[:], uint32(i%swarms))
		binary.LittleEndian.PutUint32(a.Peer[:], uint32(i))
		a.From = Addr{Index: uint32(i / perConn), Gen: 1, Shard: uint16(i % 2 * (perConn % 2))}
		table.Announce(0, &a, nil)
	}
}

// A peer costs at most 80 bytes in all if swarms have ten peers, a connection of its own included. It costs
// less if peers share connections, and more if they are nearly alone in their swarms.
func TestBytesPerPeer(t *testing.T) {
	f := func(peers, swarms, perConn, most int) {
		t.Helper()
		table := New(testOptions())
		fill(table, peers, swarms, perConn)
		c := table.Counts()
		if c.Peers != peers || c.Torrents != swarms {
			t.Fatalf("counts are %+v", c)
		}
		if got := c.Bytes / peers; got > most {
			t.Errorf("%d peers in %d swarms, %d on each connection: %d bytes each, want at most %d",
				peers, swarms, perConn, got, most)
		}
	}
	f(100_000, 10_000, 1, 80)
	f(100_000, 10_000, 2, 72)
	f(100_000, 10_000, 10, 64)
	f(100_000, 10_000, 20, 80) // these have records of seats
	f(100_000, 1, 1, 80)
	f(100_000, 55_000, 1, 110)
}

// A swarm that was huge gives its memory back to others, and Gone and Sweep leave it in order.
func TestHugeSwarm(t *testing.T) {
	const peers = 30_000
	table := New(testOptions())
	fill(table, peers, 1, 1000)
	checkTable(t, table)
	before := table.Counts().Bytes
	conns := table.Counts().Connections
	for i := range conns / 2 {
		table.Gone(Addr{Index: uint32(i), Gen: 1})
	}
	checkTable(t, table)
	table.Sweep(1800, table.Len())
	checkTable(t, table)
	if c := table.Counts(); c.Peers != 0 || c.Torrents != 0 || c.Connections != 0 || c.Quiet != 0 {
		t.Fatalf("left are %+v", c)
	}
	fill(table, peers, 10, 1000)
	if after := table.Counts().Bytes; after > before+before/10 {
		t.Fatalf("%d bytes for one huge swarm, then %d for ten smaller ones", before, after)
	}
}

// grown is how much the growth of a Table has cost so far: records that splits have moved, and pages.
type grown struct{ moved, pages int }

func growthOf(t *Table) (g grown) {
	g.pages = len(t.lists.pages)
	add := func(moved uint64, pages ...int) {
		g.moved += int(moved)
		for _, n := range pages {
			g.pages += n
		}
	}
	add(t.peers.moved, len(t.peers.pages), len(t.peers.heads))
	add(t.swarms.moved, len(t.swarms.pages), len(t.swarms.heads))
	add(t.conns.moved, len(t.conns.pages), len(t.conns.heads))
	add(t.seats.moved, len(t.seats.pages), len(t.seats.heads))
	add(t.offers.pending.moved, len(t.offers.pending.pages), len(t.offers.pending.heads))
	add(t.offers.senders.moved, len(t.offers.senders.pages), len(t.offers.senders.heads))
	add(t.changes.notes.moved, len(t.changes.notes.pages), len(t.changes.notes.heads))
	add(t.remote.torrents.moved, len(t.remote.torrents.pages), len(t.remote.torrents.heads))
	add(t.offers.guests.all.moved, len(t.offers.guests.all.pages), len(t.offers.guests.all.heads))
	return g
}

// While a table grows no announce moves more than a short chain for each kind of record, nor takes more pages than there are
// kinds: with offers, one chain for each of them; and for the first peer beyond fewPeers of a connection one for each seat.
func TestGrowthPerAnnounceIsBounded(t *testing.T) {
	f := func(name string, o Options, peers, perConn uint32, offers int, most grown) {
		t.Helper()
		o.MaxPendingOffers = 1 << 24
		table := New(o)
		ids, targets, longest := make([]ID, offers), make([]Target, 0, 16), grown{}
		for i := range peers {
			a := Announce{From: Addr{Index: i / perConn}, Offers: ids}
			binary.LittleEndian.PutUint32(a.Key.Hash[:], i%(peers/16))
			binary.LittleEndian.PutUint32(a.Peer[:], i)
			for k := range ids {
				binary.LittleEndian.PutUint32(ids[k][:], i)
				ids[k][4] = byte(k)
			}
			before := growthOf(table)
			_, targets = table.Announce(0, &a, targets[:0])
			after := growthOf(table)
			longest.moved = max(longest.moved, after.moved-before.moved)
			longest.pages = max(longest.pages, after.pages-before.pages)
			if i == 0 {
				longest = grown{} // it makes the first pages of all tables
			}
		}
		if longest.moved > most.moved || longest.pages > most.pages {
			t.Errorf("%s: one announce cost %+v, want at most %+v", name, longest, most)
		}
		if longest.moved < most.moved/4 || longest.pages == 0 {
			t.Errorf("%s: one announce cost no more than %+v: the table has not grown", name, longest)
		}
	}
	f("a peer a connection", testOptions(), 200_000, 1, 0, grown{70, 4})
	f("20 peers a connection", testOptions(), 100_000, 20, 0, grown{130, 4})
	f("with offers", testOptions(), 60_000, 1, 10, grown{100, 6})
	f("among nodes", clusterOptions(), 200_000, 1, 0, grown{90, 5})
}

// In the steady state nothing allocates: announces with offers, answers, peers and connections that
// come and go, successors, sweeps and counts.
func TestNoAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(50, steady(New(testOptions()), func(uint32) {})); n != 0 {
		t.Fatalf("%v allocations in a round", n)
	}
}

// The same holds among other nodes, which come and go, count their peers, have guests here, and are told what has changed.
func TestNoAllocationsAmongNodes(t *testing.T) {
	o := farOptions(1000)
	o.MaxVisits = 30
	table := New(o)
	ids, targets, live := make([]ID, 10), make([]Target, 0, 16), make([]uint16, 0, 3)
	list, reported, answered, elsewhere := make([]Others, 0, 3), 0, 0, 0
	report := func(*Presence) bool { reported++; return true }
	round := func(now uint32) {
		live = append(live[:0], 1, 2, uint16(3+now/10))
		table.SetNodes(live)
		for i := range uint32(50) {
			v := Visit{From: Addr{Index: i, Gen: now, Node: live[i%3]}, Offers: ids}
			binary.LittleEndian.PutUint32(v.Key.Hash[:], i*7+now%13)
			binary.LittleEndian.PutUint32(v.Peer[:], 70_000+i%20)
			list = list[:0]
			for k := range i % 4 {
				list = append(list, leechersAt(live[k%3], 1+k))
			}
			table.SetOthers(v.Key, list)
			targets = table.Visit(now, &v, targets[:0])
			for k, to := range targets[:len(targets)*2/3] { // the others wait
				_, status := table.Answer(now, &Answer{Key: v.Key, Peer: to.Peer, From: to.To, To: v.Peer, Offer: ids[k]})
				if status == AnswerRelay {
					answered++
				}
			}
			if table.shared(v.Key) {
				elsewhere++
			}
			table.Presence(v.Key)
		}
		table.Report(false, 10, report)
		table.Report(true, 1000, report)
		table.Missed()
	}
	if n := testing.AllocsPerRun(50, steady(table, round)); n != 0 {
		t.Fatalf("%v allocations in a round", n)
	}
	c := table.Counts()
	if reported == 0 || answered == 0 || elsewhere == 0 || c.Remote == 0 || c.Guests == 0 || c.GuestsPushedOut == 0 {
		t.Fatalf("%d reports, %d answers, %d shared torrents, and counts %+v", reported, answered, elsewhere, c)
	}
}

// steady fills a table and returns a round of all that happens to one, and of what else there is at the time that it
// gets. Fifty rounds are over.
func steady(table *Table, also func(now uint32)) (round func()) {
	fill(table, 20_000, 2000, 1)
	offers := make([]ID, 10)
	targets := make([]Target, 0, 16)
	now := uint32(0)
	round = func() {
		now++
		for i := range uint32(50) {
			var a Announce
			binary.LittleEndian.PutUint32(a.Key.Hash[:], i*7+now%13)
			binary.LittleEndian.PutUint32(a.Peer[:], 50_000+i)
			a.From = Addr{Index: 90_000 + i/4, Gen: now}
			a.Source = uint64(i)
			a.Offers = offers
			_, targets = table.Announce(now, &a, targets[:0])
			for k, to := range targets {
				table.Answer(now, &Answer{Key: a.Key, Peer: to.Peer, From: to.To, To: a.Peer, Offer: offers[k]})
			}
			if i%3 == 0 {
				a.Event = EventStopped
				table.Announce(now, &a, nil)
			}
			a.Event, a.From.Index = EventUpdate, 91_000+i/4 // a successor, or the member again
			_, targets = table.Announce(now, &a, targets[:0])
			for k, to := range targets {
				table.Answer(now, &Answer{Key: a.Key, Peer: to.Peer, From: to.To, To: a.Peer, Offer: offers[k]})
			}
			table.Yield(Addr{Index: 90_000 + i/4, Gen: now})
			table.Gone(Addr{Index: 90_000 + i/4, Gen: now - 1})
			table.Gone(Addr{Index: 91_000 + i/4, Gen: now - 1})
			table.Scrape(a.Key)
		}
		also(now)
		table.Sweep(now, 500)
		if c := table.Counts(); c.Peers == 0 || c.Successors == 0 {
			panic("the table has no peers or no successors")
		}
	}
	for range 50 {
		round()
	}
	return round
}
