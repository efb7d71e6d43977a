package paced

import (
	"testing"
	"time"
)

// This file tests that slices of work add up to one pass a period.

// A paced scan makes one pass in one period, however seldom or often it is asked, in slices within the limit.
func TestPacedScan(t *testing.T) {
	f := func(n, limit int, step time.Duration) {
		t.Helper()
		var p Scan
		visited := 0
		const periods = 20
		for now := step; now <= periods*time.Second; now += step {
			for {
				k, more := p.Due(int64(now), n, time.Second, limit)
				visited += k
				if k > limit || k > n {
					t.Fatalf("a slice of %d, limit %d of %d", k, limit, n)
				}
				if !more {
					break
				}
			}
		}
		if least, most := n*(periods-1), n*(periods+1)+int(periods*time.Second/step)+16*periods; visited < least || visited > most {
			t.Errorf("%d entries, limit %d, asked every %v: visited %d in %d periods, want %d to %d",
				n, limit, step, visited, periods, least, most)
		}
	}
	for _, step := range []time.Duration{100 * time.Microsecond, 7 * time.Millisecond, 250 * time.Millisecond, time.Second} {
		f(1, 4096, step)
		f(100, 4096, step)
		f(5000, 4096, step)
		f(300_000, 4096, step)
	}
}
