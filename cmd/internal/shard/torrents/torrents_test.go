package torrents

import (
	"encoding/binary"
	"testing"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/swarm"
)

// This file tests how much of the sweep one Step does.

// crowd returns torrents with peers of one connection each, two in a swarm, who have announced at second 1. Each of them
// has an offer pending, if offers are asked for.
func crowd(turn *conn.Turn, peers uint32, offers bool) *Torrents {
	limit := int(peers)
	t := New(Options{SweepPeriod: time.Second, Swarm: swarm.Options{
		MaxPeers: limit, MaxPeersPerConnection: 1, MaxIDsPerTorrent: 1, MaxPendingOffers: limit, MaxPendingPerPeer: 1,
		MaxPeerAge: 10, MaxQuietAge: 100, MaxOfferAge: 50,
	}}, turn)
	for range 2 {
		for i := range peers {
			a := swarm.Announce{From: swarm.Addr{Index: i}}
			binary.LittleEndian.PutUint32(a.Peer[:], i)
			binary.LittleEndian.PutUint32(a.Key.Hash[:], i/2)
			if offers {
				a.Offers = make([]swarm.ID, 1)
			}
			t.Announce(1, &a, nil)
		}
	}
	return t
}

// However many peers and offers have become too old at once, a Step removes only so many of them, and fewer where it has
// removed those of ended connections. The loop goes on before it sleeps, and most of them go within one period of the
// sweep, the others in the next one: entries that go make the rest of a pass shorter.
func TestSweepRemovesInSteps(t *testing.T) {
	const peers = 5000
	f := func(name string, offers bool, second uint32, spent int, most uint64, left swarm.Counts) {
		t.Helper()
		turn := &conn.Turn{}
		s := crowd(turn, peers, offers)
		turn.Now = second
		s.Housekeep() // the first pass begins
		for pass := range 2 {
			turn.Nanos += time.Second.Nanoseconds()
			for steps := 0; steps == 0 || turn.More; steps++ {
				if steps > peers {
					t.Fatalf("%s: pass %d does not end", name, pass)
				}
				turn.More = false
				s.RemoveEnded()
				s.ended.budget -= spent
				before := s.Removed()
				s.Housekeep()
				if n := s.Removed() - before; n > most {
					t.Fatalf("%s: a step removed %d, want at most %d", name, n, most)
				}
			}
			if gone := peers - s.Counts().Peers; left.Peers == 0 && gone < peers/2 {
				t.Fatalf("%s: %d peers of %d are gone after pass %d", name, gone, peers, pass)
			}
		}
		if c := s.Counts(); c.Peers != left.Peers || c.PendingOffers != left.PendingOffers {
			t.Errorf("%s: %d peers and %d offers are left", name, c.Peers, c.PendingOffers)
		}
	}
	const whole = (maxEndedPerStep + sweepSlice) * swarm.PeerRemoval
	const least = (leastSwept + sweepSlice) * swarm.PeerRemoval
	f("peers", false, 101, 0, whole, swarm.Counts{})
	f("peers with offers", true, 101, 0, whole, swarm.Counts{})
	f("offers", true, 51, 0, whole, swarm.Counts{Peers: peers})
	f("peers after ends", false, 101, maxEndedPerStep, least, swarm.Counts{})
	f("nothing", true, 20, 0, 0, swarm.Counts{Peers: peers, PendingOffers: peers})
}
