package simulation

import (
	"math"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/ring/ringtest"
)

// This file proves that every peer of a torrent is as likely to get an offer as any other, wherever it is.

// tally compares how many of the offers that were made reached some of the peers with how many should have: each announce draws without
// replacement.
type tally struct{ excess, variance, expected float64 }

// add notes an announce of which n offers went to so many of all peers, of which part could have had each.
func (t *tally) add(got, n, part, all int) {
	p := float64(part) / float64(all)
	t.excess += float64(got) - float64(n)*p
	t.expected += float64(n) * p
	t.variance += float64(n) * p * (1 - p) * float64(all-n) / float64(all-1)
}

// deviation returns the excess in standard deviations.
func (t *tally) deviation() float64 { return t.excess / math.Sqrt(t.variance) }

// The sizes of a run: all together have as many offers as a bias of 5 % takes to be seen at four standard deviations.
const (
	spreadPeers     = 20  // on each of two nodes, every other one a seeder
	spreadOffers    = 5   // of an announce
	spreadAnnounces = 150 // of leechers, and as many of seeders
	spreadFirst     = 120 // of a peer that is the first on a third node
	phaseFirst      = "first"
)

// spread are the tallies by the way of an offer: how many went to another node, or of those of a first peer to the first of the others.
type spread struct{ leecher, seeder, first tally }

// TestSpread proves that the offers of leechers, of seeders and of first peers on a node are spread evenly over the peers of the cluster, and
// that a bias of 5 % would be noticed: a tenth more peers elsewhere than there are, or one of twenty offers lost on its way to a node.
func TestSpread(t *testing.T) {
	var honest, biased spread
	seeds := uint64(16)
	if raceEnabled || testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		honest.play(t, seed, nil)
		if seeds > 1 {
			biased.play(t, seed, bias())
		}
	}
	f := func(name string, honest, biased *tally) {
		t.Helper()
		t.Logf("%s: %.0f offers expected, %+.2f %%, %+.1f standard deviations; biased %+.2f %%, %+.1f", name, honest.expected,
			100*honest.excess/honest.expected, honest.deviation(), 100*biased.excess/biased.expected, biased.deviation())
		if math.Abs(honest.deviation()) > 3.5 {
			t.Errorf("%s: the offers are %.1f standard deviations from even", name, honest.deviation())
		}
		if math.Abs(biased.deviation()) < 4 {
			t.Errorf("%s: a bias was not noticed: %.1f standard deviations", name, biased.deviation())
		}
	}
	f("leecher", &honest.leecher, &biased.leecher)
	f("seeder", &honest.seeder, &biased.seeder)
	f("first", &honest.first, &biased.first)
}

// bias tells shards of a tenth more peers elsewhere than there are. Of the offers of first peers to the first node it loses one of twenty.
func bias() func(n *node, rec []byte) ([]byte, int) {
	visits := 0
	return func(n *node, rec []byte) ([]byte, int) {
		var known record.Known
		var visit record.Routed
		switch kind := record.MailKind(rec[0]); {
		case kind == record.MailOthers && known.Read(rec[1:]):
			for k := range known.Others {
				c := &known.Others[k].Counts
				for _, count := range []*uint32{&c.Leechers, &c.FreshLeechers, &c.Seeders, &c.FreshSeeders} {
					*count += *count / 10
				}
			}
			return known.Append([]byte{rec[0]}), 1
		case kind == record.MailVisit && n.fleet.phase == phaseFirst && n == n.fleet.nodes[0] && visit.Read(rec[1:]):
			kept := visit.Offers[:0]
			for _, o := range visit.Offers {
				if visits++; visits%20 > 0 {
					kept = append(kept, o)
				}
			}
			visit.Offers = kept
			return visit.Append([]byte{rec[0]}), 1
		}
		return rec, 1
	}
}

// play plays a seed without faults.
func (s *spread) play(t *testing.T, seed uint64, mail func(n *node, rec []byte) ([]byte, int)) {
	t.Helper()
	f := newFleet(seed)
	f.tight, f.kernel, f.peerAge, f.plant.mail = false, ringtest.Faults{}, 180, mail
	f.begin(3, 2*spreadPeers+1)
	for k, p := range f.people {
		f.dial(p, f.nodes[k/spreadPeers])
	}
	f.pass(time.Second, slowly, nil)
	hash := torrent(0)
	for k, p := range f.people[:2*spreadPeers] {
		p.sessions[0].announce(hash, "", k%2 == 0, 0, 1)
		f.pass(briefly, briefly, nil)
	}
	f.pass(quietTime, slowly, nil)
	for k := range 2 * spreadAnnounces {
		p := f.people[f.rng.IntN(spreadPeers)*2+k%2]
		seeder := k%2 == 0
		_, made := p.sessions[0].announce(hash, "", seeder, spreadOffers, 20)
		f.pass(50*time.Millisecond, 5*time.Millisecond, nil)
		away := s.count(t, f, made, func(o *proposal) bool { return o.to.node != p.sessions[0].node })
		if seeder {
			s.seeder.add(away, len(made), spreadPeers/2, spreadPeers)
		} else {
			s.leecher.add(away, len(made), spreadPeers, 2*spreadPeers-1)
		}
	}
	f.phase = phaseFirst
	first := f.people[2*spreadPeers].sessions[0]
	for range spreadFirst {
		_, made := first.announce(hash, "", false, spreadOffers, 20)
		f.pass(50*time.Millisecond, 5*time.Millisecond, nil)
		s.first.add(s.count(t, f, made, func(o *proposal) bool { return o.to.node == f.nodes[0] }), len(made), spreadPeers, 2*spreadPeers)
		first.announce(hash, "stopped", false, 0, 1)
		f.pass(50*time.Millisecond, 5*time.Millisecond, nil)
	}
	if len(f.problems) > 0 {
		t.Fatalf("seed %d: %s", seed, f.problems)
	}
}

// count returns how many offers have reached some of the peers. All must have arrived.
func (s *spread) count(t *testing.T, f *fleet, made []*proposal, of func(*proposal) bool) (n int) {
	t.Helper()
	for _, o := range made {
		switch {
		case o.to != nil && of(o):
			n++
		case o.to == nil && f.plant.mail == nil:
			t.Fatalf("seed %d: an offer of %v has not arrived", f.seed, o.session)
		}
	}
	return n
}
