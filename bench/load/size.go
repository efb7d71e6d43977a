package load

// This file checks the size of a swarm in replies. The number of expected offers follows from it, so a tracker that
// understates the size could drop offers unnoticed.

import (
	"math"
	"slices"
	"sync/atomic"
)

// swarmSize is the knowledge of one swarm while nobody leaves it: how many peers have announced at all, and how many of
// them have the reply to their first announce. The tracker must have the latter.
type swarmSize struct {
	asked, known atomic.Uint32
}

// keepsSwarms reports whether the peers of a load stay, so that the sizes of swarms are known.
func (c *Config) keepsSwarms() bool {
	return c.Life == 0 && len(c.Storms) == 0 && c.SlowShare == 0
}

// isFirst reports whether an announce is its connection's first for its torrent. first is the connection's first
// announce since it was opened.
func (l *ledger) isFirst(connection, seq, first uint32) bool {
	if seq-first >= uint32(l.places.perConnection) {
		return false
	}
	mine := l.places.of(connection)
	place := int(seq) % len(mine)
	return slices.Index(mine, mine[place]) == place // else it has the torrent twice
}

// asks notes, in the record of an announce that is being sent, how many peers its reply must speak of at least.
func (l *ledger) asks(connection, seq, first uint32, r *announceRecord) {
	if l.sizes == nil {
		return
	}
	s := &l.sizes[l.places.torrent(connection, seq)]
	r.peers = max(s.known.Load(), 1)
	if l.isFirst(connection, seq, first) {
		s.asked.Add(1)
	}
}

// sizeFits reports whether the reply to an announce may speak of so many peers: no fewer than were in the swarm when it
// was sent, and no more than have announced by now. Nothing is known of a swarm that somebody has left.
func (l *ledger) sizeFits(connection, seq, first uint32, r *announceRecord, peers int) bool {
	if l.sizes == nil {
		return true
	}
	torrent := l.places.torrent(connection, seq)
	s := &l.sizes[torrent]
	if l.isFirst(connection, seq, first) {
		s.known.Add(1)
	}
	if l.left[torrent].Load() != math.MinInt64 {
		return true
	}
	return peers >= int(r.peers) && peers <= int(s.asked.Load())
}
