package load

// This file tests the check of swarm sizes that replies tell.

import (
	"testing"
	"time"
)

// TestSizeFits proves that a reply may speak of the peers that must be there and those that may, and of no others; and
// that nothing is held against a tracker where peers leave.
func TestSizeFits(t *testing.T) {
	cfg := testConfig()
	l := newLedger(&cfg) // connections 1 and 5 are in torrent 1
	ask := func(connection, seq uint32) *announceRecord {
		r := l.begin(connection, seq, 0, 0)
		l.asks(connection, seq, 0, r, 0)
		return r
	}
	f := func(r *announceRecord, connection, seq uint32, peers int, want bool) {
		t.Helper()
		if got := l.sizeFits(connection, seq, 0, r, peers, 0); got != want {
			t.Errorf("%d peers in the reply to announce %d of %d: %v", peers, seq, connection, got)
		}
	}
	one := ask(1, 0)
	five := ask(5, 0)
	// Either may come first.
	f(five, 5, 0, 1, true)
	f(one, 1, 0, 2, true)
	six := ask(1, 1)
	for peers, want := range []bool{false, false, true, false} {
		f(six, 1, 1, peers, want)
	}
	late := ask(1, 2)
	f(ask(0, 0), 0, 0, 2, false) // another torrent
	l.gone(5, time.Second)
	f(late, 1, 2, 1, true)

	cfg.Life = 1
	l = newLedger(&cfg)
	f(ask(1, 0), 1, 0, 100, true)
}

// TestSizeOnNodes proves that of several nodes each has three seconds, from the end of the ramp and from the last new peer
// on, until its replies must speak of all peers; that its own client counts from the first moment; and that no reply may
// speak of a peer that has not announced yet.
func TestSizeOnNodes(t *testing.T) {
	cfg := testConfig()
	cfg.URL = "ws://a,ws://b"
	l := newLedger(&cfg) // connections 1 and 5 are in torrent 1
	seqs := make(map[uint32]uint32)
	f := func(now time.Duration, connection uint32, want ...bool) {
		t.Helper()
		seq := seqs[connection]
		r := l.begin(connection, seq, 0, now)
		l.asks(connection, seq, 0, r, now)
		for peers, ok := range want {
			if got := l.sizeFits(connection, seq, seq+1, r, peers, now); got != ok { // not as the first one
				t.Errorf("at %v: %d peers in a reply to %d: %v", now, peers, connection, got)
			}
		}
		l.sizeFits(connection, seq, 0, r, 1, now)
		seqs[connection]++
	}
	f(1*time.Second, 1, false, true, false)
	f(5*time.Second, 5, false, true, true, false)
	f(99*time.Second, 1, false, true, true, false) // the ramp goes on
	l.steady.Store(int64(100 * time.Second))
	f(103*time.Second-1, 1, false, true, true, false)
	f(103*time.Second, 1, false, false, true, false)
	l.sizes[1].join(110 * time.Second)
	l.sizes[1].asked.Add(1)
	f(113*time.Second-1, 1, false, true, true, true, false)
	f(113*time.Second, 5, false, false, false, true, false)
}

// TestSizeOfRepeatedTorrent proves that a connection that has a torrent twice is one peer of it.
func TestSizeOfRepeatedTorrent(t *testing.T) {
	cfg := testConfig()
	cfg.Connections, cfg.Torrents, cfg.PerConnection = 2, 1, 2
	l := newLedger(&cfg)
	for seq := range uint32(4) {
		r := l.begin(0, seq, 0, 0)
		l.asks(0, seq, 0, r, 0)
		if !l.sizeFits(0, seq, 0, r, 1, 0) {
			t.Errorf("announce %d: one peer is refused", seq)
		}
		if seq > 0 && l.sizeFits(0, seq, 0, r, 2, 0) {
			t.Errorf("announce %d: two peers are taken", seq)
		}
	}
}

// TestBinaryMessage proves that a message in a binary frame is not taken, since browsers do not take it.
func TestBinaryMessage(t *testing.T) {
	w := testWorker()
	w.clients[1].state = stateOpen
	w.onFrame(1, frameHead{fin: true, opcode: opBinary}, []byte(`{"action":"announce"}`))
	if w.counts.Unreadable != 1 || w.clients[1].state != stateClosing {
		t.Errorf("%d unreadable, the client's state is %d", w.counts.Unreadable, w.clients[1].state)
	}
}
