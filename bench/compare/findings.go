package main

// This file judges results: which targets are met, where millrace is not ahead, which ratios have not settled, which
// trackers are missing, and whose counts do not add up.

import (
	"fmt"
	"slices"
	"strings"
)

// targetTable shows the targets, the measured values, and the verdicts.
func targetTable(all *results) string {
	var rows [][]string
	for k := range targets {
		t := &targets[k]
		s := t.of(all)
		rows = append(rows, []string{t.what, t.goal(), withUnit(s.String(), t.unit), t.verdict(s)})
	}
	return markdown([]string{"figure", "target", "measured", ""}, rows)
}

// rivals are the trackers of other projects.
func rivals() (names []string) {
	for _, name := range trackerNames("") {
		if !isOurs(name) && name != floorServer {
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
		return []string{"no measured figure"}
	}
	return sentences
}

// slowerAt returns a sentence for each figure of a sweep that is not below a rival's at some rates.
func slowerAt(all *results) (sentences []string) {
	for _, name := range []string{sweep, sweepWSS} {
		ours := all.curve(name, millrace)
		for _, rival := range all.ran([]string{name}) {
			if !slices.Contains(rivals(), rival) {
				continue
			}
			theirs := all.curve(name, rival)
			for _, f := range []struct {
				key string
				of  func(point) float64
			}{
				{"cycle", func(p point) float64 { return p.cycle }},
				{"p50", func(p point) float64 { return p.p50 }},
				{"p99", func(p point) float64 { return p.p99 }},
			} {
				if rates := ratesBehind(ours, theirs, f.of); len(rates) > 0 {
					sentences = append(sentences, fmt.Sprintf("%s: %s is not below that of %s at %s announces per second",
						workloadOf(name).title, figureOf(f.key).title, titleOf(rival), strings.Join(rates, ", ")))
				}
			}
		}
	}
	return sentences
}

// ratesBehind returns the rates of both curves at which a figure of ours is not below theirs.
func ratesBehind(ours, theirs []point, figure func(point) float64) (rates []string) {
	for _, p := range ours {
		for _, o := range theirs {
			if o.rate == p.rate && figure(p) >= figure(o) && figure(o) > 0 {
				rates = append(rates, fmt.Sprintf("%s (%s times)", short(p.rate), short(figure(p)/figure(o))))
			}
		}
	}
	return rates
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

// missingList returns the trackers and programs that could not take part, and the runs that failed.
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
