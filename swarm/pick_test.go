package swarm

import (
	"math"
	"testing"
)

// crowd fills one swarm with peers 0 to n-1, and one second later with more of which the last is the
// sender, so that a sweep at MaxPeerAge finds the first n quiet.
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

// Receivers are uniform: each other peer is as likely to get an offer, at each place among the targets
// and next to each other receiver; with quiet peers all fresh ones are taken, and the rest is uniform too.
func TestReceiversAreUniform(t *testing.T) {
	const rounds = 60_000
	f := func(name string, quiet, fresh, offers int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			table := New(testOptions())
			a := crowd(table, quiet, fresh)
			if got := table.Counts().Quiet; got != quiet {
				t.Fatalf("%d peers are quiet, want %d", got, quiet)
			}
			fromQuiet := max(0, offers-(fresh-1))
			first, group := quiet, fresh-1 // the peers among whom there is a choice
			if fromQuiet > 0 {
				first, group = 0, quiet
			}
			byPlace := make([][]int, offers)
			for i := range byPlace {
				byPlace[i] = make([]int, group)
			}
			pairs := make([]int, group*group)
			a.Offers = make([]ID, offers)
			var targets []Target
			for range rounds {
				_, targets = table.Announce(table.o.MaxPeerAge, &a, targets[:0])
				if len(targets) != offers {
					t.Fatalf("%d targets, want %d", len(targets), offers)
				}
				choice := targets
				if fromQuiet > 0 {
					choice = targets[fresh-1:]
				}
				for i, to := range choice {
					byPlace[i][int(to.To.Index)-first]++
				}
				if len(choice) > 1 {
					pairs[(int(choice[0].To.Index)-first)*group+int(choice[1].To.Index)-first]++
				}
			}
			for i, counts := range byPlace {
				if i < offers && (fromQuiet == 0 || i < fromQuiet) && chiSquare(counts) > 4.5 {
					t.Errorf("target %d is not uniform: %v", i, counts)
				}
			}
			var possible []int // all ordered pairs but those of a peer with itself
			for i, n := range pairs {
				if i/group != i%group {
					possible = append(possible, n)
				} else if n != 0 {
					t.Errorf("peer %d received two offers", i/group)
				}
			}
			if offers-max(0, fresh-1)*min(1, fromQuiet) > 1 && chiSquare(possible) > 4.5 {
				t.Errorf("pairs of receivers are not uniform: %v", possible)
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
