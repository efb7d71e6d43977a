// Package floor is a server that moves the bytes that a WebTorrent tracker has to move, and does nothing else. Its cost
// is the cost of the kernel, and a tracker's cost is shown as a multiple of it.
//
// It runs on the same ring as the tracker, with the same plan, the same batching window, and one send a turn for all
// bytes that wait for a connection. It receives the messages of millrace-load, takes the masks off, keeps the
// incomplete ones, and writes the same replies, offers and answers as the tracker, byte for byte as long. It leaves out
// the thinking of a tracker: it parses no JSON but finds the fields by their offsets (layout.go), looks nothing up but
// uses the numbers in millrace-load's ids as indexes (members.go), makes no random choice, remembers no offer, checks
// nothing, and guards against no client.
//
// Clients and torrents may have numbers up to 1<<18. The server has one thread. A tracker with more shards moves bytes
// between them too; there is no floor for that.
//
// With a [Fault] it relays some messages wrongly, to prove that the load tester notices.
package floor

import (
	"sync/atomic"

	"millrace/ring"
	"millrace/ring/pool"
)

// Floor is the server without its ring: events go in, operations come out.
type Floor struct {
	pool     *pool.Pool // for sends
	partials *pool.Pool // for incomplete messages
	conns    []conn
	members
	layouts layouts
	dirty   []uint32 // connections that may have something to send
	ops     []ring.Op
	fault   Fault
	faults  struct{ offers, answers, replies faultState }
	stats   Stats
	dropped struct{ offers, answers atomic.Uint64 }
}

// Stats are the counts of a floor server.
type Stats struct {
	Announces      uint64
	Offers         uint64 // relayed
	Answers        uint64 // relayed
	OffersDropped  uint64 // because too much waited for the receiver, or memory was short
	AnswersDropped uint64 // the same, or because the receiver has left
	Unknown        uint64 // messages that millrace-load does not send
	NoMemory       uint64 // frames for which the pool had no memory

	SpoiledOffers, SpoiledAnswers, SpoiledReplies uint64 // by the Fault
}

// drop counts an offer or answer that is not relayed.
func (f *Floor) drop(answer bool) {
	if answer {
		f.dropped.answers.Add(1)
	} else {
		f.dropped.offers.Add(1)
	}
}

// Dropped returns how many offers and answers were not relayed so far. It may be called by any goroutine.
func (f *Floor) Dropped() (offers, answers uint64) {
	return f.dropped.offers.Load(), f.dropped.answers.Load()
}

// New returns a server with room for so many connections. pool is that of its ring, partials holds incomplete messages;
// both stay the caller's.
func New(pool, partials *pool.Pool, connections int, fault Fault) *Floor {
	return &Floor{pool: pool, partials: partials, conns: make([]conn, connections), fault: fault,
		members: members{free: none}, layouts: newLayouts()}
}

// Stats returns the counts so far.
func (f *Floor) Stats() Stats {
	s := f.stats
	s.OffersDropped, s.AnswersDropped = f.Dropped()
	return s
}
