package simulation

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"millrace/cmd/internal/cluster"
	"millrace/cmd/internal/cluster/bustest"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/stats"
	"millrace/cmd/internal/trace"
	"millrace/ring/ringtest"
)

// This file owns the runs of whole clusters: 2 to 5 nodes, each of 1 to 3 real shards and the core that speaks with the others (node.go), on
// a bus of memory (bus.go), with clients that go from node to node (people.go). Messages are lost, late, twice and out of order, the bus is
// parted or away, nodes die and come back, stand still and leave (misfortune.go).
//
// heard.go checks what clients are sent, from the first message to the last: nothing comes twice, or to its sender, or altered, or to
// a client outside the torrent, and no reply is missing, whatever other nodes do. truth.go checks that all nodes give the true counts
// of the whole cluster when the faults are over, that all offers arrive then, and that nothing is left when all clients have gone.

// The phases of a run.
const (
	phaseFaults  = "faults"
	phaseRest    = "rest"
	phaseService = "service"
	phaseEnd     = "end"
)

var clusterPhases = []struct {
	name string
	play func(*fleet)
}{
	{phaseFaults, (*fleet).playFaults},
	{phaseRest, (*fleet).playRest},
	{phaseService, (*fleet).playService},
	{phaseEnd, (*fleet).playEnd},
}

// fleet is one run.
type fleet struct {
	seed      uint64
	rng       *rand.Rand
	now       time.Duration
	nodes     []*node // that are alive
	dead      []death
	bus       *bustest.Bus[*node]
	people    []*person
	proposals map[string]*proposal
	sessions  int
	lives     int
	drawn     mishaps
	faults    mishaps // in force
	kernel    ringtest.Faults
	peerAge   uint32 // seconds after which a peer is quiet
	tight     bool   // limits are so low that things are left out
	polite    bool   // no client vanishes
	phase     string
	problems  []string
	plant     sabotage
	planted   bool // a test has planted something
	res       ClusterResult
}

// sabotage are the faults that a test plants.
type sabotage struct {
	mail func(n *node, rec []byte) ([]byte, int) // changes the mail of a bridge, and says how many copies of it there are
	deaf bool                                    // nobody answers offers
}

// ClusterResult says what the run of a cluster has led to.
type ClusterResult struct {
	Core   cluster.Stats // the counters of all cores together
	Shards shard.Stats

	OffersHere, OffersAbroad, AnswersHere, AnswersAbroad, Seeks, Scrapes, Vanished, Roamed, Doubles uint64
	Lost, FullBoxes, Deaths, Farewells, Cuts, Silences, Pauses, Stalls, Partitions                  uint64
}

func (r *ClusterResult) add(o *ClusterResult) { stats.Add(r, o) }

// RunCluster plays one seed of a cluster, as Run does with one process.
func RunCluster(seed uint64) (Result, error) { return runCluster(seed, nil) }

// runCluster is RunCluster. plant, if it is not nil, is called at the beginning of each phase.
func runCluster(seed uint64, plant func(*fleet)) (res Result, err error) {
	f := newFleet(seed)
	defer func() {
		if bug := recover(); bug != nil {
			f.failf("panic: %v\n%s", bug, debug.Stack())
		}
		if len(f.problems) > 0 {
			err = &Failure{Seed: seed, Problems: f.problems, Trace: f.trace()}
		}
	}()
	f.begin(2+f.rng.IntN(4), 4+f.rng.IntN(12))
	for _, p := range clusterPhases {
		f.phase = p.name
		if plant != nil {
			plant(f)
		}
		if p.play(f); len(f.problems) > 0 {
			return res, nil // the deferred function makes the error
		}
	}
	f.res.Lost = f.bus.Lost
	res.Cluster = f.res
	return res, nil
}

// newFleet returns the fleet of a seed, without a node.
func newFleet(seed uint64) *fleet {
	rng := rand.New(rand.NewPCG(seed, 17))
	f := &fleet{
		seed: seed, rng: rng, proposals: map[string]*proposal{}, tight: rng.IntN(6) == 0, polite: rng.IntN(3) == 0,
		bus:     bustest.New[*node](rng),
		peerAge: []uint32{uint32(nodeRefresh / time.Second), 180}[rng.IntN(2)],
		drawn:   drawMishaps(rng),
	}
	if rng.IntN(3) == 0 {
		f.kernel = drawFaults(rng)
		f.kernel.SocketBuffer = 0
	}
	return f
}

// begin starts nodes, and makes people who are not connected.
func (f *fleet) begin(nodes, people int) {
	for k := range nodes {
		id := fmt.Sprintf("node-%d.x", k)
		f.bus.Parts[id] = 0
		f.start(id, 1+f.rng.IntN(3))
	}
	for k := range people {
		f.people = append(f.people, &person{n: k, peer: id("person %d", k)})
	}
}

// kernelFaults are the faults of the nodes' kernels.
func (f *fleet) kernelFaults() ringtest.Faults {
	if f.phase == "" || f.phase == phaseFaults {
		return f.kernel
	}
	return ringtest.Faults{}
}

// failf notes a problem.
func (f *fleet) failf(format string, args ...any) {
	if len(f.problems) < maxProblems {
		f.problems = append(f.problems, fmt.Sprintf("phase %s, %v: ", f.phase, f.now)+fmt.Sprintf(format, args...))
	}
}

// chance is true with a probability.
func (f *fleet) chance(p float64) bool { return p > 0 && f.rng.Float64() < p }

// tick lets a moment pass, in which every node has a turn.
func (f *fleet) tick(d time.Duration) {
	f.now += d
	for _, n := range f.nodes {
		n.k.Advance(d)
	}
	f.deliver()
	for _, n := range slices.Clone(f.nodes) {
		n.turn(d)
	}
	f.readAll()
	f.checkWaiting()
	f.revive()
}

// The moments of a run.
const (
	briefly = 2 * time.Millisecond  // clients act
	slowly  = 25 * time.Millisecond // nobody does
)

// pass lets time pass. act is called in each moment, if it is not nil.
func (f *fleet) pass(d, moment time.Duration, act func()) {
	for end := f.now + d; f.now < end && len(f.problems) == 0; {
		if act != nil {
			act()
		}
		f.tick(moment)
	}
}

// playFaults lets clients do what they like amid faults.
func (f *fleet) playFaults() {
	f.befall(f.drawn)
	f.pass(time.Duration(2+f.rng.IntN(8))*time.Second, briefly, func() {
		if f.rng.IntN(4) == 0 {
			f.act()
		}
		f.misfortune()
	})
}

// playRest ends the faults. Then everybody must know the truth within the timeout of a node and a refresh. Clients that have vanished are gone
// when they were silent for long enough.
func (f *fleet) playRest() {
	f.endFaults()
	f.pass(nodeTimeout+nodeRefresh, slowly, nil)
	if !f.polite {
		f.waitForGhosts()
	}
	f.checkTruth()
}

// playEnd has all clients go, and proves that nothing is left. Then the nodes stop.
func (f *fleet) playEnd() {
	for _, p := range f.people {
		for _, s := range slices.Clone(p.sessions) {
			f.leave(s)
		}
	}
	f.pass((nodeOfferAge+5)*time.Second, slowly, nil)
	f.checkEmpty()
	for _, n := range slices.Clone(f.nodes) {
		n.leave()
	}
	f.pass(5*time.Second, slowly, nil)
	if len(f.nodes) > 0 {
		f.failf("the stop of %d nodes does not end", len(f.nodes))
	}
}

// trace returns the last events of the shards, one a line.
func (f *fleet) trace() string {
	var copies []trace.Copy
	for _, n := range f.nodes {
		for _, l := range n.loops {
			copies = append(copies, l.shard.Trace(nil))
		}
	}
	if len(copies) == 0 {
		return ""
	}
	return string(trace.AppendText(nil, trace.Select(trace.Merge(copies...), trace.Filter{}, lastEvents), copies[0].Names))
}
