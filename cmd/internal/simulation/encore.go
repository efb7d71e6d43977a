package simulation

import (
	"slices"
	"time"
)

// This file owns the proof that a cluster which has come through faults serves its clients in full.

// playService lets clients go on, without faults. All is true in a moment then, and every offer that has a receiver reaches it.
func (f *fleet) playService() {
	f.pass(2*time.Second, briefly, func() {
		if f.rng.IntN(5) == 0 {
			f.act()
		}
	})
	f.waitForGhosts()
	f.checkTruth()
	if f.tight || len(f.problems) > 0 {
		return
	}
	for range 6 {
		f.checkOffers()
	}
	f.checkRoaming()
}

// checkOffers has somebody come to a node, or announce again, with offers: as many arrive as there are others, each is answered, and the
// answer comes back.
func (f *fleet) checkOffers() {
	hash := torrent(f.rng.IntN(torrents))
	others := map[*person]bool{}
	for _, p := range f.people {
		for _, s := range p.sessions {
			if s.isIn(hash) {
				if others[p] {
					return // somebody is there twice, and may be drawn for its own offer
				}
				others[p] = true
			}
		}
	}
	p := f.people[f.rng.IntN(len(f.people))]
	if len(p.sessions) == 0 {
		f.dial(p, f.nodes[f.rng.IntN(len(f.nodes))])
		f.pass(time.Second/5, briefly, nil)
	}
	s := p.sessions[0]
	if len(p.sessions) > 1 {
		return
	}
	delete(others, p)
	_, made := s.announce(hash, "", f.rng.IntN(3) == 0, 1+f.rng.IntN(8), 100)
	f.pass(time.Second/5, briefly, nil)
	arrived := 0
	for _, o := range made {
		if o.to != nil {
			arrived++
			if o.answers != 1 {
				f.failf("%v got %d answers to an offer that reached %v", s, o.answers, o.to)
			}
		}
	}
	if want := min(len(made), len(others)); arrived != want {
		f.failf("%v made %d offers in %q, there are %d others, and %d arrived", s, len(made), hash, len(others), arrived)
	}
	f.pass(quietTime, slowly, nil)
}

// roamTime is a time after which a client that has come back on another node counts once: its old connection was asked whether it is still
// there, has had its time for an answer, and all have heard of its end. It is less than nodeIdle, after which it would go anyway.
const roamTime = 11 * time.Second

// checkRoaming has somebody vanish from a node and come back on another.
func (f *fleet) checkRoaming() {
	if len(f.nodes) < 2 {
		return
	}
	for _, p := range f.people {
		if len(p.sessions) != 1 || len(p.sessions[0].in) == 0 {
			continue
		}
		old := p.sessions[0]
		k := slices.IndexFunc(f.nodes, func(n *node) bool { return n != old.node })
		was := map[string]bool{}
		for h, seeder := range old.in {
			was[h] = seeder
		}
		f.pass(6*time.Second, slowly, nil) // it may just have been asked, and answered
		old.vanish()
		s := f.dial(p, f.nodes[k])
		f.pass(time.Second/10, briefly, nil)
		for k := range torrents {
			if seeder, in := was[torrent(k)]; in {
				s.announce(torrent(k), "", seeder, 0, 1)
			}
		}
		f.res.Roamed++
		f.pass(roamTime, slowly, nil)
		f.checkTruth()
		return
	}
}
