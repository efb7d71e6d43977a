package wsproto

// This file proves the exact bytes of the tracker's messages, and the bounds of their sizes.

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// oddID holds every kind of character that JSON writes in its own way.
var oddID = ID([]byte("\x00\x01\x08\t\n\x0b\f\r\x1f \"/\\a\x7f\x80\xa0\xe9\xff<"))

const oddLiteral = `"\u0000\u0001\b\t\n\u000b\f\r\u001f \"/\\a` + "\x7f\u0080\u00a0\u00e9\u00ff<\""

// worstID needs the most room.
var worstID = ID{}

// payloadOf checks that frame is exactly one unmasked final frame in its shortest form, and returns its payload.
func payloadOf(t *testing.T, frame []byte, op ws.OpCode) []byte {
	t.Helper()
	in := bytes.NewReader(frame)
	h, err := ws.ReadHeader(in)
	if err != nil {
		t.Fatal(err)
	}
	if err = ws.CheckHeader(h, ws.StateClientSide); err != nil {
		t.Fatal(err)
	}
	if h.OpCode != op || !h.Fin || h.Length != int64(in.Len()) || ws.HeaderSize(h) != len(frame)-in.Len() {
		t.Fatalf("header %+v before %d bytes", h, in.Len())
	}
	return frame[len(frame)-in.Len():]
}

// appendTo calls an append function behind bytes that it must not touch and returns what it has appended.
func appendTo(t *testing.T, f func(dst []byte) []byte) []byte {
	t.Helper()
	got := f([]byte("before"))
	if !bytes.HasPrefix(got, []byte("before")) {
		t.Fatalf("the bytes before are now %q", got[:6])
	}
	return got[6:]
}

// The text of each reply is exactly the one that clients have always been sent.
func TestEncodeGolden(t *testing.T) {
	hash, peer, offer := id(testHash), id(testPeer), id(testOffer)
	f := func(want string, encode func(dst []byte) []byte) {
		t.Helper()
		if got := payloadOf(t, appendTo(t, encode), ws.OpText); string(got) != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
	f(`{"action":"announce","info_hash":"`+testHash+`","complete":1,"incomplete":20,"interval":120}`,
		func(dst []byte) []byte { return AppendAnnounceReply(dst, &hash, 1, 20, 120) })
	f(`{"action":"announce","info_hash":`+oddLiteral+`,"complete":0,"incomplete":0,"interval":4294967295}`,
		func(dst []byte) []byte { return AppendAnnounceReply(dst, &oddID, 0, 0, math.MaxUint32) })
	f(`{"action":"announce","info_hash":"`+testHash+`","peer_id":"`+testPeer+
		`","offer":{"type":"offer","sdp":"v=0\r\n"},"offer_id":"`+testOffer+`"}`,
		func(dst []byte) []byte { return AppendOffer(dst, &hash, &peer, &offer, []byte(`"v=0\r\n"`)) })
	f(`{"action":"announce","info_hash":"`+testHash+`","peer_id":"`+testPeer+
		`","answer":{"type":"answer","sdp":""},"offer_id":"`+testOffer+`"}`,
		func(dst []byte) []byte { return AppendAnswer(dst, &hash, &peer, &offer, []byte(`""`)) })
	f(`{"action":"scrape","files":{}}`, func(dst []byte) []byte { return AppendScrapeReply(dst, nil) })
	f(`{"action":"scrape","files":{"`+testHash+`":{"complete":1,"incomplete":2,"downloaded":3},`+oddLiteral+
		`:{"complete":0,"incomplete":0,"downloaded":0}}}`, func(dst []byte) []byte {
		return AppendScrapeReply(dst, []ScrapeFile{{hash, 1, 2, 3}, {Hash: oddID}, {hash, 1, 2, 3}, {Hash: oddID}})
	})
	f(`{"failure reason":"invalid peer_id","action":"announce","info_hash":"`+testHash+`"}`,
		func(dst []byte) []byte { return AppendFailure(dst, ActionAnswer, &hash, RejectPeerID.String()) })
	f(`{"failure reason":"full scrape is not supported","action":"scrape"}`,
		func(dst []byte) []byte { return AppendFailure(dst, ActionScrape, nil, RejectFullScrape.String()) })
	f(`{"failure reason":"\"é\"\\"}`, func(dst []byte) []byte { return AppendFailure(dst, ActionNone, nil, `"é"\`) })
}

// Every byte of an ID comes back from encoding/json as its code point, and from our own decoder as itself.
func TestAppendIDRoundTrip(t *testing.T) {
	for c := range 256 {
		want := ID(bytes.Repeat([]byte{byte(c)}, 20))
		literal := appendID(nil, &want)
		var decoded string
		if err := json.Unmarshal(literal, &decoded); err != nil || decoded != strings.Repeat(string(rune(c)), 20) {
			t.Errorf("byte %#x: %q, error %v", c, decoded, err)
		}
		var got ID
		if j := (jsonReader{text: literal}); !j.str().id(&got) || got != want || !j.end() {
			t.Errorf("byte %#x: %q decodes to %q", c, literal, got)
		}
	}
}

// Frames of every size of header are well formed, and their sdp arrives as it was.
func TestEncodeHeaderSizes(t *testing.T) {
	hash := id(testHash)
	base := len(payloadOf(t, AppendOffer(nil, &hash, &hash, &hash, []byte(`""`)), ws.OpText))
	for _, n := range []int{0, 1, 500, 65534 - base, 65535 - base, 65536 - base, 65537 - base, 65536, 200000} {
		sdp := `"` + strings.Repeat("x", n) + `"`
		for _, encode := range []func([]byte, *ID, *ID, *ID, []byte) []byte{AppendOffer, AppendAnswer} {
			frame := appendTo(t, func(dst []byte) []byte { return encode(dst, &hash, &hash, &hash, []byte(sdp)) })
			if payload := payloadOf(t, frame, ws.OpText); !json.Valid(payload) || !strings.Contains(string(payload), sdp) {
				t.Errorf("sdp of %d bytes: payload %.200q", n, payload)
			}
		}
	}
	for n := range 100 { // across 125 and 126 bytes
		frame := AppendFailure(nil, ActionNone, &hash, strings.Repeat("x", n))
		if payload := payloadOf(t, frame, ws.OpText); !json.Valid(payload) {
			t.Errorf("reason of %d bytes: payload %q", n, payload)
		}
	}
}

// In a buffer with as much room as the bounds promise to be enough, every frame is written in place.
func TestEncodeBounds(t *testing.T) {
	f := func(name string, bound int, encode func(dst []byte) []byte) {
		t.Helper()
		buf := make([]byte, 0, bound)
		if got := encode(buf); len(got) > bound || &got[0] != &buf[:1][0] {
			t.Errorf("%s: %d bytes, bound %d", name, len(got), bound)
		}
	}
	const m = math.MaxUint32
	f("announce", AnnounceReplySize, func(dst []byte) []byte { return AppendAnnounceReply(dst, &worstID, m, m, m) })
	f("failure", FailureSize, func(dst []byte) []byte {
		return AppendFailure(dst, ActionAnnounce, &worstID, strings.Repeat("\x00", 64))
	})
	for _, n := range []int{2, 1000, 65000, 65300, 70000} {
		sdp := bytes.Repeat([]byte("x"), n)
		f("offer", OfferSize(n), func(dst []byte) []byte { return AppendOffer(dst, &worstID, &worstID, &worstID, sdp) })
		f("answer", AnswerSize(n), func(dst []byte) []byte { return AppendAnswer(dst, &worstID, &worstID, &worstID, sdp) })
	}
	for _, n := range []int{0, 1, 2, 255, 1000} {
		files := make([]ScrapeFile, n)
		for i := range files {
			files[i] = ScrapeFile{ID{19: byte(i % 8), 18: byte(i / 8 % 8), 17: byte(i / 64)}, m, m, m}
		}
		f("scrape", ScrapeReplySize(n), func(dst []byte) []byte { return AppendScrapeReply(dst, files) })
	}
	f("ping", MaxControlFrame, func(dst []byte) []byte { return AppendPing(dst, make([]byte, 125)) })
	f("pong", MaxControlFrame, func(dst []byte) []byte { return AppendPong(dst, make([]byte, 125)) })
	f("close", MaxControlFrame, func(dst []byte) []byte { return AppendClose(dst, 1000, strings.Repeat("x", 500)) })
}

// TestScrapeReplyDuplicates proves that a scrape reply names each hash once, whether they differ at the begin or at the end,
// and up to the greatest number of files.
func TestScrapeReplyDuplicates(t *testing.T) {
	var files []ScrapeFile
	want := map[string]map[string]int{}
	for i := range MaxScrapeFiles {
		h := ID{0: byte(i), 1: byte(i >> 8), 19: byte(i % 7)}
		if i%3 == 0 {
			h = ID{19: byte(i)}
		}
		files = append(files, ScrapeFile{h, uint32(h[19]), 2, 3})
		var key []rune
		for _, b := range h {
			key = append(key, rune(b))
		}
		want[string(key)] = map[string]int{"complete": int(h[19]), "incomplete": 2, "downloaded": 3}
	}
	payload := payloadOf(t, AppendScrapeReply(nil, files), ws.OpText)
	var got struct{ Files map[string]map[string]int }
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Files, want) {
		t.Errorf("got %d files, want %d", len(got.Files), len(want))
	}
	if n := bytes.Count(payload, []byte(`"complete"`)); n != len(want) {
		t.Errorf("%d entries for %d hashes", n, len(want))
	}
}
