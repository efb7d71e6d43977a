package main

// This file owns the crowd: which honest clients there are, their addresses, and when they come and go.

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The load of the honest clients. An announce is due at fixed times, whether or not the tracker keeps up.
const (
	announcePeriod   = 250 * time.Millisecond
	newcomerPeriod   = 200 * time.Millisecond
	offersOfAnnounce = 5
	sdpSize          = 500
	splitEvery       = 4 // one announce of so many travels in two segments
	splitGap         = 10 * time.Millisecond
	thinkTime        = 50 * time.Millisecond // from an offer to its answer: a browser has to make a connection for it
)

// honestHash is the torrent of all honest clients. Attackers know it.
const honestHash = "honest-torrent------"

// honestID returns the peer id of a resident. Peer ids are public: offers carry them.
func honestID(resident int) string { return idOf("-HO0001-resident%04d", resident) }

// attackerPrefix begins the peer ids of attackers, so that their offers are known.
const attackerPrefix = "-AT0001-"

// honestAddress returns the address of an honest client: kind tells residents from others.
func honestAddress(kind, number int) net.IP {
	return net.IPv4(127, 1, byte(kind), byte(1+number%250))
}

// Kinds of honest clients, a part of their addresses.
const (
	resident = iota
	idler    // announces once and then stays
	newcomer // connects, makes one exchange and leaves
	mover    // changes its address while its old connection falls silent
	moved    // a mover at its new address
	twin     // has two connections
)

// crowd are the honest clients of one run.
type crowd struct {
	*dialer
	ledger   ledger
	phase    atomic.Int32 // index of the ledger's phases
	sequence atomic.Int64 // of exchanges
	clients  sync.WaitGroup
	halt     chan struct{} // closed when no more announces are due

	beginning sync.Mutex // held while an exchange begins
	halted    bool
	open      sync.WaitGroup // exchanges
}

// finish lets no more exchanges begin, and waits until all are over. None lasts longer than patience.
func (c *crowd) finish() {
	c.beginning.Lock()
	c.halted = true
	c.beginning.Unlock()
	close(c.halt)
	c.open.Wait()
}

func newCrowd(d *dialer) *crowd { return &crowd{dialer: d, halt: make(chan struct{})} }

func (c *crowd) person(id string, source net.IP) *person {
	return &person{crowd: c, id: id, source: source, running: make(map[string]*exchange)}
}

// crowdSize returns how many honest clients stay and announce.
func (a *attack) crowdSize() int {
	if a.residents > 0 {
		return a.residents
	}
	return defaultResidents
}

// gather starts the honest clients that stay, and waits until each has connected or failed.
func (c *crowd) gather(ctx context.Context, a *attack) {
	var ready sync.WaitGroup
	n := a.crowdSize()
	ready.Add(n + idlers)
	for i := range n {
		p := c.person(honestID(i), honestAddress(resident, i))
		offset := announcePeriod * time.Duration(i) / time.Duration(n)
		c.clients.Go(func() { p.live(ctx, offset, announcePeriod, ready.Done) })
	}
	for i := range idlers {
		p := c.person(idOf("-HO0001-idler%04d", i), honestAddress(idler, i))
		c.clients.Go(func() { p.live(ctx, 0, 0, ready.Done) })
	}
	ready.Wait()
}

// sendNewcomers lets newcomers come until the crowd is halted.
func (c *crowd) sendNewcomers(ctx context.Context) {
	tick := time.NewTicker(newcomerPeriod)
	defer tick.Stop()
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return
		case <-c.halt:
			return
		case <-tick.C:
			c.clients.Go(func() { c.visit(ctx, number) })
		}
	}
}

// now returns the phase of the run.
func (c *crowd) now() phase { return phase(c.phase.Load()) }

// visit is the life of a newcomer: it connects, makes one exchange and leaves.
func (c *crowd) visit(ctx context.Context, number int) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	p := c.person(idOf("-HO0001-new%06d", number), honestAddress(newcomer, number))
	x := p.begin(time.Now())
	if x == nil {
		return
	}
	c.ledger.came(x.phase)
	if _, err := p.connect(ctx); err != nil {
		p.mu.Lock()
		p.finish(x, false)
		p.mu.Unlock()
		return
	}
	c.ledger.entered(x.phase)
	x.due = time.Now() // its latency is that of the announce
	p.announce(x)
	p.await(ctx, x)
}

// move is the life of a mover: it announces, its connection falls silent without an end, and the same peer goes on from
// another address.
func (c *crowd) move(ctx context.Context, number int) {
	id := idOf("-HO0001-mover%04d", number)
	old, err := c.dialer.open(ctx, honestAddress(mover, number))
	if err == nil {
		_, err = old.Write(appendFrame(nil, opText, announceText(honestHash, id, 1, nil)))
	}
	if err == nil {
		_, _, err = readFrame(old.in)
	}
	if err != nil {
		c.ledger.lost(c.now())
	}
	c.person(id, honestAddress(moved, number)).live(ctx, 0, announcePeriod, func() {})
}

// pair is the life of a client with two connections that announce in turn.
func (c *crowd) pair(ctx context.Context, number int) {
	for half := range 2 {
		p := c.person(idOf("-HO0001-twin%05d", number), honestAddress(twin, number))
		c.clients.Go(func() { p.live(ctx, announcePeriod*time.Duration(half)/2, announcePeriod, func() {}) })
	}
}
