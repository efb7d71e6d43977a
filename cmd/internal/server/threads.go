package server

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring"
	"millrace/ring/host"
	"millrace/ring/pool"
	"millrace/wsproto"
)

// This file owns the threads of the shards: how they open their rings, all before any loop runs, and what each loop is given.

// thread is one shard's way from nothing to its loop.
type thread struct {
	server    *Server
	id        int
	cfg       *config.Config
	listeners []*host.Listener
	wiring    shard.Wiring
	histories []byte // of compression; they take no memory until they are used
	control   *shard.Control
	opened    chan<- openResult
	proceed   <-chan []*ring.Ring // all rings, or closed: give up
	serving   *sync.WaitGroup     // threads whose shard is not complete yet
}

// openResult is a thread's ring, or why it has none.
type openResult struct {
	id   int
	ring *ring.Ring
	err  error
}

// maxAddresses bounds the table of client addresses: 17 MiB.
const maxAddresses = 1 << 18

// startThreads opens all rings, each on its own thread, and lets the loops run when all are open.
func (s *Server) startThreads(cfg *config.Config) error {
	n := s.setup.shards
	wirings := s.wire(n, cfg.IOUring.MailboxSize)
	opened := make(chan openResult, n)
	proceed := make(chan []*ring.Ring)
	var serving sync.WaitGroup
	for id, c := range s.controls {
		s.loops.Add(1)
		s.threads.Add(1)
		serving.Add(1)
		t := &thread{server: s, id: id, cfg: cfg, listeners: s.listening.ofShard(id), wiring: wirings[id], control: c,
			opened: opened, proceed: proceed, serving: &serving}
		go t.run()
	}
	rings := make([]*ring.Ring, n)
	var errs []error
	for range n {
		r := <-opened
		rings[r.id] = r.ring
		if r.err != nil {
			errs = append(errs, r.err)
		}
	}
	if len(errs) > 0 {
		close(proceed)
		s.threads.Wait()
		return errs[0] // the others failed for the same reason
	}
	s.noteLocked(rings)
	// The rings and the memory that they have locked belong to root. Nothing has been submitted to them yet: a request
	// carries the rights of the moment at which it was made.
	err := s.user.drop()
	if err == nil && s.tls != nil {
		s.tls.ports = acmePorts(&s.listening, cfg.TLS.ACMEHTTPPort)
		err = s.tls.openACME(s.tls.ports, keyExchange(cfg))
	}
	if err == nil && s.inherits != nil {
		err = s.takeState(s.inherits)
	}
	if err == nil && s.bridge != nil {
		err = s.newCore(s.bridge, cfg, n)
	}
	if err != nil {
		close(proceed)
		s.threads.Wait()
		return err
	}
	limits := guardLimits(&cfg.Limits)
	s.addresses = limits.Addresses(min(s.setup.connsPerShard*n, maxAddresses), s.secrets.source)
	for range n {
		proceed <- rings
	}
	serving.Wait()
	if s.inherits != nil {
		if err := s.inherit(s.inherits); err != nil {
			return err
		}
	}
	s.startBridge()
	return nil
}

// wire makes the mailboxes between the shards, and those of the bridge.
func (s *Server) wire(n, size int) (wirings []shard.Wiring) {
	if s.bridge == nil {
		return shard.Wire(n, size)
	}
	wirings, s.bridge.boxes = shard.WireBridge(n, size, s.bridge.wakeUp)
	return wirings
}

// run is the life of a shard's thread.
func (t *thread) run() {
	s := t.server
	defer s.threads.Done()
	runtime.LockOSThread() // for ever: a ring belongs to the thread that opened it
	r, asm, err := t.open()
	t.opened <- openResult{t.id, r, err}
	rings, ok := <-t.proceed
	if ok {
		sh := s.loop(t, r, asm, rings)
		s.loops.Wait() // another loop may still wake this ring
		r.Submit(sh.Abandon(nil))
	} else {
		s.loops.Done()
	}
	if r != nil {
		if err := r.Close(); err != nil {
			s.failed(fmt.Errorf("cannot close the ring of shard %d: %w", t.id, err))
		}
	}
	if asm != nil {
		asm.Unmap()
	}
	_ = pool.Release(t.histories) // it was reserved, so this cannot fail
}

// open pins the thread, maps the assembly memory and opens the ring.
func (t *thread) open() (*ring.Ring, *pool.Pool, error) {
	set := &t.server.setup
	if set.cpus != nil {
		cpu := set.cpus[t.id]
		if err := host.PinThread(cpu); err != nil {
			return nil, nil, fmt.Errorf("cannot pin shard %d to CPU %d: %w; set cpu_pinning.active = false", t.id, cpu, err)
		}
	}
	asm, err := pool.Map(t.cfg.IOUring.AssemblyMemory)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot map io_uring.assembly_memory of shard %d: %w", t.id, err)
	}
	if t.histories, err = pool.Reserve(t.cfg.Network.CompressionMemory); err != nil {
		asm.Unmap()
		return nil, nil, fmt.Errorf("cannot get network.compression_memory of shard %d: %w", t.id, err)
	}
	plan := set.plan
	plan.HoldAccept = t.server.inherits != nil
	r, err := ring.OpenWithin(plan, t.listeners...)
	if err != nil {
		asm.Unmap()
		return nil, nil, err
	}
	return r, asm, nil
}

// loop runs the shard until it stops or fails. A shard that fails ends the others too.
func (s *Server) loop(t *thread, r *ring.Ring, asm *pool.Pool, rings []*ring.Ring) *shard.Shard {
	defer s.loops.Done()
	r.SetPeers(rings)
	o := s.shardOptions(t.cfg, t.id, s.secrets, s.origins, &s.listening)
	o.DeflateMemory = t.histories
	if s.inherits != nil {
		o.Frozen, o.Awake = true, s.inherits.awake()
	}
	sh := shard.New(o, r.Pool(), asm, t.wiring)
	sh.SetAccess(s.rule)
	t.serving.Done()
	if err := shard.Run(r, sh, t.control, s.clock, s.setup.plan.MaxBatchDelay); err != nil {
		s.failed(err)
		for _, c := range s.controls {
			c.Abort()
		}
	}
	return sh
}

// shardOptions returns all options of a shard. key counts at its start only.
func (s *Server) shardOptions(cfg *config.Config, id int, key secrets, pages *wsproto.Origins, l *listenTable) shard.Options {
	o := shardOptions(cfg, id, s.setup.shards, s.setup.connsPerShard, key)
	if cfg.Network.EnableHTTPHealthChecks {
		o.Health = s.health
	}
	if s.tls != nil {
		o.Token = s.tls.token
	}
	if cfg.HTTP.Page || cfg.HTTP.Stats {
		o.Page = s.pages.answer
	}
	o.Addresses, o.Origins, o.Listeners = s.addresses, pages, l.door()
	o.TLS = s.tls.shardOptions(cfg, s.setup.shards)
	o.Clock = s.clock
	o.Pressure = &s.memory.level
	return o
}

// clock is the monotonic clock of all loops.
func (s *Server) clock() time.Duration { return time.Since(s.start) }
