package stats

import (
	"strconv"
	"time"
)

// This file owns the histogram of times: plain counters, as a loop can count them.

// latencyBounds are the upper ends of the parts of a Latency, all but the last one, which has none.
var latencyBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 1 * time.Second,
	2500 * time.Millisecond,
}

// Latency is a histogram of times. As a field of a struct of figures it is a metric of the type Histogram.
type Latency struct {
	Counts [len(latencyBounds) + 1]uint64 // by part, not cumulated
	Sum    time.Duration
}

// Note counts a time that was measured n times.
func (l *Latency) Note(d time.Duration, n int) {
	k := 0
	for k < len(latencyBounds) && d > latencyBounds[k] {
		k++
	}
	l.Counts[k] += uint64(n)
	l.Sum += d * time.Duration(n)
}

// Over returns how many times there are, and how many in parts above a time.
func (l *Latency) Over(d time.Duration) (all, over uint64) {
	for k, n := range l.Counts {
		all += n
		if k > 0 && latencyBounds[k-1] >= d {
			over += n
		}
	}
	return all, over
}

// latencySeries returns the series of a Latency at a place, in the words of Prometheus: a count of all times up to each
// bound, their sum, and the count of all.
func latencySeries(p place) (all []Series) {
	for k := range (Latency{}).Counts {
		le := "+Inf"
		if k < len(latencyBounds) {
			le = strconv.FormatFloat(latencyBounds[k].Seconds(), 'f', -1, 64)
		}
		bucket := p.inside("", 0, nil).inside("", k, []Label{{"le", le}})
		all = append(all, Series{Labels: bucket.labels, Suffix: "_bucket", path: bucket.path, cumulated: true})
	}
	count := all[len(all)-1]
	count.Labels, count.Suffix = p.labels, "_count"
	return append(all, Series{Labels: p.labels, Suffix: "_sum", path: p.inside("", 1, nil).path}, count)
}
