package swarm

// This file proves that Options.Observe sees every peer once in a pass, and that removals are counted.

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

// Removed counts peers, successors and offers that go, whatever the reason, each once.
func TestRemoved(t *testing.T) {
	table := New(testOptions())
	before, step := uint64(0), 0
	f := func(peers, offers uint64) {
		t.Helper()
		if got, want := table.Removed()-before, peers*PeerRemoval+offers; got != want {
			t.Errorf("step %d: %d is removed, want %d", step, got, want)
		}
		before = table.Removed()
		step++
	}
	join := func(peer int, conn uint32, offers ...ID) Announce {
		a := announceOf(peer, conn, LeftMore, EventUpdate)
		a.Offers = offers
		table.Announce(1, &a, nil)
		return a
	}
	join(1, 1)
	join(1, 2) // a successor
	last := join(2, 3, ID{1}, ID{2})
	join(3, 4, ID{1}, ID{2})
	f(0, 0)
	table.Answer(1, &Answer{Key: last.Key, Peer: testID('p', 1), From: addrOf(1), To: last.Peer, Offer: ID{1}})
	f(0, 1)
	last.Event = EventStopped
	table.Announce(1, &last, nil)
	f(1, 0)
	table.Gone(addrOf(2))
	f(1, 0)
	table.Sweep(1+testOptions().MaxOfferAge, table.Len())
	f(0, 2)
	table.Sweep(1+testOptions().MaxQuietAge, table.Len())
	f(2, 0)
}
