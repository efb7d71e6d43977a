package main

// This file owns the printed table, in Markdown.

import (
	"fmt"
	"strings"
	"time"
)

const tableHead = `| attack | over | addresses | connections | attackers send, kB/s | p50, ms | p99, ms ` +
	`| exchanges | offers answered | newcomers | lost | junk, 1/s | memory, MiB | missed targets |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|
`

// line returns a row of the table. An arrow leads from the figure without the attack to that with it.
func (r *row) line() string {
	c, a := &r.Calm, &r.Attacked
	verdict := "none"
	if len(r.Misses) > 0 {
		verdict = strings.Join(r.Misses, "; ")
	}
	cells := []string{
		r.Attack, r.Transport, r.Addresses, fmt.Sprint(r.Connections), fmt.Sprintf("%.1f", r.SentPerSecond/1000),
		milliseconds(c.P50) + " → " + milliseconds(a.P50), milliseconds(c.P99) + " → " + milliseconds(a.P99),
		share(a.Served, a.Exchanges), share(a.Answers, a.Offers), share(a.Entered, a.Newcomers), fmt.Sprint(a.Lost),
		fmt.Sprintf("%.1f", r.junkRate()),
		fmt.Sprintf("%.1f → %.1f", mebibytes(r.MemoryBefore), mebibytes(r.MemoryPeak)), verdict,
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// milliseconds writes a time with two or three digits that count.
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// share writes a part of a whole in percent. It is 100 % only if nothing is missing.
func share(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	percent := 100 * float64(part) / float64(whole)
	if part < whole {
		percent = min(percent, 99.9)
	}
	return fmt.Sprintf("%.4g %%", percent)
}

// mebibytes converts bytes.
func mebibytes(n int) float64 { return float64(n) / (1 << 20) }
