package load

// This file counts latencies in few bytes, for the time series: a second of a run has to be small, and a percentile of it
// need not be as exact as one of the whole run.

import (
	"math/bits"
	"time"
)

// A doubling of the latency has 1<<binBits bins, so that the ends of a bin are less than 1.6 % apart.
const (
	binBits  = 6
	binCount = 1344 // up to 2^26 µs, which is more than longestLatency
)

// bins are latencies by their size, in 5 KB. They belong to one goroutine at a time.
type bins struct {
	counts [binCount]uint32
	max    uint32 // µs
}

// binOf returns the bin of a latency in µs. Below 1<<(binBits+1) each value has its own.
func binOf(us uint32) int {
	shift := max(bits.Len32(us)-binBits-1, 0)
	return shift<<binBits + int(us>>shift)
}

// binEnd returns the longest latency in a bin, in µs.
func binEnd(bin int) uint32 {
	shift := max(bin>>binBits-1, 0)
	return uint32(bin-shift<<binBits+1)<<shift - 1
}

// record adds one latency. It does not allocate.
func (b *bins) record(d time.Duration) {
	us := uint32(min(max(d, shortestLatency), longestLatency) / time.Microsecond)
	b.counts[binOf(us)]++
	b.max = max(b.max, us)
}

// merge adds the latencies of others.
func (b *bins) merge(o *bins) {
	if o.max == 0 {
		return
	}
	for k, n := range o.counts {
		b.counts[k] += n
	}
	b.max = max(b.max, o.max)
}

// quantiles returns the figures of all recorded latencies: zeros if there are none.
func (b *bins) quantiles() Quantiles {
	q := Quantiles{Max: float64(b.max)}
	for _, n := range b.counts {
		q.Count += uint64(n)
	}
	at := [...]struct {
		share float64
		to    *float64
	}{{0.5, &q.P50}, {0.9, &q.P90}, {0.99, &q.P99}}
	seen, next := uint64(0), 0
	for bin, n := range b.counts {
		seen += uint64(n)
		for ; n > 0 && next < len(at) && float64(seen) >= at[next].share*float64(q.Count); next++ {
			*at[next].to = min(float64(binEnd(bin)), q.Max)
		}
	}
	return q
}
