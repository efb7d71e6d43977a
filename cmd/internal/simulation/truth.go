package simulation

import (
	"slices"
	"time"
)

// This file checks a cluster as a whole: what its nodes tell when nothing goes wrong any more, and that nothing is beyond its bounds.

// patienceFor is how long a client waits for a reply while its node does not stand still.
const patienceFor = 2 * time.Second

// checkWaiting proves that every question is replied to in time, whatever the other nodes do.
func (f *fleet) checkWaiting() {
	for _, p := range f.people {
		for _, s := range p.sessions {
			if !s.upgraded && s.node.ran-s.since > patienceFor && !s.node.leaving {
				f.failf("%v was not answered", s)
			}
			if len(s.asked) > 0 && s.node.ran-s.asked[0].since > patienceFor && !s.node.leaving {
				f.failf("%v got no reply to %+v", s, s.asked[0])
			}
		}
	}
}

// checkBounds proves that nothing of a node is beyond its bounds.
func (n *node) checkBounds() {
	st, l, f := n.core.Stats(), &n.limits, n.fleet
	remote, visits := nodeRemote, nodeVisits
	if f.tight {
		remote, visits = tightRemote, tightVisits
	}
	check := func(name string, got, most int) {
		if got > most || got < 0 {
			f.failf("node %s has %d %s, at most %d are allowed", n.id, got, name, most)
		}
	}
	check("stays", st.Stays, l.Stays)
	check("torrents in its directory", st.Torrents, l.Stays)
	check("changes that wait", st.Dirty, l.Dirty)
	check("held bytes", st.HeldBytes, l.HeldBytes)
	check("scrapes", st.Asks, l.Asks)
	check("bytes of scrapes", st.AskBytes, l.AskBytes)
	check("bytes of batches", st.Waiting, l.WaitingToAll)
	check("nodes", st.Nodes, len(f.bus.Parts))
	for k, loop := range n.loops {
		sw := loop.shard.Snapshot().Torrents.Swarm
		check("torrents of others", sw.Remote, remote)
		check("guests", sw.Guests, visits)
		if st := loop.shard.Snapshot(); lostReplies(&st) {
			f.failf("shard %d of node %s has left replies out: %+v", k, n.id, st)
		}
	}
	if st.MailRefused+st.BadRecords+st.NewRecords > 0 {
		f.failf("node %s found something malformed: %+v", n.id, st)
	}
}

// waitForGhosts waits until no session of a client that has vanished is open.
func (f *fleet) waitForGhosts() {
	open := func() bool { return slices.ContainsFunc(f.people, func(p *person) bool { return len(p.ghosts) > 0 }) }
	for end := f.now + 3*nodeIdle*time.Second; open() && len(f.problems) == 0; f.tick(slowly) {
		if f.now > end {
			f.failf("clients that have vanished are still connected")
		}
	}
	f.pass(quietTime, slowly, nil)
}

// quietTime is a time after which a change is known everywhere, if nothing goes wrong.
const quietTime = 3 * time.Second

// sum are the true counts of a torrent.
type sum struct{ complete, incomplete int }

// truth returns the counts of a torrent: each person once on each node.
func (f *fleet) truth(hash string) (t sum) {
	for _, n := range f.nodes {
		for _, p := range f.people {
			k := slices.IndexFunc(p.sessions, func(s *session) bool { return s.node == n && s.isIn(hash) })
			switch {
			case k < 0:
			case p.sessions[k].in[hash]:
				t.complete++
			default:
				t.incomplete++
			}
		}
	}
	return t
}

// checkTruth proves that scrapes on each node, and the replies to all who are in a torrent, give the true counts.
func (f *fleet) checkTruth() {
	if f.tight || len(f.problems) > 0 {
		return
	}
	var hashes []string
	for k := range torrents {
		hashes = append(hashes, torrent(k))
	}
	type asked struct {
		s    *session
		hash string
		got  *reply
	}
	var all []asked
	var visitors []*session
	for _, n := range f.nodes {
		p := &person{n: -1, peer: id("visitor of %s", n.id)}
		f.people = append(f.people, p)
		visitors = append(visitors, f.dial(p, n))
	}
	f.pass(time.Second/5, briefly*5, nil)
	for _, s := range visitors {
		if !s.ready() {
			f.failf("%v is not served", s)
			return
		}
		got := s.scrape(hashes)
		for _, h := range hashes {
			all = append(all, asked{s, h, got})
		}
	}
	f.pass(time.Second/2, briefly*5, nil)
	for _, p := range f.people {
		for _, s := range p.sessions {
			for _, h := range hashes {
				if seeder, in := s.in[h]; in {
					got, _ := s.announce(h, "", seeder, 0, 1)
					all = append(all, asked{s, h, got})
				}
			}
		}
	}
	f.pass(time.Second/2, briefly*5, nil)
	for _, a := range all {
		want, got := f.truth(a.hash), sum{a.got.complete[a.hash], a.got.incomplete[a.hash]}
		if !a.got.came || got != want {
			f.failf("%v: %q has %+v, the truth is %+v", a.s, a.hash, got, want)
		}
	}
	for k, a := range all[:len(visitors)*len(hashes)] {
		if first := all[k%len(hashes)]; a.got.downloaded[a.hash] != first.got.downloaded[a.hash] {
			f.failf("%v: %q was downloaded %d times, and %d times by %v", a.s, a.hash, a.got.downloaded[a.hash], first.got.downloaded[a.hash], first.s)
		}
	}
	for _, s := range visitors {
		s.Reset()
		s.end()
	}
	f.people = f.people[:len(f.people)-len(visitors)]
	f.pass(time.Second/10, briefly*5, nil)
}

// checkEmpty proves that nothing is left when all clients have gone.
func (f *fleet) checkEmpty() {
	for _, n := range f.nodes {
		st := n.core.Stats()
		if st.Stays+st.Torrents+st.Dirty+st.HeldBytes+st.Asks+st.AskBytes+st.Waiting != 0 {
			f.failf("all clients have gone, and node %s still has something: %+v", n.id, st)
		}
		for k, l := range n.loops {
			st := l.shard.Snapshot()
			sw := &st.Torrents.Swarm
			if sw.Peers+sw.Torrents+sw.Remote+sw.RemoteEntries+sw.Guests+sw.PendingOffers+sw.Unreported+st.Open()+
				st.Inbox.AssemblyMemory+st.Post.Backlog+st.Torrents.GoneWaiting != 0 {
				f.failf("all clients have gone, and shard %d of node %s still has something: %d connections, mail %+v, %+v", k, n.id, st.Open(), st.Post, *sw)
			}
		}
	}
}
