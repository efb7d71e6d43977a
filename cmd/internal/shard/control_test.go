package shard

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"millrace/ring"
	"millrace/ring/pool"
)

// This file proves what askers of a shard hear when its loop ends.

// TestAskersOfEndedLoop proves that nobody waits for a loop that has ended, with what it has not done, and that what it had done is
// not reported as undone.
func TestAskersOfEndedLoop(t *testing.T) {
	f := func(ask func(*Control) error, bit uint32, done bool) {
		t.Helper()
		c := NewControl()
		s := New(testOptions(0, 1), pool.New(make([]byte, 1<<20)), pool.New(make([]byte, 1<<20)), Wire(1, 1<<16)[0])
		answer := make(chan error)
		go func() { answer <- ask(c) }()
		for c.take()&bit == 0 { // until it is asked
			runtime.Gosched()
		}
		if done {
			c.doJobs(s, nil)
		}
		c.end(s, Published{Ended: true})
		if err := <-answer; errors.Is(err, ErrEnded) == done {
			t.Errorf("error %v, done %t", err, done)
		}
		if err := ask(c); !errors.Is(err, ErrEnded) {
			t.Errorf("afterwards: %v", err)
		}
	}
	do := func(c *Control) error { return c.Do(context.Background(), func(*Shard, *ring.Ring) {}) }
	look := func(c *Control) error { return c.Look(context.Background(), &LookConnections{Most: 1}) }
	f(do, bitDo, false)
	f(do, bitDo, true)
	f(look, bitLook, false)
}
