package load

// This file tests the percentiles of latencies.

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// TestRecorder proves that the figures of merged recorders are those of all values, to 0.1 %, that a value out of range
// counts at the nearest end of it, and that the points and the encoded histogram hold the same.
func TestRecorder(t *testing.T) {
	a, b := newRecorder(), newRecorder()
	for us := 1; us <= 100_000; us++ {
		r := a
		if us%3 == 0 {
			r = b
		}
		r.record(time.Duration(us) * time.Microsecond)
	}
	a.merge(b)
	d := a.distribution()
	f := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want/1000+1 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	f("count", float64(d.Count), 100_000)
	f("mean", d.Mean, 50_000)
	f("p50", d.P50, 50_000)
	f("p90", d.P90, 90_000)
	f("p99", d.P99, 99_000)
	f("p99.9", d.P999, 99_900)
	f("max", d.Max, 100_000)
	h, err := hdrhistogram.Decode([]byte(d.Encoded))
	if err != nil || h.TotalCount() != 100_000 || float64(h.ValueAtPercentile(99)) != d.P99 {
		t.Errorf("the encoded histogram: %v", err)
	}

	if n := len(d.Points); n < 50 || n > 200 || d.Points[n-1] != (Point{1, d.Max}) {
		t.Errorf("%d points, the last of which is %v", n, d.Points[max(n-1, 0)])
	}
	for k, p := range d.Points {
		f("the latency at a share", p.Latency, p.Share*100_000)
		if k > 0 && p.Share <= d.Points[k-1].Share {
			t.Errorf("point %d is not beyond the one before: %v", k, d.Points[:k+1])
		}
	}

	ends := newRecorder()
	ends.record(-time.Second)
	ends.record(time.Hour)
	d = ends.distribution()
	f("the shortest", d.P50, 1)
	f("the longest", d.Max, 60e6)
	if d := newRecorder().distribution(); !reflect.DeepEqual(d, Distribution{}) {
		t.Errorf("nothing was recorded: %+v", d)
	}
}

// TestRecorderAllocates proves that recording leaves no garbage: a worker records every message.
func TestRecorderAllocates(t *testing.T) {
	r := newRecorder()
	d := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() { d += 17 * time.Microsecond; r.record(d) }); n != 0 {
		t.Errorf("%v allocations for one latency", n)
	}
}
