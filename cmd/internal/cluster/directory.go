package cluster

import (
	"slices"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file owns the directory: for the torrents whose home this node is, which nodes have peers, and how many. It is told by those nodes,
// and tells them in turn. A report of a torrent whose home is another node is kept too: nodes may differ for a moment about the live ones.

// stay is the peers of a torrent on one node.
type stay struct {
	record.Counts
	node uint16        // 0: this one
	set  time.Duration // when the node last said so
	told time.Duration // when it was last told of the others
	// alone is the number of the view in which this node's shard was told that nobody else is there; 0: it was not, or somebody is
	alone uint32
}

// entry is a torrent.
type entry struct {
	key   swarm.Key
	stays []stay
	place int           // in directory.entries
	told  time.Duration // when its nodes were last told of changes
	dirty bool          // it is in directory.dirty
	late  bool          // its nodes are to be told when all is settled
}

// directory is what the nodes have told.
type directory struct {
	o       *Options
	isLive  func(uint16) bool
	say     func(e *entry, to *stay, quiet bool) // tells a node of the others; quiet: unless there are none
	index   map[swarm.Key]*entry
	entries []*entry
	stays   int
	dirty   []change // that wait, the first to be told first
	late    []*entry // that are late, or were; the scan finds those that had no room here
	settled bool
	scanned time.Duration
	at      int           // the place of the entry that was scanned last: a pass goes down
	each    time.Duration // of this pass for an entry
}

// change is a torrent whose changes are told at a time.
type change struct {
	entry *entry
	due   time.Duration
}

func newDirectory(o *Options, isLive func(uint16) bool, say func(*entry, *stay, bool)) directory {
	return directory{o: o, isLive: isLive, say: say, index: make(map[swarm.Key]*entry)}
}

// report notes what a node says of a torrent. It reports false if there is no room.
func (d *directory) report(now time.Duration, node uint16, p *record.Presence) bool {
	e := d.index[p.Key]
	if p.Counts.Peers() == 0 {
		if k := e.find(node); k >= 0 {
			d.remove(e, k)
			d.changed(now, e, int(node), true)
		}
		return true
	}
	k := e.find(node)
	isNew := k < 0
	if isNew {
		if e != nil {
			d.bury(e)
		}
		if d.stays >= d.o.Limits.Stays {
			return false
		}
		if e == nil || len(e.stays) == 0 { // bury may have ended it
			e = d.add(p.Key)
		}
		e.stays = append(e.stays, stay{node: node})
		d.stays++
		k = len(e.stays) - 1
	}
	s := &e.stays[k]
	isChanged := s.Counts != p.Counts
	s.Counts, s.set = p.Counts, now
	if isNew || p.First || now-s.told >= d.o.answerEvery() {
		s.told = now
		d.say(e, s, p.First)
	}
	if isChanged {
		d.changed(now, e, int(node), isNew)
	}
	return true
}

// find returns the place of a node in an entry, or -1. The entry may be nil.
func (e *entry) find(node uint16) int {
	if e == nil {
		return -1
	}
	return slices.IndexFunc(e.stays, func(s stay) bool { return s.node == node })
}

func (d *directory) add(k swarm.Key) *entry {
	e := &entry{key: k, place: len(d.entries), told: -othersEvery}
	d.index[k] = e
	d.entries = append(d.entries, e)
	return e
}

// remove takes out a stay, and the entry with its last one.
func (d *directory) remove(e *entry, k int) {
	e.stays = slices.Delete(e.stays, k, k+1)
	d.stays--
	if len(e.stays) > 0 {
		return
	}
	delete(d.index, e.key)
	last := d.entries[len(d.entries)-1]
	d.entries[e.place], last.place = last, e.place
	d.entries[len(d.entries)-1] = nil
	d.entries = d.entries[:len(d.entries)-1]
}

// bury removes what nodes have said that are not live any more. Nobody is told: all know that they are not.
func (d *directory) bury(e *entry) {
	for k := len(e.stays) - 1; k >= 0; k-- {
		if !d.isLive(e.stays[k].node) {
			d.remove(e, k)
		}
	}
}

// changed tells the others of a change by a node: at once if it is urgent or the first in a while.
func (d *directory) changed(now time.Duration, e *entry, by int, urgent bool) {
	switch {
	case urgent || now-e.told >= othersEvery || !e.dirty && len(d.dirty) >= d.o.Limits.Dirty:
		d.spread(now, e, by)
	case !e.dirty:
		e.dirty = true
		d.dirty = append(d.dirty, change{e, e.told + othersEvery})
	}
}

// spread tells all nodes of an entry but one.
func (d *directory) spread(now time.Duration, e *entry, but int) {
	e.told = now
	for k := range e.stays {
		if s := &e.stays[k]; int(s.node) != but && d.isLive(s.node) {
			s.told = now
			d.say(e, s, false)
		}
	}
}

// nobody is the number of no node.
const nobody = -1

// postpone notes that the nodes of an entry are to be told when all is settled.
func (d *directory) postpone(e *entry) {
	if !e.late && len(d.late) < d.o.Limits.Dirty {
		d.late = append(d.late, e)
	}
	e.late = true
}

// tick tells of the changes that have waited, and looks for stays that are doubtful or too old: a slice of all at a time.
func (d *directory) tick(now time.Duration, settled bool, isHome func(*swarm.ID) bool) {
	d.settled = settled
	for n := 0; n < maxSpread && settled && len(d.late) > 0; n++ {
		e := d.late[0]
		d.late[0] = nil
		d.late = d.late[1:]
		d.catchUp(now, e)
	}
	for range maxSpread {
		if len(d.dirty) == 0 || now < d.dirty[0].due {
			break
		}
		e := d.dirty[0].entry
		d.dirty = d.dirty[1:]
		e.dirty = false
		d.spread(now, e, nobody)
	}
	d.scan(now, isHome)
}

// catchUp tells the nodes of an entry that is late.
func (d *directory) catchUp(now time.Duration, e *entry) {
	if e.late {
		e.late = false
		d.spread(now, e, nobody)
	}
}

// scan inspects as many entries as are due: all within the time of a pass.
func (d *directory) scan(now time.Duration, isHome func(*swarm.ID) bool) {
	d.scanned = max(d.scanned, now-d.o.scanTime())
	for range maxScan {
		if d.at = min(d.at, len(d.entries)); d.at == 0 {
			d.at, d.each = len(d.entries), d.o.scanTime()/time.Duration(len(d.entries)+1)
		}
		if now-d.scanned < d.each || d.at == 0 {
			return
		}
		d.scanned += d.each
		d.at--
		d.inspect(now, d.entries[d.at], isHome)
	}
}

// inspect removes what is too old from an entry, and has the nodes told that have been silent about it: one that has left the torrent says
// so then. The entry moves another one to its place if it ends: one that was looked at, since the scan goes down.
func (d *directory) inspect(now time.Duration, e *entry, isHome func(*swarm.ID) bool) {
	d.bury(e)
	if d.settled {
		d.catchUp(now, e)
	}
	isOurs, known := false, false
	for k := len(e.stays) - 1; k >= 0; k-- {
		s := &e.stays[k]
		age := now - s.set
		if age > d.o.dropAfter() {
			by := int(s.node)
			d.remove(e, k)
			d.changed(now, e, by, true)
			continue
		}
		if age <= d.o.doubtAfter() || now-s.told < d.o.answerEvery() {
			continue
		}
		if !known {
			isOurs, known = isHome(&e.key.Hash), true
		}
		if isOurs {
			s.told = now
			d.say(e, s, false)
		}
	}
}

// others calls f for what live nodes but one have of a torrent.
func (d *directory) others(e *entry, but uint16, f func(*stay)) {
	if e == nil {
		return
	}
	for k := range e.stays {
		if s := &e.stays[k]; s.node != but && d.isLive(s.node) {
			f(s)
		}
	}
}

// sum returns what live nodes but one have of a torrent, and whether there are any.
func (d *directory) sum(k swarm.Key, but uint16) (f record.File, ok bool) {
	f.Hash = k.Hash
	d.others(d.index[k], but, func(s *stay) {
		ok = true
		f.Seeders += s.Seeders
		f.Leechers += s.Leechers
		f.Downloaded += min(s.Downloaded, ^uint32(0)-f.Downloaded)
	})
	return f, ok
}
