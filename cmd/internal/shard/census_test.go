package shard

// This file tests the census of whole shards; torrents/census_test.go tests its bounds.

import (
	"maps"
	"testing"
)

// TestCensus proves that after a pass of housekeeping the censuses of all shards together are the peers that there are,
// that those published before are not changed, and that none is taken unless it is asked for.
func TestCensus(t *testing.T) {
	w := newWorld(t, 2, func(o *Options) { o.Census = true })
	f := func(want map[string]uint64) {
		t.Helper()
		for range 40 { // two passes: the one under way has seen what was before
			w.now += w.shards[0].opt.SweepPeriod / 20
			w.run()
		}
		got := make(map[string]uint64)
		for _, s := range w.shards {
			if c := s.Census(); c != nil {
				for prefix, n := range c.Peers {
					got[string(prefix[:])] += n
				}
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("the census is %v, want %v", got, want)
		}
	}
	f(map[string]uint64{})
	var clients []*client
	for k := range 200 {
		c := w.dial(k%2, "192.0.2.1")
		peer := id("-WW0205-%d", k)
		if k%4 == 0 {
			peer = id("-qB4650-%d", k)
		}
		c.text(announce(id("torrent %d", k%20), peer, 0, nil))
		clients = append(clients, c)
	}
	w.run()
	f(map[string]uint64{"-WW0205-": 150, "-qB4650-": 50})
	before := w.shards[0].Census()
	copied := maps.Clone(before.Peers)
	for k, c := range clients {
		if k%4 == 0 {
			c.hangUp(0)
		}
	}
	w.run()
	f(map[string]uint64{"-WW0205-": 150})
	if !maps.Equal(before.Peers, copied) {
		t.Error("a published census has changed")
	}

	w = newWorld(t, 1, nil)
	w.dial(0, "192.0.2.1").text(announce(id("torrent"), id("peer"), 0, nil))
	w.run()
	w.now += 2 * w.shards[0].opt.SweepPeriod
	w.run()
	if w.shards[0].Census() != nil {
		t.Error("a census that nobody has asked for")
	}
}
