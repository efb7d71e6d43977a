package swarm

// This file proves what a table knows of peers on other nodes, and that offers are shared with them fairly.

import (
	"math"
	"slices"
	"testing"
)

// farOptions are those of a node that may know of other nodes' peers in n torrents.
func farOptions(n int) Options {
	o := clusterOptions()
	o.MaxRemote, o.MaxVisits = n, 100
	return o
}

// leechersAt returns an entry of a node with so many fresh leechers.
func leechersAt(node uint16, n uint32) Others {
	return Others{Node: node, PeerCounts: PeerCounts{Leechers: n, FreshLeechers: n}}
}

// shared reports whether other nodes have peers of a torrent that has peers here.
func (t *Table) shared(k Key) bool {
	s := t.findSwarm(&k)
	return s != 0 && t.elsewhere(s) != nil
}

// Counts of other nodes are in the results of announces and scrapes while these nodes are there, and nothing of a list is
// known that is of no node, of a node twice, or of nobody.
func TestOthersAreCounted(t *testing.T) {
	table := New(farOptions(10))
	a := announceOf(1, 1, LeftMore, EventUpdate)
	table.Announce(0, &a, nil)
	f := func(seeders, leechers, downloaded uint32, shared bool) {
		t.Helper()
		r, _ := table.Announce(0, &a, nil)
		s, l, d := table.Scrape(a.Key)
		if r.Complete != seeders || r.Incomplete != leechers || s != seeders || l != leechers || d != downloaded {
			t.Fatalf("announce: %+v, scrape: %d, %d, %d, want %d, %d, %d", r, s, l, d, seeders, leechers, downloaded)
		}
		if table.shared(a.Key) != shared {
			t.Fatalf("shared: %t", !shared)
		}
	}
	set := func(list ...Others) {
		t.Helper()
		if !table.SetOthers(a.Key, list) {
			t.Fatal("nothing is kept")
		}
	}
	one := Others{Node: 1, PeerCounts: PeerCounts{Seeders: 2, Leechers: 3, FreshSeeders: 1, FreshLeechers: 3, Downloaded: 7}}
	two := Others{Node: 2, PeerCounts: PeerCounts{Seeders: 10, Leechers: 20, Downloaded: math.MaxUint32 - 10}}
	f(0, 1, 0, false)
	set(one)
	f(0, 1, 0, false) // it is not there
	table.SetNodes([]uint16{0, 2, 1, 2, 5})
	set(Others{PeerCounts: one.PeerCounts}, one, two, one, leechersAt(3, 1), Others{Node: 5, PeerCounts: PeerCounts{Downloaded: 1}})
	f(12, 24, math.MaxUint32-3, true)
	if c := table.Counts(); c.Remote != 1 || c.RemoteEntries != 2 {
		t.Fatalf("counts are %+v", c)
	}
	two.Downloaded = math.MaxUint32
	set(two, one)
	f(12, 24, math.MaxUint32, true)
	set(one)
	f(2, 4, 7, true)
	set(Others{Node: 1, PeerCounts: PeerCounts{Seeders: math.MaxUint32, Leechers: 1, FreshLeechers: 9}})
	f(MaxPeersLimit, 2, 0, true)
	if got := table.remote.others(table.elsewhere(table.findSwarm(&a.Key)), 0).PeerCounts; got.FreshLeechers != 1 {
		t.Fatalf("more are fresh than are there: %+v", got)
	}
	set()
	f(0, 1, 0, false)
	set(two)
	a.Event = EventCompleted
	f(11, 20, math.MaxUint32, true)
	table.SetAccess(&Access{Mode: AccessAllow})
	if s, l, d := table.Scrape(a.Key); s+l+d != 0 {
		t.Fatalf("a forbidden torrent has %d, %d, %d", s, l, d)
	}
	checkTable(t, table)
}

// Counts of a node that is not there count as nothing at once and do not come back with it, while those of the other nodes
// stay. Sweep gives their memory back.
func TestNodesThatEnd(t *testing.T) {
	const torrents = 50
	table := New(farOptions(torrents))
	many(table, 0, torrents)
	keys := make([]Key, 0, torrents)
	table.Torrents(0, 1000, func(x *Torrent) { keys = append(keys, x.Key) })
	table.SetNodes([]uint16{1, 2})
	for i, k := range keys {
		list := []Others{leechersAt(1, 10), leechersAt(2, 20)}
		if i%5 == 0 {
			list = list[:1]
		}
		table.SetOthers(k, list)
	}
	f := func(i int, want uint32) {
		t.Helper()
		if _, leechers, _ := table.Scrape(keys[i]); leechers != 1+want || table.shared(keys[i]) != (want > 0) {
			t.Fatalf("torrent %d: %d leechers, want %d", i, leechers, 1+want)
		}
	}
	f(1, 30)
	table.SetNodes([]uint16{3, 2})
	f(0, 0)
	f(1, 20)
	table.SetNodes([]uint16{1, 2, 3})
	f(2, 20)
	f(5, 0)
	table.SetOthers(keys[2], []Others{leechersAt(1, 10), leechersAt(3, 5)})
	f(2, 15)
	table.SetNodes([]uint16{1, 3})
	checkTable(t, table)
	work := table.Len()
	for n := 1; n > 0; work -= n {
		if n = table.Sweep(0, 7); n > 7 {
			t.Fatalf("a sweep touched %d entries", n)
		}
	}
	if c := table.Counts(); c.Remote != 1 || c.RemoteEntries != 2 || work < 0 || table.Len() != torrents {
		t.Fatalf("counts are %+v, and %d more entries than Len says were touched", c, -work)
	}
	f(2, 15)
	f(3, 0)
	checkTable(t, table)
}

// Changes of the nodes that come faster than the search for what is left of them do not keep it from any torrent.
func TestNodesThatFlap(t *testing.T) {
	const torrents = 50
	table := New(farOptions(2 * torrents))
	many(table, 0, torrents)
	table.SetNodes([]uint16{1})
	table.Torrents(0, 1000, func(x *Torrent) { table.SetOthers(x.Key, []Others{leechersAt(1, 1)}) })
	for i := range torrents {
		table.SetNodes([]uint16{uint16(2 + i)})
		table.Sweep(0, 4)
	}
	if n := table.Counts().Remote; n != 0 {
		t.Fatalf("%d torrents know of a node that has ended", n)
	}

	// Neither do torrents that come meanwhile.
	table.SetNodes([]uint16{1})
	all := func(x *Torrent) { table.SetOthers(x.Key, []Others{leechersAt(1, 1)}) }
	table.Torrents(0, torrents, all)
	for table.Sweep(0, 100) > 0 {
	}
	table.SetNodes([]uint16{2})
	many(table, torrents, 3)
	table.Torrents(torrents, 3, func(x *Torrent) { table.SetOthers(x.Key, []Others{leechersAt(2, 1)}) })
	for table.Sweep(0, 100) > 0 {
	}
	if n := table.Counts().Remote; n != 3 {
		t.Fatalf("%d torrents know of other nodes, want 3", n)
	}
}

// Counts are kept for as many torrents as may be and of as many nodes, only of those that have peers here, until the last
// of these leaves.
func TestOthersAreBounded(t *testing.T) {
	table := New(farOptions(2))
	live, list := []uint16{1}, []Others{} // the first one twice
	for i := range uint16(MaxNodes + 2) {
		live, list = append(live, 1+i), append(list, leechersAt(1+i, 1))
	}
	table.SetNodes(live)
	key := func(i byte) Key { return Key{Hash: ID{i}} }
	many(table, 0, 4)
	f := func(i byte, list []Others, want bool, remote, entries int) {
		t.Helper()
		got := table.SetOthers(key(i), list)
		if c := table.Counts(); got != want || c.Remote != remote || c.RemoteEntries != entries {
			t.Fatalf("torrent %d: %t, %+v, want %t, %d, %d", i, got, c, want, remote, entries)
		}
		checkTable(t, table)
	}
	f(9, list, false, 0, 0)
	f(0, list, true, 1, MaxNodes)
	f(1, list[:1], true, 2, MaxNodes+1)
	f(2, list, false, 2, MaxNodes+1)
	f(2, nil, true, 2, MaxNodes+1)
	f(0, list[:3], true, 2, 4)
	f(1, nil, true, 1, 3)
	f(2, list[:2], true, 2, 5)
	table.Gone(Addr{Index: 2})
	f(2, list, false, 1, 3)
	many(table, 2, 1)
	if _, leechers, _ := table.Scrape(key(2)); leechers != 1 || table.shared(key(2)) {
		t.Fatalf("a torrent that has come again has %d leechers", leechers)
	}
	f(3, list[:1], true, 2, 4)

	alone := New(testOptions())
	many(alone, 0, 1)
	alone.o.MaxRemote = 1
	alone.SetNodes(live)
	if alone.SetOthers(key(0), list) || alone.Counts().Remote != 0 || alone.remote.nodes != nil {
		t.Fatal("a node that is alone has heard of others")
	}
}

// shares counts how often each of some peers, or groups of them, gets an offer. The weights say how often it should.
type shares struct{ counts, weights []float64 }

// deviation returns by how many standard deviations the chi-square statistic of the counts lies above its mean.
func (s *shares) deviation() float64 {
	total, all := 0.0, 0.0
	for i := range s.counts {
		total, all = total+s.counts[i], all+s.weights[i]
	}
	x := 0.0
	for i := range s.counts {
		expected := total * s.weights[i] / all
		x += (s.counts[i] - expected) * (s.counts[i] - expected) / expected
	}
	free := float64(len(s.counts) - 1)
	return (x - free) / math.Sqrt(2*free)
}

// spread lets a peer announce often, and counts the receivers of its offers behind the certain ones: those here, of
// which there are so many from first on, and the nodes, which have the weights. It returns the counts of each of them,
// of all here and each node, and of the ordered pairs of receivers in the first two places.
func spread(t *testing.T, table *Table, a *Announce, certain, here, first int, nodes []float64) (each, sums, pairs shares) {
	t.Helper()
	const rounds = 100_000
	each.weights = append(slices.Repeat([]float64{1}, here), nodes...)
	n := len(each.weights)
	each.counts, pairs.counts = make([]float64, n), make([]float64, n*n)
	var targets []Target
	for range rounds {
		_, targets = table.Announce(table.o.MaxPeerAge, a, targets[:0])
		if len(targets) != len(a.Offers) {
			t.Fatalf("%d targets, want %d", len(targets), len(a.Offers))
		}
		before := 0
		for i, to := range targets[certain:] {
			k := int(to.To.Index) - first
			if to.To.Node != 0 {
				if to != (Target{To: Addr{Node: to.To.Node}}) {
					t.Fatalf("a target elsewhere is %+v", to)
				}
				k = here + int(to.To.Node) - 1
			}
			each.counts[k]++
			if i == 1 {
				pairs.counts[before*n+k]++
			}
			before = k
		}
	}
	for i, w := range each.weights {
		for k, v := range each.weights {
			if i == k {
				v--
			}
			pairs.weights = append(pairs.weights, w*v)
			if v == 0 && pairs.counts[i*n+k] > 0 {
				t.Errorf("peer %d received two offers", first+i)
			}
		}
	}
	for i := len(pairs.counts) - 1; i >= 0; i-- {
		if pairs.weights[i] == 0 {
			pairs.counts, pairs.weights = slices.Delete(pairs.counts, i, i+1), slices.Delete(pairs.weights, i, i+1)
		}
	}
	all := 0.0
	for _, c := range each.counts[:here] {
		all += c
	}
	sums = shares{append([]float64{all}, each.counts[here:]...), append([]float64{float64(here)}, nodes...)}
	return each, sums, pairs
}

// Receivers are uniform over the peers here and on other nodes together, one by one and in pairs, class by class: what
// holds for one node (see TestReceiversAreUniform and TestReceiversWantSomething) holds for all. A bias of 2 % for one
// node would be seen.
func TestReceiversAreUniformOverNodes(t *testing.T) {
	one := PeerCounts{Leechers: 12, FreshLeechers: 5, Seeders: 9, FreshSeeders: 6}
	two := PeerCounts{Leechers: 3, FreshLeechers: 2, Seeders: 4, FreshSeeders: 3}
	f := func(name string, crowd func(*Table) Announce, offers, certain, here, first int, weights ...float64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			table := New(farOptions(1))
			a := crowd(table)
			table.SetNodes([]uint16{2, 1})
			if !table.SetOthers(a.Key, []Others{{Node: 1, PeerCounts: one}, {Node: 2, PeerCounts: two}}) {
				t.Fatal("the others are not kept")
			}
			a.Offers = make([]ID, offers)
			each, sums, pairs := spread(t, table, &a, certain, here, first, weights)
			const most = 4.5
			if x, y, z := each.deviation(), sums.deviation(), pairs.deviation(); x > most || y > most || z > most {
				t.Errorf("receivers are not uniform: by %.1f deviations, nodes by %.1f, pairs by %.1f", x, y, z)
			}
			sums.weights[1] *= 1.02
			if x := sums.deviation(); x < most {
				t.Errorf("a bias of 2 %% is only %.1f deviations", x)
			}
			checkTable(t, table)
			a.Offers = make([]ID, 99)
			_, targets := table.Announce(table.o.MaxPeerAge, &a, nil)
			if others := table.Counts().Peers - 1 + 21 + 7; len(targets) != others {
				t.Errorf("%d of all %d others get offers", len(targets), others)
			}
		})
	}
	of := func(leechers, seeders int, left Left) func(*Table) Announce {
		return func(table *Table) Announce { return mixed(table, leechers, seeders, 0, left) }
	}
	f("a leecher's offers go to all", of(6, 8, LeftMore), 5, 0, 14, 0, 11, 5)
	f("a seeder's offers go to leechers", of(7, 8, LeftZero), 5, 0, 7, 0, 5, 2)
	f("a seeder's offers go to seeders too", of(2, 7, LeftZero), 14, 9, 7, 2, 6, 3)
	f("quiet peers too", func(table *Table) Announce { return crowd(table, 9, 4) }, 24, 19, 9, 0, 10, 2)
	f("nobody is here", of(0, 0, LeftMore), 5, 0, 0, 0, 11, 5)
}

// An address gets its share of the offers that stay here, and those that it does not get go to other nodes before they
// come back to it.
func TestAddressesAndOtherNodes(t *testing.T) {
	table := New(farOptions(1))
	a := mixed(table, 100, 0, 100, LeftMore)
	table.SetNodes([]uint16{1})
	a.Offers = make([]ID, 8)
	f := func(others, wantHere int) {
		t.Helper()
		table.SetOthers(a.Key, []Others{leechersAt(1, uint32(others))})
		for range 50 {
			_, targets := table.Announce(0, &a, nil)
			here := 0
			for _, to := range targets {
				if to.To.Node == 0 {
					here++
				}
			}
			if len(targets) != 8 || here > wantHere || here < wantHere && others <= 8-wantHere {
				t.Fatalf("%d of %d offers stay here, want %d", here, len(targets), wantHere)
			}
		}
	}
	f(100, 2)
	f(6, 2)
	f(3, 5)
}

// Offers that go to other nodes are not remembered, and none of those that stay gives way to another of its announce, also
// where the table has no room for more.
func TestOffersElsewhereAreNotRemembered(t *testing.T) {
	o := farOptions(1)
	o.MaxPendingPerPeer, o.MaxPendingOffers = 7, 3
	table := New(o)
	a := mixed(table, 3, 0, 0, LeftMore)
	table.SetNodes([]uint16{1})
	filler := a
	filler.Peer, filler.From, filler.Offers = testID('p', 1), addrOf(1), make([]ID, 3)
	for i := range 9 {
		a.Offers = append(a.Offers, testID('o', i))
	}
	for round := range uint64(20) {
		table.SetOthers(a.Key, nil)
		table.Announce(0, &filler, nil)
		table.SetOthers(a.Key, []Others{leechersAt(1, 3)})
		_, targets := table.Announce(0, &a, nil)
		for i, to := range targets {
			if to.To.Node != 0 {
				continue
			}
			answer := Answer{Key: a.Key, Peer: to.Peer, From: to.To, To: a.Peer, Offer: a.Offers[i]}
			if got, status := table.Answer(0, &answer); status != AnswerRelay || got != a.From {
				t.Fatalf("offer %d: %s", i, status)
			}
		}
		if c := table.Counts(); len(targets) != 6 || c.PendingOffers != 0 || c.OffersPushedOut != 3*(round+1) {
			t.Fatalf("%d targets, counts are %+v", len(targets), c)
		}
	}
	table.o.MaxPendingPerPeer = 4
	if _, targets := table.Announce(0, &a, nil); len(targets) != 4 {
		t.Fatalf("one announce relays %d offers, want 4", len(targets))
	}
}

// checkRemote checks that the torrents with counts of other nodes and those that say that they have some are the same,
// and the sums and the blocks of these counts.
func checkRemote(t *testing.T, table *Table) {
	t.Helper()
	r := &table.remote
	entries, torrents := 0, 0
	for slot := range r.torrents.high {
		a := r.torrents.at(slot + 1)
		if a.swarm == 0 {
			continue
		}
		sum := PeerCounts{}
		for i := range a.n {
			o := r.others(a, i)
			sum.add(&o.PeerCounts)
		}
		if table.findAway(a.swarm) != slot+1 || !table.swarms.at(a.swarm).shared || a.n == 0 || sum != a.sum {
			t.Fatalf("the other nodes of a torrent are %+v, in slot %d, with %+v", a, slot+1, sum)
		}
		entries += int(a.n)
		torrents++
	}
	shared, used := 0, 0
	for slot := range table.swarms.high {
		if table.swarms.at(slot + 1).shared {
			shared++
		}
	}
	for _, info := range r.words.infos {
		used += int(info.used)
	}
	if entries != r.entries || torrents != shared || torrents != r.torrents.len() || used != torrents {
		t.Fatalf("%d entries, %d counted, of %d torrents, %d shared, in %d blocks", entries, r.entries, torrents, shared, used)
	}
}
