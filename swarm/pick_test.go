package swarm

// This file proves that the receivers of offers are a uniform sample.

import (
	"math"
	"testing"
)

// crowd fills one swarm with quiet peers, and one second later with fresh ones. The last one is the sender.
// Its sweep marks the first ones as quiet.
func crowd(table *Table, quiet, fresh int) (sender Announce) {
	var a Announce
	for i := range quiet + fresh {
		a = Announce{Key: Key{Hash: testID('h', 1)}, Peer: testID('p', i), From: Addr{Index: uint32(i)}}
		now := uint32(0)
		if i >= quiet {
			now = 1
		}
		table.Announce(now, &a, nil)
	}
	table.Sweep(table.o.MaxPeerAge, table.Len())
	return a
}

// chiSquare returns by how many standard deviations the chi-square statistic of counts, all of the same
// expectation, lies above its mean.
func chiSquare(counts []int) float64 {
	total := 0
	for _, c := range counts {
		total += c
	}
	expected := float64(total) / float64(len(counts))
	x := 0.0
	for _, c := range counts {
		x += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	free := float64(len(counts) - 1)
	return (x - free) / math.Sqrt(2*free)
}

// Receivers are uniform: all other peers are equally likely to get an offer, at each place among the targets
// and together with each other receiver. If quiet peers are needed, all fresh ones are taken, and the quiet
// receivers are uniform too.
func TestReceiversAreUniform(t *testing.T) {
	f := func(name string, quiet, fresh, offers int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			table := New(testOptions())
			sender := crowd(table, quiet, fresh)
			if got := table.Counts().Quiet; got != quiet {
				t.Fatalf("%d peers are quiet, want %d", got, quiet)
			}
			sender.Offers = make([]ID, offers)
			// There is a choice among the fresh peers, or, if all of those are taken, among the quiet ones.
			others := fresh - 1
			if offers > others {
				checkUniform(t, table, &sender, others, 0, quiet)
			} else {
				checkUniform(t, table, &sender, 0, quiet, others)
			}
		})
	}
	f("one offer", 0, 14, 1)
	f("three offers", 0, 14, 3)
	f("all but one", 0, 8, 6)
	f("enough fresh peers", 6, 8, 4)
	f("quiet peers too", 9, 4, 6)
	f("quiet peers only", 9, 1, 3)
}

// checkUniform announces many times, and checks that the targets after the certain ones are a uniform sample
// of the size peers from first on.
func checkUniform(t *testing.T, table *Table, a *Announce, certain, first, size int) {
	t.Helper()
	const rounds, most = 60_000, 4.5
	chosen := len(a.Offers) - certain
	byPlace := make([][]int, chosen)
	for i := range byPlace {
		byPlace[i] = make([]int, size)
	}
	pairs := make([]int, size*size)
	var targets []Target
	for range rounds {
		_, targets = table.Announce(table.o.MaxPeerAge, a, targets[:0])
		if len(targets) != len(a.Offers) {
			t.Fatalf("%d targets, want %d", len(targets), len(a.Offers))
		}
		var at []int
		for i, to := range targets[certain:] {
			at = append(at, int(to.To.Index)-first)
			byPlace[i][at[i]]++
		}
		if chosen > 1 {
			pairs[at[0]*size+at[1]]++
		}
	}
	for i, counts := range byPlace {
		if x := chiSquare(counts); x > most {
			t.Errorf("target %d is not uniform, by %.1f deviations: %v", certain+i, x, counts)
		}
	}
	var possible []int // all ordered pairs but those of a peer with itself
	for i, n := range pairs {
		if i/size != i%size {
			possible = append(possible, n)
		} else if n != 0 {
			t.Errorf("peer %d received two offers", first+i/size)
		}
	}
	if chosen > 1 && chiSquare(possible) > most {
		t.Errorf("pairs of receivers are not uniform: %v", possible)
	}
}

// mixed fills one swarm with fresh peers: leechers, then seeders, the last one the sender. Each has a client address
// of its own but for the first alike of each kind, which share one.
func mixed(table *Table, leechers, seeders, alike int, left Left) (sender Announce) {
	for i := range leechers + seeders + 1 {
		sender = announceOf(i, uint32(i), LeftMore, EventUpdate)
		sender.Source = uint64(1000 + i)
		if i < alike || i >= leechers && i < leechers+min(alike, seeders) {
			sender.Source = 7
		}
		if i >= leechers {
			sender.Left = LeftZero
		}
		if i == leechers+seeders {
			sender.Left = left
		}
		table.Announce(0, &sender, nil)
	}
	return sender
}

// A leecher's receivers are uniform over leechers and seeders. A seeder's are uniform over the leechers, and over the
// seeders only when the leechers are used up.
func TestReceiversWantSomething(t *testing.T) {
	f := func(name string, leechers, seeders int, left Left, offers, certain, first, size int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			o.MaxPeerAge = 1 // checkUniform announces then
			table := New(o)
			sender := mixed(table, leechers, seeders, 0, left)
			sender.Offers = make([]ID, offers)
			checkUniform(t, table, &sender, certain, first, size)
		})
	}
	f("a leecher's offers go to all", 6, 8, LeftMore, 3, 0, 0, 14)
	f("a seeder's offers go to leechers", 9, 8, LeftZero, 4, 0, 0, 9)
	f("a seeder's offers go to seeders too", 3, 9, LeftZero, 5, 3, 3, 9)
	f("a seeder among seeders", 0, 9, LeftZero, 3, 0, 0, 9)
}

// One address gets at most a quarter of the offers of an announce, and at least one, while there are other peers. It
// gets the rest if there are not, or if it is the sender's own.
func TestOneAddressGetsAQuarter(t *testing.T) {
	f := func(others, alike, offers, want int, own bool) {
		t.Helper()
		table := New(testOptions())
		sender := mixed(table, others+alike, 0, alike, LeftMore)
		if own {
			sender.From, sender.Peer, sender.Source = Addr{Index: 1 << 20}, testID('s', 1), 7
		}
		sender.Offers = make([]ID, offers)
		for range 50 {
			_, targets := table.Announce(0, &sender, nil)
			got := 0
			for _, to := range targets {
				if to.To.Index < uint32(alike) {
					got++
				}
			}
			if len(targets) != offers || !own && got > want || own && got < want {
				t.Fatalf("%d peers of one address among %d: %d of %d offers, want %d", alike, others, got, offers, want)
			}
		}
	}
	f(20, 100, 10, 2, false)
	f(20, 100, 8, 2, false)
	f(20, 100, 7, 1, false)
	f(20, 100, 1, 1, false)
	f(5, 100, 10, 5, false)
	f(1, 60, 30, 28, true)
}

// However large the share of one address is, an announce draws a bounded number of peers, and relays all its offers.
func TestPassingOverIsBounded(t *testing.T) {
	table := New(testOptions())
	sender := mixed(table, 5000, 0, 4999, LeftMore)
	sender.Offers = make([]ID, 10)
	for range 20 {
		if _, targets := table.Announce(0, &sender, nil); len(targets) != 10 || table.choice.nPassed > maxPassedOver {
			t.Fatalf("%d targets after %d peers were passed over", len(targets), table.choice.nPassed)
		}
	}
}

// The same seed gives the same targets, so that a simulation replays; another seed gives others.
func TestSampleFollowsTheSeed(t *testing.T) {
	run := func(seed uint64) (all []Target) {
		o := testOptions()
		o.Seed[1] = seed
		table := New(o)
		a := crowd(table, 20, 40)
		a.Offers = make([]ID, 8)
		for now := range uint32(50) {
			_, all = table.Announce(o.MaxPeerAge+now, &a, all)
		}
		return all
	}
	same, differ := 0, 0
	a, b, c := run(1), run(1), run(2)
	for i := range a {
		if a[i] == b[i] {
			same++
		}
		if a[i] != c[i] {
			differ++
		}
	}
	if same != len(a) || differ < len(a)/2 {
		t.Fatalf("of %d targets %d are the same with the same seed, %d differ with another", len(a), same, differ)
	}
}
