package deflate

import "time"

// This file measures how long messages take.

// stopwatch estimates the time that a kind of work takes: it times each sampled-th piece. Without a clock it times none.
type stopwatch struct {
	clock  func() time.Duration // monotonic
	pieces uint32
	sum    time.Duration
}

// sampled is prime, so that it falls in with no pattern of messages. Reading the clock for each would be a hundredth of the work.
const sampled = 13

// start returns the time at which a piece of work begins, less than 0 if it is not timed.
func (w *stopwatch) start() time.Duration {
	if w.pieces++; w.clock == nil || w.pieces%sampled != 0 {
		return -1
	}
	return w.clock()
}

// stop ends a piece of work.
func (w *stopwatch) stop(since time.Duration) {
	if since >= 0 {
		w.sum += sampled * (w.clock() - since)
	}
}
