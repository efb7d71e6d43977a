package conn

import (
	"time"

	"millrace/ring"
)

// This file owns the Step under way, as the parts of a shard see it.

// Turn is the Step under way: its time, the ops that it has issued so far, and whether it leaves work behind. All parts of
// a shard share one Turn, which belongs to the loop's thread.
type Turn struct {
	Nanos int64     // the Step's time on the loop's monotonic clock
	Now   uint32    // the same in seconds, starting at 1, so that a zero time field means "never"
	Ops   []ring.Op // for the ring, in the order in which they are to be carried out
	More  bool      // work is left: the loop must not block before the next Step
}

// Begin starts a Step at the time now. Ops are appended to ops.
func (t *Turn) Begin(now time.Duration, ops []ring.Op) {
	t.Nanos, t.Now = int64(now), uint32(now/time.Second)+1
	t.Ops, t.More = ops, false
}

// Do issues an op.
func (t *Turn) Do(op ring.Op) { t.Ops = append(t.Ops, op) }

// End returns the ops of the Step and forgets them: they are the loop's.
func (t *Turn) End() []ring.Op {
	ops := t.Ops
	t.Ops = nil
	return ops
}
