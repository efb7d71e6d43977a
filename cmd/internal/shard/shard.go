// Package shard is the event loop of the tracker: one pinned thread with one ring, one connection table and one swarm
// table.
//
// A [Shard] is advanced by [Shard.Step], which turns events into ops and does nothing else: it never blocks, reads no
// clock and touches no descriptor. [Run] (run.go) is the loop around it that does. Bytes flow through the files in this
// order: receive.go takes them from the ring and finds messages, route.go decides what they mean, deliver.go gathers
// the frames that go out. mail.go carries the same requests between shards, lifecycle.go says how connections end.
package shard

import (
	"hash/maphash"
	"net/netip"
	"time"

	"millrace/cmd/internal/mailbox"
	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// Options are a shard's settings. Times are in whole seconds.
type Options struct {
	ID, Shards     int // this shard's number, 0 ≤ ID < Shards, and how many there are
	MaxConnections int // capacity of the connection table, the same as the ring's

	OwnerSeed  [2]uint64    // which shard owns a torrent: the same for all shards
	SourceSeed maphash.Seed // fingerprints of client addresses: the same for all shards
	Swarm      swarm.Options

	MaxHead    int            // bytes of an upgrade request's head
	Limits     wsproto.Limits // bytes of a message and of a frame
	MaxPending int            // bytes of frames that wait for one connection's send; over it offers are dropped

	MaxOffers      int    // offers taken from one announce
	MaxScrape      int    // info hashes answered in one scrape
	Interval       uint32 // what announce replies tell clients
	ReplyToAnswers bool
	ShareFamilies  bool // IPv4 and IPv6 peers in one swarm
	MaxBadMessages int  // unusable messages in a row that a connection may send

	HandshakeTimeout uint32 // from accept to a whole upgrade request
	PingInterval     uint32 // silence after which a connection is pinged
	IdleTimeout      uint32 // silence after which it is closed
	SendTimeout      uint32 // a send that makes no progress, or a message that does not end, for so long
	CloseTimeout     uint32 // for the client's side of a closing handshake
	ShutdownTimeout  uint32 // for all connections together when the tracker stops

	FollowTorrents bool // a connection goes to the shard that owns the torrent it announces first

	TrustedProxies []netip.Prefix // from these, what they say of the client's address is believed
	ProxyProtocol  bool           // and their connections begin with a PROXY header

	TLS *TLSOptions // nil: none

	Healthy func() bool // answers health checks on the listener, quickly and from any thread; nil: there are none

	ScanPeriod  time.Duration // one pass over all connections, looking for deadlines
	SweepPeriod time.Duration // one pass over all peers, looking for old ones

	Census bool // that pass also counts the peers by the first bytes of their ids (see Census)
}

// Shard holds the state of one event loop. All of it belongs to the loop's thread.
type Shard struct {
	opt       Options
	conns     []conn // by Slot.Index
	used      uint32 // indices below it have been used at some time
	live      int    // connections not yet closed, in whatever state
	table     *swarm.Table
	census    *censusTaker // nil: none is taken
	sendPool  *ring.Pool   // frames on their way out: the ring's locked memory
	asmPool   *ring.Pool   // partial heads, messages and frames: ordinary memory
	in, out   []*mailbox.Box
	bells     []mailbox.Bell
	doors     []door
	goOut     []*crossing
	comeIn    []*crossing
	shownLive int       // live as the door says it
	arrivals  []arrival // connections that the ring is to adopt, by tag
	freeTags  []uint32
	waiting   []ring.Slot           // connections that could move but for the room in a mailbox
	secure    *secure               // nil without TLS
	isTrusted func(netip.Addr) bool // trusted, bound once so that its use does not allocate
	backlog   [][]swarm.Addr        // by shard: ends of connections for which its box had no room
	ended     ended                 // connections whose peers are to be removed

	ops   []ring.Op // of the Step under way
	dirty []uint32  // connections with frames that wait for the end of the Step
	open  room      // the reservation under way

	dec      wsproto.Decoder
	msg      wsproto.Message
	rest     []byte // what follows a PROXY header that came in pieces
	reading  []byte // what readFrames reads
	targets  []swarm.Target
	offerIDs []swarm.ID
	offers   []wsproto.Offer
	scraped  scrapeRecord

	scrapeMailed bool // serveScrape has sent the record on

	started  bool
	nanos    int64  // the Step's time
	now      uint32 // the same in seconds, starting above zero so that zero means never
	scan     pacedScan
	scanAt   uint32 // the next connection to look at
	sweep    pacedScan
	stop     stopState
	moreWork bool
	stats    Stats
}

// Wiring is what a shard shares with the others: In[k] brings mail from shard k, Out[k] takes mail to it (nil at its
// own number), Bells[k] says whether shard k sleeps. The rest is for connections that follow their torrents (move.go).
type Wiring struct {
	In, Out []*mailbox.Box
	Bells   []mailbox.Bell

	doors         []door
	comeIn, goOut []*crossing
}

// Wire makes the mailboxes between n shards, of size bytes each, and their bells.
func Wire(n, size int) []Wiring {
	bells, doors := make([]mailbox.Bell, n), make([]door, n)
	w := make([]Wiring, n)
	for k := range w {
		w[k] = Wiring{
			In: make([]*mailbox.Box, n), Out: make([]*mailbox.Box, n), Bells: bells,
			doors: doors, comeIn: make([]*crossing, n), goOut: make([]*crossing, n),
		}
	}
	for from := range n {
		for to := range n {
			if from != to {
				box := mailbox.New(size)
				w[from].Out[to], w[to].In[from] = box, box
				bridge := &crossing{}
				w[from].goOut[to], w[to].comeIn[from] = bridge, bridge
			}
		}
	}
	return w
}

// New returns a shard that has seen no event. sendPool is its ring's pool, asmPool may be any memory.
func New(o Options, sendPool, asmPool *ring.Pool, w Wiring) *Shard {
	taker := newCensusTaker(&o)
	s := &Shard{
		opt:      o,
		conns:    make([]conn, o.MaxConnections),
		table:    swarm.New(o.Swarm),
		census:   taker,
		sendPool: sendPool,
		asmPool:  asmPool,
		in:       w.In,
		out:      w.Out,
		bells:    w.Bells,
		doors:    w.doors,
		goOut:    w.goOut,
		comeIn:   w.comeIn,
		secure:   newSecure(o.TLS, o.MaxConnections),
		backlog:  make([][]swarm.Addr, o.Shards),
		ended:    ended{perStep: maxGonePerStep},
		dec:      wsproto.Decoder{MaxOffers: o.MaxOffers, MaxScrape: o.MaxScrape},
	}
	s.isTrusted = s.trusted
	return s
}

// Step advances the shard to the time now, a monotonic clock that only has to be the same for all of its Steps. It
// consumes events, which may point into receive buffers that are given back after Step, and appends to ops what the
// ring shall do. The work of one Step is bounded: what is left over makes Busy true.
func (s *Shard) Step(now time.Duration, events []ring.Event, ops []ring.Op) []ring.Op {
	s.ops = ops
	s.setTime(now)
	s.moreWork = false
	s.removeEnded()
	s.flushBacklog()
	s.retryMoves()
	for i := range events {
		s.event(&events[i])
	}
	s.readyTLS()
	s.readMail()
	s.housekeep()
	s.flush()
	s.publishLoad()
	s.publishMail()
	ops, s.ops = s.ops, nil
	return ops
}

// SetAccess changes which torrents are served. The peers of those that are not any more go with the next sweep. It is
// called between two Steps, by the loop's thread.
func (s *Shard) SetAccess(rule *swarm.Access) { s.table.SetAccess(rule) }

// Busy reports whether the last Step left work behind, so that the loop must not block before the next one.
func (s *Shard) Busy() bool { return s.moreWork }

// setTime derives the seconds of a Step. They start at 1: a zero time field means "never" in connections.
func (s *Shard) setTime(now time.Duration) {
	s.nanos = int64(now)
	s.now = uint32(now/time.Second) + 1
	if !s.started {
		s.started = true
		s.scan.last, s.sweep.last = s.nanos, s.nanos
	}
}

// event hands one event to the file that knows what it means.
func (s *Shard) event(e *ring.Event) {
	switch e.Kind {
	case ring.EventAccept:
		s.accepted(e)
	case ring.EventRecv:
		s.received(e)
	case ring.EventHangup:
		s.hungUp(e)
	case ring.EventSent:
		s.sent(e)
	case ring.EventClosed:
		s.closed(e)
	case ring.EventPaused:
		s.paused(e)
	case ring.EventAdopted:
		s.adopted(e)
	case ring.EventRefused:
		s.stats.Refused += uint64(e.N)
	case ring.EventAcceptFailed:
		s.stats.AcceptFailed++
		s.stats.LastAcceptError = e.Errno
	case ring.EventTick, ring.EventWake:
		// They only end the wait: mail and housekeeping have their turn in every Step.
	}
}

// Bounds of one Step's housekeeping and mail, in entries and records. They keep the longest Step short while letting
// a busy loop (thousands of Steps a second) and an idle one (a few ticks a second) keep up alike.
const (
	maxMailPerStep  = 4096 // records read from all boxes together
	maxScanPerStep  = 4096 // connections looked at
	maxSweepPerStep = 4096 // entries of the swarm table looked at
)

// housekeep gives each slow task a slice of work in proportion to the time that has passed.
func (s *Shard) housekeep() {
	n, more := s.scan.due(s.nanos, int(s.used), s.opt.ScanPeriod, maxScanPerStep)
	s.scanConns(n)
	s.moreWork = s.moreWork || more
	if n, more = s.sweep.due(s.nanos, s.table.Len(), s.opt.SweepPeriod, maxSweepPerStep); n > 0 {
		s.table.Sweep(s.now, n)
		s.moreWork = s.moreWork || more
	}
	s.stopSlice()
}

// pacedScan says how much of a table of n entries is due, so that one pass over the table takes one period.
type pacedScan struct {
	last int64 // nanoseconds up to which work has been handed out
}

// worthwhile is the least number of entries for which a scan is started, unless the last one is long ago.
const worthwhile = 64

// due returns how many of n entries to visit now, at most limit, and whether more are due already. A loop that was away
// for long is asked for one pass and not for all that it has missed.
func (p *pacedScan) due(now int64, n int, period time.Duration, limit int) (visit int, more bool) {
	p.last = max(p.last, now-int64(period))
	elapsed := now - p.last
	if n == 0 || elapsed <= 0 {
		p.last = now
		return 0, false
	}
	share := int(float64(n) * float64(elapsed) / float64(period))
	if share > limit {
		p.last += int64(float64(period) * float64(limit) / float64(n))
		return limit, true
	}
	if share < worthwhile && elapsed < int64(period)/16 {
		return 0, false
	}
	p.last = now
	return min(share+1, n, limit), false
}
