package ring

import (
	"testing"
	"time"
)

// This file owns the tests of the pacer, on a clock of its own.

// load is a loop of its own time: so many events a second, each of which takes so much CPU time, and each wake-up too.
type load struct {
	perSecond   float64
	event, wake time.Duration
	now, used   time.Duration
}

func (l *load) demand() time.Duration { return l.used }

// run plays seconds of the load, and returns the mean window and how much of a CPU was used in the last half.
func (l *load) run(p *Pacer, seconds int) (window time.Duration, cpu float64) {
	var waits, gathered time.Duration
	start, half := l.now, l.now+time.Duration(seconds)*time.Second/2
	var before time.Duration
	due, gap := float64(l.now), float64(time.Second)/l.perSecond
	for l.now < start+time.Duration(seconds)*time.Second {
		w := p.Next()
		wait := time.Duration(0)
		if w.Min > 1 {
			wait = w.Max
		} else if due > float64(l.now) {
			wait = time.Duration(due) - l.now + 1
		}
		if l.now < half {
			before = l.used
		} else {
			waits++
			if w.Min > 1 {
				gathered += w.Max
			}
		}
		l.now += wait
		n := 0
		for due <= float64(l.now) {
			n++
			due += gap
		}
		p.Saw(n, l.now)
		worked := l.wake + time.Duration(n)*l.event
		l.now += worked
		l.used += worked
	}
	return gathered / waits, float64(l.used-before) / float64(l.now-half)
}

// TestPacer proves that the window follows the load: none while there is CPU to spare, the whole one near the limit,
// something between in between, none for a loop whose CPU goes into few long turns, and none where it is switched off,
// where the load is known all the same; and that it goes back when the load does.
func TestPacer(t *testing.T) {
	const most = 2 * time.Millisecond
	p, l := &Pacer{Window: most}, &load{}
	p.Demand = l.demand
	f := func(perSecond float64, event, wake, low, high time.Duration) {
		t.Helper()
		l.perSecond, l.event, l.wake = perSecond, event, wake
		if window, cpu := l.run(p, 4); window < low || window > high {
			t.Errorf("%v events of %v a second, %v a wake-up: windows of %v at %.2f of a CPU, want %v to %v",
				perSecond, event, wake, window, cpu, low, high)
		}
		if got := p.load; got < 0 || got > 1.05 {
			t.Errorf("load %v", got)
		}
	}
	us := time.Microsecond
	f(100, 10*us, 5*us, 0, 0)
	f(20_000, 10*us, 10*us, 0, 0) // 0.4 of a CPU in single events
	f(60_000, 10*us, 5*us, 1*us, most*9/10)
	f(90_000, 10*us, 5*us, most, most)
	f(20_000, 10*us, 10*us, 0, 0)
	f(2_000, 450*us, 5*us, 0, 0) // 0.9 of a CPU, but hardly an event in a window
	p.Window = 0
	f(90_000, 10*us, 5*us, 0, 0)
	if p.Load() < 0.9 {
		t.Errorf("without a window the load is %v", p.Load())
	}
}

// TestPacerBursts proves that bursts do not deceive the pacer: forty events within 40 µs, every 10 ms, are few, even on
// a loop short of CPU.
func TestPacerBursts(t *testing.T) {
	var now time.Duration
	p := &Pacer{Window: 2 * time.Millisecond, Demand: func() time.Duration { return now * 9 / 10 }}
	for ; now < 10*time.Second; now += 10 * time.Millisecond {
		for k := range time.Duration(40) {
			p.Saw(1, now+k*time.Microsecond)
			if p.Next().Min > 1 {
				t.Fatalf("a window after %v", now)
			}
		}
	}
	if p.load < 0.85 {
		t.Fatalf("load %v", p.load)
	}
}
