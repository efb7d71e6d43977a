package guard

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// This file owns what outlives the connections of an address, and its way into the table of another process.

// Saved is what a table remembers of an address, or of a /48, besides its connections: bans, offences and rates. It holds
// durations instead of times, so another table may have another clock. It must have the same Options.Secret.
type Saved struct {
	Key uint64 // keyed hash of the address

	Banned     time.Duration // until the ban ends; 0: there is none. In seconds, as all bans are
	Offences   uint32        // broken limits that are remembered
	OffenceAge time.Duration // since the first of them, in seconds
	Arrivals   time.Duration // until all connections that have come are paid for by Limits.Arrivals
	Handshakes time.Duration // the same of Limits.HandshakeRate
}

// Save calls f for all entries of which something would be left if their connections ended now. It looks at all entries: some
// milliseconds with a large table. An entry that several addresses share is left out. Any thread may call it.
func (t *Table) Save(now time.Duration, f func(*Saved)) {
	for k := range t.sets {
		for w := range ways - 1 {
			e := &t.sets[k][w]
			s := Saved{Key: e.key.Load(), Arrivals: e.arrivals.left(now), Handshakes: e.handshakes.left(now)}
			if e.banned(now) {
				s.Banned = time.Duration(e.bannedTo.Load()-second(now)) * time.Second
			}
			if e.offends(now) {
				s.Offences = e.offences.Load()
				s.OffenceAge = time.Duration(second(now)-e.since.Load()) * time.Second
			}
			if s.Key != 0 && (s.Banned > 0 || s.Offences > 0 || s.Arrivals > 0 || s.Handshakes > 0) {
				f(&s)
			}
		}
	}
}

// Restore puts an entry into the table, which may be of another size and in use. If the address is known there, the severer
// of both holds. It reports whether there was place for it: another entry never gives way to it. Any thread may call it.
//
// Connections are to be readmitted before: those that find no place share the limits of others, while an entry that finds none
// is only forgotten.
func (t *Table) Restore(s *Saved, now time.Duration) bool {
	if s.Key&keyBit == 0 {
		return false
	}
	n := t.own(s.Key, now)
	if n == 0 {
		return false
	}
	e, l := t.at(n), t.Limits()
	e.arrivals.fill(min(s.Arrivals, l.Arrivals.full()), now)
	e.handshakes.fill(min(s.Handshakes, l.HandshakeRate.full()), now)
	if banned := min(s.Banned, maxBan) / time.Second; banned > 0 {
		raise(&e.bannedTo, second(now)+uint32(banned))
		t.banned.Store(true)
	}
	known := e.offends(now) && e.offences.Load() >= s.Offences
	if age := s.OffenceAge / time.Second; s.Offences > 0 && age >= 0 && age < offenceMemory && !known {
		since := second(now) - uint32(age)
		if since == 0 {
			since-- // 0 means that there are none
		}
		e.since.Store(since)
		e.offences.Store(s.Offences)
	}
	e.conns.Add(-1)
	return true
}

// maxBan is the longest ban that is restored: its end fits the counter of seconds.
const maxBan = 50 * 365 * 24 * time.Hour

// raise makes a counter at least n.
func raise(c *atomic.Uint32, n uint32) {
	for old := c.Load(); old < n && !c.CompareAndSwap(old, n); old = c.Load() {
	}
}

// Readmit counts a connection of an address that another process has let in, whatever the limits say now. Leave must follow.
func (t *Table) Readmit(ip netip.Addr, now time.Duration) Ref { return t.count(ip, now) }
