package swarm

// This file proves a Table against a naive model with the same operations, and owns the checks of its invariants.

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// model does the same as a Table, written with maps and slices and without a thought for speed.
type model struct {
	o      Options
	swarms map[Key]*modelSwarm
	offers []modelOffer // by time

	orphans int // offers of peers that have left: the table knows only their number

	access AccessMode
	listed map[ID]bool

	expired, pushedOut, agedOut, forbidden, handedOver uint64

	modelCluster
}

type modelSwarm struct {
	peers      map[ID]*modelPeer
	downloaded uint32
}

type modelPeer struct {
	owner  Addr
	source uint64
	seen   uint32
	seeder bool

	successors []*modelPeer // oldest first
}

type modelOffer struct {
	key                     Key
	sender, receiver, offer ID
	from                    Addr // connection of the sender
	at                      uint32
}

func newModel(o Options) *model {
	return &model{o: o, swarms: make(map[Key]*modelSwarm), modelCluster: newModelCluster()}
}

// allows reports whether the access rule allows a torrent.
func (m *model) allows(hash ID) bool {
	return m.access == AccessOff || m.access == AccessAllow && m.listed[hash] || m.access == AccessDeny && !m.listed[hash]
}

func (m *model) peer(k Key, id ID) *modelPeer {
	if s := m.swarms[k]; s != nil {
		return s.peers[id]
	}
	return nil
}

// record returns the member or successor that a connection has.
func (m *model) record(k Key, id ID, from Addr) *modelPeer {
	member := m.peer(k, id)
	if member == nil || member.owner == from {
		return member
	}
	i := slices.IndexFunc(member.successors, func(p *modelPeer) bool { return p.owner == from })
	if i < 0 {
		return nil
	}
	return member.successors[i]
}

// each calls f with all members and successors. f may remove the one that it gets.
func (m *model) each(f func(k Key, id ID, p *modelPeer)) {
	for k, s := range m.swarms {
		for id, p := range s.peers {
			for _, successor := range slices.Clone(p.successors) {
				f(k, id, successor)
			}
			f(k, id, p)
		}
	}
}

// count returns the members for which f holds.
func (m *model) count(f func(k Key, p *modelPeer) bool) int {
	n := 0
	for k, s := range m.swarms {
		for _, p := range s.peers {
			if f(k, p) {
				n++
			}
		}
	}
	return n
}

// checkMember compares the connection of a peer id.
func (p *pair) checkMember(k Key, id ID) {
	owner, ok := p.table.Member(k, &id)
	if want := p.model.peer(k, id); ok != (want != nil) || ok && owner != want.owner {
		p.fatalf("%v of %v is on %v, %t, want %+v", id, k, owner, ok, want)
	}
}

// handOver makes the oldest successor of a member the member.
func (m *model) handOver(k Key, id ID) {
	s := m.swarms[k]
	old := s.peers[id]
	s.peers[id] = old.successors[0]
	s.peers[id].successors, old.successors = old.successors[1:], nil
	m.handedOver++
}

func (m *model) remove(k Key, id ID, from Addr) {
	s := m.swarms[k]
	member := s.peers[id]
	switch {
	case member.owner != from:
		member.successors = slices.DeleteFunc(member.successors, func(p *modelPeer) bool { return p.owner == from })
	case len(member.successors) > 0:
		m.handOver(k, id)
	default:
		delete(s.peers, id)
	}
	if len(s.peers) == 0 {
		delete(m.swarms, k)
		delete(m.others, k)
	}
	before := len(m.offers)
	m.offers = slices.DeleteFunc(m.offers, func(o modelOffer) bool { return o.key == k && o.sender == id && o.from == from })
	m.orphans += before - len(m.offers)
	m.dropOrphans(orphansAtOnce)
}

func (m *model) dropOrphans(budget int) int {
	n := min(budget, m.orphans)
	m.orphans -= n
	return n
}

// change does an announce, except for its offers.
func (m *model) change(now uint32, a *Announce) Status {
	if !m.allows(a.Key.Hash) {
		return StatusForbidden
	}
	member, p := m.peer(a.Key, a.Peer), m.record(a.Key, a.Peer, a.From)
	if a.Event == EventStopped {
		switch {
		case member == nil:
			return StatusAbsent
		case p == nil:
			return StatusNotOwner
		}
		m.remove(a.Key, a.Peer, a.From)
		return StatusRemoved
	}
	status, before := StatusSuccessor, member != nil && member.seeder
	switch {
	case p == nil && member != nil && len(member.successors) == maxSuccessors:
		return StatusNotOwner
	case p == nil:
		if full := m.full(a); full != StatusAdded {
			return full
		}
		p = &modelPeer{}
		if member != nil {
			member.successors = append(member.successors, p)
			break
		}
		if m.swarms[a.Key] == nil {
			m.swarms[a.Key] = &modelSwarm{peers: make(map[ID]*modelPeer)}
		}
		m.swarms[a.Key].peers[a.Peer] = p
		status = StatusAdded
	default:
		before = p.seeder
		if p == member {
			status = StatusUpdated
		}
	}
	if status == StatusUpdated && a.Event == EventCompleted && !p.seeder {
		m.swarms[a.Key].downloaded++
	}
	p.owner, p.source, p.seen = a.From, a.Source, now
	p.seeder = a.Event == EventCompleted || a.Left == LeftZero || a.Left == LeftUnknown && before
	return status
}

// full returns the limit that keeps a new peer out, or StatusAdded.
func (m *model) full(a *Announce) Status {
	all, ofConn, ids := 0, 0, 0
	m.each(func(k Key, _ ID, p *modelPeer) {
		all++
		if p.owner == a.From {
			ofConn++
			if k == a.Key {
				ids++
			}
		}
	})
	switch {
	case all >= m.o.MaxPeers:
		return StatusTableFull
	case ofConn >= m.o.MaxPeersPerConnection:
		return StatusConnectionFull
	case ids >= m.o.MaxIDsPerTorrent:
		return StatusTooManyIDs
	case a.Full:
		return StatusAddressFull
	}
	return StatusAdded
}

// modelSender is a peer that offers, of this node or a guest.
type modelSender struct {
	key    Key
	id     ID
	from   Addr
	source uint64
	seeder bool
	offers []ID
	others map[uint16]PeerCounts // peers of other nodes among which it chooses
}

// room makes place for one more offer of a sender that has already some of this announce.
func (m *model) room(now uint32, s *modelSender, already int) bool {
	own := func(o modelOffer) bool { return o.key == s.key && o.sender == s.id && o.from == s.from }
	n := 0
	for _, o := range m.offers {
		if own(o) {
			n++
		}
	}
	if n >= m.o.MaxPendingPerPeer {
		m.giveUp(now, slices.IndexFunc(m.offers, own))
	}
	m.dropOrphans(orphansAtOnce)
	if len(m.offers)+m.orphans >= m.o.MaxPendingOffers {
		if len(m.offers) <= already {
			return false
		}
		m.giveUp(now, 0)
	}
	return true
}

// giveUp forgets an offer that has to give way to another.
func (m *model) giveUp(now uint32, i int) {
	if now-m.offers[i].at >= m.o.MaxOfferAge {
		m.expired++
	} else {
		m.pushedOut++
	}
	m.offers = slices.Delete(m.offers, i, i+1)
}

func (m *model) expire(now uint32, budget int) {
	for ; budget > 0 && len(m.offers) > 0 && now-m.offers[0].at >= m.o.MaxOfferAge; budget-- {
		m.offers = m.offers[1:]
		m.expired++
	}
}

func (m *model) findOffer(want modelOffer) int {
	return slices.IndexFunc(m.offers, func(o modelOffer) bool {
		want.at = o.at
		return o == want
	})
}

func (m *model) answer(now uint32, a *Answer) (Addr, AnswerStatus) {
	if !m.allows(a.Key.Hash) {
		return Addr{}, AnswerForbidden
	}
	to := m.peer(a.Key, a.To)
	if m.record(a.Key, a.Peer, a.From) == nil {
		return Addr{}, AnswerNotPeer
	}
	var senders []Addr
	if to != nil {
		for _, p := range append([]*modelPeer{to}, to.successors...) {
			senders = append(senders, p.owner)
		}
	}
	senders = append(senders, m.guestsOf(a.Key, a.To)...)
	if len(senders) == 0 {
		return Addr{}, AnswerNoPeer
	}
	i := -1
	for _, from := range senders {
		if i < 0 {
			i = m.findOffer(modelOffer{key: a.Key, sender: a.To, receiver: a.Peer, offer: a.Offer, from: from})
		}
	}
	if i < 0 {
		return Addr{}, AnswerNoOffer
	}
	defer m.forgetGuests()
	from := m.offers[i].from
	at := m.offers[i].at
	m.offers = slices.Delete(m.offers, i, i+1)
	if now-at >= m.o.MaxOfferAge {
		m.expired++
		return Addr{}, AnswerNoOffer
	}
	return from, AnswerRelay
}

func (m *model) gone(a Addr) int {
	n := 0
	m.each(func(k Key, id ID, p *modelPeer) {
		if p.owner == a {
			m.remove(k, id, a)
			n++
		}
	})
	return n
}

func (m *model) yield(a Addr) int {
	n := 0
	m.each(func(_ Key, _ ID, p *modelPeer) {
		if p.owner == a {
			n++
		}
	})
	for k, s := range m.swarms {
		for id, p := range s.peers {
			if p.owner == a && len(p.successors) > 0 {
				m.handOver(k, id)
				member := s.peers[id]
				member.successors = append(member.successors, p)
			}
		}
	}
	return n
}

// pair drives a Table and its model with the same operations and compares them.
type pair struct {
	t     *testing.T
	table *Table
	model *model
	now   uint32
	step  int
	what  func() string // describes the last operation

	dice func(n int) int // the next choice from 0 to n-1
	ids  int             // number of different peers that take part

	hashes []int // the numbers of the info hashes

	origins map[uint32]int // by Announce.Origin: peers, as the table has counted them
}

func (p *pair) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("step %d, %s: %s", p.step, p.what(), fmt.Sprintf(format, args...))
}

func testID(kind byte, n int) ID {
	return ID{0: kind, 1: byte(n), 2: byte(n >> 8), 3: byte(n >> 16), 19: kind}
}

func (p *pair) key() Key {
	return Key{Hash: testID('h', p.hashes[p.dice(len(p.hashes))]), Family: []uint8{0, 4, 6}[p.dice(3)]}
}

// originOf returns the origin of a connection: those of one client address have the same, or none.
func originOf(a Addr) uint32 { return a.Index % 3 }

// addr chooses a connection. Its client's address depends on its place alone: see Announce.Source.
func (p *pair) addr() (Addr, uint64) {
	a := Addr{Index: uint32(p.dice(2 + p.ids/4)), Gen: uint32(p.dice(2)), Shard: uint16(p.dice(2))}
	return a, uint64(a.Index%3) << 40
}

func (p *pair) announce() {
	a := Announce{Key: p.key(), Peer: testID('p', p.dice(p.ids)), Left: Left(p.dice(3))}
	a.From, a.Source = p.addr()
	// The connections of a peer announce it more often than others.
	if old := p.model.peer(a.Key, a.Peer); old != nil && p.dice(4) > 0 {
		old = append(old.successors, old)[p.dice(len(old.successors)+1)]
		a.From, a.Source = old.owner, old.source
	}
	a.Origin, a.Full = originOf(a.From), p.dice(20) == 0
	a.Event = []Event{EventUpdate, EventUpdate, EventUpdate, EventCompleted, EventStopped}[p.dice(5)]
	for range p.dice(6) {
		a.Offers = append(a.Offers, testID('o', p.dice(5)))
	}
	p.what = func() string { return fmt.Sprintf("announce %+v at %d", a, p.now) }

	before := []Target{{Peer: testID('x', 1)}}
	result, targets := p.table.Announce(p.now, &a, before)
	if targets[0] != before[0] {
		p.fatalf("the targets that were there are overwritten")
	}
	want := Result{Status: p.model.change(p.now, &a)}
	if s := p.model.swarms[a.Key]; s != nil && want.Status != StatusForbidden {
		want.Complete = uint32(p.model.count(func(k Key, p *modelPeer) bool { return k == a.Key && p.seeder }))
		want.Incomplete = uint32(len(s.peers)) - want.Complete
		seeders, leechers, _ := p.model.elsewhere(a.Key)
		want.Complete, want.Incomplete = want.Complete+seeders, want.Incomplete+leechers
	}
	if want.Status == StatusSuccessor {
		want.Owner = p.model.peer(a.Key, a.Peer).owner
	}
	if s := want.Status; s == StatusAdded || s == StatusUpdated || s == StatusSuccessor {
		want.Seeder = p.model.record(a.Key, a.Peer, a.From).seeder
	}
	p.checkMember(a.Key, a.Peer)
	if result != want {
		p.fatalf("result is %+v, want %+v", result, want)
	}
	p.checkTargets(&a, want.Status, targets[1:])
}

// checkTargets compares the targets of an announce with the model, and notes the offers.
func (p *pair) checkTargets(a *Announce, status Status, targets []Target) {
	switch status {
	case StatusAdded, StatusUpdated, StatusSuccessor:
	default:
		if len(targets) != 0 {
			p.fatalf("offers are relayed with status %s", status)
		}
		return
	}
	sender := p.model.record(a.Key, a.Peer, a.From)
	p.checkSent(&modelSender{
		key: a.Key, id: a.Peer, from: a.From, source: sender.source, seeder: sender.seeder, offers: a.Offers,
		others: p.model.others[a.Key],
	}, targets)
}

// checkSent compares the targets of a sender's offers with the model, and notes the offers.
func (p *pair) checkSent(s *modelSender, targets []Target) {
	peers := p.model.swarms[s.key].peers
	n := len(peers)
	if peers[s.id] != nil {
		n--
	}
	for _, c := range s.others {
		n += int(c.Seeders + c.Leechers)
	}
	n = min(len(s.offers), n, p.model.o.MaxPendingPerPeer)
	here := 0
	for i, to := range targets {
		if i >= n {
			p.fatalf("target %d is one of at most %d", i, n)
		}
		if to.To.Node != 0 {
			continue
		}
		receiver := peers[to.Peer]
		if to.Peer == s.id || receiver == nil || receiver.owner != to.To {
			p.fatalf("target %d, %+v, is not one of the other peers", i, to)
		}
		offer := modelOffer{key: s.key, sender: s.id, receiver: to.Peer, offer: s.offers[i], from: s.from, at: p.now}
		if at := p.model.findOffer(offer); at >= 0 {
			p.model.offers = slices.Delete(p.model.offers, at, at+1)
		} else if !p.model.room(p.now, s, here) {
			p.fatalf("target %d: there is no room to remember its offer", i)
		}
		p.model.offers = append(p.model.offers, offer)
		here++
	}
	if len(targets) < n && p.model.room(p.now, s, here) {
		p.fatalf("%d offers are relayed, want %d", len(targets), n)
	}
	p.checkOrder(s, n, targets)
	p.model.forgetGuests()
}

// checkOrder compares the order of targets with the rules of relay: at each place there was no peer left that had to
// come before it. n is how many offers the sender could relay.
func (p *pair) checkOrder(s *modelSender, n int, targets []Target) {
	peers, most := p.model.swarms[s.key].peers, max(1, n/4)
	bySource := make(map[uint64]int)
	rank := func(id ID) int {
		switch peer := peers[id]; {
		case peer.source != s.source && bySource[peer.source] >= most:
			return 3
		case p.quiet(s.key, id):
			return 2
		case s.seeder && peer.seeder:
			return 1
		}
		return 0
	}
	left := maps.Clone(peers)
	delete(left, s.id)
	away := newModelAway(s)
	for i, to := range targets {
		if to.To.Node != 0 {
			got := away.take(to)
			for id := range left {
				if rank(id) < got {
					p.fatalf("target %d is of node %d where a peer of rank %d was left here", i, to.To.Node, rank(id))
				}
			}
			if got > 2 || away.best() < got {
				p.fatalf("target %d, %+v, is of rank %d, and %d was left elsewhere", i, to, got, away.best())
			}
			continue
		}
		if left[to.Peer] == nil {
			p.fatalf("target %d got an offer before", i)
		}
		got := rank(to.Peer)
		if away.best() < got {
			p.fatalf("target %d of rank %d is chosen where one of rank %d was left elsewhere", i, got, away.best())
		}
		for id := range left {
			if rank(id) < got {
				p.fatalf("target %d of rank %d is chosen where one of rank %d was left", i, got, rank(id))
			}
		}
		delete(left, to.Peer)
		bySource[peers[to.Peer].source]++
	}
}

// quiet says how the table has marked a peer.
func (p *pair) quiet(k Key, id ID) bool {
	s := p.table.findSwarm(&k)
	return p.table.swarms.at(s).classAt(p.table.peers.at(p.table.findPeer(s, &id)).place) == quietPeers
}

func (p *pair) answer() {
	a := Answer{Key: p.key(), Peer: testID('p', p.dice(p.ids)), To: testID('p', p.dice(p.ids))}
	a.Offer = testID('o', p.dice(5))
	a.From, _ = p.addr()
	// Most answers are to an offer that is there, or was.
	if n := len(p.model.offers); n > 0 && p.dice(4) > 0 {
		o := p.model.offers[p.dice(n)]
		a = Answer{Key: o.key, Peer: o.receiver, To: o.sender, Offer: o.offer, From: a.From}
		if r := p.model.peer(o.key, o.receiver); r != nil && p.dice(8) > 0 {
			a.From = r.owner
		}
	}
	p.what = func() string { return fmt.Sprintf("answer %+v at %d", a, p.now) }
	for range 1 + p.dice(2) {
		to, status := p.table.Answer(p.now, &a)
		wantTo, wantStatus := p.model.answer(p.now, &a)
		if to != wantTo || status != wantStatus {
			p.fatalf("got %+v %s, want %+v %s", to, status, wantTo, wantStatus)
		}
	}
}

func (p *pair) yield() {
	a, _ := p.addr()
	p.what = func() string { return fmt.Sprintf("yield %+v", a) }
	want := p.model.yield(a)
	if got := p.table.Yield(a); got != want {
		p.fatalf("the connection has %d peers, want %d", got, want)
	}
}

func (p *pair) gone() {
	a, _ := p.addr()
	p.what = func() string { return fmt.Sprintf("gone %+v", a) }
	orphans := p.model.orphans + len(p.model.offers)
	want := p.model.gone(a)
	if got := p.table.Gone(a); got != want {
		p.fatalf("%d peers are removed, want %d", got, want)
	}
	p.settleOrphans(orphans-len(p.model.offers), want)
}

// settleOrphans checks how many orphans are left after the table has removed several peers, and gives the
// model the number: the model does not know the order in which the table has removed them.
func (p *pair) settleOrphans(most, removed int) {
	left := p.table.offers.orphans
	if left > most || left < most-orphansAtOnce*removed {
		p.fatalf("%d orphans of %d are left after the removal of %d peers", left, most, removed)
	}
	p.model.orphans = left
}

// setAccess gives the table and the model a new rule. The table gets it as the file of an access list.
func (p *pair) setAccess() {
	m := p.model
	m.access, m.listed = AccessMode(p.dice(3)), make(map[ID]bool)
	var file []byte
	for _, i := range p.hashes {
		if id := testID('h', i); p.dice(2) == 0 {
			m.listed[id] = true
			file = fmt.Appendf(file, "%x\n", id)
		}
	}
	p.what = func() string { return fmt.Sprintf("access mode %d for %q", m.access, file) }
	l, err := ParseAccessList(file, "list", nil)
	if err != nil || l.Len() != len(m.listed) {
		p.fatalf("%d of %d hashes, error %v", l.Len(), len(m.listed), err)
	}
	p.table.SetAccess(&Access{Mode: m.access, List: l})
	for _, i := range p.hashes {
		if id := testID('h', i); p.table.Allowed(&id) != m.allows(id) {
			p.fatalf("hash %d is allowed: %t", i, !m.allows(id))
		}
	}
}

func (p *pair) sweep(budget int) (work int) {
	p.what = func() string { return fmt.Sprintf("sweep of %d at %d", budget, p.now) }
	work = p.table.Sweep(p.now, budget)
	if most := budget + orphansAtOnce; work > most {
		p.fatalf("touched %d entries", work)
	}
	p.model.expire(p.now, budget-p.model.dropOrphans(budget))
	orphans, removed := p.model.orphans+len(p.model.offers), 0
	either := uint64(0) // peers that are both too old and forbidden
	p.model.each(func(k Key, id ID, mp *modelPeer) {
		slot := p.table.findSwarm(&k)
		if slot != 0 {
			if member := p.table.findPeer(slot, &id); member != 0 && p.table.findRecord(slot, &id, member, mp.owner) != 0 {
				return
			}
		}
		switch old := p.now-mp.seen >= p.model.o.MaxQuietAge; {
		case old && !p.model.allows(k.Hash):
			either++
		case old:
			p.model.agedOut++
		case !p.model.allows(k.Hash):
			p.model.forbidden++
		default:
			p.fatalf("a peer is removed after %d s", p.now-mp.seen)
		}
		p.model.remove(k, id, mp.owner)
		removed++
	})
	p.model.handedOver = p.table.Counts().PeersHandedOver // it does not know the order in which records have gone
	p.settleOrphans(orphans-len(p.model.offers), removed)
	if forbidden := p.table.Counts().PeersForbidden; forbidden > p.model.forbidden {
		n := min(either, forbidden-p.model.forbidden)
		p.model.forbidden, either = p.model.forbidden+n, either-n
	}
	p.model.agedOut += either
	return work
}

// pass sweeps until the table says that a pass is done, and checks that it is.
func (p *pair) pass() {
	for limit := p.table.Len() + 2; p.sweep(1+p.dice(20)) > 0; limit-- {
		if limit == 0 {
			p.fatalf("the pass does not end")
		}
	}
	if c := p.table.Counts(); c.Remote != len(p.model.others) || c.RemoteEntries != p.model.entries() {
		p.fatalf("%d torrents know of peers elsewhere, want %d", c.Remote, len(p.model.others))
	}
	p.model.each(func(k Key, id ID, mp *modelPeer) {
		if !p.model.allows(k.Hash) {
			p.fatalf("a peer of a forbidden torrent is still there")
		}
		age := p.now - mp.seen
		if age >= p.model.o.MaxQuietAge {
			p.fatalf("a peer of %d s is still there", age)
		}
		if mp != p.model.peer(k, id) {
			return
		}
		if quiet := age >= p.model.o.MaxPeerAge; quiet != p.quiet(k, id) {
			p.fatalf("a peer of %d s is marked %t, want %t", age, !quiet, quiet)
		}
	})
}

func (p *pair) compareCounts() {
	m := p.model
	all := func(Key, *modelPeer) bool { return true }
	conns := make(map[Addr]bool)
	quiet := 0
	want := Counts{
		Torrents: len(m.swarms), Peers: m.count(all), PendingOffers: len(m.offers),
		Seeders:       m.count(func(_ Key, p *modelPeer) bool { return p.seeder }),
		OffersExpired: m.expired, OffersPushedOut: m.pushedOut, PeersAgedOut: m.agedOut,
		PeersForbidden: m.forbidden, PeersHandedOver: m.handedOver,
	}
	origins := make(map[uint32]int)
	m.each(func(k Key, id ID, mp *modelPeer) {
		conns[mp.owner] = true
		if origin := originOf(mp.owner); origin != 0 {
			origins[origin]++
		}
		if mp != m.peer(k, id) {
			want.Successors++
		} else if p.quiet(k, id) {
			quiet++
			if p.now-mp.seen < m.o.MaxPeerAge {
				p.fatalf("a fresh peer is marked quiet")
			}
		}
	})
	maps.DeleteFunc(p.origins, func(_ uint32, n int) bool { return n == 0 })
	if !maps.Equal(p.origins, origins) {
		p.fatalf("peers by origin are %v, want %v", p.origins, origins)
	}
	want.Connections, want.Quiet = len(conns), quiet
	got := p.table.Counts()
	want.Bytes, want.Unreported = got.Bytes, got.Unreported
	want.Guests, want.GuestsPushedOut = len(m.guests), m.guestsPushedOut
	want.Remote, want.RemoteEntries = max(got.Remote, len(m.others)), max(got.RemoteEntries, m.entries())
	if got != want {
		p.fatalf("counts are\n%+v, want\n%+v", got, want)
	}
	for _, family := range []uint8{0, 4, 6} {
		torrents := 0
		for k := range m.swarms {
			if k.Family == family {
				torrents++
			}
		}
		peers := m.count(func(k Key, _ *modelPeer) bool { return k.Family == family })
		if gotTorrents, gotPeers := p.table.CountsByFamily(family); gotTorrents != torrents || gotPeers != peers {
			p.fatalf("family %d: %d torrents and %d peers, want %d and %d", family, gotTorrents, gotPeers, torrents, peers)
		}
	}
}

func (p *pair) scrape() {
	k := p.key()
	p.what = func() string { return fmt.Sprintf("scrape %+v", k) }
	c, i, d := p.table.Scrape(k)
	got, want := [3]uint32{c, i, d}, [3]uint32{}
	if s := p.model.swarms[k]; s != nil && p.model.allows(k.Hash) {
		want[0] = uint32(p.model.count(func(of Key, p *modelPeer) bool { return of == k && p.seeder }))
		want[1] = uint32(len(s.peers)) - want[0]
		want[2] = s.downloaded
		seeders, leechers, downloaded := p.model.elsewhere(k)
		want[0], want[1], want[2] = want[0]+seeders, want[1]+leechers, want[2]+downloaded
	}
	if got != want {
		p.fatalf("got %v, want %v", got, want)
	}
}

// one does one operation and makes all cheap comparisons.
func (p *pair) one() {
	p.step++
	switch d := p.dice(100); {
	case d < 46:
		p.announce()
	case d < 63:
		p.answer()
	case d < 70:
		p.visit()
	case d < 74:
		p.setOthers()
	case d < 75:
		p.setNodes()
	case d < 77:
		p.report()
	case d < 80:
		p.gone()
	case d < 82:
		p.yield()
	case d < 84:
		p.scrape()
	case d < 85:
		p.look()
	case d < 86:
		p.setAccess()
	case d < 93:
		p.now += uint32(p.dice(4))
	case d < 95:
		p.now += uint32(p.dice(int(p.model.o.MaxQuietAge)))
	case d < 99:
		p.sweep(p.dice(30))
	default:
		p.pass()
	}
	p.model.forgetGuests()
	p.noteChanges()
	if p.step%8 == 0 {
		p.compareCounts()
	}
}

// drain removes everything, and checks that the table is as empty as it was at first.
func (p *pair) drain() {
	p.now += max(p.model.o.MaxQuietAge, p.model.o.MaxOfferAge)
	p.pass()
	p.model.forgetGuests()
	p.compareCounts()
	if p.table.Counts().Peers+p.table.Counts().Successors+p.table.Counts().PendingOffers != 0 {
		p.fatalf("the table is not empty at the end: %+v", p.table.Counts())
	}
	checkTable(p.t, p.table)
}

func newPair(t *testing.T, ids int, o Options, dice func(int) int) *pair {
	nothing := func() string { return "nothing" }
	origins := make(map[uint32]int)
	o.Count = func(origin uint32, delta int) { origins[origin] += delta }
	return &pair{t: t, table: New(o), model: newModel(o), now: 1000, what: nothing, dice: dice, ids: ids, hashes: []int{0, 1, 2}, origins: origins}
}

// shrink lets every hash table below a new Table begin with one bucket instead of thousands, so that a few records grow it:
// each four that come split a bucket.
func shrink(t *Table) {
	one := func(heads *[]*[pageLen]uint32, base, buckets *uint32) {
		*heads, *base, *buckets = append(*heads, new([pageLen]uint32)), 1, 1
	}
	one(&t.peers.heads, &t.peers.base, &t.peers.buckets)
	one(&t.swarms.heads, &t.swarms.base, &t.swarms.buckets)
	one(&t.conns.heads, &t.conns.base, &t.conns.buckets)
	one(&t.seats.heads, &t.seats.base, &t.seats.buckets)
	one(&t.offers.pending.heads, &t.offers.pending.base, &t.offers.pending.buckets)
	one(&t.offers.senders.heads, &t.offers.senders.base, &t.offers.senders.buckets)
	one(&t.changes.notes.heads, &t.changes.notes.base, &t.changes.notes.buckets)
	one(&t.remote.torrents.heads, &t.remote.torrents.base, &t.remote.torrents.buckets)
	one(&t.offers.guests.all.heads, &t.offers.guests.all.base, &t.offers.guests.all.buckets)
}

// The table and the naive model give the same replies, counts and relays for any sequence of
// announces, answers, closed connections, access rules, sweeps and jumps of time, under loose and tight limits, and while
// the hash tables grow. A failing seed is printed and replays.
func TestTableAgainstModel(t *testing.T) {
	seeds, steps := 100, 10_000
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			o := Options{
				Seed: [2]uint64{r.Uint64(), r.Uint64()}, MaxPeerAge: 10 + r.Uint32N(50), MaxOfferAge: 5 + r.Uint32N(50),
				MaxPeersPerConnection: 1 + r.IntN(40), MaxIDsPerTorrent: 1 + r.IntN(8), MaxPeers: 1 + r.IntN(60),
				MaxPendingOffers: r.IntN(60), MaxPendingPerPeer: r.IntN(12),
			}
			o.MaxQuietAge = o.MaxPeerAge + r.Uint32N(100)
			o.Cluster, o.MaxRemote, o.MaxVisits = seed%4 >= 2, r.IntN(9), r.IntN(12)
			p := newPair(t, 2+r.IntN(40), o, r.IntN)
			if seed%2 == 1 {
				shrink(p.table)
			}
			for i := range steps {
				p.one()
				if i%512 == 0 {
					checkTable(t, p.table)
				}
			}
			p.drain()
		})
	}
}

// The same comparison with operations that the fuzzer chooses.
func FuzzTableAgainstModel(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 10, 100, 1000, 4000} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		i := 0
		dice := func(n int) int {
			if i >= len(data) {
				return 0
			}
			i++
			return int(data[i-1]) % n
		}
		o := Options{
			MaxPeerAge: 10, MaxQuietAge: 40, MaxOfferAge: 20, MaxPeersPerConnection: 1 + dice(30), MaxIDsPerTorrent: 1 + dice(8),
			MaxPeers: 1 + dice(30), MaxPendingOffers: dice(30), MaxPendingPerPeer: dice(8),
			Cluster: dice(3) > 0, MaxRemote: dice(9), MaxVisits: dice(9),
		}
		p := newPair(t, 1+dice(30), o, dice)
		if dice(2) == 1 {
			shrink(p.table)
		}
		for i < len(data) {
			p.one()
		}
		p.drain()
	})
}

// checkTable checks the invariants between the parts of a table: each peer is where its swarm and its
// connection say it is, each record is found by its hash, and no block of the pool is lost.
func checkTable(t *testing.T, table *Table) {
	t.Helper()
	blocks := make(map[uint32]bool)
	peersOf := func(l list) (slots []uint32) {
		for i := range l.n {
			slots = append(slots, *table.lists.entry(&l, i))
		}
		if l.n >= 2 {
			blocks[l.ref] = true
		}
		for i := uint32(0); l.n > poolPageLen && i < (l.n+poolPageLen-1)/poolPageLen; i++ {
			blocks[*table.lists.word(l.ref, i)] = true
		}
		return slots
	}
	inSwarms, inConns, quiet, seeders, successors := 0, 0, 0, 0, 0
	for slot := range table.swarms.high {
		s := table.swarms.at(slot + 1)
		own := uint32(0)
		for i, p := range peersOf(s.members) {
			pr := table.peers.at(p)
			if pr.swarm != slot+1 || pr.place != uint32(i) || table.findPeer(pr.swarm, &pr.id) != p {
				t.Fatalf("swarm %d, member %d: peer %d is %+v", slot+1, i, p, pr)
			}
			if pr.seeder {
				own++
			}
			if c := s.classAt(pr.place); c != quietPeers && c != classOf(pr.seeder, true) {
				t.Fatalf("swarm %d, member %d: peer %d, %+v, is in class %d", slot+1, i, p, pr, c)
			}
			inSwarms++
		}
		if own != s.seeders || s.ends[0] > s.ends[1] || s.ends[1] > s.members.n {
			t.Fatalf("swarm %d has %d seeders and is %+v", slot+1, own, s)
		}
		seeders += int(own)
		quiet += int(s.members.n - s.ends[freshSeeders])
	}
	for slot := range table.conns.high {
		c := table.conns.at(slot + 1)
		for i, p := range peersOf(c.peers()) {
			if pr := table.peers.at(p); pr.conn != slot+1 || int(pr.connPlace) != i {
				t.Fatalf("connection %d, entry %d: peer %d is %+v", slot+1, i, p, pr)
			}
			inConns++
			if !table.peers.at(p).role.member() {
				successors++
			}
		}
	}
	if c := table.Counts(); inSwarms != c.Peers || successors != c.Successors || inConns != c.Peers+successors || quiet != c.Quiet || seeders != c.Seeders {
		t.Fatalf("%d peers in swarms, %d in connections, %d quiet, %d seeders, but the counts are %+v",
			inSwarms, inConns, quiet, seeders, c)
	}
	used := 0
	for _, info := range table.lists.infos {
		used += int(info.used)
	}
	if used != len(blocks) {
		t.Fatalf("%d blocks of the pool are in use, %d in lists", used, len(blocks))
	}
	checkSeats(t, table)
	checkSuccessors(t, table)
	checkOffers(t, table)
	checkChanges(t, table)
	checkRemote(t, table)
	checkGuests(t, table)
}

// checkSeats checks the counts of the peers that large connections have in each swarm.
func checkSeats(t *testing.T, table *Table) {
	t.Helper()
	sitting := make(map[seats]uint32)
	for slot := range table.conns.high {
		c := table.conns.at(slot + 1)
		l := c.peers()
		for i := range l.n {
			if c.n > fewPeers {
				sitting[seats{swarm: table.peers.at(*table.lists.entry(&l, i)).swarm, conn: slot + 1}]++
			}
		}
	}
	if len(sitting) != table.seats.len() {
		t.Fatalf("%d records of seats, want %d", table.seats.len(), len(sitting))
	}
	for x, n := range sitting {
		if at, _ := table.findSeats(x.swarm, x.conn); at == 0 || table.seats.at(at).n != n {
			t.Fatalf("the seats of connection %d in swarm %d are not %d", x.conn, x.swarm, n)
		}
	}
}

// checkSuccessors checks that members count their successors, and that each of these is of another connection.
func checkSuccessors(t *testing.T, table *Table) {
	t.Helper()
	all := 0
	for slot := range table.peers.high {
		member := table.peers.at(slot + 1)
		if member.conn == 0 || !member.role.member() {
			continue
		}
		own := 0
		conns := map[uint32]bool{member.conn: true}
		table.eachSuccessor(slot+1, func(p uint32) {
			own++
			conns[table.peers.at(p).conn] = true
		})
		if own != int(member.role) || len(conns) != own+1 {
			t.Fatalf("member %d has %d successors on %d connections and is %+v", slot+1, own, len(conns), member)
		}
		all += own
	}
	if all != table.successors {
		t.Fatalf("%d successors of members, %d counted", all, table.successors)
	}
}
