package ring

import "time"

// This file owns the length of a wait: the window that a loop asks for, and the pacer that chooses it.

// Window says how long Wait waits.
//
// Max is cut to the plan's MaxBatchDelay; where that is 0, a larger Min counts as 1.
//
// Min 0 does not block. Min 1 waits for one completion, however long. A larger Min waits until there are so many, or
// until Max has passed; with a plan that has MinWait, a window that ends empty goes on to wait for one.
type Window struct {
	Min int
	Max time.Duration
}

// Pacer decides how long a loop's wait lasts. Waking up costs most when events come one by one, so a busy loop lets
// them gather for a window: more of them are handled per system call, and more frames leave in one send. A loop
// that would gather next to nothing waits for a single event and adds no delay.
type Pacer struct {
	Window time.Duration // at most so long; 0: never

	last     time.Duration
	expected float64 // events that come in one window, a moving average
	batching bool
}

// A window is worth its timer when it gathers many events: with 16 of them it cost as much as it saved, with 6 a fifth
// more than single waits, which gather some by themselves (bench/results/tried.md). Between the two thresholds the
// pacer goes on as before.
const (
	batchFrom   = 24.0
	batchUntil  = 12.0
	batchEvents = 256 // with fewer asked for, DEFER_TASKRUN stops running completions early
	paceMemory  = 8   // windows over which the average is taken
)

// Saw tells the pacer that a wait ended with n events at the time now, of a monotonic clock.
func (p *Pacer) Saw(n int, now time.Duration) {
	elapsed := now - p.last
	p.last = now
	if elapsed <= 0 || p.Window == 0 {
		return
	}
	// The average is one over time: a burst of events in a short while, such as one announce brings about, counts
	// no more than the silence around it.
	memory := paceMemory * float64(p.Window)
	p.expected = (p.expected*memory + float64(n)*float64(p.Window)) / (memory + float64(elapsed))
	switch {
	case p.expected >= batchFrom:
		p.batching = true
	case p.expected < batchUntil:
		p.batching = false
	}
}

// Next returns the window of the next wait.
func (p *Pacer) Next() Window {
	if p.batching {
		return Window{Min: batchEvents, Max: p.Window}
	}
	return Window{Min: 1}
}
