package floor

// This file tests that each fault spoils one message in so many, in the way of its name.

import (
	"slices"
	"testing"
)

// TestFaults proves that each fault spoils just one message in Every of its subject, in the way of its name, and leaves
// the others as they are. Each run relays 11 offers and 11 answers among 4 peers of one torrent and 2 of another; the
// 10th is spoiled.
func TestFaults(t *testing.T) {
	for kind := Drop; kind < faultKinds; kind++ {
		for _, of := range []Subject{Offers, Answers} {
			right := runFault(t, Fault{})
			wrong := runFault(t, Fault{Kind: kind, Of: of, Every: 10})
			s := wrong.stats
			spoiled := s.SpoiledOffers + s.SpoiledAnswers + s.SpoiledReplies
			differ := difference(right.all, wrong.all)
			if spoiled != 1 || differ != wantFaults[kind] {
				t.Errorf("%v of %d: %d were spoiled, what arrived is %s, want %s", kind, of, spoiled, differ, wantFaults[kind])
			}
		}
	}
}

// wantFaults says how the messages that arrive differ: how many are missing, and how many are too many.
var wantFaults = [faultKinds]string{
	Drop:            "1 missing",
	Duplicate:       "1 more",
	SecondReceiver:  "1 more",
	Alter:           "1 changed",
	OtherText:       "1 changed",
	OtherID:         "1 changed",
	OtherTorrent:    "1 changed",
	MisrouteTorrent: "1 changed",
	MisrouteSwarm:   "1 changed",
	MisrouteSelf:    "1 changed",
	WrongType:       "1 changed",
	WrongSender:     "1 changed",
	LoseReply:       "1 missing", // of replies, with any subject
	DoubleReply:     "1 more",
	Understate:      "something else", // the offers of one announce are missing too, and later ones go to others
}

// arrived is one message and its receiver.
type arrived struct {
	to                    uint32
	hash, from, id, text  string
	reply, isOffer, isAns bool
}

type outcome struct {
	all   []arrived
	stats Stats
}

// runFault relays offers and answers in turn between two torrents.
func runFault(t *testing.T, fault Fault) (o outcome) {
	w := newWorld(t, 6, fault)
	for i := range uint32(6) {
		w.connect(i)
		w.turn(received(i, announce(i, i/4, "started", 0, 0)))
	}
	// The 10th offer and the 10th answer are the first after those of peer 4, which is in the other torrent.
	for round, from := range []uint32{0, 1, 2, 3, 4, 0} {
		w.turn(received(from, announce(from, from/4, "", 2, 300)))
		for k := range 2 - from/4 {
			to := (from + k + 1) % 4
			if from == 4 {
				to = 5
			}
			w.turn(received(from, answer(from, from/4, to, round*2+int(k), sdpOf(from, round*2+int(k), 200))))
		}
	}
	for i := range uint32(6) {
		for _, m := range w.take(i) {
			a := arrived{to: i, hash: m.InfoHash, from: m.PeerID, id: m.OfferID, reply: m.Complete != nil}
			if m.Offer != nil {
				a.isOffer, a.text = true, m.Offer.Type+m.Offer.SDP
			}
			if m.Answer != nil {
				a.isAns, a.text = true, m.Answer.Type+m.Answer.SDP
			}
			o.all = append(o.all, a)
		}
	}
	o.stats = w.f.Stats()
	return o
}

// difference says how two outcomes differ. Their order does not count.
func difference(right, wrong []arrived) string {
	missing, more := 0, 0
	rest := slices.Clone(wrong)
	for _, a := range right {
		if i := slices.Index(rest, a); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			missing++
		}
	}
	more = len(rest)
	switch {
	case missing == 0 && more == 0:
		return "as without"
	case missing == 1 && more == 1:
		return "1 changed"
	case missing == 1 && more == 0:
		return "1 missing"
	case missing == 0 && more == 1:
		return "1 more"
	}
	return "something else"
}
