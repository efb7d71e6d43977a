// Package loans knows which shard holds a torrent. Each torrent has a home, a shard that a keyed hash of its info hash
// names, and is held there. A client that takes part in several torrents of one content, such as a video in several
// qualities, follows the first one to its home, and its messages for the others would be mail for ever. So the home may
// lend a torrent in which nobody is yet to the shard where such a client is:
//
//	holder                          home                               others
//	asks, and would hold it  ─────► lends it, sends the request back   send their requests home
//	holds it                 ◄───── passes on the requests of others ◄─
//	nobody is in it any more ─────► takes it back, unless a request
//	                                is still on its way to the holder
//
// The home decides, and mail between two shards is in order: a shard that is sent a request for a torrent by its home holds
// it. The home numbers the announces that it passes on, and the holder names the last number that it has read when it
// gives the torrent back. If they differ, the loan goes on.
//
// Clients choose info hashes and the order in which they announce them, but cannot aim torrents at one shard for long: a
// shard is lent torrents only while it has at most a quarter more torrents, peers and connections than the mean (see
// package mover), and a connection is lent at most MaxPerConnection.
package loans

import (
	"time"

	"millrace/cmd/internal/shard/paced"
	"millrace/swarm"
)

// MaxPerConnection bounds the torrents that one connection may ask for.
const MaxPerConnection = 32

// maxLoans bounds the torrents that a shard lends. So it holds no more of each other one.
const maxLoans = 1 << 20

// One pass over the torrents held for others takes returnPeriod: a torrent goes home when nobody has been in it for up to
// so long. A Step looks at maxLooks of them.
const (
	returnPeriod = 10 * time.Second
	maxLooks     = 256
)

// Loans are the loans of one shard, as home and as holder. They belong to the loop's thread.
type Loans struct {
	opt   Options
	lent  map[swarm.ID]loan   // torrents whose home is here and that others hold
	by    []int               // how many of them each shard holds
	held  map[swarm.ID]uint32 // torrents that others have lent: their places in list
	list  []guest
	scan  paced.Scan
	at    int // the next place of list to look at
	stats Stats
}

// Options are the settings of the loans of a shard.
type Options struct {
	Shard, Shards int
	OwnerSeed     [2]uint64 // of the keyed hash, the same for all shards
	Lend          bool      // false: every torrent is held at home
}

// Stats are the counters of loans. Their tags say how they are shown (see package stats).
type Stats struct {
	Lent     int    `metric:"torrents_lent" help:"Torrents that are held by another shard than the one that their info hash names."`
	Lends    uint64 `metric:"torrents_lent_total" help:"Times that a torrent was lent to the shard of its first client."`
	Returned uint64 `metric:"torrents_returned_total" help:"Times that such a torrent came home because nobody was in it."`
	Kept     uint64 `metric:"-"` // returns that came too late: another client was on its way
	Passed   uint64 `metric:"requests_passed_on_total" help:"Announces and answers that went through the home of a torrent to the shard that holds it."`
}

// loan is what the home knows of a torrent that it has lent.
type loan struct {
	to   uint32
	sent uint32 // announces that were passed on to the holder
}

// guest is what the holder knows of a torrent that was lent to it.
type guest struct {
	hash swarm.ID
	seen uint32 // the number of the last announce that the home has passed on
}

// New returns the loans of a shard: none.
func New(o Options) *Loans {
	return &Loans{opt: o, lent: map[swarm.ID]loan{}, by: make([]int, o.Shards), held: map[swarm.ID]uint32{}}
}

// Stats returns the counters.
func (l *Loans) Stats() Stats {
	st := l.stats
	st.Lent = len(l.lent)
	return st
}

// Home returns the shard that the info hash names.
func (l *Loans) Home(hash *swarm.ID) int {
	if l.opt.Shards == 1 {
		return 0
	}
	return swarm.Owner(l.opt.OwnerSeed, hash, l.opt.Shards)
}

// Holder returns the shard to which requests for a torrent go from here: this one if it holds it, the holder if this one
// is its home, or its home.
func (l *Loans) Holder(hash *swarm.ID) int {
	if len(l.held) > 0 {
		if _, ok := l.held[*hash]; ok {
			return l.opt.Shard
		}
	}
	home := l.Home(hash)
	if home == l.opt.Shard && len(l.lent) > 0 {
		if loan, ok := l.lent[*hash]; ok {
			return int(loan.to)
		}
	}
	return home
}

// MayLend reports whether this shard has room for another loan.
func (l *Loans) MayLend() bool { return l.opt.Lend && len(l.lent) < maxLoans }

// Lend lends a torrent whose home is here, and in which nobody is, to shard k. The announce that asked for it must go
// back to k as the first one that is passed on.
func (l *Loans) Lend(hash *swarm.ID, k int) {
	l.lent[*hash] = loan{to: uint32(k), sent: 1}
	l.by[k]++
	l.stats.Lends++
}

// Next returns the number of the next announce that is passed on for a torrent that is lent; of the first one it is 1.
func (l *Loans) Next(hash *swarm.ID) uint32 { return l.lent[*hash].sent + 1 }

// PassedOn counts a request that was passed on to the holder of a torrent that is lent.
func (l *Loans) PassedOn(hash *swarm.ID, announce bool) {
	l.stats.Passed++
	if announce {
		loan := l.lent[*hash]
		loan.sent++
		l.lent[*hash] = loan
	}
}

// Holders returns the shards that hold torrents whose home is here: bit k%64 stands for shard k.
func (l *Loans) Holders() (mask uint64) {
	if len(l.lent) == 0 {
		return 0
	}
	for k, n := range l.by {
		if n > 0 {
			mask |= 1 << (k % 64)
		}
	}
	return mask
}

// Hold notes that the home of a torrent has passed its announce number n on to this shard, which therefore holds it.
func (l *Loans) Hold(hash *swarm.ID, n uint32) {
	place, ok := l.held[*hash]
	if !ok {
		place = uint32(len(l.list))
		l.held[*hash] = place
		l.list = append(l.list, guest{hash: *hash})
	}
	l.list[place].seen = n
}

// Housekeep gives torrents back in which nobody is. empty says so of a torrent, and send sends it home with the number of
// the last announce; false means that there is no room for that now.
func (l *Loans) Housekeep(now int64, empty func(*swarm.ID) bool, send func(home int, hash *swarm.ID, seen uint32) bool) (more bool) {
	n, more := l.scan.Due(now, len(l.list), returnPeriod, maxLooks)
	for range n {
		if l.at >= len(l.list) {
			l.at = 0
		}
		if len(l.list) == 0 {
			return false
		}
		g := &l.list[l.at]
		if !empty(&g.hash) || !send(l.Home(&g.hash), &g.hash, g.seen) {
			l.at++
			continue
		}
		l.drop(l.at)
	}
	return more
}

// drop forgets the torrent at a place of the list, which the last one takes.
func (l *Loans) drop(at int) {
	delete(l.held, l.list[at].hash)
	last := len(l.list) - 1
	if at != last {
		l.list[at] = l.list[last]
		l.held[l.list[at].hash] = uint32(at)
	}
	l.list = l.list[:last]
}

// Return takes a torrent back that shard k held until it had read announce number seen. It reports false, and the loan
// goes on, where another announce is on its way to k.
func (l *Loans) Return(hash *swarm.ID, k int, seen uint32) bool {
	loan, ok := l.lent[*hash]
	if !ok || int(loan.to) != k || loan.sent != seen {
		l.stats.Kept++
		return false
	}
	delete(l.lent, *hash)
	l.by[k]--
	l.stats.Returned++
	return true
}
