package load

// This file is the memory that all workers share: the recent announces of each connection and the fate of their offers.

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// ledger is the common knowledge of all workers: the recent announces of each connection and the fate of their offers.
// It is written without locks: a record belongs to the worker of its connection, and others only set bits in it.
type ledger struct {
	*wire
	places  *placement
	hashes  []id
	history uint32 // records kept for each connection, a power of two
	records []announceRecord
	life    []atomic.Uint32 // of each connection: its incarnation, and liveBit while it is in the tracker's swarms
	sizes   []swarmSize     // of each torrent; nil where peers come and go
	homes   []uint8         // of each connection: the number of its node; nil: there is one
	nodes   int
	members *membership    // nil: there is one node
	steady  atomic.Int64   // when the ramp was over, in nanoseconds of the run's clock; before: never
	left    []atomic.Int64 // of each torrent: when a peer last left it or was cut off; nanoseconds of the run's clock
}

// announceRecord is one announce. Bit k of a mask is its offer number k.
type announceRecord struct {
	offers   atomic.Uint64 // received by another client
	answered atomic.Uint64 // answers sent
	answers  atomic.Uint64 // answers received
	due      atomic.Int64  // when it was to be sent, in nanoseconds of the run's clock
	seq      atomic.Uint32 // plus 1; 0: the record is empty

	expected    uint8 // offers that had a receiver; known when replied is set
	state       recordState
	incarnation uint16 // and the answers' replies that come before its own
	before      uint32 // answers sent for the same torrent since its last announce that have no reply yet
	peers       uint32 // that its reply must speak of at least
}

type recordState uint8

const (
	recordOpen    recordState = iota // no reply yet
	recordReplied                    // it has its reply
	recordFailed                     // a failure message, or none because the connection is gone
)

const (
	liveBit   = 1 << 16
	neverBack = math.MaxInt64 // in ledger.left: messages to this torrent may be lost at any time
	// Messages from and to a peer that leaves may be lost within this time before and after; with several nodes within
	// clusterLag.
	nearby = 2 * time.Second
)

func newLedger(c *Config) *ledger {
	who := identity{seed: c.Seed}
	places := newPlacement(c)
	offer, answer := c.templates()
	l := &ledger{
		wire:    newWire(who, c.Offers, offer, answer),
		places:  places,
		hashes:  make([]id, places.torrents),
		history: historyFor(c),
		life:    make([]atomic.Uint32, c.Connections),
		left:    make([]atomic.Int64, places.torrents),
	}
	l.steady.Store(math.MaxInt64)
	l.nodes = len(c.nodeURLs())
	l.homes = newHomes(c, places, l.nodes)
	if l.homes != nil {
		l.members = newMembership(places, l.homes, l.nodes)
	}
	l.records = make([]announceRecord, c.Connections*int(l.history))
	for t := range l.hashes {
		l.hashes[t] = who.infoHash(uint32(t))
	}
	if c.keepsSwarms() {
		l.sizes = make([]swarmSize, places.torrents)
	}
	for t := range l.left {
		l.left[t].Store(math.MinInt64)
	}
	return l
}

// historyFor returns how many announces of a connection are remembered: enough to see an offer twice, few enough for
// many connections.
func historyFor(c *Config) uint32 {
	least := max(32, 4*c.PerConnection, 4*c.InFlight)
	switch {
	case c.OnlyOnce && len(c.Storms) == 0:
		least = 2 * c.PerConnection
	case c.Connections > 50_000:
		least = max(8, 4*c.PerConnection, 4*c.InFlight)
	}
	return 1 << bits.Len(uint(least-1))
}

// record returns the place of an announce. It may hold another announce of the same connection.
func (l *ledger) record(connection, seq uint32) *announceRecord {
	return &l.records[connection*l.history+seq&(l.history-1)]
}

// known returns the record of an announce; nil if it is not there yet, or no longer.
func (l *ledger) known(connection, seq uint32) *announceRecord {
	if r := l.record(connection, seq); r.seq.Load() == seq+1 {
		return r
	}
	return nil
}

// isLive reports whether this incarnation of the connection takes part now.
func (l *ledger) isLive(connection uint32, incarnation uint16) bool {
	return l.life[connection].Load() == uint32(incarnation)|liveBit
}

// gone notes that a connection leaves its torrents at a time, or was cut off.
func (l *ledger) gone(connection uint32, now time.Duration) {
	for _, t := range l.places.of(connection) {
		if l.left[t].Load() < int64(now) {
			l.left[t].Store(int64(now))
		}
	}
}

// begin enters an announce into its record, which the caller has settled.
func (l *ledger) begin(connection, seq uint32, incarnation uint16, due time.Duration) *announceRecord {
	r := l.record(connection, seq)
	r.seq.Store(0)
	r.offers.Store(0)
	r.answered.Store(0)
	r.answers.Store(0)
	r.due.Store(int64(due))
	r.expected, r.state, r.before, r.peers, r.incarnation = 0, recordOpen, 0, 0, incarnation
	r.seq.Store(seq + 1)
	return r
}

// settle adds the outcome of an announce to the counts, when its record is used again or the run is over. A missing
// message is counted as gone if a peer has left and may be the reason. Of several nodes, one that has just got its first
// peer of a torrent replies before it knows of the others: offers that reach them all the same are counted as untold.
func (l *ledger) settle(connection uint32, r *announceRecord, n *Counts) {
	if r.seq.Load() == 0 {
		return
	}
	seq := r.seq.Load() - 1
	torrent := l.places.torrent(connection, seq)
	due, left := time.Duration(r.due.Load()), l.left[torrent].Load()
	disturbed := left >= int64(due-nearby)
	if l.nodes > 1 {
		disturbed = left >= int64(due-clusterLag)
	}
	received := bits.OnesCount64(r.offers.Load())
	if r.state != recordReplied {
		n.OffersExpected += uint64(received) // nobody said how many there should be
	} else if missing := int(r.expected) - received; missing > 0 && disturbed {
		n.OffersGone += uint64(missing)
	} else if missing < 0 && (!l.isSettled(torrent, due) || left != math.MinInt64 && l.nodes > 1) {
		n.OffersUntold += uint64(-missing)
	}
	unheard := bits.OnesCount64(r.answered.Load() &^ r.answers.Load())
	if unheard > 0 && (disturbed || !l.isLive(connection, r.incarnation)) {
		n.AnswersGone += uint64(unheard)
	}
	r.seq.Store(0)
}
