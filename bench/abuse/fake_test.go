package main

// This file has fake: a small tracker with faults that a test plants, by which the harness itself is tested.

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// fault is something that a tracker must not do.
type fault int

const (
	noFault       fault = iota
	losesAnswers        // of every tenth exchange
	refusesSome         // every tenth announce gets a failure
	losesReplies        // of every tenth announce
	changesOffers       // every tenth offer has another content
	closesOne           // one connection ends
	refusesNewcomers
	relaysJunk // a resident gets an offer of an attacker for every tenth announce
)

// fake is a tracker of one torrent in the test's process. Its fault shows once it is armed.
type fake struct {
	listener net.Listener
	fault    fault
	armed    atomic.Bool
	planted  atomic.Int64 // faults that it has made

	mu        sync.Mutex
	peers     map[string]net.Conn
	announces int
}

// startFake starts a fake. The end of the test ends it.
func startFake(t *testing.T, f fault) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fake{listener: l, fault: f, peers: make(map[string]net.Conn)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *fake) clientAddress() string  { return s.listener.Addr().String() }
func (s *fake) metricsAddress() string { return "" }
func (s *fake) resident() int          { return 1 << 20 }
func (s *fake) descriptors() int       { return 1 }
func (s *fake) alive() bool            { return true }
func (s *fake) signal(os.Signal)       {}

// plants reports whether the fault f is to be made now, one time of ten.
func (s *fake) plants(f fault, number int) bool {
	if s.fault != f || !s.armed.Load() || number%10 != 0 {
		return false
	}
	s.planted.Add(1)
	return true
}

// serve serves one client.
func (s *fake) serve(c net.Conn) {
	defer c.Close()
	if from := c.RemoteAddr().(*net.TCPAddr).IP; from.To4()[2] == newcomer && s.plants(refusesNewcomers, 0) {
		return
	}
	if _, err := ws.Upgrade(c); err != nil {
		return
	}
	var id string
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.peers, id)
	}()
	for {
		text, err := wsutil.ReadClientText(c)
		if err != nil {
			return
		}
		var m struct {
			message
			To     string `json:"to_peer_id"`
			Offers []struct {
				Offer   map[string]string
				OfferID string `json:"offer_id"`
			}
		}
		if json.Unmarshal(text, &m) != nil {
			return
		}
		s.mu.Lock()
		if id = m.PeerID; m.Answer != nil {
			if number := int(m.OfferID[keySize-1] - '0'); !s.plants(losesAnswers, number) {
				s.send(m.To, map[string]any{"peer_id": id, "offer_id": m.OfferID, "answer": m.Answer})
			}
			s.mu.Unlock()
			continue
		}
		s.peers[id] = c
		s.announces++
		s.reply(id)
		for k, o := range m.Offers {
			if s.plants(changesOffers, s.announces+k) {
				o.Offer["sdp"] = "x"
			}
			s.relay(id, map[string]any{"peer_id": id, "offer_id": o.OfferID, "offer": o.Offer})
		}
		closes := s.fault == closesOne && s.planted.Load() == 0 && strings.Contains(id, "resident") && s.plants(closesOne, 0)
		s.mu.Unlock()
		if closes {
			return
		}
	}
}

// reply replies to an announce. The caller holds the mutex, as for all that follow.
func (s *fake) reply(id string) {
	switch {
	case s.plants(losesReplies, s.announces):
	case s.plants(refusesSome, s.announces):
		s.send(id, map[string]any{"action": "announce", "failure reason": "no"})
	default:
		s.send(id, map[string]any{"action": "announce", "complete": 0, "incomplete": len(s.peers), "interval": 120})
	}
	if s.plants(relaysJunk, s.announces) {
		s.send(honestID(0), map[string]any{"peer_id": idOf(attackerPrefix), "offer_id": idOf("x"),
			"offer": map[string]string{"sdp": "v=0"}})
	}
}

// relay sends an offer to some other peer, never to one that may leave at any time.
func (s *fake) relay(from string, m map[string]any) {
	for to := range s.peers {
		if to != from && !strings.Contains(to, "-new") {
			s.send(to, m)
			return
		}
	}
}

func (s *fake) send(to string, m map[string]any) {
	c := s.peers[to]
	if c == nil {
		return
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	wsutil.WriteServerText(c, text) // an error shows when the client is read
}
