package swarm

// This file measures the way of a million peers out of a table and into another one.

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// withOffers returns a table of a million peers in 100,000 swarms, each on a connection of its own and with so many offers.
func withOffers(o Options, offers int) *Table {
	const peers = 1_000_000
	table := New(o)
	fill(table, peers, peers/10, 1)
	a := Announce{Offers: make([]ID, offers)}
	for i := uint32(0); i < peers && offers > 0; i++ {
		binary.LittleEndian.PutUint32(a.Key.Hash[:], i%(peers/10))
		binary.LittleEndian.PutUint32(a.Peer[:], i)
		a.From = Addr{Index: i, Gen: 1, Shard: uint16(i % 2)}
		for k := range a.Offers {
			binary.LittleEndian.PutUint32(a.Offers[k][:], uint32(k))
		}
		table.Announce(i/(peers/100), &a, nil)
	}
	return table
}

// BenchmarkSave measures the reading of a million peers, without offers and with four each, in pieces of 1,000.
func BenchmarkSave(b *testing.B) {
	for _, offers := range []int{0, 4} {
		b.Run(fmt.Sprintf("offers=%d", offers), func(b *testing.B) {
			o := testOptions()
			o.MaxPendingOffers = 1 << 23
			table := withOffers(o, offers)
			for b.Loop() {
				peers, pending := 0, 0
				for at, first := uint32(0), true; first || at != 0; first = false {
					at = table.Save(at, 1000, 100, func(s *SavedPeer) {
						peers++
						pending += len(s.Offers)
					})
				}
				if c := table.Counts(); c.Peers != peers || c.PendingOffers != pending || pending != offers*peers {
					b.Fatalf("%d peers, %d offers, counts are %+v", peers, pending, c)
				}
			}
		})
	}
}

// BenchmarkRestore measures the same and the putting of each record into another table at once.
func BenchmarkRestore(b *testing.B) {
	for _, offers := range []int{0, 4} {
		b.Run(fmt.Sprintf("offers=%d", offers), func(b *testing.B) {
			o := testOptions()
			o.MaxPendingOffers = 1 << 23
			old := withOffers(o, offers)
			for b.Loop() {
				table := New(o)
				r := table.Restore(7, 1_000_000, 1_000_000*offers)
				for at, first := uint32(0), true; first || at != 0; first = false {
					at = old.Save(at, 1000, 100, func(s *SavedPeer) { r.Peer(s, uint64(s.From.Index), 0) })
				}
				if c := r.Restored(); c != (Restored{Peers: 1_000_000, Offers: 1_000_000 * offers}) {
					b.Fatalf("%+v", c)
				}
			}
		})
	}
}
