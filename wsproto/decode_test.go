package wsproto

// This file proves that messages of real clients, odd ones and damaged ones mean what PROTOCOL.md says, and that an
// independent decoder agrees.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	testHash  = "aaaaaaaaaaaaaaaaaaaa"
	testPeer  = "-WW0008-bbbbbbbbbbbb"
	testPeer2 = "-WW0008-cccccccccccc"
	testOffer = "offer_id_00000000001"
)

// clientMessages have the shapes that real clients send, each with the message that it must become.
var clientMessages = []struct {
	name, text string
	want       Message
	hash       string // of want.InfoHash; testHash when empty
	reject     Reject
}{
	{name: "bittorrent-tracker, first announce of a magnet link",
		text: `{"numwant":2,"uploaded":0,"downloaded":0,"left":null,"event":"started","action":"announce",` +
			`"info_hash":"` + testHash + `","peer_id":"` + testPeer + `","offers":[` +
			`{"offer":{"type":"offer","sdp":"v=0\r\n"},"offer_id":"` + testOffer + `"}]}`,
		want: Message{Action: ActionAnnounce, NumWant: 2, Offers: offers(`"v=0\r\n"`)}},
	{name: "bittorrent-tracker, stopped",
		text: `{"numwant":50,"uploaded":0,"downloaded":0,"left":0,"event":"stopped","action":"announce",` +
			`"info_hash":"` + testHash + `","peer_id":"` + testPeer + `"}`,
		want: Message{Action: ActionAnnounce, NumWant: 50, Left: LeftZero, Event: EventStopped}},
	{name: "bittorrent-tracker, completed",
		text: `{"numwant":50,"left":0,"event":"completed","action":"announce","info_hash":"` + testHash +
			`","peer_id":"` + testPeer + `"}`,
		want: Message{Action: ActionAnnounce, NumWant: 50, Left: LeftZero, Event: EventCompleted}},
	{name: "bittorrent-tracker, answer",
		text: `{"action":"announce","info_hash":"` + testHash + `","peer_id":"` + testPeer + `","to_peer_id":"` +
			testPeer2 + `","answer":{"type":"answer","sdp":"v=0"},"offer_id":"` + testOffer + `"}`,
		want: Message{Action: ActionAnswer, ToPeerID: id(testPeer2), OfferID: id(testOffer), SDP: []byte(`"v=0"`)}},
	{name: "p2pt, neither left nor event",
		text: `{"numwant":50,"action":"announce","info_hash":"` + testHash + `","peer_id":"` + testPeer + `",` +
			`"offers":null,"extra":[1,{"a":null}]}`,
		want: Message{Action: ActionAnnounce, NumWant: 50}},
	{name: "anacrolix/torrent, re-announce without metadata",
		text: `{"action":"announce","numwant":1,"uploaded":0,"downloaded":0,"left":-1,"event":"\u003cregular\u003e",` +
			`"info_hash":"` + testHash + `","peer_id":"` + testPeer + `","offers":[{"offer_id":"` + testOffer +
			`","offer":{"type":"offer","sdp":"v"}}]}`,
		want: Message{Action: ActionAnnounce, NumWant: 1, Left: LeftMore, Offers: offers(`"v"`)}},
	{name: "libtorrent, paused, with corrupt and key",
		text: `{"action":"announce","info_hash":"` + testHash + `","uploaded":0,"downloaded":0,"left":16,` +
			`"corrupt":0,"numwant":10,"event":"paused","key":"7A","peer_id":"` + testPeer + `","offers":[]}`,
		want: Message{Action: ActionAnnounce, NumWant: 10, Left: LeftMore}},
	{name: "BiglyBT, everything escaped",
		text: `{"\u0061ction":"\u0061nnounce","info_hash":"` + strings.Repeat(`\u00FF`, 20) + `","peer_id":"` +
			testPeer + `","left":5}`,
		hash: strings.Repeat("\xff", 20),
		want: Message{Action: ActionAnnounce, Left: LeftMore}},
	{name: "info hash raw, escaped and mixed",
		text: `{"action":"announce","info_hash":"\u0000\u0001` + "\x7f\u0080é" + `\u00ffABCDEFGHIJKLMN","peer_id":"` +
			testPeer + `"}`,
		hash: "\x00\x01\x7f\x80\xe9\xffABCDEFGHIJKLMN",
		want: Message{Action: ActionAnnounce}},
	{name: "scrape of one", text: `{"action":"scrape","info_hash":"` + testHash + `"}`,
		want: Message{Action: ActionScrape, Hashes: []ID{id(testHash)}}},
	{name: "scrape of several, one twice",
		text: `{"action":"scrape","info_hash":["` + testHash + `","` + testPeer + `","` + testHash + `"]}`, hash: "-",
		want: Message{Action: ActionScrape, Hashes: []ID{id(testHash), id(testPeer), id(testHash)}}},
	{name: "scrape of more than the limit", hash: "-",
		text: `{"action":"scrape","info_hash":["` + strings.Repeat(testHash+`","`, 9) + testHash + `"]}`,
		want: Message{Action: ActionScrape, Hashes: slices.Repeat([]ID{id(testHash)}, 4)}},
	{name: "scrape of none", text: `{"action":"scrape","info_hash":[]}`, hash: "-",
		want: Message{Action: ActionScrape}},
	{name: "scrape, a good hash after a bad array",
		text: `{"action":"scrape","info_hash":["a"],"info_hash":"` + testHash + `"}`,
		want: Message{Action: ActionScrape, Hashes: []ID{id(testHash)}}},
	{name: "scrape, an array after a hash and an array", hash: "-",
		text: `{"action":"scrape","info_hash":["` + testPeer + `"],"info_hash":"` + testPeer + `","info_hash":["` +
			testHash + `"]}`,
		want: Message{Action: ActionScrape, InfoHash: id(testPeer), Hashes: []ID{id(testHash)}}},
	{name: "full scrape", text: `{"action":"scrape"}`, hash: "-", reject: RejectFullScrape},
	{name: "full scrape by null", text: `{"action":"scrape","info_hash":null}`, hash: "-", reject: RejectFullScrape},
	{name: "scrape of a bad hash", text: `{"action":"scrape","info_hash":["a"]}`, hash: "-", reject: RejectScrapeHash},
}

func id(s string) ID { return ID([]byte(s)) }

func offers(sdps ...string) (list []Offer) {
	for _, s := range sdps {
		list = append(list, Offer{id(testOffer), []byte(s)})
	}
	return list
}

func testDecoder() *Decoder { return &Decoder{MaxOffers: 3, MaxScrape: 4} }

// Messages of every known client are decoded as they are meant.
func TestDecodeClients(t *testing.T) {
	d, m := testDecoder(), new(Message)
	for _, c := range clientMessages {
		got := d.Decode([]byte(c.text), m)
		if got != c.reject {
			t.Errorf("%s: rejected with %q, want %q", c.name, got, c.reject)
			continue
		}
		if got != RejectNone {
			continue
		}
		want := c.want
		switch c.hash {
		case "":
			want.InfoHash, want.HasInfoHash = id(testHash), true
		case "-":
		default:
			want.InfoHash, want.HasInfoHash = id(c.hash), true
		}
		if want.Action != ActionScrape {
			want.PeerID = id(testPeer)
		}
		if g, w := show(m), show(&want); g != w {
			t.Errorf("%s:\n got %s\nwant %s", c.name, g, w)
		}
	}
}

// show prints a message so that equal messages have equal texts, whatever their slices' capacity.
func show(m *Message) string {
	c := *m
	c.Offers, c.Hashes = nil, nil
	text := fmt.Sprintf("%+v", c)
	for _, o := range m.Offers {
		text += fmt.Sprintf("\n offer %q %q", o.ID, o.SDP)
	}
	return text + fmt.Sprintf("\n hashes %q", m.Hashes)
}

// Each odd value has the one consequence that PROTOCOL.md promises.
func TestDecodeOddities(t *testing.T) {
	f := func(fields string, reject Reject, check func(m *Message) bool) {
		t.Helper()
		text := `{"action":"announce","info_hash":"` + testHash + `","peer_id":"` + testPeer + `"` + fields + `}`
		m := new(Message)
		if got := testDecoder().Decode([]byte(text), m); got != reject {
			t.Errorf("%s: rejected with %q, want %q", fields, got, reject)
		} else if check != nil && !check(m) {
			t.Errorf("%s: decoded to %+v", fields, m)
		}
	}
	left := func(want Left) func(*Message) bool { return func(m *Message) bool { return m.Left == want } }
	for _, zero := range []string{"0", "0.0", "-0", "0e5", "-0.000E-9"} {
		f(`,"left":`+zero, RejectNone, left(LeftZero))
	}
	for _, more := range []string{"-1", "1e300", `"0"`, "0.5", "1e20", "true", "{}", "[0]", `""`} {
		f(`,"left":`+more, RejectNone, left(LeftMore))
	}
	f(`,"left":null`, RejectNone, left(LeftUnknown))
	f(`,"left":0,"left":null`, RejectNone, left(LeftUnknown))
	f(`,"Left":0`, RejectNone, left(LeftUnknown))
	want := func(n int) func(*Message) bool { return func(m *Message) bool { return m.NumWant == n } }
	f(`,"numwant":7`, RejectNone, want(7))
	f(`,"numwant":7.00`, RejectNone, want(7))
	f(`,"numwant":99999999999999999999`, RejectNone, want(math.MaxInt32))
	for _, none := range []string{"0", "-1", "1.5", `"5"`, "null", "[5]", "1e1", "0.1"} {
		f(`,"numwant":9,"numwant":`+none, RejectNone, want(0))
	}
	for _, update := range []string{`"started"`, `"Stopped"`, "null", "2", `["stopped"]`, `"stoppedstoppedstopped"`} {
		f(`,"event":"stopped","event":`+update, RejectNone, func(m *Message) bool { return m.Event == EventUpdate })
	}
	f(`,"event":"st\u006fpped"`, RejectNone, func(m *Message) bool { return m.Event == EventStopped })
	for _, none := range []string{"null", "{}", `"abc"`, "7", "[]"} {
		f(`,"offers":[{}],"offers":`+none, RejectNone,
			func(m *Message) bool { return len(m.Offers) == 0 && m.BadOffers == 0 })
	}
	one := func(sdp string) string {
		return `{"offer":{"type":"x","sdp":` + sdp + `},"offer_id":"` + testOffer + `"}`
	}
	counts := func(good, bad int) func(*Message) bool {
		return func(m *Message) bool { return len(m.Offers) == good && m.BadOffers == bad }
	}
	f(`,"offers":[null,`+one(`"a"`)+`,3,"x",[],{},`+one(`7`)+`]`, RejectNone, counts(1, 6))
	f(`,"offers":[`+strings.Repeat(one(`"a"`)+",", 5)+one("null")+`]`, RejectNone, counts(3, 1))
	f(`,"offers":[`+one(`"\ud800"`)+`,`+one(`"\udc00\ud800"`)+`,`+one(`"\ud83d\ude00"`)+`]`, RejectNone, counts(1, 2))
	f(`,"offers":[`+one(`"\ud800\udc00"`)+`,`+one(`"\udbff\udfff"`)+`,`+one(`"\udc00\n\u0041"`)+`]`, RejectNone,
		counts(2, 1))
	f(`,"offers":[`+one(`"`+strings.Repeat("x", maxSDP)+`"`)+`,`+one(`"`+strings.Repeat("x", maxSDP+1)+`"`)+`]`,
		RejectNone, counts(1, 1))
	f(`,"offers":[`+one(`"`+strings.Repeat(`\n`, maxSDP)+`"`)+`,`+one(`"`+strings.Repeat(`\u00e9`, maxSDP/2)+`x"`)+`]`,
		RejectNone, counts(1, 1))
	f(`,"answer":null,"to_peer_id":3`, RejectNone, func(m *Message) bool { return m.Action == ActionAnnounce })
	f(`,"answer":{"sdp":"x"}`, RejectToPeerID, nil)
	f(`,"answer":{"sdp":"x"},"to_peer_id":"`+testPeer2+`"`, RejectOfferID, nil)
	for _, unusable := range []string{"false", "0", `""`, "{}", `{"sdp":null}`, `{"sdp":"\udfff"}`, "[]"} {
		f(`,"to_peer_id":"`+testPeer2+`","offer_id":"`+testOffer+`","answer":`+unusable, RejectAnswer,
			func(m *Message) bool { return m.Action == ActionAnswer && m.HasInfoHash })
	}
	f(`,"peer_id":null`, RejectPeerID, func(m *Message) bool { return m.HasInfoHash && m.InfoHash == id(testHash) })
	for _, hash := range []string{"null", "5", `"aaaaaaaaaaaaaaaaaaa"`, `"aaaaaaaaaaaaaaaaaaaaa"`,
		`"\u0141aaaaaaaaaaaaaaaaaaa"`, `"Łaaaaaaaaaaaaaaaaaaa"`, `"\ud800aaaaaaaaaaaaaaaaaaa"`,
		`["` + testHash + `"]`} {
		f(`,"info_hash":`+hash, RejectInfoHash, func(m *Message) bool { return !m.HasInfoHash })
	}
	f(`,"action":"scrape"`, RejectNone, func(m *Message) bool { return m.Action == ActionScrape })
	for _, action := range []string{"null", "1", `"Announce"`, `"announce "`, `["announce"]`, `"answer"`} {
		f(`,"action":`+action, RejectNoAction, nil)
	}
}

// Text that is not exactly one JSON value of bounded depth is not JSON; a value that is no object has no action. Some
// short texts are keepalives, JSON or not.
func TestDecodeNotJSON(t *testing.T) {
	f := func(text string, want Reject) {
		t.Helper()
		m := new(Message)
		if got := testDecoder().Decode([]byte(text), m); got != want {
			t.Errorf("%.60q: rejected with %q, want %q", text, got, want)
		}
		if m.Action != ActionNone || m.HasInfoHash {
			t.Errorf("%.60q: message is %+v", text, m)
		}
	}
	ok := `{"action":"scrape","info_hash":"` + testHash + `"}`
	for _, text := range []string{"{", `{"action":`, ok + ",", ok + "{}", ok + "\x00", "\ufeff" + ok, "{,}",
		`{"a":1,}`, `{"a"}`, `{a:1}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":tru}`,
		`{"a":nulll}`, `{"a":'b'}`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\`,
		`{"a":"` + "\xff" + `"}`, `{"a":"` + "\xed\xa0\x80" + `"}`, `{"a":[1 2]}`, `{"a":[1,]}`, `{"a":{]}`,
		`[`, `[1`, `"`, "-", "nul", "\xff",
		strings.Repeat("[", 33) + strings.Repeat("]", 33), strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33),
		strings.Repeat("[", 100000)} {
		f(text, RejectNotJSON)
	}
	for _, text := range []string{"[]", "1", "null", `"x"`, "{}", " {} ", `{"action":"foo"}`, "true", "-0.5e+3",
		`"\ud800"`, strings.Repeat("[", 32) + strings.Repeat("]", 32)} {
		f(text, RejectNoAction)
	}
	for _, text := range []string{"", " ", "\r\n", "ping", "pong", "ping\n", " pong ", `"ping"`, `"pong"`,
		strings.Repeat(" ", maxKeepalive)} {
		f(text, RejectKeepalive)
	}
	for _, text := range []string{"PING", "pings", "ping pong", `"ping`, "\x00", "\v", "\u00a0",
		strings.Repeat(" ", maxKeepalive+1)} {
		f(text, RejectNotJSON)
	}
}

// A message leaves nothing behind in the next one that is decoded into the same Message.
func TestDecodeReuse(t *testing.T) {
	used, d := new(Message), testDecoder()
	for range 2 {
		for _, c := range clientMessages {
			fresh := new(Message)
			if a, b := d.Decode([]byte(c.text), used), d.Decode([]byte(c.text), fresh); a != b {
				t.Errorf("%s: reject %q, want %q", c.name, a, b)
			} else if a == RejectNone && show(used) != show(fresh) {
				t.Errorf("%s: got %s\nwant %s", c.name, show(used), show(fresh))
			}
		}
	}
}

// refDecode is an independent decoder on top of encoding/json. Decoding into a map gives exact keys and the last of
// duplicates. It checks by itself the faults that encoding/json repairs (bytes that are not UTF-8, lone surrogates) or
// allows (deep nesting).
func refDecode(text []byte, maxOffers, maxScrape int) (m Message, r Reject) {
	if word := strings.Trim(string(text), " \t\r\n"); len(text) <= 16 && slices.Contains(
		[]string{"", "ping", "pong", `"ping"`, `"pong"`}, word) {
		return m, RejectKeepalive
	}
	if !json.Valid(text) || !utf8.Valid(text) || refDepth(text) > 32 {
		return m, RejectNotJSON
	}
	top := refObject(text)
	switch refString(top["action"]) {
	case "scrape":
		return refScrape(top, maxScrape)
	case "announce":
	default:
		return m, RejectNoAction
	}
	m.Action = ActionAnnounce
	answer, isAnswer := top["answer"]
	if isAnswer = isAnswer && string(answer) != "null"; isAnswer {
		m.Action = ActionAnswer
	}
	var ok bool
	if m.InfoHash, m.HasInfoHash = refID(top["info_hash"]); !m.HasInfoHash {
		return m, RejectInfoHash
	}
	if m.PeerID, ok = refID(top["peer_id"]); !ok {
		return m, RejectPeerID
	}
	if isAnswer {
		if m.ToPeerID, ok = refID(top["to_peer_id"]); !ok {
			return m, RejectToPeerID
		}
		if m.OfferID, ok = refID(top["offer_id"]); !ok {
			return m, RejectOfferID
		}
		if m.SDP = refSDP(answer); m.SDP == nil {
			return m, RejectAnswer
		}
	}
	refStatistics(&m, top)
	refOffers(&m, top["offers"], maxOffers)
	return m, RejectNone
}

func refScrape(top map[string]json.RawMessage, maxScrape int) (m Message, r Reject) {
	m.Action = ActionScrape
	raw, ok := top["info_hash"]
	if !ok || string(raw) == "null" {
		return m, RejectFullScrape
	}
	var list []json.RawMessage
	if m.InfoHash, m.HasInfoHash = refID(raw); m.HasInfoHash {
		list = []json.RawMessage{raw}
	} else if json.Unmarshal(raw, &list) != nil {
		return m, RejectScrapeHash
	}
	for _, e := range list {
		hash, ok := refID(e)
		if !ok {
			return m, RejectScrapeHash
		}
		m.Hashes = append(m.Hashes, hash)
	}
	m.Hashes = m.Hashes[:min(len(m.Hashes), maxScrape)]
	return m, RejectNone
}

var plainInteger = regexp.MustCompile(`^([0-9]+)(\.0+)?$`)

func refStatistics(m *Message, top map[string]json.RawMessage) {
	if left, ok := top["left"]; ok && string(left) != "null" {
		m.Left = LeftMore
		mantissa, _, _ := strings.Cut(strings.ToLower(string(left)), "e")
		if left[0] != '"' && strings.Contains(mantissa, "0") && strings.Trim(mantissa, "-.0") == "" {
			m.Left = LeftZero
		}
	}
	switch refString(top["event"]) {
	case "stopped":
		m.Event = EventStopped
	case "completed":
		m.Event = EventCompleted
	}
	if g := plainInteger.FindSubmatch(top["numwant"]); g != nil {
		n, _ := new(big.Int).SetString(string(g[1]), 10)
		m.NumWant = math.MaxInt32
		if n.Cmp(big.NewInt(math.MaxInt32)) < 0 {
			m.NumWant = int(n.Int64())
		}
	}
}

func refOffers(m *Message, raw json.RawMessage, maxOffers int) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return
	}
	for _, e := range list {
		object := refObject(e)
		offerID, ok := refID(object["offer_id"])
		sdp := refSDP(object["offer"])
		if !ok || sdp == nil {
			m.BadOffers++
		} else if len(m.Offers) < maxOffers {
			m.Offers = append(m.Offers, Offer{offerID, sdp})
		}
	}
}

func refObject(raw []byte) (o map[string]json.RawMessage) {
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

// refString returns the decoded string, or a text that no field can have.
func refString(raw json.RawMessage) string {
	var s *string
	if json.Unmarshal(raw, &s) != nil || s == nil {
		return "not a string"
	}
	return *s
}

func refID(raw json.RawMessage) (out ID, ok bool) {
	runes := []rune(refString(raw))
	if len(runes) != len(out) {
		return out, false
	}
	for i, r := range runes {
		if r > 0xff {
			return out, false
		}
		out[i] = byte(r)
	}
	return out, true
}

func refSDP(raw json.RawMessage) []byte {
	sdp := refObject(raw)["sdp"]
	if len(sdp) == 0 || sdp[0] != '"' || len(refString(sdp)) > 65536 || refLone(sdp) {
		return nil
	}
	return sdp
}

// refLone reports whether a valid JSON string literal has a surrogate without its partner.
func refLone(literal []byte) bool {
	var high rune
	for i := 0; i < len(literal); i++ {
		var unit rune
		if literal[i] == '\\' {
			i++
			if literal[i] == 'u' {
				fmt.Sscanf(string(literal[i+1:i+5]), "%x", &unit)
				i += 4
			}
		}
		switch {
		case high != 0 && utf16.DecodeRune(high, unit) != utf8.RuneError:
			high = 0
		case high != 0, unit >= 0xdc00 && unit <= 0xdfff:
			return true
		case utf16.IsSurrogate(unit):
			high = unit
		}
	}
	return false
}

func refDepth(text []byte) (deepest int) {
	depth := 0
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

func sameAsReference(t *testing.T, text []byte) {
	t.Helper()
	var m Message
	got := testDecoder().Decode(text, &m)
	want, reject := refDecode(text, 3, 4)
	if got != RejectNotJSON && CheckText(text) != nil {
		t.Fatalf("%q: is not UTF-8, but not refused", text)
	}
	if got != reject {
		t.Fatalf("%q: rejected with %q, want %q", text, got, reject)
	}
	if m.Action != want.Action || m.HasInfoHash != want.HasInfoHash || m.HasInfoHash && m.InfoHash != want.InfoHash {
		t.Fatalf("%q: decoded to\n%s\nwant\n%s", text, show(&m), show(&want))
	}
	if got != RejectNone {
		return
	}
	// The fields of other actions are not defined.
	if m.Action != ActionAnswer {
		m.ToPeerID, m.OfferID, m.SDP = ID{}, ID{}, nil
	}
	if m.Action == ActionScrape {
		m = Message{Action: m.Action, HasInfoHash: m.HasInfoHash, InfoHash: m.InfoHash, Hashes: m.Hashes}
		if !m.HasInfoHash {
			m.InfoHash, want.InfoHash = ID{}, ID{}
		}
	}
	if show(&m) != show(&want) {
		t.Fatalf("%q: decoded to\n%s\nwant\n%s", text, show(&m), show(&want))
	}
}

// The decoder and the reference agree on every text: whether it is JSON, why it is rejected, and on every field.
func FuzzDecode(f *testing.F) {
	for _, c := range clientMessages {
		f.Add([]byte(c.text))
	}
	for _, s := range []string{``, `ping`, ` "pong"`, `[]`,
		`{"action":"announce","info_hash":"\ud83d\ude00","left":-0.0e1,"numwant":1.0}`,
		`{"action":"announce","info_hash":"` + testHash + `","peer_id":"` + testPeer + `","to_peer_id":"` + testPeer2 +
			`","offer_id":"` + testOffer + `","answer":{"sdp":"\ud83d\ude00\u00e9é"},"offers":[{"offer":{"sdp":"\udc00"}}]}`,
		strings.Repeat("[", 33) + strings.Repeat("]", 33)} {
		f.Add([]byte(s))
	}
	for _, binary := range []bool{false, true} {
		c := newCorpus(binary)
		f.Add(c.announce(2))
		f.Add(c.answer())
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameAsReference(t, text) })
}

// Messages cut short, and messages with any one byte changed, are judged as the reference judges them.
func TestDecodeDamaged(t *testing.T) {
	for _, c := range clientMessages {
		for i := range len(c.text) {
			sameAsReference(t, []byte(c.text[:i]))
			for _, b := range []byte("\x00\x1f \"\\,:[]{}0e-nu\x80\xff") {
				damaged := []byte(c.text)
				damaged[i] = b
				sameAsReference(t, damaged)
			}
		}
	}
}
