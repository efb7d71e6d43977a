package swarm

// Owner returns which of n shards, from 0 to n-1, owns the torrents of an info hash.
func Owner(seed [2]uint64, hash *ID, n int) int { return int(hash[0]) % n }
