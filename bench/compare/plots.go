package main

// This file chooses the plots: the figures and trackers of each file. svg.go draws them.

import (
	"fmt"
	"slices"
	"strings"
)

// plotNames are the files of the plots, in the order in which a page shows them.
var plotNames = []string{"cost.svg", "memory.svg", "load-cost.svg", "load-median.svg", "latency.svg", "scaling.svg"}

// plots returns the plots by the names of their files: those for which there are results.
func plots(all *results) map[string]string {
	of := map[string]string{}
	chart := func(name string, g group, draw func(title, description string, names legend, rows []row) string) {
		present := all.ran(g.workloads)
		if len(present) == 0 {
			return
		}
		var rows []row
		for _, w := range g.workloads {
			r := row{name: workloadOf(w).title}
			for _, t := range present {
				values := all.values(w, t, figureOf(g.key))
				for k := range values {
					values[k] *= g.factor
				}
				r.values = append(r.values, summarize(values))
			}
			if drawable(r) > 0 {
				rows = append(rows, r)
			}
		}
		names := make(legend, len(present))
		for k, t := range present {
			names[k].name, names[k].colour = titleOf(t), colourOf(t)
		}
		of[name] = draw(g.title, "Median, with a line from the smallest to the largest round. Less is better.", names, rows)
	}
	chart("cost.svg", groups[0], dots)
	chart("memory.svg", groups[2], dots)
	chart("scaling.svg", groups[6], bars)
	against := func(name, title, unit string, figure func(point) float64) {
		if curves := curvesOf(all, figure); len(curves) > 0 {
			of[name] = lines(title, "Curves end where the tracker no longer follows.", "announces per second, 10 offers each", unit,
				curves)
		}
	}
	against("load-cost.svg", "CPU time per cycle against load", "µs", func(p point) float64 { return p.cycle })
	against("load-median.svg", "Announce to reply against load, median", "ms", func(p point) float64 { return p.p50 / 1e3 })
	against("latency.svg", "Announce to reply against load, 99th percentile", "ms", func(p point) float64 { return p.p99 / 1e3 })
	return of
}

// curvesOf returns a figure of the sweep as a curve for each tracker.
func curvesOf(all *results, figure func(point) float64) (curves []series) {
	for _, t := range all.ran([]string{sweep}) {
		s := series{name: titleOf(t), colour: colourOf(t)}
		for _, p := range all.curve(sweep, t) {
			s.xs, s.ys = append(s.xs, p.rate), append(s.ys, figure(p))
		}
		if len(s.xs) > 0 {
			curves = append(curves, s)
		}
	}
	return curves
}

// colourOf gives a tracker the same colour in all plots.
func colourOf(tracker string) int { return slices.Index(trackerNames("its base"), tracker) }

// plotList embeds those plots for which there are results. folder is that of the plots, seen from the page.
func plotList(all *results, folder string, names []string) string {
	titles := map[string]string{"cost.svg": "CPU time per cycle", "memory.svg": "memory per connection",
		"load-cost.svg": "CPU time against load", "load-median.svg": "median latency against load",
		"latency.svg": "99th percentile of latency against load", "scaling.svg": "CPU time on two shards"}
	present := plots(all)
	var b strings.Builder
	for _, name := range names {
		if _, ok := present[name]; ok {
			fmt.Fprintf(&b, "![%s](%s%s)\n\n", titles[name], folder, name)
		}
	}
	return b.String()
}
