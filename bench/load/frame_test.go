package load

// This file tests the reading of frames, in any pieces.

import (
	"bytes"
	"testing"
)

// TestReadFrameHead proves that headers of all lengths are read, that cut ones ask for more, that headers which no
// server may send are refused, and that a frame may be compressed where that was agreed on and it begins a message.
func TestReadFrameHead(t *testing.T) {
	deflates := false
	f := func(b []byte, want frameHead, ok bool) {
		t.Helper()
		h, n, gotOK := readFrameHead(b, deflates)
		if gotOK != ok || ok && (h != want || n != want.size) {
			t.Errorf("% x: %+v, %d, %v", b, h, n, gotOK)
		}
		for cut := 0; ok && cut < want.size; cut++ {
			if _, n, ok := readFrameHead(b[:cut], deflates); n != 0 || !ok {
				t.Errorf("% x: %d, %v", b[:cut], n, ok)
			}
		}
	}
	f([]byte{0x81, 5}, frameHead{true, false, opText, 2, 5}, true)
	f([]byte{0x01, 125}, frameHead{false, false, opText, 2, 125}, true)
	f([]byte{0x80, 0}, frameHead{true, false, opContinuation, 2, 0}, true)
	f([]byte{0x82, 126, 1, 2}, frameHead{true, false, opBinary, 4, 258}, true)
	f([]byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, frameHead{true, false, opText, 10, 65536}, true)
	f([]byte{0x88, 2}, frameHead{true, false, opClose, 2, 2}, true)
	f([]byte{0x89, 0}, frameHead{true, false, opPing, 2, 0}, true)
	f([]byte{0x8a, 0}, frameHead{true, false, opPong, 2, 0}, true)
	f([]byte{0x81, 0x85}, frameHead{}, false)                          // masked
	f([]byte{0xc1, 5}, frameHead{}, false)                             // reserved bit
	f([]byte{0x83, 5}, frameHead{}, false)                             // reserved opcode
	f([]byte{0x8b, 5}, frameHead{}, false)                             // reserved opcode
	f([]byte{0x09, 0}, frameHead{}, false)                             // control frame in pieces
	f([]byte{0x89, 126, 0, 200}, frameHead{}, false)                   // long control frame
	f([]byte{0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0}, frameHead{}, false)   // 16 MB
	f([]byte{0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0}, frameHead{}, false) // 2^63
	deflates = true
	f([]byte{0x81, 5}, frameHead{true, false, opText, 2, 5}, true)
	f([]byte{0xc1, 126, 1, 2}, frameHead{true, true, opText, 4, 258}, true)
	f([]byte{0x41, 5}, frameHead{false, true, opText, 2, 5}, true)
	f([]byte{0xc2, 5}, frameHead{true, true, opBinary, 2, 5}, true)
	f([]byte{0xc0, 5}, frameHead{}, false) // not the first frame of its message
	f([]byte{0xc9, 0}, frameHead{}, false) // a control frame
	f([]byte{0xc3, 5}, frameHead{}, false) // reserved opcode
	f([]byte{0xe1, 5}, frameHead{}, false) // another reserved bit beside it
	f([]byte{0xa1, 5}, frameHead{}, false) // another reserved bit
}

// FuzzFrames proves that any bytes in any pieces give the same frames as in one piece, with compression and without, and
// that nothing is read beyond them.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x02{}\x89\x01x\x01\x01{\x80\x01}"), uint8(1))
	f.Add([]byte("\x81\x7e\x00\x03abc\x88\x02\x03\xe8"), uint8(3))
	f.Add([]byte("\x81\x7e\x00\x0300000"), uint8(3))                                                   // a wrong header whose first byte ends a piece
	f.Add([]byte("\xc1\x07\xf2H\xcd\xc9\xc9\a\x00\xc1\x05\xf2\x00\x11\x00\x00\xc1\x01\xff"), uint8(2)) // RFC 7692 §7.2.3.1 and .2
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		for _, a := range []agreement{{}, {on: true, serverBits: mostBits, clientBits: mostBits}} {
			whole, inPieces := collectFrames(b, len(b), a), collectFrames(b, int(step)+1, a)
			if !bytes.Equal(whole, inPieces) {
				t.Fatalf("% x, %+v: % x in one piece, % x in pieces of %d", b, a, whole, inPieces, step+1)
			}
		}
	})
}

// collectFrames hands bytes to a worker in pieces and returns a log of its counts and its messages.
func collectFrames(b []byte, step int, a agreement) []byte {
	w := testWorker()
	w.clients[0].deflate = a
	w.clients[0].state = stateOpen
	for len(b) > 0 && w.clients[0].state == stateOpen {
		n := min(step, len(b))
		w.consume(0, bytes.Clone(b[:n]))
		b = b[n:]
	}
	var log []byte
	if c := &w.clients[0]; c.pending != 0 {
		log = append(log, w.pool.Bytes(c.pending)[:c.pendingLen]...)
	}
	return append(log, byte(w.counts.Expanded), byte(w.counts.PayloadReceived), byte(w.counts.Unknown), byte(w.counts.Unreadable), byte(w.clients[0].state),
		byte(w.clients[0].closeCode), byte(w.clients[0].closeCode>>8))
}
