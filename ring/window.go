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

// Pacer decides how long a loop's wait lasts. Waking up costs most when events come one by one, so a loop that is short
// of CPU lets them gather for a window: more of them are handled per system call, and more frames leave in one send. That
// buys CPU with latency, so a loop with CPU to spare waits for a single event and adds no delay. Between the two the
// window grows with the share of a CPU that the loop's thread needs.
type Pacer struct {
	Window time.Duration        // at most so long; 0: never
	Demand func() time.Duration // CPU time that the loop's thread has needed so far: see [millrace/ring/host.Demand]; nil: not known

	last     time.Duration
	sampled  time.Duration // when Demand was read last
	demanded time.Duration // its value then
	rate     float64       // events a nanosecond, a moving average
	load     float64       // CPUs needed, a moving average
}

// The window is nothing at loadFrom and whole at loadFull. Above loadFrom it takes up to a fifth of the CPU away, so it
// settles where the load that is left asks for just that window (bench/results/tried.md).
//
// A window is worth its timer when it gathers many events: with 16 of them it cost as much as it saved, with 6 a fifth
// more than single waits, which gather some by themselves. A loop whose CPU goes into few long turns, such as
// handshakes, therefore does not wait for others.
const (
	loadFrom     = 0.65
	loadFull     = 0.80
	batchFrom    = 16.0
	batchEvents  = 256 // with fewer asked for, DEFER_TASKRUN stops running completions early
	rateMemory   = 16 * time.Millisecond
	loadMemory   = 64 * time.Millisecond
	samplePeriod = 8 * time.Millisecond // of Demand
)

// Load returns how many CPUs the loop's thread has needed lately: a moving average.
func (p *Pacer) Load() float64 { return p.load }

// Saw tells the pacer that a wait ended with n events at the time now, of a monotonic clock.
func (p *Pacer) Saw(n int, now time.Duration) {
	elapsed := now - p.last
	p.last = now
	if elapsed <= 0 || p.Demand == nil {
		return
	}
	// The averages are over time: a burst of events in a short while, such as one announce brings about, counts no more
	// than the silence around it.
	p.rate = (p.rate*float64(rateMemory) + float64(n)) / float64(rateMemory+elapsed)
	if elapsed = now - p.sampled; elapsed >= samplePeriod {
		demanded := p.Demand()
		if p.sampled != 0 {
			p.load = (p.load*float64(loadMemory) + float64(demanded-p.demanded)) / float64(loadMemory+elapsed)
		}
		p.sampled, p.demanded = now, demanded
	}
}

// Next returns the window of the next wait.
func (p *Pacer) Next() Window {
	share := min((p.load-loadFrom)/(loadFull-loadFrom), 1)
	if window := time.Duration(share * float64(p.Window)); window > 0 && p.rate*float64(window) >= batchFrom {
		return Window{Min: batchEvents, Max: window}
	}
	return Window{Min: 1}
}
