package swarm

// This file owns guests: peers of other nodes whose offers have receivers here. They are no members of a swarm and are
// not counted. They are known for the answers to their offers, which go back to their nodes.

// Visit is an announce that another node has for so many of the peers here: the node of the announcing peer has counted
// them (see SetOthers) and chosen among the nodes. The table keeps nothing of it.
type Visit struct {
	Key    Key
	Peer   ID
	Seeder bool // the peer is one
	From   Addr // its connection, of another node
	Offers []ID
}

// maxGuestsOfID is how many guests one peer id may have in a torrent: as many as records on a node (see maxSuccessors).
// The search for the sender of an answered offer looks at all of them.
const maxGuestsOfID = 1 + maxSuccessors

// guestBit marks the number of a guest where that of a peer may stand: as a sender of offers.
const guestBit = 1 << 31

// guests are the peers of other nodes that have pending offers here, each at least one.
type guests struct {
	all       records[guest]
	byVisit   chain
	number    uint32 // of the last one that came
	visiting  uint32 // the sender whose offers are being sent: it stays even if it has none at the moment
	pushedOut uint64
}

// guest is one connection with a peer id in a torrent.
type guest struct {
	name        uint64 // keyed hash of the torrent and the peer id
	index, gen  uint32 // see Addr
	shard, node uint16
	number      uint32 // a greater one came later
	in          neighbours
}

func (g *guest) inChain() *neighbours { return &g.in }

func (g *guest) addr() Addr { return Addr{Index: g.index, Gen: g.gen, Shard: g.shard, Node: g.node} }

// before reports whether a guest came before another one. Their numbers may have wrapped.
func (g *guest) before(other *guest) bool { return int32(g.number-other.number) < 0 }

func (t *Table) guestName(k *Key, id *ID) uint64 {
	h := newHash(t.o.Seed, useGuest)
	h.word(uint64(k.Family))
	h.id(&k.Hash)
	h.id(id)
	return h.sum()
}

// Visit relays offers of a peer of another node to peers here, as Announce does for one of this node: v.Offers[i] goes to
// the i-th Target that is appended to targets, none of which has the sender's peer id. The answers find their way by
// v.From (see Answer).
//
// Nothing is relayed for a node that is not there (see SetNodes), in a torrent that is forbidden, or without
// Options.MaxVisits. The guest with the longest time since its last visit gives way if there are too many.
func (t *Table) Visit(now uint32, v *Visit, targets []Target) []Target {
	if _, live := t.remote.since(v.From.Node); !live || t.o.MaxVisits == 0 || !t.Allowed(&v.Key.Hash) {
		return targets
	}
	s := t.findSwarm(&v.Key)
	if s == 0 {
		return targets
	}
	sw, m := t.swarms.at(s), t.findPeer(s, &v.Peer)
	n := int(sw.members.n)
	if m != 0 {
		n--
	}
	n = min(len(v.Offers), n, t.o.MaxPendingPerPeer)
	if n == 0 {
		return targets
	}
	g := &t.offers.guests
	p := t.welcome(v)
	g.visiting = p
	t.choose(sw, m, v.Seeder)
	targets = t.send(now, p, 0, v.Offers[:n], sw, targets)
	g.visiting = 0
	if t.offers.findSender(hashSender(t.o.Seed, p), p) == 0 {
		g.remove(p)
	}
	return targets
}

// welcome returns the number of the guest that visits, as a sender, and makes room for a new one.
func (t *Table) welcome(v *Visit) uint32 {
	g := &t.offers.guests
	name := t.guestName(&v.Key, &v.Peer)
	known, oldest, n := uint32(0), uint32(0), 0
	g.all.each(name, func(slot uint32, x *guest) {
		if x.name != name {
			return
		}
		n++
		if oldest == 0 || x.before(g.all.at(oldest)) {
			oldest = slot
		}
		if x.addr() == v.From {
			known = slot
		}
	})
	switch {
	case known != 0:
		unchain(&g.byVisit, &g.all, known)
		enchain(&g.byVisit, &g.all, known)
		return known | guestBit
	case n >= maxGuestsOfID:
		t.pushOut(oldest)
	case g.all.len() >= t.o.MaxVisits:
		t.pushOut(g.byVisit.oldest)
	}
	g.number++
	slot := g.all.insert(name, guest{
		name: name, index: v.From.Index, gen: v.From.Gen, shard: v.From.Shard, node: v.From.Node, number: g.number,
	})
	enchain(&g.byVisit, &g.all, slot)
	return slot | guestBit
}

// pushOut forgets the guest at a slot. Its offers become orphans, some of which go with the offers that come in their place.
func (t *Table) pushOut(slot uint32) {
	g := &t.offers.guests
	g.pushedOut++
	t.offers.orphan(t.o.Seed, slot|guestBit)
	g.remove(slot | guestBit)
}

// remove forgets the guest that is the sender p, which has no offers.
func (g *guests) remove(p uint32) {
	slot := p &^ guestBit
	unchain(&g.byVisit, &g.all, slot)
	g.all.remove(slot)
}

// left forgets the sender p, which has lost its last offer, if it is a guest that is not about to send others.
func (g *guests) left(p uint32) {
	if p&guestBit != 0 && p != g.visiting {
		g.remove(p)
	}
}

// findGuest returns the connection of the guest that made the offer that an answer is about, and the slot of the offer, 0
// if there is none: of several guests with such an offer the one that came first. known says that there are guests with
// the peer id, of nodes that are there.
func (t *Table) findGuest(a *Answer) (to Addr, offer uint32, known bool) {
	g := &t.offers.guests
	if g.all.len() == 0 {
		return Addr{}, 0, false
	}
	name := t.guestName(&a.Key, &a.To)
	var first *guest
	g.all.each(name, func(slot uint32, x *guest) {
		if x.name != name {
			return
		}
		if _, live := t.remote.since(x.node); !live {
			return
		}
		known = true
		if found := t.findOffer(slot|guestBit, a); found != 0 && (first == nil || x.before(first)) {
			first, to, offer = x, x.addr(), found
		}
	})
	return to, offer, known
}
