//go:build !race

package shard

// raceEnabled says that the race detector watches, which makes everything several times slower.
const raceEnabled = false
