package swarm

// This file owns the Table as a whole: its parts, its counts, and scrapes.

import "math/rand/v2"

// ID is an info hash, a peer id or an offer id: 20 bytes that a client chose.
type ID = [20]byte

// Key names a swarm: an info hash, and the IP version whose peers it holds.
type Key struct {
	Hash   ID
	Family uint8 // 4, 6, or 0 when a swarm is shared across IP versions
}

// Addr names a connection: the node and the shard that hold it, its place in that shard's table of connections,
// and the generation of that place, which changes when a connection leaves it. Node is 0 for all connections of this
// node; the caller numbers the others.
type Addr struct {
	Index, Gen uint32
	Shard      uint16
	Node       uint16
}

// Table holds the swarms that one shard owns. It is not safe for concurrent use.
type Table struct {
	o Options

	peers  records[peer]
	swarms records[swarm]
	conns  records[conn]
	seats  records[seats]
	lists  pool
	offers offers
	random rand.PCG
	choice choice

	access    Access
	enforcing enforcement

	families [3]familyCounts
	seeders  int
	quiet    int

	successors int
	line       uint32 // number of the last successor

	agedOut   uint64
	forbidden uint64

	handedOver uint64
	left       uint64 // records of peers that have been removed

	cursor  uint32 // slot of the last peer that Sweep visited, 0 after the last of all
	swept   uint32 // slots visited in a row at sweptAt
	sweptAt uint32

	changes changes
	remote  remote
}

// familyCounts counts the swarms of one IP version and their peers.
type familyCounts struct{ torrents, peers int }

// New returns an empty Table. It panics if a limit is negative. It lowers a limit that is more than a table can
// hold (see [MaxPeersLimit] and the others) to that.
func New(o Options) *Table {
	o.limit()
	// Receivers see the sample. They might learn its state from that, but must not learn the hash key.
	high, low := newHash(o.Seed, useRandom), newHash(o.Seed, useRandom+1)
	t := &Table{o: o, random: *rand.NewPCG(high.sum(), low.sum())}
	t.peers.hash = func(p *peer) uint64 { return t.hashPeer(p.swarm, &p.id) }
	t.swarms.hash = func(s *swarm) uint64 { k := s.key(); return t.hashSwarm(&k) }
	t.conns.hash = func(c *conn) uint64 { return t.hashConn(c.addr()) }
	t.seats.hash = func(x *seats) uint64 { return t.hashSeats(x.swarm, x.conn) }
	t.changes.notes.hash = func(n *note) uint64 { k := n.key(); return t.hashSwarm(&k) }
	t.offers.init(o.Seed)
	t.remote.init(&o)
	return t
}

// Counts says how much a Table holds now (the fields of type int), and how much it has dropped since it was made. The
// tags name and explain the counts for a metrics page; "-" marks those that it does not show, or shows by IP version.
type Counts struct {
	Torrents, Peers int `metric:"-"`
	Connections     int `metric:"-"` // that have peers here

	Seeders       int `metric:"seeders" help:"Peers that have the whole torrent."`
	Quiet         int `metric:"quiet_peers" help:"Peers that have not announced for max_peer_age but are still connected."`
	Successors    int `metric:"successor_peers" help:"Peers of connections that wait, uncounted, for a peer id that another connection has."`
	PendingOffers int `metric:"pending_offers" help:"Relayed offers that are not answered yet."`
	Unreported    int `metric:"cluster_torrents_unreported" help:"Torrents whose counts have changed and that wait to be told to other nodes."`
	Remote        int `metric:"cluster_torrents_shared" help:"Torrents that other nodes have peers of too."`
	RemoteEntries int `metric:"cluster_torrents_elsewhere" help:"The other nodes of each of these, in all."`
	Guests        int `metric:"cluster_guests" help:"Peers of other nodes whose offers wait for answers here."`
	Bytes         int `metric:"swarm_bytes" help:"Memory taken for torrents, peers and offers, free records included."`

	OffersExpired   uint64 `metric:"offers_expired_total" help:"Relayed offers that nobody answered in time."`
	OffersPushedOut uint64 `metric:"offers_pushed_out_total" help:"Relayed offers that gave way to others because there were too many."`
	GuestsPushedOut uint64 `metric:"cluster_guests_pushed_out_total" help:"Such peers that gave way to others because there were too many."`
	PeersAgedOut    uint64 `metric:"peers_aged_out_total" help:"Peers removed because they had not announced for max_quiet_peer_age."`
	PeersHandedOver uint64 `metric:"peers_handed_over_total" help:"Peers that went from one connection to another with the same peer id."`
	PeersForbidden  uint64 `metric:"peers_forbidden_total" help:"Peers removed because the access list forbids their torrent now."`
}

// Counts returns the counts of the table. It takes the same short time for a table of any size.
func (t *Table) Counts() Counts {
	return Counts{
		Torrents:        t.swarms.len(),
		Peers:           t.peers.len() - t.successors,
		Successors:      t.successors,
		PeersHandedOver: t.handedOver,
		Seeders:         t.seeders,
		Quiet:           t.quiet,
		Connections:     t.conns.len(),
		PendingOffers:   t.offers.pending.len() - t.offers.orphans,
		Unreported:      t.changes.notes.len(),
		Remote:          t.remote.torrents.len(),
		RemoteEntries:   t.remote.entries,
		Guests:          t.offers.guests.all.len(),
		GuestsPushedOut: t.offers.guests.pushedOut,
		OffersExpired:   t.offers.expired,
		OffersPushedOut: t.offers.pushedOut,
		PeersAgedOut:    t.agedOut,
		PeersForbidden:  t.forbidden,
		Bytes: t.peers.bytes() + t.swarms.bytes() + t.conns.bytes() + t.seats.bytes() +
			t.lists.bytes() + t.changes.notes.bytes() + t.remote.torrents.bytes() + t.remote.words.bytes() +
			t.offers.guests.all.bytes() + t.offers.pending.bytes() + t.offers.senders.bytes(),
	}
}

// PeerRemoval is what the removal of a peer counts in [Table.Removed], where that of an offer counts 1. It takes 1 to 3
// µs in a table that is larger than the CPU's cache, and an offer 0.1 to 0.4.
const PeerRemoval = 8

// Removed returns how much work the removal of peers, successors included, and of offers has been since the table was made.
// A peer counts PeerRemoval and an offer 1. By the difference a caller can bound its time, where the budget of
// [Table.Sweep] cannot: an entry that stays takes 5 ns.
func (t *Table) Removed() uint64 { return t.left*PeerRemoval + t.offers.dropped }

// CountsByFamily returns how many swarms there are whose Key.Family is family, and how many peers they have.
func (t *Table) CountsByFamily(family uint8) (torrents, peers int) {
	f := t.families[familyIndex(family)]
	return f.torrents, f.peers
}

// familyIndex returns the place of an IP version in Table.families.
func familyIndex(family uint8) int {
	switch family {
	case 4:
		return 1
	case 6:
		return 2
	}
	return 0
}

// Has reports whether there is a peer in a swarm.
func (t *Table) Has(k Key) bool { return t.findSwarm(&k) != 0 }

// Scrape returns the seeders and leechers of a swarm on all nodes, and how many of its leechers have completed their
// download since its first peer came to each. All are zero for a swarm without peers and for a forbidden torrent
// (see [Table.Allowed]).
func (t *Table) Scrape(k Key) (complete, incomplete, downloaded uint32) {
	if !t.Allowed(&k.Hash) {
		return 0, 0, 0
	}
	s := t.findSwarm(&k)
	if s == 0 {
		return 0, 0, 0
	}
	sw := t.swarms.at(s)
	complete, incomplete, downloaded = sw.seeders, sw.members.n-sw.seeders, sw.downloaded
	if a := t.elsewhere(s); a != nil {
		complete, incomplete = complete+a.sum.Seeders, incomplete+a.sum.Leechers
		downloaded += min(a.sum.Downloaded, ^downloaded)
	}
	return complete, incomplete, downloaded
}
