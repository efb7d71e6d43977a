package load

// This file tests the time series of a run: its small histograms, its intervals, and the use of both processes.

import (
	"math"
	"testing"
	"time"
)

// TestBins proves that each latency has a bin whose end is at most 1.6 % above it, that quantiles are those of all values
// as exactly, and that the longest one is exact.
func TestBins(t *testing.T) {
	if last := binOf(uint32(longestLatency.Microseconds())); last >= binCount {
		t.Fatalf("the longest latency has bin %d of %d", last, binCount)
	}
	before := 0
	for us := uint32(1); us <= uint32(longestLatency.Microseconds()); us += 1 + us/300 {
		bin := binOf(us)
		if end := binEnd(bin); end < us || float64(end) > float64(us)*1.016 || bin < before || binOf(end) != bin || binOf(end+1) != bin+1 {
			t.Fatalf("%d µs has bin %d, which ends at %d; the one before has bin %d", us, bin, end, before)
		}
		before = bin
	}
	var a, b bins
	for us := 1; us <= 100_000; us++ {
		of := &a
		if us%3 == 0 {
			of = &b
		}
		of.record(time.Duration(us) * time.Microsecond)
	}
	a.merge(&b)
	q := a.quantiles()
	f := func(what string, got, want, within float64) {
		t.Helper()
		if math.Abs(got-want) > want*within {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	f("count", float64(q.Count), 100_000, 0)
	f("p50", q.P50, 50_000, 0.016)
	f("p90", q.P90, 90_000, 0.016)
	f("p99", q.P99, 99_000, 0.016)
	f("max", q.Max, 100_000, 0)
	var ends, none bins
	ends.record(-time.Second)
	ends.record(time.Hour)
	if q := ends.quantiles(); q.P50 != 1 || q.P90 != 60e6 || q.Max != 60e6 {
		t.Errorf("the ends of the range are %+v", q)
	}
	if q := none.quantiles(); q != (Quantiles{}) {
		t.Errorf("without latencies: %+v", q)
	}
}

// TestSeries proves that messages count in the interval in which they came and latencies in that in which their announce
// was due, and that the intervals of a run that is longer than planned grow, with nothing lost.
func TestSeries(t *testing.T) {
	f := func(length time.Duration, wantWidth float64, wantIntervals int) {
		t.Helper()
		two := []*worker{{}, {}}
		for _, w := range two {
			w.series = newSeries(2 * time.Second) // four buckets
		}
		for now := time.Duration(0); now < length; now += 250 * time.Millisecond {
			for k, w := range two {
				if now >= w.series.next {
					w.series.advance(now, w.tally())
				}
				w.counts.Announces++
				w.counts.Altered += uint64(k)
				w.open = int(now / time.Second)
				due := max(now-time.Second, 0)
				w.series.due(due).replies.record(due + time.Millisecond)
			}
		}
		r := &run{workers: two}
		r.usage.add(reading{})
		r.usage.add(reading{at: length, server: length / 2, client: length / 4, rss: 7})
		all := r.series(length)
		if len(all) != wantIntervals {
			t.Fatalf("%v: %d intervals, want %d: %+v", length, len(all), wantIntervals, all)
		}
		var replies uint64
		end := 0.0
		for k, i := range all {
			wide := min(wantWidth, length.Seconds()-end)
			if i.From != end || i.Length != wide || i.Announces != uint64(wide*8) || i.Errors != uint64(wide*4) ||
				math.Abs(i.ServerCPU-wide/2) > 1e-6 || math.Abs(i.ClientCPU-wide/4) > 1e-6 || i.ServerRSS != 7 {
				t.Errorf("%v: interval %d is %+v", length, k, i)
			}
			end += i.Length
			if longest := end * 1e6; i.Reply.Count > 0 && (i.Reply.Max > longest || i.Reply.Max < longest-wantWidth*1e6) {
				t.Errorf("%v: interval %d has latencies of other intervals: %+v", length, k, i.Reply)
			}
			replies += i.Reply.Count
		}
		if n := uint64(length / (125 * time.Millisecond)); replies != n || all[len(all)-1].Open != 2*int((length-1)/time.Second) {
			t.Errorf("%v: %d latencies, want %d; at the end %+v", length, replies, n, all[len(all)-1])
		}
	}
	f(2500*time.Millisecond, 1, 3)
	f(3750*time.Millisecond, 1, 4)
	f(5*time.Second, 2, 3)
	f(30*time.Second, 8, 4)
	if n := len(newSeries(time.Hour).buckets); n != maxIntervals {
		t.Errorf("a run of an hour has %d buckets, want %d", n, maxIntervals)
	}
}

// TestUsage proves that the CPU time of an interval is found between readings that are not at its ends, that its memory
// is the highest, and that a long run keeps a bounded number of readings with the same sums.
func TestUsage(t *testing.T) {
	var u usage
	for k := range 4 {
		at := time.Duration(k)*time.Second + 20*time.Millisecond
		u.add(reading{at: at, server: at / 2, client: at / 4, rss: uint64(10 + k%2)})
	}
	f := func(u usage, from, to time.Duration, wantServer, wantClient float64, wantRSS uint64) {
		t.Helper()
		var i Interval
		u.fill(&i, from, to)
		if math.Abs(i.ServerCPU-wantServer) > 1e-6 || math.Abs(i.ClientCPU-wantClient) > 1e-6 || i.ServerRSS != wantRSS {
			t.Errorf("%v to %v: %+v, want %v, %v and %v", from, to, i, wantServer, wantClient, wantRSS)
		}
	}
	f(u, time.Second, 2*time.Second, 0.5, 0.25, 11)
	f(u, time.Second, 3*time.Second, 1, 0.5, 11)
	f(u, 0, time.Second, 0.49, 0.245, 10) // nothing is known before the first reading
	f(u, 1100*time.Millisecond, 1200*time.Millisecond, 0.05, 0.025, 10)
	f(u, 10*time.Second, 11*time.Second, 0, 0, 11)
	f(nil, 0, time.Second, 0, 0, 0)
	long := usage{}
	const n = 100_000
	for k := range n {
		at := time.Duration(k) * time.Second
		long.add(reading{at: at, server: at / 2, client: at, rss: uint64(k % 1000)})
	}
	if len(long) > 2*maxIntervals {
		t.Errorf("%d readings are kept", len(long))
	}
	f(long, 0, (n-1)*time.Second, (n-1)/2., n-1, 999)
}
