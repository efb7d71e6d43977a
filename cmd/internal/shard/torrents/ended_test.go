package torrents

import (
	"testing"

	"millrace/cmd/internal/shard/conn"
	"millrace/swarm"
)

// This file tests the queue of connections whose peers are to be removed.

// The queue of connections that wait is bounded, and in order: when it is full the oldest one waits no longer.
func TestEndedQueueIsBounded(t *testing.T) {
	s := New(Options{Swarm: swarm.Options{MaxPeers: 10, MaxPeersPerConnection: 1, MaxIDsPerTorrent: 1}}, &conn.Turn{})
	join := func(index uint32) {
		a := swarm.Announce{Peer: swarm.ID{1: byte(index), 2: byte(index >> 8), 3: byte(index >> 16)}, From: swarm.Addr{Index: index}}
		s.Announce(1, &a, nil)
	}
	join(0)
	join(1)
	for i := range uint32(maxEndedWaiting) {
		s.Ended(swarm.Addr{Index: i})
	}
	for i, want := range []int{2, 1, 0} {
		if got := s.Counts().Peers; got != want {
			t.Fatalf("%d peers after %d ends too many, want %d", got, i, want)
		}
		s.Ended(swarm.Addr{Index: maxEndedWaiting + uint32(i)})
		if n := s.Stats().GoneWaiting; n != maxEndedWaiting {
			t.Fatalf("%d wait", n)
		}
	}
}
