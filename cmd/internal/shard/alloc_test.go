package shard

import (
	"encoding/json"
	"testing"

	"millrace/swarm"
)

// This file proves that a Step allocates nothing in the steady state.

// In the steady state a Step allocates nothing, whatever a client sends: an announce with ten offers and their relay, an
// answer, a scrape, a ping; also where the torrent belongs to another shard.
func TestStepDoesNotAllocate(t *testing.T) {
	f := func(what string, step func()) {
		t.Helper()
		for range 1000 { // tables and slices reach their size
			step()
		}
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%v allocations in a Step with %s", n, what)
		}
	}
	f("an announce of ten offers", announceStep(t))
	for _, shards := range []int{1, 2} {
		w := newWorld(t, shards, func(o *Options) { o.FollowTorrents = false })
		c := w.dial(0, "192.0.2.1")
		var hash string
		for k := 0; hash == "" || w.shards[0].torrents.Loans.Home((*swarm.ID)([]byte(hash))) != shards-1; k++ {
			hash = id("torrent %d", k)
		}
		c.text(announce(hash, id("peer"), 0, nil))
		w.run()
		f("an announce", stepOf(w, c, clientText(t, announce(hash, id("peer"), 3, nil))))
		f("an answer", stepOf(w, c, clientText(t, answer(id("peer"),
			map[string]any{"info_hash": hash, "peer_id": id("other"), "offer_id": id("offer")}))))
		f("a scrape", stepOf(w, c, clientText(t, map[string]any{"action": "scrape", "info_hash": []string{hash, id("x")}})))
		f("a ping", stepOf(w, c, clientFrame(0x89, "ping")))
		if shards > 1 && w.shards[0].Snapshot().Post.MailOut < 1000 {
			t.Error("nothing went to the other shard")
		}
	}
}

// clientText returns the frame of a text message with the JSON of v.
func clientText(tb testing.TB, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return clientFrame(0x81, string(b))
}
