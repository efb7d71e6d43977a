package swarm

// This file owns the membership of swarms: an announce adds, updates, moves or removes a peer, and a connection
// that closes takes its peers with it.

// Left says whether the peer of an announce has yet to download bytes.
type Left uint8

// The values of Left.
const (
	LeftUnknown Left = iota // not said: a known peer stays what it is, a new one is a leecher
	LeftZero                // nothing: a seeder
	LeftMore                // something: a leecher
)

// Event is the change that an announce reports.
type Event uint8

// The values of Event.
const (
	EventUpdate    Event = iota // the peer is there
	EventStopped                // the peer leaves
	EventCompleted              // the peer has the whole torrent: a seeder, for every Left
)

// Announce is one peer's message about one torrent. The table keeps nothing of it.
type Announce struct {
	Key    Key
	Peer   ID
	From   Addr
	Source uint64 // keyed hash of the client's IP address, the same in all announces of one connection
	Origin uint32 // the caller's number for that address, 1 to MaxOrigin, or 0 for none: the same for one connection
	Full   bool   // Origin may have no more peers (see Options.Count): no new one is added
	Left   Left
	Event  Event
	Offers []ID // ids of the offers that may be relayed
}

// seeder reports whether an announce makes its peer a seeder. before is what the peer was.
func (a *Announce) seeder(before bool) bool {
	return a.Event == EventCompleted || a.Left == LeftZero || a.Left == LeftUnknown && before
}

// Status is the effect of an announce.
type Status uint8

// The values of Status.
const (
	StatusUpdated        Status = iota // the peer was there and belongs to From
	StatusAdded                        // the peer is new
	StatusRemoved                      // the peer has stopped and is gone
	StatusAbsent                       // the peer has stopped but was not there
	StatusNotOwner                     // the peer has another connection and enough successors: nothing changed or relayed
	StatusSuccessor                    // the peer belongs to another connection, Result.Owner, and From is a successor
	StatusForbidden                    // the torrent is not served (see SetAccess): nothing changed, no counts
	StatusTableFull                    // the table has as many peers as it may: nothing changed
	StatusConnectionFull               // the connection has as many peers as it may: nothing changed
	StatusTooManyIDs                   // the connection has as many peer ids in this swarm as it may: nothing changed
	StatusAddressFull                  // the client's address has as many peers as it may (Announce.Full): nothing changed

	Statuses // how many there are
)

var statusNames = [Statuses]string{"updated", "added", "removed", "absent", "not owner", "successor", "forbidden",
	"table full", "connection full", "too many ids", "address full"}

func (s Status) String() string {
	if s < Statuses {
		return statusNames[s]
	}
	return "unknown status"
}

// Result is the answer to an announce: the seeders and leechers of the swarm after it on all nodes, the
// announcing peer included, and its effect.
type Result struct {
	Complete, Incomplete uint32
	Status               Status

	// Owner is the connection of the peer if the status is StatusSuccessor. The caller should ask it whether it is still
	// there, and call Yield if it does not answer.
	Owner Addr

	Seeder bool // the sender is one; false where nothing is relayed
}

// peer is one peer id in one swarm: the member that everybody sees, or one of its successors.
type peer struct {
	id        ID
	swarm     uint32 // slot of its swarm
	conn      uint32 // slot of its connection; 0 only in a free record
	seen      uint32 // when it last announced
	place     uint32 // its entry in swarm.members; of a successor, its number in line
	connPlace uint16 // its entry in its connection's list
	seeder    bool
	role      role
}

// swarm is one torrent, or the peers of one IP version in it. A swarm has at least one peer.
type swarm struct {
	hash       ID
	members    list      // slots of the peers, class by class
	ends       [2]uint32 // places in members at which the fresh leechers end, and the fresh seeders behind them
	seeders    uint32
	downloaded uint32
	family     uint8
	noted      bool // it waits to be reported
	shared     bool // other nodes have or had peers of it: see remote
}

func (s *swarm) key() Key { return Key{Hash: s.hash, Family: s.family} }

// conn is a connection of this node that has at least one peer.
type conn struct {
	index, gen uint32 // see Addr
	source     uint32 // the client's address: Announce.Origin, or noOrigin and bits of Announce.Source
	ref        uint32 // with n: the list of the slots of its peers
	shard      uint16 // see Addr
	n          uint16
}

func (c *conn) addr() Addr                        { return Addr{Index: c.index, Gen: c.gen, Shard: c.shard} }
func (c *conn) peers() list                       { return list{ref: c.ref, n: uint32(c.n)} }
func (c *conn) setPeers(l list)                   { c.ref, c.n = l.ref, uint16(l.n) }
func (t *Table) quietAt(now uint32, p *peer) bool { return now-p.seen >= t.o.MaxPeerAge }

// noOrigin marks a source that is no origin. The rest of it are 31 bits of a keyed hash, so a stranger cannot aim at them.
const noOrigin = 1 << 31

// MaxOrigin is the greatest Announce.Origin.
const MaxOrigin = noOrigin - 1

// source returns what a connection keeps of the address of its client.
func (a *Announce) source() uint32 {
	if a.Origin != 0 {
		if a.Origin > MaxOrigin {
			panic("BUG: swarm.Announce.Origin is greater than MaxOrigin")
		}
		return a.Origin
	}
	return uint32(a.Source>>32) ^ uint32(a.Source) | noOrigin
}

func (t *Table) hashPeer(s uint32, id *ID) uint64 {
	h := newHash(t.o.Seed, usePeer)
	h.word(uint64(s))
	h.id(id)
	return h.sum()
}

func (t *Table) hashSwarm(k *Key) uint64 {
	h := newHash(t.o.Seed, useSwarm)
	h.word(uint64(k.Family))
	h.id(&k.Hash)
	return h.sum()
}

func (t *Table) hashConn(a Addr) uint64 {
	h := newHash(t.o.Seed, useConn)
	h.word(uint64(a.Index)<<32 | uint64(a.Gen))
	h.word(uint64(a.Node)<<16 | uint64(a.Shard))
	return h.sum()
}

// findPeer returns the slot of the member of the swarm at slot s that has a peer id, or 0.
func (t *Table) findPeer(s uint32, id *ID) uint32 {
	return t.peers.find(t.hashPeer(s, id), func(p *peer) bool { return p.role.member() && p.swarm == s && p.id == *id })
}

func (t *Table) findSwarm(k *Key) uint32 {
	return t.swarms.find(t.hashSwarm(k), func(s *swarm) bool { return s.hash == k.Hash && s.family == k.Family })
}

func (t *Table) findConn(a Addr) uint32 {
	return t.conns.find(t.hashConn(a), func(c *conn) bool { return c.addr() == a })
}

// Announce updates the swarm and relays offers: a.Offers[i] goes to the i-th Target that is appended to
// targets. The targets are a random sample without replacement of the other peers of the swarm, never the
// sender's peer id (see pick.go). The last offers are not relayed if there are fewer other peers, or if one
// peer or the whole table may not remember so many (see [Options]).
//
// now is in seconds since an arbitrary start and never goes back. Nothing of a is kept.
func (t *Table) Announce(now uint32, a *Announce, targets []Target) (Result, []Target) {
	if !t.Allowed(&a.Key.Hash) {
		return Result{Status: StatusForbidden}, targets
	}
	s := t.findSwarm(&a.Key)
	m := uint32(0) // the member, and then p: the sender's record
	if s != 0 {
		m = t.findPeer(s, &a.Peer)
	}
	p, r := m, Result{}
	switch {
	case a.Event == EventStopped:
		r.Status = t.stop(a, s, m)
	case m == 0:
		s, p, r.Status = t.join(now, a, s)
		m = p
	case t.conns.at(t.peers.at(m).conn).addr() == a.From:
		r.Status = t.update(now, a, m)
	default:
		p, r.Status = t.succeed(now, a, m)
	}
	switch r.Status {
	case StatusSuccessor:
		r.Owner = t.conns.at(t.peers.at(m).conn).addr()
		fallthrough
	case StatusAdded, StatusUpdated:
		r.Seeder = t.peers.at(p).seeder
		targets = t.relay(now, a, p, m, targets)
	}
	// A swarm that has just lost its last peer is a cleared record, so its counts are zero.
	if s != 0 {
		sw := t.swarms.at(s)
		r.Complete, r.Incomplete = sw.seeders, sw.members.n-sw.seeders
		if sw.shared {
			if a := t.elsewhere(s); a != nil {
				r.Complete, r.Incomplete = r.Complete+a.sum.Seeders, r.Incomplete+a.sum.Leechers
			}
		}
	}
	return r, targets
}

// stop removes the sender's record of a peer id in the swarm at slot s, whose member is at slot m, 0 if there is none.
func (t *Table) stop(a *Announce, s, m uint32) Status {
	if m == 0 {
		return StatusAbsent
	}
	p := t.findRecord(s, &a.Peer, m, a.From)
	if p == 0 {
		return StatusNotOwner
	}
	t.leave(p)
	return StatusRemoved
}

// join adds a new peer to the swarm at slot s, or to a new swarm if s is 0.
func (t *Table) join(now uint32, a *Announce, s uint32) (swarmSlot, peerSlot uint32, status Status) {
	c, status := t.connWithRoom(a, s)
	if c == 0 {
		return s, 0, status
	}
	family := &t.families[familyIndex(a.Key.Family)]
	if s == 0 {
		s = t.swarms.insert(t.hashSwarm(&a.Key), swarm{hash: a.Key.Hash, family: a.Key.Family})
		family.torrents++
		t.cameOrWent(t.swarms.at(s))
	}
	family.peers++
	p := t.peers.insert(t.hashPeer(s, &a.Peer), peer{id: a.Peer, swarm: s, seen: now})
	t.attach(p, c)
	sw := t.swarms.at(s)
	t.peers.at(p).place = sw.members.n
	t.lists.push(&sw.members, p)
	t.quiet++ // the end of the list is the place of a quiet member
	t.set(p, a.seeder(false), true)
	return s, p, StatusAdded
}

// update notes that the member at slot p has announced.
func (t *Table) update(now uint32, a *Announce, p uint32) Status {
	pr := t.peers.at(p)
	pr.seen = now
	if a.Event == EventCompleted && !pr.seeder {
		t.swarms.at(pr.swarm).downloaded++
	}
	t.set(p, a.seeder(pr.seeder), true)
	return StatusUpdated
}

// connWithRoom returns the slot of the sender's connection if there may be one more peer of it in the swarm at
// slot s. If not, it returns 0 and the reason. It adds a record for a new connection.
func (t *Table) connWithRoom(a *Announce, s uint32) (c uint32, full Status) {
	c = t.findConn(a.From)
	n := 0
	if c != 0 {
		n = int(t.conns.at(c).n)
	}
	if t.peers.len() >= t.o.MaxPeers {
		return 0, StatusTableFull
	}
	if n >= t.o.MaxPeersPerConnection {
		return 0, StatusConnectionFull
	}
	if t.hasIDs(c, s, t.o.MaxIDsPerTorrent) {
		return 0, StatusTooManyIDs
	}
	if a.Full {
		return 0, StatusAddressFull
	}
	if c == 0 {
		if a.From.Node != 0 {
			panic("BUG: swarm.Announce.From is a connection of another node")
		}
		c = t.conns.insert(t.hashConn(a.From), conn{
			index: a.From.Index, gen: a.From.Gen, shard: a.From.Shard, source: a.source(),
		})
	}
	return c, StatusAdded
}
