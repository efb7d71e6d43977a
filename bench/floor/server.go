package floor

// This file is the thread of the floor server: its ring, its start and its stop.

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"millrace/ring"
	"millrace/ring/host"
	"millrace/ring/pool"
)

// Options say where and how a floor server runs.
type Options struct {
	Address        string        // "127.0.0.1:3001"; port 0 takes a free one
	MaxConnections int           // 0: as many as the limit of file descriptors allows, at most 1 << 18
	Delay          time.Duration // longest batching window; 0: DefaultDelay, negative: none
	Fault          Fault         // for tests
}

// DefaultDelay is the batching window that the tracker has by default (max_batch_delay_us).
const DefaultDelay = 2 * time.Millisecond

// The tracker's defaults: see [io_uring] in config/default.toml.
const (
	entries           = 4096
	receiveBuffers    = 512
	receiveBufferSize = 8192
	sendMemory        = 8 << 20
	partialMemory     = 32 << 20
	tick              = 500 * time.Millisecond

	mostConnections = 1 << 18
	filesKept       = 64 // descriptors that are not connections
)

// Server is a running floor server: one thread with one ring.
type Server struct {
	addr  netip.AddrPort
	floor *Floor
	waker *ring.Waker
	stop  atomic.Bool
	ended chan struct{}
	stats Stats // only the loop's until ended is closed
	err   error
}

// Start starts a server, which runs until Stop. Its thread waits in the kernel without giving its P back, so GOMAXPROCS
// must be at least one more than the threads of this kind in the process (see ring/uring_wait.go).
func Start(o Options) (*Server, error) {
	limit := int(min(host.RaiseFileLimit(), mostConnections)) - filesKept
	if o.MaxConnections == 0 {
		o.MaxConnections = max(limit, 1)
	}
	if o.MaxConnections > limit {
		return nil, fmt.Errorf("cannot hold %d connections: the limit of open files leaves room for %d; raise it with "+
			"ulimit -n", o.MaxConnections, limit)
	}
	switch {
	case o.Delay == 0:
		o.Delay = DefaultDelay
	case o.Delay < 0:
		o.Delay = 0
	}
	plan, err := choose(o)
	if err != nil {
		return nil, err
	}
	listeners, err := host.Listen(host.ListenOptions{Address: o.Address})
	if err != nil {
		return nil, err
	}
	s := &Server{addr: listeners[0].Addr(), ended: make(chan struct{})}
	opened := make(chan error)
	go s.run(plan, listeners[0], o, opened)
	if err := <-opened; err != nil {
		listeners[0].Close()
		return nil, err
	}
	return s, nil
}

// choose makes the plan that the tracker makes with its default configuration.
func choose(o Options) (ring.Plan, error) {
	plan, err := ring.Choose(ring.Probe(), ring.Options{
		Entries:           entries,
		ReceiveBuffers:    receiveBuffers,
		ReceiveBufferSize: receiveBufferSize,
		SendMemory:        sendMemory,
		MaxConnections:    o.MaxConnections,
		Tick:              tick,
		MaxBatchDelay:     o.Delay,
	})
	if err != nil {
		return plan, err
	}
	if soft, unlimited := host.MemlockLimit(); !unlimited {
		plan, _, err = ring.FitProcess(plan, soft, 1)
	}
	return plan, err
}

// Addr returns the address on which the server listens, with its real port.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Dropped returns how many offers and answers were not relayed so far.
func (s *Server) Dropped() (offers, answers uint64) { return s.floor.Dropped() }

// Done is closed when the server has ended: by Stop, or because its ring has failed.
func (s *Server) Done() <-chan struct{} { return s.ended }

// Stop resets all connections, ends the server and returns its counts. It may be called once.
func (s *Server) Stop() (Stats, error) {
	s.stop.Store(true)
	s.waker.Wake()
	<-s.ended
	return s.stats, s.err
}

// run is the server's thread.
func (s *Server) run(plan ring.Plan, l *host.Listener, o Options, opened chan<- error) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	r, err := ring.OpenWithin(plan, l)
	if err != nil {
		opened <- err
		return
	}
	defer close(s.ended)
	s.waker = r.Waker()
	partials, err := pool.Map(partialMemory)
	if err != nil {
		opened <- errors.Join(err, r.Close())
		return
	}
	f := New(r.Pool(), partials, plan.MaxConnections, o.Fault)
	s.floor = f
	opened <- nil
	s.err = errors.Join(s.loop(r, f, plan.MaxBatchDelay, o.Fault), r.Close(), partials.Unmap())
	s.stats = f.Stats()
}

// loop turns until Stop, as the tracker's does: see cmd/internal/shard/run.go.
func (s *Server) loop(r *ring.Ring, f *Floor, maxDelay time.Duration, fault Fault) error {
	start := time.Now()
	var demand host.Demand
	demand.Open()
	defer demand.Close()
	pace := ring.Pacer{Window: maxDelay, Demand: demand.Read}
	stall := fault.Stall
	var events []ring.Event
	var ops []ring.Op
	for !s.stop.Load() {
		var err error
		if events, err = r.Wait(events[:0], pace.Next()); err != nil {
			return err
		}
		pace.Saw(len(events), time.Since(start))
		ops = f.Turn(events, ops[:0])
		r.Submit(ops)
		if stall > 0 && f.stats.Announces >= fault.StallAfter {
			time.Sleep(stall)
			stall = 0
		}
	}
	return nil
}
