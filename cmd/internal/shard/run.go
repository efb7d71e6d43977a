package shard

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/shard/torrents"
	"millrace/ring"
	"millrace/swarm"
	"millrace/tlsconn"
)

// Control is how the rest of the process speaks to a running shard: a word of requests that the loop looks at in every
// turn, and the counters that it publishes.
type Control struct {
	waker atomic.Pointer[ring.Waker]
	bits  atomic.Uint32
	rule  atomic.Pointer[swarm.Access]
	cert  atomic.Uint32 // generation of the certificate in use
	beat  atomic.Int64  // nanoseconds on the clock of the loops at which it published last

	readyMu sync.Mutex
	ready   []tlsconn.Handle // handshakes to look at, at most a few for each in flight

	mu        sync.Mutex
	published Published
	asked     chan struct{} // closed and replaced at each publication
}

// Published is what a shard last said about itself.
type Published struct {
	Shard Stats
	Ring  ring.Stats
	Loop  LoopStats
	At    time.Duration // on the clock of the loop
	Ended bool          // the loop has returned; these are its last figures

	Census *torrents.Census // of the last whole pass over the peers, shared and not to be changed; nil: there is none
}

// LoopStats are counters of the loop itself.
type LoopStats struct {
	Turns   uint64 // Steps
	Batched uint64 // waits with a batching window
	Busy    time.Duration
	Longest time.Duration // longest Step since the last publication
}

const (
	bitStop uint32 = 1 << iota
	bitAbort
	bitPublish
	bitAccess
	bitCertificate
	bitHandshakes
)

// NewControl returns a control word for one shard.
func NewControl() *Control { return &Control{asked: make(chan struct{})} }

// Attach says how the shard is woken. Requests made before are seen in the first turn.
func (c *Control) Attach(w *ring.Waker) { c.waker.Store(w) }

// Stop asks for a graceful stop.
func (c *Control) Stop() { c.request(bitStop) }

// Abort asks the loop to return now, whatever is open.
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

// HandshakeReady queues a TLS connection to be looked at in the next turn. It does not block.
func (c *Control) HandshakeReady(h tlsconn.Handle) {
	c.readyMu.Lock()
	c.ready = append(c.ready, h)
	c.readyMu.Unlock()
	c.request(bitHandshakes)
}

// takeReady moves the queue to the end of all.
func (c *Control) takeReady(all []tlsconn.Handle) []tlsconn.Handle {
	c.readyMu.Lock()
	defer c.readyMu.Unlock()
	all = append(all, c.ready...)
	c.ready = c.ready[:0]
	return all
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

// Beat returns when, on the clock of the loops, this one published last. A loop that turns does so every second.
func (c *Control) Beat() time.Duration { return time.Duration(c.beat.Load()) }

// Last returns what was last published.
func (c *Control) Last() Published {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published
}

// request sets a bit and wakes the loop, unless the bit is set already: who set it wakes the loop, and that has not looked
// yet. In a storm of handshakes this saves most of the wakes, each of which is a system call.
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

// publish stores the figures and tells those who asked.
func (c *Control) publish(p Published) {
	c.beat.Store(int64(p.At))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.published = p
	close(c.asked)
	c.asked = make(chan struct{})
}

// publishPeriod is how often a loop publishes by itself.
const publishPeriod = time.Second

// loop is what Run keeps between turns.
type loop struct {
	ring    *ring.Ring
	shard   *Shard
	control *Control
	pace    ring.Pacer
	stats   LoopStats
	nextPub time.Duration
	ready   []tlsconn.Handle
	events  []ring.Event
	ops     []ring.Op
}

// Run drives a shard on its ring until a stop is complete or an abort is asked for. The caller has locked its goroutine
// to the thread that opened the ring, and closes the ring afterwards, when no other loop can wake it any more. clock is
// monotonic. maxDelay bounds how long a busy loop waits for events to gather (see ring.Pacer); 0 never waits for more.
func Run(r *ring.Ring, s *Shard, c *Control, clock func() time.Duration, maxDelay time.Duration) error {
	l := &loop{ring: r, shard: s, control: c, pace: ring.Pacer{Window: maxDelay}}
	c.Attach(r.Waker())
	defer func() { l.publish(clock(), true) }()
	for {
		now := clock()
		bits := c.take()
		if bits&bitAbort != 0 {
			return nil
		}
		l.obey(bits)
		l.turn(now, clock)
		if bits&bitPublish != 0 || now >= l.nextPub {
			l.publish(now, false)
		}
		if s.Stopped() {
			return nil
		}
		if err := l.wait(clock); err != nil {
			return fmt.Errorf("shard %d: %w", s.opt.ID, err)
		}
	}
}

// obey does what the rest of the process has asked for.
func (l *loop) obey(bits uint32) {
	if bits&bitStop != 0 {
		l.shard.Stop()
	}
	if bits&bitAccess != 0 {
		l.shard.SetAccess(l.control.rule.Load())
	}
	if bits&bitCertificate != 0 {
		l.shard.SetCertificate(l.control.cert.Load())
	}
	if bits&bitHandshakes != 0 {
		l.ready = l.control.takeReady(l.ready[:0])
		l.shard.HandshakesReady(l.ready)
	}
}

// turn runs one Step and hands its ops to the ring.
func (l *loop) turn(now time.Duration, clock func() time.Duration) {
	l.ops = l.shard.Step(now, l.events, l.ops[:0])
	l.ring.Submit(l.ops)
	clear(l.ops) // they point into buffers that change hands
	took := clock() - now
	l.stats.Turns++
	l.stats.Busy += took
	l.stats.Longest = max(l.stats.Longest, took)
}

// wait gets the next events. It blocks unless there is work left or mail to read.
func (l *loop) wait(clock func() time.Duration) error {
	w := ring.Window{}
	if !l.shard.Busy() && l.shard.PrepareToSleep() {
		w = l.pace.Next()
		if w.Min > 1 {
			l.stats.Batched++
		}
		if l.control.bits.Load() != 0 {
			w = ring.Window{}
		}
	}
	var err error
	l.events, err = l.ring.Wait(l.events[:0], w)
	l.shard.AwakeAgain()
	l.pace.Saw(len(l.events), clock())
	return err
}

// publish copies the figures out.
func (l *loop) publish(now time.Duration, ended bool) {
	l.control.publish(Published{
		Shard: l.shard.Snapshot(), Ring: l.ring.Stats(), Loop: l.stats, At: now, Ended: ended,
		Census: l.shard.Census(),
	})
	l.stats.Longest = 0
	l.nextPub = now + publishPeriod
}
