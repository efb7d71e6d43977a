package conn

import (
	"time"

	"millrace/cmd/internal/trace"
	"millrace/ring"
	"millrace/swarm"
)

// This file owns the Step under way, as the parts of a shard see it.

// Turn is the Step under way: its time, the ops that it has issued so far, and whether it leaves work behind. All parts of
// a shard share one Turn, which belongs to the loop's thread.
type Turn struct {
	Nanos int64     // the Step's time on the loop's monotonic clock
	Now   uint32    // seconds in which the loop turned, starting at 1, so that a zero time field means "never"
	awake int64     // the same in nanoseconds
	Ops   []ring.Op // for the ring, in the order in which they are to be carried out
	Seq   uint32    // number of the Step
	More  bool      // work is left: the loop must not block before the next Step

	Stands bool // the shard stands still, and so does Now

	Trace trace.Buffer
}

// Names has the names of all values that parts of a shard put into traces. Each part adds its own when the program
// starts.
var Names trace.Names

var (
	nameReason = Names.Add(reasonNames[:]...)
	nameOrder  = Names.Add(orderNames[:]...)
)

// NameOf returns the name of a reason in traces.
func NameOf(why Reason) trace.Name { return nameReason + trace.Name(why) }

// Order is a demand of the process to the shard.
type Order uint8

// The orders.
const (
	OrderStop Order = iota
	OrderAccess
	OrderCertificate
	OrderChange
	OrderDrain
	OrderFreeze
	OrderThaw
	OrderGiveAway
	orders
)

var orderNames = [orders]string{"stop", "serve by another access list", "use another certificate",
	"take other options", "drain", "stand still", "go on", "give everything away"}

// Note adds an event of a connection of this shard, at index i, to the trace and returns it to be completed.
func (t *Turn) Note(i uint32, c *Conn, e trace.Event) *trace.Record {
	r := t.Trace.Add()
	r.At = time.Duration(t.Nanos)
	r.Conn.Index, r.Conn.Gen, r.Conn.Shard = i, c.gen, r.By
	r.Client, r.Port, r.Event = c.Addr, c.Port, e
	return r
}

// NoteOf is Note for a connection of any shard, of which only the name is known.
func (t *Turn) NoteOf(a swarm.Addr, e trace.Event) *trace.Record {
	r := t.Trace.Add()
	r.At = time.Duration(t.Nanos)
	r.Conn.Index, r.Conn.Gen, r.Conn.Shard = a.Index, a.Gen, a.Shard
	r.Event = e
	return r
}

// NoteOrder adds an order to the trace.
func (t *Turn) NoteOrder(o Order) {
	r := t.Trace.Add()
	r.At, r.Event, r.What = time.Duration(t.Nanos), trace.Order, nameOrder+trace.Name(o)
}

// maxAway is the most that the time between two Steps counts in Turn.Now. A loop turns at every tick of its ring, at least
// twice a second. When the process was stopped for a minute, its clients were not heard for a minute: that is not their
// silence.
const maxAway = 2 * time.Second

// Start says at which time the seconds begin. It is called before the first Step.
func (t *Turn) Start(awake time.Duration) { t.awake = int64(awake) }

// Begin starts a Step at the time now. Ops are appended to ops.
func (t *Turn) Begin(now time.Duration, ops []ring.Op) {
	if t.Now > 0 && !t.Stands {
		t.awake += min(int64(now)-t.Nanos, int64(maxAway))
	}
	t.Nanos, t.Now = int64(now), uint32(t.awake/int64(time.Second))+1
	t.Ops, t.More = ops, false
	t.Seq++
}

// Awake returns the time that Now counts in seconds, exactly.
func (t *Turn) Awake() time.Duration { return time.Duration(t.awake) }

// Do issues an op.
func (t *Turn) Do(op ring.Op) { t.Ops = append(t.Ops, op) }

// End returns the ops of the Step and forgets them: they are the loop's.
func (t *Turn) End() []ring.Op {
	ops := t.Ops
	t.Ops = nil
	return ops
}
