package wsproto

// This file proves how offers of permessage-deflate are answered: those of real clients, and odd ones.

import (
	"strings"
	"testing"
)

// deflateOf returns the agreement on a request with the values of the field, separated by line feeds.
func deflateOf(t *testing.T, values string) Deflate {
	t.Helper()
	var fields strings.Builder
	for value := range strings.SplitSeq(values, "\n") {
		fields.WriteString("Sec-WebSocket-Extensions:" + value + "\r\n")
	}
	head := "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + fields.String() + "\r\n"
	req, n, status := ParseUpgrade([]byte(head), 0, 1<<16)
	if n != len(head) || status != 0 {
		t.Fatalf("%q: %d, %d", values, n, status)
	}
	return req.Deflate()
}

// TestDeflateOffers proves that the offers of real clients get the answer that these accept, and that an odd one is declined
// without harm to the others.
func TestDeflateOffers(t *testing.T) {
	f := func(values, want string) {
		t.Helper()
		got, _ := strings.CutPrefix(string(appendDeflate(nil, deflateOf(t, values))), "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")
		if got == "" && deflateOf(t, values).On {
			got = "on"
		}
		if got != want {
			t.Errorf("%q is answered with %q, want %q", values, got, want)
		}
	}
	const declined = ""
	f(" permessage-deflate; client_max_window_bits", "on")                                                           // Chromium, Node's ws, undici
	f(" permessage-deflate", "on")                                                                                   // Firefox, Safari, Tyrus
	f(" x-webkit-deflate-frame", declined)                                                                           // old WebKit
	f(" permessage-deflate; server_no_context_takeover; client_no_context_takeover", "; server_no_context_takeover") // gorilla, coder
	f(" permessage-deflate; client_max_window_bits=15; server_max_window_bits=15", "; server_max_window_bits=15")    // Boost.Beast
	f(" permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", "; server_max_window_bits=9")
	f(" permessage-deflate; server_max_window_bits=08", declined)
	f(" permessage-deflate; server_max_window_bits=12", "; server_max_window_bits=12")
	f(" permessage-deflate; server_max_window_bits=14", "; server_max_window_bits=14")
	f(` permessage-deflate; server_max_window_bits="13"; client_max_window_bits="10"`, "; server_max_window_bits=13")
	f("permessage-deflate;client_max_window_bits,permessage-deflate", "on")
	f("\tPerMessage-Deflate ; Client_Max_Window_Bits ", "on")
	// The first acceptable offer counts, on any line.
	f(" permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover", "; server_no_context_takeover")
	f(" permessage-bzip2\n foo; bar=\"a,b;c\", permessage-deflate", "on")
	f(" permessage-deflate; server_max_window_bits=7\n permessage-deflate", "on")
	// RFC 7692 §7: unknown, invalid, doubled.
	f(" permessage-deflate; level=9", declined)
	f(" permessage-deflate; server_no_context_takeover=1", declined)
	f(" permessage-deflate; client_no_context_takeover=true", declined)
	f(" permessage-deflate; server_max_window_bits", declined)
	f(" permessage-deflate; server_max_window_bits=", declined)
	f(" permessage-deflate; server_max_window_bits=16", declined)
	f(" permessage-deflate; server_max_window_bits=015", declined)
	f(" permessage-deflate; server_max_window_bits=1x", declined)
	f(" permessage-deflate; client_max_window_bits=7", declined)
	f(" permessage-deflate; client_max_window_bits=99999999999999999999", declined)
	f(" permessage-deflate; client_max_window_bits; client_max_window_bits=10", declined)
	f(" permessage-deflate; server_no_context_takeover; server_no_context_takeover", declined)
	f(" permessage-deflate;", "on")
	f(" permessage-deflate; ;", declined)
	f(" permessage-deflate x", declined)
	f(` "permessage-deflate"`, declined)
	f(` permessage-deflate; server_max_window_bits="12`, declined)
	f(" ,,,permessage-deflate", "on")
	f(" ,,,,,,,,permessage-deflate", declined) // beyond the bound
	f("", declined)
}

// TestDeflateAllocates proves that the agreement costs no memory.
func TestDeflateAllocates(t *testing.T) {
	req := Request{fields: []byte("Host: x\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")}
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		d := req.Deflate()
		appendDeflate(dst, d)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDeflate proves that no offer makes a server fail, and that an agreement is one that can be answered.
func FuzzDeflate(f *testing.F) {
	for _, seed := range []string{"permessage-deflate; client_max_window_bits", `a;b="c,d", permessage-deflate; server_max_window_bits="12"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		req := Request{fields: append(append([]byte("Sec-WebSocket-Extensions: "), value...), "\r\n\r\n"...)}
		d := req.Deflate()
		if !d.On && d != (Deflate{}) {
			t.Errorf("%q: %+v", value, d)
		}
		if text := appendDeflate(nil, d); len(text) > 160 || d.On == (text == nil) {
			t.Errorf("%q: %q", value, text)
		}
	})
}

// TestPackedFrames proves that the reader tells compressed messages from others, in pieces of any size, and that the reserved
// bits have no other meaning.
func TestPackedFrames(t *testing.T) {
	frame := func(first byte, payload string) string {
		return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
	}
	const rsv1Bit = 0x40
	f := func(agreed bool, stream, want string) {
		t.Helper()
		for chop := 1; chop <= len(stream); chop++ {
			var r Reader
			if agreed {
				r.Agree()
			}
			var buf []byte
			got, failed := "", false
			for rest := stream; len(rest) > 0 && !failed; {
				n := min(chop, len(rest))
				buf, rest = append(buf, rest[:n]...), rest[n:]
				for {
					kind, payload, bad := r.Next(buf, &Limits{Message: 100, Frame: 100})
					if failed = bad != nil; failed {
						got += "!" + bad.Reason
						break
					}
					if kind == None {
						break
					}
					if (kind == Text || kind == Binary) && r.Packed() {
						got += "packed "
					}
					got += string(payload) + ";"
				}
				if !failed {
					kept, _ := r.Keep(buf)
					buf = buf[:kept]
				}
			}
			if got != want {
				t.Errorf("agreed %v, chop %d: %q, want %q", agreed, chop, got, want)
				return
			}
		}
	}
	const bad = "!frame with a reserved bit that no extension gives a meaning"
	text, binary, more, last, ping := byte(0x81), byte(0x82), byte(0x01), byte(0x80), byte(0x89)
	f(true, frame(text|rsv1Bit, "a")+frame(text, "b")+frame(binary|rsv1Bit, "c"), "packed a;b;packed c;")
	f(true, frame(more|rsv1Bit, "a")+frame(ping, "p")+frame(last, "b")+frame(text, "c"), "p;packed ab;c;")
	f(true, frame(more, "a")+frame(last, "b"), "ab;")
	f(true, frame(more|rsv1Bit, "")+frame(last, ""), "packed ;")
	f(true, frame(more|rsv1Bit, "a")+frame(last|rsv1Bit, "b"), bad)
	f(true, frame(more, "a")+frame(last|rsv1Bit, "b"), bad)
	f(true, frame(ping|rsv1Bit, "p"), bad)
	f(true, frame(text|0x20, "a"), bad)
	f(true, frame(text|rsv1Bit|0x10, "a"), bad)
	f(false, frame(text|rsv1Bit, "a"), bad)

	var r Reader
	r.Agree()
	stream := []byte(frame(text|rsv1Bit, "a"))
	r.Next(stream, &Limits{Message: 9, Frame: 9})
	if !r.Unread(stream) {
		t.Fatal("the message cannot be unread")
	}
	var other Reader
	other.Agree()
	if _, payload, err := other.Next(stream, &Limits{Message: 9, Frame: 9}); string(payload) != "a" || err != nil || !other.Packed() {
		t.Errorf("another reader has %q, %v, packed %v", payload, err, other.Packed())
	}
}
