package shard

import (
	"fmt"
	"time"

	"millrace/cmd/internal/stats"
	"millrace/ring"
	"millrace/ring/host"
)

// This file owns the loop around Step: it takes the orders of the process, turns the shard and waits for events.

// publishPeriod is how often a loop publishes by itself.
const publishPeriod = time.Second

// loop is the state of Run between turns.
type loop struct {
	ring    *ring.Ring
	shard   *Shard
	control *Control
	pace    ring.Pacer
	stats   LoopStats
	nextPub time.Duration
	events  []ring.Event
	ops     []ring.Op
	listens []ListenOrder // to be carried out, in this order
}

// Run drives a shard on its ring until a stop is complete or an abort is asked for. The caller has locked its goroutine
// to the thread that opened the ring, and closes the ring afterwards, when no other loop can wake it any more. clock is
// monotonic. maxDelay bounds how long a loop short of CPU waits for events to gather (see ring.Pacer); 0 never waits for
// more.
func Run(r *ring.Ring, s *Shard, c *Control, clock func() time.Duration, maxDelay time.Duration) error {
	var demand host.Demand
	demand.Open()
	defer demand.Close()
	l := &loop{ring: r, shard: s, control: c, pace: ring.Pacer{Window: maxDelay, Demand: demand.Read}}
	c.Attach(r.Waker())
	defer func() {
		c.Listen(l.listens) // the end closes them
		s.Close()
		c.end(s, l.figures(clock(), true))
	}()
	for {
		now := clock()
		bits := c.take()
		if bits&bitAbort != 0 {
			return nil
		}
		l.round(bits, now, clock)
		if bits&bitPublish != 0 || now >= l.nextPub {
			c.publish(l.figures(now, false))
		}
		// Other rings may need long for their last clients. New ones of a shared socket would wait for this ring meanwhile.
		if s.Stopped() && !r.Accepting() {
			return nil
		}
		if err := l.wait(clock); err != nil {
			return fmt.Errorf("shard %d: %w", s.opt.ID, err)
		}
	}
}

// round carries out orders and runs a Step. A job finds a shard that has seen all that its ring has reported.
func (l *loop) round(bits uint32, now time.Duration, clock func() time.Duration) {
	if bits&bitDo != 0 {
		l.turn(now, clock)
		l.events = l.events[:0]
	}
	l.obey(bits)
	l.turn(now, clock)
}

// obey carries out the orders of the rest of the process.
func (l *loop) obey(bits uint32) {
	if bits&bitDrain != 0 {
		l.shard.Drain(time.Duration(l.control.drain.Load()))
	}
	if bits&bitStop != 0 {
		l.shard.Stop()
	}
	if bits&bitChange != 0 {
		l.shard.Change(*l.control.opt.Load())
	}
	if bits&bitAccess != 0 {
		l.shard.SetAccess(l.control.rule.Load())
	}
	if bits&bitCertificate != 0 {
		l.shard.SetCertificate(l.control.cert.Load())
	}
	if bits&bitTrace != 0 {
		l.control.answerTraces(l.shard)
	}
	if bits&bitLook != 0 {
		for _, p := range l.control.takeLooks() {
			l.shard.Look(p.Look, p.done)
		}
	}
	if bits&bitDo != 0 {
		l.control.doJobs(l.shard, l.ring)
	}
	if bits&bitListen != 0 {
		l.listens = append(l.listens, l.control.takeListens()...)
	}
	l.listen()
}

// listen carries out orders as far as it can: a socket that has ended keeps its number until its last accept has come back,
// and the next one waits for it.
func (l *loop) listen() {
	for len(l.listens) > 0 {
		if o := l.listens[0]; o.Listener == nil {
			l.ring.Unlisten(o.Number)
		} else if !l.ring.Listen(o.Number, o.Listener) {
			return
		}
		l.listens = l.listens[1:]
	}
	l.listens = nil
}

// turn runs one Step and hands its ops to the ring.
func (l *loop) turn(now time.Duration, clock func() time.Duration) {
	l.shard.SetLoad(l.pace.Load())
	l.ops = l.shard.Step(now, l.events, l.ops[:0])
	l.ring.Submit(l.ops)
	clear(l.ops) // they point into buffers that change hands
	took := clock() - now
	l.shard.stats.countReplies(now + took)
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
	var from time.Duration
	if w.Min > 1 {
		from = clock()
	}
	l.events, err = l.ring.Wait(l.events[:0], w)
	l.shard.AwakeAgain()
	now := clock()
	l.pace.Saw(len(l.events), now)
	if w.Min > 1 {
		l.shard.stats.replies.waited = min(now-from, w.Max)
	}
	return err
}

// figures returns a copy of the figures to publish.
func (l *loop) figures(now time.Duration, ended bool) Published {
	l.stats.Needed = l.pace.Demand()
	p := Published{
		Shard: l.shard.Snapshot(), Ring: l.ring.Stats(), Loop: l.stats, At: now, Ended: ended,
		Census: l.shard.Census(), Leaving: l.shard.Leaving(),
	}
	if base := l.control.base.Load(); base != nil {
		stats.Add(&p.Shard, &base.Shard)
		stats.Add(&p.Ring, &base.Ring)
		stats.Add(&p.Loop, &base.Loop)
	}
	l.stats.Longest = 0
	l.nextPub = now + publishPeriod
	return p
}
