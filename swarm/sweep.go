package swarm

// This file owns housekeeping: the removals that time and access rules ask for, in slices of bounded work.

// Sweep does a slice of housekeeping: it forgets offers whose sender has left or that are too old, removes
// the peers of torrents that have been forbidden, forgets counts of nodes that have ended, marks peers that have become quiet, and removes those
// that have been quiet for too long. It continues from the end of the last call, touches at most about
// budget entries (two offers may come on top) and returns how many it has touched. It returns 0 when a whole
// pass is done at this now.
//
// A caller that wants a whole pass in n calls gives each a budget of at least Len()/n.
func (t *Table) Sweep(now uint32, budget int) int {
	// Orphans cannot use up the budget for ever: they never come faster than they go (see orphansAtOnce).
	work := t.offers.dropOrphans(budget)
	work += t.offers.expire(now, budget-work, t.o.MaxOfferAge)
	if now != t.sweptAt {
		t.sweptAt, t.swept = now, 0
	}
	// Access rules and changes of the nodes may come one after the other. Even then the ages of peers get half of the budget.
	share := budget
	if t.swept < t.peers.high {
		share = work + (budget-work+1)/2
	}
	work += t.enforce(share - work)
	if t.remote.stale > 0 {
		work += t.forgetNodes(share - work)
	}
	for work < budget && t.swept < t.peers.high {
		t.cursor++
		t.swept++
		work += 1 + t.age(now, t.cursor)
		t.observe(t.cursor)
		if t.cursor == t.peers.high {
			t.cursor = 0
		}
	}
	return work
}

// Len returns how many entries a whole pass of Sweep touches at most: the pending offers, and all records
// of peers that were ever in use at the same time. After SetAccess the records of swarms count too, and the
// peers that may have to go with them, after SetNodes the torrents that have counts of other nodes.
func (t *Table) Len() int {
	n := int(t.peers.high) + t.offers.pending.len()
	if t.enforcing.left > 0 {
		n += int(t.enforcing.left) + t.peers.len()
	}
	return n + int(t.remote.stale)
}

// age makes the peer at slot p quiet, or removes it, if it is old enough. It returns how many offers it has
// dropped.
func (t *Table) age(now, p uint32) int {
	pr := t.peers.at(p)
	if pr.conn == 0 {
		return 0
	}
	if now-pr.seen >= t.o.MaxQuietAge {
		t.agedOut++
		return t.leave(p)
	}
	switch {
	case !t.quietAt(now, pr):
	case pr.role.member():
		t.set(p, pr.seeder, false)
	default:
		pr.role = quietSuccessor
	}
	return 0
}

// observe calls Options.Observe for the peer at slot p, if there is one, and at the end of the table.
func (t *Table) observe(p uint32) {
	if t.o.Observe == nil {
		return
	}
	if pr := t.peers.at(p); pr.conn != 0 && pr.role.member() {
		t.o.Observe(&pr.id)
	}
	if p == t.peers.high {
		t.o.Observe(nil)
	}
}
