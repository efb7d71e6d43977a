package simulation

import (
	"errors"
	"os"
	"strconv"
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
	if v := os.Getenv("SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		playCluster(t, seed)
		return
	}
	seeds := uint64(250)
	switch {
	case raceEnabled:
		seeds = 6
	case testing.Short():
		seeds = 30
	}
	var all Result
	for seed := range seeds {
		res := playCluster(t, seed)
		all.Add(&res)
	}
	for _, p := range ClusterPaths(&all) {
		t.Logf("%8d × %s", p.Count, p.Name)
		if p.Count == 0 && seeds > 100 {
			t.Errorf("no seed led to this: %s", p.Name)
		}
	}
}
