package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/deflate"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file opens shards: those with which a run begins, and those of a process that takes over.

// process is what is drawn for the shards that serve together.
type process struct {
	rng         *rand.Rand
	shards      int
	follow      bool // connections follow their torrents
	connections int  // that one shard may have
	secrets     secrets
	addresses   *guard.Table
	listeners   [][]int32     // of each shard, from a process before; nil: each has a new one
	awake       time.Duration // as in shard.Options
}

// secrets are the keys of hashes.
type secrets struct {
	owner, table [2]uint64
	source       guard.Secret
}

// open opens the n shards with which the run begins. Connections follow their torrents or not.
func (w *world) open(n int, follow bool) {
	w.loops = w.start(&process{
		rng: w.rng, shards: n, follow: follow, connections: w.maxConnections(),
		secrets: w.secrets, addresses: w.addresses,
	})
}

// start opens the shards of a process. Those that take over are frozen and accept nothing.
func (w *world) start(p *process) []*loop {
	memory, mailbox := roomyMemory, roomyMailbox
	if w.tight {
		memory, mailbox = tightMemory, tightMailbox
	}
	plan, err := plan(p, memory)
	if err != nil {
		panic(fmt.Sprintf("BUG: the simulation has no plan for its rings: %v", err))
	}
	plan.HoldAccept = p.listeners != nil
	rings, loops := make([]*ring.Ring, p.shards), []*loop(nil)
	for k, wiring := range shard.Wire(p.shards, mailbox) {
		o := w.options(p, k)
		o.EndedPerStep = 1 + p.rng.IntN(4) // so that some wait
		if p.listeners == nil {
			rings[k] = w.k.Open(plan)
		} else {
			rings[k] = w.k.OpenOn(plan, p.listeners[k]...)
			o.Frozen, o.Awake = true, p.awake
		}
		l := &loop{shard: shard.New(o, rings[k].Pool(), pool.New(make([]byte, memory)), wiring), ring: rings[k]}
		if w.tight {
			l.held = rings[k].Pool().Get(tightHeld)
		}
		loops = append(loops, l)
	}
	for _, r := range rings {
		r.SetPeers(rings)
	}
	return loops
}

// plan draws a plan of rings from all there are.
func plan(p *process, memory int) (ring.Plan, error) {
	var want ring.Want
	for _, f := range []ring.Feature{
		ring.MultishotAccept, ring.BufferRing, ring.MultishotReceive, ring.MessageRing, ring.RegisteredBuffers,
		ring.TimedWait, ring.MinWait,
	} {
		want[f] = ring.Tri(p.rng.IntN(2)) // Auto or Off
	}
	return ring.Choose(ring.Features{}, ring.Options{
		Entries: 32, ReceiveBuffers: 4 << p.rng.IntN(4), ReceiveBufferSize: 512,
		SendMemory: max(leastSending, memory), MaxConnections: p.connections,
		Tick: 250 * time.Millisecond, MaxBatchDelay: time.Millisecond, Want: want,
	})
}

// maxConnections is how many connections a shard may have at the beginning.
func (w *world) maxConnections() int {
	if w.attacked {
		return siegeConnections
	}
	return maxConnections
}

// newAddresses returns a table of the clients' addresses, nil where there are no attackers. It is so large that no two
// addresses of a run share an entry.
func (w *world) newAddresses() *guard.Table {
	if !w.attacked {
		return nil
	}
	limits := siegeLimits()
	return limits.Addresses(1<<14, guard.Secret{})
}

// options are those of a shard, with small limits.
func (w *world) options(p *process, k int) shard.Options {
	o := shard.Options{
		ID: k, Shards: p.shards, MaxConnections: p.connections,
		OwnerSeed: p.secrets.owner, SourceSeed: p.secrets.source,
		Swarm: swarm.Options{
			Seed: p.secrets.table, MaxPeerAge: 180, MaxQuietAge: 1800, MaxOfferAge: 120,
			MaxPeersPerConnection: 64, MaxIDsPerTorrent: 4, MaxPeers: 10_000, MaxPendingOffers: 10_000, MaxPendingPerPeer: 64,
		},
		Addresses: p.addresses,
		MaxHead:   4096, Limits: wsproto.Limits{Message: 65536, Frame: 65536}, MaxPending: 6000,
		MaxOffers: 10, MaxScrape: 64, Interval: 120, MaxBadMessages: 3,
		HandshakeTimeout: 10, PingInterval: 45, IdleTimeout: 180, SendTimeout: 20, CloseTimeout: 1, ShutdownTimeout: 10,
		ScanPeriod: time.Second, SweepPeriod: 30 * time.Second,
		Deflate: true, DeflateMemory: make([]byte, histories*deflate.HistorySize), DeflateLoad: 1,
		FollowTorrents: p.follow,
	}
	if w.attacked {
		o.Guard = siegeLimits()
	}
	return o
}
