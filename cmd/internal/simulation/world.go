package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/ring/ringtest"
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
	loops    []*loop // those that serve
	hand     *hand   // hand-overs to other loops; nil: there are none in this run
	clients  []*client
	tools    tools
	offers   map[string]*offer // by offer id: each is made once in a run
	phase    string            // the name of the phase under way
	problems []string

	attacked  bool // there are attackers, and limits for addresses
	besieged  bool // the attackers are at work
	secrets   secrets
	addresses *guard.Table // what attackers use; nil: there are none
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

	inherited, given int // connections that came from other loops, and went to them, by hand-overs
}

// failf notes a problem.
func (w *world) failf(format string, args ...any) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, fmt.Sprintf("phase %s, %v: ", w.phase, w.now())+fmt.Sprintf(format, args...))
	}
}

// now returns the time of the kernel, which begins at 0.
func (w *world) now() time.Duration {
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
		SocketBuffer: 500 + rng.IntN(20_000), Piecemeal: p(0.5),
	}
}

// noFaults returns faults that never happen, with the sockets of the run.
func (w *world) noFaults() ringtest.Faults {
	return ringtest.Faults{SocketBuffer: w.faults.SocketBuffer}
}

// turn runs every loop once, in random order; a slow or frozen one may be left out. Then the clients read. It reports
// whether anything happened.
func (w *world) turn() bool {
	busy := false
	w.frozenFor--
	loops := w.running()
	for _, k := range w.rng.Perm(len(loops)) {
		if loops[k].ended || w.rng.IntN(w.slow) > 0 || k == w.frozen && w.frozenFor > 0 {
			continue
		}
		busy = w.step(loops[k]) || busy
	}
	if w.besieged {
		w.attackSome()
	}
	for _, c := range w.clients {
		if !c.deaf {
			c.readAll()
		}
	}
	w.bury()
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
func (w *world) step(l *loop) bool {
	now := w.k.Now()
	before := l.framesRead(w.besieged)
	l.ops = l.shard.Step(now, l.events, l.ops[:0])
	w.checkStep(l, before)
	l.ring.Submit(l.ops)
	asleep := !l.shard.Busy() && l.shard.PrepareToSleep()
	var err error
	if l.events, err = l.ring.Wait(l.events[:0], ring.Window{}); err != nil {
		w.failf("a ring: %v", err)
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

// stopped reports whether all shards have stopped, those included that have given everything away.
func (w *world) stopped() bool {
	if w.hand != nil && len(w.hand.retired) > 0 {
		return false
	}
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
