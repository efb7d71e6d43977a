package main

// This file owns one run: the honest clients alone, then the same clients beside the attackers of one attack.

import (
	"context"
	"fmt"
	"os"
	"time"
)

// server is the tracker under attack, as a run sees it.
type server interface {
	clientAddress() string
	metricsAddress() string
	resident() int    // bytes
	descriptors() int // that are open
	alive() bool
	signal(os.Signal)
}

// Parts of a run that are not measured: honest clients get to know each other, and the two measured phases are kept
// apart.
const (
	warmTime = 500 * time.Millisecond
	gapTime  = 300 * time.Millisecond
)

// shortestCalm is the least time in which honest clients are measured without the attack. Otherwise it is half of that
// with the attack.
const shortestCalm = time.Second

// calmTime is how long honest clients are measured without an attack, and attackTime with it.
func (h *harness) calmTime() time.Duration { return max(shortestCalm, h.seconds/2) }

func (h *harness) attackTime(a *attack) time.Duration {
	return max(h.seconds, stretched(a.spread, h.scale)+h.seconds/2)
}

// aroundRun is about the time that a run takes besides: tracker and attackers start and end.
const aroundRun = 2 * time.Second

// planned is about the time that a run takes.
func (h *harness) planned(a *attack) time.Duration {
	return warmTime + h.calmTime() + gapTime + h.attackTime(a) + aroundRun
}

// run plays one attack against a server and returns its row.
func (h *harness) run(ctx context.Context, a *attack, secure bool, srv server) (*row, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &row{Attack: a.name, About: a.about, Transport: transport(secure), Addresses: a.addresses(h.scale)}
	if a.life != nil {
		r.Connections = scaled(a.connections, h.scale)
	}
	c := newCrowd(newDialer(srv.clientAddress(), secure))
	g := watch(ctx, srv, &c.phase)
	c.gather(ctx, a)
	pause(ctx, warmTime)
	c.phase.Store(int32(calm))
	c.clients.Go(func() { c.sendNewcomers(ctx) })
	pause(ctx, h.calmTime())
	c.phase.Store(int32(warm))
	pause(ctx, gapTime)
	c.phase.Store(int32(attacked))
	end, err := h.begin(ctx, a, secure, srv, c)
	if err != nil {
		return nil, err
	}
	pause(ctx, h.attackTime(a))
	c.finish()
	cost, took, err := end()
	r.Alive = srv.alive()
	cancel()
	c.clients.Wait()
	<-g.done
	if err != nil {
		return nil, err
	}
	r.Seconds, r.Opened, r.Entered, r.Refused = took.Seconds(), cost.Opened, cost.Entered, cost.Refused
	r.SentPerSecond = float64(cost.Sent) / took.Seconds()
	r.Calm, r.Attacked, r.Wrong = c.ledger.of(calm), c.ledger.of(attacked), c.ledger.wrongs
	r.Residents = a.crowdSize()
	r.MemoryBefore, r.MemoryPeak = g.memory[calm], g.memory[attacked]
	r.DescriptorsBefore, r.DescriptorsPeak = g.files[calm], g.files[attacked]
	r.Misses = r.judge(a.bounds)
	return r, nil
}

// transport returns the name of a transport.
func transport(secure bool) string {
	if secure {
		return "wss"
	}
	return "ws"
}

// pause waits for a while, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// begin begins the attack, and waits until it has begun. The returned function ends it.
func (h *harness) begin(ctx context.Context, a *attack, secure bool, srv server, c *crowd) (
	func() (spent, time.Duration, error), error,
) {
	for i := range a.twins {
		c.pair(ctx, i)
	}
	for i := range a.movers {
		c.clients.Go(func() { c.move(ctx, i) })
	}
	if a.disturb != nil {
		c.clients.Go(func() { a.disturb(ctx, srv) })
	}
	if a.life == nil {
		began := time.Now()
		return func() (spent, time.Duration, error) { return spent{}, time.Since(began), nil }, nil
	}
	o := order{Attack: a.name, Target: srv.clientAddress(), Metrics: srv.metricsAddress(), TLS: secure, Scale: h.scale}
	process, err := startAttackers(o, h.shards)
	if err != nil {
		return nil, err
	}
	process.wait(ctx)
	return process.stop, nil
}

// gauge holds the largest memory and the most descriptors of each phase.
type gauge struct {
	memory, files [phases]int
	done          chan struct{} // closed when nobody reads any more
}

// Periods of the readings.
const (
	memoryPeriod = 20 * time.Millisecond
	filesEvery   = 10 // one reading of descriptors for so many of memory: there may be thousands to list
)

// watch reads the server's memory and descriptors until the context ends.
func watch(ctx context.Context, srv server, now interface{ Load() int32 }) *gauge {
	g := &gauge{done: make(chan struct{})}
	go func() {
		defer close(g.done)
		tick := time.NewTicker(memoryPeriod)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			p := now.Load()
			g.memory[p] = max(g.memory[p], srv.resident())
			if n%filesEvery == 0 {
				g.files[p] = max(g.files[p], srv.descriptors())
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return g
}

// row is the result of one run.
type row struct {
	Attack, About, Transport, Addresses string

	Connections   int     // of the attackers at a time
	Seconds       float64 // from the begin of the attack to its end
	SentPerSecond float64 // bytes that the attackers gave to TCP
	Opened        int64   // TCP connections of the attackers
	Entered       int64   // of them upgraded

	Refused           int64 // of their attempts, and of their messages
	Residents         int   // honest clients that announce
	Calm, Attacked    counts
	MemoryBefore      int // resident bytes of the tracker, the peak without attack
	MemoryPeak        int // the peak with the attack
	DescriptorsBefore int
	DescriptorsPeak   int
	Wrong             int // messages that honest clients did not expect
	Alive             bool
	Misses            []string // targets that were missed; none: the row is good
}

// Targets of the median of announce to reply: at most medianFactor times that without the attack, or medianSlack more.
const (
	medianFactor = 2
	medianSlack  = 5 * time.Millisecond
)

// The memory of TLS comes on top of a row's bound. Handshakes leave garbage, whose amount the collector decides; each
// connection has a handshake, and later a record that has arrived in part (RFC 8446 §5.2: up to 16 KiB).
const (
	tlsGarbage = 24 << 20
	tlsMemory  = 64 << 10 // of each connection
)

// judge returns the targets that a row misses, one sentence each.
func (r *row) judge(b bounds) (misses []string) {
	miss := func(format string, args ...any) { misses = append(misses, fmt.Sprintf(format, args...)) }
	c, a := &r.Calm, &r.Attacked
	if c.Served < c.Exchanges || c.Entered < c.Newcomers || c.Lost > 0 || c.Exchanges == 0 || a.Exchanges == 0 {
		miss("not sound: without the attack %d of %d exchanges, %d of %d newcomers, %d lost", c.Served, c.Exchanges,
			c.Entered, c.Newcomers, c.Lost)
	}
	if c.Unfinished+a.Unfinished > 0 {
		miss("not sound: nobody saw the end of %d exchanges", c.Unfinished+a.Unfinished)
	}
	if !r.Alive {
		miss("the tracker has ended")
	}
	if r.Wrong > 0 {
		miss("%d unexpected messages", r.Wrong)
	}
	if a.Served < a.Exchanges {
		miss("%d of %d exchanges failed", a.Exchanges-a.Served, a.Exchanges)
	}
	if a.Entered < a.Newcomers {
		miss("%d of %d newcomers did not get in", a.Newcomers-a.Entered, a.Newcomers)
	}
	if a.Lost > 0 {
		miss("%d honest connections were lost", a.Lost)
	}
	if limit := max(medianFactor*c.P50, c.P50+medianSlack); a.P50 > limit && !b.anyMedian {
		miss("the median is over %s ms", milliseconds(limit))
	}
	most := b.memory << 20
	if r.Transport == transport(true) {
		most += tlsGarbage + r.Connections*tlsMemory
	}
	if grown := r.MemoryPeak - r.MemoryBefore; grown > most {
		miss("memory grew by more than %d MiB", most>>20)
	}
	if grown := r.DescriptorsPeak - r.DescriptorsBefore; b.descriptors > 0 && grown > b.descriptors {
		miss("open descriptors grew by %d, not at most %d", grown, b.descriptors)
	}
	if most := float64(b.junkRate) + float64(b.junkBurst)/r.Seconds; b.junkRate > 0 && r.junkRate() > most {
		miss("each honest client got more than %.0f offers of attackers a second", most)
	}
	if b.allServed && (r.Refused > 0 || r.Entered < int64(r.Connections)) {
		miss("%d of %d good clients got in, %d times one was refused", r.Entered, r.Connections, r.Refused)
	}
	return misses
}

// junkRate returns how many offers of attackers each honest client that stays got in a second.
func (r *row) junkRate() float64 {
	return float64(r.Attacked.Junk) / float64(r.Residents+idlers) / r.Seconds
}
