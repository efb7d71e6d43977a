package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file proves that homes are agreed on and spread evenly, and that draws are uniform.

// viewOf returns the view of one node of several.
func viewOf(c *compass, self int, nodes ...string) view {
	v := newView(c.lot(nodes[self]))
	for k, id := range nodes {
		if k != self {
			v.join(&node{id: id, lot: c.lot(id), from: record.Incarnation{byte(k), 1}})
		}
	}
	return v
}

// TestHome proves that all nodes agree on the home of a torrent; that each has its share; that a node which comes takes its share only from
// each of the others; and that nobody without the secret can tell the home.
func TestHome(t *testing.T) {
	c, err := newCompass([]byte(rigSecret))
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := newCompass([]byte("another secret, as long"))
	ids := []string{"a", "b", "c", "d", "e"}
	views, four := make([]view, len(ids)), viewOf(&c, 0, ids[:4]...)
	for k := range ids {
		views[k] = viewOf(&c, k, ids...)
	}
	name := func(v *view, self string, sum uint64) string {
		if n := v.home(sum); n != nil {
			return n.id
		}
		return self
	}
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds = 20_000
	homes, same := make(map[string]int), 0
	for range rounds {
		hash := swarm.ID{byte(rng.Uint32()), byte(rng.Uint32()), 19: byte(rng.Uint32())}
		home := name(&views[0], "a", c.sum(&hash))
		homes[home]++
		for k, id := range ids {
			if got := name(&views[k], id, c.sum(&hash)); got != home {
				t.Fatalf("%s holds %s for the home, and a %s", id, got, home)
			}
		}
		if before := name(&four, "a", c.sum(&hash)); home != "e" && home != before {
			t.Fatalf("e has come, and a torrent went from %s to %s", before, home)
		}
		if name(&views[0], "a", foreign.sum(&hash)) == home {
			same++
		}
	}
	for _, id := range append(ids, "with another secret") {
		n := homes[id]
		if id == "with another secret" {
			n = same
		}
		if math.Abs(float64(n)-rounds/5) > rounds/5*0.05 {
			t.Errorf("%s: %d of %d torrents, a fifth is even", id, n, rounds)
		}
	}
	// Hashes that differ at their end only have different homes.
	seen := make(map[string]bool)
	for k := range 100 {
		seen[name(&views[0], "a", c.sum(&swarm.ID{19: byte(k)}))] = true
	}
	if len(seen) != len(ids) {
		t.Errorf("the last byte of a hash leads to %d homes", len(seen))
	}
}

// TestDraw proves that each peer of a class is as likely as any other, wherever it is; that classes come in their order; and that no peer is
// drawn twice.
func TestDraw(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	others := []record.Other{
		{Node: 1, Counts: record.Counts{Seeders: 4, FreshSeeders: 3, Leechers: 9, FreshLeechers: 7}},
		{Node: 2, Counts: record.Counts{Seeders: 1, FreshSeeders: 1, Leechers: 3, FreshLeechers: 1}},
		{Node: 3, Counts: record.Counts{Leechers: 1}},
		{Node: 4, Counts: record.Counts{Leechers: 2, FreshLeechers: 2}},
	}
	f := func(seeder bool, n int, want map[uint16]float64) {
		t.Helper()
		const rounds = 20_000
		got := make(map[uint16]float64)
		for range rounds {
			for _, node := range draw(rng, seeder, others, n) {
				got[node] += 1.0 / rounds
			}
		}
		for _, o := range others {
			if math.Abs(got[o.Node]-want[o.Node]) > 0.02 {
				t.Errorf("seeder %v, %d offers: node %d gets %.3f, want %.3f", seeder, n, o.Node, got[o.Node], want[o.Node])
			}
		}
	}
	f(false, 1, map[uint16]float64{1: 10.0 / 14, 2: 2.0 / 14, 4: 2.0 / 14})
	f(false, 7, map[uint16]float64{1: 5, 2: 1, 4: 1})
	f(true, 5, map[uint16]float64{1: 3.5, 2: 0.5, 4: 1})
	f(true, 12, map[uint16]float64{1: 7 + 1.5, 2: 1 + 0.5, 4: 2})
	f(true, 17, map[uint16]float64{1: 10 + 1.5, 2: 2 + 1, 3: 0.5, 4: 2})
	for _, n := range []int{0, 20, 21, 100} {
		if got := len(draw(rng, n%2 == 0, others, n)); got != min(n, 20) {
			t.Errorf("%d of %d offers have a receiver, there are 20 peers", got, n)
		}
	}
	if got := fmt.Sprint(draw(rng, false, nil, 3)); got != "[]" {
		t.Errorf("without others %s are drawn", got)
	}
}
