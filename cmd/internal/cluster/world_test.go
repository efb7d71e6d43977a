package cluster

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"millrace/cmd/internal/cluster/bustest"
	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/stats"
	"millrace/swarm"
)

// This file has the world of the simulation: nodes, their bus, and the time.

// The times of a run.
const (
	simTimeout = 2 * time.Second
	simRefresh = 12 * time.Second
	simTick    = 2 * time.Millisecond
	simQuiet   = 2500 * time.Millisecond // after which a change is known everywhere, if nothing goes wrong
)

// simFaults are the faults of a run, as probabilities.
type simFaults struct {
	bus  bustest.Faults
	full float64 // the mailbox to a shard has no room
	acts float64 // faults of whole nodes, each 50 ms
}

// simOffer is an offer that was made.
type simOffer struct {
	number              uint64
	peer                simPeer
	torrent             int
	delivered, answered bool
}

// simResult counts what a run has led to.
type simResult struct {
	Joins, Offers, Answers, Arrivals, Scrapes, Deaths, Byes, Cuts, Pauses, Partitions, Conflicts, Olds int
	Stats                                                                                              Stats
}

// simWorld is one run.
type simWorld struct {
	seed     uint64
	rng      *rand.Rand
	now      time.Duration
	nodes    []*simNode // that are alive
	dead     []simDeath
	faults   simFaults
	faulty   bool
	tight    bool // limits are so low that things are left out
	bus      *bustest.Bus[*simNode]
	serial   uint64
	lives    int
	homes    map[swarm.ID]*simNode // of each peer
	offers   map[swarm.ID]*simOffer
	scrapes  map[uint32]*simScrape
	res      simResult
	problems []string
	rivalry  string // id of which there may be two nodes for a moment
}

// simDeath is a node that is to come back.
type simDeath struct {
	id     string
	shards int
	at     time.Duration
}

// simNode is one life of a node.
type simNode struct {
	w        *simWorld
	id       string
	life     int
	core     *Core
	shards   []*simShard
	up       bool          // it has a connection to the bus
	upAt     time.Duration // when it gets one again
	paused   time.Duration // it stands still until then
	ticked   time.Duration
	messages []bustest.Message[*simNode] // that came while it stood still
}

// simRandom is the randomness of a core.
type simRandom struct{ rng *rand.Rand }

func (r simRandom) Read(b []byte) (int, error) {
	for k := range b {
		b[k] = byte(r.rng.Uint32())
	}
	return len(b), nil
}

// failf notes a problem.
func (w *simWorld) failf(format string, args ...any) {
	if len(w.problems) < 5 {
		w.problems = append(w.problems, fmt.Sprintf("%v: ", w.now)+fmt.Sprintf(format, args...))
	}
}

// chance is true with a probability.
func (w *simWorld) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// start lets a node begin to live.
func (w *simWorld) start(id string, shards int) *simNode {
	w.lives++
	n := &simNode{w: w, id: id, life: w.lives, up: true, ticked: w.now}
	for k := range shards {
		n.shards = append(n.shards, &simShard{w: w, n: n, number: k})
	}
	limits := Limits{}
	if w.tight {
		limits = Limits{Stays: 3, Dirty: 1, HeldBytes: 700, Asks: 1, AskBytes: 2000, Waiting: 3000, WaitingToAll: 5000}
	}
	core, err := New(Options{
		Cluster: "a.b", Node: id, Address: id + ".example", Secret: []byte("sixteen bytes or more"), Shards: shards, Timeout: simTimeout,
		Refresh: simRefresh, Random: simRandom{w.rng}, Owner: func(h *swarm.ID) int { return simOwner(h, shards) }, Mail: n, Bus: n, Limits: limits,
	})
	if err != nil {
		panic(err)
	}
	n.core = core
	if w.chance(0.25) {
		core.speaks = protocolPacked - 1 // it is of the version before
		w.res.Olds++
	}
	core.Connected(w.now, true)
	w.nodes = append(w.nodes, n)
	return n
}

// Mail is the node's Shards.
func (n *simNode) Mail(shard int, rec []byte) bool { return n.shards[shard].take(rec) }

// Publish is the node's Bus.
func (n *simNode) Publish(subject string, msg []byte) bool {
	return n.w.bus.Publish(n.w.now, n, n.w.nodes, subject, msg)
}

// Name, Connected and Subjects say to the bus where the node is.
func (n *simNode) Name() string       { return n.id }
func (n *simNode) Connected() bool    { return n.up }
func (n *simNode) Subjects() []string { return n.core.Subjects() }

// newOffers makes some offers of a peer.
func (w *simWorld) newOffers(p *simPeer, torrent int) (list []record.Offer) {
	for range w.rng.IntN(4) {
		w.serial++
		var id swarm.ID
		binary.LittleEndian.PutUint64(id[:], w.serial)
		w.offers[id] = &simOffer{number: w.serial, peer: *p, torrent: torrent}
		list = append(list, record.Offer{ID: id, SDP: []byte(`"offer"`)})
	}
	return list
}

// answered notes that an answer has come to a node.
func (w *simWorld) answered(n *simNode, r *record.Answer) {
	o := w.offers[r.Offer]
	switch {
	case o == nil || string(r.SDP) != fmt.Sprintf(`"answer %d"`, o.number) || r.To != o.peer.from:
		w.failf("node %s got an answer that nobody has given: %+v", n.id, r)
	case w.homes[o.peer.id] != n:
		w.failf("node %s, life %d, got an answer for a peer of another node or life", n.id, n.life)
	case o.answered:
		w.failf("node %s got an answer twice", n.id)
	default:
		o.answered = true
		w.res.Answers++
	}
}

// pass lets time pass. act is called each 50 ms.
func (w *simWorld) pass(d time.Duration, act func()) {
	for end := w.now + d; w.now < end && len(w.problems) == 0; w.now += simTick {
		if act != nil && w.now%(50*time.Millisecond) < simTick {
			act()
		}
		for m, ok := w.bus.Next(w.now); ok; m, ok = w.bus.Next(w.now) {
			switch {
			case !slices.Contains(w.nodes, m.To) || !m.To.up:
			case m.To.paused > w.now:
				m.To.messages = append(m.To.messages, m)
			default:
				m.To.receive(m)
			}
		}
		for _, n := range w.nodes {
			n.step()
		}
		w.revive()
	}
}

func (n *simNode) receive(m bustest.Message[*simNode]) {
	n.core.FromBus(n.w.now, m.Subject, m.Data)
	n.core.Flush(n.w.now)
}

// step is a turn of a node.
func (n *simNode) step() {
	w := n.w
	if n.paused > w.now {
		return
	}
	if !n.up && w.now >= n.upAt {
		n.up = true
		n.core.Connected(w.now, true)
	}
	if n.core.Waiting() || w.now-n.ticked >= 100*time.Millisecond {
		n.ticked = w.now
		n.core.Tick(w.now)
		n.core.Flush(w.now)
	}
	for _, f := range n.messages {
		n.receive(f)
	}
	n.messages = nil
	for _, s := range n.shards {
		s.step()
	}
	if err := n.core.Err(); err != nil && n.id != w.rivalry {
		w.failf("node %s, life %d, has stopped: %v", n.id, n.life, err)
	}
	n.checkBounds()
}

// checkBounds proves that nothing of the core is beyond its bounds.
func (n *simNode) checkBounds() {
	c, l := n.core, &n.core.o.Limits
	st := c.Stats()
	checks := []struct {
		name      string
		got, most int
	}{
		{"stays", st.Stays, l.Stays}, {"torrents", st.Torrents, l.Stays}, {"dirty", st.Dirty, l.Dirty},
		{"held bytes", st.HeldBytes, l.HeldBytes}, {"holds", len(c.holds.queue), l.HeldBytes/holdCost + 1},
		{"asks", len(c.asks.queue), l.Asks}, {"ask bytes", st.AskBytes, l.AskBytes}, {"waiting", st.Waiting, l.WaitingToAll},
		{"batches", len(c.batches.all), len(c.view.live)}, {"nodes", st.Nodes, maxOtherNodes}, {"past", len(c.view.past), maxPast},
		{"news", len(c.news.list), maxNews}, {"holds by torrent", len(c.holds.byKey), len(c.holds.queue)},
	}
	for _, check := range checks {
		if check.got > check.most || check.got < 0 {
			n.w.failf("node %s has %d %s, at most %d are allowed", n.id, check.got, check.name, check.most)
		}
	}
	if n.malformed() {
		n.w.failf("node %s found something malformed: %+v", n.id, st)
	}
}

// malformed reports whether the core has found anything that means nothing, at least to its version.
func (n *simNode) malformed() bool {
	st := n.core.Stats()
	isNew := n.core.speaks < protocolPacked && st.OpenPacked > 0
	return isNew || st.MailRefused+st.BadRecords+st.NewRecords+st.Flaws[FlawForm]+st.Flaws[FlawVersion] > 0
}

// kill ends a life, and says when the next one begins.
func (w *simWorld) kill(n *simNode, back time.Duration) {
	w.nodes = slices.DeleteFunc(w.nodes, func(o *simNode) bool { return o == n })
	w.dead = append(w.dead, simDeath{n.id, len(n.shards), w.now + back})
	w.keepStats(n)
}

// keepStats adds up the counters that the result needs.
func (w *simWorld) keepStats(n *simNode) {
	st := n.core.Stats()
	stats.Add(&w.res.Stats, &st)
}

// revive lets nodes begin another life whose time has come.
func (w *simWorld) revive() {
	for k := len(w.dead) - 1; k >= 0; k-- {
		if d := w.dead[k]; w.now >= d.at {
			w.dead = slices.Delete(w.dead, k, k+1)
			w.start(d.id, d.shards)
		}
	}
}

// node returns a random node that is alive, or nil.
func (w *simWorld) node() *simNode {
	if len(w.nodes) == 0 {
		return nil
	}
	return w.nodes[w.rng.IntN(len(w.nodes))]
}

// shardOf returns the shard of a torrent.
func (n *simNode) shardOf(k int) *simShard {
	key := simKey(k)
	return n.shards[simOwner(&key.Hash, len(n.shards))]
}

// clients lets clients of a node do something.
func (w *simWorld) clients() {
	n := w.node()
	if n == nil || n.paused > w.now {
		return
	}
	k := w.rng.IntN(simTorrents)
	switch w.rng.IntN(5) {
	case 0, 1:
		n.shardOf(k).join(k)
	case 2, 3:
		n.shardOf(k).change(k)
	case 4:
		n.shards[w.rng.IntN(len(n.shards))].scrape()
	}
	n.core.Flush(w.now)
}

// misfortune does something to a whole node, or to the bus.
func (w *simWorld) misfortune() {
	n := w.node()
	if n == nil || !w.chance(w.faults.acts) {
		return
	}
	some := time.Duration(w.rng.Int64N(int64(3 * simTimeout)))
	switch w.rng.IntN(6) {
	case 0:
		w.res.Deaths++
		w.kill(n, some)
	case 1:
		if n.paused <= w.now {
			w.res.Byes++
			n.core.Bye(w.now)
			w.kill(n, some)
		}
	case 2:
		if n.up && n.paused <= w.now {
			w.res.Cuts++
			n.up, n.upAt = false, w.now+some
			n.core.Connected(w.now, false)
		}
	case 3:
		w.res.Pauses++
		n.paused = w.now + some
	case 4:
		w.res.Partitions++
		for _, id := range slices.Sorted(maps.Keys(w.bus.Parts)) {
			w.bus.Parts[id] = w.rng.IntN(2)
		}
	case 5:
		w.bus.Join()
	}
}
