package simulation

import (
	"errors"
	"testing"
)

// This file plays fixed seeds of clusters, and proves that their simulation finds what is wrong.

// playCluster runs one seed, which must not fail.
func playCluster(t *testing.T, seed uint64) Result {
	t.Helper()
	res, err := RunCluster(seed)
	var failure *Failure
	if errors.As(err, &failure) {
		t.Fatalf("%v\nreplay it with SEED=%d", failure, seed)
	}
	return res
}

// TestCluster proves that no seed of a fixed set finds anything wrong with a cluster, and that the seeds lead to all rare paths.
func TestCluster(t *testing.T) {
	seeds := uint64(250)
	switch {
	case raceEnabled:
		seeds = 6
	case testing.Short():
		seeds = 30
	}
	playSeeds(t, seeds, 100, playCluster, ClusterPaths)
}
