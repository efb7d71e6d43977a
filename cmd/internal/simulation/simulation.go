// Package simulation runs whole shards on real rings over a kernel of plain memory (package ringtest), with clients and
// faults that a seed draws: short sends, resets, no buffers, completions late and out of order, overflow of the
// completion queue, failing accepts, shards that get no turn, memory and mailboxes that are too small.
//
// The kernel checks its side: each buffer goes back once, nothing is done with a closed descriptor, a connection has
// one receive and one send at most, all requests are joined. This package checks the messages that clients get, the
// connections and memory that remain when everything has come to rest, that new clients are then served, and that honest
// clients are served and kept as peers while attackers of other addresses do their worst.
//
// A run goes through phases (simulation.go): faults, rest, siege, service, stop. The clients are in client.go, their random
// acts in act.go, the checks of the tables in check.go, the new clients in service.go, the rare paths in paths.go, the
// attackers in attackers.go, the clients amid them in siege.go.
//
// In some runs the shards hand everything over to others at random moments, as a tracker does to its successor, or fail to
// (handover.go and heirs.go). All checks hold across that: clients cannot tell.
package simulation

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard"
	"millrace/ring/ringtest"
)

// Result says what a run without a failure has led to.
type Result struct {
	Stats     shard.Stats // the counters of all shards together, after the stop
	HandOvers HandOvers
	Cluster   ClusterResult // of a run of RunCluster
}

// Add adds the figures of another run.
func (r *Result) Add(o *Result) {
	r.Stats.Add(&o.Stats)
	r.HandOvers.add(&o.HandOvers)
	r.Cluster.add(&o.Cluster)
}

// Failure is the error of a run that found something wrong.
type Failure struct {
	Seed     uint64
	Problems []string // in the order in which they were found; only the first few, as one leads to others
	Trace    string   // the last events of the shards, one a line, oldest first
}

// Error returns the seed and the problems, one a line.
func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d: %s", f.Seed, strings.Join(f.Problems, "\n"))
}

// maxProblems is how many problems of a run are kept.
const maxProblems = 10

// Run plays one seed: the same seed gives the same run. An error is a *Failure; a panic of the shards is one too. Runs
// share nothing, and may be played at the same time.
func Run(seed uint64) (Result, error) { return run(seed, nil) }

// phase is a part of a run.
type phase struct {
	name string
	play func(*world)
}

// The phases of a run, in this order. The faults end with the first one and are back for the last one.
var phases = []phase{
	{"faults", (*world).playFaults},
	{"rest", (*world).playRest},
	{"siege", (*world).playSiege},
	{"service", (*world).playService},
	{"stop", (*world).playStop},
}

// run is Run. plant, if it is not nil, is called at the beginning of each phase: tests plant a fault with it.
func run(seed uint64, plant func(*world)) (res Result, err error) {
	w := newWorld(seed)
	defer func() {
		if bug := recover(); bug != nil {
			w.failf("panic: %v\n%s", bug, debug.Stack())
		}
		if len(w.problems) > 0 {
			err = &Failure{Seed: seed, Problems: w.problems, Trace: w.trace()}
		}
	}()
	w.open(1+w.rng.IntN(3), w.rng.IntN(4) > 0)
	for _, p := range phases {
		if w.abrupt && p.name != "faults" && p.name != "stop" || !w.attacked && p.name == "siege" {
			continue
		}
		w.phase = p.name
		if plant != nil {
			plant(w)
		}
		p.play(w)
		if len(w.problems) > 0 {
			return res, nil // the deferred function makes the error
		}
	}
	for _, l := range w.loops {
		st := l.shard.Snapshot()
		res.Stats.Add(&st)
	}
	w.hand.addTo(&res)
	return res, nil
}

// playFaults lets the clients do what they like under all faults of the run.
func (w *world) playFaults() {
	for range 250 {
		w.act()
		w.turn()
		w.maybeHandOver(handOverEvery)
		if len(w.problems) > 0 {
			return
		}
	}
	if !w.abrupt && w.rng.IntN(2) == 0 {
		w.settle() // in spite of the faults
	}
}

// playRest ends the faults. Then everything must come to rest.
func (w *world) playRest() {
	w.k.SetFaults(w.noFaults())
	w.settle()
	w.pass(restTime)
	w.settle()
	w.checkRest()
	w.checkPeers()
}

// playStop stops the shards under faults, and checks that nothing is left. In an abrupt run it comes amid everything.
func (w *world) playStop() {
	w.k.SetFaults(w.faults)
	for _, l := range w.loops {
		l.shard.Stop()
	}
	for n := 0; !w.stopped(); n++ {
		if w.abrupt && n < 20 {
			w.act()
		}
		w.turn()
		w.k.Advance(turnTime)
		if n > patience {
			w.failf("the stop does not end")
			return
		}
	}
	w.settle() // mail that is still under way
	w.checkEnd()
}

// newWorld returns the world of a seed, without any shard.
func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 11))
	w := &world{
		tools:  newTools(),
		rng:    rng,
		offers: map[string]*offer{},
		tight:  rng.IntN(4) == 0,
		slow:   []int{1, 1, 4, 20}[rng.IntN(4)],
		abrupt: rng.IntN(4) == 0,
		faults: drawFaults(rng),
		seed:   seed,
	}
	w.attacked = !w.tight && !w.abrupt && rng.IntN(6) == 0
	w.addresses = w.newAddresses()
	w.secrets = secrets{owner: [2]uint64{1, 2}, table: [2]uint64{3, 4}, source: guard.NewSecret()}
	if w.hand = drawHand(seed); w.hand != nil {
		w.faults.BusyCancel, w.faults.LateCancel = w.hand.Float64()*0.5, w.hand.Float64()*0.5
	}
	w.k = ringtest.New(seed, w.faults)
	return w
}
