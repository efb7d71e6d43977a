package swarm

// This file owns what the directory of a cluster is to be told: the torrents whose counts have changed.

// PeerCounts counts the peers of a torrent on one node.
type PeerCounts struct {
	Seeders, Leechers           uint32
	FreshSeeders, FreshLeechers uint32 // those of them that have announced within Options.MaxPeerAge
	Downloaded                  uint32 // see Torrent
}

// Presence is what the directory is told of a torrent. It has no seeders and no leechers if nobody is left.
type Presence struct {
	Key Key
	PeerCounts
}

// maxNotes is how many torrents may wait for their report. A busy table of a shard changes some thousands a second.
const maxNotes = 1 << 16

// changes are the torrents whose counts have changed since they were reported last.
//
// A note names its torrent by key, as the torrent may be gone. The record of a swarm says whether there is one, so the
// next changes of a torrent that is noted cost nothing.
type changes struct {
	notes  records[note]
	urgent chain // torrents that have come or gone
	others chain
	missed bool
	report Presence // the one of which Report tells, here so that none is allocated
}

// note is a torrent that is to be reported.
type note struct {
	hash   ID
	family uint8
	urgent bool // and so in that chain
	in     neighbours
}

func (n *note) inChain() *neighbours { return &n.in }

func (n *note) key() Key { return Key{Hash: n.hash, Family: n.family} }

// of returns the chain of a note.
func (c *changes) of(n *note) *chain {
	if n.urgent {
		return &c.urgent
	}
	return &c.others
}

// changed notes that the counts of a swarm have changed.
func (t *Table) changed(sw *swarm) {
	if t.o.Cluster && !sw.noted {
		t.note(sw, false)
	}
}

// cameOrWent notes that a swarm has got its first peer or lost its last.
func (t *Table) cameOrWent(sw *swarm) {
	if t.o.Cluster {
		t.note(sw, true)
	}
}

// note puts a swarm into the list of those that are to be reported. It remembers that one is missing if the list is full.
func (t *Table) note(sw *swarm, urgent bool) {
	c, k := &t.changes, sw.key()
	h := t.hashSwarm(&k)
	slot := c.notes.find(h, func(n *note) bool { return n.hash == k.Hash && n.family == k.Family })
	switch {
	case slot == 0 && c.notes.len() >= maxNotes:
		c.missed = true
		return
	case slot == 0:
		slot = c.notes.insert(h, note{hash: k.Hash, family: k.Family, urgent: urgent})
		enchain(c.of(c.notes.at(slot)), &c.notes, slot)
	case urgent && !c.notes.at(slot).urgent:
		unchain(&c.others, &c.notes, slot)
		c.notes.at(slot).urgent = true
		enchain(&c.urgent, &c.notes, slot)
	}
	sw.noted = true
}

// Report calls report for at most so many torrents whose counts have changed since they were reported last, those first
// that have got their first peer or lost their last; without all only for these. A torrent that nobody is in any more is
// reported with zero counts. A torrent that becomes quiet, or has its peers announce again, has changed too.
//
// report returns false where it has no room for the presence. Then Report ends, and that torrent is reported again. The
// presence is valid during the call. report must not use the table. more says that there is more to report.
//
// There is nothing to report without Options.Cluster.
func (t *Table) Report(all bool, most int, report func(*Presence) bool) (more bool) {
	c := &t.changes
	for range most {
		slot := c.urgent.oldest
		if slot == 0 && all {
			slot = c.others.oldest
		}
		if slot == 0 {
			return false
		}
		n := c.notes.at(slot)
		c.report = Presence{Key: n.key()}
		s := t.findSwarm(&c.report.Key)
		if s != 0 {
			c.report.PeerCounts = t.swarms.at(s).counts()
		}
		if !report(&c.report) {
			return true
		}
		if s != 0 {
			t.swarms.at(s).noted = false
		}
		unchain(c.of(n), &c.notes, slot)
		c.notes.remove(slot)
	}
	return c.urgent.oldest != 0 || all && c.others.oldest != 0
}

// Missed says whether more torrents have changed than Report can remember, and forgets that. The caller should then tell
// the directory of all that Torrents shows. Of those that have gone meanwhile the directory hears nothing.
func (t *Table) Missed() bool {
	missed := t.changes.missed
	t.changes.missed = false
	return missed
}

// Presence returns what the directory is to be told of a torrent now; ok is false if nobody is in it.
func (t *Table) Presence(k Key) (p Presence, ok bool) {
	p.Key = k
	s := t.findSwarm(&k)
	if s == 0 {
		return p, false
	}
	p.PeerCounts = t.swarms.at(s).counts()
	return p, true
}

// counts returns the counts of the members of a swarm.
func (s *swarm) counts() PeerCounts {
	return PeerCounts{
		Seeders: s.seeders, Leechers: s.members.n - s.seeders,
		FreshSeeders: s.ends[freshSeeders] - s.ends[freshLeechers], FreshLeechers: s.ends[freshLeechers],
		Downloaded: s.downloaded,
	}
}
