package load

// This file tests what clients agree on about compression, and that messages pass through it unchanged.

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestParseAgreement proves that each answer of a tracker which RFC 7692 allows is understood, and that others fail the
// connection.
func TestParseAgreement(t *testing.T) {
	f := func(answer string, want agreement, ok bool) {
		t.Helper()
		if got, gotOK := parseAgreement(answer); got != want || gotOK != ok {
			t.Errorf("%q: %+v, %v", answer, got, gotOK)
		}
	}
	f("permessage-deflate", agreement{true, false, 15, 15}, true)
	f(" Permessage-Deflate ; Client_no_context_takeover", agreement{true, false, 15, 15}, true)
	f("permessage-deflate; server_no_context_takeover; client_max_window_bits=9", agreement{true, true, 15, 9}, true)
	f(`permessage-deflate; server_max_window_bits="12"`, agreement{true, false, 12, 15}, true)
	f("", agreement{}, false)
	f("x-webkit-deflate-frame", agreement{}, false)
	f("permessage-deflate, permessage-deflate", agreement{}, false)
	f("permessage-deflate;", agreement{}, false)
	f("permessage-deflate; mux", agreement{}, false)
	f("permessage-deflate; server_no_context_takeover=1", agreement{}, false)
	f("permessage-deflate; client_no_context_takeover=1", agreement{}, false)
	f("permessage-deflate; client_max_window_bits", agreement{}, false)
	f("permessage-deflate; client_max_window_bits=7", agreement{}, false)
	f("permessage-deflate; server_max_window_bits=16", agreement{}, false)
	f("permessage-deflate; server_max_window_bits=09", agreement{}, false)
	f("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", agreement{}, false)
}

// serverStream compresses as a tracker that looks back at most so many bytes before a message; 0: at the message alone.
type serverStream struct {
	back   int
	window []byte
}

func (s *serverStream) pack(text []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriterDict(&b, flate.DefaultCompression, s.window)
	_, _ = w.Write(text)
	_ = w.Flush()
	s.window = append(s.window, text...)
	s.window = s.window[max(len(s.window)-s.back, 0):]
	return bytes.TrimSuffix(b.Bytes(), []byte(flushed))
}

// inflated expands a message that was compressed alone.
func inflated(t *testing.T, packed []byte) []byte {
	t.Helper()
	stream := flate.NewReader(io.MultiReader(bytes.NewReader(packed), strings.NewReader(flushed+lastBlock)))
	text, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sample returns a text that compresses a little, and repeats parts of the ones before.
func sample(r *rand.Rand, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = letters[r.IntN(4)*r.IntN(16)]
	}
	copy(text, "candidate: a part of every message, the same in all of them")
	return text
}

// deflateWorker is a worker whose clients are open and have agreed.
func deflateWorker(a agreement, keep int) *worker {
	w := testWorker()
	w.deflate.keep = keep
	for i := range w.clients {
		w.clients[i].state, w.clients[i].deflate = stateOpen, a
	}
	return w
}

// TestExpand proves that messages of any length are read as they were compressed, of several clients in turn that share
// one expander, for trackers that look back as far as what is kept, for less, and for those that do not look back.
func TestExpand(t *testing.T) {
	f := func(name string, a agreement, keep, back int) {
		t.Helper()
		r := rand.New(rand.NewPCG(1, 2))
		w := deflateWorker(a, keep)
		streams := []serverStream{{back: back}, {back: back}, {back: back}}
		for k := range 200 {
			i := r.IntN(len(streams))
			text := sample(r, r.IntN(1+k*20))
			got, why := w.expand(uint32(i), streams[i].pack(text))
			if why != "" || !bytes.Equal(got, text) {
				t.Fatalf("%s: message %d of %d bytes: %s", name, k, len(text), why)
			}
		}
		if a.alone && w.deflate.windows != nil {
			t.Errorf("%s: bytes are kept for a tracker that does not look back", name)
		}
	}
	f("as far as is kept", agreement{true, false, mostBits, mostBits}, 4096, 4096)
	f("less far", agreement{true, false, mostBits, mostBits}, 1000, 700)
	f("all", agreement{true, false, mostBits, mostBits}, 32768, 32768)
	f("a small window", agreement{true, false, 10, mostBits}, 4096, 1024)
	f("alone", agreement{true, true, mostBits, mostBits}, 4096, 0)
}

// TestExpandExamples proves that the examples of RFC 7692 §7.2.3 are read: one block, a message that looks back at the one
// before, a block that is not compressed, one that says it is the last of its stream, and two blocks.
func TestExpandExamples(t *testing.T) {
	w := deflateWorker(agreement{true, false, mostBits, mostBits}, 4096)
	for _, packed := range []string{
		"\xf2\x48\xcd\xc9\xc9\x07\x00",
		"\xf2\x00\x11\x00\x00",
		"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
		"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
	} {
		if text, why := w.expand(0, []byte(packed)); string(text) != "Hello" {
			t.Errorf("% x is read as %q: %s", packed, text, why)
		}
	}
}

// packedFrame returns a compressed message of 126 bytes or more as a server's frame.
func packedFrame(m []byte) []byte {
	return append([]byte{finBit | packedBit | opText, length16, byte(len(m) >> 8), byte(len(m))}, m...)
}

// TestExpandFails proves that a tracker which looks back further than what is kept is told from one that sends corrupt
// or endless messages, that the connection ends with the reason, and that other clients go on.
func TestExpandFails(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	all := agreement{true, false, mostBits, mostBits}
	first, second := sample(r, 3000), sample(r, 3000)
	f := func(a agreement, keep int, want string, messages ...[]byte) {
		t.Helper()
		w := deflateWorker(a, keep)
		for _, m := range messages {
			w.consume(0, packedFrame(m))
		}
		reasons := ""
		for kind := range w.errors {
			reasons += kind + "\n"
		}
		if ended := w.clients[0].state == stateClosing; ended != (want != "") || !strings.Contains(reasons, want) {
			t.Errorf("%d bytes are kept: ended %v, %q, want %q", keep, ended, reasons, want)
		}
		if c := &w.clients[0]; want != "" && (c.windowLen != 0 || c.deflate.on) {
			t.Errorf("the next connection begins with %d bytes of this one, and as one that agreed: %+v", c.windowLen, c.deflate)
		}
		if far := strings.Contains(want, "not kept"); far != (w.lost.far == 1) {
			t.Errorf("%d messages are counted as looking back too far, want %v", w.lost.far, far)
		}
		if text, why := w.expand(1, (&serverStream{}).pack(first)); why != "" || !bytes.Equal(text, first) {
			t.Errorf("the next client: %s", why)
		}
	}
	far := func() [][]byte {
		s := serverStream{back: 32768}
		return [][]byte{s.pack(first), s.pack(second), s.pack(first)}
	}
	f(all, 2000, "a look at bytes that are not kept: raise compression_window", far()...)
	f(all, 6000, "", far()...)
	f(all, 2000, "cannot be expanded: flate: corrupt input", (&serverStream{}).pack(second), []byte{0xff, 0xff, 0xff})
	f(agreement{true, false, 10, mostBits}, 8192, "cannot be expanded", far()...)
	f(agreement{true, true, mostBits, mostBits}, 4096, "cannot be expanded", far()...)
	f(all, 4096, "expands to more than 1048576 bytes", (&serverStream{}).pack(make([]byte, maxMessage+1)))
}

// TestPack proves that a client's message is compressed if that was agreed on, makes it shorter, and needs no longer
// window than the tracker has, that it is the same message then, and that those before it stay as they are.
func TestPack(t *testing.T) {
	f := func(a agreement, text []byte, packed bool) {
		t.Helper()
		w := deflateWorker(a, 4096)
		for _, before := range []string{"", "bytes that wait to be sent"} {
			frame := append(beginFrame([]byte(before), opText, len(text), 77), text...)
			plain := maskedBytes(frame[len(frame)-len(text):], 77)
			copy(frame[len(frame)-len(text):], plain)
			sent := w.pack(0, len(before), frame)
			if string(sent[:len(before)]) != before {
				t.Fatalf("it begins with %q", sent[:len(before)])
			}
			sent = sent[len(before):]
			if isPacked := sent[0]&packedBit != 0; isPacked != packed {
				t.Fatalf("%+v, %d bytes: compressed is %v", a, len(text), isPacked)
			}
			_, got := unmasked(t, append([]byte{sent[0] &^ packedBit}, sent[1:]...))
			if packed {
				if len(got) >= len(text) {
					t.Errorf("%d bytes become %d", len(text), len(got))
				}
				got = inflated(t, got)
			}
			if !bytes.Equal(got, text) {
				t.Errorf("%+v: %d bytes are sent as other ones", a, len(text))
			}
		}
		if w.counts.PayloadSent != uint64(2*len(text)) {
			t.Errorf("%d bytes are counted for twice %d", w.counts.PayloadSent, len(text))
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	f(agreement{}, sample(r, 5000), false)
	f(agreement{true, true, 15, 15}, noise, false)
	f(agreement{true, true, 15, 15}, nil, false)
	for _, n := range []int{200, 5000, 70_000} {
		f(agreement{true, true, 15, 15}, sample(r, n), true)
	}
	f(agreement{true, true, 15, 12}, sample(r, 4096), true)
	f(agreement{true, true, 15, 12}, sample(r, 4097), false)
}

// maskedBytes returns a masked copy.
func maskedBytes(b []byte, key uint32) []byte {
	c := bytes.Clone(b)
	for i := range c {
		c[i] ^= byte(key >> (8 * (i % 4)))
	}
	return c
}
