package main

// This file owns the counts of a run: of each phase, the exchanges and their latencies.

import (
	"slices"
	"sync"
	"time"
)

// phase is a part of a run.
type phase int32

const (
	warm     phase = iota // the honest clients come; nothing is asked of it
	calm                  // honest clients alone
	attacked              // honest clients and attackers
	phases   = iota
)

// counts are the figures of one phase.
type counts struct {
	Exchanges  int // that were due
	Served     int // got their reply and an answer from another honest client
	Offers     int // that honest clients sent
	Answers    int // that came back to them
	Newcomers  int // honest clients that came
	Entered    int // of them: connected, and upgraded
	Lost       int // connections of honest clients that ended
	Junk       int // offers of attackers that honest clients got
	latencies  []time.Duration
	P50, P99   time.Duration // of announce to reply; an announce without a reply counts as patience
	Unfinished int           // exchanges whose end nobody saw: a fault of this program
}

// ledger has the counts of a run.
type ledger struct {
	mu     sync.Mutex
	phases [phases]counts
	wrongs int // messages that were not due, not readable, or had other content
}

// count changes the counts of a phase.
func (l *ledger) count(p phase, change func(*counts)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.phases[p])
}

func (l *ledger) begin(p phase)          { l.count(p, func(c *counts) { c.Exchanges++; c.Unfinished++ }) }
func (l *ledger) offered(p phase, n int) { l.count(p, func(c *counts) { c.Offers += n }) }
func (l *ledger) answered(p phase)       { l.count(p, func(c *counts) { c.Answers++ }) }
func (l *ledger) came(p phase)           { l.count(p, func(c *counts) { c.Newcomers++ }) }
func (l *ledger) entered(p phase)        { l.count(p, func(c *counts) { c.Entered++ }) }
func (l *ledger) lost(p phase)           { l.count(p, func(c *counts) { c.Lost++ }) }
func (l *ledger) junk(p phase)           { l.count(p, func(c *counts) { c.Junk++ }) }
func (l *ledger) wrong()                 { l.count(0, func(*counts) { l.wrongs++ }) }

func (l *ledger) replied(p phase, after time.Duration) {
	l.count(p, func(c *counts) { c.latencies = append(c.latencies, after) })
}

func (l *ledger) finish(p phase, ok bool) {
	l.count(p, func(c *counts) {
		c.Unfinished--
		if ok {
			c.Served++
		}
	})
}

// of returns the counts of a phase, with its percentiles.
func (l *ledger) of(p phase) counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.phases[p]
	slices.Sort(c.latencies)
	c.P50, c.P99 = percentile(c.latencies, 50), percentile(c.latencies, 99)
	return c
}

// percentile returns the smallest of the sorted values that p percent do not exceed, 0 without values.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
