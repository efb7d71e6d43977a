package cluster

import "time"

// This file tells an operator of the other nodes.

// Node is another node.
type Node struct {
	ID, Address           string
	Number                uint16 // here
	Connections, Torrents uint32
	Joined, Heard         time.Duration
	Waiting               int // bytes of records for it
}

// Nodes returns the other nodes that are live, in the order in which they came.
func (c *Core) Nodes() []Node {
	var all []Node
	for _, n := range c.view.live {
		one := Node{
			ID: n.id, Address: n.address, Number: n.number, Connections: n.connections, Torrents: n.torrents, Joined: n.joined, Heard: n.heard,
		}
		if b := c.batches.find(n.number); b != nil {
			one.Waiting = b.bytes
		}
		all = append(all, one)
	}
	return all
}
