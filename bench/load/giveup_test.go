package load

// This file tests that clients of a closed loop go on after a lost reply.

import (
	"testing"
	"time"
)

// TestSilentTracker proves that in a closed loop a client that has heard nothing for a while after its announce goes on
// with the next one, that any message makes it wait again, and that clients of an open loop keep to their times.
func TestSilentTracker(t *testing.T) {
	w := testWorker()
	w.config.Loop, w.config.InFlight = "closed", 1
	w.timeline = &timeline{end: time.Hour}
	w.clients[1].state = stateOpen
	w.keepBusy(1)
	at := func(now time.Duration, want uint64) {
		t.Helper()
		w.now = now
		if w.giveUp(); w.counts.Announces != want {
			t.Fatalf("at %v: %d announces, want %d", now, w.counts.Announces, want)
		}
	}
	at(replyPatience, 1)
	heard := replyPatience + time.Millisecond
	w.now = heard
	w.clients[1].heard = uint32(heard / time.Millisecond) // as an offer of somebody else does
	at(replyPatience+2*lookEvery, 1)
	at(heard+replyPatience, 1)
	at(heard+replyPatience+lookEvery, 2)
	at(heard+replyPatience+2*lookEvery, 2) // the new one has its own time
	if w.clients[1].waiting() != 1 {
		t.Errorf("%d announces are waited for", w.clients[1].waiting())
	}
	w.consume(1, w.replyFrame(1))
	if w.counts.Replies != 1 || w.counts.Announces != 3 || w.counts.wrong() != 0 {
		t.Errorf("after a reply: %+v", w.counts)
	}
	w.config.Loop = "open"
	at(time.Minute, 3)
	w.config.Loop, w.ended = "closed", true
	at(2*time.Minute, 3)
}
