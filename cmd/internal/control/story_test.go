package control

import (
	"testing"

	"millrace/swarm"
)

// This file proves what is said about a peer.

// TestAnnounced proves that a peer is shown with the seconds since its announce, which may have been before the clock began.
func TestAnnounced(t *testing.T) {
	h := New(Parts{Software: func([]byte) string { return "" }}, false)
	f := func(seen, now uint32, want int) {
		t.Helper()
		if got := h.peer(&swarm.Seat{Seen: seen}, now).Announced; got != want {
			t.Errorf("seen at %d, now %d: %d s ago, want %d", seen, now, got, want)
		}
	}
	f(90, 100, 10)
	f(100, 100, 0)
	f(101, 100, 0)
	f(^uint32(0)-29, 5, 35)
}
