// Package torrents is a shard's own part of all torrents: its swarm table, the loans of torrents between shards, the sweep of
// old peers, the ends of connections whose peers are still to be removed, and the census of clients.
package torrents

import (
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/loans"
	"millrace/cmd/internal/shard/paced"
	"millrace/swarm"
)

// Torrents is the swarm table of a shard with the work that it needs in every Step. It belongs to the loop's thread.
type Torrents struct {
	*swarm.Table
	Loans  *loans.Loans // which shard holds a torrent
	opt    Options
	turn   *conn.Turn
	census *censusTaker // nil: none is taken
	ended  ended        // connections whose peers are to be removed
	sweep  paced.Scan
	due    int  // entries at which the sweep should have looked by now
	frozen bool // takes in a new peer only in the place of another
	stats  Stats
}

// Options are the settings of the torrents of a shard.
type Options struct {
	Swarm        swarm.Options
	Loans        loans.Options
	SweepPeriod  time.Duration // one pass over all peers, looking for old ones
	Census       bool          // that pass also counts the peers by the first bytes of their ids (see Census)
	EndedPerStep int           // peers after which a Step removes no more; 0: maxEndedPerStep
}

// Stats are the counters of the torrents of a shard. Their tags say how they are shown (see package stats).
type Stats struct {
	Families    [len(families)]FamilyStats `by:"ip_version=family"`
	Swarm       swarm.Counts
	Loans       loans.Stats
	GoneWaiting int    `metric:"ended_connections_waiting" help:"Ended connections whose peers are not removed yet."`
	GoneWaited  uint64 `metric:"ended_connections_waited_total" help:"Ended connections whose peers could not be removed at once."`
}

// FamilyStats are the gauges of the swarms of one IP version.
type FamilyStats struct {
	Torrents int `metric:"torrents" help:"Torrents with at least one peer."`
	Peers    int `metric:"peers" help:"Peers in all torrents."`
}

// families are the values of swarm.Key.Family, in the order of Stats.Families.
var families = [...]uint8{4, 6, 0}

// New returns an empty table.
func New(o Options, turn *conn.Turn) *Torrents {
	if o.EndedPerStep == 0 {
		o.EndedPerStep = maxEndedPerStep
	}
	taker := newCensusTaker(&o)
	return &Torrents{
		Table: swarm.New(o.Swarm), Loans: loans.New(o.Loans), opt: o, turn: turn, census: taker,
		ended: ended{perStep: o.EndedPerStep},
	}
}

// Stats returns the counters.
func (t *Torrents) Stats() Stats {
	st := t.stats
	st.GoneWaiting = t.ended.Len()
	st.Swarm = t.Counts()
	st.Loans = t.Loans.Stats()
	for k, family := range families {
		st.Families[k].Torrents, st.Families[k].Peers = t.CountsByFamily(family)
	}
	return st
}

// Sizes returns how many torrents and peers there are.
func (t *Torrents) Sizes() (torrents, peers int) {
	n := t.Counts()
	return n.Torrents, n.Peers
}

// Has reports whether anybody is in a torrent.
func (t *Torrents) Has(hash *swarm.ID) bool {
	for _, family := range families {
		if t.Table.Has(swarm.Key{Hash: *hash, Family: family}) {
			return true
		}
	}
	return false
}

// Bounds of the sweep in one Step. An entry at which it only looks takes 5 ns, and one that it removes hundreds of times as
// much, so both are bounded. What is left of the share that is due waits for the next Step.
const (
	maxSweepPerStep = 4096 // entries of the swarm table
	sweepSlice      = 64   // entries between two looks at what has been removed, so the most peers beyond the bound
	leastSwept      = 64   // peers that may go even if ended connections have used up the Step's budget
)

// Housekeep looks for old peers in the share of the table that is due. It removes as many as the budget of ended
// connections leaves in this Step.
func (t *Torrents) Housekeep() {
	n, more := t.sweep.Due(t.turn.Nanos, t.Len(), t.opt.SweepPeriod, maxSweepPerStep-t.due)
	t.due += n
	most := t.Removed() + swarm.PeerRemoval*uint64(max(t.ended.budget, leastSwept))
	for t.due > 0 && t.Removed() < most {
		work := t.Sweep(t.turn.Now, min(t.due, sweepSlice))
		if work == 0 { // a whole pass is done in this second
			t.due = 0
		}
		t.due = max(t.due-work, 0)
	}
	t.turn.More = t.turn.More || more || t.due > 0
}

// Change puts other settings in force: all but the seed and the count of the swarm table, and Loans.
func (t *Torrents) Change(o Options) {
	o.Loans = t.opt.Loans
	if o.EndedPerStep == 0 {
		o.EndedPerStep = maxEndedPerStep
	}
	if !o.Census || t.census == nil {
		t.census = newCensusTaker(&o)
	} else {
		o.Swarm.Observe = t.census.observe
	}
	t.opt, t.ended.perStep = o, o.EndedPerStep
	t.SetOptions(o.Swarm)
	if t.frozen {
		t.SetMaxPeers(t.Counts().Peers)
	}
}

// Freeze keeps the number of peers from growing beyond that of now, or lets it grow up to the limit of the options again.
func (t *Torrents) Freeze(on bool) {
	if on == t.frozen {
		return
	}
	t.frozen = on
	if on {
		t.SetMaxPeers(t.Counts().Peers)
	} else {
		t.SetMaxPeers(t.opt.Swarm.MaxPeers)
	}
}
