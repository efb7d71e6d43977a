package main

// This file gathers the records of results files for tables and plots.

import (
	"slices"

	"millrace/bench/load"
)

// results are the records of one or more files, ready for tables and plots.
type results struct {
	environments []*environment
	days         []string // of the environments: "2026-01-31"
	servers      []*serverInfo
	missing      []*missing
	runs         []run
	foreign      []foreignRun
	rounds       []*roundsInfo
	figures      map[string]figureInfo
}

// roundsOfFile keeps rounds of different files apart: runs of one round stand beside each other in one file.
const roundsOfFile = 1000

// gather sorts records by their subject.
func gather(files [][]record) *results {
	all := &results{figures: map[string]figureInfo{}}
	for k, file := range files {
		for _, r := range file {
			switch r.Kind {
			case "environment":
				all.environments = append(all.environments, r.Environment)
				all.days = append(all.days, r.Time.UTC().Format("2006-01-02"))
			case "server":
				all.servers = append(all.servers, r.Server)
			case "missing":
				all.missing = append(all.missing, r.Missing)
			case "run":
				copied := *r.Run
				copied.Round += k * roundsOfFile
				all.runs = append(all.runs, copied)
			case "foreign":
				copied := *r.Foreign
				copied.Round += k * roundsOfFile
				all.foreign = append(all.foreign, copied)
			case "rounds":
				all.rounds = append(all.rounds, r.Rounds)
			case "figure":
				all.figures[r.Figure.Name] = *r.Figure
			}
		}
	}
	return all
}

// values returns a figure of a tracker under a workload, round by round.
func (all *results) values(workload, tracker string, f figure) (of []float64) {
	for k := range all.runs {
		if r := &all.runs[k]; r.Workload == workload && r.Tracker == tracker {
			if v, ok := f.value(r); ok {
				of = append(of, v)
			}
		}
	}
	return of
}

// summary returns the summary of a figure.
func (all *results) summary(workload, tracker, key string) summary {
	return summarize(all.values(workload, tracker, figureOf(key)))
}

// ratio compares two trackers by a figure, round by round.
func (all *results) ratio(workload, key, tracker, anchor string) summary {
	return summarize(ratiosOf(all.runs, workload, figureOf(key), tracker, anchor))
}

// full reports whether a tracker had no CPU time left in any run of a workload, or did not follow it.
func (all *results) full(workload, tracker string) bool {
	return slices.ContainsFunc(all.runs, func(r run) bool {
		return r.Workload == workload && r.Tracker == tracker && r.Result != nil && (r.full() || r.saturated())
	})
}

// ran returns the trackers that have a result under one of the workloads, in the order of the comparison.
func (all *results) ran(names []string) (present []string) {
	for _, t := range trackerNames("its base") {
		if slices.ContainsFunc(all.runs, func(r run) bool {
			return r.Tracker == t && r.Result != nil && slices.Contains(names, r.Workload)
		}) {
			present = append(present, t)
		}
	}
	return present
}

// has reports whether a workload has run.
func (all *results) has(workload string) bool {
	return slices.ContainsFunc(all.runs, func(r run) bool { return r.Workload == workload && r.Result != nil })
}

// handshake returns the CPU time that TLS adds to a connection under one of the wss storms, in µs, round by round.
func (all *results) handshake(workload, tracker string) (of []float64) {
	f := figureOf("connect")
	with, without := all.values(workload, tracker, f), all.values(stormPlain, tracker, f)
	for k := range min(len(with), len(without)) {
		of = append(of, with[k]-without[k])
	}
	return of
}

// handshakeRatio compares the handshakes of two trackers.
func (all *results) handshakeRatio(workload, tracker, anchor string) summary {
	ours, theirs := all.handshake(workload, tracker), all.handshake(workload, anchor)
	var of []float64
	for k := range min(len(ours), len(theirs)) {
		if theirs[k] > 0 {
			of = append(of, ours[k]/theirs[k])
		}
	}
	return summarize(of)
}

// apart returns the CPU time of a tracker for a connection, with all that comes with it but announces, and for an announce,
// with the offers and answers that come of it, in µs and round by round. It solves two equations for each round: the time
// under short lives and that under long ones are each so many connections and so many announces. A round whose loads are too
// much alike, as when one of them was not followed, is left out.
func (all *results) apart(short, long, tracker string) (connection, announce []float64) {
	for k := range all.runs {
		for j := range all.runs {
			a, b := &all.runs[k], &all.runs[j]
			if a.Workload != short || b.Workload != long || a.Round != b.Round || a.Tracker != tracker || b.Tracker != tracker ||
				a.saturated() || b.saturated() {
				continue
			}
			if c, n, ok := solve(a.Result, b.Result); ok {
				connection, announce = append(connection, c), append(announce, n)
			}
		}
	}
	return connection, announce
}

// solve is apart for one round.
func solve(short, long *load.Result) (connection, announce float64, ok bool) {
	c1, n1 := float64(short.During.Connected), float64(short.During.Announces)
	c2, n2 := float64(long.During.Connected), float64(long.During.Announces)
	det := c1*n2 - c2*n1
	if det <= 0.2*c1*n2 {
		return 0, 0, false
	}
	t1, t2 := short.Server.CPU*1e6, long.Server.CPU*1e6
	return (t1*n2 - t2*n1) / det, (t2*c1 - t1*c2) / det, true
}

// point is a step of a sweep: announces per second, CPU time per cycle and latencies, in µs.
type point struct{ rate, cycle, p50, p99 float64 }

// curve returns the steps of a sweep that a tracker followed, by rate; the figures are medians where one ran often.
func (all *results) curve(sweep, tracker string) (points []point) {
	var rates []float64
	for k := range all.runs {
		r := &all.runs[k]
		if r.Workload == sweep && r.Tracker == tracker && !r.saturated() && !slices.Contains(rates, r.Rate) {
			rates = append(rates, r.Rate)
		}
	}
	slices.Sort(rates)
	for _, rate := range rates {
		var cycle, p50, p99 []float64
		for k := range all.runs {
			r := &all.runs[k]
			if r.Workload == sweep && r.Tracker == tracker && r.Rate == rate && !r.saturated() {
				p50 = append(p50, r.Result.Latency.Reply.P50)
				p99 = append(p99, r.Result.Latency.Reply.P99)
				cycle = append(cycle, r.Result.Server.CPUPerCycle)
			}
		}
		points = append(points, point{rate, summarize(cycle).median, summarize(p50).median, summarize(p99).median})
	}
	return points
}
