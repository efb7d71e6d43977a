// Package mover lets connections follow their torrents. The kernel spreads clients over the shards by their addresses,
// so most of them find their torrent on another shard; their messages would have to be copied through mailboxes for as
// long as they stay. A connection whose first announce is for a torrent of another shard therefore goes there once,
// with its socket, its TLS state, that announce and all bytes that have come behind it:
//
//	here    open ─► moving: the ring is told to pause it, and the bytes that wait for the client leave
//	        paused, nothing to send, room in the mailbox ─► a record with all there is, and the slot is free
//	there   the ring adopts the descriptor ─► open, and the announce is read as if it had come there
//
// There it may learn that the torrent is lent to a third shard (see package loans), and goes on to that one, to stay.
//
// Until the record is written anything may happen instead: then the connection is open again where it was, the announce
// is read there, and goes by mail.
package mover

import (
	"net/netip"
	"sync/atomic"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/door"
	"millrace/cmd/internal/shard/inbox"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/trace"
	"millrace/ring"
	"millrace/tlsconn"
)

// A shard takes connections in while it has at most so many: enough to follow torrents whose owners are spread by a
// hash, and few enough that a swarm with everybody in it does not pull everybody to one core.
const (
	shareNum, shareDen = 5, 4 // times the mean of all shards
	slack              = 32   // and so many more
	tableNum, tableDen = 15, 16
	torrentSlack       = 480 // and so many more torrents and peers: in small swarms chance is larger
)

// Mover moves the connections of one shard. It belongs to the loop's thread.
type Mover struct {
	Parts
	opt       Options
	lanes     Lanes
	shownLive int // live connections as the other shards see them

	shownTorrents, shownPeers int // the same

	arrivals []arrival // connections that the ring is to adopt, by tag
	freeTags []uint32
	waiting  []ring.Slot // connections that could go but for the room in a mailbox
	stats    Stats
}

// Parts are the other parts of the shard that a mover works with.
type Parts struct {
	Table  *conn.Table
	Turn   *conn.Turn
	Door   *door.Door
	Inbox  *inbox.Inbox
	Outbox *outbox.Outbox
	Post   *post.Post
}

// Options are the settings of a mover.
type Options struct {
	Shard, Shards int
	Follow        bool   // connections follow their torrents
	Patience      uint32 // seconds that a move may take
}

// Stats are the counters of a mover. Their tags say how they are shown (see package stats).
type Stats struct {
	MovedIn      uint64 `metric:"connections_moved_total" label:"direction=in" help:"Connections that came from other shards (in) and went to them (out)."`
	MovedOut     uint64 `metric:"connections_moved_total" label:"direction=out"`
	MovesRefused uint64 `metric:"connections_not_moved_total" label:"reason=no_room" help:"Moves to another shard that did not happen; those with the reason table_full ended the connection."`
	MovesGivenUp uint64 `metric:"connections_not_moved_total" label:"reason=given_up"`
	MovesLost    uint64 `metric:"connections_not_moved_total" label:"reason=table_full"`
	MovedOn      uint64 `metric:"-"` // those of MovedIn that came from a second shard, the home of their torrent
	MovesWaiting int    `metric:"connections_waiting_to_move" help:"Connections that wait for room in the mailbox to another shard."`
}

// Lanes are the data that one shard shares with the others for connections that move.
type Lanes struct {
	loads         []load // by shard, the same for all
	comeIn, goOut []*crossing
}

// Wire makes the lanes between n shards.
func Wire(n int) []Lanes {
	loads := make([]load, n)
	all := make([]Lanes, n)
	for k := range all {
		all[k] = Lanes{loads: loads, comeIn: make([]*crossing, n), goOut: make([]*crossing, n)}
	}
	for from := range n {
		for to := range n {
			if from != to {
				x := &crossing{}
				all[from].goOut[to], all[to].comeIn[from] = x, x
			}
		}
	}
	return all
}

// New returns the mover of a shard.
func New(o Options, p Parts, lanes Lanes) *Mover { return &Mover{Parts: p, opt: o, lanes: lanes} }

// Stats returns the counters.
func (m *Mover) Stats() Stats {
	st := m.stats
	st.MovesWaiting = len(m.waiting)
	return st
}

// SetPatience changes Options.Patience.
func (m *Mover) SetPatience(seconds uint32) { m.opt.Patience = seconds }

// PublishLoad shows the other shards how many connections there are, and how many torrents and peers.
func (m *Mover) PublishLoad(torrents, peers int) {
	l := &m.lanes.loads[m.opt.Shard]
	for _, f := range [...]struct {
		shown *int
		now   int
		to    *atomic.Int64
	}{{&m.shownLive, m.Table.Live(), &l.live}, {&m.shownTorrents, torrents, &l.torrents}, {&m.shownPeers, peers, &l.peers}} {
		if *f.shown != f.now {
			*f.shown = f.now
			f.to.Store(int64(f.now))
		}
	}
}

// TakesTorrent reports whether shard k may be lent a torrent: it has at most a quarter more torrents, peers and connections
// than the mean.
func (m *Mover) TakesTorrent(k int) bool {
	torrents, peers := int64(0), int64(0)
	for j := range m.lanes.loads {
		torrents += m.lanes.loads[j].torrents.Load()
		peers += m.lanes.loads[j].peers.Load()
	}
	fair := func(total int64) int64 { return int64(FairShare(int(total), m.opt.Shards)) + torrentSlack }
	l := &m.lanes.loads[k]
	return m.hasRoom(k) && l.torrents.Load() < fair(torrents) && l.peers.Load() < fair(peers)
}

// Coming returns how many connections are on their way to this shard.
func (m *Mover) Coming() int { return int(max(m.lanes.loads[m.opt.Shard].coming.Load(), 0)) }

// Everywhere returns how many connections all shards have or will have: this one as of now, the others as of their last
// Steps. One on its way counts twice.
func (m *Mover) Everywhere() int {
	total := m.Coming() + m.Table.Live()
	for k := range m.lanes.loads {
		if k != m.opt.Shard {
			total += int(m.lanes.loads[k].all())
		}
	}
	return total
}

// CloseUp lets no connection come any more, and reports false while one is on its way here.
func (m *Mover) CloseUp() bool { return m.lanes.loads[m.opt.Shard].closeUp() }

// FairShare returns how many of so many connections a shard has at most when it takes one in.
func FairShare(connections, shards int) int { return connections*shareNum/(shareDen*shards) + slack }

// hasRoom reports whether shard k takes one more connection in.
func (m *Mover) hasRoom(k int) bool {
	total := int64(0)
	for j := range m.lanes.loads {
		total += m.lanes.loads[j].all()
	}
	share := int64(FairShare(int(total), m.opt.Shards))
	table := int64(m.Table.Cap()) * tableNum / tableDen
	return m.lanes.loads[k].all() < min(share, table)
}

// Begin decides, once in the life of a connection, whether it goes to shard k, which holds the torrent that it announces
// first or is its home, and begins the move: open ─► moving. At the home it decides once more. The caller must be able to
// have the announce read again; unread does that, and reports false if it cannot.
func (m *Mover) Begin(i uint32, c *conn.Conn, k int, unread func() bool) bool {
	if m.opt.Shards == 1 || !m.opt.Follow || c.State() != conn.Open || c.Flags.Has(conn.Settled) {
		return false
	}
	c.Flags |= conn.Settled
	if k == m.opt.Shard || c.Owners != 0 || c.Asks != 0 || c.Flags.Has(conn.HungUp) || m.Door.Closed() {
		return false
	}
	if !m.hasRoom(k) || !m.lanes.loads[k].enter() {
		m.stats.MovesRefused++
		return false
	}
	if !unread() {
		m.lanes.loads[k].leave()
		m.stats.MovesRefused++
		return false
	}
	c.Target = uint16(k)
	c.Deadline = m.Turn.Now + m.opt.Patience
	m.Table.Change(c, conn.Follows)
	r := m.Turn.Note(i, c, trace.Move)
	r.Decision, r.To = trace.Moving, uint32(k)
	m.Turn.Do(ring.Op{Kind: ring.OpPause, Slot: m.Table.Slot(i)})
	return true
}

// Paused notes that nothing more is received for a connection, whose descriptor is fd.
func (m *Mover) Paused(i uint32, c *conn.Conn, fd int32) {
	if c.State() != conn.Moving {
		return // it stays, and the ring has not heard of it yet
	}
	c.FD = fd
	c.Flags |= conn.Paused
	m.Advance(i, c)
}

// Advance sends a connection away when it is ready to go.
func (m *Mover) Advance(i uint32, c *conn.Conn) {
	if c.State() != conn.Moving || !c.Flags.Has(conn.Paused) || !m.Outbox.Idle(i, c) {
		return
	}
	if !m.sendAway(i, c) {
		m.waiting = append(m.waiting, m.Table.Slot(i))
	}
}

// Retry sends connections away for which there was no room in a mailbox, longest waiting first. Each Step tries again,
// a tick at the latest, until their time is up: the other shard has much to do now, and so they wait.
func (m *Mover) Retry() {
	kept, full := m.waiting[:0], uint64(0)
	for _, slot := range m.waiting {
		c := m.Table.Find(slot.Index, slot.Gen)
		if c == nil || c.State() != conn.Moving {
			continue
		}
		if bit := uint64(1) << (c.Target % 64); full&bit != 0 || !m.sendAway(slot.Index, c) {
			full |= bit
			kept = append(kept, slot)
		}
	}
	m.waiting = kept
}

// Stay ends a move: moving ─► open. It reports whether there was one. Unread bytes stay unread.
func (m *Mover) Stay(i uint32, c *conn.Conn) bool {
	if c.State() != conn.Moving {
		return false
	}
	m.lanes.loads[c.Target].leave()
	m.stats.MovesGivenUp++
	c.Flags &^= conn.Paused
	m.Table.Change(c, conn.Stays)
	m.Turn.Note(i, c, trace.Move).Decision = trace.Staying
	m.Turn.Do(ring.Op{Kind: ring.OpResume, Slot: m.Table.Slot(i)})
	return true
}

// carried are the flags that a connection keeps when it goes to another shard.
const carried = conn.Established | conn.Encrypted | conn.Notified | conn.Moved | conn.Deflates | conn.Alone | conn.Narrow

// sendAway mails a connection to the shard it goes to. It reports false, and has done nothing, where there is no room.
func (m *Mover) sendAway(i uint32, c *conn.Conn) bool {
	k := int(c.Target)
	encrypted := c.Flags.Has(conn.Encrypted)
	if encrypted && m.lanes.goOut[k].full() {
		return false
	}
	sent := m.Post.Move(k, &post.Move{
		Flags: uint32(c.Flags & carried), FD: c.FD, Addr: c.Addr, Port: c.Port, Guard: c.Guard,
		Used: post.Used{
			Since: m.Turn.Now - min(c.Since, m.Turn.Now), BytesIn: c.BytesIn, BytesOut: c.BytesOut,
			Messages: c.Messages, Dropped: c.Dropped,
		},
		Unread: m.Inbox.Bytes(c),
	})
	if !sent {
		return false
	}
	if encrypted {
		t := m.Table.TakeTLS(i)
		t.Detach()
		m.lanes.goOut[k].put(t)
	}
	m.Turn.Do(ring.Op{Kind: ring.OpRelease, Slot: m.Table.Slot(i)})
	m.Inbox.Free(c)
	m.Outbox.Forget(c)
	m.stats.MovedOut++
	r := m.Turn.Note(i, c, trace.Move)
	r.Decision, r.To = trace.Moved, uint32(k)
	m.Door.Leave(i, conn.Released)
	return true
}

// arrival is a connection whose descriptor the ring has been asked to adopt.
type arrival struct {
	from   int // the shard from which it comes
	guard  guard.Ref
	client netip.AddrPort
	tls    *tlsconn.Conn
	unread inbox.Parcel
	used   post.Used
	flags  conn.Flags
}

// Arrive takes in a connection that shard k has mailed.
func (m *Mover) Arrive(k int, rec *post.Move) {
	a := arrival{
		from:   k,
		guard:  rec.Guard,
		flags:  conn.Flags(rec.Flags),
		used:   rec.Used,
		client: netip.AddrPortFrom(netip.AddrFrom16(rec.Addr), rec.Port),
		unread: m.Inbox.Pack(rec.Unread),
	}
	if a.flags.Has(conn.Encrypted) {
		a.tls = m.lanes.comeIn[k].take()
	}
	tag := uint32(len(m.arrivals))
	if n := len(m.freeTags); n > 0 {
		tag, m.freeTags = m.freeTags[n-1], m.freeTags[:n-1]
		m.arrivals[tag] = a
	} else {
		m.arrivals = append(m.arrivals, a)
	}
	m.Turn.Do(ring.Op{Kind: ring.OpAdopt, FD: rec.FD, Tag: tag})
}

// Adopted puts a connection that has arrived into its slot. It returns nil where the ring had no place for it, and
// reports whether there was memory for its unread bytes, and what it has used before.
func (m *Mover) Adopted(e *ring.Event) (c *conn.Conn, used post.Used, whole bool) {
	a := m.arrivals[e.Tag]
	m.arrivals[e.Tag] = arrival{}
	m.freeTags = append(m.freeTags, e.Tag)
	m.lanes.loads[m.opt.Shard].leave()
	if e.Errno != 0 {
		m.stats.MovesLost++
		m.Door.Lost(a.guard)
		m.Inbox.Discard(a.unread)
		if a.tls != nil {
			a.tls.Close()
		}
		return nil, used, false
	}
	m.stats.MovedIn++
	if a.flags.Has(conn.Moved) {
		m.stats.MovedOn++
		a.flags |= conn.Settled
	}
	c = m.Door.Adopt(e.Slot, a.tls, a.flags|conn.Moved, a.client, a.guard)
	m.Turn.Note(e.Slot.Index, c, trace.Adopted).N = uint32(a.from)
	return c, a.used, m.Inbox.Unpack(c, a.unread)
}
