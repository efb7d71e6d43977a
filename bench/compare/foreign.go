package main

// This file drives trackers with aquatic_ws_load_test, a client of another project. It speaks TLS only, in a closed
// loop, and counts replies to answers among its responses, so millrace is configured to send them.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	foreignCrate       = "aquatic_ws_load_test"
	foreignVersion     = "0.9.0"
	foreignConnections = 16 // its default
	foreignSeconds     = 20
)

// compareForeign runs the rounds of aquatic_ws_load_test.
func (c *comparison) compareForeign(ctx context.Context) error {
	fmt.Fprintf(c.log, "%s %s: %d connections in a closed loop, over TLS\n", foreignCrate, foreignVersion,
		foreignConnections)
	tester, err := c.in.installCrate(ctx, foreignCrate, foreignVersion, "")
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		reason := c.in.reason(err)
		fmt.Fprintf(c.log, "  it is missing: %s\n", reason)
		return c.write(record{Kind: "missing", Missing: &missing{foreignCrate, reason}})
	}
	var perResponse []foreignRun
	for round := 1; round <= c.options.maxRounds; round++ {
		c.expectForeign(c.options.roundsLeft(round))
		for _, t := range c.foreignTrackers() {
			r := foreignRun{Tracker: t.name, Round: round, Connections: foreignConnections}
			c.step(foreign, t.title+", "+c.options.roundText(round))
			err := c.foreignTurn(ctx, tester, &t, &r)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				r.Failed = strings.ReplaceAll(err.Error(), c.work, ".")
			}
			perResponse = append(perResponse, r)
			fmt.Fprintf(c.log, "  round %d  %-32s  %s responses/s  %s µs of server CPU each  busy %s  errors %s/s %s\n", round,
				t.title, short(r.Responses), short(r.CPU), short(r.Busy), short(r.ErrorsPerSec), r.Failed)
			if err := c.write(record{Kind: "foreign", Foreign: &r}); err != nil {
				return err
			}
		}
		if _, ok := agree(foreignRatios(perResponse, millrace)); ok && round >= c.options.rounds {
			break
		}
	}
	return nil
}

// foreignTime is how long a run measures.
func (o *options) foreignTime() time.Duration {
	if o.quick {
		return 5 * time.Second
	}
	return foreignSeconds * time.Second
}

// foreignRatios returns a tracker's responses per second over the reference's, by round.
func foreignRatios(runs []foreignRun, name string) (of []float64) {
	for _, r := range runs {
		k := slices.IndexFunc(runs, func(o foreignRun) bool { return o.Tracker == reference && o.Round == r.Round })
		if r.Tracker == name && k >= 0 && runs[k].Responses > 0 && r.Failed == "" {
			of = append(of, r.Responses/runs[k].Responses)
		}
	}
	return of
}

// foreignTurn is one run. The tracker's CPU time is that between the tester's two marks.
func (c *comparison) foreignTurn(ctx context.Context, tester program, t *tracker, r *foreignRun) error {
	server, dir, pl, err := c.startServer(ctx, foreign, t, place{cores: t.cores, tls: true, forForeign: true},
		c.options.serverCPUs(t.cores))
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer server.stop()
	text := fmt.Sprintf("server_address = \"127.0.0.1:%d\"\nlog_level = \"error\"\nnum_workers = 1\n"+
		"num_connections_per_worker = %d\nduration = %d\n", pl.port, r.Connections, int(c.options.foreignTime().Seconds()))
	if err := os.WriteFile(filepath.Join(dir, "load.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.options.runTimeout, errors.New("it takes too long"))
	defer cancel()
	output := &foreignOutput{sample: func() (time.Duration, time.Time) { return processCPU(server.pid()), time.Now() }}
	argv := append(slices.Clone(tester.argv), "-c", "load.toml")
	client, err := startProcess(dir, c.options.clientCPUs(t.cores), output, argv...)
	if err != nil {
		return err
	}
	defer client.stop()
	if err := client.wait(ctx); err != nil {
		return fmt.Errorf("%s failed: %w: %s", foreignCrate, err, client.said)
	}
	return output.fill(r)
}

// foreignOutput reads the output of aquatic_ws_load_test, line by line as it comes. The program prints rates every five
// seconds, and at the end the average of those since all connections were open.
type foreignOutput struct {
	sample func() (cpu time.Duration, now time.Time) // of the tracker

	mu           sync.Mutex
	line         []byte
	begun        bool // all connections are open
	cpu0, cpu1   time.Duration
	time0, time1 time.Time
	errors       []float64 // per second, one for each interval since then
	average      float64
	done         bool
}

func (o *foreignOutput) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.line = append(o.line, b...)
	for {
		line, rest, ok := bytes.Cut(o.line, []byte("\n"))
		if !ok {
			o.line = o.line[:min(len(o.line), 4096)] // no line of it is that long
			return len(b), nil
		}
		o.read(strings.TrimSpace(string(line)))
		o.line = rest
	}
}

// read takes one line.
func (o *foreignOutput) read(line string) {
	number := func(prefix string) (v float64, ok bool) {
		text, found := strings.CutPrefix(line, prefix)
		if !found {
			return 0, false
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		return v, err == nil
	}
	switch {
	case line == "Max connections reached":
		o.begun = true
		o.cpu0, o.time0 = o.sample()
	case line == "# aquatic load test report":
		o.cpu1, o.time1 = o.sample()
	}
	if v, ok := number("- Error responses:"); ok && o.begun {
		o.errors = append(o.errors, v)
	}
	if v, ok := number("Average responses per second:"); ok {
		o.average, o.done = v, true
	}
}

// fill puts the figures into a record.
func (o *foreignOutput) fill(r *foreignRun) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	seconds := o.time1.Sub(o.time0).Seconds()
	if !o.begun || !o.done || seconds <= 0 {
		return fmt.Errorf("%s has printed no report: not all of its connections were open", foreignCrate)
	}
	if o.average == 0 {
		return fmt.Errorf("%s got no responses", foreignCrate)
	}
	cpu := (o.cpu1 - o.cpu0).Seconds()
	r.Responses, r.Busy, r.CPU = o.average, cpu/seconds, cpu*1e6/(o.average*seconds)
	// The interval in which the last connection opened is printed after the mark, but is not part of the average.
	if len(o.errors) > 1 {
		r.ErrorsPerSec = summarize(o.errors[1:]).median
	}
	return nil
}
