package main

// This file tests the comparison with an earlier commit: the base of each tracker, and the table of ratios.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/bench/load"
)

// costs returns runs of a workload in which each tracker has these µs per signalling cycle, round by round.
func costs(workload string, of map[string][]float64) (runs []run) {
	for _, tracker := range trackerNames("HEAD") {
		for k, cost := range of[tracker] {
			r := run{Workload: workload, Tracker: tracker, Round: k + 1, Result: &load.Result{}}
			r.Result.Server.CPUPerCycle = cost
			runs = append(runs, r)
		}
	}
	return runs
}

// TestAnchor proves that a build of millrace is compared to its base where that has run, to aquatic_ws where that is
// the only one, and that the base of the right number of shards is taken.
func TestAnchor(t *testing.T) {
	w := &workload{name: heavyWS, figure: "cycle", trackers: []string{millrace, millrace2}}
	f := func(of map[string][]float64, name, want string) {
		t.Helper()
		if got := anchorOf(costs(heavyWS, of), w, name); got != want {
			t.Errorf("%s is compared to %q, want %q", name, got, want)
		}
	}
	one := []float64{1}
	f(map[string][]float64{millrace: one, reference: one}, millrace, reference)
	f(map[string][]float64{millrace: one, reference: one, millraceBase: one}, millrace, millraceBase)
	f(map[string][]float64{millrace: one, millrace2: one, millraceBase: one}, millrace2, millrace)
	f(map[string][]float64{millrace2: one, millraceBase2: one}, millrace2, millraceBase2)
	f(map[string][]float64{millrace: one, reference: one, millraceBase: one}, millraceBase, "")
	for name, want := range map[string]bool{millraceBase: true, millraceBase2: true, floorServer: false} {
		if got := w.takesPart(name); got != want {
			t.Errorf("%s takes part: %v, want %v", name, got, want)
		}
	}
}

// TestRatios proves the table of ratios: the working tree over its base, round by round, and nothing for loads or
// trackers without a base.
func TestRatios(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.jsonl")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	runs := costs(heavyWS, map[string][]float64{millrace: {10, 11, 12, 13, 30}, millraceBase: {10, 10, 10, 10, 20}})
	runs = append(runs, costs(scalingHeavy, map[string][]float64{millrace: {1}, millrace2: {3}, millraceBase2: {2}})...)
	runs = append(runs, costs(lightWS, map[string][]float64{millrace: {1}, reference: {2}})...)
	for k := range runs {
		if err := appendRecord(out, record{Kind: "run", Run: &runs[k]}); err != nil {
			t.Fatal(err)
		}
	}
	out.Close()
	var said strings.Builder
	if err := printRatios([]string{name}, &said); err != nil {
		t.Fatal(err)
	}
	want := `| load | figure | base | now | now : base |
|---|---:|---:|---:|---:|
| heavy, ws | server CPU, µs per signalling cycle | 10.0 (10.0–20.0, 5) | 12.0 (10.0–30.0, 5) | 1.20 (1.00–1.50, 5) |
| heavy on two shards, 2 shards | server CPU, µs per signalling cycle | 2.00 (1) | 3.00 (1) | 1.50 (1) |
`
	if said.String() != want {
		t.Errorf("the ratios are\n%s, want\n%s", said.String(), want)
	}
}

// TestUnsettledBase proves that a ratio to the base that does not settle brings more rounds of both builds alone.
func TestUnsettledBase(t *testing.T) {
	w := &workload{name: heavyWS, figure: "cycle"}
	f := func(cost float64, want string) {
		t.Helper()
		c := &comparison{kept: costs(heavyWS, map[string][]float64{millrace: {10, 10, cost}, millraceBase: {10, 10, 10},
			reference: {1, 20, 300}})}
		var left []string
		for _, tr := range c.unsettled(w, []tracker{played(millrace), played(reference), played(millraceBase)}) {
			left = append(left, tr.name)
		}
		if got := fmt.Sprint(left); got != want {
			t.Errorf("after a last round of %v go on %s, want %s", cost, got, want)
		}
	}
	f(10, "[]")
	f(12, "[millrace millrace-base]")
}
