package swarm

// This file owns the choice of the peers that receive the offers of an announce.

import "math/bits"

// Target is a peer that receives an offer, and its connection.
type Target struct {
	To   Addr
	Peer ID
}

// relay chooses receivers for the offers of the peer at slot p, which has just announced, remembers the
// offers, and appends the receivers to targets in the order of a.Offers.
//
// The sample is a Fisher-Yates shuffle of the swarm's members that stops as soon as there are enough. It is
// uniform from any order at its start, so the members stay in the new order and nothing is copied. The
// sender goes to place 0; the receivers are then the members from place 1 on. The fresh members come first,
// so the shuffle reaches the quiet ones only when the fresh ones are used up.
func (t *Table) relay(now uint32, a *Announce, p uint32, targets []Target) []Target {
	sender := t.peers.at(p)
	sw := t.swarms.at(sender.swarm)
	n := min(len(a.Offers), int(sw.members.n)-1, t.o.MaxPendingPerPeer)
	if n <= 0 {
		return targets
	}
	t.swap(sw, sender.place, 0)
	for i := range uint32(n) {
		end := sw.fresh
		if i+1 >= end {
			end = sw.members.n
		}
		t.swap(sw, i+1, i+1+t.below(end-i-1))
		receiver := t.peers.at(*t.lists.entry(&sw.members, i+1))
		if !t.remember(now, p, &receiver.id, &a.Offers[i], i) {
			break
		}
		targets = append(targets, Target{To: t.conns.at(receiver.conn).addr(), Peer: receiver.id})
	}
	return targets
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
