package wsproto

// This file proves that no path of a message allocates.

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// testSDP is as long as the descriptions of browsers, with as many line ends.
var testSDP = `"` + strings.Repeat(`a=candidate:1 1 udp 2113937151 192.0.2.17 51234 typ host\r\n`, 21) + `"`

// announceWithOffers is the first announce of a browser.
func announceWithOffers(n int) []byte {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"offer":{"type":"offer","sdp":%s},"offer_id":"offer_id_%011d"}`, testSDP, i))
	}
	return []byte(`{"numwant":10,"uploaded":0,"downloaded":0,"left":5,"event":"started","action":"announce",` +
		`"info_hash":"é\u0000` + testHash[2:] + `","peer_id":"` + testPeer + `","offers":[` + strings.Join(list, ",") + `]}`)
}

func answerMessage() []byte {
	return []byte(`{"action":"announce","info_hash":"` + testHash + `","peer_id":"` + testPeer + `","to_peer_id":"` +
		testPeer2 + `","answer":{"type":"answer","sdp":` + testSDP + `},"offer_id":"` + testOffer + `"}`)
}

// In the steady state no path of a message allocates.
func TestNoAllocations(t *testing.T) {
	f := func(name string, run func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	hash, sdp := oddID, []byte(testSDP) // an ID that is written in more bytes than it has
	files := []ScrapeFile{{Hash: hash}, {Hash: id(testHash)}, {Hash: hash}}
	dst := make([]byte, 0, 1<<16)
	f("AppendAnnounceReply", func() { AppendAnnounceReply(dst, &hash, 1, 2, 120) })
	f("AppendOffer", func() { AppendOffer(dst, &hash, &hash, &hash, sdp) })
	f("AppendAnswer", func() { AppendAnswer(dst, &hash, &hash, &hash, sdp) })
	f("AppendScrapeReply", func() { AppendScrapeReply(dst, files) })
	f("AppendFailure", func() { AppendFailure(dst, ActionAnnounce, &hash, RejectPeerID.String()) })
	f("AppendPing", func() { AppendPing(dst, sdp[:125]) })
	f("AppendPong", func() { AppendPong(dst, sdp[:125]) })
	f("AppendClose", func() { AppendClose(dst, StatusGoingAway, "the server is stopping") })
	f("AppendHTTPError", func() { AppendHTTPError(dst, 426, false) })
	f("AppendUpgradeResponse", func() { AppendUpgradeResponse(dst, []byte(testKey), []byte("p"), Deflate{}) })
	f("ParseClose", func() { _, _ = ParseClose([]byte("\x03\xe9a reason that is longer than thirty-two bytes")) })
	head, bare := []byte(testHead), []byte(strings.Replace(testHead, "/announce", "ws://h", 1))
	f("ParseUpgrade", func() { _, _, _ = ParseUpgrade(head, 0, testMaxHead) })
	f("ParseUpgrade, absolute", func() { _, _, _ = ParseUpgrade(bare, 0, testMaxHead) })

	origins, err := ParseOrigins([]string{"https://a.example", "https://*.b.example"})
	if err != nil {
		t.Fatal(err)
	}
	f("Origins", func() { origins.Allows([]byte("https://c.b.example:443"), true) })

	d, m := &Decoder{MaxOffers: 10, MaxScrape: 10}, new(Message)
	c := newCorpus(true)
	for _, text := range [][]byte{announceWithOffers(10), answerMessage(), c.announce(10), c.answer(), []byte("[1"),
		[]byte(`{"action":"scrape","info_hash":["` + testHash + `"]}`)} {
		f("Decode", func() { d.Decode(text, m) })
	}
	for name, stream := range testStreams() {
		if name != "good" && name != "frame too big" && name != "not UTF-8" {
			continue // the errors of ws.CheckHeader allocate, once in a connection's life
		}
		buf := make([]byte, len(stream))
		f("Reader, "+name, func() {
			var r Reader
			copy(buf, stream)
			for {
				if kind, _, err := r.Next(buf, testLimits); kind == None || err != nil {
					break
				}
			}
		})
	}
	frame := clientFrame(nil, ws.OpText, true, string(announceWithOffers(10)))
	buf := bytes.Clone(frame)
	f("Keep", func() {
		var r Reader
		_, _, _ = r.Next(buf[:5000], testLimits)
		r.Keep(buf[:5000])
	})
}
