package torrents

import "millrace/swarm"

// This file owns the census: how many peers use which client.

// Prefix is the first bytes of a peer id, in which clients name themselves.
type Prefix [8]byte

// maxPrefixes bounds the different prefixes that a census knows: peers choose their ids.
const maxPrefixes = 4096

// Census says how many peers of one shard's swarms had which prefix when housekeeping last passed over all of them. A
// published census is never changed.
type Census struct {
	Peers map[Prefix]uint64 // at most maxPrefixes entries
	Rest  uint64            // peers with other prefixes than these
}

// censusTaker counts the peers that a table shows it, pass by pass. It costs a message nothing: the table is passed over
// for the ages of peers anyway.
type censusTaker struct {
	counting Census
	last     *Census // nil before the end of the first pass
}

// newCensusTaker returns a taker that sees the peers of the table made from the options, or nil if there is to be none.
func newCensusTaker(o *Options) *censusTaker {
	if !o.Census {
		return nil
	}
	c := &censusTaker{counting: Census{Peers: make(map[Prefix]uint64)}}
	o.Swarm.Observe = c.observe
	return c
}

// observe counts a peer, or with nil ends a pass (see swarm.Options.Observe).
func (c *censusTaker) observe(peer *swarm.ID) {
	if peer == nil {
		done := c.counting
		c.last = &done
		c.counting = Census{Peers: make(map[Prefix]uint64, len(done.Peers))}
		return
	}
	prefix := Prefix(peer[:])
	n := c.counting.Peers[prefix]
	if n == 0 && len(c.counting.Peers) >= maxPrefixes {
		c.counting.Rest++
		return
	}
	c.counting.Peers[prefix] = n + 1
}

// Inherited counts a peer of another process, and with nil ends that: until the first pass these are the census.
func (t *Torrents) Inherited(peer *swarm.ID) {
	if t.census != nil {
		t.census.observe(peer)
	}
}

// Census returns the census of the last whole pass, or nil if there is none. It is called by the loop's thread.
func (t *Torrents) Census() *Census {
	if t.census == nil {
		return nil
	}
	return t.census.last
}
