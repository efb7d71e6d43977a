package main

// This file computes medians and spreads over rounds, formats them, and says when rounds agree.

import (
	"fmt"
	"math"
	"slices"

	"millrace/bench/plot"
)

// summary is a figure over the rounds of a comparison.
type summary struct {
	median, min, max float64
	n                int
}

// summarize returns the summary of values: zeros where there are none.
func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return summary{median, sorted[0], sorted[len(sorted)-1], len(sorted)}
}

// spread is the distance of the extremes as a share of the median.
func (s summary) spread() float64 {
	if s.median == 0 {
		return 0
	}
	return (s.max - s.min) / math.Abs(s.median)
}

// String returns the summary as the tables show it: "12.3 (12.1–12.9, 3)".
func (s summary) String() string {
	switch s.n {
	case 0:
		return "–"
	case 1:
		return short(s.median) + " (1)"
	}
	return fmt.Sprintf("%s (%s–%s, %d)", short(s.median), short(s.min), short(s.max), s.n)
}

// short formats a number with three significant digits and groups those of a large one.
func short(v float64) string {
	size := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case size >= 999.5:
		return plot.Grouped(v)
	case size >= 99.95 || size == 0:
		return fmt.Sprintf("%.0f", v)
	case size >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case size >= 0.0995:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// The latest rounds agree if there are steady of them, and if their ratios spread by no more than agreement.
const (
	steady    = 3
	agreement = 0.10
)

// agree reports whether the latest rounds agree about a ratio, and the spread of the ratio over them.
func agree(ratios []float64) (spread float64, ok bool) {
	latest := ratios[max(0, len(ratios)-steady):]
	spread = summarize(latest).spread()
	return spread, len(latest) == steady && spread <= agreement
}
