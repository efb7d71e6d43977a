package load

// This file gathers latencies and computes their percentiles.

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a recorder. A shorter or longer latency counts as the nearest end of it.
const (
	shortestLatency = time.Microsecond
	longestLatency  = 60 * time.Second
	latencyDigits   = 3 // significant decimal digits that a value keeps
)

// recorder gathers latencies in an HdrHistogram of microseconds from 1 µs to 60 s: 140 KB of memory, and the figures
// are exact to 0.1 %. It belongs to one goroutine at a time; every worker has its own, and they are merged at the end.
type recorder struct {
	histogram *hdrhistogram.Histogram
}

// newRecorder returns an empty recorder.
func newRecorder() *recorder {
	return &recorder{hdrhistogram.New(shortestLatency.Microseconds(), longestLatency.Microseconds(), latencyDigits)}
}

// record adds one latency. It does not allocate.
func (r *recorder) record(d time.Duration) {
	if r.histogram.RecordValue(min(max(d, shortestLatency), longestLatency).Microseconds()) != nil {
		panic("BUG: a latency is outside of the histogram's range")
	}
}

// merge adds the latencies of another recorder.
func (r *recorder) merge(o *recorder) {
	if r.histogram.Merge(o.histogram) > 0 {
		panic("BUG: two histograms of latencies differ in range")
	}
}

// distribution returns the figures of all recorded latencies: zeros and an empty Encoded if there are none.
func (r *recorder) distribution() Distribution {
	h := r.histogram
	if h.TotalCount() == 0 {
		return Distribution{}
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		panic("BUG: a histogram of latencies cannot be encoded: " + err.Error())
	}
	q := h.ValueAtPercentilesSlice([]float64{50, 90, 99, 99.9})
	return Distribution{
		Count:   uint64(h.TotalCount()),
		Mean:    h.Mean(),
		P50:     float64(q[0]),
		P90:     float64(q[1]),
		P99:     float64(q[2]),
		P999:    float64(q[3]),
		Max:     float64(h.Max()),
		Points:  points(h),
		Encoded: string(encoded),
	}
}

// pointsPerHalving is how many points a distribution has between a share and the middle of the way to all. So the long
// tail, which few latencies make, has as many of them as the middle.
const pointsPerHalving = 20

// points returns the distribution for a plot: about pointsPerHalving for each doubling of the number of latencies.
func points(h *hdrhistogram.Histogram) (all []Point) {
	for _, b := range h.CumulativeDistributionWithTicks(pointsPerHalving) {
		p := Point{float64(b.Count) / float64(h.TotalCount()), float64(b.ValueAt)}
		if n := len(all); n == 0 || all[n-1].Share < p.Share {
			all = append(all, p)
		}
	}
	return all
}
