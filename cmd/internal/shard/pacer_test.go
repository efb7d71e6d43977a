package shard

import (
	"testing"
	"time"

	"millrace/ring"
)

// A loop waits for single events while they are rare, gathers them in windows when they are many, and returns to single
// events when they become rare again; a window of 0 switches gathering off.
func TestPacer(t *testing.T) {
	f := func(p *pacer, perSecond float64, want ring.Window) {
		t.Helper()
		now := p.last
		for range 2000 {
			w := p.next()
			gap := time.Duration(float64(time.Second) / perSecond)
			n, wait := 1, gap
			if w.Min > 1 && gap < w.Max {
				n, wait = int(w.Max/gap), w.Max
			}
			now += wait
			p.saw(n, now)
		}
		if got := p.next(); got != want {
			t.Errorf("%v events a second: %+v, want %+v", perSecond, got, want)
		}
	}
	single, window := ring.Window{Min: 1}, ring.Window{Min: batchEvents, Max: 500 * time.Microsecond}
	p := &pacer{window: 500 * time.Microsecond}
	f(p, 100, single)
	f(p, 5_000, single)
	f(p, 100_000, window)
	f(p, 12_000, window) // between the thresholds it stays what it is
	f(p, 2_000, single)
	f(p, 12_000, single)
	f(&pacer{}, 1_000_000, single)
}
