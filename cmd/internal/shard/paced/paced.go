// Package paced divides a pass over a large table into slices of work, one for each Step, so that one pass takes one
// period, however often Step is called.
package paced

import "time"

// Scan says how much of a table is due.
type Scan struct {
	last    int64 // nanoseconds up to which work has been handed out
	started bool
}

// worthwhile is the least number of entries for which a slice is started, unless the last one is long ago.
const worthwhile = 64

// Due returns how many of n entries to visit at the time now (nanoseconds on a monotonic clock), at most limit, and
// whether more are due already. A loop that was away for long is asked for one pass and not for all that it has missed.
func (p *Scan) Due(now int64, n int, period time.Duration, limit int) (visit int, more bool) {
	if !p.started {
		p.last, p.started = now, true
	}
	p.last = max(p.last, now-int64(period))
	elapsed := now - p.last
	if n == 0 || elapsed <= 0 {
		p.last = now
		return 0, false
	}
	share := int(float64(n) * float64(elapsed) / float64(period))
	if share > limit {
		p.last += int64(float64(period) * float64(limit) / float64(n))
		return limit, true
	}
	if share < worthwhile && elapsed < int64(period)/16 {
		return 0, false
	}
	p.last = now
	return min(share+1, n, limit), false
}
