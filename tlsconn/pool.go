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
	// takes about 35 KB, half of it a goroutine's stack, and up to 64 KiB more if its client sends ahead.
	MaxInFlight int

	// Timeout bounds the time of a handshake from the client's first byte on.
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
	inFlight atomic.Int64
	running  atomic.Int64  // goroutines, and calls of begin that may start one
	left     chan struct{} // holds a token when running has come down to 0
}

// NewPool returns a pool. It starts no goroutine before the first handshake.
func NewPool(o PoolOptions) *Pool {
	if o.Certificates == nil || o.Workers < 1 || o.MaxInFlight < 1 || o.Timeout <= 0 {
		panic(fmt.Sprintf("BUG: bad PoolOptions: %+v", o))
	}
	return &Pool{opt: o, workers: make(chan struct{}, o.Workers), closing: make(chan struct{}),
		left: make(chan struct{}, 1)}
}

// InFlight returns how many handshakes have begun and not ended, those of closed connections included.
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

// prepare returns a handshake that has a place in the pool.
func (p *Pool) prepare(h Handle, notify func(Handle), first []byte) (*handshake, error) {
	select {
	case <-p.closing:
		return nil, ErrClosed
	default:
	}
	if !p.admit() {
		return nil, ErrPoolFull
	}
	hs := newHandshake(p, h, notify)
	if err := hs.pipe.feed(first); err != nil {
		p.inFlight.Add(-1)
		return nil, err
	}
	return hs, nil
}

// admit takes one of the MaxInFlight places, if there is one.
func (p *Pool) admit() bool {
	for {
		n := p.inFlight.Load()
		if n >= int64(p.opt.MaxInFlight) {
			return false
		}
		if p.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
