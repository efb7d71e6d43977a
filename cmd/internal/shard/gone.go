package shard

import "millrace/swarm"

// This file takes the peers of connections that have ended out of the swarms. Thousands of connections may end at once,
// each with a thousand peers, as when a network fails; a Step that removed all of them took 32 ms. So each Step removes a
// number of them, and the connections beyond it wait their turn. Meanwhile their peers are still counted, and what is
// relayed to one finds its connection closed, as it may with the peers that a connection has on another shard.

const (
	maxGonePerStep = 1024    // peers after which a Step removes no more; it finishes the connection it is at
	maxGoneWaiting = 1 << 16 // connections; when there are more, the oldest is not made to wait any longer
)

// ended is the queue of connections whose peers are to be removed, oldest first.
type ended struct {
	waiting []swarm.Addr // those before done are through with
	done    int
	budget  int // peers that this Step may still remove
	perStep int // what each Step begins with: maxGonePerStep, but in tests
}

// gone says that a connection, of this shard or another, has ended.
func (s *Shard) gone(addr swarm.Addr) {
	q := &s.ended
	if q.len() == 0 && q.budget > 0 {
		s.removePeers(addr)
		return
	}
	if q.len() == maxGoneWaiting {
		s.removePeers(q.next())
	}
	q.waiting = append(q.waiting, addr)
	s.stats.GoneWaited++
	s.moreWork = true
}

// removeEnded begins a Step's budget with those that wait.
func (s *Shard) removeEnded() {
	q := &s.ended
	q.budget = q.perStep
	for q.len() > 0 && q.budget > 0 {
		s.removePeers(q.next())
	}
	s.moreWork = s.moreWork || q.len() > 0
}

func (s *Shard) removePeers(addr swarm.Addr) { s.ended.budget -= max(1, s.table.Gone(addr)) }

func (q *ended) len() int { return len(q.waiting) - q.done }

// next takes the oldest one out. The array is used again from its start when half of it is through with.
func (q *ended) next() (addr swarm.Addr) {
	addr = q.waiting[q.done]
	q.done++
	if 2*q.done >= len(q.waiting) {
		q.waiting = q.waiting[:copy(q.waiting, q.waiting[q.done:])]
		q.done = 0
	}
	return addr
}
