package guard

import (
	"errors"
	"net/netip"
	"time"
)

// This file owns the questions and orders of an operator about one address.

// Usage is how much an address uses. Connections and Peers of an IPv6 address are those of its /64.
type Usage struct {
	Connections, Peers, Handshakes, HalfBuilt, Unsent int // the last two in bytes
	Offences                                          int // broken limits that are remembered
	Banned                                            time.Duration
}

// The reasons why an address cannot be banned.
var (
	ErrExempt = errors.New("limits.exempt has a network with this address, which has no limits")
	ErrFull   = errors.New("the table of addresses is full, and a ban would hit other addresses too: try again later")
)

// Usage returns the usage of an address; ok is false if nothing of it is known, as of one that is exempt.
func (t *Table) Usage(ip netip.Addr, now time.Duration) (u Usage, ok bool) {
	e := t.known(ip)
	if e == nil {
		return Usage{}, false
	}
	u = Usage{
		Connections: max(int(e.conns.Load()), 0), Peers: int(e.peers.Load()), Handshakes: int(e.shaking.Load()),
		HalfBuilt: int(e.halfBuilt.Load()), Unsent: int(e.unsent.Load()),
	}
	if e.offends(now) {
		u.Offences = int(e.offences.Load())
	}
	if e.banned(now) {
		u.Banned = time.Duration(e.bannedTo.Load()-second(now)) * time.Second
	}
	return u, true
}

// known returns the entry of an address, or nil.
func (t *Table) known(ip netip.Addr) *entry {
	if ip = ip.Unmap(); !ip.IsValid() {
		return nil
	}
	key, _ := t.secret.keys(ip)
	s := &t.sets[key&t.mask]
	for w := range ways - 1 {
		if e := &s[w]; e.key.Load() == key {
			return e
		}
	}
	return nil
}

// Ban refuses new connections of an address, an IPv6 address together with its /64, for a time. Those that are there stay.
func (t *Table) Ban(ip netip.Addr, d, now time.Duration) error {
	if ip = ip.Unmap(); t.exempt(ip) {
		return ErrExempt
	}
	key, _ := t.secret.keys(ip)
	r := Ref{block: t.acquire(key, now)}
	defer t.Leave(r)
	if (r.block-1)%ways == ways-1 { // the entry that several addresses share
		return ErrFull
	}
	t.at(r.block).bannedTo.Store(second(now + d))
	t.stats.Bans.Add(1)
	return nil
}

// Unban ends the ban of an address and forgets its offences. It reports whether there was one.
func (t *Table) Unban(ip netip.Addr, now time.Duration) bool {
	e := t.known(ip)
	if e == nil || !e.banned(now) {
		return false
	}
	e.bannedTo.Store(0)
	e.offences.Store(0)
	return true
}
