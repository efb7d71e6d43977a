package page

// This file tests the axes and the numbers at them.

import (
	"math"
	"slices"
	"testing"
)

// TestNumbers proves how latencies, rates and other numbers are written.
func TestNumbers(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(duration(0), "0 µs")
	f(duration(1), "1 µs")
	f(duration(999.4), "999 µs")
	f(duration(999.6), "1 ms")
	f(duration(1390), "1.39 ms")
	f(duration(123_456), "123 ms")
	f(duration(60e6), "60 s")
	f(thousands(9_999), "9,999")
	f(thousands(12_000), "12k")
	f(thousands(1_250_000), "1.25M")
	f(digits(0.166), "0.17")
	f(digits(17.42), "17.4")
	f(digits(20), "20")
	f(digits(-1.5), "-1.5")
	f(digits(123_456), "123,456")
}

// TestLogarithmic proves that an axis of latencies begins and ends at round values around all that are positive, and
// that only powers of ten have a text where there are many ticks.
func TestLogarithmic(t *testing.T) {
	f := func(values []float64, wantLow, wantHigh float64, wantTexts ...string) {
		t.Helper()
		a := logarithmic("latency", values, 0, 100, mostAcross)
		var texts []string
		for _, v := range a.values() {
			if a.spare == nil || !a.spare(v) {
				texts = append(texts, a.text(v))
			}
		}
		s := a.scale
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9*b }
		if !near(s.Low, wantLow) || !near(s.High, wantHigh) || !slices.Equal(texts, wantTexts) {
			t.Errorf("%v: from %v to %v with %q, want %v to %v with %q", values, s.Low, s.High, texts, wantLow, wantHigh, wantTexts)
		}
	}
	f(nil, 1, 10, "1 µs", "2 µs", "5 µs", "10 µs")
	f([]float64{0, math.NaN()}, 1, 10, "1 µs", "2 µs", "5 µs", "10 µs")
	f([]float64{130, 480}, 100, 500, "100 µs", "200 µs", "500 µs")
	f([]float64{100}, 100, 200, "100 µs", "200 µs")
	f([]float64{130, 1400, 70_000}, 100, 100_000, "100 µs", "1 ms", "10 ms", "100 ms")
}

// TestTimeAxis proves that the unit suits the length of a run.
func TestTimeAxis(t *testing.T) {
	f := func(length, wantHigh float64, want string) {
		t.Helper()
		a, unit := timeAxis(length)
		if a.title != want+" since the start of the run" || math.Abs(a.scale.High-wantHigh) > 1e-9 || a.scale.High*unit < length {
			t.Errorf("%v seconds: %q up to %v", length, a.title, a.scale.High)
		}
	}
	f(0, 0.001, "seconds")
	f(45, 45, "seconds")
	f(600, 10, "minutes")
	f(7200, 120, "minutes")
	f(86400, 24, "hours")
}

// TestShareAxis proves that the axis of percentiles has a tick for each nine up to the last latency, and a text for each
// second one where they are many.
func TestShareAxis(t *testing.T) {
	f := func(count uint64, want ...string) {
		t.Helper()
		a := shareAxis(count)
		var texts []string
		for _, v := range a.values() {
			if !a.spare(v) {
				texts = append(texts, a.text(v))
			}
		}
		if !slices.Equal(texts, want) {
			t.Errorf("of %d latencies the ticks are %q, want %q", count, texts, want)
		}
	}
	f(1, "50", "90")
	f(20_000, "50", "90", "99", "99.9", "99.99")
	f(30_000_000, "50", "90", "99", "99.99", "99.9999")
}
