package wsproto

// This file proves that a Reader finds the same messages as a naive one on top of gobwas/ws, in pieces of any size,
// and ends the connection for each fault with its close code.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

var testLimits = &Limits{Message: 1 << 17, Frame: 1 << 17}

// received is one result of Next, copied.
type received struct {
	kind    Kind
	payload string
}

// clientFrame appends a masked frame.
func clientFrame(dst []byte, op ws.OpCode, fin bool, payload string) []byte {
	mask := [4]byte{0x12, 0xfe, 0x80, 0x07}
	h := ws.Header{Fin: fin, OpCode: op, Masked: true, Mask: mask, Length: int64(len(payload))}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	masked := []byte(payload)
	ws.Cipher(masked, mask, 0)
	return append(append(dst, b.Bytes()...), masked...)
}

// feed gives stream to a Reader in pieces of the sizes that chop returns, and checks Keep's promises on the way.
func feed(t *testing.T, stream []byte, lim *Limits, chop func() int) (got []received, err *CloseError) {
	t.Helper()
	var r Reader
	buf, need := []byte(nil), 1
	for len(stream) > 0 {
		n := min(chop(), len(stream))
		buf = append(buf, stream[:n]...)
		stream = stream[n:]
		first := len(got)
		for {
			kind, payload, err := r.Next(buf, lim)
			if err != nil {
				return got, err
			}
			if kind == None {
				break
			}
			if kind == Text {
				if err := CheckText(payload); err != nil {
					return got, err
				}
			}
			got = append(got, received{kind, string(payload)})
		}
		if len(got) > first && len(buf) < need {
			t.Fatalf("a result with %d bytes, although %d were needed", len(buf), need)
		}
		var kept int
		kept, need = r.Keep(buf)
		if need <= kept {
			t.Fatalf("kept %d bytes but needs %d", kept, need)
		}
		buf = append([]byte(nil), buf[:kept]...) // the bytes behind are lost
		var other Reader                         // goes on in its place
		if !other.SetState(r.State(), kept) {
			t.Fatalf("the state %+v is refused for %d bytes", r.State(), kept)
		}
		r = other
	}
	return got, nil
}

// TestReaderState proves that what is compressed is still known behind a change of readers, and that a state which no Reader has is
// refused.
func TestReaderState(t *testing.T) {
	f := func(s ReaderState, kept int, want bool) {
		t.Helper()
		var r Reader
		if got := r.SetState(s, kept); got != want || got && r.State() != s {
			t.Errorf("%+v with %d bytes: %v, and the reader has %+v", s, kept, got, r.State())
		}
	}
	f(ReaderState{}, 0, true)
	f(ReaderState{Agreed: true}, 9, true)
	f(ReaderState{Size: 4, Kind: Text, Agreed: true, Packed: true}, 4, true)
	f(ReaderState{Size: 4, Kind: Binary}, 5, true)
	f(ReaderState{Kind: Text}, 0, true) // an empty first fragment
	f(ReaderState{Size: 4, Kind: Text}, 3, false)
	f(ReaderState{Size: 4}, 9, false)
	f(ReaderState{Kind: Ping}, 9, false)
	f(ReaderState{Kind: Text, Packed: true}, 0, false)
	f(ReaderState{Packed: true, Agreed: true}, 0, false)
}

// model reads the stream frame by frame with gobwas/ws and joins messages by appending.
func model(stream []byte, lim *Limits) (got []received, code StatusCode) {
	in := bytes.NewReader(stream)
	state := ws.StateServerSide
	var message []byte
	var op ws.OpCode
	for {
		at := len(stream) - in.Len()
		h, err := ws.ReadHeader(in)
		if errors.Is(err, ws.ErrHeaderLengthMSB) {
			return got, modelHeader(h, state, StatusProtocolError)
		}
		if err != nil {
			// Two bytes are enough to see some mistakes.
			if rest := stream[at:]; len(rest) >= 2 {
				filled := append(bytes.Clone(rest[:2]), 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0)
				early, _ := ws.ReadHeader(bytes.NewReader(filled))
				return got, modelHeader(early, state, 0)
			}
			return got, 0
		}
		if code := modelHeader(h, state, 0); code != 0 {
			return got, code
		}
		if size := len(stream) - in.Len() - at; size != ws.HeaderSize(h) {
			return got, StatusProtocolError // not the shortest form
		}
		if !h.OpCode.IsControl() && (h.Length > int64(lim.Frame) || h.Length+int64(len(message)) > int64(lim.Message)) {
			return got, StatusTooBig
		}
		if h.Length > int64(in.Len()) {
			return got, 0
		}
		payload := make([]byte, h.Length)
		_, _ = io.ReadFull(in, payload)
		ws.Cipher(payload, h.Mask, 0)
		switch h.OpCode {
		case ws.OpPing, ws.OpPong, ws.OpClose:
			got = append(got, received{map[ws.OpCode]Kind{ws.OpPing: Ping, ws.OpPong: Pong, ws.OpClose: Close}[h.OpCode],
				string(payload)})
			continue
		case ws.OpText, ws.OpBinary:
			op = h.OpCode
		}
		message = append(message, payload...)
		state = state.Set(ws.StateFragmented)
		if !h.Fin {
			continue
		}
		kind := Binary
		if op == ws.OpText {
			if kind = Text; !utf8.Valid(message) {
				return got, StatusInvalidPayload
			}
		}
		got, message = append(got, received{kind, string(message)}), nil
		state = state.Clear(ws.StateFragmented)
	}
}

func modelHeader(h ws.Header, state ws.State, otherwise StatusCode) StatusCode {
	if ws.CheckHeader(h, state) != nil {
		return StatusProtocolError
	}
	return otherwise
}

// sameAsModel checks one way to chop a stream.
func sameAsModel(t *testing.T, stream []byte, lim *Limits, chop func() int) {
	t.Helper()
	want, code := model(bytes.Clone(stream), lim)
	got, err := feed(t, bytes.Clone(stream), lim, chop)
	gotCode := StatusCode(0)
	if err != nil {
		gotCode = err.Code
	}
	if gotCode != code {
		t.Fatalf("stream %q: close code %d (%v), want %d", stream, gotCode, err, code)
	}
	if len(got) != len(want) {
		t.Fatalf("stream %q: %d results, want %d", stream, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("stream %q: result %d is %.99q, want %.99q", stream, i, got[i], want[i])
		}
	}
}

// testStreams are frame streams with everything that clients may send, and endings in each kind of mistake.
func testStreams() map[string][]byte {
	long := strings.Repeat("0123456789", 20)
	var s []byte
	s = clientFrame(s, ws.OpText, true, `{"a":1}`)
	s = clientFrame(s, ws.OpText, true, "")
	s = clientFrame(s, ws.OpText, false, "é"[:1])
	s = clientFrame(s, ws.OpPing, true, "between")
	s = clientFrame(s, ws.OpContinuation, false, "")
	s = clientFrame(s, ws.OpContinuation, false, "é"[1:]+long)
	s = clientFrame(s, ws.OpPong, true, "")
	s = clientFrame(s, ws.OpContinuation, true, "end")
	s = clientFrame(s, ws.OpBinary, true, "\xff\xfe")
	s = clientFrame(s, ws.OpText, false, long)
	s = clientFrame(s, ws.OpContinuation, true, "")
	s = clientFrame(s, ws.OpPing, true, long[:125])
	s = clientFrame(s, ws.OpClose, true, "\x03\xe8bye")
	end := func(b ...byte) []byte { return append(bytes.Clone(s), b...) }
	open := clientFrame(bytes.Clone(s), ws.OpText, false, "open")
	return map[string][]byte{
		"good":               s,
		"unmasked":           end(0x81, 0x01, 'x'),
		"reserved bit":       end(0xc1, 0x80, 0, 0, 0, 0),
		"reserved opcode 3":  end(0x83, 0x80, 0, 0, 0, 0),
		"reserved opcode 11": end(0x8b, 0x80, 0, 0, 0, 0),
		"split ping":         end(0x09, 0x80, 0, 0, 0, 0),
		"long ping":          end(0x89, 0xfe, 0, 126),
		"stray continuation": end(0x80, 0x80, 0, 0, 0, 0),
		"interleaved":        clientFrame(open, ws.OpText, true, "x"),
		"16-bit length of 5": end(0x81, 0xfe, 0, 5, 0, 0, 0, 0),
		"64-bit length of 9": end(0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0),
		"64-bit of 65535":    end(0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0),
		"64-bit, top bit":    end(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0),
		"not UTF-8":          clientFrame(bytes.Clone(s), ws.OpText, true, "a\xff"),
		"frame too big":      end(0x81, 0xff, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0),
		"message too big":    append(bytes.Clone(open), 0x80, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xfd, 0, 0, 0, 0),
	}
}

// A stream that is cut at any place, or comes byte by byte, gives the same messages and the same close code.
func TestReaderEveryChop(t *testing.T) {
	for name, stream := range testStreams() {
		t.Run(name, func(t *testing.T) {
			sameAsModel(t, stream, testLimits, func() int { return 1 })
			for cut := 1; cut <= len(stream); cut++ {
				first := true
				sameAsModel(t, stream, testLimits, func() int {
					if first {
						first = false
						return cut
					}
					return len(stream)
				})
			}
		})
	}
}

// Each mistake has its close code and reason, and is reported as soon as the header shows it.
func TestReaderErrors(t *testing.T) {
	want := map[string]*CloseError{
		"unmasked": errUnmasked, "reserved bit": errRSV, "reserved opcode 3": errReserved,
		"reserved opcode 11": errReserved, "split ping": errControlSplit, "long ping": errControlSize,
		"stray continuation": errContinuation, "interleaved": errInterleaved, "16-bit length of 5": errLengthForm,
		"64-bit length of 9": errLengthForm, "64-bit of 65535": errLengthForm, "64-bit, top bit": errLengthTopBit,
		"not UTF-8":     errNotUTF8,
		"frame too big": errFrameTooBig, "message too big": errMessageTooBig,
	}
	for name, stream := range testStreams() {
		if _, err := feed(t, stream, testLimits, func() int { return 1 }); err != want[name] {
			t.Errorf("%s: error %v, want %v", name, err, want[name])
		}
	}
}

// Every first two bytes of a frame get the verdict of gobwas/ws, inside and outside a fragmented message.
func TestReaderHeaderParity(t *testing.T) {
	for _, state := range []ws.State{ws.StateServerSide, ws.StateServerSide | ws.StateFragmented} {
		for b := range 1 << 16 {
			head := []byte{byte(b >> 8), byte(b), 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
			if head[1]&0x7f == 126 {
				head[2] = 1
			}
			h, err := ws.ReadHeader(bytes.NewReader(head))
			if err != nil {
				t.Fatal(err)
			}
			_, size, got := parseHeader(head, state)
			if want := ws.CheckHeader(h, state); (want == nil) != (got == nil) {
				t.Fatalf("% x: %v, want %v", head[:2], got, want)
			}
			if got == nil && size != ws.HeaderSize(h) {
				t.Fatalf("% x: header of %d bytes, want %d", head[:2], size, ws.HeaderSize(h))
			}
		}
	}
}

// The limits are inclusive, and control frames between fragments do not count.
func TestReaderLimits(t *testing.T) {
	lim := &Limits{Message: 10, Frame: 6}
	f := func(want *CloseError, frames ...string) {
		t.Helper()
		var s []byte
		for i, payload := range frames {
			op := ws.OpContinuation
			if i == 0 {
				op = ws.OpText
			}
			s = clientFrame(s, op, i == len(frames)-1, payload)
			s = clientFrame(s, ws.OpPing, true, "a payload longer than both limits")
		}
		if _, err := feed(t, s, lim, func() int { return len(s) }); err != want {
			t.Errorf("%q: error %v, want %v", frames, err, want)
		}
	}
	f(nil, "123456")
	f(errFrameTooBig, "1234567")
	f(nil, "123456", "1234")
	f(errMessageTooBig, "123456", "12345")
	f(nil, "12345", "", "12345", "")
}

// Keep tells the size of a frame once its header is known, so that the caller's buffer grows once.
func TestReaderNeed(t *testing.T) {
	frame := clientFrame(nil, ws.OpText, true, strings.Repeat("x", 300))
	for have, want := range map[int]int{0: 2, 1: 2, 2: 8, 7: 8, 8: 308, 307: 308} {
		var r Reader
		buf := bytes.Clone(frame[:have])
		if kind, _, err := r.Next(buf, testLimits); kind != None || err != nil {
			t.Fatalf("%d bytes: kind %d, error %v", have, kind, err)
		}
		if kept, need := r.Keep(buf); kept != have || need != want {
			t.Errorf("%d bytes: kept %d, needs %d, want %d", have, kept, need, want)
		}
	}
}

// All messages of one buffer stay intact until Keep, also when fragments are joined after them.
func TestReaderViewsUntilKeep(t *testing.T) {
	stream := clientFrame(nil, ws.OpText, true, "first")
	stream = clientFrame(stream, ws.OpText, false, "sec")
	stream = clientFrame(stream, ws.OpContinuation, true, "ond")
	stream = clientFrame(stream, ws.OpBinary, true, "third")
	var r Reader
	var views [][]byte
	for {
		kind, payload, err := r.Next(stream, testLimits)
		if err != nil {
			t.Fatal(err)
		}
		if kind == None {
			break
		}
		views = append(views, payload)
	}
	if got := string(bytes.Join(views, []byte(" "))); got != "first second third" {
		t.Errorf("views hold %q", got)
	}
	if kept, _ := r.Keep(stream); kept != 0 {
		t.Errorf("kept %d bytes of nothing", kept)
	}
}

// Any stream, good or bad, in pieces of any size, gives the same as a naive reader gives.
func FuzzReader(f *testing.F) {
	for _, stream := range testStreams() {
		f.Add(stream, uint64(1), uint16(64))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, limit uint16) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		lim := &Limits{Message: int(limit) * 2, Frame: int(limit)}
		sameAsModel(t, stream, lim, func() int { return 1 + rnd.IntN(1+rnd.IntN(40)) })
	})
}

// Messages in random fragments and random pieces, with control frames between, arrive unchanged.
func TestReaderRandomFragments(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var stream []byte
		var want []received
		for range 1 + rnd.IntN(4) {
			message := strings.Repeat("é{x}", rnd.IntN(200))
			op, rest := ws.OpText, message
			for {
				n := rnd.IntN(len(rest) + 1)
				if rnd.IntN(3) == 0 {
					n = len(rest)
				}
				stream = clientFrame(stream, op, n == len(rest), rest[:n])
				if op, rest = ws.OpContinuation, rest[n:]; len(rest) == 0 {
					break
				}
				if rnd.IntN(2) == 0 {
					ping := string(binary.AppendUvarint(nil, rnd.Uint64()))
					stream = clientFrame(stream, ws.OpPing, true, ping)
					want = append(want, received{Ping, ping})
				}
			}
			want = append(want, received{Text, message})
		}
		got, err := feed(t, stream, testLimits, func() int { return 1 + rnd.IntN(60) })
		if err != nil || len(got) != len(want) {
			t.Fatalf("seed %d: %d results, error %v, want %d", seed, len(got), err, len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("seed %d: result %d is %q, want %q", seed, i, got[i], want[i])
			}
		}
	}
}

// A message that is unread comes again: to the same Reader, and after Keep to a new one, with everything after it. A
// message in fragments cannot be unread, and trying it changes nothing. Sizes cross the three forms of the length.
func TestReaderUnread(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var stream []byte
		whole := map[string]bool{} // messages that are one frame
		for k := range 1 + rnd.IntN(5) {
			size := []int{rnd.IntN(130), rnd.IntN(400), 65530 + rnd.IntN(10)}[rnd.IntN(3)]
			message := strings.Repeat(string(rune('a'+k)), 1+size)
			switch cut := rnd.IntN(len(message) + 1); rnd.IntN(3) {
			case 0:
				stream = clientFrame(stream, ws.OpText, false, message[:cut])
				stream = clientFrame(stream, ws.OpPing, true, "ping")
				stream = clientFrame(stream, ws.OpContinuation, true, message[cut:])
			default:
				stream = clientFrame(stream, []ws.OpCode{ws.OpText, ws.OpBinary}[cut%2], true, message)
				whole[message] = true
			}
		}
		want, _ := feed(t, bytes.Clone(stream), testLimits, func() int { return len(stream) })
		var r Reader
		buf := stream
		for k := 0; k < len(want); k++ {
			kind, payload, err := r.Next(buf, testLimits)
			if err != nil || (received{kind, string(payload)}) != want[k] {
				t.Fatalf("seed %d: result %d is %v %.20q, %v", seed, k, kind, payload, err)
			}
			if kind == Ping || rnd.IntN(2) == 0 {
				continue
			}
			if ok := r.Unread(buf); ok != whole[want[k].payload] {
				t.Fatalf("seed %d: unread %v of a message that is one frame: %v", seed, ok, whole[want[k].payload])
			} else if ok && rnd.IntN(2) == 0 {
				kept, _ := r.Keep(buf)
				r, buf = Reader{}, buf[:kept]
			}
			if whole[want[k].payload] {
				k--
			}
		}
	}
}
