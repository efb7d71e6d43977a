package simulation

import (
	"slices"
	"time"
)

// This file has the nodes of a cluster on their bus (package bustest).

// Name, Connected and Subjects say to the bus where the node is.
func (n *node) Name() string { return n.id }

// Connected reports whether there is a connection to the bus.
func (n *node) Connected() bool { return n.up }

// Subjects returns those of the messages that come to it.
func (n *node) Subjects() []string { return n.core.Subjects() }

// Publish gives a message to the bus.
func (n *node) Publish(subject string, msg []byte) bool {
	f := n.fleet
	return f.bus.Publish(f.now, n, f.nodes, subject, msg)
}

// deliver lets messages arrive. A node that stands still finds some of what came meanwhile, or nothing.
func (f *fleet) deliver() {
	for m, ok := f.bus.Next(f.now); ok; m, ok = f.bus.Next(f.now) {
		if !slices.Contains(f.nodes, m.To) || !m.To.up || len(m.To.waiting) >= mostWaiting {
			f.bus.Lost++
			continue
		}
		m.To.waiting = append(m.To.waiting, m)
	}
}

// Bounds of the bus.
const (
	mostDelay   = 3 * time.Second // of a message that is late
	mostWaiting = 2000            // messages that wait for a node that stands still
)
