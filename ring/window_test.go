package ring

import (
	"testing"
	"time"
)

// This file owns the tests of the pacer, on a clock of its own.

// TestPacer proves that a loop waits for single events while they are rare, gathers them in windows when they are many,
// and returns to single events when they become rare again; and that a window of 0 switches gathering off.
func TestPacer(t *testing.T) {
	f := func(p *Pacer, perSecond float64, want Window) {
		t.Helper()
		now := p.last
		for range 2000 {
			w := p.Next()
			gap := time.Duration(float64(time.Second) / perSecond)
			n, wait := 1, gap
			if w.Min > 1 && gap < w.Max {
				n, wait = int(w.Max/gap), w.Max
			}
			now += wait
			p.Saw(n, now)
		}
		if got := p.Next(); got != want {
			t.Errorf("%v events a second: %+v, want %+v", perSecond, got, want)
		}
	}
	single, window := Window{Min: 1}, Window{Min: batchEvents, Max: 2 * time.Millisecond}
	p := &Pacer{Window: 2 * time.Millisecond}
	f(p, 100, single)
	f(p, 5_000, single)
	f(p, 100_000, window)
	f(p, 9_000, window) // between the thresholds nothing changes
	f(p, 2_000, single)
	f(p, 9_000, single)
	f(&Pacer{}, 1_000_000, single)
}

// TestPacerBursts proves that bursts do not deceive the pacer: twenty events within 20 µs, every 10 ms, are few.
func TestPacerBursts(t *testing.T) {
	p := &Pacer{Window: 2 * time.Millisecond}
	for now := time.Duration(0); now < 10*time.Second; now += 10 * time.Millisecond {
		for k := range time.Duration(20) {
			p.Saw(1, now+k*time.Microsecond)
			if p.Next().Min > 1 {
				t.Fatalf("a window after %v", now)
			}
		}
	}
}
