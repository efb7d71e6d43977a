package main

// This file runs the rounds: trackers take turns at a load until their ratios agree, and every run is recorded.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/bench/load"
	"millrace/bench/progress"
)

// comparison runs workloads against trackers, one after the other, and writes records of the runs.
type comparison struct {
	options  *options
	in       *installer
	trackers []tracker          // those that are there
	programs map[string]program // theirs, by name
	tester   string             // path of millrace-load
	work     string             // folder for configurations and certificates, removed at the end
	out      io.Writer          // records
	log      io.Writer          // for people
	progress io.Writer          // a line for each run that begins
	steps    progress.Steps
	begun    time.Time       // when the first run began
	kept     []run           // all runs so far
	told     map[string]bool // workload and tracker whose configuration is on record
}

// write puts a record into the results. An error ends the comparison.
func (c *comparison) write(r record) error {
	r.Time = time.Now().UTC().Round(time.Millisecond)
	if err := appendRecord(c.out, r); err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	return nil
}

// participants returns the installed trackers that take part in a workload.
func (c *comparison) participants(w *workload) (present []tracker) {
	for _, t := range c.trackers {
		if w.takesPart(t.name) && (t.tls || !w.tls) {
			present = append(present, t)
		}
	}
	return present
}

// compare runs one workload in rounds. In each round every tracker has its turn, so that a change of the machine meets
// all of them. After the rounds that were asked for, those builds of millrace whose ratio does not settle go on,
// together with the trackers that they are compared to.
func (c *comparison) compare(ctx context.Context, w *workload, rate float64) error {
	present := c.participants(w)
	for round := 1; round <= c.options.maxRounds && len(present) > 0; round++ {
		c.expect(w, len(present)*c.options.roundsLeft(round))
		for _, t := range present {
			r, err := c.turn(ctx, w, &t, round, rate)
			if err != nil {
				return err
			}
			if r.Failed != "" { // it would fail again
				present = slices.DeleteFunc(slices.Clone(present), func(o tracker) bool { return o.name == t.name })
			}
		}
		if round >= c.options.rounds {
			present = c.unsettled(w, present)
		}
	}
	c.expect(w, 0)
	return c.writeAgreement(w)
}

// unsettled returns those builds of millrace whose ratio has not settled yet and the trackers that they are compared
// to, or none.
func (c *comparison) unsettled(w *workload, present []tracker) (left []tracker) {
	open := map[string]bool{}
	for _, t := range present {
		anchor := anchorOf(c.kept, w, t.name)
		if !t.ours() || anchor == "" || anchor == t.name {
			continue
		}
		if _, ok := agree(ratios(c.kept, w, t.name, anchor)); !ok {
			open[t.name], open[anchor] = true, true
		}
	}
	for _, t := range present {
		if open[t.name] {
			left = append(left, t)
		}
	}
	return left
}

// writeAgreement records how well the rounds of a workload agree.
func (c *comparison) writeAgreement(w *workload) error {
	for _, t := range c.participants(w) {
		anchor := anchorOf(c.kept, w, t.name)
		of := ratios(c.kept, w, t.name, anchor)
		if t.name == anchor || len(of) == 0 {
			continue
		}
		spread, ok := agree(of)
		about := &roundsInfo{w.name, t.name, anchor, w.figure, len(of), spread, ok}
		if err := c.write(record{Kind: "rounds", Rounds: about}); err != nil {
			return err
		}
		fmt.Fprintf(c.log, "  %s : %s, %s: %s\n", t.title, titleOf(anchor), figureOf(w.figure).title, summarize(of))
		if !ok && len(of) >= steady {
			fmt.Fprintf(c.log, "  %s: the ratio of %s to %s spreads by %.0f %% over the latest of %d rounds\n", w.title,
				t.title, titleOf(anchor), 100*spread, len(of))
		}
	}
	return nil
}

// referenceOf returns the tracker to which the others are compared in a workload: aquatic_ws, or without it the first
// one that has run.
func referenceOf(runs []run, w *workload) string {
	first := ""
	for k := range runs {
		if r := &runs[k]; r.Workload == w.name && r.Result != nil {
			if r.Tracker == reference {
				return reference
			}
			if first == "" && !isBase(r.Tracker) {
				first = r.Tracker
			}
		}
	}
	return first
}

// ratios returns a tracker's figure over the reference's, for each round in which both have one.
func ratios(runs []run, w *workload, name, anchor string) (of []float64) {
	return ratiosOf(runs, w.name, figureOf(w.figure), name, anchor)
}

// ratiosOf is ratios of any figure.
func ratiosOf(runs []run, workload string, f figure, name, anchor string) (of []float64) {
	for k := range runs {
		r := &runs[k]
		if r.Workload != workload || r.Tracker != name {
			continue
		}
		for j := range runs {
			o := &runs[j]
			if o.Workload != workload || o.Tracker != anchor || o.Round != r.Round || o.Rate != r.Rate {
				continue
			}
			v, ok1 := f.value(r)
			base, ok2 := f.value(o)
			if ok1 && ok2 && base != 0 {
				of = append(of, v/base)
			}
			break
		}
	}
	return of
}

// climb runs a sweep: each tracker at more and more announces per second until it, or the client, cannot follow twice.
func (c *comparison) climb(ctx context.Context, w *workload) error {
	present := c.participants(w)
	for k, rate := range w.rates {
		c.expect(w, len(present)*(len(w.rates)-k))
		for _, t := range slices.Clone(present) {
			follows := false
			for try := 1; try <= 2 && !follows; try++ {
				r, err := c.turn(ctx, w, &t, try, rate)
				if err != nil {
					return err
				}
				follows = !r.saturated()
			}
			if !follows {
				fmt.Fprintf(c.log, "  %s does not follow %.0f announces per second\n", t.title, rate)
				present = slices.DeleteFunc(present, func(o tracker) bool { return o.name == t.name })
			}
		}
	}
	c.expect(w, 0)
	return nil
}

// limit returns the highest rate of the sweep that a tracker has followed, in announces per second; 0 if it has not
// run.
func limit(runs []run, name string) (highest float64) {
	for k := range runs {
		if r := &runs[k]; r.Workload == sweep && r.Tracker == name && !r.saturated() {
			highest = max(highest, r.Rate)
		}
	}
	return highest
}

// turn starts a tracker, runs the load tester against it, and stops it. A failure is part of the run's record; an error
// means that the comparison cannot go on.
func (c *comparison) turn(ctx context.Context, w *workload, t *tracker, round int, rate float64) (*run, error) {
	r := run{Workload: w.name, Tracker: t.name, Round: round, Rate: rate,
		ServerCPUs: c.options.serverCPUs(t.cores), ClientCPUs: c.options.clientCPUs(t.cores)}
	c.step(w.name, c.runText(w, t, round, rate))
	result, err := c.measure(ctx, w, t, &r)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r.Result = result; err != nil {
		r.Failed = strings.ReplaceAll(err.Error(), c.work, ".")
	}
	c.kept = append(c.kept, r)
	fmt.Fprintf(c.log, "  %s\n", describe(w, t, &r))
	return &r, c.write(record{Kind: "run", Run: &r})
}

// describe returns a line about a run.
func describe(w *workload, t *tracker, r *run) string {
	head := fmt.Sprintf("round %d  %-32s", r.Round, t.title)
	if r.Rate > 0 {
		head += fmt.Sprintf(" %6.0f/s", r.Rate)
	}
	if r.Failed != "" {
		return head + " failed: " + r.Failed
	}
	for _, key := range []string{"cycle", "message", "connect", "memory", "p99", "responses", "busy", "client"} {
		if v, ok := figureOf(key).value(r); ok && (key != "connect" || w.figure == key) {
			head += fmt.Sprintf("  %s %s", key, short(v))
		}
	}
	if n := len(r.Result.Problems); n > 0 {
		head += fmt.Sprintf("  %d problems: %s", n, r.Result.Problems[0])
	}
	return head
}

// measure is a run without its record.
func (c *comparison) measure(ctx context.Context, w *workload, t *tracker, r *run) (*load.Result, error) {
	server, dir, pl, err := c.startServer(ctx, w.name, t, place{cores: t.cores, tls: w.tls}, r.ServerCPUs)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	defer server.stop()
	cfg, err := w.config(c.options, t, r.Rate)
	if err != nil {
		return nil, err
	}
	scheme := "ws"
	if w.tls {
		scheme = "wss"
	}
	cfg.URL = fmt.Sprintf("%s://127.0.0.1:%d/", scheme, pl.port)
	cfg.ServerPID = load.PIDs{server.pid()}
	if t.drops {
		cfg.MetricsURL = fmt.Sprintf("http://127.0.0.1:%d/metrics", pl.metricsPort)
	}
	name := filepath.Join(dir, "load.toml")
	if err := os.WriteFile(name, cfg.AppendTOML(nil), 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.options.timeout(cfg), errors.New("it takes too long"))
	defer cancel()
	var stdout bytes.Buffer
	before, ran, start := readMachineCPU(), processCPU(server.pid()), time.Now()
	client, err := startProcess(dir, r.ClientCPUs, &stdout, c.tester, "-c", name, "-json")
	if err != nil {
		return nil, err
	}
	defer client.stop()
	exit := client.wait(ctx)
	after, wall := readMachineCPU(), time.Since(start).Seconds()
	ours := processCPU(server.pid()) - ran + client.cmd.ProcessState.UserTime() + client.cmd.ProcessState.SystemTime()
	r.Others = max(0, (after.busy-before.busy-ours).Seconds()/wall)
	r.Stolen = (after.stolen - before.stolen).Seconds() / wall
	return parseResult(exit, stdout.Bytes(), client.said)
}

// parseResult takes the output of the load tester. The load tester exits with 1 when the counts do not add up: that is
// a result, with its problems in it.
func parseResult(exit error, stdout []byte, said fmt.Stringer) (*load.Result, error) {
	var status *exec.ExitError
	if exit != nil && !errors.As(exit, &status) {
		return nil, fmt.Errorf("the load tester was stopped: %w: %s", exit, said)
	}
	var result load.Result
	if err := json.Unmarshal(stdout, &result); err != nil {
		return nil, fmt.Errorf("the load tester has no result (%v): %s", exit, said)
	}
	return &result, nil
}

// startServer starts a tracker in a new folder, which the caller removes after it has stopped the process. The first
// time it puts the tracker's configuration for the workload on record.
func (c *comparison) startServer(ctx context.Context, workload string, t *tracker, pl place, cpus string) (
	*process, string, place, error,
) {
	dir, err := os.MkdirTemp(c.work, t.name)
	if err != nil {
		return nil, "", pl, err
	}
	fail := func(err error) (*process, string, place, error) {
		os.RemoveAll(dir)
		return nil, "", pl, err
	}
	for _, name := range []string{certificateFile, keyFile} {
		if err := os.Symlink(filepath.Join(c.work, name), filepath.Join(dir, name)); err != nil {
			return fail(err)
		}
	}
	if pl.port, err = freePort(); err != nil {
		return fail(err)
	}
	if pl.metricsPort, err = freePort(); err != nil {
		return fail(err)
	}
	pl.limits = t.ours() && knowsLimits(c.programs[t.name])
	p, about, err := startTracker(ctx, t, c.programs[t.name], pl, dir, cpus)
	if err != nil {
		return fail(err)
	}
	if key := workload + " " + t.name; !c.told[key] {
		c.told[key] = true
		about.Workload = workload
		if err := c.write(record{Kind: "server", Server: about}); err != nil {
			p.stop()
			return fail(err)
		}
	}
	return p, dir, pl, nil
}

// cpusIn returns how many CPUs a list such as "0,1" or "0-3" names.
func cpusIn(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		n++
		if isRange {
			a, err1 := strconv.Atoi(from)
			b, err2 := strconv.Atoi(to)
			if err1 == nil && err2 == nil {
				n += b - a
			}
		}
	}
	return n
}
