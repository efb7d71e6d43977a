package simulation

import (
	"math/rand/v2"
	"slices"
	"time"

	"millrace/cmd/internal/cluster/bustest"
	"millrace/ring/ringtest"
)

// This file owns what befalls the nodes of a cluster, and their bus.

// mishaps are the faults of a run, as probabilities.
type mishaps struct {
	bus  bustest.Faults
	full float64 // the mailbox to a shard has no room
	slow float64 // a shard has no turn
	acts float64 // something befalls a whole node, in each moment
}

// drawMishaps draws the faults of a run. Each kind has an even chance of being left out.
func drawMishaps(rng *rand.Rand) mishaps {
	p := func(most float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return rng.Float64() * most
	}
	return mishaps{
		bus:  bustest.Faults{Loss: p(0.3), Twice: p(0.3), Late: p(0.3), Refuse: p(0.5), Delay: mostDelay},
		full: p(0.3), slow: p(0.5), acts: p(0.015),
	}
}

// befall puts faults in force.
func (f *fleet) befall(m mishaps) { f.faults, f.bus.Faults = m, m.bus }

// death is a node that is to come back.
type death struct {
	id     string
	shards int
	at     time.Duration
}

// misfortune lets something happen to a whole node, or to the bus.
func (f *fleet) misfortune() {
	if len(f.nodes) == 0 || !f.chance(f.faults.acts) {
		return
	}
	n := f.nodes[f.rng.IntN(len(f.nodes))]
	some := time.Duration(f.rng.Int64N(int64(3 * nodeTimeout)))
	switch f.rng.IntN(8) {
	case 0:
		f.res.Deaths++
		f.kill(n, some)
	case 1:
		if !n.stands() && !n.leaving {
			f.res.Farewells++
			n.leave()
		}
	case 2:
		if !n.stands() {
			f.res.Cuts++
			n.cut(some)
		}
	case 3: // the bus is away
		f.res.Silences++
		for _, n := range f.nodes {
			if !n.stands() {
				n.cut(some)
			}
		}
	case 4:
		f.res.Pauses++
		n.paused = max(n.paused, f.now+some)
	case 5:
		f.res.Stalls++
		n.stalled = max(n.stalled, f.now+some/4)
	case 6:
		f.res.Partitions++
		for _, n := range f.nodes {
			f.bus.Parts[n.id] = f.rng.IntN(2)
		}
	case 7:
		f.bus.Join()
	}
}

// kill ends a life without a word. Its clients see that.
func (f *fleet) kill(n *node, back time.Duration) {
	n.keepStats()
	f.bury(n, back)
}

// bury takes a life out, and says when the next one begins.
func (f *fleet) bury(n *node, back time.Duration) {
	f.nodes = slices.DeleteFunc(f.nodes, func(o *node) bool { return o == n })
	for _, p := range f.people {
		for _, s := range append(slices.Clone(p.sessions), p.ghosts...) {
			if s.node == n {
				s.end()
			}
		}
	}
	if f.phase != phaseEnd {
		f.dead = append(f.dead, death{n.id, n.shards, f.now + back})
	}
}

// revive lets nodes begin another life whose time has come, and ends those that have stopped.
func (f *fleet) revive() {
	for _, n := range slices.Clone(f.nodes) {
		if n.leaving && n.stopped() {
			n.close()
			f.bury(n, time.Duration(f.rng.Int64N(int64(nodeTimeout))))
		}
	}
	for k := len(f.dead) - 1; k >= 0; k-- {
		if d := f.dead[k]; f.now >= d.at {
			f.dead = slices.Delete(f.dead, k, k+1)
			f.start(d.id, d.shards)
		}
	}
}

// endFaults ends all faults.
func (f *fleet) endFaults() {
	f.befall(mishaps{})
	f.bus.Join()
	for _, n := range f.nodes {
		n.k.SetFaults(ringtest.Faults{})
		n.paused, n.stalled, n.upAt = min(n.paused, f.now), min(n.stalled, f.now), min(n.upAt, f.now)
	}
	for k := range f.dead {
		f.dead[k].at = f.now
	}
	if len(f.dead) > 0 && len(f.nodes) > 0 && f.rng.IntN(2) == 0 {
		f.dead = f.dead[1:] // one stays away
	}
}
