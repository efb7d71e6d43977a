package shard

import (
	"testing"

	"millrace/swarm"
)

// However many connections end at once, a Step removes only so many of their peers, here and on another shard; the loop
// goes on with the rest before it sleeps, and in the end none is left.
func TestManyEndAtOnce(t *testing.T) {
	const clients, torrents, perStep = 40, 6, 10
	w := newWorld(t, 2, func(o *Options) { o.FollowTorrents = false })
	var all []*client
	for k := range clients {
		c := w.dial(0, "192.0.2.1")
		for n := range torrents {
			c.text(announce(id("torrent %d", n), id("peer %d", k), 0, nil))
		}
		all = append(all, c)
	}
	w.run()
	for _, s := range w.shards {
		s.ended.perStep = perStep
	}
	for _, c := range all {
		c.hangUp(0)
	}
	peers := func(s *Shard) int { return s.table.Counts().Peers }
	if peers(w.shards[0])*peers(w.shards[1]) == 0 {
		t.Fatal("the torrents are all on one shard")
	}
	for steps := 0; peers(w.shards[0])+peers(w.shards[1]) > 0; steps++ {
		for k, s := range w.shards {
			before := peers(s)
			w.step(k)
			if removed := before - peers(s); removed >= perStep+torrents {
				t.Fatalf("a Step removed %d peers", removed)
			}
			if waiting := s.Snapshot().GoneWaiting; (waiting > 0) != s.Busy() || waiting > clients {
				t.Fatalf("%d connections wait, busy: %v", waiting, s.Busy())
			}
		}
		if steps > clients*torrents {
			t.Fatal("the peers do not go")
		}
	}
	w.run()
	w.checkEmpty()
}

// The queue of those that wait is bounded, and in order: when it is full the oldest one waits no longer.
func TestEndedQueueIsBounded(t *testing.T) {
	s := newWorld(t, 1, nil).shards[0]
	s.ended.budget = 0
	join := func(index uint32) {
		a := swarm.Announce{Peer: swarm.ID{1: byte(index), 2: byte(index >> 8), 3: byte(index >> 16)}, From: swarm.Addr{Index: index}}
		s.table.Announce(1, &a, nil)
	}
	join(0)
	join(1)
	for i := range uint32(maxGoneWaiting) {
		s.gone(swarm.Addr{Index: i})
	}
	for i, want := range []int{2, 1, 0} {
		if got := s.table.Counts().Peers; got != want {
			t.Fatalf("%d peers after %d ends too many, want %d", got, i, want)
		}
		s.gone(swarm.Addr{Index: maxGoneWaiting + uint32(i)})
		if n := s.Snapshot().GoneWaiting; n != maxGoneWaiting {
			t.Fatalf("%d wait", n)
		}
	}
}
