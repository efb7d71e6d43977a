package swarm

// This file proves the hash table, its hash, and the rule of owners.

import (
	"math/rand/v2"
	"testing"
)

// A hash table that grows and shrinks again finds each of its records and no other, and no single insertion
// moves more than a short chain, in a table of any size.
func TestRecordsGrowInSmallSteps(t *testing.T) {
	const n = 300_000
	seed := [2]uint64{3, 4}
	r := records[sender]{hash: func(s *sender) uint64 { return hashSender(seed, s.peer) }}
	find := func(p uint32) uint32 {
		return r.find(hashSender(seed, p), func(s *sender) bool { return s.peer == p })
	}
	slots := make([]uint32, n)
	for i := range uint32(n) {
		before := r.moved
		slots[i] = r.insert(hashSender(seed, i), sender{peer: i})
		if moved := r.moved - before; moved > 40 {
			t.Fatalf("insertion %d moved %d records", i, moved)
		}
	}
	if r.len() != n || r.buckets != n/load {
		t.Fatalf("%d records in %d buckets", r.len(), r.buckets)
	}
	random := rand.New(rand.NewPCG(1, 1))
	order := random.Perm(n)
	for k, i := range order {
		if k%100 == 0 {
			for _, j := range order[k:min(n, k+200)] {
				if got := find(uint32(j)); got != slots[j] {
					t.Fatalf("record %d is found at %d, want %d", j, got, slots[j])
				}
			}
		}
		r.remove(slots[i])
		if got := find(uint32(i)); got != 0 {
			t.Fatalf("record %d is removed but found at %d", i, got)
		}
	}
	// All memory is used again.
	before := r.bytes()
	for i := range uint32(n) {
		r.insert(hashSender(seed, i), sender{peer: i})
	}
	if r.bytes() != before {
		t.Fatalf("the table took %d bytes, and %d after it had been emptied", before, r.bytes())
	}
}

// The rounds are those of SipHash-1-3: the published hash of the empty message, whose one word is zero,
// under the key 00 01 … 0f.
func TestHashIsSipHash13(t *testing.T) {
	h := newHash([2]uint64{0x0706050403020100, 0x0f0e0d0c0b0a0908}, 0)
	if got := h.sum(); got != 0xabac0158050fc4dc {
		t.Fatalf("got %#x", got)
	}
}

// Owners are uniform over the shards, and another seed gives other owners.
func TestOwnerIsUniform(t *testing.T) {
	const torrents = 100_000
	for _, n := range []int{1, 2, 3, 7, 64} {
		counts := make([]int, n)
		moved := 0
		for i := range torrents {
			id := testID('h', i)
			o := Owner([2]uint64{1, 2}, &id, n)
			counts[o]++
			if o != Owner([2]uint64{1, 3}, &id, n) {
				moved++
			}
		}
		if n > 1 && (chiSquare(counts) > 4.5 || moved < torrents/3) {
			t.Errorf("%d shards: %v, %d moved with another seed", n, counts, moved)
		}
	}
}

// A table that has reserved buckets for its records finds all of them and splits no bucket, and grows as others do if more
// come.
func TestReserve(t *testing.T) {
	for _, n := range []uint32{1, load * pageLen, load*pageLen + 1, 10_000, 65_535, 65_536, 100_001} {
		seed := [2]uint64{3, 4}
		r := records[sender]{hash: func(s *sender) uint64 { return hashSender(seed, s.peer) }}
		r.reserve(int(n))
		if r.buckets != 0 && (r.base > r.buckets || r.buckets >= 2*r.base) {
			t.Errorf("%d records: %d buckets and base %d", n, r.buckets, r.base)
		}
		for i := range 2 * n {
			if i == n && r.moved > 0 {
				t.Errorf("%d records: splits have moved %d", n, r.moved)
			}
			r.insert(hashSender(seed, i), sender{peer: i})
		}
		r.reserve(1 << 20) // nothing happens
		for i := range 2 * n {
			if r.find(hashSender(seed, i), func(s *sender) bool { return s.peer == i }) == 0 {
				t.Fatalf("%d records: one is not found", n)
			}
		}
	}
}
