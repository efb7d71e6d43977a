package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/deflate"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/ring/ringtest"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the world of one run: the shards, their rings, the time, and the turns of their loops.

// Bounds of a run, in turns of all loops and in the time of the kernel.
const (
	patience  = 20_000                // turns after which something that has not ended never will
	quietRuns = 30                    // quiet turns in a row that mean rest
	turnTime  = 20 * time.Millisecond // that passes in a turn that waits for a deadline
	restTime  = 5 * time.Second       // after which every deadline of a connection that ends is over
)

// Sizes of a world. A tight one has so little memory and so small mailboxes that replies are lost.
const (
	maxConnections = 24 // of one shard, where there are no attackers
	maxClients     = 60 // of one run, with those that have left
	roomyMemory    = 1 << 20
	roomyMailbox   = 1 << 18
	tightMemory    = 16 << 10
	tightMailbox   = 1 << 12
	histories      = 6        // of what was sent compressed, kept by a shard
	leastSending   = 64 << 10 // send memory that a ring needs
	tightHeld      = 32 << 10 // of that is kept from a tight shard
)

// world is one run.
type world struct {
	seed     uint64
	rng      *rand.Rand
	k        *ringtest.Kernel
	faults   ringtest.Faults
	loops    []*loop
	clients  []*client
	tools    tools
	offers   map[string]*offer // by offer id: each is made once in a run
	phase    string            // the name of the phase under way
	problems []string

	attacked  bool // there are attackers, and limits for addresses
	besieged  bool // the attackers are at work
	lives     []*life
	attackers []*attacker
	dialed    int       // connections that attackers have opened
	witnesses []*client // honest clients amid attackers
	delivered int       // offers of witnesses that reached others

	tight             bool // see tightMemory
	abrupt            bool // the stop comes amid everything, without rest and service
	frozen, frozenFor int  // a shard that gets no turn, and for how many turns
	slow              int  // a shard gets one turn in so many, at random, so that mail piles up
}

// loop is one shard with its ring: shard.Run without a thread.
type loop struct {
	shard  *shard.Shard
	ring   *ring.Ring
	held   pool.Buf // send memory kept from the shard; 0: none
	events []ring.Event
	ops    []ring.Op
	ended  bool
}

// failf notes a problem.
func (w *world) failf(format string, args ...any) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, fmt.Sprintf("phase %s, %v: ", w.phase, w.now())+fmt.Sprintf(format, args...))
	}
}

// now returns the time of the kernel, which begins at 0.
func (w *world) now() time.Duration {
	if w.k == nil {
		return 0
	}
	return w.k.Now()
}

// drawFaults draws the faults of a run. Each kind has an even chance of being left out.
func drawFaults(rng *rand.Rand) ringtest.Faults {
	p := func(most float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return rng.Float64() * most
	}
	return ringtest.Faults{
		ShortSend: p(0.5), Reset: p(0.01), NoBuffers: p(0.3), Delay: p(0.5), Reorder: p(0.8), Overflow: p(0.3),
		AcceptError: p(0.2), Interrupt: p(0.3), EndMultishot: p(0.3), ProvideError: p(0.2), MessageError: p(0.3),
		SocketBuffer: 500 + rng.IntN(20_000),
	}
}

// noFaults returns faults that never happen, with the sockets of the run.
func (w *world) noFaults() ringtest.Faults {
	return ringtest.Faults{SocketBuffer: w.faults.SocketBuffer}
}

// plan draws a plan of rings from all there are.
func (w *world) plan(memory int) (ring.Plan, error) {
	var want ring.Want
	for _, f := range []ring.Feature{
		ring.MultishotAccept, ring.BufferRing, ring.MultishotReceive, ring.MessageRing, ring.RegisteredBuffers,
		ring.TimedWait, ring.MinWait,
	} {
		want[f] = ring.Tri(w.rng.IntN(2)) // Auto or Off
	}
	return ring.Choose(ring.Features{}, ring.Options{
		Entries: 32, ReceiveBuffers: 4 << w.rng.IntN(4), ReceiveBufferSize: 512,
		SendMemory: max(leastSending, memory), MaxConnections: w.maxConnections(),
		Tick: 250 * time.Millisecond, MaxBatchDelay: time.Millisecond, Want: want,
	})
}

// open opens n shards. Connections follow their torrents or not.
func (w *world) open(n int, follow bool) {
	w.k = ringtest.New(w.seed, w.faults)
	memory, mailbox := roomyMemory, roomyMailbox
	if w.tight {
		memory, mailbox = tightMemory, tightMailbox
	}
	plan, err := w.plan(memory)
	if err != nil {
		panic(fmt.Sprintf("BUG: the simulation has no plan for its rings: %v", err))
	}
	rings, source, addresses := make([]*ring.Ring, n), guard.NewSecret(), w.addresses()
	for k, wiring := range shard.Wire(n, mailbox) {
		o := w.options(k, n)
		o.SourceSeed, o.Addresses = source, addresses
		o.FollowTorrents = follow
		o.EndedPerStep = 1 + w.rng.IntN(4) // so that some wait
		rings[k] = w.k.Open(plan)
		l := &loop{shard: shard.New(o, rings[k].Pool(), pool.New(make([]byte, memory)), wiring), ring: rings[k]}
		if w.tight {
			l.held = rings[k].Pool().Get(tightHeld)
		}
		w.loops = append(w.loops, l)
	}
	for _, r := range rings {
		r.SetPeers(rings)
	}
}

// maxConnections is how many connections a shard may have.
func (w *world) maxConnections() int {
	if w.attacked {
		return siegeConnections
	}
	return maxConnections
}

// addresses returns the table of the clients' addresses, nil where there are no attackers. It is so large that no two
// addresses of a run share an entry.
func (w *world) addresses() *guard.Table {
	if !w.attacked {
		return nil
	}
	limits := siegeLimits()
	return limits.Addresses(1<<14, guard.Secret{})
}

// options are those of shard k of n, with small limits.
func (w *world) options(k, n int) shard.Options {
	o := shard.Options{
		ID: k, Shards: n, MaxConnections: w.maxConnections(),
		OwnerSeed: [2]uint64{1, 2},
		Swarm: swarm.Options{
			Seed: [2]uint64{3, 4}, MaxPeerAge: 180, MaxQuietAge: 1800, MaxOfferAge: 120,
			MaxPeersPerConnection: 64, MaxIDsPerTorrent: 4, MaxPeers: 10_000, MaxPendingOffers: 10_000, MaxPendingPerPeer: 64,
		},
		MaxHead: 4096, Limits: wsproto.Limits{Message: 65536, Frame: 65536}, MaxPending: 6000,
		MaxOffers: 10, MaxScrape: 64, Interval: 120, MaxBadMessages: 3,
		HandshakeTimeout: 10, PingInterval: 45, IdleTimeout: 180, SendTimeout: 20, CloseTimeout: 1, ShutdownTimeout: 10,
		ScanPeriod: time.Second, SweepPeriod: 30 * time.Second,
		Deflate: true, DeflateMemory: make([]byte, histories*deflate.HistorySize), DeflateLoad: 1,
	}
	if w.attacked {
		o.Guard = siegeLimits()
	}
	return o
}

// turn runs every loop once, in random order; a slow or frozen one may be left out. Then the clients read. It reports
// whether anything happened.
func (w *world) turn() bool {
	busy := false
	w.frozenFor--
	for _, k := range w.rng.Perm(len(w.loops)) {
		if w.loops[k].ended || w.rng.IntN(w.slow) > 0 || k == w.frozen && w.frozenFor > 0 {
			continue
		}
		busy = w.step(k) || busy
	}
	if w.besieged {
		w.attackSome()
	}
	for _, c := range w.clients {
		if !c.deaf {
			c.readAll()
		}
	}
	return busy || !w.k.Idle()
}

// sleep lets so many seconds pass. The loops turn meanwhile, as their ticks make them: time in which a loop does not turn
// is not silence of its clients.
func (w *world) sleep(seconds int) {
	turns := 1
	if w.besieged {
		turns = 10 // challenges and pings have to be answered in time, through faults
	}
	for range seconds * turns {
		w.k.Advance(time.Second / time.Duration(turns))
		w.turn()
	}
}

// step runs one loop once and reports whether anything happened.
func (w *world) step(k int) bool {
	l := w.loops[k]
	now := w.k.Now()
	before := l.framesRead(w.besieged)
	l.ops = l.shard.Step(now, l.events, l.ops[:0])
	w.checkStep(k, before)
	l.ring.Submit(l.ops)
	asleep := !l.shard.Busy() && l.shard.PrepareToSleep()
	var err error
	if l.events, err = l.ring.Wait(l.events[:0], ring.Window{}); err != nil {
		w.failf("shard %d: %v", k, err)
	}
	l.shard.AwakeAgain()
	return !asleep || len(l.events) > 0 || len(l.ops) > 0
}

// settle lets everything come to rest: all clients read, and every loop has its turns. A single quiet turn says little,
// since a receive that found no buffer is started again in the next one.
func (w *world) settle() {
	for _, c := range w.clients {
		c.deaf = false
	}
	w.slow, w.frozenFor = 1, 0
	quiet := 0
	for n := 0; quiet < quietRuns; n++ {
		if n > patience {
			w.failf("the shards do not come to rest")
			return
		}
		quiet++
		if w.turn() {
			quiet = 0
		}
		if n%10 == 0 {
			w.k.Advance(5 * time.Millisecond) // less than a tick in all quiet turns
		}
	}
}

// pass lets time pass in small steps, so that every deadline is noticed near its time.
func (w *world) pass(d time.Duration) {
	for end := w.k.Now() + d; w.k.Now() < end; {
		w.k.Advance(turnTime)
		w.turn()
	}
}

// stopped reports whether all shards have stopped.
func (w *world) stopped() bool {
	for _, l := range w.loops {
		if !l.shard.Stopped() {
			return false
		}
	}
	return true
}

// dial connects a new client to shard k.
func (w *world) dial(k int) *client {
	n := len(w.clients)
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), uint16(1000+n))
	c := &client{world: w, n: n, peer: id("peer %d", n), present: map[string]bool{}, packing: drawPacking(w.rng)}
	c.Client = w.k.Dial(w.loops[k].ring, from)
	w.clients = append(w.clients, c)
	return c
}
