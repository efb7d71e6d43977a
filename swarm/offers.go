package swarm

// This file owns the memory of relayed offers: until they are answered, too old, or have to give way.

// Answer is one peer's answer to an offer that was relayed to it.
type Answer struct {
	Key   Key
	Peer  ID // the peer that answers
	From  Addr
	To    ID // the peer that made the offer
	Offer ID
}

// AnswerStatus says whether an answer is relayed, and if not, why.
type AnswerStatus uint8

// The values of AnswerStatus.
const (
	AnswerRelay     AnswerStatus = iota // it goes to the connection of the peer that offered
	AnswerNotPeer                       // From has no such peer in this swarm, not even as a successor
	AnswerNoPeer                        // the peer that offered is not in the swarm, on no node that is there
	AnswerForbidden                     // the torrent is not served (see SetAccess)
	AnswerNoOffer                       // no such offer from To to Peer: never relayed, answered already, or too old
)

var answerStatusNames = [...]string{"relay", "not a peer", "no such peer", "forbidden", "no such offer"}

func (s AnswerStatus) String() string {
	if int(s) < len(answerStatusNames) {
		return answerStatusNames[s]
	}
	return "unknown status"
}

// offers remembers relayed offers until they are answered or too old. Of each offer it keeps a fingerprint.
// An offer belongs to the record of the peer that sent it, member or successor: the answer goes to its connection, and
// no answer is relayed after it has left.
//
// A peer may leave with many offers, and a connection with many peers, so the offers of a peer that leaves
// are not dropped one by one. They become orphans: their sender's record is hidden. A search wants the slot of
// a sender, and this one is not used again while there are any of them, so no search finds them. They are
// dropped a few at a time, and before any other offer has to give way.
//
// The fingerprint says nothing of the sender, so another table with the same seed can take the offer over. Here an
// offer is found by both, its fingerprint and the slot of its sender.
type offers struct {
	pending records[pending]
	senders records[sender]
	guests  guests
	all     chain // all offers by time

	orphaned uint32 // the first of the senders that have left, by slot, 0 if there is none
	orphans  int    // offers of these senders

	expired   uint64
	pushedOut uint64
	dropped   uint64 // for whatever reason
}

// pending is one relayed offer. It is a member of two chains by time: of all offers and of its sender's.
type pending struct {
	fingerprint uint64 // keyed hash of the receiver's peer id and the offer id
	at          uint32 // when it was relayed
	sender      uint32 // slot of its record in offers.senders
	inAll       neighbours
	inOwn       neighbours
}

// sender is a peer that has pending offers, or had some when it left.
type sender struct {
	peer  uint32 // its slot in Table.peers, or in guests with guestBit; 0 if it has left
	count uint32
	own   chain
	next  uint32 // the next of the senders that have left, by slot
}

// orphansAtOnce is how many orphans go with each peer that leaves and each offer that comes. It is more than
// one, so orphans become fewer while offers come, and a peer that comes, offers and leaves again and again
// piles up nothing.
const orphansAtOnce = 2

func (o *offers) init(seed [2]uint64) {
	o.pending.hash = func(p *pending) uint64 { return hashPending(p.fingerprint, p.sender) }
	o.senders.hash = func(s *sender) uint64 { return hashSender(seed, s.peer) }
	o.guests.all.hash = func(g *guest) uint64 { return g.name }
}

func hashSender(seed [2]uint64, p uint32) uint64 {
	h := newHash(seed, useSender)
	h.word(uint64(p))
	return h.sum()
}

// hashPending returns the hash of an offer of the sender at slot own. Strangers can let many senders offer the same to
// one receiver, and so give many offers one fingerprint. The product puts these into different chains, since it maps
// different slots to numbers whose low bits differ; 2^64 by the golden ratio lets its high bits differ too. Where offers
// of different fingerprints fall remains a secret of the seed.
func hashPending(fingerprint uint64, own uint32) uint64 {
	return fingerprint + uint64(own)*0x9e3779b97f4a7c15
}

// fingerprint names an offer that is sent to a receiver, among those of one sender.
func (t *Table) fingerprint(receiver, offer *ID) uint64 {
	h := newHash(t.o.Seed, useOffer)
	h.id(receiver)
	h.id(offer)
	return h.sum()
}

// Answer decides whether an answer is relayed, and to which connection, which may be one of another node (see Visit). An
// offer can be answered once, by the peer that it was relayed to, for less than Options.MaxOfferAge seconds. to is valid
// only if the status is AnswerRelay.
func (t *Table) Answer(now uint32, a *Answer) (to Addr, status AnswerStatus) {
	if !t.Allowed(&a.Key.Hash) {
		return Addr{}, AnswerForbidden
	}
	s := t.findSwarm(&a.Key)
	if s == 0 {
		return Addr{}, AnswerNotPeer
	}
	p := t.findPeer(s, &a.Peer)
	if p == 0 || t.findRecord(s, &a.Peer, p, a.From) == 0 {
		return Addr{}, AnswerNotPeer
	}
	to, slot, known := t.findLocal(s, a)
	if slot == 0 {
		isGuest := false
		if to, slot, isGuest = t.findGuest(a); !known && !isGuest {
			return Addr{}, AnswerNoPeer
		}
	}
	if slot == 0 {
		return Addr{}, AnswerNoOffer
	}
	if t.offers.tooOld(now, slot, t.o.MaxOfferAge) {
		t.offers.expired++
		t.offers.drop(slot)
		return Addr{}, AnswerNoOffer
	}
	t.offers.drop(slot)
	return to, AnswerRelay
}

// findLocal returns the connection of the peer of this node that made the offer that an answer in the swarm at slot s is
// about, and the slot of the offer, 0 if there is none. known says that there is a peer with its id.
func (t *Table) findLocal(s uint32, a *Answer) (to Addr, offer uint32, known bool) {
	m := t.findPeer(s, &a.To)
	if m == 0 {
		return Addr{}, 0, false
	}
	offerer, offer := t.findOfferer(m, a)
	if offer == 0 {
		return Addr{}, 0, true
	}
	return t.conns.at(t.peers.at(offerer).conn).addr(), offer, true
}

// findOfferer returns the slot of the record that made the offer that an answer is about, and the slot of the offer:
// the member at slot m, or the oldest of its successors that has sent such an offer.
func (t *Table) findOfferer(m uint32, a *Answer) (offerer, offer uint32) {
	if slot := t.findOffer(m, a); slot != 0 || t.peers.at(m).role == 0 {
		return m, slot
	}
	t.eachSuccessor(m, func(p uint32) {
		if slot := t.findOffer(p, a); slot != 0 && (offer == 0 || t.before(p, offerer)) {
			offerer, offer = p, slot
		}
	})
	return offerer, offer
}

// findOffer returns the slot of the offer of the peer at slot p that an answer is about, or 0.
func (t *Table) findOffer(p uint32, a *Answer) uint32 {
	own := t.offers.findSender(hashSender(t.o.Seed, p), p)
	if own == 0 {
		return 0
	}
	return t.offers.find(t.fingerprint(&a.Peer, &a.Offer), own)
}

// remember notes an offer that the peer at slot p, or a guest, sends to a receiver. The same offer to the same receiver
// again is renewed. If the peer has as many pending offers as it may, the oldest of its own gives way, so
// that no peer fills the table. If the table has as many as it may, the oldest of all gives way, so that a
// full table stops nobody. already is how many offers were remembered for the same announce: those do not
// give way. If there are no others, remember notes nothing and reports false.
func (t *Table) remember(now, p uint32, receiver, offer *ID, already uint32) bool {
	o := &t.offers
	h := hashSender(t.o.Seed, p)
	own := o.findSender(h, p)
	f := t.fingerprint(receiver, offer)
	if own != 0 {
		if slot := o.find(f, own); slot != 0 {
			o.unchain(slot)
			o.enchain(slot, own, now)
			return true
		}
		if int(o.senders.at(own).count) >= t.o.MaxPendingPerPeer {
			o.giveUp(now, o.senders.at(own).own.oldest, t.o.MaxOfferAge)
		}
	}
	// This makes room if there are any orphans, so a full table below holds only offers that can be answered.
	o.dropOrphans(orphansAtOnce)
	if o.pending.len() >= t.o.MaxPendingOffers {
		if o.pending.len() <= int(already) {
			return false
		}
		o.giveUp(now, o.all.oldest, t.o.MaxOfferAge)
	}
	// The sender's record may have gone with its only offer.
	if own == 0 || o.senders.at(own).peer != p {
		own = o.senders.insert(h, sender{peer: p})
	}
	o.enchain(o.add(f, own), own, now)
	return true
}

// add inserts an offer of the sender at slot own, in no chain yet, and returns its slot.
func (o *offers) add(fingerprint uint64, own uint32) uint32 {
	return o.pending.insert(hashPending(fingerprint, own), pending{fingerprint: fingerprint, sender: own})
}

// find returns the slot of an offer of the sender at slot own, or 0.
func (o *offers) find(fingerprint uint64, own uint32) uint32 {
	return o.pending.find(hashPending(fingerprint, own), func(p *pending) bool {
		return p.fingerprint == fingerprint && p.sender == own
	})
}

func (o *offers) findSender(h uint64, p uint32) uint32 {
	return o.senders.find(h, func(s *sender) bool { return s.peer == p })
}

func (o *offers) tooOld(now, slot, maxAge uint32) bool { return now-o.pending.at(slot).at >= maxAge }

// enchain makes the offer at a slot the newest, of all and of its sender.
func (o *offers) enchain(slot, own, now uint32) {
	p, s := o.pending.at(slot), o.senders.at(own)
	p.at = now
	s.count++
	p.inAll = neighbours{older: o.all.newest}
	if o.all.newest == 0 {
		o.all.oldest = slot
	} else {
		o.pending.at(o.all.newest).inAll.newer = slot
	}
	o.all.newest = slot
	p.inOwn = neighbours{older: s.own.newest}
	if s.own.newest == 0 {
		s.own.oldest = slot
	} else {
		o.pending.at(s.own.newest).inOwn.newer = slot
	}
	s.own.newest = slot
}

// enchainOwn makes the offer at a slot the oldest of its sender.
func (o *offers) enchainOwn(slot, own uint32) {
	s := o.senders.at(own)
	s.count++
	o.pending.at(slot).inOwn = neighbours{newer: s.own.oldest}
	if s.own.oldest == 0 {
		s.own.newest = slot
	} else {
		o.pending.at(s.own.oldest).inOwn.older = slot
	}
	s.own.oldest = slot
}

// enchainAll puts the offer at a slot before another one, or behind all if newer is 0.
func (o *offers) enchainAll(slot, newer uint32) {
	before, behind := &o.all.newest, &o.all.oldest
	if newer != 0 {
		before = &o.pending.at(newer).inAll.older
	}
	older := *before
	if older != 0 {
		behind = &o.pending.at(older).inAll.newer
	}
	o.pending.at(slot).inAll = neighbours{older: older, newer: newer}
	*before, *behind = slot, slot
}

// unchain takes the offer at a slot out of both its chains.
func (o *offers) unchain(slot uint32) {
	p := o.pending.at(slot)
	s := o.senders.at(p.sender)
	s.count--
	older, newer := &o.all.oldest, &o.all.newest
	if p.inAll.older != 0 {
		older = &o.pending.at(p.inAll.older).inAll.newer
	}
	if p.inAll.newer != 0 {
		newer = &o.pending.at(p.inAll.newer).inAll.older
	}
	*older, *newer = p.inAll.newer, p.inAll.older
	older, newer = &s.own.oldest, &s.own.newest
	if p.inOwn.older != 0 {
		older = &o.pending.at(p.inOwn.older).inOwn.newer
	}
	if p.inOwn.newer != 0 {
		newer = &o.pending.at(p.inOwn.newer).inOwn.older
	}
	*older, *newer = p.inOwn.newer, p.inOwn.older
}

// drop forgets the offer at a slot, and its sender if it was the last one. Of orphans it must be one of the
// first sender that has left.
func (o *offers) drop(slot uint32) {
	own := o.pending.at(slot).sender
	o.unchain(slot)
	o.pending.remove(slot)
	o.dropped++
	switch s := o.senders.at(own); {
	case s.count > 0:
	case s.peer == 0:
		o.orphaned = s.next
		o.senders.release(own)
	default:
		p := s.peer
		o.senders.remove(own)
		o.guests.left(p)
	}
}

// giveUp forgets an offer that gives way to another, and counts why.
func (o *offers) giveUp(now, slot, maxAge uint32) {
	if o.tooOld(now, slot, maxAge) {
		o.expired++
	} else {
		o.pushedOut++
	}
	o.drop(slot)
}

// expire forgets at most budget offers that are too old, the oldest first, and returns how many. There
// must be no orphans if the budget is not zero.
func (o *offers) expire(now uint32, budget int, maxAge uint32) int {
	n := 0
	for ; n < budget && o.all.oldest != 0 && o.tooOld(now, o.all.oldest, maxAge); n++ {
		o.drop(o.all.oldest)
	}
	o.expired += uint64(n)
	return n
}

// orphan makes orphans of the offers of the peer that was at slot p.
func (o *offers) orphan(seed [2]uint64, p uint32) {
	own := o.findSender(hashSender(seed, p), p)
	if own == 0 {
		return
	}
	o.senders.hide(own)
	s := o.senders.at(own)
	s.peer, s.next = 0, o.orphaned
	o.orphaned = own
	o.orphans += int(s.count)
}

// dropOrphans drops at most budget orphans and returns how many.
func (o *offers) dropOrphans(budget int) int {
	n := min(budget, o.orphans)
	for range n {
		o.drop(o.senders.at(o.orphaned).own.oldest)
	}
	o.orphans -= n
	return n
}
