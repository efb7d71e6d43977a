package simulation

import (
	"encoding/binary"
	"fmt"
)

// This file owns the bytes of a client: its upgrade, its frames, and those of the tracker. It shares nothing with
// wsproto, so that a mistake there does not hide itself.

// upgrade is the request of every client.
const upgrade = "GET /announce HTTP/1.1\r\nHost: tracker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// First bytes of whole frames (RFC 6455 §5.2: FIN and the opcode).
const (
	opText  = 0x81
	final   = 0x80 // FIN: no fragment of the message follows
	packed  = 0x40 // RSV1: the message is compressed
	opClose = 0x88
	opPing  = 0x89
	opPong  = 0x8a
)

// frame is a whole frame of the tracker.
type frame struct {
	op      byte
	payload string
}

// appendFrame appends a masked frame with the first byte op.
func appendFrame(f []byte, op byte, payload string) []byte {
	f = append(f, op)
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x11, 0x92, 0x53, 0x04}
	f = append(f, mask[:]...)
	for i := range len(payload) {
		f = append(f, payload[i]^mask[i%4])
	}
	return f
}

// cutFrame takes one unmasked frame off b.
func cutFrame(b []byte) (f frame, rest []byte, ok bool) {
	if len(b) < 2 {
		return f, b, false
	}
	n, at := int(b[1]), 2
	switch {
	case n == 126 && len(b) >= 4:
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case n == 127 && len(b) >= 10:
		n, at = int(binary.BigEndian.Uint64(b[2:])), 10
	case n >= 126:
		return f, b, false
	}
	if len(b) < at+n {
		return f, b, false
	}
	return frame{b[0], string(b[at : at+n])}, b[at+n:], true
}

// id returns a 20-byte id that starts with what its arguments print.
func id(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	return s + "--------------------"[len(s):]
}

// torrent returns the info hash of torrent k.
func torrent(k int) string { return id("torrent %d", k) }
