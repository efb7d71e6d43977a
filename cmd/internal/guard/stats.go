package guard

import (
	"sync/atomic"
	"time"
)

// This file owns the counters of a table.

// counters are counted by all threads.
type counters struct {
	Refused    [Verdicts]atomic.Uint64
	Handshakes atomic.Uint64
	Bans       atomic.Uint64
	Shared     atomic.Uint64
}

// Stats are the counters of a table. Their tags say how they are shown (see package stats).
type Stats struct {
	Refused    [Verdicts]uint64 `metric:"address_connections_refused_total" by:"reason=verdict" help:"Connections refused because their address has enough."`
	Handshakes uint64           `metric:"address_handshakes_refused_total" help:"TLS handshakes put off because their address has enough."`
	Bans       uint64           `metric:"address_bans_total" help:"Addresses refused for a time because they kept breaking limits."`
	Shared     uint64           `metric:"address_entries_shared_total" help:"Connections that share limits with other addresses because the table of addresses was full."`
	InUse      int              `metric:"addresses_in_use" help:"Client addresses with connections, peers or bytes."`
	Banned     int              `metric:"addresses_banned" help:"Client addresses that are refused."`
}

// Refusals returns how many connections were refused because their address has enough.
func (t *Table) Refusals() (n uint64) {
	for v := range t.stats.Refused {
		n += t.stats.Refused[v].Load()
	}
	return n
}

// Banned returns how many addresses are refused. It looks at all entries if there ever was such an address.
func (t *Table) Banned(now time.Duration) int {
	if t.stats.Bans.Load() == 0 && !t.banned.Load() {
		return 0
	}
	return t.Stats(now).Banned
}

// Stats returns the counters at the time now. It looks at all entries: some milliseconds with a large table.
func (t *Table) Stats(now time.Duration) Stats {
	st := Stats{
		Handshakes: t.stats.Handshakes.Load(), Bans: t.stats.Bans.Load(), Shared: t.stats.Shared.Load(),
	}
	for v := range st.Refused {
		st.Refused[v] = t.stats.Refused[v].Load()
	}
	for k := range t.sets {
		for w := range ways {
			e := &t.sets[k][w]
			if e.conns.Load() > 0 || e.peers.Load() > 0 {
				st.InUse++
			}
			if e.banned(now) {
				st.Banned++
			}
		}
	}
	return st
}
