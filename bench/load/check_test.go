package load

// This file tests the checks of relayed messages, and has the rig of two clients that other tests use too.

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"millrace/ring/pool"
)

// testConfig is a small load: connection c is in torrent c mod 4.
func testConfig() Config {
	return Config{
		Connections: 8, Workers: 1, Torrents: 4, PerConnection: 1, Placement: "even", Offers: 3, SDPBytes: 200,
		Answers: 1, Interval: 1, InFlight: 1, Loop: "open", Verify: true, Seed: 5,
	}
}

// testWorker is a worker without a ring.
func testWorker() *worker {
	cfg := testConfig()
	s := &site{config: &cfg, workers: 1, books: newLedger(&cfg), clock: func() time.Duration { return 0 }}
	w := newWorker(s, 0)
	w.pool, w.parts = pool.New(make([]byte, 2<<20)), pool.New(make([]byte, 4<<20))
	return w
}

// relayText is a relayed message as a tracker writes it.
func relayText(kind string, hash, peer, offer id, sdp []byte) string {
	return `{"action":"announce","info_hash":"` + string(hash[:]) + `","peer_id":"` + string(peer[:]) + `","` + kind +
		`":{"type":"` + kind + `","sdp":"` + string(sdp) + `"},"offer_id":"` + string(offer[:]) + `"}`
}

// relayRig is connection 1, which has announced, and connection 5 of the same torrent, which is to get the offer.
type relayRig struct {
	*ledger
	ref               offerRef
	hash, peer, offer id
	answerer          id
	sdp, answerSDP    []byte
}

func newRelayRig() *relayRig {
	cfg := testConfig()
	r := &relayRig{ledger: newLedger(&cfg), ref: offerRef{connection: 1, seq: 6, number: 2}}
	r.life[1].Store(liveBit)
	r.life[5].Store(liveBit)
	r.begin(1, 6, 0, time.Second)
	r.hash, r.peer, r.offer, r.answerer = r.hashes[1], r.who.peerID(1, 0), r.who.offerID(r.ref), r.who.peerID(5, 0)
	r.sdp, r.answerSDP = make([]byte, cfg.SDPBytes), make([]byte, cfg.SDPBytes)
	r.wire.offer.fill(r.sdp, &r.offer, r.who.content(r.ref))
	r.wire.answer.fill(r.answerSDP, &r.answerer, r.answerNumber(r.ref, &r.answerer))
	return r
}

// judge scans a text and returns the verdict about it.
func (r *relayRig) judge(t *testing.T, text string, connection uint32) verdict {
	t.Helper()
	var m message
	if err := scanMessage([]byte(text), &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	to := &receiver{connection, 0, make([]byte, r.wire.offer.size())}
	if m.kind == offerMessage {
		return r.checkOffer(&m, to, new(relayed))
	}
	return r.checkAnswer(&m, to, new(relayed))
}

// flip returns b with one bit changed.
func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// TestCheckOffer proves that a right offer is taken once, and that every kind of wrong one gets its own verdict.
func TestCheckOffer(t *testing.T) {
	f := func(name string, want verdict, connection uint32, change func(r *relayRig)) {
		t.Helper()
		r := newRelayRig()
		change(r)
		if got := r.judge(t, relayText("offer", r.hash, r.peer, r.offer, r.sdp), connection); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("right", fine, 5, func(*relayRig) {})
	f("right, escaped otherwise", fine, 5, func(r *relayRig) {
		r.sdp = []byte(strings.ReplaceAll(strings.ReplaceAll(string(r.sdp), `\r`, `\u000D`), "/", `\/`))
	})
	f("another torrent of the receiver's", wrongTorrent, 5, func(r *relayRig) { r.hash = r.hashes[2] })
	f("no torrent", wrongTorrent, 5, func(r *relayRig) { r.hash[19] ^= 1 })
	f("another sender", wrongSender, 5, func(r *relayRig) { r.peer = r.who.peerID(2, 0) })
	f("another incarnation of the sender", wrongSender, 5, func(r *relayRig) { r.peer = r.who.peerID(1, 1) })
	f("no peer", wrongSender, 5, func(r *relayRig) { r.peer[19] ^= 1 })
	f("a receiver without that torrent", wrongReceiver, 2, func(*relayRig) {})
	f("back to the sender", own, 1, func(*relayRig) {})
	f("an altered sdp", altered, 5, func(r *relayRig) { r.sdp = flip(r.sdp, 150) })
	f("a cut sdp", altered, 5, func(r *relayRig) { r.sdp = r.sdp[:len(r.sdp)-1] })
	f("an sdp that is no JSON", altered, 5, func(r *relayRig) { r.sdp[3] = '\n' })
	f("another offer's sdp", altered, 5, func(r *relayRig) {
		other := r.who.offerID(offerRef{1, 6, 0, 1})
		r.wire.offer.fill(r.sdp, &other, r.who.content(offerRef{1, 6, 0, 1}))
	})
	f("an altered offer id", unknown, 5, func(r *relayRig) { r.offer = id(flip(r.offer[:], 19)) })
	f("an offer that is not among those of an announce", unknown, 5, func(r *relayRig) {
		r.offer = r.who.offerID(offerRef{1, 6, 0, 3})
	})
	f("a connection that is not there", unknown, 5, func(r *relayRig) {
		r.offer = r.who.offerID(offerRef{8, 6, 0, 0})
	})
	f("for the second time", duplicate, 5, func(r *relayRig) {
		if v := r.judge(t, relayText("offer", r.hash, r.peer, r.offer, r.sdp), 5); v != fine {
			t.Errorf("the first time: %v", v)
		}
	})
	f("a second copy to another peer", duplicate, 1+4, func(r *relayRig) { r.record(1, 6).offers.Or(1 << 2) })
	f("of a peer that has left", untimely, 5, func(r *relayRig) { r.life[1].Store(1 | liveBit) })
}

// TestCheckAnswer proves the same of answers.
func TestCheckAnswer(t *testing.T) {
	f := func(name string, want verdict, connection uint32, change func(r *relayRig)) {
		t.Helper()
		r := newRelayRig()
		r.record(1, 6).answered.Or(1 << 2)
		change(r)
		if got := r.judge(t, relayText("answer", r.hash, r.answerer, r.offer, r.answerSDP), connection); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("right", fine, 1, func(*relayRig) {})
	f("another torrent", wrongTorrent, 1, func(r *relayRig) { r.hash = r.hashes[0] })
	f("to another client", wrongReceiver, 5, func(*relayRig) {})
	f("to a client of another torrent", wrongReceiver, 2, func(*relayRig) {})
	f("another sender than the sdp's", wrongSender, 1, func(r *relayRig) { r.answerer = r.who.peerID(6, 0) })
	f("an unknown sender", wrongSender, 1, func(r *relayRig) {
		r.answerer = id([]byte("-XX0001-aaaaaaaaaaaa"))
		r.wire.answer.fill(r.answerSDP, &r.answerer, 1)
	})
	f("a sender without that torrent", wrongSender, 1, func(r *relayRig) {
		r.answerer = r.who.peerID(2, 0)
		r.wire.answer.fill(r.answerSDP, &r.answerer, r.answerNumber(r.ref, &r.answerer))
	})
	f("an altered sdp", altered, 1, func(r *relayRig) { r.answerSDP = flip(r.answerSDP, 199) })
	f("a cut sdp", altered, 1, func(r *relayRig) { r.answerSDP = r.answerSDP[1:] })
	f("the offer's sdp", wrongSender, 1, func(r *relayRig) { r.answerSDP = r.sdp })
	f("an altered offer id", unknown, 1, func(r *relayRig) { r.offer = id(flip(r.offer[:], 2)) })
	f("an answer that nobody sent", unknown, 1, func(r *relayRig) { r.record(1, 6).answered.Store(0) })
	f("for the second time", duplicate, 1, func(r *relayRig) { r.record(1, 6).answers.Or(1 << 2) })
	f("one's own", own, 1, func(r *relayRig) {
		r.answerer = r.peer
		r.wire.answer.fill(r.answerSDP, &r.answerer, r.answerNumber(r.ref, &r.answerer))
	})
}

// TestSettle proves which offers and answers are counted as missing and which as gone when an announce is forgotten.
func TestSettle(t *testing.T) {
	f := func(name string, change func(l *ledger, r *announceRecord), expected, offersGone, answersGone uint64) {
		t.Helper()
		rig := newRelayRig()
		r := rig.record(1, 6)
		r.state, r.expected = recordReplied, 3
		r.offers.Store(0b011)
		r.answered.Store(0b011)
		r.answers.Store(0b001)
		change(rig.ledger, r)
		var n Counts
		rig.settle(1, r, &n)
		if n.OffersExpected != expected || n.OffersGone != offersGone || n.AnswersGone != answersGone {
			t.Errorf("%s: %+v", name, n)
		}
		if rig.known(1, 6) != nil {
			t.Errorf("%s: the record is still there", name)
		}
	}
	f("nobody left", func(*ledger, *announceRecord) {}, 0, 0, 0)
	f("long before", func(l *ledger, _ *announceRecord) { l.left[1].Store(int64(-nearby)) }, 0, 0, 0)
	f("a peer left", func(l *ledger, _ *announceRecord) { l.gone(5, 0) }, 0, 1, 1)
	f("a peer of another torrent left", func(l *ledger, _ *announceRecord) { l.gone(2, time.Minute) }, 0, 0, 0)
	f("the sender left", func(l *ledger, _ *announceRecord) { l.life[1].Store(0) }, 0, 0, 1)
	f("no reply", func(_ *ledger, r *announceRecord) { r.state = recordFailed }, 2, 0, 0)
	several := func(l *ledger) { l.nodes = 2; l.steady.Store(int64(10 * time.Second)) }
	f("a peer left, and the other node knows later", func(l *ledger, r *announceRecord) {
		several(l)
		l.left[1].Store(int64(time.Second - nearby - 1))
	}, 0, 1, 1)
	f("an empty record", func(_ *ledger, r *announceRecord) { r.seq.Store(0) }, 0, 0, 0)
}

// TestUntold proves that offers beyond those that the reply spoke of are no mistake only where one of several nodes may
// not know yet of all peers: before they have settled, and where peers leave.
func TestUntold(t *testing.T) {
	f := func(name string, due time.Duration, untold uint64, change func(l *ledger)) {
		t.Helper()
		rig := newRelayRig()
		rig.nodes = 2
		rig.steady.Store(int64(10 * time.Second))
		change(rig.ledger)
		r := rig.begin(1, 6, 0, due)
		r.state, r.expected = recordReplied, 1
		r.offers.Store(0b111)
		var n Counts
		rig.settle(1, r, &n)
		if n.OffersUntold != untold || n.OffersExpected != 0 {
			t.Errorf("%s: %d untold, want %d", name, n.OffersUntold, untold)
		}
		n.OffersExpected, n.OffersReceived = 1, 3
		if list := imbalances(&n, new(losses), &Config{}); (len(list) == 0) != (untold == 2) {
			t.Errorf("%s: %q", name, list)
		}
	}
	f("in the ramp", 9*time.Second, 2, func(*ledger) {})
	f("soon after it", 13*time.Second-1, 2, func(*ledger) {})
	f("later", 13*time.Second, 0, func(*ledger) {})
	f("a new peer", 14*time.Second, 2, func(l *ledger) { l.sizes[1].join(12 * time.Second) })
	f("a peer that left", 14*time.Second, 2, func(l *ledger) { l.gone(5, time.Second) })
	f("peers come and go", time.Minute, 2, func(l *ledger) { l.sizes = nil })
	f("one node", 9*time.Second, 0, func(l *ledger) { l.nodes = 1 })
	f("one node, peers come and go", 9*time.Second, 0, func(l *ledger) { l.nodes, l.sizes = 1, nil })
}
