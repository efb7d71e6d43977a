package cluster

import (
	"slices"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file owns the scrapes that wait for others: each until all homes of its torrents have answered, or for a moment.

// ask is a scrape under way.
type ask struct {
	number  uint64
	from    swarm.Addr
	hashes  []swarm.ID
	homes   []uint16      // of each: the number of its home, 0 if this is it
	waiting []uint16      // homes that have not answered
	files   []record.File // of each: empty if nothing is known
	kept    []byte
	since   time.Duration
	gone    bool
}

// asks are all that are under way.
type asks struct {
	byNumber map[uint64]*ask
	queue    []*ask // the oldest first, with those that are gone
	number   uint64 // of the last one
	bytes    int
}

// askCost is what a scrape takes besides its bytes.
const askCost = 256

func (a *ask) cost() int {
	return askCost + len(a.hashes)*(len(swarm.ID{})+2+32) + len(a.kept)
}

// newAsk returns a scrape that waits for nobody yet.
func newAsk(now time.Duration, r *record.Scrape) *ask {
	n := len(r.Hashes)
	return &ask{
		from: r.From, hashes: slices.Clone(r.Hashes), homes: make([]uint16, n), files: make([]record.File, n), kept: slices.Clone(r.Kept), since: now,
	}
}

// await says that torrent k waits for its home.
func (a *ask) await(k int, home uint16) {
	a.homes[k] = home
	if !slices.Contains(a.waiting, home) {
		a.waiting = append(a.waiting, home)
	}
}

// appendHashes appends the torrents of a home.
func (a *ask) appendHashes(dst []swarm.ID, home uint16) []swarm.ID {
	for k := range a.hashes {
		if a.homes[k] == home {
			dst = append(dst, a.hashes[k])
		}
	}
	return dst
}

// known returns what is known of the torrents, in the order in which they were asked for, however the homes have answered.
func (a *ask) known() []record.File {
	n := 0
	for k := range a.files {
		if a.files[k].Hash == a.hashes[k] {
			a.files[n] = a.files[k]
			n++
		}
	}
	return a.files[:n]
}

// add puts a scrape under way. It reports false if there is no room.
func (l *asks) add(a *ask, limits *Limits) bool {
	l.trim()
	if len(l.queue) >= limits.Asks || l.bytes+a.cost() > limits.AskBytes {
		return false
	}
	l.number++
	a.number = l.number
	l.byNumber[a.number] = a
	l.queue = append(l.queue, a)
	l.bytes += a.cost()
	return true
}

// told notes the answer of a home. It returns the scrape if that was the last one, and reports whether the answer was waited for.
func (l *asks) told(home uint16, r *record.Told) (done *ask, ok bool) {
	a := l.byNumber[r.Number]
	if a == nil {
		return nil, false
	}
	at := slices.Index(a.waiting, home)
	if at < 0 {
		return nil, false
	}
	a.waiting = slices.Delete(a.waiting, at, at+1)
	// A home answers in the order in which it was asked, and leaves out what it does not know. Anything else is not taken.
	files := r.Files
	for k := range a.hashes {
		if len(files) > 0 && a.homes[k] == home && files[0].Hash == a.hashes[k] {
			a.files[k] = files[0]
			files = files[1:]
		}
	}
	if len(a.waiting) > 0 {
		return nil, true
	}
	l.end(a)
	return a, true
}

func (l *asks) end(a *ask) {
	a.gone = true
	l.bytes -= a.cost()
	delete(l.byNumber, a.number)
}

// expire ends all scrapes from before a time and calls f with each.
func (l *asks) expire(before time.Duration, f func(*ask)) {
	for l.trim(); len(l.queue) > 0 && l.queue[0].since <= before; l.trim() {
		a := l.queue[0]
		l.end(a)
		f(a)
	}
}

// trim takes those that are gone from the front of the queue.
func (l *asks) trim() {
	for len(l.queue) > 0 && l.queue[0].gone {
		l.queue[0] = nil
		l.queue = l.queue[1:]
	}
}
