package swarm

// This file owns successors: records of a peer id that a connection announces while another connection has that peer.
//
// A peer id in a swarm has one member, which is counted and gets offers. Nobody can prove that a peer id is theirs, and
// each of two connections with one may be right: a phone has changed its address and its old connection is dead but not
// closed, or a client has the tracker under two names. So the second connection takes nothing away from the first. Its
// record waits unseen behind the member, its own offers are relayed, and the answers to them come back to it. It takes
// the member's place when the member leaves, or when the caller finds that the member's connection does not answer
// (see Yield).

// maxSuccessors is how many successors a peer may have. Two would do for a phone that changes its address; one more is
// for the connection that has yielded and is not closed yet.
const maxSuccessors = 3

// role says what a record of a peer id is: of a member, the number of its successors; or that it is a successor.
type role uint8

const (
	freshSuccessor role = 0xff
	quietSuccessor role = 0xfe
)

func (r role) member() bool { return r <= maxSuccessors }

func successorRole(fresh bool) role {
	if fresh {
		return freshSuccessor
	}
	return quietSuccessor
}

// findRecord returns the slot of the record of a peer id that the connection with an address has in the swarm at slot s:
// the member or a successor, 0 if there is none. member is the slot of the member.
func (t *Table) findRecord(s uint32, id *ID, member uint32, from Addr) uint32 {
	pr := t.peers.at(member)
	if t.conns.at(pr.conn).addr() == from {
		return member
	}
	if pr.role == 0 {
		return 0
	}
	c := t.findConn(from)
	if c == 0 {
		return 0
	}
	return t.peers.find(t.hashPeer(s, id), func(p *peer) bool { return p.conn == c && p.swarm == s && p.id == *id })
}

// succeed notes the announce of a connection that does not have the member at slot m, but its peer id: it adds or
// updates the successor.
func (t *Table) succeed(now uint32, a *Announce, m uint32) (p uint32, status Status) {
	member := t.peers.at(m)
	if p = t.findRecord(member.swarm, &a.Peer, m, a.From); p != 0 {
		pr := t.peers.at(p)
		pr.seen, pr.role, pr.seeder = now, freshSuccessor, a.seeder(pr.seeder)
		return p, StatusSuccessor
	}
	if member.role == maxSuccessors {
		return 0, StatusNotOwner
	}
	c, full := t.connWithRoom(a, member.swarm)
	if c == 0 {
		return 0, full
	}
	p = t.peers.insert(t.hashPeer(member.swarm, &a.Peer), peer{
		id: a.Peer, swarm: member.swarm, seen: now, place: t.nextInLine(), seeder: a.seeder(member.seeder), role: freshSuccessor,
	})
	t.attach(p, c)
	member.role++
	t.successors++
	return p, StatusSuccessor
}

// nextInLine returns a number that is greater than those of all successors before, in the sense of before.
func (t *Table) nextInLine() uint32 {
	t.line++
	return t.line
}

// before reports whether the successor at slot p came before the one at slot q. Their numbers may have wrapped.
func (t *Table) before(p, q uint32) bool { return int32(t.peers.at(p).place-t.peers.at(q).place) < 0 }

// eachSuccessor calls f with the slots of the successors of the member at slot m, in any order.
func (t *Table) eachSuccessor(m uint32, f func(p uint32)) {
	member := t.peers.at(m)
	t.peers.each(t.hashPeer(member.swarm, &member.id), func(slot uint32, p *peer) {
		if !p.role.member() && p.swarm == member.swarm && p.id == member.id {
			f(slot)
		}
	})
}

// handOver gives the place of the member at slot m to its oldest successor, whose slot it returns. The old member
// becomes the newest successor.
func (t *Table) handOver(m uint32) uint32 {
	oldest := uint32(0)
	t.eachSuccessor(m, func(p uint32) {
		if oldest == 0 || t.before(p, oldest) {
			oldest = p
		}
	})
	t.exchange(m, oldest, t.nextInLine())
	t.handedOver++
	return oldest
}

// exchange makes a member of the successor at slot p, and of its member at slot m a successor with a number in line.
func (t *Table) exchange(m, p, number uint32) {
	member, heir := t.peers.at(m), t.peers.at(p)
	sw := t.swarms.at(member.swarm)
	wasFresh := sw.classAt(member.place) != quietPeers
	seeder, fresh := heir.seeder, heir.role == freshSuccessor
	heir.role, heir.place, heir.seeder = member.role, member.place, member.seeder
	*t.lists.entry(&sw.members, heir.place) = p
	member.role, member.place = successorRole(wasFresh), number
	t.set(p, seeder, fresh)
}

// Yield hands every peer of a connection over that has a successor. It is for a connection that was asked whether it is
// still there (see Result.Owner) and has not answered. It returns how many peers the connection has: that is its work.
//
// The connection's own records become successors, the last in line, and do not go: it may be a client that slept. If the
// others leave, its peers are members again without another announce. If it is dead, they go with it.
func (t *Table) Yield(a Addr) int {
	c := t.findConn(a)
	if c == 0 {
		return 0
	}
	l := t.conns.at(c).peers()
	for i := range l.n {
		p := *t.lists.entry(&l, i)
		if r := t.peers.at(p).role; r > 0 && r.member() {
			t.handOver(p)
		}
	}
	return int(l.n)
}
