package page

// This file chooses the scales of the charts: round ends, few texts, and units that people read.

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"millrace/bench/plot"
)

// More ticks than that do not all have a text.
const (
	mostAcross = 6
	mostUp     = 11
)

// logarithmic returns an axis of latencies in µs from one pixel to another. It begins and ends at round values around
// all that are given and positive.
func logarithmic(title string, values []float64, from, to float64, most int) axis {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			low, high = min(low, v), max(high, v)
		}
	}
	if high == 0 {
		low, high = 1, 10
	}
	low, high = roundDown(low), roundUp(high)
	if low == high {
		high = roundUp(high * 1.1)
	}
	a := axis{title: title, scale: plot.Scale{Low: low, High: high, From: from, To: to, Log: true}, text: duration}
	if len(a.values()) > most {
		a.spare = func(v float64) bool { return !strings.HasPrefix(strconv.FormatFloat(v, 'e', 3, 64), "1") }
	}
	return a
}

// roundDown returns the largest of the values 1, 2 and 5 times a power of ten that is not above v, and roundUp the smallest
// that is not below it.
func roundDown(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{5, 2} {
		if v >= decade*step {
			return decade * step
		}
	}
	return decade
}

func roundUp(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 2, 5} {
		if v <= decade*step {
			return decade * step
		}
	}
	return decade * 10
}

// linear returns an upright axis from zero to a little more than the largest value.
func linear(title string, text func(float64) string, lines []line) axis {
	most := 0.0
	for _, l := range lines {
		for _, at := range l.points {
			if at.Y > most { // not so for a gap
				most = at.Y
			}
		}
	}
	if most == 0 {
		most = 1
	}
	return axis{title: title, scale: plot.Scale{High: most * 1.08, From: bottom, To: top}, text: text}
}

// timeAxis returns the axis of a run that took so many seconds, and the unit of its values in seconds.
func timeAxis(length float64) (a axis, unit float64) {
	name := "seconds"
	switch unit = 1; {
	case length > 3*3600:
		name, unit = "hours", 3600
	case length > 300:
		name, unit = "minutes", 60
	}
	a = axis{title: name + " since the start of the run", text: plot.Tick}
	a.scale = plot.Scale{High: max(length/unit, 1e-3), From: left, To: right}
	return a, unit
}

// manyNines is the number of nines from which on there is no room for the text of each.
const manyNines = 5.5

// shareAxis returns the axis of percentiles: each nine more is as far from the one before. It ends with the last of so
// many latencies.
func shareAxis(count uint64) axis {
	a := axis{title: "percentile", text: func(v float64) string {
		return strconv.FormatFloat(100*(1-math.Pow(10, -v)), 'f', max(0, int(v+0.1)-2), 64)
	}}
	a.scale = plot.Scale{High: max(math.Log10(float64(count)), 1), From: left, To: right}
	a.ticks = []float64{0, nines(0.5)}
	for v := 1.0; v <= a.scale.High; v++ {
		a.ticks = append(a.ticks, v)
	}
	a.spare = func(v float64) bool { // there is no room for 0 beside 50
		return v == 0 || a.scale.High > manyNines && v > 2 && int(v)%2 == 1
	}
	return a
}

// nines returns the place of a share on the axis of percentiles: 1 for 90 %, 2 for 99 % and so on.
func nines(share float64) float64 { return -math.Log10(1 - share) }

// duration writes a time in µs with its unit and three digits that count.
func duration(us float64) string {
	switch {
	case us < 999.5:
		return digits(us) + " µs"
	case us < 999.5e3:
		return digits(us/1e3) + " ms"
	}
	return digits(us/1e6) + " s"
}

// digits writes a number with three digits that count, without zeros at its end.
func digits(v float64) string {
	switch size := math.Abs(v); {
	case size >= 99.95:
		return plot.Grouped(v)
	case size >= 9.995:
		return trimmed(fmt.Sprintf("%.1f", v))
	}
	return trimmed(fmt.Sprintf("%.2f", v))
}

// trimmed cuts zeros at the end of a fraction.
func trimmed(text string) string { return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") }

// thousands writes a rate with few digits: 500, 12k, 1.5M.
func thousands(v float64) string {
	switch {
	case v < 1e4:
		return digits(v)
	case v < 1e6:
		return digits(v/1e3) + "k"
	}
	return digits(v/1e6) + "M"
}
