package swarm

// This file owns the way out of a Table for its content: records of peers for a table of another process.

// MaxSavedOffers is how many offers a SavedPeer has at most.
const MaxSavedOffers = 256

// SavedPeer is a peer of a torrent, or one of its successors, in plain data of bounded size. It holds ages instead of
// times, so the clock of the table that restores it may begin elsewhere. That table must have the same Options.Seed.
type SavedPeer struct {
	Key        Key
	Downloaded uint32 // of the torrent: see Torrent
	Peer       ID
	From       Addr   // its connection
	Age        uint32 // seconds since it last announced
	Seeder     bool

	// Line is 0 for the peer that everybody sees. Of its successors the first one in line has 1, the next one 2.
	Line uint8

	// More says that the peer is that of a record before, and that this one only brings further offers.
	More bool

	// Offers are those that the peer has sent and that are not answered, the newest first. They are at most MaxSavedOffers.
	Offers []SavedOffer
}

// SavedOffer is an offer that waits for its answer.
type SavedOffer struct {
	Fingerprint uint64 // a keyed hash: the offer itself is not kept
	Age         uint32 // seconds since it was relayed
}

// Save calls f for the peers at n places from a place on, successors among them, and returns the next place; 0 means that
// these were the last. It begins with 0. A caller that goes on until then, and does nothing else to the table, gets every
// peer once, and further records of those that have more than MaxSavedOffers offers. Their order means nothing, but the
// records of one peer follow each other.
//
// now is the time of the table's other calls. The record belongs to Save: f may change it and keeps nothing of it. Offers of
// peers that have left are left out, since nobody can answer them.
func (t *Table) Save(from uint32, n int, now uint32, f func(*SavedPeer)) (next uint32) {
	return t.save(from, n, now, &SavedPeer{Offers: make([]SavedOffer, 0, MaxSavedOffers)}, f)
}

// save is Save with as many offers in a record as the one given has room for, at least one.
func (t *Table) save(from uint32, n int, now uint32, record *SavedPeer, f func(*SavedPeer)) (next uint32) {
	offers := record.Offers
	for range n {
		if from >= t.peers.high {
			return 0
		}
		from++
		if t.peers.at(from).conn != 0 {
			t.savePeer(from, now, offers, record, f)
		}
	}
	if from >= t.peers.high {
		return 0
	}
	return from
}

// savePeer calls f with the records of the peer at slot p.
func (t *Table) savePeer(p, now uint32, offers []SavedOffer, record *SavedPeer, f func(*SavedPeer)) {
	offer := t.newestOffer(p)
	for more := false; offer != 0 || !more; more = true {
		offers = offers[:0]
		for ; offer != 0 && len(offers) < cap(offers); offer = t.offers.pending.at(offer).inOwn.older {
			o := t.offers.pending.at(offer)
			offers = append(offers, SavedOffer{Fingerprint: o.fingerprint, Age: now - o.at})
		}
		pr := t.peers.at(p)
		sw := t.swarms.at(pr.swarm)
		*record = SavedPeer{
			Key: sw.key(), Downloaded: sw.downloaded, Peer: pr.id, From: t.conns.at(pr.conn).addr(), Age: now - pr.seen,
			Seeder: pr.seeder, Line: t.placeInLine(p), More: more, Offers: offers,
		}
		f(record)
	}
}

// newestOffer returns the slot of the newest offer of the peer at slot p, or 0.
func (t *Table) newestOffer(p uint32) uint32 {
	own := t.offers.findSender(hashSender(t.o.Seed, p), p)
	if own == 0 {
		return 0
	}
	return t.offers.senders.at(own).own.newest
}

// placeInLine returns 0 for a member, and of a successor at slot p how many it has before it, with the member.
func (t *Table) placeInLine(p uint32) uint8 {
	pr := t.peers.at(p)
	if pr.role.member() {
		return 0
	}
	line := uint8(1)
	t.eachSuccessor(t.findPeer(pr.swarm, &pr.id), func(other uint32) {
		if t.before(other, p) {
			line++
		}
	})
	return line
}
