package swarm

// This file is the part of the naive model of a Table that is about other nodes: the peers that they have, their visits, and
// what the directory is told.

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// modelCluster is what a model knows of other nodes.
type modelCluster struct {
	live   map[uint16]bool
	others map[Key]map[uint16]PeerCounts // of nodes that are there
	guests []modelGuest                  // in the order in which they came

	visits          int
	guestsPushedOut uint64

	counts          map[Key]PeerCounts // after the last operation
	urgent, changed map[Key]bool       // torrents that are to be reported
}

type modelGuest struct {
	key     Key
	id      ID
	from    Addr
	visited int // the number of the last visit
}

func newModelCluster() modelCluster {
	return modelCluster{
		live: make(map[uint16]bool), others: make(map[Key]map[uint16]PeerCounts), counts: make(map[Key]PeerCounts),
		urgent: make(map[Key]bool), changed: make(map[Key]bool),
	}
}

// elsewhere returns the counts of all other nodes.
func (m *model) elsewhere(k Key) (seeders, leechers, downloaded uint32) {
	for _, c := range m.others[k] {
		seeders, leechers, downloaded = seeders+c.Seeders, leechers+c.Leechers, downloaded+c.Downloaded
	}
	return seeders, leechers, downloaded
}

// entries returns how many counts of nodes there are.
func (m *model) entries() (n int) {
	for _, of := range m.others {
		n += len(of)
	}
	return n
}

// guestsOf returns the connections of a peer id's guests, those that came first at the beginning.
func (m *model) guestsOf(k Key, id ID) (all []Addr) {
	for _, g := range m.guests {
		if g.key == k && g.id == id && m.live[g.from.Node] {
			all = append(all, g.from)
		}
	}
	return all
}

// forgetGuests removes the guests that have no offers.
func (m *model) forgetGuests() {
	m.guests = slices.DeleteFunc(m.guests, func(g modelGuest) bool {
		return !slices.ContainsFunc(m.offers, g.sent)
	})
}

// sent reports whether an offer is one of the guest's.
func (g modelGuest) sent(o modelOffer) bool {
	return o.key == g.key && o.sender == g.id && o.from == g.from
}

// welcome notes a visit and lets another guest give way if there is no room.
func (m *model) welcome(v *Visit) {
	m.visits++
	of := 0
	for i := range m.guests {
		g := &m.guests[i]
		if g.key != v.Key || g.id != v.Peer {
			continue
		}
		of++
		if g.from == v.From {
			g.visited = m.visits
			return
		}
	}
	out := -1
	switch {
	case of >= 4:
		out = slices.IndexFunc(m.guests, func(g modelGuest) bool { return g.key == v.Key && g.id == v.Peer })
	case len(m.guests) >= m.o.MaxVisits:
		out = 0
		for i, g := range m.guests {
			if g.visited < m.guests[out].visited {
				out = i
			}
		}
	}
	if out >= 0 {
		before := len(m.offers)
		m.offers = slices.DeleteFunc(m.offers, m.guests[out].sent)
		m.orphans += before - len(m.offers)
		m.guests = slices.Delete(m.guests, out, out+1)
		m.guestsPushedOut++
	}
	m.guests = append(m.guests, modelGuest{v.Key, v.Peer, v.From, m.visits})
}

func (p *pair) visit() {
	v := Visit{Key: p.key(), Peer: testID('p', p.dice(p.ids)), Seeder: p.dice(2) == 0}
	v.From, _ = p.addr()
	v.From.Node = uint16(p.dice(5))
	// Most visits are of an id that has guests, half of these of a guest that comes again.
	if n := len(p.model.guests); n > 0 && p.dice(3) > 0 {
		g := p.model.guests[p.dice(n)]
		if v.Key, v.Peer = g.key, g.id; p.dice(2) == 0 {
			v.From = g.from
		}
	}
	for range p.dice(6) {
		v.Offers = append(v.Offers, testID('o', p.dice(5)))
	}
	p.what = func() string { return fmt.Sprintf("visit %+v at %d", v, p.now) }
	before := []Target{{Peer: testID('x', 1)}}
	targets := p.table.Visit(p.now, &v, before)
	if targets[0] != before[0] {
		p.fatalf("the targets that were there are overwritten")
	}
	targets = targets[1:]
	m, others := p.model, 0
	if s := m.swarms[v.Key]; s != nil && m.live[v.From.Node] && m.o.MaxVisits > 0 && m.allows(v.Key.Hash) {
		others = len(s.peers)
		if s.peers[v.Peer] != nil {
			others--
		}
	}
	if min(others, len(v.Offers), m.o.MaxPendingPerPeer) == 0 {
		if len(targets) != 0 {
			p.fatalf("%d offers are relayed", len(targets))
		}
		return
	}
	m.welcome(&v)
	p.checkSent(&modelSender{
		key: v.Key, id: v.Peer, from: v.From, source: math.MaxUint64, seeder: v.Seeder, offers: v.Offers,
	}, targets)
}

// setNodes lets each of four nodes be there or not.
func (p *pair) setNodes() {
	m := p.model
	var live []uint16
	m.live = make(map[uint16]bool)
	for node := range uint16(5) {
		if p.dice(3) > 0 {
			live = append(live, node)
			m.live[node] = node > 0 && m.o.Cluster
		}
	}
	p.what = func() string { return fmt.Sprintf("nodes %d", live) }
	for k, of := range m.others {
		maps.DeleteFunc(of, func(node uint16, _ PeerCounts) bool { return !m.live[node] })
		if len(of) == 0 {
			delete(m.others, k)
		}
	}
	p.table.SetNodes(live)
}

func (p *pair) setOthers() {
	m, k := p.model, p.key()
	var list []Others
	of := make(map[uint16]PeerCounts)
	for range p.dice(5) {
		o := Others{Node: uint16(p.dice(5)), PeerCounts: PeerCounts{
			Seeders: uint32(p.dice(4)), Leechers: uint32(p.dice(4)), Downloaded: uint32(p.dice(3)),
		}}
		o.FreshSeeders, o.FreshLeechers = uint32(p.dice(1+int(o.Seeders))), uint32(p.dice(1+int(o.Leechers)))
		list = append(list, o)
		if _, twice := of[o.Node]; !twice && m.live[o.Node] && o.Seeders+o.Leechers > 0 {
			of[o.Node] = o.PeerCounts
		}
	}
	p.what = func() string { return fmt.Sprintf("others of %+v: %+v", k, list) }
	// Counts of nodes that have ended may take their room for a while.
	s := p.table.findSwarm(&k)
	full := p.table.Counts().Remote >= m.o.MaxRemote && (s == 0 || !p.table.swarms.at(s).shared)
	want := m.o.Cluster && m.swarms[k] != nil && (!full || len(of) == 0)
	if got := p.table.SetOthers(k, list); got != want {
		p.fatalf("kept: %t", got)
	}
	if want && len(of) > 0 {
		m.others[k] = of
	} else if want {
		delete(m.others, k)
	}
	if shared := len(m.others[k]) > 0; p.table.shared(k) != shared {
		p.fatalf("shared: %t, want %t", !shared, shared)
	}
}

// modelAway counts the peers of other nodes that are left, by node and rank (see checkOrder).
type modelAway map[uint16]*[3]int

func newModelAway(s *modelSender) modelAway {
	away := make(modelAway)
	for node, c := range s.others {
		left := [3]int{int(c.FreshLeechers), 0, int(c.Seeders + c.Leechers - c.FreshSeeders - c.FreshLeechers)}
		if s.seeder {
			left[1] = int(c.FreshSeeders)
		} else {
			left[0] += int(c.FreshSeeders)
		}
		away[node] = &left
	}
	return away
}

// take takes the best peer of a target's node and returns its rank, 3 if there is none.
func (a modelAway) take(to Target) int {
	left := a[to.To.Node]
	if left == nil || to != (Target{To: Addr{Node: to.To.Node}}) {
		return 3
	}
	for rank := range left {
		if left[rank] > 0 {
			left[rank]--
			return rank
		}
	}
	return 3
}

// best returns the rank of the best peer that is left, 3 if there is none.
func (a modelAway) best() int {
	best := 3
	for _, left := range a {
		for rank := range best {
			if left[rank] > 0 {
				best = rank
			}
		}
	}
	return best
}

// presences returns the counts of all torrents as the directory should know them.
func (p *pair) presences() map[Key]PeerCounts {
	all := make(map[Key]PeerCounts)
	for k, s := range p.model.swarms {
		c := PeerCounts{Downloaded: s.downloaded}
		for id, peer := range s.peers {
			count, fresh := &c.Leechers, &c.FreshLeechers
			if peer.seeder {
				count, fresh = &c.Seeders, &c.FreshSeeders
			}
			*count++
			if !p.quiet(k, id) {
				*fresh++
			}
		}
		all[k] = c
	}
	return all
}

// noteChanges notes the torrents whose counts are not what they were after the last operation.
func (p *pair) noteChanges() {
	m := p.model
	if !m.o.Cluster {
		return
	}
	now := p.presences()
	for k, c := range now {
		if old, was := m.counts[k]; !was {
			m.urgent[k] = true
		} else if c != old {
			m.changed[k] = true
		}
	}
	for k := range m.counts {
		if _, is := now[k]; !is {
			m.urgent[k] = true
		}
	}
	m.counts = now
}

// report compares what the directory is told with the model. The table may report more often than it must, but only
// counts that are true.
func (p *pair) report() {
	m, all, most, room := p.model, p.dice(2) == 0, 1000, 1000
	if p.dice(2) == 0 {
		most, room = p.dice(6), p.dice(6)
	}
	p.what = func() string { return fmt.Sprintf("report, all: %t, at most %d, room for %d", all, most, room) }
	var list []Presence
	refused := false
	more := p.table.Report(all, most, func(told *Presence) bool {
		if refused = len(list) == room; !refused {
			list = append(list, *told)
		}
		return !refused
	})
	ended := false // the urgent ones
	for i, told := range list {
		k := told.Key
		ended = ended || !m.urgent[k]
		if ended && (!all || m.urgent[k]) || told.PeerCounts != m.counts[k] || !m.o.Cluster {
			p.fatalf("report %d is %+v, want %+v, urgent: %t", i, told, m.counts[k], m.urgent[k])
		}
		if presence, ok := p.table.Presence(k); presence != told || ok != (m.swarms[k] != nil) {
			p.fatalf("the presence of report %d is %+v, want %+v", i, presence, told)
		}
		delete(m.urgent, k)
		delete(m.changed, k)
	}
	switch {
	case refused && (!more || len(list) != room), !refused && more && len(list) != most:
		p.fatalf("%d torrents are reported, more: %t", len(list), more)
	case !more && len(m.urgent) > 0, !more && all && len(m.changed) > 0, more && !all && len(m.urgent) == 0:
		p.fatalf("more: %t, although %d torrents have come or gone and %d have changed", more, len(m.urgent), len(m.changed))
	}
}
