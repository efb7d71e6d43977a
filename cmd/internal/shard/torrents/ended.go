package torrents

import (
	"millrace/cmd/internal/shard/queue"
	"millrace/swarm"
)

// This file takes the peers of connections that have ended out of the swarms. Thousands of connections may end at once,
// each with thousands of peers, as when a network fails; a Step that removed all of them took 32 ms. So each Step removes
// some of them, which takes up to 3 µs a peer, and the others wait their turn. Meanwhile their peers are still counted, and
// a message that is relayed to one of them finds its connection closed, as it may with the peers that a connection has on
// another shard.

const (
	maxEndedPerStep = 256     // peers after which a Step removes no more
	maxEndedWaiting = 1 << 16 // connections; when there are more, the oldest is not made to wait any longer
)

// ended is the queue of connections whose peers are to be removed, oldest first.
type ended struct {
	queue.Queue[swarm.Addr]
	budget  int // peers that this Step may still remove
	perStep int // the budget at the beginning of each Step
}

// Ended says that a connection, of this shard or another, has ended.
func (t *Torrents) Ended(addr swarm.Addr) {
	q := &t.ended
	if q.Len() == 0 && q.budget > 0 && t.removePeers(addr) {
		return
	}
	if q.Len() == maxEndedWaiting {
		q.budget -= max(1, t.Gone(q.Pop()))
	}
	q.Push(addr)
	t.stats.GoneWaited++
	t.turn.More = true
}

// RemoveEnded begins a Step's budget with the connections that wait.
func (t *Torrents) RemoveEnded() {
	q := &t.ended
	q.budget = q.perStep
	for q.Len() > 0 && q.budget > 0 && t.removePeers(q.Front()) {
		q.Pop()
	}
	t.turn.More = t.turn.More || q.Len() > 0
}

// removePeers removes peers of a connection within the budget, and reports whether none is left.
func (t *Torrents) removePeers(addr swarm.Addr) (done bool) {
	q := &t.ended
	n := t.GoneAtMost(addr, q.budget)
	done = n < q.budget
	q.budget -= max(1, n)
	return done
}

// Yield says that a connection, of this shard or another, does not answer (see swarm.Table.Yield). It takes from the same
// budget as the ends of connections. It reports false, and has done nothing, when that is used up: the next clash of the
// peer ids brings the matter up again.
func (t *Torrents) Yield(addr swarm.Addr) bool {
	if t.ended.budget <= 0 {
		return false
	}
	t.ended.budget -= max(1, t.Table.Yield(addr))
	return true
}
