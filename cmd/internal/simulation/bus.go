package simulation

import (
	"bytes"
	"container/heap"
	"slices"
	"time"
)

// This file owns the bus between the nodes of a cluster, which loses, delays, reorders and duplicates messages, and is parted.

// flight is a message under way.
type flight struct {
	at      time.Duration
	serial  uint64
	to      *node
	subject string
	msg     []byte
}

// flights are ordered by time.
type flights []*flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].serial < f[j].serial
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(*flight)) }
func (f *flights) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

// bus is what is under way.
type bus struct {
	flights flights
	order   map[[2]*node]time.Duration // the last arrival of what goes from a node to another
	parts   map[string]int             // nodes of different parts hear nothing of each other
	serial  uint64
}

// Publish gives a message to the bus.
func (n *node) Publish(subject string, msg []byte) bool {
	f := n.fleet
	if !n.up || f.chance(f.faults.refuse) {
		return false
	}
	for _, to := range f.nodes {
		if to == n && f.rng.IntN(2) == 0 || !slices.Contains(to.core.Subjects(), subject) {
			continue
		}
		for copies := 1; copies > 0; copies-- {
			if !to.up || f.bus.parts[n.id] != f.bus.parts[to.id] || f.chance(f.faults.loss) {
				f.res.Lost++
				continue
			}
			f.fly(n, to, subject, msg)
			if f.chance(f.faults.twice) {
				copies++
			}
		}
	}
	return true
}

// fly puts a message on its way.
func (f *fleet) fly(from, to *node, subject string, msg []byte) {
	b, way := &f.bus, [2]*node{from, to}
	b.serial++
	m := &flight{at: f.now + time.Duration(200+f.rng.IntN(1800))*time.Microsecond, serial: b.serial, to: to, subject: subject, msg: bytes.Clone(msg)}
	if f.chance(f.faults.late) {
		m.at += time.Duration(f.rng.Int64N(int64(mostDelay)))
	} else {
		m.at = max(m.at, b.order[way])
		b.order[way] = m.at
	}
	heap.Push(&b.flights, m)
}

// deliver lets messages arrive. A node that stands still finds some of what came meanwhile, or nothing.
func (f *fleet) deliver() {
	for b := &f.bus; len(b.flights) > 0 && b.flights[0].at <= f.now; {
		m := heap.Pop(&b.flights).(*flight)
		if !slices.Contains(f.nodes, m.to) || !m.to.up || len(m.to.waiting) >= mostWaiting {
			f.res.Lost++
			continue
		}
		m.to.waiting = append(m.to.waiting, m)
	}
}

// Bounds of the bus.
const (
	mostDelay   = 3 * time.Second // of a message that is late
	mostWaiting = 2000            // messages that wait for a node that stands still
)
