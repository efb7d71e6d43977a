package main

// This file compares the working tree with an earlier commit of millrace: which build is the base of which, and the
// table of ratios to the base.

import (
	"errors"
	"io"
	"slices"
)

// baseRounds are the rounds of a comparison with a base by default: enough for a median that one slow round does not
// move.
const baseRounds = 5

// baseFolder is where the results of such comparisons go by default, seen from the root of the tree.
const baseFolder = "bench/compare/.results"

// baseTrackers take part in a comparison with a base by default: both builds, with one shard and with two.
var baseTrackers = []string{millrace, millraceBase, millrace2, millraceBase2}

// baseOf returns the tracker that is the same as another one, but built from the commit of -base; "": it has none.
func baseOf(name string) string {
	switch name {
	case millrace:
		return millraceBase
	case millrace2:
		return millraceBase2
	}
	return ""
}

// isBase reports whether a tracker is built from the commit of -base.
func isBase(name string) bool { return name == millraceBase || name == millraceBase2 }

// takesPart reports whether a tracker takes part in a workload: the base of a tracker does wherever that one does.
func (w *workload) takesPart(name string) bool {
	return slices.ContainsFunc(w.trackers, func(t string) bool { return t == name || baseOf(t) == name })
}

// anchorOf returns the tracker to which another one is compared in a workload: its base where that has run, else the
// reference. It is "" for a base, which is only compared to.
func anchorOf(runs []run, w *workload, name string) string {
	if isBase(name) {
		return ""
	}
	base := baseOf(name)
	if base != "" && slices.ContainsFunc(runs, func(r run) bool {
		return r.Workload == w.name && r.Tracker == base && r.Result != nil
	}) {
		return base
	}
	return referenceOf(runs, w)
}

// printRatios prints the ratios to the base that results files hold.
func printRatios(files []string, stdout io.Writer) error {
	if len(files) == 0 {
		return usageError{errors.New("ratios needs at least one results file")}
	}
	records, err := readRecords(files)
	if err != nil {
		return err
	}
	rows := baseRows(gather(records))
	if len(rows) == 0 {
		return errors.New("the results hold no run of a base: make some with -base")
	}
	_, err = io.WriteString(stdout, markdown([]string{"load", "figure", "base", "now", "now : base"}, rows))
	return err
}

// baseRows returns a row for each load and number of shards, by the load's own figure and by the latency. Each cell is
// a median with the smallest and largest round; ratios are taken round by round.
func baseRows(all *results) (rows [][]string) {
	for k := range workloads {
		w := &workloads[k]
		if w.rates != nil { // a sweep has a curve and no figure
			continue
		}
		keys := []string{w.figure}
		if w.figure != "p99" && w.figure != "responses" { // the latency of a closed loop is the inverse of its rate
			keys = append(keys, "p99")
		}
		for _, name := range []string{millrace, millrace2} {
			for _, key := range keys {
				ratio := all.ratio(w.name, key, name, baseOf(name))
				if ratio.n == 0 {
					continue
				}
				title, f := w.title, figureOf(key)
				if name == millrace2 {
					title += ", 2 shards"
				}
				figure := f.title
				if f.more {
					figure += " (more is better)"
				}
				rows = append(rows, []string{title, figure, all.summary(w.name, baseOf(name), key).String(),
					all.summary(w.name, name, key).String(), ratio.String()})
			}
		}
	}
	return rows
}
