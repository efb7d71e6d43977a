package main

// This file makes the tables that set trackers side by side: one for each group of figures, one for each load driven by
// aquatic_ws_load_test, and the highlights that README.md shows.

import (
	"fmt"
	"slices"
	"strings"
)

// group is a table of one figure: workloads below each other, trackers side by side.
type group struct {
	title     string
	note      string
	key       string
	workloads []string
	factor    float64 // by which values are multiplied for their unit
	floor     bool    // compare with the floor too
}

var groups = []group{
	{"CPU time of the tracker per signalling cycle, in µs", "In a cycle an offer reaches a peer and the answer " +
		"comes back. It is the figure to compare by: all trackers do the same work for it.", "cycle",
		[]string{heavyWS, quarterWS, lightWS, lightWSS, realWS, realWSS, hotWS}, 1, true},
	{"CPU time of the tracker per message, in µs", "All messages in both directions. aquatic_ws replies to answers too. " +
		"No client needs that; it makes its messages more and each of them cheaper.", "message",
		[]string{heavyWS, quarterWS, lightWS, lightWSS, realWS, realWSS, hotWS}, 1, true},
	{"Memory of the tracker per connection, in KiB", "Resident memory above that of the empty tracker, at the end of " +
		"the run. The kernel's socket buffers are not in it.", "memory",
		[]string{idleWS, idleWSS, heavyWS, lightWSS}, 1.0 / 1024, false},
	{"Responses per second of one core, closed loop", "The server has one core and the client another. If the " +
		"client was the bottleneck, the tracker's limit is higher.", "responses", []string{maxWS, maxWSS}, 1, true},
	{"Announce to reply, 99th percentile in ms, at 70 % of aquatic_ws's limit", "", "p99",
		[]string{atSeventy}, 1e-3, false},
	{"Announce to reply, median in ms", "Near the limit the batching window decides.", "p50",
		[]string{quarterWS, lightWS, lightWSS, realWS, realWSS, atSeventy}, 1e-3, false},
	{"CPU time per cycle on two shards, in µs", "", "cycle", []string{scalingHeavy, scalingReal}, 1, false},
	{"Announces and answers that the shard of their connection serves itself, in %", "The shard of the torrent serves " +
		"the others. Connections follow their torrents.", "local", []string{scalingHeavy, scalingReal}, 100, false},
	{"CPU time of the tracker per new connection, in µs", "Accept, TLS handshake, upgrade, one announce without offers.",
		"connect", []string{stormPlain, stormFull, stormResumed}, 1, false},
}

// table returns the table of a group: "" where nothing of it was measured.
func (g *group) table(all *results) string {
	present := all.ran(g.workloads)
	if len(present) == 0 {
		return ""
	}
	anchors := g.anchors(present)
	head := []string{"load"}
	for _, name := range present {
		head = append(head, titleOf(name))
	}
	for _, anchor := range anchors {
		head = append(head, fmt.Sprintf("%s : %s", titleOf(g.subject()), titleOf(anchor)))
	}
	rows := [][]string{}
	for _, name := range g.workloads {
		if !all.has(name) {
			continue
		}
		row := []string{workloadOf(name).title}
		for _, t := range present {
			row = append(row, g.cell(all, name, t))
		}
		for _, anchor := range anchors {
			row = append(row, all.ratio(name, g.key, g.subject(), anchor).String())
		}
		rows = append(rows, row)
	}
	text := "**" + g.title + ".**"
	if g.note != "" {
		text += " " + g.note
	}
	return text + "\n\n" + markdown(head, rows) + "\n"
}

// subject returns the tracker whose ratios a group shows.
func (g *group) subject() string {
	if g.workloads[0] == scalingHeavy {
		return millrace2
	}
	return millrace
}

// anchors returns the trackers to which a group compares its subject.
func (g *group) anchors(present []string) (of []string) {
	switch {
	case g.key == "local":
		return nil
	case g.subject() == millrace2:
		of = []string{millrace, millraceBase2}
	case g.floor:
		of = []string{reference, floorServer, millraceBase}
	default:
		of = []string{reference, millraceBase}
	}
	return slices.DeleteFunc(of, func(name string) bool { return !slices.Contains(present, name) })
}

// cell returns a figure of a tracker under a workload, with a star where that is its limit.
func (g *group) cell(all *results, workload, tracker string) string {
	values := all.values(workload, tracker, figureOf(g.key))
	for k := range values {
		values[k] *= g.factor
	}
	text := summarize(values).String()
	if len(values) > 0 && all.full(workload, tracker) {
		text += " *"
	}
	return text
}

// workloadOf returns a workload by its name, even if it is no longer known.
func workloadOf(name string) *workload {
	for k := range workloads {
		if workloads[k].name == name {
			return &workloads[k]
		}
	}
	return &workload{name: name, title: name}
}

// apartTable shows what a connection costs apart from its announces.
func apartTable(all *results) string {
	var rows [][]string
	for _, w := range [][3]string{{"ws", shortWS, realWS}, {"wss", shortWSS, realWSS}} {
		for _, t := range all.ran(w[1:2]) {
			connection, announce := all.apart(w[1], w[2], t)
			if len(connection) > 0 {
				rows = append(rows, []string{w[0], titleOf(t), summarize(connection).String(), summarize(announce).String()})
			}
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "**CPU time of the tracker per connection and per announce, in µs.** Clients that stay 10 s cost mostly their " +
		"connections, and those of real mostly their announces. From both loads of a round follows what each costs alone: a " +
		"connection from accept to close, with TLS and upgrade, and an announce with the offers and answers that come of it.\n\n" +
		markdown([]string{"over", "tracker", "a connection", "an announce"}, rows) + "\n"
}

// foreignTable shows the runs of aquatic_ws_load_test.
func foreignTable(all *results) string {
	var rows [][]string
	for _, name := range withTLS {
		var rate, cpu []float64
		for _, r := range all.foreign {
			if r.Tracker == name && r.Failed == "" {
				rate, cpu = append(rate, r.Responses), append(cpu, r.CPU)
			}
		}
		if len(rate) > 0 {
			rows = append(rows, []string{titleOf(name), summarize(rate).String(), summarize(cpu).String()})
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "**Driven by aquatic_ws_load_test 0.9.0**, at its defaults, over TLS. It reads one message for each that it " +
		"sends. So messages pile up, and both trackers drop most offers. millrace gets room for that in its " +
		"configuration.\n\n" +
		markdown([]string{"tracker", "responses per second", "CPU per response, µs"}, rows) + "\n"
}

// highlight is a row of the table in README.md.
type highlight struct {
	title, workload, key string
	factor               float64 // by which values are multiplied for their unit
	unit                 string
}

// highlights are figures that matter for the choice of a tracker. Those in which millrace is behind are among them.
var highlights = []highlight{
	{"CPU per signalling cycle, `heavy` over ws", heavyWS, "cycle", 1, "µs"},
	{"CPU per signalling cycle, `light` over ws", lightWS, "cycle", 1, "µs"},
	{"CPU per signalling cycle, `real` over wss", realWSS, "cycle", 1, "µs"},
	{"responses per second of one core, ws", maxWS, "responses", 1, ""},
	{"announce to reply, 99th percentile, at 70 % of aquatic_ws's limit", atSeventy, "p99", 1e-3, "ms"},
	{"announce to reply, median, `light` over ws", lightWS, "p50", 1e-3, "ms"},
	{"memory per idle connection, ws", idleWS, "memory", 1.0 / 1024, "KiB"},
	{"memory per idle connection, wss", idleWSS, "memory", 1.0 / 1024, "KiB"},
	{"CPU per new connection with a full TLS handshake", stormFull, "connect", 1, "µs"},
}

// highlightTable returns the table of README.md: medians only, and the ratio to the reference with its spread.
func highlightTable(all *results) string {
	shown := []string{millrace, reference, "bittorrent-tracker"}
	head := []string{""}
	for _, name := range shown {
		head = append(head, titleOf(name))
	}
	head = append(head, titleOf(millrace)+" : "+titleOf(reference))
	var rows [][]string
	for _, h := range highlights {
		if !all.has(h.workload) {
			continue
		}
		row := []string{h.title}
		for _, name := range shown {
			row = append(row, h.cell(all, name))
		}
		rows = append(rows, append(row, all.ratio(h.workload, h.key, millrace, reference).String()))
	}
	return markdown(head, rows)
}

// cell returns the median of a tracker, with a star where it is its limit.
func (h *highlight) cell(all *results, tracker string) string {
	s := all.summary(h.workload, tracker, h.key)
	if s.n == 0 {
		return "–"
	}
	text := withUnit(short(s.median*h.factor), h.unit)
	if all.full(h.workload, tracker) {
		text += " *"
	}
	return text
}

// list returns lines as a Markdown list.
func list(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("- " + line + "\n")
	}
	return b.String() + "\n"
}

// markdown returns a table. All columns but the first are aligned to the right.
func markdown(head []string, rows [][]string) string {
	var b strings.Builder
	write := func(cells []string) {
		escaped := make([]string, len(cells))
		for k, cell := range cells {
			escaped[k] = strings.ReplaceAll(cell, "|", `\|`)
		}
		b.WriteString("| " + strings.Join(escaped, " | ") + " |\n")
	}
	write(head)
	b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
	for _, row := range rows {
		write(row)
	}
	return b.String()
}
