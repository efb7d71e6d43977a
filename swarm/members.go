package swarm

// This file owns the places of peers: in the list of their swarm, class by class, and in that of their connection.

// class is a part of a swarm's members. The classes follow each other in swarm.members in this order, and the order
// within a class means nothing.
type class uint32

const (
	freshLeechers class = iota
	freshSeeders
	quietPeers
	classes
)

// classOf returns the class of a member.
func classOf(seeder, fresh bool) class {
	switch {
	case !fresh:
		return quietPeers
	case seeder:
		return freshSeeders
	}
	return freshLeechers
}

// classAt returns the class of the member at a place.
func (s *swarm) classAt(place uint32) class {
	c := freshLeechers
	for c < quietPeers && place >= s.ends[c] {
		c++
	}
	return c
}

// set makes the member at slot p a seeder or a leecher, fresh or quiet, and moves it into that class.
func (t *Table) set(p uint32, seeder, fresh bool) {
	pr := t.peers.at(p)
	sw := t.swarms.at(pr.swarm)
	if pr.seeder != seeder {
		pr.seeder = seeder
		if seeder {
			sw.seeders++
			t.seeders++
		} else {
			sw.seeders--
			t.seeders--
		}
		t.changed(sw)
	}
	from, to := sw.classAt(pr.place), classOf(seeder, fresh)
	if from == to {
		return
	}
	t.changed(sw)
	if from == quietPeers {
		t.quiet--
	} else if to == quietPeers {
		t.quiet++
	}
	for ; from < to; from++ {
		sw.ends[from]--
		t.swap(sw, pr.place, sw.ends[from])
	}
	for ; from > to; from-- {
		t.swap(sw, pr.place, sw.ends[from-1])
		sw.ends[from-1]++
	}
}

// swap exchanges two members of a swarm.
func (t *Table) swap(sw *swarm, i, j uint32) {
	if i == j {
		return
	}
	a, b := t.lists.entry(&sw.members, i), t.lists.entry(&sw.members, j)
	*a, *b = *b, *a
	t.peers.at(*a).place, t.peers.at(*b).place = i, j
}

// leave removes the peer at slot p, and its swarm and connection if it was their last. If it is a member with a
// successor, that becomes the member. Its pending offers become orphans. It returns how many orphans it has
// dropped, at most orphansAtOnce.
func (t *Table) leave(p uint32) int {
	t.left++
	pr := t.peers.at(p)
	if pr.role == 0 {
		t.leaveSwarm(p)
	} else {
		m := uint32(0)
		if pr.role.member() {
			m = t.handOver(p)
		} else {
			m = t.findPeer(pr.swarm, &pr.id)
		}
		t.peers.at(m).role--
		t.successors--
	}
	t.detach(p)
	t.peers.remove(p)
	t.offers.orphan(t.o.Seed, p)
	return t.offers.dropOrphans(orphansAtOnce)
}

// leaveSwarm takes the member at slot p out of its swarm.
func (t *Table) leaveSwarm(p uint32) {
	t.set(p, false, false) // a quiet member can be exchanged with the last one
	t.quiet--
	pr := t.peers.at(p)
	s := pr.swarm
	sw := t.swarms.at(s)
	t.swap(sw, pr.place, sw.members.n-1)
	t.lists.pop(&sw.members)
	family := &t.families[familyIndex(sw.family)]
	family.peers--
	if sw.members.n > 0 {
		t.changed(sw)
		return
	}
	t.cameOrWent(sw)
	t.forgetOthers(s)
	family.torrents--
	t.swarms.remove(s)
}

// count tells the caller that the address of a connection has one peer more or less.
func (t *Table) count(owner *conn, delta int) {
	if t.o.Count != nil && owner.source&noOrigin == 0 {
		t.o.Count(owner.source, delta)
	}
}

// Gone removes all peers of a closed connection, as members and as successors, and returns how many there were. It does
// not touch a connection of another generation in the same place. The work is bounded by
// MaxPeersPerConnectionLimit peers: Options.MaxPeersPerConnection may have been greater before. Later calls free the memory
// of their pending offers.
func (t *Table) Gone(a Addr) int { return t.GoneAtMost(a, MaxPeersPerConnectionLimit) }

// GoneAtMost is Gone for at most so many peers. If it returns fewer, none is left.
func (t *Table) GoneAtMost(a Addr, most int) int {
	c := t.findConn(a)
	if c == 0 {
		return 0
	}
	owner := t.conns.at(c)
	n := min(int(owner.n), most)
	for range n {
		l := owner.peers()
		t.leave(*t.lists.entry(&l, l.n-1))
	}
	return n
}

// attach gives the peer at slot p to the connection at slot c.
func (t *Table) attach(p, c uint32) {
	owner, pr := t.conns.at(c), t.peers.at(p)
	pr.conn, pr.connPlace = c, owner.n
	l := owner.peers()
	t.lists.push(&l, p)
	owner.setPeers(l)
	t.seat(p)
	t.count(owner, 1)
}

// detach takes the peer at slot p from its connection and forgets the connection if that was its last.
func (t *Table) detach(p uint32) {
	t.unseat(p)
	pr := t.peers.at(p)
	owner := t.conns.at(pr.conn)
	t.count(owner, -1)
	l := owner.peers()
	last := *t.lists.entry(&l, l.n-1)
	*t.lists.entry(&l, uint32(pr.connPlace)) = last
	t.peers.at(last).connPlace = pr.connPlace
	t.lists.pop(&l)
	owner.setPeers(l)
	if l.n == 0 {
		t.conns.remove(pr.conn)
	}
}
