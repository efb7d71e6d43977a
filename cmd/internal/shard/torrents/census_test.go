package torrents

import (
	"encoding/binary"
	"testing"

	"millrace/swarm"
)

// This file tests the bounds of a census; the shard's tests take one of real swarms.

// TestCensusIsBounded proves that peers who make up prefixes take no memory beyond the bound, are counted nonetheless,
// and that this ends with the pass.
func TestCensusIsBounded(t *testing.T) {
	var o Options
	o.Census = true
	c := newCensusTaker(&o)
	const more = 1000
	for k := range maxPrefixes + more {
		for range 2 {
			var peer swarm.ID
			binary.BigEndian.PutUint64(peer[:], uint64(k))
			o.Swarm.Observe(&peer)
		}
	}
	o.Swarm.Observe(nil)
	if len(c.last.Peers) != maxPrefixes || c.last.Rest != 2*more {
		t.Errorf("%d prefixes and %d other peers, want %d and %d", len(c.last.Peers), c.last.Rest, maxPrefixes, 2*more)
	}
	o.Swarm.Observe(nil)
	if len(c.last.Peers) != 0 || c.last.Rest != 0 {
		t.Errorf("an empty pass gave %+v", *c.last)
	}
}
