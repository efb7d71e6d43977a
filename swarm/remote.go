package swarm

// This file owns what a Table knows of the peers that its torrents have on other nodes: how many there are, node by node.

// MaxNodes is how many other nodes there can be at once.
const MaxNodes = 64

// Others counts the peers that a torrent has on another node.
type Others struct {
	Node uint16 // its number: see Addr
	PeerCounts
}

// remote is what a table knows of other nodes.
//
// A node may end while many torrents have counts of it. They lose them when they are looked at, and a search by Sweep
// finds the rest. The epoch tells counts from before such an end: it is another one after each change of the nodes.
type remote struct {
	torrents records[away]
	words    pool // their entries
	entries  int  // in all torrents

	nodes []liveNode
	epoch uint32
	list  []Others // scratch

	stale uint32 // slots of torrents that the search has still to look at
	top   uint32 // the highest slot in use when the nodes changed
	slot  uint32 // the one that it has looked at last
}

// liveNode is a node that is there, and has been since an epoch.
type liveNode struct {
	number uint16
	since  uint32
}

// away is what is known of the peers that a torrent has on other nodes: at least one entry.
type away struct {
	swarm uint32 // slot of the torrent; 0 only in a free record
	epoch uint32
	ref   uint32 // its entries, each of entryWords, in remote.words
	n     uint32
	sum   PeerCounts
}

// entryWords is the length of an entry: the number of a node, and its counts.
const entryWords = 6

func (r *remote) init(o *Options) {
	r.torrents.hash = func(a *away) uint64 { return hashAway(o.Seed, a.swarm) }
	if o.Cluster {
		r.nodes, r.list = make([]liveNode, 0, MaxNodes), make([]Others, 0, MaxNodes)
	}
}

func hashAway(seed [2]uint64, s uint32) uint64 {
	h := newHash(seed, useAway)
	h.word(uint64(s))
	return h.sum()
}

func (t *Table) findAway(s uint32) uint32 {
	return t.remote.torrents.find(hashAway(t.o.Seed, s), func(a *away) bool { return a.swarm == s })
}

// since returns the epoch from which on a node has been live; live is false if it is not.
func (r *remote) since(node uint16) (epoch uint32, live bool) {
	for i := range r.nodes {
		if r.nodes[i].number == node {
			return r.nodes[i].since, true
		}
	}
	return 0, false
}

// SetNodes says which other nodes there are. Counts of all others count as nothing from now on, also if such a node is
// said to be there again. Numbers beyond the first MaxNodes are ignored. Nothing of live is kept.
//
// It does nothing without Options.Cluster.
func (t *Table) SetNodes(live []uint16) {
	r := &t.remote
	if !t.o.Cluster {
		return
	}
	before := [MaxNodes]liveNode{}
	old := before[:copy(before[:], r.nodes)]
	r.nodes, r.epoch = r.nodes[:0], r.epoch+1
	for _, number := range live {
		if _, twice := r.since(number); twice || number == 0 || len(r.nodes) == MaxNodes {
			continue
		}
		node := liveNode{number: number, since: r.epoch}
		for _, o := range old {
			if o.number == number {
				node.since = o.since
			}
		}
		r.nodes = append(r.nodes, node)
	}
	r.stale, r.top = r.torrents.high, r.torrents.high
}

// SetOthers replaces what is known of the peers of a torrent on other nodes, each of which is there (see SetNodes) and
// comes once: the rest of the list is ignored. An empty list forgets all. It returns false, and keeps nothing, if nobody
// is in the torrent here, or if the table knows of Options.MaxRemote other torrents. Nothing of list is kept.
//
// What is known of a torrent is forgotten with its last peer here.
func (t *Table) SetOthers(k Key, list []Others) bool {
	r := &t.remote
	if !t.o.Cluster {
		return false
	}
	s := t.findSwarm(&k)
	if s == 0 {
		return false
	}
	r.list = r.list[:0]
	for i := range list {
		r.take(&list[i])
	}
	slot := uint32(0)
	if t.swarms.at(s).shared {
		slot = t.findAway(s)
	}
	switch {
	case slot == 0 && len(r.list) == 0:
		return true
	case slot == 0 && r.torrents.len() >= t.o.MaxRemote:
		return false
	case slot == 0:
		slot = r.torrents.insert(hashAway(t.o.Seed, s), away{swarm: s})
		t.swarms.at(s).shared = true
	}
	t.store(slot)
	return true
}

// take puts an entry into the scratch list if it counts peers of a live node and is the first one of that node.
func (r *remote) take(o *Others) {
	if _, live := r.since(o.Node); !live || o.Seeders == 0 && o.Leechers == 0 {
		return
	}
	for i := range r.list {
		if r.list[i].Node == o.Node {
			return
		}
	}
	r.list = append(r.list, Others{Node: o.Node, PeerCounts: o.PeerCounts.limited()})
}

// limited returns counts as a table can have them, so that the sums of all nodes fit their type.
func (c PeerCounts) limited() PeerCounts {
	c.Seeders, c.Leechers = min(c.Seeders, MaxPeersLimit), min(c.Leechers, MaxPeersLimit)
	c.FreshSeeders, c.FreshLeechers = min(c.FreshSeeders, c.Seeders), min(c.FreshLeechers, c.Leechers)
	return c
}

// store makes the scratch list the entries of the torrent at a slot of remote, which it forgets if there are none.
func (t *Table) store(slot uint32) {
	r := &t.remote
	a, n := r.torrents.at(slot), uint32(len(r.list))
	if n != a.n {
		if a.n > 0 {
			r.words.give(a.ref)
		}
		if n > 0 {
			a.ref = r.words.take(n * entryWords)
		}
		r.entries += int(n) - int(a.n)
		a.n = n
	}
	if n == 0 {
		t.swarms.at(a.swarm).shared = false
		r.torrents.remove(slot)
		return
	}
	a.epoch, a.sum = r.epoch, PeerCounts{}
	for i := range r.list {
		o := &r.list[i]
		*r.entry(a, uint32(i)) = [entryWords]uint32{
			uint32(o.Node), o.Seeders, o.Leechers, o.FreshSeeders, o.FreshLeechers, o.Downloaded,
		}
		a.sum.add(&o.PeerCounts)
	}
}

// entry returns the place of an entry of a torrent, for i < a.n.
func (r *remote) entry(a *away, i uint32) *[entryWords]uint32 {
	offset := a.ref&poolPageMask + i*entryWords
	return (*[entryWords]uint32)(r.words.pages[a.ref>>poolPageBits][offset : offset+entryWords])
}

// others returns an entry of a torrent.
func (r *remote) others(a *away, i uint32) Others {
	e := r.entry(a, i)
	return Others{Node: uint16(e[0]), PeerCounts: PeerCounts{
		Seeders: e[1], Leechers: e[2], FreshSeeders: e[3], FreshLeechers: e[4], Downloaded: e[5],
	}}
}

// add adds counts that limited has returned, of not more than MaxNodes nodes. Downloads may be more than can be counted.
func (c *PeerCounts) add(o *PeerCounts) {
	c.Seeders += o.Seeders
	c.Leechers += o.Leechers
	c.FreshSeeders += o.FreshSeeders
	c.FreshLeechers += o.FreshLeechers
	c.Downloaded += min(o.Downloaded, ^c.Downloaded)
}

// elsewhere returns what is known of the peers of the torrent at slot s on the nodes that are there, nil if there are
// none.
func (t *Table) elsewhere(s uint32) *away {
	if !t.swarms.at(s).shared {
		return nil
	}
	slot := t.findAway(s)
	if a := t.remote.torrents.at(slot); a.epoch == t.remote.epoch {
		return a
	}
	return t.renew(slot)
}

// renew takes the counts of nodes that have ended out of the torrent at a slot of remote. It returns nil if none is left.
func (t *Table) renew(slot uint32) *away {
	r := &t.remote
	a := r.torrents.at(slot)
	r.list = r.list[:0]
	for i := range a.n {
		o := r.others(a, i)
		if since, live := r.since(o.Node); live && int32(a.epoch-since) >= 0 {
			r.list = append(r.list, o)
		}
	}
	t.store(slot)
	if len(r.list) == 0 {
		return nil
	}
	return a
}

// forgetOthers forgets what is known of the peers of the torrent at slot s on other nodes.
func (t *Table) forgetOthers(s uint32) {
	if t.swarms.at(s).shared {
		t.remote.list = t.remote.list[:0]
		t.store(t.findAway(s))
	}
}

// forgetNodes looks for counts of nodes that have ended until it has touched budget torrents, and returns how many it has
// touched. A change of the nodes that comes before the end lets it look at all torrents again, but from the same one on.
func (t *Table) forgetNodes(budget int) (work int) {
	r := &t.remote
	for ; work < budget && r.stale > 0; work++ {
		r.stale--
		r.slot = r.slot%r.top + 1
		if a := r.torrents.at(r.slot); a.swarm != 0 && a.epoch != r.epoch {
			t.renew(r.slot)
		}
	}
	return work
}
