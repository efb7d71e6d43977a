package tlsconn

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// PoolOptions bound the handshakes of a process.
type PoolOptions struct {
	Certificates *Certificates

	// Workers is how many handshakes compute at the same time. Those that wait for their client do not count.
	Workers int

	// MaxInFlight is how many handshakes may have begun and not ended, in all engines together. One takes 20 to 60 KB.
	MaxInFlight int

	// Timeout is how long a handshake may take from the client's first byte on.
	Timeout time.Duration
}

// Errors that end a handshake, apart from what crypto/tls says.
var (
	ErrNotTLS   = errors.New("the client's first bytes are not TLS")
	ErrPoolFull = errors.New("too many TLS handshakes at the same time")
	ErrTimeout  = errors.New("the TLS handshake took too long")
	ErrBacklog  = errors.New("the client sent too much before the TLS handshake was complete")
	ErrClosed   = errors.New("the TLS connection was closed")
)

// Pool runs the handshakes of all engines in helper goroutines: one for each handshake in flight, of which a bounded
// number computes at a time and the others wait for their client.
type Pool struct {
	opt     PoolOptions
	workers chan struct{} // holds one token for each handshake that computes

	mu       sync.Mutex
	inFlight map[*handshake]struct{}
	closed   bool
	all      sync.WaitGroup
}

// NewPool returns a pool. It starts nothing until there is a handshake.
func NewPool(o PoolOptions) *Pool {
	if o.Certificates == nil || o.Workers < 1 || o.MaxInFlight < 1 || o.Timeout <= 0 {
		panic(fmt.Sprintf("BUG: bad PoolOptions: %+v", o))
	}
	return &Pool{opt: o, workers: make(chan struct{}, o.Workers), inFlight: make(map[*handshake]struct{})}
}

// InFlight returns how many handshakes have begun and not ended, those in engines of closed connections included.
func (p *Pool) InFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.inFlight)
}

// Close ends all handshakes and waits until their goroutines are gone. Handshakes begun afterwards fail with [ErrClosed].
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for hs := range p.inFlight {
		hs.pipe.fail(ErrClosed)
	}
	p.mu.Unlock()
	p.all.Wait()
}

// begin starts a handshake, of which first are the first bytes.
func (p *Pool) begin(h Handle, notify func(Handle), first []byte) (*handshake, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if len(p.inFlight) >= p.opt.MaxInFlight {
		return nil, ErrPoolFull
	}
	hs := newHandshake(p, h, notify)
	if err := hs.pipe.feed(first); err != nil {
		return nil, err
	}
	p.inFlight[hs] = struct{}{}
	hs.timer = time.AfterFunc(p.opt.Timeout, func() { hs.pipe.fail(ErrTimeout) })
	p.all.Add(1)
	go hs.run()
	return hs, nil
}

// end takes a handshake out of the pool: another may begin.
func (p *Pool) end(hs *handshake) {
	hs.timer.Stop()
	p.mu.Lock()
	delete(p.inFlight, hs)
	p.mu.Unlock()
}
