package guard

import (
	"sync/atomic"
	"time"
)

// This file owns the entry of an address: how it is found, taken and given up without a lock.

// entry is one address in use: 64 bytes.
type entry struct {
	key        atomic.Uint64 // keyed hash of the address; 0: never used
	arrivals   bucket
	handshakes bucket
	conns      atomic.Int32 // connections, and callers that look at the entry; busy while it changes hands
	shaking    atomic.Int32 // TLS handshakes in flight
	peers      atomic.Int32
	halfBuilt  atomic.Int32 // bytes
	unsent     atomic.Int32 // bytes
	offences   atomic.Uint32
	since      atomic.Uint32 // second from which on offences are counted, 0: none are
	bannedTo   atomic.Uint32 // second in which a ban ends, 0: none
	_          uint64
}

// busy is added to entry.conns while the entry changes hands.
const busy = -1 << 30

// acquire returns the number of the entry of a key, with one more connection: the shared one of its set if there is no other.
func (t *Table) acquire(key uint64, now time.Duration) uint32 {
	if n := t.own(key, now); n != 0 {
		return n
	}
	t.stats.Shared.Add(1)
	k := uint32(key & t.mask)
	t.sets[k][ways-1].conns.Add(1)
	return k*ways + ways
}

// own returns the number of the entry that a key has alone, with one more connection, or 0 if there is none.
func (t *Table) own(key uint64, now time.Duration) uint32 {
	k := uint32(key & t.mask)
	s := &t.sets[k]
	for range ways {
		w := t.find(s, key, now)
		if w < 0 {
			break
		}
		e := &s[w]
		if e.conns.Add(1) > 0 && e.key.Load() == key {
			return k*ways + uint32(w) + 1
		}
		e.conns.Add(-1) // it changes hands
	}
	return 0
}

// find returns the way of a key in its set, and gives it one that nobody uses if it has none. It returns -1 if all are in
// use.
func (t *Table) find(s *set, key uint64, now time.Duration) int {
	free := -1
	for w := range ways - 1 {
		switch e := &s[w]; {
		case e.key.Load() == key:
			return w
		case free < 0 && e.idle(now):
			free = w
		}
	}
	if free < 0 {
		return -1
	}
	e := &s[free]
	if !e.conns.CompareAndSwap(0, busy) {
		return free // somebody was faster: the caller looks again
	}
	e.reset()
	e.key.Store(key)
	e.conns.Add(-busy)
	return free
}

// idle reports whether forgetting the entry forgets nothing.
func (e *entry) idle(now time.Duration) bool {
	return e.conns.Load() == 0 && e.peers.Load() == 0 && e.shaking.Load() == 0 &&
		e.halfBuilt.Load() == 0 && e.unsent.Load() == 0 &&
		e.arrivals.empty(now) && e.handshakes.empty(now) && !e.banned(now) &&
		!e.offends(now)
}

func (e *entry) reset() {
	e.arrivals.full.Store(0)
	e.handshakes.full.Store(0)
	e.offences.Store(0)
	e.since.Store(0)
	e.bannedTo.Store(0)
}

// bucket is a rate limit in one word (the generic cell rate algorithm, ITU-T I.371): the time at which all that has been
// taken is paid for.
type bucket struct{ full atomic.Int64 }

// take takes one event, factor times as many being allowed as r says. It reports false, and takes nothing, if there are
// too many.
func (b *bucket) take(r Rate, factor int, now time.Duration) bool {
	if r.PerSecond == 0 {
		return true
	}
	each := time.Second / time.Duration(r.PerSecond*factor)
	most := each * time.Duration(max(r.Burst*factor, 1))
	for {
		old := b.full.Load()
		next := max(old, int64(now)) + int64(each)
		if next-int64(now) > int64(most) {
			return false
		}
		if b.full.CompareAndSwap(old, next) {
			return true
		}
	}
}

// empty reports whether the bucket is as if it had never been used.
func (b *bucket) empty(now time.Duration) bool { return b.full.Load() <= int64(now) }

// left returns the time until the bucket is empty.
func (b *bucket) left(now time.Duration) time.Duration {
	return max(time.Duration(b.full.Load())-now, 0)
}

// fill makes the bucket so full that it is empty after a time, if it is not fuller.
func (b *bucket) fill(left, now time.Duration) {
	for {
		old := b.full.Load()
		if left <= 0 || old >= int64(now+left) || b.full.CompareAndSwap(old, int64(now+left)) {
			return
		}
	}
}

// full returns the time after which a full bucket is empty.
func (r Rate) full() time.Duration {
	if r.PerSecond == 0 {
		return 0
	}
	return time.Second / time.Duration(r.PerSecond) * time.Duration(max(r.Burst, 1))
}
