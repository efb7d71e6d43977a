package guard

import (
	"sync/atomic"
	"time"
)

// This file owns what a connection that has entered counts for its address.

// Handshake asks for a TLS handshake. EndHandshake must follow if it is allowed.
func (t *Table) Handshake(r Ref, now time.Duration) bool {
	if r.block == 0 {
		return true
	}
	l := t.Limits()
	if !t.one(r.block, 1, func(e *entry) *atomic.Int32 { return &e.shaking }, l.Handshakes) {
		return t.refused(&t.stats.Handshakes)
	}
	if r.net != 0 && !t.one(r.net, netFactor, func(e *entry) *atomic.Int32 { return &e.shaking }, l.Handshakes) {
		t.at(r.block).shaking.Add(-1)
		return t.refused(&t.stats.Handshakes)
	}
	if !t.at(r.block).handshakes.take(l.HandshakeRate, 1, now) ||
		r.net != 0 && !t.at(r.net).handshakes.take(l.HandshakeRate, netFactor, now) {
		t.EndHandshake(r)
		return t.refused(&t.stats.Handshakes)
	}
	return true
}

func (t *Table) refused(c *atomic.Uint64) bool {
	c.Add(1)
	return false
}

// one counts one more of something for an entry, unless that is too many.
func (t *Table) one(n uint32, factor int, of func(*entry) *atomic.Int32, limit int) bool {
	c := of(t.at(n))
	if c.Add(1) > int32(limit*factor) && limit > 0 {
		c.Add(-1)
		return false
	}
	return true
}

// EndHandshake ends a handshake that was allowed.
func (t *Table) EndHandshake(r Ref) {
	for _, n := range [...]uint32{r.block, r.net} {
		if n != 0 {
			t.at(n).shaking.Add(-1)
		}
	}
}

// CountPeers counts peers that have come (or with a negative number gone) for the address of an origin.
func (t *Table) CountPeers(origin uint32, delta int) {
	if origin != 0 {
		t.at(origin).peers.Add(int32(delta))
	}
}

// PeersFull reports whether the address of an origin has as many peers as it may.
func (t *Table) PeersFull(origin uint32) bool {
	limit := t.Limits().Peers
	return origin != 0 && limit > 0 && int(t.at(origin).peers.Load()) >= limit
}

// HalfBuilt counts bytes of partial messages. It reports whether a connection that holds own bytes of them is to lose
// them: the address is over its limit, and this connection holds more than its share.
func (t *Table) HalfBuilt(r Ref, delta, own int) bool {
	if r.block == 0 {
		return false
	}
	e := t.at(r.block)
	return over(e, e.halfBuilt.Add(int32(delta)), own, t.Limits().HalfBuilt)
}

// Unsent counts bytes that wait to be sent.
func (t *Table) Unsent(r Ref, delta int) {
	if r.block != 0 {
		t.at(r.block).unsent.Add(int32(delta))
	}
}

// UnsentFull reports whether an address has more bytes that wait than it may.
func (t *Table) UnsentFull(r Ref) bool {
	limit := t.Limits().Unsent
	return r.block != 0 && limit > 0 && int(t.at(r.block).unsent.Load()) > limit
}

// UnsentOver is the verdict of HalfBuilt about bytes that wait to be sent.
func (t *Table) UnsentOver(r Ref, own int) bool {
	if r.block == 0 {
		return false
	}
	e := t.at(r.block)
	return over(e, e.unsent.Load(), own, t.Limits().Unsent)
}

// over reports whether all bytes of an address are over the limit and one connection has more than its share of it. So
// the connections that hold most lose first, and all together never hold more than twice the limit.
func over(e *entry, all int32, own, limit int) bool {
	return limit > 0 && int(all) > limit && own > limit/max(1, int(e.conns.Load()))
}

// offenceMemory is for how many seconds offences are remembered.
const offenceMemory = 60

// Offence counts that an address has broken a limit. With Limits.Ban, too many of them within a minute ban it for a time.
func (t *Table) Offence(r Ref, now time.Duration) {
	l := t.Limits()
	if r.block == 0 || l.Ban == 0 {
		return
	}
	e := t.at(r.block)
	if since := e.since.Load(); !e.offends(now) && e.since.CompareAndSwap(since, second(now)) {
		e.offences.Store(0)
	}
	if e.offences.Add(1) > uint32(l.Offences) && !e.banned(now) {
		e.bannedTo.Store(second(now) + uint32(l.Ban/time.Second))
		t.stats.Bans.Add(1)
	}
}

// second returns a time in seconds, from 1 on.
func second(now time.Duration) uint32 { return uint32(now/time.Second) + 1 }

// offends reports whether the entry has offences that are not yet forgotten.
func (e *entry) offends(now time.Duration) bool {
	since := e.since.Load()
	return since != 0 && second(now)-since < offenceMemory
}

func (e *entry) banned(now time.Duration) bool { return second(now) < e.bannedTo.Load() }
