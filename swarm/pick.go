package swarm

// This file owns the choice of the peers that receive the offers of an announce.

import "math/bits"

// Target is a peer that receives an offer, and its connection.
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
	seeder   bool            // the sender is one
	sources  []uint32        // addresses of the receivers so far
	passed   [maxPassedOver]uint32
	nPassed  int
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
func (t *Table) relay(now uint32, a *Announce, p, m uint32, targets []Target) []Target {
	sender := t.peers.at(p)
	sw := t.swarms.at(sender.swarm)
	n := min(len(a.Offers), int(sw.members.n)-1, t.o.MaxPendingPerPeer)
	if n <= 0 {
		return targets
	}
	c := t.choose(sw, m, sender.seeder)
	own, most := t.conns.at(sender.conn).source, max(1, n/addressShare)
	for i, again := 0, 0; i < n; {
		slot, ok := t.draw(sw)
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
		if !t.remember(now, p, &receiver.id, &a.Offers[i], uint32(i)) {
			break
		}
		c.sources = append(c.sources, owner.source)
		targets = append(targets, Target{To: owner.addr(), Peer: receiver.id})
		i++
	}
	return targets
}

// choose begins a choice among the members of a swarm without the one at slot m, which goes to the first place
// of its class. seeder says whether the sender is one.
func (t *Table) choose(sw *swarm, m uint32, seeder bool) *choice {
	c, member := &t.choice, t.peers.at(m)
	c.sources, c.nPassed, c.seeder = c.sources[:0], 0, seeder
	c.from = [classes]uint32{freshSeeders: sw.ends[freshLeechers], quietPeers: sw.ends[freshSeeders]}
	c.to = [classes]uint32{sw.ends[freshLeechers], sw.ends[freshSeeders], sw.members.n}
	of := sw.classAt(member.place)
	t.swap(sw, member.place, c.from[of])
	c.from[of]++
	return c
}

// draw returns the slot of a random member of those that are to be taken next, or false if all are drawn.
//
// It is one step of a Fisher-Yates shuffle within a class: the drawn members of a class are at its beginning. The
// class of a leecher's receiver is as likely as there are members left in it, so the draw is uniform over both
// fresh ones. A shuffle is uniform from any order, so the members stay in the new order and nothing is copied.
func (t *Table) draw(sw *swarm) (slot uint32, ok bool) {
	c := &t.choice
	left := c.to[freshLeechers] - c.from[freshLeechers]
	if !c.seeder || left == 0 {
		left += c.to[freshSeeders] - c.from[freshSeeders]
	}
	if left == 0 {
		left = c.to[quietPeers] - c.from[quietPeers]
	}
	if left == 0 {
		return 0, false
	}
	at, of := t.below(left), freshLeechers
	for at >= c.to[of]-c.from[of] {
		at -= c.to[of] - c.from[of]
		of++
	}
	t.swap(sw, c.from[of], c.from[of]+at)
	slot = *t.lists.entry(&sw.members, c.from[of])
	c.from[of]++
	return slot, true
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
