package swarm

// This file owns the choice of the peers that receive the offers of an announce.

import "math/bits"

// Target is a peer that receives an offer, and its connection. Of a peer on another node only To.Node is known: that node
// chooses the peer (see Visit), and nothing of the offer is remembered here.
type Target struct {
	To   Addr
	Peer ID
}

// addressShare is the part of an announce's offers that one address gets while there are other peers, and
// maxPassedOver how many peers an announce may pass over for that, which bounds its work. With so many, ten offers
// find eight other addresses in a swarm of which one address holds nine tenths.
const (
	addressShare  = 4
	maxPassedOver = 128
)

// choice is the choice of receivers under way. A table has one, so that none is allocated.
type choice struct {
	from, to [classes]uint32 // by class: the places in the members that are not drawn yet
	away     [classes]uint32 // by class: peers on other nodes that are not drawn yet
	nodes    []nodeLeft      // the same by node
	seeder   bool            // the sender is one
	sources  []uint32        // addresses of the receivers so far
	passed   [maxPassedOver]uint32
	nPassed  int
}

// nodeLeft counts the peers on another node that are not drawn yet, by class.
type nodeLeft struct {
	number uint16
	left   [classes]uint32
}

// relay chooses receivers for the offers of the peer at slot p, which has just announced, remembers the
// offers, and appends the receivers to targets in the order of a.Offers. m is the slot of the member of the
// same peer id: p itself, or the member that p is a successor of.
//
// The receivers are random. Those of a leecher are uniform over the fresh peers; those of a seeder are fresh
// leechers first, who want something from it, and then other fresh seeders, since some applications always
// announce as seeders. Quiet peers are taken only if there are not enough fresh ones. One address gets at most
// a quarter of the offers, at least one, while there are others; the sender's own address is free of that,
// since neighbours are good peers. Peers that are passed over for that come last.
//
// Peers on other nodes are drawn as those here are, but for the addresses, which are not known.
func (t *Table) relay(now uint32, a *Announce, p, m uint32, targets []Target) []Target {
	if len(a.Offers) == 0 {
		return targets
	}
	sender := t.peers.at(p)
	sw := t.swarms.at(sender.swarm)
	var others *away
	n := int(sw.members.n) - 1
	if sw.shared {
		if others = t.elsewhere(sender.swarm); others != nil {
			n += int(others.sum.Seeders + others.sum.Leechers)
		}
	}
	n = min(len(a.Offers), n, t.o.MaxPendingPerPeer)
	if n <= 0 {
		return targets
	}
	t.choose(sw, m, sender.seeder)
	if others != nil {
		t.widen(others)
	}
	return t.send(now, p, t.conns.at(sender.conn).source, a.Offers[:n], sw, targets)
}

// send draws the receivers of offers, of which there are enough, and remembers the offers for the sender p. own is the
// address of the sender's client, 0 if it is of another node.
func (t *Table) send(now, p, own uint32, offers []ID, sw *swarm, targets []Target) []Target {
	c, most := &t.choice, max(1, len(offers)/addressShare)
	for i, again := 0, 0; i < len(offers); {
		slot, node, ok := t.draw(sw)
		if node != 0 {
			targets = append(targets, Target{To: Addr{Node: node}})
			i++
			continue
		}
		if !ok {
			slot = c.passed[again]
			again++
		}
		receiver := t.peers.at(slot)
		owner := t.conns.at(receiver.conn)
		if ok && c.nPassed < maxPassedOver && owner.source != own && c.has(owner.source, most) {
			c.passed[c.nPassed] = slot
			c.nPassed++
			continue
		}
		if !t.remember(now, p, &receiver.id, &offers[i], uint32(len(c.sources))) {
			break
		}
		c.sources = append(c.sources, owner.source)
		targets = append(targets, Target{To: owner.addr(), Peer: receiver.id})
		i++
	}
	return targets
}

// choose begins a choice among the members of a swarm without the one at slot m, which goes to the first place
// of its class; m is 0 if none is left out. seeder says whether the sender is one.
func (t *Table) choose(sw *swarm, m uint32, seeder bool) {
	c := &t.choice
	c.sources, c.nPassed, c.seeder = c.sources[:0], 0, seeder
	c.nodes, c.away = c.nodes[:0], [classes]uint32{}
	c.from = [classes]uint32{freshSeeders: sw.ends[freshLeechers], quietPeers: sw.ends[freshSeeders]}
	c.to = [classes]uint32{sw.ends[freshLeechers], sw.ends[freshSeeders], sw.members.n}
	if m == 0 {
		return
	}
	member := t.peers.at(m)
	of := sw.classAt(member.place)
	t.swap(sw, member.place, c.from[of])
	c.from[of]++
}

// widen adds the peers of other nodes to a choice.
func (t *Table) widen(others *away) {
	c := &t.choice
	for i := range others.n {
		o := t.remote.others(others, i)
		node := nodeLeft{number: o.Node, left: [classes]uint32{
			freshLeechers: o.FreshLeechers, freshSeeders: o.FreshSeeders,
			quietPeers: o.Seeders - o.FreshSeeders + o.Leechers - o.FreshLeechers,
		}}
		for of, n := range node.left {
			c.away[of] += n
		}
		c.nodes = append(c.nodes, node)
	}
}

// draw returns the slot of a random member of those that are to be taken next, or the number of the node of a peer
// elsewhere, or false if all are drawn.
//
// It is one step of a Fisher-Yates shuffle within a class: the drawn members of a class are at its beginning. The
// class of a leecher's receiver is as likely as there are members left in it, so the draw is uniform over both
// fresh ones. A shuffle is uniform from any order, so the members stay in the new order and nothing is copied.
//
// The peers of other nodes stand behind the members of their class. Those of one node are all alike, so their number
// says it all.
func (t *Table) draw(sw *swarm) (slot uint32, node uint16, ok bool) {
	c := &t.choice
	left := c.left(freshLeechers)
	if !c.seeder || left == 0 {
		left += c.left(freshSeeders)
	}
	if left == 0 {
		left = c.left(quietPeers)
	}
	if left == 0 {
		return 0, 0, false
	}
	at, of := t.below(left), freshLeechers
	for at >= c.left(of) {
		at -= c.left(of)
		of++
	}
	if here := c.to[of] - c.from[of]; at >= here {
		return 0, c.drawAway(of, at-here), true
	}
	t.swap(sw, c.from[of], c.from[of]+at)
	slot = *t.lists.entry(&sw.members, c.from[of])
	c.from[of]++
	return slot, 0, true
}

// left returns how many peers of a class are not drawn yet, wherever they are.
func (c *choice) left(of class) uint32 { return c.to[of] - c.from[of] + c.away[of] }

// drawAway takes a peer of a class, which has a number among those on other nodes that are not drawn yet, and returns its
// node.
func (c *choice) drawAway(of class, at uint32) uint16 {
	i := 0
	for ; at >= c.nodes[i].left[of]; i++ {
		at -= c.nodes[i].left[of]
	}
	c.nodes[i].left[of]--
	c.away[of]--
	return c.nodes[i].number
}

// has reports whether an address has at least n of the offers so far.
func (c *choice) has(source uint32, n int) bool {
	for i := 0; n > 0 && len(c.sources)-i >= n; i++ {
		if c.sources[i] == source {
			n--
		}
	}
	return n == 0
}

// below returns a random number from 0 to n-1, each as likely as the others (Lemire, "Fast random
// integer generation in an interval", 2019).
func (t *Table) below(n uint32) uint32 {
	high, low := bits.Mul64(t.random.Uint64(), uint64(n))
	if low < uint64(n) {
		for floor := -uint64(n) % uint64(n); low < floor; {
			high, low = bits.Mul64(t.random.Uint64(), uint64(n))
		}
	}
	return uint32(high)
}
