package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The tables stand between these lines of a Markdown file and are replaced in place.
const (
	beginMark = "<!-- results:begin -->"
	endMark   = "<!-- results:end -->"
)

// plotFolder is where plots and full tables go, seen from the root of the tree.
const plotFolder = "bench/results"

// report makes tables and plots of results files: the main tables in README.md, all figures in bench/results/README.md,
// the plots beside it. It prints where millrace is not ahead.
func report(root string, files []string, stdout io.Writer) error {
	if len(files) == 0 {
		return usageError{errors.New("report needs at least one results file")}
	}
	records, err := readRecords(files)
	if err != nil {
		return err
	}
	all := gather(records)
	if len(all.environments) == 0 {
		return errors.New("the results do not say where they were measured")
	}
	for name, text := range plots(all) {
		if err := os.WriteFile(filepath.Join(root, plotFolder, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot write a plot: %w", err)
		}
	}
	if err := replaceBetween(filepath.Join(root, "README.md"), mainTables(all)); err != nil {
		return err
	}
	full := "# All figures of the comparison\n\nMade by `make report` from the results files beside it.\n\n" + fullTables(all)
	if err := os.WriteFile(filepath.Join(root, plotFolder, "README.md"), []byte(full), 0o644); err != nil {
		return fmt.Errorf("cannot write the tables: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "where millrace is not ahead:\n%s", list(notAhead(all)))
	return err
}

// replaceBetween puts a text between the marks of a file.
func replaceBetween(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("cannot read the page for the tables: %w", err)
	}
	before, rest, ok1 := strings.Cut(string(old), beginMark+"\n")
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s has no place for the tables: it needs a line %s and, below it, a line %s", filepath.Base(name),
			beginMark, endMark)
	}
	return os.WriteFile(name, []byte(before+beginMark+"\n"+text+endMark+after), 0o644)
}

// addFigure adds a figure to a results file.
func addFigure(args []string) error {
	if len(args) < 4 || !slices.Contains(handFigures, args[1]) {
		return usageError{fmt.Errorf("figure needs FILE NAME VALUE HOW…; the names are %s", strings.Join(handFigures, ", "))}
	}
	value, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return usageError{fmt.Errorf("%q is no number", args[2])}
	}
	out, err := os.OpenFile(args[0], os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the results file: %w", err)
	}
	err = appendRecord(out, record{Kind: "figure", Time: time.Now().UTC().Round(time.Millisecond),
		Figure: &figureInfo{args[1], value, strings.Join(args[3:], " ")}})
	return errors.Join(err, out.Close())
}

// group is a table of the main page: one figure, workloads below each other, trackers side by side.
type group struct {
	title     string
	note      string
	key       string
	workloads []string
	factor    float64 // by which values are multiplied for their unit
	floor     bool    // compare with the floor too
}

var groups = []group{
	{"CPU time of the tracker per signalling cycle, in µs", "A cycle is an announce's offer that reached a peer and whose " +
		"answer came back. It is the figure to compare by: all trackers do the same work for it.", "cycle",
		[]string{heavyWS, quarterWS, lightWS, lightWSS, realWS, realWSS, hotWS}, 1, true},
	{"CPU time of the tracker per message, in µs", "All messages in both directions. aquatic_ws replies to answers too, " +
		"which no client needs: that makes its messages more and each of them cheaper.", "message",
		[]string{heavyWS, quarterWS, lightWS, lightWSS, realWS, realWSS, hotWS}, 1, true},
	{"Memory of the tracker per connection, in KiB", "Resident memory above that of the empty tracker, at the end of the " +
		"run; the kernel's socket buffers are not in it.", "memory", []string{idleWS, idleWSS, heavyWS, lightWSS}, 1.0 / 1024, false},
	{"Responses per second of one core, closed loop", "The server has one core and the client another; where the " +
		"client was the bottleneck the tracker's limit is higher.", "responses", []string{maxWS, maxWSS}, 1, true},
	{"Announce to reply, 99th percentile in ms, at 70 % of aquatic_ws's limit", "", "p99", []string{atSeventy}, 1e-3, false},
	{"Announce to reply, median in ms", "At low load the batching window is all that one sees.", "p50",
		[]string{quarterWS, lightWS, lightWSS, realWS, realWSS, atSeventy}, 1e-3, false},
	{"CPU time per cycle on two shards, in µs", "", "cycle", []string{scalingHeavy, scalingReal}, 1, false},
	{"Announces and answers that the shard of their connection serves itself, in %", "The others are sent to the shard of " +
		"their torrent. Connections follow their torrents.", "local", []string{scalingHeavy, scalingReal}, 100, false},
	{"CPU time of the tracker per new connection, in µs", "Accept, TLS handshake, upgrade, one announce without offers.",
		"connect", []string{stormPlain, stormFull, stormResumed}, 1, false},
}

// mainTables returns what README.md shows.
func mainTables(all *results) string {
	var b strings.Builder
	b.WriteString("\n" + where(all) + "\n\n")
	for _, g := range groups {
		b.WriteString(g.table(all))
	}
	b.WriteString(foreignTable(all))
	b.WriteString(plotList(all))
	b.WriteString("**Targets**\n\n" + targetTable(all) + "\n")
	b.WriteString("**Where millrace is not ahead**\n\n" + list(notAhead(all)))
	if open := unsettledList(all); len(open) > 0 {
		b.WriteString("**Ratios that do not settle within 10 %**\n\n" + list(open))
	}
	if gone := missingList(all); len(gone) > 0 {
		b.WriteString("**Not in the comparison**\n\n" + list(gone))
	}
	if wrong := problemList(all); len(wrong) > 0 {
		b.WriteString("**Counts that do not add up** (aquatic_ws and npm's trackers do not report what they drop)\n\n" + list(wrong))
	}
	b.WriteString("[All figures](" + plotFolder + "/README.md), and the raw results beside them.\n\n")
	return b.String()
}

// where says on what the figures were measured, and how to read them.
func where(all *results) string {
	last := len(all.environments) - 1
	e := all.environments[last]
	machine := fmt.Sprintf("%d CPUs (%s), %.0f GiB", e.CPUs, e.CPUModel, float64(e.Memory)/(1<<30))
	if e.Hypervisor {
		machine += ", a virtual machine"
	}
	kernel, _, _ := strings.Cut(e.Kernel, " ")
	return fmt.Sprintf("Measured on %s at commit %s: Linux %s, %s. Each cell is the median over the rounds (smallest–largest, "+
		"number of rounds); ratios are taken round by round. A star marks a tracker whose CPU was used up or that did not "+
		"follow the load: its figures are those of its limit.", all.days[last], e.Commit, kernel, machine)
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

// subject is the tracker whose ratios a group shows.
func (g *group) subject() string {
	if g.workloads[0] == scalingHeavy {
		return millrace2
	}
	return millrace
}

// anchors are the trackers with which a group compares it.
func (g *group) anchors(present []string) (of []string) {
	switch {
	case g.key == "local":
		return nil
	case g.subject() == millrace2:
		of = []string{millrace}
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

// workloadOf returns a workload by its name, also one that is not known any more.
func workloadOf(name string) *workload {
	for k := range workloads {
		if workloads[k].name == name {
			return &workloads[k]
		}
	}
	return &workload{name: name, title: name}
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
	return "**Driven by aquatic_ws_load_test 0.9.0**, at its defaults, over TLS. It reads one message for each that it sends, so " +
		"messages pile up, and both trackers drop most offers; millrace gets room for that in its configuration.\n\n" +
		markdown([]string{"tracker", "responses per second", "CPU per response, µs"}, rows) + "\n"
}

// targetTable shows the targets, what was measured, and whether they are met.
func targetTable(all *results) string {
	var rows [][]string
	for k := range targets {
		t := &targets[k]
		s := t.of(all)
		rows = append(rows, []string{t.what, t.goal(), withUnit(s.String(), t.unit), t.verdict(s)})
	}
	return markdown([]string{"figure", "target", "measured", ""}, rows)
}

// rivals are those that millrace wants to be ahead of.
func rivals() (names []string) {
	for _, name := range trackerNames("") {
		if !slices.Contains([]string{millrace, millrace2, millraceClassic, floorServer}, name) {
			names = append(names, name)
		}
	}
	return names
}

// notAhead returns a sentence for each figure in which millrace is not ahead of a tracker in every round.
func notAhead(all *results) (sentences []string) {
	keys := []string{"cycle", "message", "connect", "memory", "p50", "p99", "answer-p99", "responses"}
	for k := range workloads {
		w := &workloads[k]
		closed := w.figure == "responses"
		for _, key := range keys {
			f := figureOf(key)
			latency := key == "p50" || key == "p99" || key == "answer-p99"
			switch {
			case key == "responses" && !closed: // in an open loop all trackers get the same work
				continue
			case latency && closed: // the latency of a closed loop is the inverse of its rate
				continue
			case key == "connect" && w.figure != "connect" || w.rates != nil:
				continue
			case w.figure == "connect" && key != "connect" && !latency: // so few connections tell nothing else
				continue
			}
			for _, rival := range rivals() {
				s := all.ratio(w.name, key, millrace, rival)
				if s.n > 0 && (f.more && s.min <= 1 || !f.more && s.max >= 1) {
					sentences = append(sentences, fmt.Sprintf("%s: %s is %s times that of %s", w.title, f.title, s, titleOf(rival)))
				}
			}
		}
	}
	sentences = append(sentences, slowerAt(all)...)
	if len(sentences) == 0 {
		return []string{"nowhere in what was measured"}
	}
	return sentences
}

// slowerAt returns a sentence for each latency of the sweep that is not below the reference's at some rates.
func slowerAt(all *results) (sentences []string) {
	for _, key := range []string{"p50", "p99"} {
		of := func(p point) float64 {
			if key == "p50" {
				return p.p50
			}
			return p.p99
		}
		var rates []string
		for _, p := range all.curve(millrace) {
			for _, o := range all.curve(reference) {
				if o.rate == p.rate && of(p) >= of(o) {
					rates = append(rates, fmt.Sprintf("%s (%s times)", short(p.rate), short(of(p)/of(o))))
				}
			}
		}
		if len(rates) > 0 {
			sentences = append(sentences, fmt.Sprintf("latency against load: %s is not below that of %s at %s announces per second",
				figureOf(key).title, titleOf(reference), strings.Join(rates, ", ")))
		}
	}
	return sentences
}

// unsettledList returns a sentence for each ratio whose latest rounds do not agree.
func unsettledList(all *results) (sentences []string) {
	for _, r := range all.rounds {
		head := fmt.Sprintf("%s: %s : %s", workloadOf(r.Workload).title, titleOf(r.Tracker), titleOf(r.Reference))
		switch {
		case r.Rounds < steady:
			sentences = append(sentences, head+fmt.Sprintf(" rests on %d of the %d rounds that tell", r.Rounds, steady))
		case !r.Agree:
			sentences = append(sentences, head+fmt.Sprintf(" spreads by %.0f %% over the latest %d of %d rounds", 100*r.Spread,
				steady, r.Rounds))
		}
	}
	return sentences
}

// missingList returns what could not take part, and the runs that failed.
func missingList(all *results) (lines []string) {
	for _, m := range all.missing {
		lines = append(lines, fmt.Sprintf("%s: %s", titleOf(m.Name), m.Reason))
	}
	for k := range all.runs {
		if r := &all.runs[k]; r.Failed != "" {
			lines = append(lines, fmt.Sprintf("%s, %s, round %d: %s", workloadOf(r.Workload).title, titleOf(r.Tracker),
				r.Round%roundsOfFile, r.Failed))
		}
	}
	for _, r := range all.foreign {
		if r.Failed != "" {
			lines = append(lines, fmt.Sprintf("%s, %s: %s", foreignCrate, titleOf(r.Tracker), r.Failed))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// problemList returns a sentence for each workload and tracker with runs in which the counts did not add up.
func problemList(all *results) (lines []string) {
	for k := range workloads {
		for _, t := range trackerNames("its base") {
			runs, bad, first := 0, 0, ""
			for j := range all.runs {
				r := &all.runs[j]
				if r.Workload != workloads[k].name || r.Tracker != t || r.Result == nil {
					continue
				}
				runs++
				if len(r.Result.Problems) > 0 {
					bad++
					first = r.Result.Problems[0]
				}
			}
			if bad > 0 {
				lines = append(lines, fmt.Sprintf("%s, %s, in %d of %d runs, such as: %s", workloads[k].title, titleOf(t), bad,
					runs, first))
			}
		}
	}
	return lines
}

// fullTables returns every figure of every tracker under every workload, and how the trackers were set up.
func fullTables(all *results) string {
	var b strings.Builder
	b.WriteString(where(all) + "\n\n")
	for k := range workloads {
		w := &workloads[k]
		if w.rates != nil || !all.has(w.name) {
			continue
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", w.title, w.about)
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
	b.WriteString(sweepTable(all))
	if len(all.figures) > 0 {
		b.WriteString("## Measured otherwise\n\n" + handTable(all) + "\n")
	}
	b.WriteString("## Set-up\n\n" + setup(all))
	return b.String()
}

// sweepTable shows the latencies against load.
func sweepTable(all *results) string {
	var rows [][]string
	for _, t := range all.ran([]string{sweep}) {
		for _, p := range all.curve(t) {
			rows = append(rows, []string{titleOf(t), short(p.rate), short(p.p50 / 1e3), short(p.p99 / 1e3)})
		}
	}
	if len(rows) == 0 {
		return ""
	}
	head := []string{"tracker", "announces per second", "median, ms", "99th percentile, ms"}
	return "## Latency against load\n\n" + markdown(head, rows) + "\n"
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
			fmt.Fprintf(&b, "**%s** %s, built by `%s`, started as `%s` on CPU %s", s.Title, s.Version, s.Build, s.Command, s.CPUs)
			if s.Config != "" {
				fmt.Fprintf(&b, ", with, under the first load:\n\n```toml\n%s```", s.Config)
			}
			b.WriteString("\n\n")
		}
	}
	return b.String()
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
	var curves []series
	for _, t := range all.ran([]string{sweep}) {
		upper := series{name: titleOf(t) + ", p99", colour: colourOf(t)}
		middle := series{name: "median", colour: colourOf(t), dashed: true}
		for _, p := range all.curve(t) {
			upper.xs, upper.ys = append(upper.xs, p.rate), append(upper.ys, p.p99/1e3)
			middle.xs, middle.ys = append(middle.xs, p.rate), append(middle.ys, p.p50/1e3)
		}
		curves = append(curves, upper, middle)
	}
	if len(curves) > 0 {
		of["latency.svg"] = lines("Announce to reply against load", "Curves end where the tracker stops to follow.",
			"announces per second, 10 offers each", "ms", curves)
	}
	return of
}

// colourOf gives a tracker the same colour in all plots.
func colourOf(tracker string) int { return slices.Index(trackerNames("its base"), tracker) }

// plotList embeds the plots.
func plotList(all *results) string {
	titles := map[string]string{"cost.svg": "CPU time per cycle", "memory.svg": "memory per connection",
		"latency.svg": "latency against load", "scaling.svg": "CPU time on two shards"}
	present := plots(all)
	var b strings.Builder
	for _, name := range []string{"cost.svg", "memory.svg", "latency.svg", "scaling.svg"} {
		if _, ok := present[name]; ok {
			fmt.Fprintf(&b, "![%s](%s/%s)\n\n", titles[name], plotFolder, name)
		}
	}
	return b.String()
}
