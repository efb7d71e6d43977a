package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"millrace/cmd/internal/cluster"
	"millrace/cmd/internal/cluster/bustest"
	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/mailbox"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/post"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/ring/ringtest"
	"millrace/swarm"
)

// This file owns the nodes of a cluster: each life of one has a kernel, shards, and the core that speaks with the other nodes. It is the
// bridge between the two, as package server has it, without a goroutine.

// Sizes of a node. A tight one has limits so low that things are left out.
const (
	nodeMemory      = 1 << 18 // of a shard, for sending
	nodeConnections = 96      // of a shard
	bridgeBox       = 1 << 16 // bytes of a mailbox between a shard and the bridge
	tightBridgeBox  = 1 << 12
	nodeRemote      = 100 // swarm.Options.MaxRemote
	nodeVisits      = 1000
	tightRemote     = 2
	tightVisits     = 3
	nodeOfferAge    = 15 // seconds
	nodeChecks      = 20 // turns between two looks at the bounds
)

// The times of a cluster. They are short, so that a run has many of them.
const (
	nodeTimeout = 2 * time.Second
	nodeRefresh = 12 * time.Second
	nodePing    = 10 // seconds of silence
	nodeIdle    = 20
)

// node is one life of a node.
type node struct {
	fleet   *fleet
	id      string
	life    int
	shards  int
	k       *ringtest.Kernel
	rng     *rand.Rand // of its randomness
	loops   []*loop
	in, out []*mailbox.Box // of the bridge, by shard
	core    *cluster.Core
	limits  cluster.Limits
	turns   int

	up      bool                     // there is a connection to the bus
	upAt    time.Duration            // when there is one again
	paused  time.Duration            // it stands still until then
	stalled time.Duration            // the bridge does
	leaving bool                     // it has said goodbye, and its shards stop
	ran     time.Duration            // for how long it has served
	waiting []bustest.Message[*node] // messages that came while it stood still, or the bridge did
	gone    map[string]int           // persons who have left each torrent
}

// tightLimits are those of a core of which much is asked.
var tightLimits = cluster.Limits{Stays: 3, Dirty: 1, HeldBytes: 2000, Asks: 1, AskBytes: 2000, Waiting: 3000, WaitingToAll: 5000}

// Read gives the core its randomness.
func (n *node) Read(b []byte) (int, error) {
	for k := range b {
		b[k] = byte(n.rng.Uint32())
	}
	return len(b), nil
}

// start begins a life of a node.
func (f *fleet) start(id string, shards int) *node {
	f.lives++
	n := &node{
		fleet: f, id: id, life: f.lives, shards: shards, up: true, rng: rand.New(rand.NewPCG(f.seed, uint64(f.lives))), gone: map[string]int{},
		k: ringtest.New(f.seed+uint64(f.lives), f.kernelFaults()), limits: cluster.DefaultLimits,
	}
	if f.tight {
		n.limits = tightLimits
	}
	owner := [2]uint64{n.rng.Uint64(), n.rng.Uint64()}
	n.open(owner)
	var err error
	n.core, err = cluster.New(cluster.Options{
		Cluster: "a.b", Node: id, Address: id + ".example", Secret: []byte("sixteen bytes or more"), Shards: shards, Timeout: nodeTimeout,
		Refresh: nodeRefresh, Random: n, Owner: func(h *swarm.ID) int { return swarm.Owner(owner, h, shards) }, Mail: n, Bus: n, Limits: n.limits,
	})
	if err != nil {
		panic(fmt.Sprintf("BUG: the simulation has a core that cannot be: %v", err))
	}
	n.core.Connected(n.k.Now(), true)
	f.nodes = append(f.nodes, n)
	return n
}

// open opens the shards.
func (n *node) open(owner [2]uint64) {
	f := n.fleet
	p := &process{
		rng: n.rng, shards: n.shards, follow: n.rng.IntN(4) > 0, connections: nodeConnections,
		secrets: secrets{owner: owner, table: [2]uint64{n.rng.Uint64(), n.rng.Uint64()}, source: guard.Secret{}},
	}
	plan, err := plan(p, nodeMemory)
	if err != nil {
		panic(fmt.Sprintf("BUG: the simulation has no plan for its rings: %v", err))
	}
	wirings, bridge := shard.WireBridge(n.shards, roomyMailbox, func() {})
	n.in, n.out = bridge.In[:n.shards], bridge.Out[:n.shards]
	var rings []*ring.Ring
	for k := range wirings {
		// A box of the bridge is full more easily than one between shards: those keep what clients are to have.
		boxes := &wirings[k].Boxes
		n.in[k], n.out[k] = mailbox.New(f.bridgeBox()), mailbox.New(f.bridgeBox())
		boxes.Out[n.shards], boxes.In[n.shards] = n.in[k], n.out[k]
		rings = append(rings, n.k.Open(plan))
		s := shard.New(f.shardOptions(p, k), rings[k].Pool(), pool.New(make([]byte, nodeMemory)), wirings[k])
		n.loops = append(n.loops, &loop{shard: s, ring: rings[k]})
	}
	for _, r := range rings {
		r.SetPeers(rings)
	}
}

func (f *fleet) bridgeBox() int {
	if f.tight {
		return tightBridgeBox
	}
	return bridgeBox
}

// shardOptions are those of a shard of a node.
func (f *fleet) shardOptions(p *process, k int) shard.Options {
	o := (&world{}).options(p, k)
	s := &o.Swarm
	s.Cluster, s.MaxRemote, s.MaxVisits, s.MaxOfferAge, s.MaxPeerAge = true, nodeRemote, nodeVisits, nodeOfferAge, f.peerAge
	if f.tight {
		s.MaxRemote, s.MaxVisits = tightRemote, tightVisits
	}
	o.PingInterval, o.IdleTimeout, o.SweepPeriod = nodePing, nodeIdle, 2*time.Second
	o.MaxPending = 1 << 16 // no offer is left out because its receiver reads it a turn later
	o.Deflate, o.DeflateMemory = false, nil
	return o
}

// Mail puts a record into the mailbox of a shard. There is always room for what a client waits for.
func (n *node) Mail(k int, rec []byte) bool {
	f, kind := n.fleet, record.MailKind(rec[0])
	if kind != record.MailTold && f.chance(f.faults.full) {
		return false
	}
	copies := 1
	if f.plant.mail != nil {
		rec, copies = f.plant.mail(n, rec)
	}
	for range copies {
		if !post.ToShard(n.out[k], rec) {
			f.res.FullBoxes++
			return false
		}
	}
	return true
}

// stands reports whether the node stands still.
func (n *node) stands() bool { return n.paused > n.fleet.now }

// turn runs each shard, in random order, and the bridge. In a longer moment the shards have as many turns as they need.
func (n *node) turn(passed time.Duration) {
	f := n.fleet
	if n.stands() {
		return
	}
	busy := true
	for left := passed; busy && left > 0; left -= briefly {
		busy = false
		for _, k := range f.rng.Perm(len(n.loops)) {
			if !f.chance(f.faults.slow) {
				busy = n.step(n.loops[k]) || busy
			}
		}
	}
	if n.stalled <= f.now {
		n.ran += passed
		n.bridge()
	}
	if n.turns++; n.turns%nodeChecks == 0 {
		n.checkBounds()
	}
}

// step runs one shard once, and reports whether anything happened.
func (n *node) step(l *loop) bool {
	l.ops = l.shard.Step(n.k.Now(), l.events, l.ops[:0])
	l.ring.Submit(l.ops)
	asleep := !l.shard.Busy() && l.shard.PrepareToSleep()
	var err error
	if l.events, err = l.ring.Wait(l.events[:0], ring.Window{}); err != nil {
		n.fleet.failf("node %s: a ring: %v", n.id, err)
	}
	l.shard.AwakeAgain()
	return !asleep || len(l.events) > 0 || len(l.ops) > 0
}

// bridge moves mail and messages.
func (n *node) bridge() {
	f, now := n.fleet, n.k.Now()
	if !n.up && f.now >= n.upAt {
		n.up = true
		n.core.Connected(now, true)
	}
	for k, box := range n.in {
		for rec := box.Next(); rec != nil; rec = box.Next() {
			n.core.FromShard(now, k, rec)
			if record.MailKind(rec[0]) == record.MailSeek {
				f.res.Seeks++
			}
		}
		box.Release()
	}
	for _, m := range n.waiting {
		n.core.FromBus(now, m.Subject, m.Data)
	}
	n.waiting = n.waiting[:0]
	n.core.Tick(now)
	n.core.Flush(now)
	for _, box := range n.out {
		box.Publish()
	}
	if err := n.core.Err(); err != nil {
		f.failf("node %s, life %d, has stopped: %v", n.id, n.life, err)
	}
}

// cut ends the connection to the bus for a while.
func (n *node) cut(d time.Duration) {
	n.upAt = max(n.upAt, n.fleet.now+d)
	if n.up {
		n.up = false
		n.core.Connected(n.k.Now(), false)
	}
}

// stopped reports whether all shards have stopped, and have read what the others told them before: of ends of connections, by which their
// peers go.
func (n *node) stopped() bool {
	for _, l := range n.loops {
		if st := l.shard.Snapshot(); !l.shard.Stopped() || underWay(&st) {
			return false
		}
	}
	return true
}

// leave says goodbye and stops the shards.
func (n *node) leave() {
	n.leaving = true
	n.core.Bye(n.k.Now())
	for _, l := range n.loops {
		l.shard.Stop()
	}
}

// close ends a life whose shards have stopped.
func (n *node) close() {
	n.keepStats()
	for k, l := range n.loops {
		if st := l.shard.Snapshot(); !l.isEmpty(&st) || st.Torrents.Swarm.Peers != 0 || st.Torrents.Swarm.Torrents != 0 {
			n.fleet.failf("node %s: shard %d has stopped and still holds something: %+v", n.id, k, st)
		}
	}
	for _, l := range n.loops {
		if err := l.ring.Close(); err != nil {
			n.fleet.failf("node %s: cannot close a ring: %v", n.id, err)
		}
	}
	if err := n.k.Check(); err != nil {
		n.fleet.failf("node %s: the kernel found: %v", n.id, err)
	}
}

// keepStats adds the counters of a life that ends to those of the run.
func (n *node) keepStats() {
	st := n.core.Stats()
	n.fleet.res.add(&ClusterResult{Core: st})
	for _, l := range n.loops {
		st := l.shard.Snapshot()
		n.fleet.res.Shards.Add(&st)
	}
}
