package shard

import (
	"testing"
	"time"
)

// This file proves that the time from an announce to its reply is measured, also where another shard serves it.

// TestReplyTimes proves that a reply counts from the turn that read the announce, and from the wait before it where the
// loop gathered events, to the end of the turn that sent the reply; once for each announce, and not for answers.
func TestReplyTimes(t *testing.T) {
	const announces = 20
	for _, shards := range []int{1, 2} {
		w := newWorld(t, shards, func(o *Options) { o.FollowTorrents, o.ReplyToAnswers = false, true })
		c := w.dial(0, "192.0.2.1")
		w.run()
		w.now, w.took = time.Second, 3*time.Millisecond
		for k := range announces {
			c.text(announce(id("torrent %d", k), id("peer"), 0, nil))
			w.shards[0].stats.replies.waited = time.Millisecond
			for range 4 { // to another shard and back, each with a turn of its own
				w.turn()
				w.now += 10 * time.Millisecond
			}
		}
		c.text(answer(id("peer"), map[string]any{"info_hash": id("torrent 1"), "offer_id": id("none"), "peer_id": id("peer")}))
		w.run()
		var sum Stats
		for _, s := range w.shards {
			figures := s.Snapshot()
			sum.Add(&figures)
		}
		here, elsewhere := sum.Messages.ServedHere, sum.Messages.ServedElsewhere
		times, n := sum.Messages.Replies, uint64(0)
		for _, count := range times.Counts {
			n += count
		}
		if n != announces || len(c.messages()) != announces+1 {
			t.Errorf("%d shards: %d times of %d announces", shards, n, announces)
		}
		if shards == 1 && times.Sum != announces*4*time.Millisecond {
			t.Errorf("one shard: %v of %d announces", times.Sum, announces)
		}
		// The other shard turns behind this one at the same time: the reply is here one turn later.
		if mailed := elsewhere; shards > 1 && (mailed == 0 || here == 0 ||
			times.Sum != announces*4*time.Millisecond+time.Duration(mailed)*10*time.Millisecond) {
			t.Errorf("%d shards: %v, %d mailed", shards, times.Sum, mailed)
		}
	}
}
