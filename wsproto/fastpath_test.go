package wsproto

// This file proves that the fast paths of decoding see the same as the careful code.

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// plainLines is areLines, byte by byte.
func plainLines(b []byte) bool {
	for i, c := range b[:len(b)-1] {
		if c < 0x20 || c >= 0x80 || c == '\\' && b[i+1] != 'r' && b[i+1] != 'n' {
			return false
		}
	}
	return true
}

// Every byte at every place of strings of many lengths, alone and after a backslash, is judged as plainLines judges it.
func TestAreLines(t *testing.T) {
	for n := 1; n < 75; n++ {
		b := append(bytes.Repeat([]byte("x"), n), '"')
		for at := range n {
			for c := range 256 {
				b[at] = byte(c)
				if got := areLines(b); got != (n >= 8 && plainLines(b)) {
					t.Fatalf("%q: %v", b, got)
				}
				if at > 0 {
					b[at-1] = '\\'
					if got := areLines(b); got != (n >= 8 && plainLines(b)) {
						t.Fatalf("%q: %v", b, got)
					}
					b[at-1] = 'x'
				}
			}
			b[at] = 'x'
		}
	}
}

// An id of any bytes is written as JSON.stringify writes it, with any room in dst, and comes back the fast way.
func TestIDAnyBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		var id, back ID
		for i := range id {
			if id[i] = byte(random.Uint32()); random.IntN(3) == 0 {
				id[i] &= 0x1f // more controls
			}
		}
		var want bytes.Buffer
		want.WriteByte('"')
		for _, c := range id {
			switch i := strings.IndexByte("\b\t\n\f\r\"\\", c); {
			case i >= 0:
				want.WriteString(`\` + `btnfr"\`[i:i+1])
			case c < 0x20:
				want.WriteString(`\u00` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
			default:
				want.WriteRune(rune(c))
			}
		}
		want.WriteByte('"')
		got := appendID(make([]byte, 3, 3+random.IntN(2*maxIDSize)), &id)[3:]
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%q: written as %s, want %s", id, got, &want)
		}
		if n := readID(append(got, "}"...), &back); n != len(got) || back != id {
			t.Fatalf("%s: %d bytes of %d read, as %q", got, n, len(got), back)
		}
	}
}

// Every literal that readID takes is JSON and the ID that it returns, and it takes every ID that is not cut off.
func FuzzReadID(f *testing.F) {
	c := newCorpus(true)
	for range 20 {
		f.Add([]byte(c.literal() + ","))
	}
	for _, s := range []string{oddLiteral, `"` + testHash + `"`, `"` + strings.Repeat(`\u00fF`, 20) + `"`,
		`"` + strings.Repeat(`é`, 19) + "\xc3\"", `"` + strings.Repeat(`x`, 19) + `ā"`, `"\ud83d\ude00"`, `""`,
		"\"\xc3\x28" + testHash[1:] + `"`, "\"\xc1\x80" + testHash[1:] + `"`, "\"\xc4\x80" + testHash[1:] + `"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) == 0 || text[0] != '"' {
			return
		}
		var fast, careful, reference ID
		n := readID(text, &fast)
		j := jsonReader{text: text}
		isID := j.str().id(&careful) && !j.bad
		if isID != (n > 0) || isID && (n != j.pos || fast != careful) {
			t.Fatalf("%q: %d bytes as %q; carefully: %v, %d bytes as %q", text, n, fast, isID, j.pos, careful)
		}
		if isID {
			var ok bool
			if reference, ok = refID(json.RawMessage(text[:n])); !ok || fast != reference {
				t.Fatalf("%q: read as %q, want %q", text[:n], fast, reference)
			}
		}
	})
}

// Announces and answers of the usual spelling, with ids of letters and of random bytes, decode as the reference decodes
// them: unchanged, and with any one byte changed to one with a meaning in JSON.
func TestDecodeUsual(t *testing.T) {
	for _, binary := range []bool{false, true} {
		c := newCorpus(binary)
		for range 20 {
			sameAsReference(t, c.announce(3))
			sameAsReference(t, c.answer())
		}
		const changes = "\x00\x1f \"\\,:[]{}0e-nru\x80\xc2\xff"
		for _, text := range [][]byte{c.announce(1), c.answer()} {
			for i, was := range text {
				text[i] = changes[i%len(changes)]
				sameAsReference(t, text)
				text[i] = was
			}
		}
	}
}

// An offer that begins in the usual spelling and goes on in another is read correctly.
func TestDecodeAlmostUsual(t *testing.T) {
	f := func(rest string) {
		t.Helper()
		sdp := `"v=0\r\nsome more"`
		for _, tail := range []string{"]}", ",null]}", ""} {
			sameAsReference(t, []byte(`{"action":"announce","info_hash":"`+testHash+`","peer_id":"`+testPeer+`","offers":[`+
				`{"offer":{"type":"offer","sdp":`+strings.ReplaceAll(rest, "SDP", sdp)+tail))
		}
	}
	const offerID = `"offer_id":"` + testOffer + `"`
	f(`SDP},` + offerID + `}`)
	f(` SDP},` + offerID + `}`)
	f(`SDP },` + offerID + `}`)
	f(`SDP}, ` + offerID + ` }`)
	f(`SDP,"sdp":"other"},` + offerID + `}`)
	f(`SDP,"x":1},` + offerID + `}`)
	f(`SDP},` + offerID + `,"offer_id":"` + testPeer + `"}`)
	f(`SDP},` + offerID + `,"offer_id":7}`)
	f(`SDP},` + offerID + `,"offer":null}`)
	f(`SDP},"offer_id":null}`)
	f(`SDP},"offer_id":"short"}`)
	f(`SDP},"offer_id":"` + testOffer)
	f(`SDP},"offer_id":"` + testOffer + `\q"}`)
	f(`SDP},"offer_id":` + testOffer + `}`)
	f(`SDP}}`)
	f(`SDP}`)
	f(`null},` + offerID + `}`)
	f(`"\ud800"},` + offerID + `}`)
	f(`"\x"},` + offerID + `}`)
	f(`"\"\\\"v=0\r\n\"},\u0022"},` + offerID + `}`)
	f(`"` + strings.Repeat(`\n`, maxSDP) + `"},` + offerID + `}`)
	f(`"` + strings.Repeat(`\n`, maxSDP+1) + `"},` + offerID + `}`)
	f(`"` + strings.Repeat("x", maxSDP) + `"},` + offerID + `}`)
	f(`"` + strings.Repeat("x", maxSDP+1) + `"},` + offerID + `}`)
}

// FuzzIsString proves that a string is one if and only if it is one for encoding/json, and UTF-8: nothing else gets into a frame unseen.
func FuzzIsString(f *testing.F) {
	const line = `v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=ice-ufrag:x+/y\r\n`
	for _, text := range []string{
		``, `"`, `""`, `"a`, `a"`, `"a"b"`, `"a" `, ` "a"`, `"\"`, `"\\"`, `"\"" `, `"\x"`, `"\u12"`, `"\u123g"`, `"\ud800"`, `"\ud83d\ude00"`,
		`"é"`, "\"\xff\"", "\"a\nb\"", `"` + line + `"`, `"` + line + line + `\"`, `"` + line + line + "\x01\"", `"` + line + line + `"x"`,
		`"` + line + line + `\t"`, `{"a":1}`, `["a"]`, `12`, `null`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := len(b) > 1 && b[0] == '"' && b[len(b)-1] == '"' && json.Valid(b) && utf8.Valid(b)
		if got := IsString(b); got != want {
			t.Errorf("%q: %v, want %v", b, got, want)
		}
	})
}
