package main

// This file tests medians, spreads, their text, and the agreement of rounds.

import (
	"math"
	"testing"
)

// TestSummarize proves median, smallest and largest of odd and even numbers of values, and that the values stay in
// their order.
func TestSummarize(t *testing.T) {
	f := func(values []float64, want summary, text string) {
		t.Helper()
		before := append([]float64(nil), values...)
		got := summarize(values)
		if got != want || got.String() != text {
			t.Errorf("summarize(%v) = %v, %q; want %v, %q", values, got, got, want, text)
		}
		for k := range values {
			if values[k] != before[k] {
				t.Fatalf("summarize has changed its argument to %v", values)
			}
		}
	}
	f(nil, summary{}, "–")
	f([]float64{12.34}, summary{12.34, 12.34, 12.34, 1}, "12.3 (1)")
	f([]float64{3, 1}, summary{2, 1, 3, 2}, "2.00 (1.00–3.00, 2)")
	f([]float64{3, 1, 2}, summary{2, 1, 3, 3}, "2.00 (1.00–3.00, 3)")
	f([]float64{4, 1, 3, 2}, summary{2.5, 1, 4, 4}, "2.50 (1.00–4.00, 4)")
}

// TestShort proves that numbers keep three digits at every size.
func TestShort(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := short(v); got != want {
			t.Errorf("short(%v) = %q, want %q", v, got, want)
		}
	}
	f(0, "0")
	f(0.01234, "0.0123")
	f(0.1234, "0.12")
	f(9.994, "9.99")
	f(9.996, "10.0")
	f(99.94, "99.9")
	f(99.96, "100")
	f(999.4, "999")
	f(999.6, "1,000")
	f(1234567, "1,234,567")
	f(-1234567, "-1,234,567")
	f(1000500, "1,000,500")
	f(math.Inf(1), "–")
	f(math.NaN(), "–")
}

// TestAgree proves that only the latest three rounds count, that fewer do not agree, and where agreement ends.
func TestAgree(t *testing.T) {
	f := func(ratios []float64, wantSpread float64, want bool) {
		t.Helper()
		spread, ok := agree(ratios)
		if ok != want || math.Abs(spread-wantSpread) > 1e-9 {
			t.Errorf("agree(%v) = %v, %v; want %v, %v", ratios, spread, ok, wantSpread, want)
		}
	}
	f(nil, 0, false)
	f([]float64{1}, 0, false)
	f([]float64{1, 1}, 0, false)
	f([]float64{1, 1, 1}, 0, true)
	f([]float64{0.951, 1, 1.05}, 0.099, true)
	f([]float64{0.94, 1, 1.05}, 0.11, false)
	f([]float64{9, 0.99, 1, 1.01}, 0.02, true)
	f([]float64{1, 1, 1, 9}, 8, false)
}
