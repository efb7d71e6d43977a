package load

// This file tests how a worker learns of the phases of the run.

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestPlanWakesWorkers proves that a worker which waits for events learns at once when the phases begin. Its ticks are an
// hour apart, so without being woken it does not learn of it.
func TestPlanWakesWorkers(t *testing.T) {
	cfg := quick(t, "ws://127.0.0.1:1/")
	cfg.Connections, cfg.Torrents, cfg.Workers = 1, 1, 1
	var turns atomic.Int32
	s := &site{config: &cfg, workers: 1, books: newLedger(&cfg), slow: []bool{true}} // a client that the worker leaves alone
	s.clock = func() time.Duration { return time.Duration(turns.Add(1)) }
	var err error
	if s.plan, err = choosePlan(&cfg, 1); err != nil {
		t.Fatal(err)
	}
	s.plan.Tick = time.Hour
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 2)))
	r := &run{config: &cfg, site: s, workers: []*worker{newWorker(s, 0)}, failed: make(chan error, 1)}
	w := r.workers[0]
	go func() { r.failed <- w.run() }()
	until := func(n int32) {
		for began := time.Now(); turns.Load() < n; runtime.Gosched() {
			if len(r.failed) > 0 || time.Since(began) > time.Minute {
				t.Fatalf("the worker has asked for the time %d times, not %d: %v", turns.Load(), n, len(r.failed))
			}
		}
	}
	until(1) // before it waits
	plan := &timeline{steady: time.Hour, measure: 2 * time.Hour, end: 3 * time.Hour}
	r.announcePlan(plan)
	until(3) // after the wait, and before the next one
	s.stop.Store(true)
	w.wake()
	if err := <-r.failed; err != nil || w.timeline != plan {
		t.Errorf("the worker has the plan %+v: %v", w.timeline, err)
	}
}
