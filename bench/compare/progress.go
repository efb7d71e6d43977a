package main

// This file says how far a comparison is: which run of how many, and the time that is left.

import (
	"fmt"
	"slices"
	"time"

	"millrace/bench/load"
)

// aroundRun is the time that a run takes beside its load: the tracker starts and stops, and the last messages arrive.
const aroundRun = 2 * time.Second

// plan expects all runs of the chosen workloads. A sweep is expected to go through all rates, and rounds to agree as soon
// as they may: whatever comes differently is seen in the next line.
func (c *comparison) plan() {
	for k := range workloads {
		if w := &workloads[k]; c.options.wants(w.name, w.extra) {
			c.expect(w, len(c.participants(w))*max(c.options.rounds, len(w.rates)))
		}
	}
	if c.options.wants(foreign, c.options.base != "") {
		c.expectForeign(c.options.rounds)
	}
	c.begun = time.Now()
}

// expect plans so many further runs of a workload.
func (c *comparison) expect(w *workload, runs int) {
	var cfg load.Config
	if runs > 0 {
		cfg, _ = w.config(c.options, &tracker{}, 0) // a workload that cannot be configured fails when it runs
	}
	each := time.Duration((cfg.Ramp + cfg.Warmup + cfg.Duration) * float64(time.Second))
	c.steps.Expect(w.name, runs, each+aroundRun)
}

// expectForeign plans so many further rounds of aquatic_ws_load_test.
func (c *comparison) expectForeign(rounds int) {
	c.steps.Expect(foreign, rounds*len(c.foreignTrackers()), c.options.foreignTime()+aroundRun)
}

// roundsLeft returns the rounds that are expected from one on, itself included.
func (o *options) roundsLeft(round int) int { return 1 + max(o.rounds-round, 0) }

// step says that a run begins.
func (c *comparison) step(name, what string) {
	fmt.Fprintln(c.progress, c.steps.Begin(name, name+" "+what, time.Since(c.begun)))
}

// roundText names a round. Beyond the rounds that were asked for nobody knows how many there will be.
func (o *options) roundText(round int) string {
	if round > o.rounds {
		return fmt.Sprintf("round %d of at most %d", round, o.maxRounds)
	}
	return fmt.Sprintf("round %d of %d", round, o.rounds)
}

// runText names a run of a workload.
func (c *comparison) runText(w *workload, t *tracker, round int, rate float64) string {
	if w.rates == nil {
		return t.title + ", " + c.options.roundText(round)
	}
	text := fmt.Sprintf("%s at %.0f announces/s", t.title, rate)
	if round > 1 {
		text += ", once more"
	}
	return text
}

// foreignTrackers returns the installed trackers that aquatic_ws_load_test can drive.
func (c *comparison) foreignTrackers() (present []tracker) {
	for _, t := range c.trackers {
		if slices.Contains(withTLS, t.name) {
			present = append(present, t)
		}
	}
	return present
}
