package main

// This file makes the tables of every figure of every tracker under every load, and the list of how the trackers were
// built and configured.

import (
	"fmt"
	"slices"
	"strings"
)

// fullTables returns every figure of every tracker under every workload, and how the trackers were set up.
func fullTables(all *results) string {
	var b strings.Builder
	b.WriteString("## Every figure of every load\n\n")
	for k := range workloads {
		w := &workloads[k]
		if w.rates != nil || !all.has(w.name) {
			continue
		}
		fmt.Fprintf(&b, "### %s\n\n%s\n\n", w.title, w.about)
		present := all.ran([]string{w.name})
		head := []string{"tracker"}
		var shown []figure
		for _, f := range figures {
			ofStorms := f.key == "connect" || f.key == "resumed"
			told := slices.ContainsFunc(present, func(t string) bool { return len(all.values(w.name, t, f)) > 0 })
			if told && (!ofStorms || w.figure == "connect") {
				shown = append(shown, f)
				head = append(head, f.title)
			}
		}
		var rows [][]string
		for _, t := range present {
			row := []string{titleOf(t)}
			for _, f := range shown {
				row = append(row, summarize(all.values(w.name, t, f)).String())
			}
			rows = append(rows, row)
		}
		b.WriteString(markdown(head, rows) + "\n")
	}
	b.WriteString(sweepTable(all, sweep, "Cost and latency against load"))
	b.WriteString(sweepTable(all, sweepWSS, "Cost and latency against load, wss"))
	if len(all.figures) > 0 {
		b.WriteString("## Measured in another way\n\n" + handTable(all) + "\n")
	}
	b.WriteString("## Set-up\n\n" + setup(all))
	return b.String()
}

// sweepTable shows cost and latencies against load.
func sweepTable(all *results, sweep, title string) string {
	var rows [][]string
	for _, t := range all.ran([]string{sweep}) {
		for _, p := range all.curve(sweep, t) {
			rows = append(rows, []string{titleOf(t), short(p.rate), short(p.cycle), short(p.p50 / 1e3), short(p.p99 / 1e3)})
		}
	}
	if len(rows) == 0 {
		return ""
	}
	head := []string{"tracker", "announces per second", "CPU per cycle, µs", "median, ms", "99th percentile, ms"}
	return "### " + title + "\n\n" + markdown(head, rows) + "\n"
}

// handTable shows the figures that no run of the load tester gives.
func handTable(all *results) string {
	var rows [][]string
	for _, name := range handFigures {
		if f, ok := all.figures[name]; ok {
			rows = append(rows, []string{name, short(f.Value), f.How})
		}
	}
	return markdown([]string{"figure", "value", "how"}, rows)
}

// setup lists the versions, builds and configurations of the trackers, each configuration once.
func setup(all *results) string {
	var b strings.Builder
	told := map[string]bool{}
	for _, s := range all.servers {
		if key := s.Tracker + s.Version; !told[key] {
			told[key] = true
			fmt.Fprintf(&b, "**%s** %s, built by `%s`, started as `%s` on CPU %s", s.Title, s.Version, s.Build, s.Command,
				s.CPUs)
			if s.Config != "" {
				fmt.Fprintf(&b, ", with, under the first load:\n\n```toml\n%s```", s.Config)
			}
			b.WriteString("\n\n")
		}
	}
	return b.String()
}
