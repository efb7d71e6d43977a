package progress

// This file tests the estimate of the time that is left.

import (
	"testing"
	"time"
)

// TestLeft proves that the rest is taken to exceed its plan as the finished part did, and to keep to it when nothing is
// finished.
func TestLeft(t *testing.T) {
	f := func(elapsed, done, rest, want time.Duration) {
		t.Helper()
		if got := Left(elapsed, done, rest); got != want {
			t.Errorf("%v for %v planned: %v for %v, want %v", elapsed, done, got, rest, want)
		}
	}
	f(0, 0, time.Hour, time.Hour)
	f(5*time.Minute, 0, time.Hour, time.Hour)
	f(10*time.Minute, 10*time.Minute, time.Hour, time.Hour)
	f(15*time.Minute, 10*time.Minute, time.Hour, 90*time.Minute)
	f(5*time.Minute, 10*time.Minute, time.Hour, 30*time.Minute)
	f(time.Minute, time.Minute, 0, 0)
}

// TestSteps proves that a line has the number of the step and of all, and an estimate from the steps before; that
// steps which are no longer expected leave the sum, and that one which was not expected adds to it.
func TestSteps(t *testing.T) {
	var s Steps
	s.Expect("heavy", 2, 30*time.Second)
	s.Expect("sweep", 4, 10*time.Second)
	f := func(name string, elapsed time.Duration, want string) {
		t.Helper()
		if got := s.Begin(name, "it", elapsed); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	f("heavy", 0, "[1/6] it; 0 s elapsed, about 1 min 40 s left")
	f("heavy", 45*time.Second, "[2/6] it; 45 s elapsed, about 1 min 45 s left")
	f("heavy", 90*time.Second, "[3/7] it; 90 s elapsed, about 1 min 45 s left")
	f("sweep", 90*time.Second, "[4/7] it; 90 s elapsed, about 40 s left")
	s.Expect("sweep", 1, 10*time.Second)
	f("sweep", 100*time.Second, "[5/5] it; 1 min 40 s elapsed, about 10 s left")
	f("other", 110*time.Second, "[6/6] it; 1 min 50 s elapsed, about 0 s left")
}

// TestSpan proves how a time is written.
func TestSpan(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	f(-time.Second, "0 s")
	f(499*time.Millisecond, "0 s")
	f(99*time.Second, "99 s")
	f(150*time.Second, "2 min 30 s")
	f(599600*time.Millisecond, "10 min")
	f(41*time.Minute+20*time.Second, "41 min")
	f(59*time.Minute+40*time.Second, "1 h 0 min")
	f(80*time.Minute, "1 h 20 min")
	f(50*time.Hour, "50 h 0 min")
}
