package load

// This file tests the form of a client's messages.

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// unmasked takes the header off a client's frame and returns its opcode and payload.
func unmasked(t *testing.T, frame []byte) (opcode byte, payload []byte) {
	t.Helper()
	n, at := int(frame[1]&0x7f), 2
	switch n {
	case length16:
		n, at = int(binary.BigEndian.Uint16(frame[2:])), 4
	case length64:
		n, at = int(binary.BigEndian.Uint64(frame[2:])), 10
	}
	key := frame[at : at+4]
	payload = bytes.Clone(frame[at+4:])
	if len(payload) != n || frame[1]&maskBit == 0 || frame[0]&finBit == 0 || frameSize(n) != len(frame) {
		t.Fatalf("header % x does not describe a masked frame of %d bytes", frame[:at], len(frame))
	}
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return frame[0] & 0xf, payload
}

// wireMessage is a client's message as encoding/json reads it.
type wireMessage struct {
	Action   string `json:"action"`
	InfoHash string `json:"info_hash"`
	PeerID   string `json:"peer_id"`
	ToPeerID string `json:"to_peer_id"`
	Left     *int   `json:"left"`
	Event    string `json:"event"`
	NumWant  *int   `json:"numwant"`
	Offers   []struct {
		Offer struct{ Type, SDP string } `json:"offer"`
		ID    string                     `json:"offer_id"`
	} `json:"offers"`
	Answer *struct{ Type, SDP string } `json:"answer"`
	ID     string                      `json:"offer_id"`
}

// sizedWire makes frames with descriptions of so many bytes.
func sizedWire(who identity, offers, sdpBytes int) *wire {
	return newWire(who, offers, newSDPTemplate("actpass", sdpBytes), newSDPTemplate("active", sdpBytes))
}

// TestAnnounceFrame proves that an announce is valid JSON in a valid frame, has the right members, and has its parts
// where AnnounceLayout says, for short and long payloads, and for a browser's.
func TestAnnounceFrame(t *testing.T) {
	who := identity{seed: 7}
	for _, sdpBytes := range []int{minSDPBytes, 100, 1300, 1301, 1302, 1303, 8000} {
		for _, offers := range []int{0, 1, 9, 10, 64} {
			w := sizedWire(who, offers, sdpBytes)
			for _, event := range []announceEvent{startEvent, updateEvent, stopEvent} {
				hash, peer := who.infoHash(3), who.peerID(5, 2)
				a := announce{hash: &hash, peer: &peer, connection: 5, seq: 77, incarnation: 2, event: event}
				a.seeder = event == updateEvent
				_, text := unmasked(t, w.appendAnnounce(nil, &a, 0x12345678))
				checkAnnounce(t, w, &a, text)
			}
		}
	}
	w := newWire(who, 10, newBrowserTemplate("actpass"), newBrowserTemplate("active"))
	hash, peer := who.infoHash(3), who.peerID(5, 2)
	a := announce{hash: &hash, peer: &peer, connection: 5, seq: 77, incarnation: 2, event: updateEvent}
	_, text := unmasked(t, w.appendAnnounce(nil, &a, 0x12345678))
	checkAnnounce(t, w, &a, text)
}

func checkAnnounce(t *testing.T, w *wire, a *announce, text []byte) {
	t.Helper()
	var m wireMessage
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	layout, offers := w.announce, w.offers
	event := map[announceEvent]string{startEvent: "started", stopEvent: "stopped"}[a.event]
	if a.event == stopEvent {
		layout, offers = w.stop, 0
	}
	at := func(at int) string { return string(text[at : at+idSize]) }
	switch {
	case m.Action != "announce" || m.Event != event || len(m.Offers) != offers || *m.NumWant != w.offers:
		t.Fatalf("it says %+v", m)
	case (*m.Left == 0) != a.seeder:
		t.Fatalf("left is %d for seeder %v", *m.Left, a.seeder)
	case len(text) != layout.Size || at(layout.InfoHash) != m.InfoHash || at(layout.PeerID) != m.PeerID:
		t.Fatalf("the layout %+v is not that of %s", layout, text)
	case m.InfoHash != string(a.hash[:]) || m.PeerID != string(a.peer[:]):
		t.Fatalf("it has other ids: %s", text)
	}
	for k, o := range m.Offers {
		start := layout.Offers + k*layout.Stride
		raw := text[start+layout.SDP:][:layout.SDPSize]
		ref := offerRef{a.connection, a.seq, a.incarnation, uint8(k)}
		want := w.who.offerID(ref)
		var sdp string
		if err := json.Unmarshal([]byte(`"`+string(raw)+`"`), &sdp); err != nil || sdp != o.Offer.SDP {
			t.Fatalf("the sdp %q is not at its place: %v", sdp, err)
		}
		if at(start+layout.OfferID) != o.ID || o.ID != string(want[:]) || o.Offer.Type != "offer" {
			t.Fatalf("offer %d is not at its place: %+v", k, o)
		}
		if !w.offer.matches(raw, make([]byte, len(raw)), &want, w.who.content(ref)) {
			t.Fatalf("the sdp does not derive from the offer: %s", raw)
		}
	}
}

// TestAnswerAndScrapeFrames proves the same of answers and scrapes.
func TestAnswerAndScrapeFrames(t *testing.T) {
	who := identity{seed: 9}
	w := sizedWire(who, 10, 1300)
	ref := offerRef{connection: 4, seq: 8, incarnation: 1, number: 3}
	hash, from, to, offer := who.infoHash(1), who.peerID(1, 0), who.peerID(4, 1), who.offerID(ref)
	_, text := unmasked(t, w.appendAnswer(nil, &hash, &from, &to, &offer, ref, 0xdeadbeef))
	var m wireMessage
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	l := AnswerLayout(1300)
	raw := text[l.SDP:][:l.SDPSize]
	at := func(at int) string { return string(text[at : at+idSize]) }
	if m.Answer == nil || m.Answer.Type != "answer" || m.ID != string(offer[:]) || m.ToPeerID != string(to[:]) ||
		m.PeerID != string(from[:]) || m.InfoHash != string(hash[:]) || len(text) != l.Size {
		t.Fatalf("it says %s", text)
	}
	if at(l.InfoHash) != m.InfoHash || at(l.PeerID) != m.PeerID || at(l.ToPeerID) != m.ToPeerID || at(l.OfferID) != m.ID {
		t.Fatalf("the layout %+v is not that of %s", l, text)
	}
	if string(w.answer.name(raw)) != string(from[:]) || !w.answer.matches(raw, make([]byte, 1300), &from, w.answerNumber(ref, &from)) {
		t.Fatalf("the sdp does not derive from offer and answerer: %s", raw)
	}
	_, text = unmasked(t, w.appendScrape(nil, &hash, 1))
	s := ScrapeLayout()
	if err := json.Unmarshal(text, &m); err != nil || m.Action != "scrape" || m.InfoHash != string(hash[:]) ||
		at(s.InfoHash) != m.InfoHash || len(text) != s.Size {
		t.Fatalf("it says %s: %v", text, err)
	}
}

// TestEveryByteOfAnSDPCounts proves that a description with any one byte changed is not taken for the right one, and
// that different offers and answerers have different descriptions.
func TestEveryByteOfAnSDPCounts(t *testing.T) {
	who := identity{seed: 1}
	everyByteCounts(t, who, sizedWire(who, 1, 1300))
	everyByteCounts(t, who, newWire(who, 1, newBrowserTemplate("actpass"), newBrowserTemplate("active")))
}

func everyByteCounts(t *testing.T, who identity, w *wire) {
	t.Helper()
	ref := offerRef{connection: 1, seq: 2, number: 3}
	name := who.offerID(ref)
	text, scratch := make([]byte, w.offer.size()), make([]byte, w.offer.size())
	w.offer.fill(text, &name, who.content(ref))
	for i := range text {
		text[i] ^= 1
		if w.offer.matches(text, scratch, &name, who.content(ref)) {
			t.Fatalf("a change of byte %d is not noticed", i)
		}
		text[i] ^= 1
	}
	if !w.offer.matches(text, scratch, &name, who.content(ref)) || w.offer.matches(text[1:], scratch, &name, 0) {
		t.Fatal("the text itself does not match, or a shorter one does")
	}
	a, b := who.peerID(1, 0), who.peerID(1, 1)
	if w.answerNumber(ref, &a) == w.answerNumber(ref, &b) {
		t.Fatal("answers of two incarnations have the same text")
	}
}
