package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/cmd/internal/simulation"
)

// This file runs the program with simulations that do as the test says, and once with real ones.

// call runs the program and returns its output.
func call(simulate simulator, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs, simulate, simulate)
	return code, out.String(), errs.String()
}

// good is a simulation that finds nothing wrong.
func good(uint64) (simulation.Result, error) { return simulation.Result{}, nil }

// TestUsageErrors proves that a wrong command line is told in a sentence on stderr, and that nothing is played then.
func TestUsageErrors(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := call(func(uint64) (simulation.Result, error) {
			t.Error("a simulation was played")
			return simulation.Result{}, nil
		}, args...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "millrace-simulate: ") ||
			!strings.Contains(stderr, want) || !strings.HasSuffix(stderr, "(-h explains)\n") {
			t.Errorf("%q: code %d, stdout %q, stderr %q, want %q", args, code, stdout, stderr, want)
		}
	}
	f("-x", "-x")
	f("unexpected argument \"5\"", "5")
	f("invalid value \"many\" for flag -minutes", "-minutes", "many")
	f("-minutes is 0,", "-minutes", "0")
	f("-minutes is NaN,", "-minutes", "nan")
	f("invalid value \"-1\" for flag -seed", "-seed", "-1")
	f("cannot stand beside it", "-seed", "1", "-minutes", "5")
	f("cannot stand beside it", "-seed", "1", "-from", "5")
}

// TestHelp proves that -h prints the text about the program.
func TestHelp(t *testing.T) {
	if code, stdout, stderr := call(good, "-h"); code != exitOK || stdout != usage || stderr != "" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// TestFailure proves that a failure ends the program with code 1, its seed, the error, the events, and the command that
// replays it.
func TestFailure(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		code, stdout, stderr := call(func(seed uint64) (simulation.Result, error) {
			if seed != 41 {
				return simulation.Result{}, nil
			}
			return simulation.Result{}, &simulation.Failure{Seed: seed, Problems: []string{"it broke"}, Trace: "events\n"}
		}, args...)
		want := "events\nseed 41: it broke\nreplay it with: make simulate SEED=41\n"
		if code != exitError || !strings.HasSuffix(stderr, want) || !strings.Contains(stdout, args[1]) {
			t.Errorf("%q: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	f("-seed", "41")
	f("-from", "7", "-minutes", "10")
}

// TestCluster proves that -cluster plays the other simulations, and that the command which replays a failure says so.
func TestCluster(t *testing.T) {
	var stdout, stderr bytes.Buffer
	fails := func(seed uint64) (simulation.Result, error) { return simulation.Result{}, errors.New("it broke") }
	if code := run(context.Background(), []string{"-cluster", "-seed", "3"}, &stdout, &stderr, good, fails); code != exitError ||
		!strings.Contains(stderr.String(), "make simulate CLUSTER=1 SEED=3\n") {
		t.Errorf("code %d, %q", code, &stderr)
	}
	if code := run(context.Background(), []string{"-seed", "3"}, &stdout, &stderr, good, fails); code != exitOK {
		t.Errorf("code %d, %q", code, &stderr)
	}
}

// TestSeeds proves that the seeds follow each other from the one that is printed, and that the first one differs from
// run to run.
func TestSeeds(t *testing.T) {
	first := func() uint64 {
		var calls atomic.Uint64
		_, stdout, stderr := call(func(uint64) (simulation.Result, error) {
			if calls.Add(1) > 1000 {
				return simulation.Result{}, errors.New("enough")
			}
			return simulation.Result{}, nil
		}, "-minutes", "10")
		var from, failed uint64
		if _, err := fmt.Sscanf(stdout, "seeds from %d on", &from); err != nil {
			t.Fatalf("%q: %v", stdout, err)
		}
		at := strings.LastIndex(stderr, "=") + 1
		if _, err := fmt.Sscan(stderr[at:], &failed); err != nil || failed-from < 1000-100 || failed-from > 1000+100 {
			t.Errorf("seed %d failed after 1000 from %d on: %v", failed, from, err)
		}
		return from
	}
	if a, b := first(), first(); a == b {
		t.Errorf("two runs begin with the same seed %d", a)
	}
}

// TestLine proves what a line of progress says: also after a failure, and when the time is up.
func TestLine(t *testing.T) {
	fl := newFleet(40, func(seed uint64) (simulation.Result, error) {
		if seed == 42 {
			return simulation.Result{}, errors.New("it broke")
		}
		return simulation.Result{}, nil
	})
	f := func(left time.Duration, want string) {
		t.Helper()
		if got := fl.line(left); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(time.Minute, "0 simulations, 0 failures, 1m0s left")
	fl.one(fl.take())
	fl.one(fl.take())
	f(90400*time.Millisecond, "2 simulations, 0 failures, 1m30s left")
	fl.one(fl.take())
	f(-time.Second, "2 simulations, 1 failures, 0s left")
}

// TestHang proves that a simulation that does not end is told with its seed.
func TestHang(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	block := make(chan struct{})
	defer close(block)
	f := newFleet(5, func(uint64) (simulation.Result, error) {
		cancel()
		<-block
		return simulation.Result{}, nil
	})
	f.play(ctx, 1, time.Nanosecond, io.Discard)
	var stderr bytes.Buffer
	if code := f.report(io.Discard, &stderr); code != exitError || !strings.Contains(stderr.String(), "SEED=5\n") {
		t.Errorf("code %d, %q", code, stderr.String())
	}
}

// TestRealSimulations proves that the program plays real simulations, several at a time, and sums up what they led to.
func TestRealSimulations(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var played atomic.Int64
	f := newFleet(0, func(seed uint64) (simulation.Result, error) {
		if played.Add(1) > 20 {
			cancel()
		}
		return simulation.Run(seed)
	})
	f.play(ctx, 4, time.Hour, io.Discard)
	var stdout, stderr bytes.Buffer
	if code := f.report(&stdout, &stderr); code != exitOK || f.played < 20 || f.total.Stats.Door.Accepted == 0 ||
		!strings.Contains(stdout.String(), "none failed") {
		t.Errorf("code %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
}
