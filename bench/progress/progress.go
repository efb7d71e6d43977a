// Package progress says how far long work is, and when it may be done.
package progress

import (
	"fmt"
	"time"
)

// Steps are the steps of long work: those that are done, and those that are expected, by the name of the part of the
// work that they belong to.
type Steps struct {
	parts map[string]*part
	done  int           // steps that have begun
	spent time.Duration // as planned for them
}

// part is a part of the work: so many further steps, each of which is planned to take so long.
type part struct {
	left int
	each time.Duration
}

// Expect plans so many further steps of a part, in place of those that were planned before.
func (s *Steps) Expect(name string, left int, each time.Duration) {
	if s.parts == nil {
		s.parts = map[string]*part{}
	}
	s.parts[name] = &part{left, each}
}

// Begin begins a step of a part, and returns the line that says so: its number among all, what it does, the time since
// the work has begun, and the time that is left.
func (s *Steps) Begin(name, what string, elapsed time.Duration) string {
	p := s.parts[name]
	if p == nil {
		p = &part{}
	}
	p.left = max(p.left, 1) // the step itself
	left, rest := 0, time.Duration(0)
	for _, o := range s.parts {
		left += o.left
		rest += time.Duration(o.left) * o.each
	}
	line := fmt.Sprintf("[%d/%d] %s; %s elapsed, about %s left", s.done+1, s.done+max(left, 1), what, Span(elapsed),
		Span(Left(elapsed, s.spent, rest)))
	p.left--
	s.done++
	s.spent += p.each
	return line
}

// Left estimates the time that the rest of some work takes. It was planned to take the time rest. What is done was
// planned to take the time done and took the time elapsed: the rest is taken to exceed its plan by as much.
func Left(elapsed, done, rest time.Duration) time.Duration {
	if done <= 0 {
		return rest
	}
	return time.Duration(float64(rest) * float64(elapsed) / float64(done))
}

// Span writes a time for people: 41 s, 2 min 30 s, 41 min or 1 h 20 min.
func Span(d time.Duration) string {
	s := int(max(d, 0).Round(time.Second) / time.Second)
	switch {
	case s < 100:
		return fmt.Sprintf("%d s", s)
	case s < 600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	if m := (s + 30) / 60; m >= 60 {
		return fmt.Sprintf("%d h %d min", m/60, m%60)
	}
	return fmt.Sprintf("%d min", (s+30)/60)
}
