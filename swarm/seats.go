package swarm

// This file owns the count of the peer ids that one connection has in one swarm, without a search of all its peers.

// fewPeers is the number of peers of a connection that are looked at one by one. Nearly all connections have fewer.
const fewPeers = 16

// seats is the number of peers that one connection has in one swarm. Only connections with more than fewPeers have
// such records, one for each of their swarms.
type seats struct {
	swarm, conn uint32 // their slots
	n           uint32
}

func (t *Table) hashSeats(s, c uint32) uint64 {
	h := newHash(t.o.Seed, useSeats)
	h.word(uint64(s)<<32 | uint64(c))
	return h.sum()
}

func (t *Table) findSeats(s, c uint32) (slot uint32, hash uint64) {
	hash = t.hashSeats(s, c)
	return t.seats.find(hash, func(x *seats) bool { return x.swarm == s && x.conn == c }), hash
}

// hasIDs reports whether the connection at slot c, 0 for one without peers, has at least n peer ids in the swarm at
// slot s.
func (t *Table) hasIDs(c, s uint32, n int) bool {
	if n == 0 {
		return true
	}
	if c == 0 || int(t.conns.at(c).n) < n {
		return false
	}
	l := t.conns.at(c).peers()
	if l.n > fewPeers {
		slot, _ := t.findSeats(s, c)
		return slot != 0 && int(t.seats.at(slot).n) >= n
	}
	for i := range l.n {
		if t.peers.at(*t.lists.entry(&l, i)).swarm == s {
			n--
		}
	}
	return n <= 0
}

// seat counts a peer that has just come to its connection. The first one beyond fewPeers has all of them counted.
func (t *Table) seat(p uint32) {
	pr := t.peers.at(p)
	l := t.conns.at(pr.conn).peers()
	if l.n == fewPeers+1 {
		for i := range l.n {
			t.addSeat(t.peers.at(*t.lists.entry(&l, i)).swarm, pr.conn)
		}
	} else if l.n > fewPeers {
		t.addSeat(pr.swarm, pr.conn)
	}
}

// unseat counts a peer out that is about to leave its connection.
func (t *Table) unseat(p uint32) {
	pr := t.peers.at(p)
	l := t.conns.at(pr.conn).peers()
	if l.n == fewPeers+1 {
		for i := range l.n {
			t.dropSeat(t.peers.at(*t.lists.entry(&l, i)).swarm, pr.conn)
		}
	} else if l.n > fewPeers {
		t.dropSeat(pr.swarm, pr.conn)
	}
}

func (t *Table) addSeat(s, c uint32) {
	slot, hash := t.findSeats(s, c)
	if slot == 0 {
		slot = t.seats.insert(hash, seats{swarm: s, conn: c})
	}
	t.seats.at(slot).n++
}

func (t *Table) dropSeat(s, c uint32) {
	slot, _ := t.findSeats(s, c)
	x := t.seats.at(slot)
	if x.n--; x.n == 0 {
		t.seats.remove(slot)
	}
}
