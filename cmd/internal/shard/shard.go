// Package shard is the event loop of the tracker: one pinned thread with one ring, one connection table and one swarm
// table.
//
// A [Shard] is advanced by [Shard.Step], which turns events into ops and does nothing else: it never blocks, reads no
// clock but for Options.Clock, and touches no descriptor. [Run] (run.go) is the loop around it that does. A Shard
// conducts its parts, which live in the folders below this one and know nothing of it. The data flows down through the
// files in this order:
//
//	shard.go     Step: events and mail to the parts that they concern
//	receive.go   bytes → messages                     inbox keeps partial ones, tls.go decrypts
//	route.go     messages → the shard that holds the torrent       post carries requests there, by lend.go
//	serve.go     requests → swarm table → replies and relays       torrents has the table
//	deliver.go   payloads → frames at the shard of the connection  post carries payloads there, outbox sends frames
//
// door is where connections enter and leave, mover lets them follow their torrents, end.go ends them; deadlines.go and
// stop.go decide that it is time to.
package shard

import (
	"net/netip"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/deflate"
	"millrace/cmd/internal/shard/door"
	"millrace/cmd/internal/shard/inbox"
	"millrace/cmd/internal/shard/meter"
	"millrace/cmd/internal/shard/mover"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/shard/torrents"
	"millrace/cmd/internal/trace"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/swarm"
	"millrace/wsproto"
)

// Options are a shard's settings. Times are in whole seconds.
type Options struct {
	ID, Shards     int // this shard's number, 0 ≤ ID < Shards, and how many there are
	MaxConnections int // capacity of the connection table, the same as the ring's

	OwnerSeed  [2]uint64    // which shard owns a torrent: the same for all shards
	SourceSeed guard.Secret // fingerprints of client addresses: the same for all shards
	Swarm      swarm.Options
	Guard      Limits         // of one address or one connection
	Addresses  *guard.Table   // counts what each address uses, for all shards; nil: no limits for addresses
	Pressure   *atomic.Uint32 // how near the process is to its limit of memory, a [Pressure]; nil: there is no limit

	Origins    *wsproto.Origins // the web pages that may connect; nil: all
	MaxHead    int              // bytes of an upgrade request's head
	Limits     wsproto.Limits   // bytes of a message and of a frame
	MaxPending int              // bytes of frames that wait for one connection's send; over it offers are dropped

	MaxOffers      int    // offers taken from one announce
	MaxScrape      int    // info hashes answered in one scrape
	Interval       uint32 // the interval that announce replies tell clients
	ReplyToAnswers bool
	ShareFamilies  bool // IPv4 and IPv6 peers in one swarm
	MaxBadMessages int  // unusable messages in a row that a connection may send

	HandshakeTimeout uint32 // from accept to a whole upgrade request
	PingInterval     uint32 // silence after which a connection is pinged
	IdleTimeout      uint32 // silence after which it is closed
	SendTimeout      uint32 // a send that makes no progress, or a message that does not end, for so long
	CloseTimeout     uint32 // for the client's side of a closing handshake
	ShutdownTimeout  uint32 // for all connections together when the tracker stops

	Deflate       bool    // clients that offer to compress messages may
	DeflateMemory []byte  // for what was sent and is kept to compress what follows: any memory, which the shard uses from now on
	DeflateLoad   float64 // CPUs that the loop's thread needs above which nothing is compressed

	FollowTorrents bool // a connection goes to the shard of the torrent that it announces first, and others may come there

	TrustedProxies []netip.Prefix // their words about the client's address are believed
	Listeners      Listeners

	TLS *TLSOptions // nil: none

	// Clock is monotonic. It bounds the time that handshakes take of one Step, and measures that of compression. nil, without TLS
	// only: nothing is measured.
	Clock func() time.Duration

	// These answer requests on the listeners that are no upgrades, quickly and from any thread, with at most wsproto.MaxText
	// bytes; nil: there are no such answers.
	Health func() (text string, ok bool)            // a health check; it fails without ok
	Token  func(path []byte) (text string, ok bool) // an ACME server's; without ok there is nothing at the path

	// Page returns the whole response to a GET of a path, of which the first head bytes answer HEAD; nil: there is no page.
	// known is what the client's copy is called (If-None-Match).
	Page func(path, known []byte) (response []byte, head int)

	ScanPeriod   time.Duration // one pass over all connections, looking for deadlines
	SweepPeriod  time.Duration // one pass over all peers, looking for old ones
	EndedPerStep int           // peers that one Step removes, old ones and of ended connections; 0: the product's bound

	Frozen bool          // it begins frozen, to inherit what another process has (see freeze.go)
	Awake  time.Duration // at which its seconds begin

	Census bool // that pass also counts the peers by the first bytes of their ids (see torrents.Census)
}

// Shard is one event loop's state. All of it belongs to the loop's thread.
type Shard struct {
	opt      Options
	turn     conn.Turn
	table    *conn.Table
	door     *door.Door
	inbox    *inbox.Inbox
	outbox   *outbox.Outbox
	post     *post.Post
	mover    *mover.Mover
	torrents *torrents.Torrents
	secure   *secure // nil without TLS
	meter    *meter.Meter
	scratch  scratch
	chores   chores
	stats    counters
}

// chores are the slow tasks of a shard.
type chores struct {
	scan   scan
	stop   stopState
	looks  []pendingLook
	freeze freezeState // see freeze.go
	abroad *abroad     // see abroad.go; nil: there are no other nodes

	load      float64 // CPUs that the loop needs
	mostConns int     // of all shards together, while memory is short; else noMost
}

// scratch is memory that is used again and again on the path of a message. Nothing in it outlives the call that fills
// it.
type scratch struct {
	dec      wsproto.Decoder
	msg      wsproto.Message
	announce post.Announce
	scrape   post.Scrape
	offerIDs []swarm.ID
	targets  []swarm.Target
	expander deflate.Expander
	packed   int // bytes of the message before it was expanded, 0: it came as it is
	seats    []swarm.Seat
	proxied  []byte // the bytes behind a PROXY header that came in pieces
}

// Wiring is all that a shard shares with the others.
type Wiring struct {
	Boxes post.Boxes
	Lanes mover.Lanes
}

// Wire makes the mailboxes between n shards, of size bytes each, and the lanes for connections that move.
func Wire(n, size int) []Wiring { return wired(post.Wire(n, size)) }

// WireBridge is Wire with the mailboxes of a bridge to other nodes (see post.Boxes).
func WireBridge(n, size int, wake func()) ([]Wiring, post.Boxes) {
	shards, bridge := post.WireBridge(n, size, wake)
	return wired(shards), bridge
}

func wired(boxes []post.Boxes) []Wiring {
	lanes := mover.Wire(len(boxes))
	w := make([]Wiring, len(boxes))
	for k := range w {
		w[k] = Wiring{boxes[k], lanes[k]}
	}
	return w
}

// New returns a shard that has seen no event. sendPool is its ring's pool, asmPool may be any memory.
func New(o Options, sendPool, asmPool *pool.Pool, w Wiring) *Shard {
	s := &Shard{opt: o}
	s.chores.freeze.on, s.chores.mostConns = o.Frozen, noMost
	s.turn.Start(o.Awake)
	s.turn.Stands = o.Frozen
	s.secure = newSecure(s)
	s.turn.Trace = trace.New(o.ID, trace.DefaultSize, &conn.Names)
	s.scratch.dec = wsproto.Decoder{MaxOffers: o.MaxOffers, MaxScrape: o.MaxScrape}
	s.table = conn.NewTable(o.ID, o.MaxConnections, o.TLS != nil)
	s.door = door.New(o.door(), s.table, &s.turn, s.secure.tlsEngine())
	s.inbox = inbox.New(asmPool, &s.turn, o.Addresses)
	s.outbox = outbox.New(o.outbox(), sendPool, s.table, &s.turn, s.inbox, deflate.NewPacker(s.table, o.DeflateMemory, o.Clock))
	s.scratch.expander = deflate.NewExpander(o.Clock)
	s.meter = meter.New(o.Guard.meter(), s.table, &s.turn)
	s.post = post.New(o.ID, w.Boxes, &s.turn)
	s.mover = mover.New(mover.Options{Shard: o.ID, Shards: o.Shards, Follow: o.FollowTorrents, Patience: o.CloseTimeout},
		mover.Parts{Table: s.table, Turn: &s.turn, Door: s.door, Inbox: s.inbox, Outbox: s.outbox, Post: s.post}, w.Lanes)
	s.torrents = torrents.New(o.torrents(), &s.turn)
	s.chores.abroad = newAbroad(s)
	return s
}

// Close ends the handshakes of TLS. It is called by the loop's thread, behind the last Step.
func (s *Shard) Close() { s.secure.close() }

// Step advances the shard to the time now, a monotonic clock that only has to be the same for all of its Steps. It
// consumes events, which may point into receive buffers that are given back after Step, and appends to ops the
// orders for the ring. The work of one Step is bounded: work that is left over makes Busy true.
func (s *Shard) Step(now time.Duration, events []ring.Event, ops []ring.Op) []ring.Op {
	s.turn.Begin(now, ops)
	s.stats.replies.begin(now)
	s.secure.setTime(s.turn.Awake())
	if s.chores.freeze.on {
		s.stepFrozen(events)
		return s.turn.End()
	}
	s.heedPressure()
	s.torrents.RemoveEnded()
	s.post.FlushBacklog()
	s.mover.Retry()
	s.readPostponed()
	for i := range events {
		s.event(&events[i])
	}
	s.readMail()
	s.handshakes()
	s.housekeep()
	s.flush()
	s.mover.PublishLoad(s.torrents.Sizes())
	s.post.Publish()
	return s.turn.End()
}

// stepFrozen is the part of a Step that a frozen shard has. Connections that were on their way out go on to their end.
func (s *Shard) stepFrozen(events []ring.Event) {
	s.post.FlushBacklog()
	for i := range events {
		e := &events[i]
		if s.event(e); s.enters(e) {
			s.freezeConn(e.Slot.Index, s.table.At(e.Slot.Index))
		}
	}
	s.readMail()
	s.lookSlice()
	s.flush()
	s.post.Publish()
}

// event hands one event to the function that knows what it means.
func (s *Shard) event(e *ring.Event) {
	switch i := e.Slot.Index; e.Kind {
	case ring.EventAccept:
		s.accepted(i, e)
	case ring.EventRecv:
		s.received(i, s.table.Named(e.Slot), e.Data)
	case ring.EventHangup:
		s.endHangup(i, s.table.Named(e.Slot), e.Errno)
	case ring.EventSent:
		s.sent(i, s.table.Named(e.Slot), e)
	case ring.EventClosed:
		s.endClosed(i, s.table.Named(e.Slot))
	case ring.EventPaused:
		s.mover.Paused(i, s.table.Named(e.Slot), e.FD)
	case ring.EventAdopted:
		if e.Tag&heirTag != 0 {
			s.inherited(i, e)
		} else {
			s.adopted(i, e)
		}
	case ring.EventRefused, ring.EventAcceptFailed:
		s.door.Refused(e)
	case ring.EventTick, ring.EventWake:
		// They only end the wait: mail and housekeeping have their turn in every Step.
	}
}

// accepted lets a new connection in.
func (s *Shard) accepted(i uint32, e *ring.Event) {
	c, verdict := s.door.Accept(e)
	switch {
	case verdict != guard.Admitted:
		s.endNow(i, c, conn.ReasonAddressLimit, true)
	case s.door.Closed():
		s.endStopping(i, c)
	case s.chores.mostConns < noMost && s.mover.Everywhere() > s.chores.mostConns:
		s.endNow(i, c, conn.ReasonPressure, true)
	}
}

// adopted lets in a connection that has come from another shard, and has it go on.
func (s *Shard) adopted(i uint32, e *ring.Event) {
	c, used, whole := s.mover.Adopted(e)
	if c != nil {
		s.carryOn(c, &used)
	}
	switch {
	case c == nil:
	case s.door.Closed():
		s.stopConn(i, c)
	case c.Flags.Has(conn.Encrypted) && s.table.TLS(i).Err() != nil:
		s.endTLS(i, c, s.table.TLS(i).Err())
	case !whole:
		s.endNoMemory(i, c)
	default:
		s.readKept(i, c)
	}
}

// carryOn gives a connection that has come from another shard what it had there.
func (s *Shard) carryOn(c *conn.Conn, used *post.Used) {
	if c.Flags.Has(conn.Deflates) {
		c.Reader.Agree()
	}
	c.BytesIn, c.Messages = used.BytesIn, used.Messages
	s.door.CarryOn(c, used.Since)
	s.outbox.CarryOn(c, used.BytesOut, used.Dropped)
}

// sent goes on with a connection whose send is complete.
func (s *Shard) sent(i uint32, c *conn.Conn, e *ring.Event) {
	switch s.outbox.Sent(i, c, e) {
	case outbox.Goes:
	case outbox.Broken:
		s.endNow(i, c, conn.ReasonReset, false)
	case outbox.Left:
		s.advance(i, c)
	}
}

// flush sends the frames that the Step has gathered. Frames that cannot be encrypted for lack of memory are given up.
// They are whole frames, so their connection can go on without them; without the bytes of TLS itself it cannot.
func (s *Shard) flush() {
	for _, i := range s.outbox.Flush() {
		c := s.table.At(i)
		if c.OutLen == 0 || s.table.TLSPending(i) {
			s.endNow(i, c, conn.ReasonNoMemory, true)
			continue
		}
		s.outbox.Discard(c)
		s.advance(i, c)
	}
}

// advance moves on a connection that may have been waiting for its last bytes to leave.
func (s *Shard) advance(i uint32, c *conn.Conn) {
	s.endJoin(i, c)
	s.mover.Advance(i, c)
}

// housekeep gives each slow task a slice of work in proportion to the time that has passed.
func (s *Shard) housekeep() {
	s.scanConns()
	s.torrents.Housekeep()
	s.giveBack()
	s.reportAbroad()
	s.stopSlice()
	s.lookSlice()
}

// SetAccess changes which torrents are served. The peers of torrents that are not served any more go with the next
// sweep. It is called between two Steps, by the loop's thread.
func (s *Shard) SetAccess(rule *swarm.Access) {
	if s.turn.Now > 0 { // not before the first Step
		s.turn.NoteOrder(conn.OrderAccess)
	}
	s.torrents.SetAccess(rule)
}

// Trace returns a copy of the last events, in the memory of into where that is enough. It is called by the loop's
// thread.
func (s *Shard) Trace(into []trace.Record) trace.Copy { return s.turn.Trace.Copy(into) }

// Busy reports whether the last Step left work behind, so that the loop must not block before the next one.
func (s *Shard) Busy() bool { return s.turn.More }

// PrepareToSleep must be called by the loop before it blocks: it reports whether there is nothing to read, and from
// then on the others wake this shard when they write to it.
func (s *Shard) PrepareToSleep() bool { return s.post.PrepareToSleep() }

// AwakeAgain is called by the loop after its wait.
func (s *Shard) AwakeAgain() { s.post.AwakeAgain() }

// Census returns the census of the last whole pass over the peers, or nil if there is none. It is called by the loop's
// thread.
func (s *Shard) Census() *torrents.Census { return s.torrents.Census() }

// Abandon returns ops that take in the connections that other shards have sent here and nobody has read, so that
// closing the ring closes them too. It is for a loop that ends before its stop is complete, and is called when all
// loops have ended.
func (s *Shard) Abandon(ops []ring.Op) []ring.Op {
	var m post.Move
	for s.post.NextMove(&m) {
		ops = append(ops, ring.Op{Kind: ring.OpAdopt, FD: m.FD})
	}
	return ops
}
