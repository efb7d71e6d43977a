package simulation

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"millrace/cmd/internal/cluster/record"
	"millrace/ring/pool"
)

// This file proves that the simulation of clusters can fail: each check finds the fault that is planted for it.

// mailOf changes the mail of one kind.
func mailOf[T any, P interface {
	*T
	Read([]byte) bool
	Append([]byte) []byte
}](kind record.MailKind, copies int, change func(f *fleet, r P) (isChanged bool)) func(*fleet) bool {
	return func(f *fleet) bool {
		f.plant.mail = func(n *node, rec []byte) ([]byte, int) {
			if record.MailKind(rec[0]) != kind {
				return rec, 1
			}
			var r T
			if !P(&r).Read(rec[1:]) || !change(f, &r) {
				return rec, 1
			}
			f.planted = true
			return P(&r).Append([]byte{rec[0]}), copies
		}
		return true
	}
}

// anySession returns a session that can be used, or nil.
func (f *fleet) anySession() *session {
	for _, p := range f.people {
		for _, s := range p.sessions {
			if s.ready() && len(s.inbox) == 0 {
				return s
			}
		}
	}
	return nil
}

// sent plants a message that the tracker has not sent.
func sent(payload string) func(*fleet) bool {
	return onSession(func(s *session) { s.inbox = append([]byte{opText, byte(len(payload))}, payload...) })
}

// onSession plants something in a session.
func onSession(plant func(s *session)) func(*fleet) bool {
	return func(f *fleet) bool {
		s := f.anySession()
		if s != nil {
			plant(s)
			f.planted = true
		}
		return s != nil
	}
}

// always changes nothing: the number of copies does.
func always[T any](*fleet, *T) bool { return true }

// TestPlantedClusterFaults proves that each check finds its fault, and tells it with the phase.
func TestPlantedClusterFaults(t *testing.T) {
	// f plants a fault at the beginning of a phase of the first runs that allow it. One of them must find it.
	f := func(phase, want string, plant func(f *fleet) bool) {
		t.Helper()
		var last error
		for seed := uint64(0); seed < 40; seed++ {
			var fl *fleet
			_, err := runCluster(seed, func(f *fleet) {
				if fl = f; f.phase == phase && !f.tight && !plant(f) {
					f.planted = false
				}
			})
			if !fl.planted {
				continue
			}
			var failure *Failure
			if last = err; errors.As(err, &failure) && failure.Seed == seed && strings.Contains(err.Error(), want) {
				return
			}
		}
		t.Errorf("phase %s: want %q, the last run says %v", phase, want, last)
	}
	offer := func(change func(o *record.Offer)) func(*fleet, *record.Routed) bool {
		return func(_ *fleet, r *record.Routed) bool { change(&r.Offers[0]); return true }
	}
	f("service", "got an offer that nobody has made", mailOf(record.MailVisit, 1, offer(func(o *record.Offer) { o.SDP = []byte(`"v=0"`) })))
	f("service", "has got already", mailOf(record.MailVisit, 2, always[record.Routed]))
	f("service", "others, and", mailOf(record.MailVisit, 0, always[record.Routed]))
	f("service", "got an answer that nobody gave", mailOf(record.MailAnswered, 1, func(_ *fleet, r *record.Answer) bool {
		r.SDP = []byte(`"v=0"`)
		return true
	}))
	f("service", "got an answer twice", mailOf(record.MailAnswered, 2, always[record.Answer]))
	f("service", "got 0 answers", mailOf(record.MailAnswered, 0, always[record.Answer]))
	f("faults", "got no reply to {hash: hashes", mailOf(record.MailTold, 0, always[record.Scraped]))
	f("service", "the truth is", mailOf(record.MailTold, 1, func(_ *fleet, r *record.Scraped) bool {
		if len(r.Files) == 0 {
			return false
		}
		r.Files[0].Leechers++
		return true
	}))
	f("service", "the truth is", mailOf(record.MailOthers, 1, func(_ *fleet, r *record.Known) bool {
		if len(r.Others) == 0 {
			return false
		}
		r.Others[0].Counts.Leechers++
		return true
	}))
	f("rest", "the truth is", mailOf(record.MailOthers, 0, always[record.Known]))
	f("service", "the truth is", mailOf(record.MailArrived, 0, always[record.Arrived]))
	f("rest", "failure", sent(`{"info_hash":"x","failure reason":"no"}`))
	f("rest", "got a reply to nothing", sent(`{"action":"scrape"}`))
	f("rest", "was closed", onSession(func(s *session) { s.inbox = []byte{opClose, 2, 3, 0xea} }))
	f("service", "this node alone has", onSession(func(s *session) {
		for range 20 {
			p := &person{}
			p.sessions = []*session{{fleet: s.fleet, person: p, node: s.node, Client: s.Client, upgraded: true, in: map[string]bool{torrent(0): true}}}
			s.fleet.people = append(s.fleet.people, p)
		}
		s.announce(torrent(0), "", false, 0, 1)
	}))
	f("service", "which it is not in", onSession(func(s *session) {
		f, other := s.fleet, &person{n: 99, peer: id("somebody")}
		f.proposals["x"] = &proposal{hash: "h", session: &session{person: other, node: s.node}, sdp: "v=0"}
		payload := `{"offer":{"sdp":"v=0"},"offer_id":"x","info_hash":"h","peer_id":"` + other.peer + `"}`
		s.inbox = append([]byte{opText, byte(len(payload))}, payload...)
	}))
	f("service", "got an offer of its own", onSession(func(s *session) {
		s.fleet.proposals["x"] = &proposal{hash: "h", session: s, sdp: "v=0"}
		s.in["h"] = false
		payload := `{"offer":{"sdp":"v=0"},"offer_id":"x","info_hash":"h","peer_id":"` + s.person.peer + `"}`
		s.inbox = append([]byte{opText, byte(len(payload))}, payload...)
	}))
	f("service", "got the answer to an offer of", onSession(func(s *session) {
		to := &session{person: &person{peer: id("somebody")}, node: s.node}
		s.fleet.proposals["x"] = &proposal{hash: "h", session: &session{person: s.person, node: s.node}, sdp: "v=0", to: to, answered: 1}
		payload := `{"answer":{"sdp":"answer to v=0"},"offer_id":"x","info_hash":"h","peer_id":"` + to.person.peer + `"}`
		s.inbox = append([]byte{opText, 126, 0, byte(len(payload))}, payload...)
	}))
	f("faults", "at most -1 are allowed", func(f *fleet) bool { f.nodes[0].limits.HeldBytes, f.planted = -1, true; return true })
	f("end", "still has something", func(f *fleet) bool {
		f.planted = true
		p := f.people[0]
		s := f.dial(p, f.nodes[0])
		p.sessions = slices.DeleteFunc(p.sessions, func(o *session) bool { return o == s }) // it is forgotten, but reads nothing
		return true
	})
	f("end", "still holds something", func(f *fleet) bool {
		f.planted = f.nodes[0].loops[0].ring.Pool().Get(64) != pool.Buf(0)
		return true
	})
}
