package shard

// This file tests how the peers of many connections go that end at once.

import "testing"

// However many connections end at once, a Step removes only so many of their peers, here and on another shard; the loop
// goes on with the rest before it sleeps, and in the end none is left.
func TestManyEndAtOnce(t *testing.T) {
	const clients, torrents, perStep = 40, 6, 4
	w := newWorld(t, 2, func(o *Options) { o.FollowTorrents, o.EndedPerStep = false, perStep })
	var all []*client
	for k := range clients {
		c := w.dial(0, "192.0.2.1")
		for n := range torrents {
			c.text(announce(id("torrent %d", n), id("peer %d", k), 0, nil))
		}
		all = append(all, c)
	}
	w.run()
	for _, c := range all {
		c.hangUp(0)
	}
	peers := func(s *Shard) int { return s.torrents.Counts().Peers }
	if peers(w.shards[0])*peers(w.shards[1]) == 0 {
		t.Fatal("the torrents are all on one shard")
	}
	for steps := 0; peers(w.shards[0])+peers(w.shards[1]) > 0; steps++ {
		for k, s := range w.shards {
			before := peers(s)
			w.step(k)
			if removed := before - peers(s); removed > perStep {
				t.Fatalf("a Step removed %d peers", removed)
			}
			if waiting := s.Snapshot().Torrents.GoneWaiting; (waiting > 0) != s.Busy() || waiting > clients {
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
