package load

// This file tests the order in which clients announce, their timers, and the placement of connections in torrents.

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestSchedule proves that the announces of all workers together are evenly spread over the interval, and that each
// client has one in each interval.
func TestSchedule(t *testing.T) {
	const workers, connections, interval = 3, 10, time.Second
	var due []time.Duration
	for number := range workers {
		var order []uint32
		for i := number; i < connections; i += workers {
			order = append(order, uint32(i))
		}
		s := newSchedule(order, number, workers, connections, interval)
		s.start = time.Minute
		for cycle := range 3 {
			var seen []uint32
			for range order {
				if at := s.next(); cycle == 2 {
					due = append(due, at)
				}
				seen = append(seen, s.take())
			}
			if !slices.Equal(seen, order) {
				t.Fatalf("in a cycle came %v of %v", seen, order)
			}
		}
	}
	slices.Sort(due)
	for i := range due {
		if want := time.Minute + 2*interval + time.Duration(i)*interval/connections; due[i] != want {
			t.Errorf("announce %d is due at %v, not %v", i, due[i], want)
		}
	}
}

// TestTimers proves that timers come in the order of their times.
func TestTimers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var h timers
	var want []time.Duration
	for range 1000 {
		at := time.Duration(random.IntN(300))
		h.push(timer{at: at})
		want = append(want, at)
		if random.IntN(3) == 0 {
			slices.Sort(want)
			if got := h.pop(); got.at != want[0] {
				t.Fatalf("%d came before %d", got.at, want[0])
			}
			want = want[1:]
		}
	}
	slices.Sort(want)
	for _, at := range want {
		if got := h.pop(); got.at != at {
			t.Fatalf("%d came before %d", got.at, at)
		}
	}
}

// sizes returns how many places each torrent has in a placement, largest first.
func sizes(p *placement) []int {
	n := make([]int, p.torrents)
	for _, t := range p.table {
		n[t]++
	}
	slices.Sort(n)
	slices.Reverse(n)
	return n
}

// TestPlacement proves that swarms have the sizes that are asked for, and that the same seed gives the same.
func TestPlacement(t *testing.T) {
	even := newPlacement(&Config{Connections: 4000, Torrents: 100, PerConnection: 1, Placement: "even"})
	if n := sizes(even); n[0] != 40 || n[99] != 40 {
		t.Errorf("even: swarms of %v", n)
	}
	cfg := Config{Connections: 42000, PerConnection: 1, Placement: "tail", MeanPeers: 1.8, Seed: 1}
	tail := newPlacement(&cfg)
	n := sizes(tail)
	mean := float64(len(tail.table)) / float64(len(n))
	alone := len(n) - slices.Index(n, 1)
	if math.Abs(mean-1.8) > 0.02 || n[0] < 200 || n[len(n)-1] != 1 || alone < len(n)/2 {
		t.Errorf("tail: %d swarms with %f peers on average, the largest of %d, %d peers alone", len(n), mean, n[0], alone)
	}
	if !slices.Equal(tail.table, newPlacement(&cfg).table) {
		t.Error("the same seed gives another placement")
	}
	cfg.Seed++
	if slices.Equal(tail.table, newPlacement(&cfg).table) {
		t.Error("another seed gives the same placement")
	}
	gamma := newPlacement(&Config{Connections: 16, Torrents: 10000, PerConnection: 64, Placement: "gamma"})
	if n := sizes(gamma); n[0] < 300 || n[0] > 600 {
		t.Errorf("gamma: the largest swarm has %d of 1024 places", n[0])
	}
}

// TestPlacementTable proves that the torrents of a connection come in turn and are told from those of others.
func TestPlacementTable(t *testing.T) {
	p := newPlacement(&Config{Connections: 5, Torrents: 7, PerConnection: 3, Placement: "even"})
	if got := p.of(1); !slices.Equal(got, []uint32{3, 4, 5}) {
		t.Errorf("connection 1 is in %v", got)
	}
	if p.torrent(1, 0) != 3 || p.torrent(1, 4) != 4 || p.torrent(1, 5) != 5 || !p.has(1, 5) || p.has(1, 6) {
		t.Error("the torrents do not come in turn")
	}
}
