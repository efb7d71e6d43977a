// Package guard counts how much of the tracker each client address uses, and says when an address has enough. All shards
// share one [Table]. It takes no lock: an entry is a cache line of atomic counters, and a connection remembers its entries,
// so that nothing is looked up on the path of a message.
//
// An address is an IPv4 address or an IPv6 /64, since a client behind one has as many addresses as it likes. IPv6 clients
// also count for their /48, which may have netFactor times as much.
package guard

import (
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"
)

// Rate is a rate with a burst: so many events may come at once, and then so many a second. A zero PerSecond means no
// limit.
type Rate struct{ PerSecond, Burst int }

// Limits are the limits of one address. A zero limit means none.
type Limits struct {
	Connections   int  // at a time
	Arrivals      Rate // new connections
	Handshakes    int  // TLS handshakes at a time
	HandshakeRate Rate
	Peers         int           // torrents × peer ids
	HalfBuilt     int           // bytes of messages that have arrived in part
	Unsent        int           // bytes that wait to be sent
	Offences      int           // broken limits within a minute
	Ban           time.Duration // of an address with more offences; 0: none is banned
}

// netFactor is how many times the limits of a /64 hold for its /48.
const netFactor = 8

// Options are the settings of a table.
type Options struct {
	Limits  Limits
	Exempt  []netip.Prefix // addresses without limits
	Entries int            // addresses that are told apart at a time; rounded up to a power of two, at least 64
	Secret  Secret         // key of the entries; the zero Secret stands for a random one
}

// Table has the entries of all addresses in use. Its memory is bounded: 64 bytes for each of Options.Entries and a ninth
// more. An entry that is not in use any more gives way to another address. When all entries of a set are in use, further
// addresses of the set share one: they have less together, and nobody has more.
type Table struct {
	rule   atomic.Pointer[rules]
	secret Secret
	sets   []set
	mask   uint64

	stats  counters
	banned atomic.Bool // a ban has come from another table
}

// rules are the limits in force and the addresses without limits.
type rules struct {
	limits Limits
	exempt []netip.Prefix
}

// ways is the number of entries of a set, of which the last one is shared by addresses that find the others taken.
const ways = 9

type set [ways]entry

// Ref names the entries of one address. The zero Ref is that of an address without limits.
type Ref struct{ block, net uint32 }

// Origin returns the number under which swarm tables know the address; 0 for an address without limits.
func (r Ref) Origin() uint32 { return r.block }

// Exempt reports whether the address has no limits.
func (r Ref) Exempt() bool { return r.block == 0 }

// Word returns the Ref in one word, for records between shards.
func (r Ref) Word() uint64 { return uint64(r.net)<<32 | uint64(r.block) }

// RefOf returns the Ref of a word.
func RefOf(word uint64) Ref { return Ref{block: uint32(word), net: uint32(word >> 32)} }

// Verdict says whether an address may have what it asks for.
type Verdict uint8

// The verdicts.
const (
	Admitted Verdict = iota
	Banned           // it has kept breaking limits
	TooMany          // it has as many connections as it may
	TooFast          // its connections come too fast
	Verdicts         // how many there are
)

var verdictNames = [Verdicts]string{"admitted", "banned", "too_many", "too_fast"}

// String returns the verdict's name as it stands in metrics.
func (v Verdict) String() string { return verdictNames[v] }

// New returns an empty table.
func New(o Options) *Table {
	sets := max(8, o.Entries/(ways-1))
	if n := bits.Len(uint(sets - 1)); sets != 1<<n {
		sets = 1 << n
	}
	if o.Secret == (Secret{}) {
		o.Secret = NewSecret()
	}
	t := &Table{secret: o.Secret, sets: make([]set, sets), mask: uint64(sets - 1)}
	t.Change(o.Limits, o.Exempt)
	return t
}

// Change puts other limits in force. An address that is over one keeps what it has and gets no more. A connection that was
// let in without limits has none until it ends, and one that was let in with limits keeps counting. Any thread may call it.
func (t *Table) Change(l Limits, exempt []netip.Prefix) { t.rule.Store(&rules{l, exempt}) }

// Limits returns the limits of one address. They do not change: Change puts others in their place.
func (t *Table) Limits() *Limits { return &t.rule.Load().limits }

// at returns the entry with a number of a Ref, counted from 1.
func (t *Table) at(n uint32) *entry { return &t.sets[(n-1)/ways][(n-1)%ways] }

// Enter counts a new connection of an address at the time now, on any monotonic clock that all callers share. Leave must
// follow for each connection that is admitted.
func (t *Table) Enter(ip netip.Addr, now time.Duration) (Ref, Verdict) {
	r := t.count(ip, now)
	if r.Exempt() {
		return r, Admitted
	}
	v := t.admit(t.at(r.block), 1, now)
	if v == Admitted && r.net != 0 {
		v = t.admit(t.at(r.net), netFactor, now)
	}
	if v != Admitted {
		t.Offence(r, now)
		t.Leave(r)
		t.stats.Refused[v].Add(1)
		return Ref{}, v
	}
	return r, Admitted
}

// count counts a new connection of an address, unless it is exempt.
func (t *Table) count(ip netip.Addr, now time.Duration) (r Ref) {
	ip = ip.Unmap()
	if !ip.IsValid() || t.exempt(ip) {
		return Ref{}
	}
	block, net := t.secret.keys(ip)
	r.block = t.acquire(block, now)
	if net != 0 {
		r.net = t.acquire(net, now)
	}
	return r
}

// admit decides about a connection that has been counted for its entry.
func (t *Table) admit(e *entry, factor int, now time.Duration) Verdict {
	l := t.Limits()
	switch {
	case e.banned(now):
		return Banned
	case l.Connections > 0 && int(e.conns.Load()) > l.Connections*factor:
		return TooMany
	case !e.arrivals.take(l.Arrivals, factor, now):
		return TooFast
	}
	return Admitted
}

// Leave ends a connection that has entered.
func (t *Table) Leave(r Ref) {
	for _, n := range [...]uint32{r.block, r.net} {
		if n != 0 {
			t.at(n).conns.Add(-1)
		}
	}
}

// exempt reports whether an address has no limits.
func (t *Table) exempt(ip netip.Addr) bool {
	for _, p := range t.rule.Load().exempt {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
