package load

// This file tests the reading of trackers' messages, with encoding/json as the judge.

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestScanMessage proves that the messages of several trackers are understood, with keys in any order, any escapes and
// additions.
func TestScanMessage(t *testing.T) {
	const hash, peer, offer = "aaaaaaaaaaaaaaaaaaaa", "-WW0008-bbbbbbbbbbbb", "cccccccccccccccccccc"
	f := func(text string, want messageKind, check func(m *message) bool) {
		t.Helper()
		var m message
		if err := scanMessage([]byte(text), &m); err != nil || m.kind != want || check != nil && !check(&m) {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
	counts := func(complete, incomplete int) func(*message) bool {
		return func(m *message) bool {
			return m.complete == complete && m.incomplete == incomplete && string(m.infoHash) == hash
		}
	}
	relay := func(m *message) bool {
		return string(m.infoHash) == hash && string(m.peerID) == peer && string(m.offerID) == offer && string(m.sdp) == `v=0\r\n`
	}
	f(`{"action":"announce","info_hash":"`+hash+`","complete":1,"incomplete":2,"interval":120}`, replyMessage, counts(1, 2))
	f(`{"complete":0,"incomplete":1,"action":"announce","interval":120,"info_hash":"`+hash+`"}`, replyMessage, counts(0, 1))
	f(` { "action" : "announce" , "interval" : 120 , "tracker id" : null , "info_hash" : "`+hash+`",
		"x":[1,{"y":[-1.5e+3,true,false,""]},{}],"complete":7,"incomplete":0 } `, replyMessage, counts(7, 0))
	f(`{"action":"announce","info_hash":"`+hash+`","peer_id":"`+peer+`","offer":{"type":"offer","sdp":"v=0\r\n"},`+
		`"offer_id":"`+offer+`"}`, offerMessage, relay)
	f(`{"offer_id":"`+offer+`","offer":{"sdp":"v=0\r\n","x":1,"type":"offer"},"peer_id":"`+peer+`",`+
		`"info_hash":"`+hash+`","answer":null,"action":"announce"}`, offerMessage, relay)
	f(`{"action":"announce","answer":{"type":"answer","sdp":"v=0\r\n"},"offer_id":"`+offer+`","peer_id":"`+peer+
		`","info_hash":"`+hash+`"}`, answerMessage, relay)
	f(`{"action":"scrape","files":{"`+hash+`":{"complete":2,"incomplete":0,"downloaded":2}},`+
		`"flags":{"min_request_interval":600}}`, scrapeMessage, func(m *message) bool { return string(m.file) == hash })
	f(`{"failure reason":"no","action":"announce","info_hash":"`+hash+`"}`, failureMessage,
		func(m *message) bool { return string(m.failure) == "no" })
	f(`{"failure reason":1}`, failureMessage, nil)
	f(`{"action":"announce","info_hash":"`+hash+`","complete":1.0,"incomplete":2}`, otherMessage, nil)
	f(`{"action":"announce","info_hash":"`+hash+`","complete":"1","incomplete":2}`, otherMessage, nil)
	f(`{"action":"other","complete":1,"incomplete":2}`, otherMessage, nil)
	f(`{"action":"announce","action":"other","complete":1,"incomplete":2}`, otherMessage, nil)
	f(`{}`, otherMessage, nil)
	f(`{"action":"announce","info_hash":"`+hash+`","complete":1,"incomplete":2}`, otherMessage, nil)
	f(`{"action":"announce","info_hash":"`+hash+`","complete":1,"incomplete":2,"interval":0}`, otherMessage, nil)
	f(`{"action":"announce","offer":{"type":"answer","sdp":""}}`, otherMessage, nil)
	f(`{"action":"announce","offer":{"sdp":""},"complete":1,"incomplete":2,"interval":120}`, otherMessage, nil)
	f(`{"action":"announce","answer":{"type":"offer","sdp":""}}`, otherMessage, nil)
	f(`{"action":"announce","offer":{"type":"offer","sdp":"a\\\""}}`, offerMessage,
		func(m *message) bool { return string(m.sdp) == `a\\\"` })
}

// TestScanRefuses proves that only JSON objects are taken.
func TestScanRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1)
	for _, text := range []string{
		``, ` `, `[]`, `1`, `null`, `"x"`, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1}}`, `{"a":1} x`, `{a:1}`, `{"a":01}`,
		`{"a":-}`, `{"a":1.}`, `{"a":1e}`, `{"a":tru}`, `{"a":[1,]}`, `{"a":[1}`, `{"a":"\x"}`, `{"a":"\u00g0"}`,
		"{\"a\":\"\n\"}", `{"a":"`, `{"a":"\"}`, deep, `{"action":"\u12"}`, `{"a":.5}`, `{"a" 1}`, `{"a":1 "b":2}`,
	} {
		var m message
		if scanMessage([]byte(text), &m) == nil {
			t.Errorf("%q is taken for %+v", text, m)
		}
	}
}

// TestDecodeID proves that ids are read in every form in which a tracker may write them, and only those of 20 code
// points.
func TestDecodeID(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var got id
		if ok := decodeID(&got, []byte(text)); ok != (want != "") || ok && string(got[:]) != want {
			t.Errorf("%s is read as %q, %v", text, got, ok)
		}
	}
	plain := "ABCDEFGHIJ0123456789"
	f(plain, plain)
	f(strings.ReplaceAll(plain, "A", `\u0041`), plain)
	escaped := ""
	for _, c := range plain {
		escaped += fmt.Sprintf(`\u%04X`, c)
	}
	f(escaped, plain)
	f(plain[1:], "")
	f(plain+"x", "")
	f("é"+plain[1:], "\xe9"+plain[1:])
	f(`\n\t\/\\\"\b\f\r`+plain[8:], "\n\t/\\\"\b\f\r"+plain[8:])
	f(`\u0141`+plain[1:], "")
	f(``, "")
}

// FuzzScanMessage compares the scanner with encoding/json: both take the same texts, with the same members. Names that
// differ only in case are the same to encoding/json, and not to the scanner, so a map is compared.
func FuzzScanMessage(f *testing.F) {
	f.Add(`{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","complete":1,"incomplete":2,"interval":120}`)
	f.Add(`{"action":"announce","offer":{"type":"offer","sdp":"v=0\r\n\u0041"},"offer_id":"x","peer_id":"y"}`)
	f.Add(`{"answer":{"sdp":"\\\""},"action":"announce"}`)
	f.Add(`{"files":{"a":{"complete":2}},"action":"scrape","x":[1.5e-3,[],{},null,true]}`)
	f.Add(`{"failure reason":"no","action":"\u0061nnounce"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var m message
		err := scanMessage([]byte(text), &m)
		var want map[string]any
		wantErr := json.Unmarshal([]byte(text), &want)
		if err == errTooDeep {
			return
		}
		if m.sdp != nil && !checkText(m.sdp) && err == nil {
			err = errNotJSON // the caller compares the text of an sdp, and so finds that it is no JSON
		}
		if (err == nil) != (wantErr == nil && want != nil) && utf8.ValidString(text) && !strings.Contains(text, "sdp") {
			t.Fatalf("%q: %v, but encoding/json says %v", text, err, wantErr)
		}
		if err != nil || wantErr != nil || strings.Contains(text, `\`) || !utf8.ValidString(text) {
			return
		}
		for key, got := range map[string][]byte{"action": m.action, "info_hash": m.infoHash, "peer_id": m.peerID, "offer_id": m.offerID} {
			if s, isText := want[key].(string); isText != (got != nil) || s != string(got) {
				t.Fatalf("%q: %s is %q, but encoding/json says %v", text, key, got, want[key])
			}
		}
	})
}

// FuzzSameText proves that two texts are the same exactly if encoding/json decodes them to the same.
func FuzzSameText(f *testing.F) {
	f.Add(`v=0\r\na`, `v=0\u000d\u000Aa`)
	f.Add(`\/é`, `/\u00e9`)
	f.Fuzz(func(t *testing.T, a, b string) {
		var x, y string
		errA, errB := json.Unmarshal([]byte(`"`+a+`"`), &x), json.Unmarshal([]byte(`"`+b+`"`), &y)
		if errB != nil || !utf8.ValidString(a+b) || strings.Contains(strings.ToLower(a+b), `\ud`) {
			return // the second one is always ours, and has no surrogates
		}
		if got := sameText([]byte(a), []byte(b)); got != (errA == nil && x == y) {
			t.Fatalf("%q and %q: %v, but they are %q and %q", a, b, got, x, y)
		}
	})
}
