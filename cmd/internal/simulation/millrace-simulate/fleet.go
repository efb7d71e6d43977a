package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"millrace/cmd/internal/simulation"
)

// This file owns the simulations that run at the same time, and the report about them.

// simulator is the signature of [simulation.Run].
type simulator func(seed uint64) (simulation.Result, error)

// progressPeriod is the time between two lines of progress.
const progressPeriod = 10 * time.Second

// fleet plays seeds, one after the other on each of several cores. All of it is behind the mutex.
type fleet struct {
	simulate simulator
	paths    func(*simulation.Result) []simulation.Path
	replay   string // the command that replays a seed, without it

	mu       sync.Mutex
	next     uint64            // the seed to play next
	underWay map[uint64]bool   // seeds
	played   int               // simulations without a failure
	total    simulation.Result //  of them
	err      error             // the first failure
	failed   uint64            // its seed
}

// newFleet returns a fleet that has played nothing.
func newFleet(from uint64, simulate simulator) *fleet {
	return &fleet{simulate: simulate, paths: simulation.Paths, replay: "make simulate", next: from, underWay: map[uint64]bool{}}
}

// play plays seeds on so many cores until ctx is done or one fails. Simulations that are under way then are waited for,
// but not longer than hang: that is a failure too.
func (f *fleet) play(ctx context.Context, cores int, hang time.Duration, progress io.Writer) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	for range cores {
		group.Go(func() {
			for ctx.Err() == nil {
				if !f.one(f.take()) {
					cancel()
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		group.Wait()
		close(ended)
	}()
	ticker := time.NewTicker(progressPeriod)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case now := <-ticker.C:
			end, _ := ctx.Deadline()
			fmt.Fprintln(progress, f.line(end.Sub(now)))
		}
	}
	select {
	case <-ended:
	case <-time.After(hang):
		f.hung(hang)
	}
}

// line says what has been done, and how much of the time is left.
func (f *fleet) line(left time.Duration) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	failures := 0 // one ends the fleet
	if f.err != nil {
		failures = 1
	}
	return fmt.Sprintf("%d simulations, %d failures, %v left", f.played, failures, max(left, 0).Round(time.Second))
}

// take returns the seed to play next.
func (f *fleet) take() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	return f.next - 1
}

// one plays a seed and reports whether it did not fail.
func (f *fleet) one(seed uint64) bool {
	f.mu.Lock()
	f.underWay[seed] = true
	f.mu.Unlock()
	res, err := f.simulate(seed)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.underWay, seed)
	switch {
	case err == nil:
		f.played++
		f.total.Add(&res)
	case f.err == nil:
		f.err, f.failed = err, seed
	}
	return err == nil
}

// hung notes that a simulation does not end, unless there is a failure already.
func (f *fleet) hung(after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for seed := range f.underWay {
		if f.err == nil {
			f.err, f.failed = fmt.Errorf("seed %d: the simulation has not ended %v after the others", seed, after), seed
		}
	}
}

// report prints the outcome and returns the exit code.
func (f *fleet) report(stdout, stderr io.Writer) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		fmt.Fprintf(stdout, "%d simulations, none failed. They led to:\n", f.played)
		for _, p := range f.paths(&f.total) {
			fmt.Fprintf(stdout, "%10d × %s\n", p.Count, p.Name)
		}
		return exitOK
	}
	fmt.Fprintf(stderr, "millrace-simulate: a simulation failed, after %d that did not\n", f.played)
	var failure *simulation.Failure
	if errors.As(f.err, &failure) {
		fmt.Fprint(stderr, failure.Trace)
	}
	fmt.Fprintf(stderr, "%v\nreplay it with: %s SEED=%d\n", f.err, f.replay, f.failed)
	return exitError
}
