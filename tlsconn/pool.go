package tlsconn

// This file owns the pool: how many handshakes may be in flight, how many compute at a time, and how long one may take.

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// PoolOptions bound the handshakes of a process.
type PoolOptions struct {
	Certificates *Certificates

	// Workers bounds the handshakes that compute at the same time. Those that wait for their client do not count. 1 at
	// least.
	Workers int

	// MaxInFlight bounds the handshakes that have begun and not ended, in all engines together. It is 1 at least. One
	// takes about 35 KB, half of it a goroutine's stack, and up to 64 KiB more if its client sends ahead. One more takes
	// the place of the one that has waited longest for its client, which fails with [ErrPoolFull]. If none waits, the
	// newcomer fails with it.
	MaxInFlight int

	// FirstFlight bounds the time that a client takes to answer a flight of ours. The time from its first byte to a whole
	// ClientHello is for the caller to bound: see [Conn.Waiting].
	FirstFlight time.Duration

	// Timeout bounds the time of a handshake from the whole ClientHello on.
	Timeout time.Duration
}

// Pool runs the handshakes of all engines in helper goroutines, one for each handshake in flight. A bounded number of
// them computes at a time; the others wait for their turn or their client. Event loops share the pool without a lock: a
// helper that holds a lock and is descheduled, as in a flood of handshakes, would hold them up.
type Pool struct {
	opt      PoolOptions
	workers  chan struct{} // holds one token for each handshake that computes
	closing  chan struct{} // closed by Close
	once     sync.Once
	places   []place
	inFlight atomic.Int64  // places that are taken
	next     atomic.Uint32 // where the search for a free place begins
	ticket   atomic.Int64  // of the last wait
	running  atomic.Int64  // goroutines, and calls of begin that may start one
	left     chan struct{} // holds a token when running has come down to 0
}

// NewPool returns a pool. It starts no goroutine before the first handshake.
func NewPool(o PoolOptions) *Pool {
	if o.Certificates == nil || o.Workers < 1 || o.MaxInFlight < 1 || o.FirstFlight <= 0 || o.Timeout <= 0 {
		panic(fmt.Sprintf("BUG: bad PoolOptions: %+v", o))
	}
	p := &Pool{opt: o, workers: make(chan struct{}, o.Workers), closing: make(chan struct{}),
		left: make(chan struct{}, 1), places: make([]place, o.MaxInFlight)}
	for i := range p.places {
		p.places[i].pool = p
	}
	return p
}

// InFlight returns how many handshakes have places, those of closed connections included.
func (p *Pool) InFlight() int { return int(p.inFlight.Load()) }

// Close ends all handshakes with [ErrClosed] and waits until their goroutines are gone. Later handshakes fail with the
// same error. It may be called several times, from any goroutine.
func (p *Pool) Close() {
	p.once.Do(func() { close(p.closing) })
	for p.running.Load() > 0 {
		<-p.left
	}
	p.signalLeft() // for another caller of Close
}

// leave is called by each goroutine at its end.
func (p *Pool) leave() {
	if p.running.Add(-1) == 0 {
		p.signalLeft()
	}
}

func (p *Pool) signalLeft() {
	select {
	case p.left <- struct{}{}:
	default:
	}
}

// begin starts a handshake with its first bytes.
func (p *Pool) begin(h Handle, notify func(Handle), first []byte) (*handshake, error) {
	p.running.Add(1) // before closing is looked at, so that Close sees it or it sees Close
	hs, err := p.prepare(h, notify, first)
	if err != nil {
		p.leave()
		return nil, err
	}
	hs.timer = time.AfterFunc(p.opt.Timeout, func() { hs.pipe.endHandshake(ErrTimeout) })
	go hs.run()
	return hs, nil
}

// await begins the time that the client has to answer our flight.
func (hs *handshake) await() {
	hs.pipe.late.Store(false)
	if hs.answer != nil {
		hs.answer.Reset(hs.pool.opt.FirstFlight)
		return
	}
	hs.answer = time.AfterFunc(hs.pool.opt.FirstFlight, func() {
		hs.pipe.late.Store(true)
		hs.pipe.rouse()
	})
}

// prepare returns a handshake that has a place in the pool.
func (p *Pool) prepare(h Handle, notify func(Handle), first []byte) (*handshake, error) {
	select {
	case <-p.closing:
		return nil, ErrClosed
	default:
	}
	hs := newHandshake(p, h, notify)
	if err := hs.pipe.feed(first); err != nil {
		return nil, err
	}
	<-hs.pipe.wake // the helper looks without being roused
	if !p.take(hs) {
		return nil, ErrPoolFull
	}
	return hs, nil
}

// place is one of the MaxInFlight places of a pool.
type place struct {
	pool   *Pool
	holder atomic.Pointer[handshake] // nil: free
	since  atomic.Int64              // the ticket of the holder's wait for its client, 0 while it does not wait
}

// wait notes that the holder waits for its client. Tickets count up, so the smallest belongs to the longest wait.
func (pl *place) wait() (ticket int64) {
	ticket = pl.pool.ticket.Add(1)
	pl.since.Store(ticket)
	return ticket
}

// hold makes hs the holder.
func (pl *place) hold(hs *handshake) {
	hs.place, hs.pipe.place = pl, pl
	pl.holder.Store(hs)
}

// take gives hs a place: a free one, else that of another handshake. The places that are free outnumber those who have
// counted themselves in and look for one.
func (p *Pool) take(hs *handshake) bool {
	for {
		n := p.inFlight.Load()
		if n >= int64(p.opt.MaxInFlight) {
			return p.supplant(hs)
		}
		if p.inFlight.CompareAndSwap(n, n+1) {
			break
		}
	}
	for i := p.next.Add(1); ; i++ {
		pl := &p.places[i%uint32(len(p.places))]
		hs.place, hs.pipe.place = pl, pl // before others see it there
		if pl.holder.CompareAndSwap(nil, hs) {
			return true
		}
	}
}

// supplant gives hs the place of the handshake that has waited longest for its client. Those that were given up before
// and have not ended yet are bounded as well.
func (p *Pool) supplant(hs *handshake) bool {
	if p.running.Load() > 2*int64(p.opt.MaxInFlight) {
		return false
	}
	for range maxProbes {
		var oldest *place
		var since int64
		for i := range p.places {
			if t := p.places[i].since.Load(); t != 0 && (oldest == nil || t < since) {
				oldest, since = &p.places[i], t
			}
		}
		if oldest == nil {
			return false
		}
		if oldest.since.CompareAndSwap(since, 0) { // from now on nobody else changes the holder
			old := oldest.holder.Load()
			oldest.hold(hs)
			old.pipe.endHandshake(ErrPoolFull)
			return true
		}
	}
	return false
}

// giveBack stops the timers of a handshake that has ended, and frees its place unless another has that.
func (p *Pool) giveBack(hs *handshake) {
	hs.timer.Stop()
	if hs.answer != nil {
		hs.answer.Stop()
	}
	if !hs.pipe.supplanted {
		hs.place.holder.Store(nil)
		p.inFlight.Add(-1)
	}
}
