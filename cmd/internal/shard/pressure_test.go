package shard

import (
	"sync/atomic"
	"testing"

	"millrace/cmd/internal/shard/conn"
)

// This file proves that a shard does not grow while the process has too little memory, and goes on to serve.

// TestPressure proves, level by level, that clients that are there are served, that more peers and connections are
// refused, that new ones take the places of those that leave, and that all is as before when there is memory again.
func TestPressure(t *testing.T) {
	var level atomic.Uint32
	for _, shards := range []int{1, 2} {
		w := newWorld(t, shards, func(o *Options) { o.Pressure = &level })
		ask := func(c *client, peer string, left int, failure any) {
			t.Helper()
			c.text(map[string]any{"action": "announce", "info_hash": id("hash"), "peer_id": id("%s", peer), "left": left})
			w.run()
			all := c.messages()
			if len(all) != 1 || all[0]["failure reason"] != failure {
				t.Errorf("%s at level %d: %v, want failure %v", peer, level.Load(), all, failure)
			}
		}
		const full = "tracker is full, try again later"
		a := w.dial(0, "192.0.2.1")
		ask(a, "a", 1, nil)
		level.Store(PressurePeers)
		w.run()
		b := w.dial(0, "192.0.2.2")
		ask(b, "b", 1, full)
		ask(a, "a", 0, nil)
		level.Store(PressureConns)
		w.run()
		ask(a, "a", 1, nil)
		c := w.accept(0, "192.0.2.3")
		w.run()
		if !c.gone || !c.reset || len(c.inbox) != 0 {
			t.Error("one connection more was let in")
		}
		a.hangUp(104)
		w.run()
		ask(b, "b", 1, nil)
		d := w.dial(0, "192.0.2.4")
		ask(d, "d", 1, full)
		level.Store(PressureNone)
		w.run()
		ask(d, "d", 1, nil)
		ask(w.dial(0, "192.0.2.5"), "e", 1, nil)
		if n := w.shards[0].table.Stats().Closed[conn.ReasonPressure]; n != 1 {
			t.Errorf("%d connections closed for lack of memory, want 1", n)
		}
	}
}
