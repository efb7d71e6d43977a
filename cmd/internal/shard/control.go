package shard

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/torrents"
	"millrace/cmd/internal/stats"
	"millrace/cmd/internal/trace"
	"millrace/ring"
	"millrace/ring/host"
	"millrace/swarm"
)

// This file owns Control, by which the rest of the process speaks to a running shard.

// Control is how the rest of the process speaks to a running shard: a word of requests that the loop looks at in every
// turn, and the counters that it publishes.
type Control struct {
	waker atomic.Pointer[ring.Waker]
	bits  atomic.Uint32
	rule  atomic.Pointer[swarm.Access]
	cert  atomic.Uint32 // generation of the certificate in use
	opt   atomic.Pointer[Options]
	drain atomic.Int64 // nanoseconds that a drain takes
	beat  atomic.Int64 // nanoseconds on the clock of the loops at which it published last

	base atomic.Pointer[Totals]

	gone chan struct{} // closed when the loop has ended

	mu        sync.Mutex
	published Published
	asked     chan struct{} // closed and replaced at each publication
	traces    []traceRequest
	listens   []ListenOrder
	looks     []pendingLook
	jobs      []job
	lastTrace trace.Copy // once the loop has ended
}

// job is something that the loop is to do.
type job struct {
	do   func(*Shard, *ring.Ring)
	done chan<- struct{} // closed then
}

// traceRequest asks for a copy of the trace.
type traceRequest struct {
	into []trace.Record
	done chan<- trace.Copy // has room for the copy
}

// Published is the last word of a shard about itself.
type Published struct {
	Shard Stats
	Ring  ring.Stats
	Loop  LoopStats
	At    time.Duration // on the clock of the loop
	Ended bool          // the loop has returned; these are its last figures

	Leaving [conn.Reasons]uint64 // while the shard stands still: connections that end here and go nowhere else, by reason

	Census *torrents.Census // of the last whole pass over the peers, shared and not to be changed; nil: there is none
}

// Totals are the figures of another process with which those of this one go on.
type Totals struct {
	Shard Stats
	Ring  ring.Stats
	Loop  LoopStats
}

// Totals returns the figures that another process can go on with. It does not see the end of connections that stay here, so they have
// ended.
func (p *Published) Totals() Totals {
	t := Totals{p.Shard, p.Ring, p.Loop}
	stats.KeepTotals(&t.Shard)
	for why, n := range p.Leaving {
		t.Shard.Table.Closed[why] += n
	}
	stats.KeepTotals(&t.Ring)
	t.Loop.Longest = 0
	return t
}

// Add adds the figures of another shard.
func (t *Totals) Add(o *Totals) {
	stats.Add(&t.Shard, &o.Shard)
	stats.Add(&t.Ring, &o.Ring)
	stats.Add(&t.Loop, &o.Loop)
}

// GoOnFrom has the figures of the shard go on from those of another process, in its next publication.
func (c *Control) GoOnFrom(t *Totals) { c.base.Store(t) }

// LoopStats are counters of the loop itself.
type LoopStats struct {
	Turns   uint64 // Steps
	Batched uint64 // waits with a batching window
	Busy    time.Duration
	Longest time.Duration // longest Step since the last publication
	Needed  time.Duration // CPU time that the thread used, or was ready to and waited for
}

const (
	bitStop uint32 = 1 << iota
	bitAbort
	bitPublish
	bitAccess
	bitCertificate
	bitChange
	bitListen
	bitTrace
	bitLook
	bitDrain
	bitDo
)

// NewControl returns a control word for one shard.
func NewControl() *Control { return &Control{asked: make(chan struct{}), gone: make(chan struct{})} }

// Attach says how the shard is woken. Requests made before are seen in the first turn.
func (c *Control) Attach(w *ring.Waker) { c.waker.Store(w) }

// Stop asks for a graceful stop.
func (c *Control) Stop() { c.request(bitStop) }

// Drain asks for a stop that takes a time, over which the clients are told to go one after the other (see Shard.Drain).
func (c *Control) Drain(d time.Duration) {
	c.drain.Store(int64(d))
	c.request(bitDrain)
}

// Abort asks the loop to return now, with connections open.
func (c *Control) Abort() { c.request(bitAbort) }

// SetAccess gives the shard a rule for the torrents that it serves, in its next turn. The list is shared and must not
// change any more.
func (c *Control) SetAccess(rule *swarm.Access) {
	c.rule.Store(rule)
	c.request(bitAccess)
}

// SetCertificate tells the shard, in its next turn, that handshakes use another certificate now.
func (c *Control) SetCertificate(generation uint32) {
	c.cert.Store(generation)
	c.request(bitCertificate)
}

// Change gives the shard other options, in its next turn (see Shard.Change).
func (c *Control) Change(o Options) {
	c.opt.Store(&o)
	c.request(bitChange)
}

// ListenOrder changes a listening socket of a shard's ring.
type ListenOrder struct {
	Number   int
	Listener *host.Listener // which the shard takes over; nil: the socket with the number ends
}

// Listen gives the shard orders, which it carries out one after the other.
func (c *Control) Listen(orders []ListenOrder) {
	c.mu.Lock()
	c.listens = append(c.listens, orders...)
	if c.published.Ended {
		c.dropListensLocked()
	}
	c.mu.Unlock()
	c.request(bitListen)
}

// takeListens returns the orders since the last call.
func (c *Control) takeListens() []ListenOrder {
	c.mu.Lock()
	defer c.mu.Unlock()
	orders := c.listens
	c.listens = nil
	return orders
}

// dropListensLocked closes the sockets that no ring will take.
func (c *Control) dropListensLocked() {
	for _, o := range c.listens {
		if o.Listener != nil {
			o.Listener.Close()
		}
	}
	c.listens = nil
}

// Publish asks the loop to publish its counters and returns a channel that is closed when it has.
func (c *Control) Publish() <-chan struct{} {
	c.mu.Lock()
	done := c.asked
	ended := c.published.Ended
	c.mu.Unlock()
	if ended {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	c.request(bitPublish)
	return done
}

// Trace asks the loop for a copy of its trace and waits for it, or for the end of ctx. Once the loop has ended it
// returns the last copy.
func (c *Control) Trace(ctx context.Context) (trace.Copy, error) {
	done := make(chan trace.Copy, 1)
	c.mu.Lock()
	if c.published.Ended {
		defer c.mu.Unlock()
		return c.lastTrace, nil
	}
	c.traces = append(c.traces, traceRequest{make([]trace.Record, 0, trace.DefaultSize), done})
	c.mu.Unlock()
	c.request(bitTrace)
	select {
	case copied := <-done:
		return copied, nil
	case <-ctx.Done():
		return trace.Copy{}, ctx.Err()
	}
}

// ErrEnded is the answer of a shard whose loop has ended.
var ErrEnded = errors.New("the loop has ended")

// Look has the shard answer a look, and waits for that, or for the end of ctx or of the loop. After an error the look is the loop's, and
// nobody may read it.
func (c *Control) Look(ctx context.Context, l Look) error {
	done := make(chan struct{})
	return c.ask(ctx, bitLook, done, func() { c.looks = append(c.looks, pendingLook{l, func() { close(done) }}) })
}

// Do has the loop call a function between two turns, and waits for that, or for the end of ctx or of the loop. After an error the
// function may be called yet, unless it is ErrEnded. The function may block: the shard stands still meanwhile.
func (c *Control) Do(ctx context.Context, f func(*Shard, *ring.Ring)) error {
	done := make(chan struct{})
	return c.ask(ctx, bitDo, done, func() { c.jobs = append(c.jobs, job{f, done}) })
}

// ask queues something that the loop is to do, and waits until it is done.
func (c *Control) ask(ctx context.Context, bit uint32, done <-chan struct{}, queue func()) error {
	c.mu.Lock()
	ended := c.published.Ended
	if !ended {
		queue()
	}
	c.mu.Unlock()
	if ended {
		return ErrEnded
	}
	c.request(bit)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.gone:
	}
	select {
	case <-done: // just before the end
		return nil
	default:
		return ErrEnded
	}
}

// doJobs calls the functions of Do. It is called by the loop's thread.
func (c *Control) doJobs(s *Shard, r *ring.Ring) {
	c.mu.Lock()
	jobs := c.jobs
	c.jobs = nil
	c.mu.Unlock()
	for _, j := range jobs {
		j.do(s, r)
		close(j.done)
	}
}

// takeLooks returns the looks since the last call.
func (c *Control) takeLooks() []pendingLook {
	c.mu.Lock()
	defer c.mu.Unlock()
	looks := c.looks
	c.looks = nil
	return looks
}

// answerTraces gives a copy of the shard's trace to all that have asked for one. It is called by the loop's thread.
func (c *Control) answerTraces(s *Shard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answerTracesLocked(s)
}

func (c *Control) answerTracesLocked(s *Shard) {
	for _, r := range c.traces {
		r.done <- s.Trace(r.into)
	}
	c.traces = nil
}

// end makes p the last publication and keeps the last trace. It is called by the loop's thread.
func (c *Control) end(s *Shard, p Published) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answerTracesLocked(s)
	c.lastTrace = s.Trace(nil)
	c.dropListensLocked()
	c.publishLocked(p)
	close(c.gone)
}

// Knock wakes the loop if it sleeps. The bridge to other nodes does so when there is mail.
func (c *Control) Knock() {
	if w := c.waker.Load(); w != nil {
		w.Wake()
	}
}

// Beat returns when, on the clock of the loops, this one published last. A loop that turns does so every second.
func (c *Control) Beat() time.Duration { return time.Duration(c.beat.Load()) }

// Last returns the last publication.
func (c *Control) Last() Published {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published
}

// request sets a bit and wakes the loop, unless the bit is set already: then a wake is under way, and the loop has not
// looked yet.
func (c *Control) request(bit uint32) {
	if c.bits.Or(bit)&bit != 0 {
		return
	}
	if w := c.waker.Load(); w != nil {
		w.Wake()
	}
}

// take returns the requests made since the last call.
func (c *Control) take() uint32 {
	if c.bits.Load() == 0 {
		return 0
	}
	return c.bits.Swap(0)
}

// publish stores the figures and tells those that asked.
func (c *Control) publish(p Published) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.publishLocked(p)
}

func (c *Control) publishLocked(p Published) {
	c.beat.Store(int64(p.At))
	c.published = p
	close(c.asked)
	c.asked = make(chan struct{})
}
