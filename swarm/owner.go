package swarm

// This file owns the rule by which torrents are divided among shards.

import "math/bits"

// Owner returns the shard, from 0 to n-1, that owns the torrents of an info hash. It panics if n is less
// than 1.
//
// Clients choose info hashes, so the rule is a keyed hash: without the seed nobody can aim torrents at one
// shard. All shards must use the same seed.
func Owner(seed [2]uint64, hash *ID, n int) int {
	if n < 1 {
		panic("BUG: swarm.Owner needs at least one shard")
	}
	h := newHash(seed, useOwner)
	h.id(hash)
	// The high half of the product maps the 64-bit hash to [0, n) without the bias of a remainder.
	shard, _ := bits.Mul64(h.sum(), uint64(n))
	return int(shard)
}
