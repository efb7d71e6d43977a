package swarm

// This file proves that Options.Observe sees every peer once in a pass.

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// While a table changes all the time, Observe sees only peers that are there, and in each pass exactly once every peer
// that is there from its beginning to its end.
func TestObserve(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var (
				live   = make(map[ID]Announce)
				stayed = make(map[ID]bool) // live peers that were there when the pass began
				seen   = make(map[ID]int)
				passes = 0
				joined = 0 // no id comes twice
			)
			o := testOptions()
			o.Observe = func(peer *ID) {
				if peer != nil {
					if _, ok := live[*peer]; !ok {
						t.Fatalf("%q is seen and is not there", *peer)
					}
					seen[*peer]++
					return
				}
				for id := range stayed {
					if seen[id] != 1 {
						t.Fatalf("pass %d: %q was seen %d times", passes, id, seen[id])
					}
				}
				clear(seen)
				clear(stayed)
				for id := range maps.Keys(live) {
					stayed[id] = true
				}
				passes++
			}
			table := New(o)
			for now := range uint32(3000) {
				for range r.IntN(4) {
					if len(live) < 50 {
						joined++
						a := Announce{Key: Key{Hash: testID('h', r.IntN(9))}, Peer: testID('p', joined), From: Addr{Index: r.Uint32()}}
						table.Announce(now/100, &a, nil)
						live[a.Peer] = a
					}
				}
				for n := range joined {
					a, ok := live[testID('p', n)]
					if ok && r.IntN(50) == 0 {
						a.Event = EventStopped
						table.Announce(now/100, &a, nil)
						delete(live, a.Peer)
						delete(stayed, a.Peer)
					}
				}
				table.Sweep(now/100, r.IntN(6))
			}
			if passes < 10 || len(live) == 0 {
				t.Fatalf("%d passes, %d peers at the end", passes, len(live))
			}
		})
	}
}
