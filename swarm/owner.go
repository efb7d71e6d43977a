package swarm

import "math/bits"

// Owner returns which of n shards, from 0 to n-1, owns the torrents of an info hash.
//
// Clients choose info hashes, so the rule is a keyed hash: without the seed nobody can aim torrents
// at one shard. Every shard must be given the same seed. n must be at least 1.
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
