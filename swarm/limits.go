package swarm

// This file owns the bounds of a [Table]: its options, and the most that each limit among them can be.

import "fmt"

// The most that the limits in [Options] can be, each for one table, and the most that one [AccessList] can hold. They
// follow from the layout of the records. [New] lowers a greater limit without a word, so check limits that a user has
// chosen against these numbers. A process with n tables can have n times as much.
const (
	MaxPeersPerConnectionLimit = 1<<16 - 1  // 65,535 peers: a connection counts them in 16 bits
	MaxPeersLimit              = maxList    // 16,777,216 peers: all may be in one swarm, and so in one list
	MaxPendingOffersLimit      = maxRecords // 67,108,862 offers: as many as a link can name
	MaxPendingPerPeerLimit     = maxRecords // 67,108,862 offers: one peer may have all of them
	MaxRemoteLimit             = 1 << 20    // 1,048,576 torrents: at worst each has a page of the pool to itself
	MaxVisitsLimit             = maxRecords // 67,108,862 guests: as many as a link can name
	MaxAccessListLimit         = 1 << 26    // 67,108,864 info hashes: 1.3 GiB
)

// Options bound what a Table remembers. The zero value of a limit allows nothing.
type Options struct {
	Seed                  [2]uint64 // key of the hash tables and of the random sample: secret, one per process
	MaxPeerAge            uint32    // seconds without an announce after which a peer is quiet
	MaxQuietAge           uint32    // seconds without an announce after which a peer goes
	MaxOfferAge           uint32    // seconds in which a relayed offer can be answered
	MaxPeersPerConnection int       // peers (torrent × peer id) of one connection in this table, successors included
	MaxIDsPerTorrent      int       // peer ids of one connection in one torrent, successors included
	MaxPeers              int       // peers in this table, successors included
	MaxPendingOffers      int       // relayed and unanswered offers remembered in this table
	MaxPendingPerPeer     int       // the same for one sending peer, and so the most that one announce relays

	// Cluster says that there are other nodes: changes are noted for Report, and SetOthers is heard.
	Cluster   bool
	MaxRemote int // torrents in this table for which counts of other nodes are remembered
	MaxVisits int // peers of other nodes whose offers wait in this table for their answers

	// Count is called with Announce.Origin of a connection and 1 for each peer that comes to it, and with -1 for each peer
	// that leaves it, successors included. Connections whose origin is 0 are not counted. Count must not use the table. It
	// may be nil.
	Count func(origin uint32, delta int)

	// Observe is called by Sweep with the id of each peer that it visits and does not remove, and with nil at the end of
	// the table. From one nil to the next it sees every peer once that is on one connection all the time, and no successors.
	// The id belongs to the table
	// and is valid during the call. Observe must not use the table. It may be nil.
	Observe func(peer *ID)
}

// limit lowers the limits to what a table can hold. It panics if one is negative.
func (o *Options) limit() {
	limits := []struct {
		name  string
		value *int
		most  int
	}{
		{"MaxPeersPerConnection", &o.MaxPeersPerConnection, MaxPeersPerConnectionLimit},
		{"MaxIDsPerTorrent", &o.MaxIDsPerTorrent, MaxPeersPerConnectionLimit},
		{"MaxPeers", &o.MaxPeers, MaxPeersLimit},
		{"MaxPendingOffers", &o.MaxPendingOffers, MaxPendingOffersLimit},
		{"MaxPendingPerPeer", &o.MaxPendingPerPeer, MaxPendingPerPeerLimit},
		{"MaxRemote", &o.MaxRemote, MaxRemoteLimit},
		{"MaxVisits", &o.MaxVisits, MaxVisitsLimit},
	}
	for _, l := range limits {
		if *l.value < 0 {
			panic(fmt.Sprintf("BUG: swarm.Options.%s is %d, it must not be negative", l.name, *l.value))
		}
		*l.value = min(*l.value, l.most)
	}
}

// SetOptions puts other options in force, but keeps Seed, Count and Cluster, which would change what the records mean. Nothing is
// removed at once: peers and offers that are over a new limit, or too old by it, go as others of theirs do. A peer that has
// become quiet stays so until it announces again.
func (t *Table) SetOptions(o Options) {
	o.limit()
	o.Seed, o.Count, o.Cluster = t.o.Seed, t.o.Count, t.o.Cluster
	t.o = o
}

// SetMaxPeers changes Options.MaxPeers. It lowers n to what a table can hold. Where there are more peers already they
// stay, and new ones are refused until enough have left.
func (t *Table) SetMaxPeers(n int) { t.o.MaxPeers = min(n, MaxPeersLimit) }
