package simulation

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"millrace/ring/ringtest"
)

// This file owns the clients of a cluster, and what they do. A person is a peer id, which comes to one node and another; a session is one of
// its connections.

// person is a client.
type person struct {
	n        int
	peer     string
	sessions []*session // that it uses
	ghosts   []*session // that it has left without a word, and that are still open
}

// session is a connection of a person.
type session struct {
	*ringtest.Client
	fleet    *fleet
	person   *person
	node     *node
	n        int
	inbox    []byte
	upgraded bool
	asked    []question      // without a reply
	in       map[string]bool // torrents that it is in by its replies, and whether it is a seeder there
	over     bool
	since    time.Duration // of node.ran
}

// question is a message that will be replied to.
type question struct {
	hash            string
	hashes          []string // of a scrape
	stopped, seeder bool
	vague           bool           // it is not known of which question this is the reply
	since           time.Duration  // of node.ran
	least           map[string]int // peers that this node has of each torrent at least
	gone            map[string]int // and how many had left by then
	reply           *reply         // of those who want it
}

// reply is what came back.
type reply struct {
	came                             bool
	complete, incomplete, downloaded map[string]int
}

// proposal is an offer.
type proposal struct {
	name, hash, sdp   string
	session           *session // that made it
	to                *session // that received it
	answered, answers int      // that were sent, and that came back
}

// dial connects a person to a node.
func (f *fleet) dial(p *person, n *node) *session {
	f.sessions++
	k := f.sessions
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)}), uint16(1000+k%50000))
	s := &session{
		fleet: f, person: p, node: n, n: k, in: map[string]bool{}, since: n.ran,
		Client: n.k.Dial(n.loops[f.rng.IntN(len(n.loops))].ring, from),
	}
	p.sessions = append(p.sessions, s)
	s.Write([]byte(upgrade))
	return s
}

// ready reports whether the session can be used.
func (s *session) ready() bool { return s.upgraded && !s.over && !s.node.leaving }

// message sends a message.
func (s *session) message(m map[string]any) {
	b, err := json.Marshal(m)
	if err != nil {
		panic("BUG: the simulation cannot write its JSON: " + err.Error())
	}
	s.Write(appendFrame(nil, opText, string(b)))
}

// ask notes a question that is about to be sent.
func (s *session) ask(q question, hashes ...string) *reply {
	q.since, q.least, q.gone = s.node.ran, map[string]int{}, map[string]int{}
	for _, h := range hashes {
		q.least[h], q.gone[h] = s.node.present(h), s.node.gone[h]
	}
	q.reply = &reply{complete: map[string]int{}, incomplete: map[string]int{}, downloaded: map[string]int{}}
	s.asked = append(s.asked, q)
	return q.reply
}

// announce sends an announce with some offers, which have so many bytes at most.
func (s *session) announce(hash, event string, seeder bool, n, most int) (*reply, []*proposal) {
	f, left, offers, made := s.fleet, 1, []any{}, []*proposal(nil)
	if seeder {
		left = 0
	}
	for range n {
		p := &proposal{name: id("offer %d", len(f.proposals)), hash: hash, session: s, sdp: "v=0 " + description(f.rng, f.rng.IntN(most))}
		f.proposals[p.name] = p
		made = append(made, p)
		offers = append(offers, map[string]any{"offer_id": p.name, "offer": map[string]any{"type": "offer", "sdp": p.sdp}})
	}
	m := map[string]any{"action": "announce", "info_hash": hash, "peer_id": s.person.peer, "left": left, "offers": offers}
	if event != "" {
		m["event"] = event
	}
	reply := s.ask(question{hash: hash, stopped: event == "stopped", seeder: seeder}, hash)
	if event == "stopped" {
		s.node.gone[hash]++
	}
	s.message(m)
	return reply, made
}

// scrape asks for torrents.
func (s *session) scrape(hashes []string) *reply {
	reply := s.ask(question{hashes: hashes}, hashes...)
	s.message(map[string]any{"action": "scrape", "info_hash": hashes})
	return reply
}

// present returns how many persons are in a torrent on a node, as far as they know and without those that have asked to leave.
func (n *node) present(hash string) (count int) {
	for _, p := range n.fleet.people {
		if slices.ContainsFunc(p.sessions, func(s *session) bool { return s.node == n && s.isIn(hash) }) {
			count++
		}
	}
	return count
}

// isIn reports whether a session is in a torrent, and has not asked to leave.
func (s *session) isIn(hash string) bool {
	_, in := s.in[hash]
	return in && !s.over && !slices.ContainsFunc(s.asked, func(q question) bool { return q.hash == hash && q.stopped })
}

// end notes that a session is over: it has ended, or its node has.
func (s *session) end() {
	if s.over {
		return
	}
	s.over = true
	for hash := range s.in {
		s.node.gone[hash]++
	}
	is := func(o *session) bool { return o == s }
	s.person.sessions = slices.DeleteFunc(s.person.sessions, is)
	s.person.ghosts = slices.DeleteFunc(s.person.ghosts, is)
}

// vanish leaves a session without a word: nothing is read from it any more, and it is not closed.
func (s *session) vanish() {
	for hash := range s.in {
		s.node.gone[hash]++
	}
	is := func(o *session) bool { return o == s }
	s.person.sessions = slices.DeleteFunc(s.person.sessions, is)
	s.person.ghosts = append(s.person.ghosts, s)
}

// act lets a person do something.
func (f *fleet) act() {
	if len(f.nodes) == 0 {
		return
	}
	p := f.people[f.rng.IntN(len(f.people))]
	n := f.nodes[f.rng.IntN(len(f.nodes))]
	hasNode := slices.ContainsFunc(p.sessions, func(s *session) bool { return s.node == n })
	if len(p.sessions) == 0 || len(p.sessions) < 2 && !hasNode && f.rng.IntN(100) == 0 {
		if !n.leaving {
			f.res.Doubles += uint64(len(p.sessions))
			f.dial(p, n)
		}
		return
	}
	s := p.sessions[f.rng.IntN(len(p.sessions))]
	if !s.ready() {
		return
	}
	hash := torrent(f.rng.IntN(torrents))
	switch f.rng.IntN(24) {
	case 0:
		f.leave(s)
	case 1:
		if !f.polite && len(p.ghosts) < 2 {
			f.res.Vanished++
			s.vanish()
		}
	case 2, 3:
		s.announce(hash, "stopped", false, 0, 1)
	case 4, 5:
		s.announce(hash, "completed", true, 0, 1)
	case 6, 7, 8:
		var hashes []string
		for _, k := range f.rng.Perm(torrents)[:1+f.rng.IntN(torrents)] {
			hashes = append(hashes, torrent(k))
		}
		s.scrape(hashes)
	default:
		s.announce(hash, []string{"", "started"}[f.rng.IntN(2)], f.rng.IntN(3) == 0, f.rng.IntN(5), 1500)
	}
}

// leave ends a session, in one of the ways in which clients do.
func (f *fleet) leave(s *session) {
	switch f.rng.IntN(3) {
	case 0:
		s.Write(appendFrame(nil, opClose, "\x03\xe8"))
		s.CloseWrite()
	case 1:
		s.CloseWrite()
	case 2:
		s.Reset()
	}
	s.end()
}

// answer answers an offer.
func (s *session) answer(p *proposal) {
	p.answered++
	s.message(map[string]any{
		"action": "announce", "info_hash": p.hash, "peer_id": s.person.peer, "to_peer_id": p.session.person.peer, "offer_id": p.name,
		"answer": map[string]any{"type": "answer", "sdp": "answer to " + p.sdp},
	})
}

// readAll takes all that has come to the sessions, and finds those that have ended. Ghosts do not read, but their ends are seen.
func (f *fleet) readAll() {
	for _, p := range f.people {
		for _, s := range slices.Clone(p.sessions) {
			s.read()
			if !s.over && (s.WasReset() || s.EOF()) {
				if !s.node.leaving && !s.WasReset() {
					f.failf("%v was closed", s)
				}
				s.end()
			}
		}
		for _, s := range slices.Clone(p.ghosts) {
			s.Read()
			if s.WasReset() || s.EOF() {
				s.CloseWrite()
				s.end()
			}
		}
	}
}

// String names a session in a problem.
func (s *session) String() string {
	return fmt.Sprintf("session %d of person %d on node %s, life %d,", s.n, s.person.n, s.node.id, s.node.life)
}

// read takes what has come.
func (s *session) read() {
	s.inbox = append(s.inbox, s.Read()...)
	if !s.upgraded {
		head, rest, ok := strings.Cut(string(s.inbox), "\r\n\r\n")
		if !ok {
			return
		}
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			if !s.node.leaving {
				s.fleet.failf("%v: its upgrade was answered with %q", s, head)
			}
			s.end()
			return
		}
		s.inbox, s.upgraded = []byte(rest), true
	}
	for !s.over {
		one, rest, ok := cutFrame(s.inbox)
		if !ok {
			return
		}
		s.inbox = rest
		s.saw(one)
	}
}
