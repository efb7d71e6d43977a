package floor

// This file tests the floor server without a kernel, and has the world of made-up connections that other tests use too.

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"millrace/ring"
	"millrace/ring/pool"
)

// world is a floor server without a kernel: a test hands it the bytes of clients and takes the bytes that it sends.
type world struct {
	t     testing.TB
	f     *Floor
	ops   []ring.Op
	acted []ring.Op // of the last turn, besides sends
	got   map[uint32][]byte
}

func newWorld(t testing.TB, connections int, fault Fault) *world {
	return &world{t: t, got: map[uint32][]byte{},
		f: New(pool.New(make([]byte, 1<<20)), pool.New(make([]byte, 1<<20)), connections, fault)}
}

// turn reports events and completes every send, until nothing more is sent.
func (w *world) turn(events ...ring.Event) {
	w.acted = w.acted[:0]
	for len(events) > 0 {
		w.ops = w.f.Turn(events, w.ops[:0])
		events = nil
		for _, op := range w.ops {
			switch op.Kind {
			case ring.OpSend:
				w.got[op.Slot.Index] = append(w.got[op.Slot.Index], op.Data...)
				events = append(events, ring.Event{Kind: ring.EventSent, Slot: op.Slot, N: uint32(len(op.Data))})
			default:
				w.acted = append(w.acted, op)
			}
		}
	}
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func slotOf(i uint32) ring.Slot { return ring.Slot{Index: i, Gen: 1} }

func received(i uint32, data []byte) ring.Event {
	return ring.Event{Kind: ring.EventRecv, Slot: slotOf(i), Data: data}
}

// connect opens connection i.
func (w *world) connect(i uint32) {
	w.turn(ring.Event{Kind: ring.EventAccept, Slot: slotOf(i)}, received(i, []byte(upgradeRequest)))
	if got := string(w.got[i]); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, "\r\n\r\n") {
		w.t.Fatalf("the upgrade of connection %d is answered with %q", i, got)
	}
	w.got[i] = nil
}

// masked returns a client's frame.
func masked(op byte, payload string) []byte {
	b := []byte{finBit | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, maskBit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskBit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), uint64(n))
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// message has the members that a client reads.
type message struct {
	Action     string
	InfoHash   string `json:"info_hash"`
	PeerID     string `json:"peer_id"`
	OfferID    string `json:"offer_id"`
	Complete   *int
	Incomplete *int
	Interval   int
	Offer      *description
	Answer     *description
	Files      map[string]struct{ Complete, Incomplete, Downloaded int }
}

type description struct{ Type, SDP string }

// take returns the messages that were sent to a connection since the last call, and fails if a frame is not valid.
func (w *world) take(i uint32) (messages []message) {
	w.t.Helper()
	b := w.got[i]
	w.got[i] = nil
	for len(b) > 0 {
		header, n := 2, int(b[1])
		switch n {
		case 126:
			header, n = 4, int(binary.BigEndian.Uint16(b[2:]))
		case 127:
			header, n = 10, int(binary.BigEndian.Uint64(b[2:]))
		}
		var m message
		if err := json.Unmarshal(b[header:header+n], &m); err != nil || b[0] != finBit|opText {
			w.t.Fatalf("connection %d is sent the frame %.300q: %v", i, b[:header+n], err)
		}
		messages = append(messages, m)
		b = b[header+n:]
	}
	return messages
}

// sdpOf is the text of offer k of a client, with the line ends of an SDP.
func sdpOf(client uint32, k, size int) string {
	text := fmt.Sprintf(`v=0\r\no=- %d %d IN IP4 127.0.0.1\r\n`, client, k)
	return text + strings.Repeat("x", max(size-len(text), 0))
}

// announce returns an announce with offers, as millrace-load writes it.
func announce(client, torrent uint32, event string, offers, sdpSize int) []byte {
	if event != "" {
		event = `,"event":"` + event + `"`
	}
	b := fmt.Appendf(nil, `{"action":"announce","info_hash":"%s","peer_id":"%s","uploaded":0,"downloaded":0,"left":%-10d%-18s`+
		`,"numwant":%-2d,"offers":[`, testHash(torrent), testPeer(client), 0, event, offers)
	for k := range offers {
		if k > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"offer":{"type":"offer","sdp":"%s"},"offer_id":"%s"}`,
			sdpOf(client, k, sdpSize), testOffer(client, k))
	}
	return masked(opText, string(b)+"]}")
}

// answer returns an answer to offer k of a client.
func answer(client, torrent, to uint32, k int, sdp string) []byte {
	return masked(opText, fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s","to_peer_id":"%s",`+
		`"answer":{"type":"answer","sdp":"%s"},"offer_id":"%s"}`,
		testHash(torrent), testPeer(client), testPeer(to), sdp, testOffer(to, k)))
}

func testOffer(client uint32, k int) string { return fmt.Sprintf("offer%010d%05d", client, k) }

// testPeer and testHash write the numbers where millrace-load does.
func testPeer(client uint32) string {
	return "-ML0001-" + base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, client), "00000"...))
}

func testHash(torrent uint32) string {
	b := append(binary.BigEndian.AppendUint32(nil, torrent), "00000000000"...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// TestRelay proves that offers go to the other peers of the torrent, one to each, as they were sent; that an answer
// goes to the peer that its to_peer_id names; that the reply says how many peers there are; and that a peer that has
// left gets nothing more.
func TestRelay(t *testing.T) {
	const connections, sdpSize = 6, 900
	w := newWorld(t, connections, Fault{})
	for i := range uint32(connections) {
		w.connect(i)
		w.turn(received(i, announce(100+i, i%2, "started", 0, 0)))
		if m := w.take(i); len(m) != 1 || m[0].InfoHash != testHash(i%2) || *m[0].Incomplete != int(i/2)+1 {
			t.Fatalf("the announce of connection %d is replied with %+v", i, m)
		}
	}
	w.turn(received(2, announce(102, 0, "", 3, sdpSize)))
	if m := w.take(2); len(m) != 1 || m[0].Action != "announce" || *m[0].Incomplete != 3 || m[0].Interval == 0 {
		t.Fatalf("the announce with offers is replied with %+v", m)
	}
	seen := map[string]bool{}
	for i := range uint32(connections) {
		m := w.take(i)
		if i == 0 || i == 4 {
			k := 0
			if len(m) == 1 && m[0].OfferID == testOffer(102, 1) {
				k = 1
			}
			sdp := strings.ReplaceAll(sdpOf(102, k, sdpSize), `\r\n`, "\r\n")
			if len(m) != 1 || m[0].PeerID != testPeer(102) || m[0].InfoHash != testHash(0) || m[0].Offer == nil ||
				*m[0].Offer != (description{"offer", sdp}) || m[0].OfferID != testOffer(102, k) {
				t.Errorf("connection %d gets %+v", i, m)
			}
			seen[m[0].OfferID] = true
		} else if len(m) > 0 {
			t.Errorf("connection %d of another torrent gets %+v", i, m)
		}
	}
	if len(seen) != 2 {
		t.Errorf("two peers got the offers %v", seen)
	}
	w.turn(received(4, answer(104, 0, 102, 1, "yes")))
	if m := w.take(2); len(m) != 1 || m[0].Answer == nil || *m[0].Answer != (description{"answer", "yes"}) ||
		m[0].PeerID != testPeer(104) || m[0].OfferID != testOffer(102, 1) || m[0].InfoHash != testHash(0) {
		t.Errorf("the answer arrives as %+v", m)
	}
	w.turn(received(0, announce(100, 0, "stopped", 0, 0)), received(2, announce(102, 0, "", 3, sdpSize)))
	if m := w.take(0); len(m) != 1 || m[0].Offer != nil {
		t.Errorf("a peer that leaves gets %+v", m)
	}
	if m := w.take(2); len(m) != 1 || *m[0].Incomplete != 2 || len(w.take(4)) != 1 {
		t.Errorf("after one has left, the reply is %+v", m)
	}
	want := Stats{Announces: connections + 3, Offers: 3, Answers: 1}
	if got := w.f.Stats(); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// TestScrape proves that a scrape is answered with the number of peers, and that a message which millrace-load does not
// send is counted and not answered.
func TestScrape(t *testing.T) {
	w := newWorld(t, 1, Fault{})
	w.connect(0)
	w.turn(received(0, announce(100, 3, "started", 0, 0)))
	w.take(0)
	f := func(m string, peers int) {
		t.Helper()
		w.turn(received(0, masked(opText, m)))
		got := w.take(0)
		if peers < 0 {
			if len(got) != 0 {
				t.Errorf("%s gets %+v", m, got)
			}
			return
		}
		if len(got) != 1 || got[0].Action != "scrape" || len(got[0].Files) != 1 ||
			got[0].Files[m[len(m)-22:len(m)-2]].Incomplete != peers {
			t.Errorf("%s gets %+v", m, got)
		}
	}
	f(`{"action":"scrape","info_hash":"`+testHash(3)+`"}`, 1)
	f(`{"action":"scrape","info_hash":"`+testHash(9)+`"}`, 0)
	unknown := []string{"", "{}", `{"action":"scrape"}`, `{"action":"scrape","info_hash":"~~~~~~~~~~~~~~~~~~~~"}`,
		strings.Repeat("a", 200), strings.Repeat("a", 2000), `{"action":"announce","info_hash":"` + strings.Repeat("t", 300)}
	for _, m := range unknown {
		f(m, -1)
	}
	if got := w.f.Stats().Unknown; got != uint64(len(unknown)) {
		t.Errorf("%d unknown messages were counted, %d were sent", got, len(unknown))
	}
}

// TestPieces proves that messages arrive whole however the bytes are cut, and several at once.
func TestPieces(t *testing.T) {
	stream := append(announce(100, 0, "started", 10, 1300), announce(100, 0, "", 2, 35000)...)
	stream = append(stream, masked(opPing, "hello")...)
	stream = append(stream, announce(100, 0, "", 1, 10)...)
	for _, size := range []int{1, 2, 7, 100, 1000, 4096, 13000, len(stream)} {
		w := newWorld(t, 2, Fault{})
		w.connect(1)
		w.turn(received(1, announce(101, 0, "started", 0, 0)))
		w.take(1)
		w.turn(ring.Event{Kind: ring.EventAccept, Slot: slotOf(0)})
		all := append([]byte(upgradeRequest), stream...)
		for at := 0; at < len(all); at += size {
			w.turn(received(0, append([]byte(nil), all[at:min(at+size, len(all))]...)))
		}
		replies := strings.Count(string(w.got[0]), `"interval"`)
		if got := len(w.take(1)); got < 2 || got > 3 || replies != 3 || !strings.Contains(string(w.got[0]), "\x8a\x05hello") {
			t.Errorf("in pieces of %d bytes: %d replies, %d offers", size, replies, got)
		}
		if n := w.f.partials.InUse(); n != 0 {
			t.Errorf("in pieces of %d bytes: %d bytes are still kept", size, n)
		}
		if n := w.f.pool.InUse(); n != 0 {
			t.Errorf("in pieces of %d bytes: %d bytes still wait", size, n)
		}
	}
}

// TestEnd proves that a close frame is answered and the connection closed after that, that a hangup closes it at once,
// that both leave the torrents, and that anything but an upgrade or a client frame ends the connection.
func TestEnd(t *testing.T) {
	f := func(what string, wantSent string, event ring.Event) {
		t.Helper()
		w := newWorld(t, 3, Fault{})
		w.connect(0)
		w.turn(received(0, announce(100, 0, "started", 0, 0)))
		w.take(0)
		w.turn(event)
		if len(w.acted) != 1 || w.acted[0].Kind != ring.OpClose || w.acted[0].Slot != slotOf(0) {
			t.Errorf("%s: did %+v", what, w.acted)
		}
		if got := string(w.got[0]); got != wantSent {
			t.Errorf("%s: sent %q", what, got)
		}
		if n := w.f.pool.InUse() + w.f.partials.InUse(); n != 0 || w.f.size(0) != 0 || w.f.byClient[100] != none {
			t.Errorf("%s: %d bytes and %d memberships are left", what, n, w.f.size(0))
		}
		w.turn(ring.Event{Kind: ring.EventClosed, Slot: slotOf(0)})
		w.turn(ring.Event{Kind: ring.EventAccept, Slot: ring.Slot{Gen: 2}})
		w.turn(ring.Event{Kind: ring.EventRecv, Slot: ring.Slot{Gen: 2}, Data: []byte("POST / HTTP/1.1\r\n\r\n")})
		if len(w.acted) != 1 || w.acted[0].Kind != ring.OpClose {
			t.Errorf("%s: this is no upgrade, and is answered with %+v", what, w.acted)
		}
	}
	f("close", "\x88\x02\x03\xe8", received(0, masked(opClose, "\x03\xe9")))
	f("hangup", "", ring.Event{Kind: ring.EventHangup, Slot: slotOf(0)})
	f("unmasked", "", received(0, []byte{finBit | opText, 1, 'a'}))
	f("fragment", "", received(0, []byte{opText, maskBit | 1, 0, 0, 0, 0, 'a'}))
	f("too long", "", received(0, []byte{finBit | opText, maskBit | 127, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))
}
