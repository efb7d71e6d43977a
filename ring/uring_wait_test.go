package ring

import "testing"

// This file owns the test of how the runtime's settings are read.

// TestPreemptionOff proves which GODEBUG settings are recognised.
func TestPreemptionOff(t *testing.T) {
	f := func(godebug string, want bool) {
		t.Helper()
		if got := preemptionOff(godebug); got != want {
			t.Errorf("%q: %v", godebug, got)
		}
	}
	f("", false)
	f("asyncpreemptoff=1", true)
	f("gctrace=1,asyncpreemptoff=1", true)
	f("asyncpreemptoff=1,asyncpreemptoff=0", false)
	f("xasyncpreemptoff=1", false)
}
