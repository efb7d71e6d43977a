package load

// This file checks the size of a swarm in replies. The number of expected offers follows from it, so a tracker that
// understates the size could drop offers unnoticed.

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// clusterLag is the time in which all nodes of a tracker must know of a peer that came or left.
const clusterLag = 3 * time.Second

// swarmSize is the knowledge of one swarm while nobody leaves it: how many peers have announced at all, and how many of
// them have the reply to their first announce. The tracker must have the latter.
type swarmSize struct {
	asked, known atomic.Uint32
	joined       atomic.Int64 // when the last of them got its first reply, in nanoseconds of the run's clock
}

// join notes that a peer has the reply to its first announce.
func (s *swarmSize) join(now time.Duration) {
	for {
		last := s.joined.Load()
		if last >= int64(now) || s.joined.CompareAndSwap(last, int64(now)) {
			break
		}
	}
	s.known.Add(1) // after the time: who sees the peer sees its time too
}

// isSettled reports whether the tracker must know all peers of a torrent that have their first reply. Of several nodes each
// learns of the peers of the others a moment later, and during the ramp there are always new ones.
func (l *ledger) isSettled(torrent uint32, at time.Duration) bool {
	switch {
	case l.nodes < 2:
		return true
	case l.sizes == nil:
		return false
	}
	return int64(at-clusterLag) >= max(l.steady.Load(), l.sizes[torrent].joined.Load())
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

// asks notes, in the record of an announce that is being sent, how many peers its reply must speak of at least: the
// client itself, and all that the tracker must know.
func (l *ledger) asks(connection, seq, first uint32, r *announceRecord, now time.Duration) {
	if l.sizes == nil {
		return
	}
	torrent := l.places.torrent(connection, seq)
	s := &l.sizes[torrent]
	r.peers = 1
	if known := s.known.Load(); l.isSettled(torrent, now) {
		r.peers = max(known, 1)
	}
	if l.isFirst(connection, seq, first) {
		s.asked.Add(1)
	}
}

// sizeFits reports whether the reply to an announce may speak of so many peers: no fewer than were in the swarm when it
// was sent, and no more than have announced by now. Nothing is known of a swarm that somebody has left.
func (l *ledger) sizeFits(connection, seq, first uint32, r *announceRecord, peers int, now time.Duration) bool {
	if l.sizes == nil {
		return true
	}
	torrent := l.places.torrent(connection, seq)
	s := &l.sizes[torrent]
	if l.isFirst(connection, seq, first) {
		s.join(now)
	}
	if l.left[torrent].Load() != math.MinInt64 {
		return true
	}
	return peers >= int(r.peers) && peers <= int(s.asked.Load())
}
