package swarm

// This file shows the table to somebody who asks about a torrent or a connection. It changes nothing.

// Torrent is a swarm as others see it.
type Torrent struct {
	Key               Key
	Seeders, Leechers uint32
	Downloaded        uint32 // peers that have become seeders since the swarm began
}

// Seat is a peer of a connection in a torrent.
type Seat struct {
	Key       Key
	Peer      ID
	From      Addr   // its connection
	Seen      uint32 // when it last announced: see Time in the package's comment
	Seeder    bool
	Quiet     bool // it has not announced for Options.MaxPeerAge
	Successor bool // another connection has the peer id: this one waits, uncounted
}

// Torrent returns the swarm of a key; ok is false if nobody is in it.
func (t *Table) Torrent(k Key) (found Torrent, ok bool) {
	s := t.findSwarm(&k)
	if s == 0 {
		return Torrent{}, false
	}
	return t.torrent(t.swarms.at(s)), true
}

func (t *Table) torrent(s *swarm) Torrent {
	return Torrent{
		Key: s.key(), Seeders: s.seeders, Leechers: s.members.n - s.seeders, Downloaded: s.downloaded,
	}
}

// Torrents calls f for the swarms at n places from a place on, and returns the next place; 0 means that these were the last.
// A caller that begins with 0 and goes on until then sees each swarm once that is there all the time.
func (t *Table) Torrents(from uint32, n int, f func(*Torrent)) (next uint32) {
	for range n {
		if from >= t.swarms.high {
			return 0
		}
		from++
		if s := t.swarms.at(from); s.members.n > 0 {
			found := t.torrent(s)
			f(&found)
		}
	}
	if from >= t.swarms.high {
		return 0
	}
	return from
}

// Places returns at how many places Torrents looks: as many as there were swarms at most, for empty ones keep theirs.
func (t *Table) Places() int { return int(t.swarms.high) }

// AppendMembers appends at most so many peers of a swarm, without their successors: fresh ones first.
func (t *Table) AppendMembers(dst []Seat, k Key, most int) []Seat {
	s := t.findSwarm(&k)
	if s == 0 {
		return dst
	}
	members := t.swarms.at(s).members
	for i := range min(members.n, uint32(most)) {
		dst = append(dst, t.seatAt(*t.lists.entry(&members, i)))
	}
	return dst
}

// AppendSeats appends at most so many peers of a connection, successors among them.
func (t *Table) AppendSeats(dst []Seat, a Addr, most int) []Seat {
	c := t.findConn(a)
	if c == 0 {
		return dst
	}
	l := t.conns.at(c).peers()
	for i := range min(l.n, uint32(most)) {
		dst = append(dst, t.seatAt(*t.lists.entry(&l, i)))
	}
	return dst
}

// seatAt returns what is known of the peer at slot p.
func (t *Table) seatAt(p uint32) Seat {
	pr := t.peers.at(p)
	sw := t.swarms.at(pr.swarm)
	seat := Seat{
		Key: sw.key(), Peer: pr.id, From: t.conns.at(pr.conn).addr(), Seen: pr.seen, Seeder: pr.seeder,
		Successor: !pr.role.member(),
	}
	seat.Quiet = pr.role == quietSuccessor || !seat.Successor && sw.classAt(pr.place) == quietPeers
	return seat
}

// Member returns the connection of a peer; ok is false if there is no such peer. Successors are not asked for.
func (t *Table) Member(k Key, peer *ID) (owner Addr, ok bool) {
	s := t.findSwarm(&k)
	if s == 0 {
		return Addr{}, false
	}
	p := t.findPeer(s, peer)
	if p == 0 {
		return Addr{}, false
	}
	return t.conns.at(t.peers.at(p).conn).addr(), true
}
