package cluster

import (
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file holds the offers of a torrent's first peer here until its home has said who else has the torrent. The client's reply has gone
// already: nobody waits for them.

// held are the offers of one announce.
type held struct {
	key   swarm.Key
	relay []byte // a record.Relay
	since time.Duration
	next  *held // of the same torrent
	gone  bool
}

// holds are all that wait.
type holds struct {
	byKey map[swarm.Key]*held
	queue []*held // the oldest first, with those that are gone
	bytes int
}

// holdCost is what a held record takes besides its bytes: so that their number is bounded too.
const holdCost = 256

func (h *held) cost() int { return holdCost + len(h.relay) }

// add holds offers. It reports false if there is no room.
func (h *holds) add(now time.Duration, r *record.Relay, most int) bool {
	h.trim()
	if h.bytes+holdCost+r.Size() > most || len(h.queue) > most/holdCost {
		return false
	}
	one := &held{key: r.Key, since: now, relay: r.Append(make([]byte, 0, r.Size()))}
	h.bytes += one.cost()
	one.next = h.byKey[r.Key]
	h.byKey[r.Key] = one
	h.queue = append(h.queue, one)
	return true
}

// take ends the hold of a torrent's offers and calls f with each.
func (h *holds) take(k swarm.Key, f func(relay []byte)) {
	one := h.byKey[k]
	delete(h.byKey, k)
	for ; one != nil; one = one.next {
		one.gone = true
		h.bytes -= one.cost()
		f(one.relay)
		one.relay = nil
	}
}

// expire ends all holds from before a time and returns how many there were.
func (h *holds) expire(before time.Duration) (n uint64) {
	for h.trim(); len(h.queue) > 0 && h.queue[0].since <= before; h.trim() {
		h.take(h.queue[0].key, func([]byte) { n++ })
	}
	return n
}

// trim takes those that are gone from the front of the queue.
func (h *holds) trim() {
	for len(h.queue) > 0 && h.queue[0].gone {
		h.queue[0] = nil
		h.queue = h.queue[1:]
	}
}
