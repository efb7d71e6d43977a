package wsproto

// This file owns the frames that a server sends: the headers of text frames, pings, pongs, and the mask of RFC 6455.

import (
	"encoding/binary"
	"slices"

	"github.com/gobwas/ws"
)

// MaxControlFrame is the size in bytes of the largest control frame that a server sends: 2 of header, 125 of payload.
const MaxControlFrame = 2 + ws.MaxControlFramePayloadSize

const (
	finBit  = 0x80 // of a frame's first byte
	maskBit = 0x80 // of a frame's second byte

	// len16 and len64 are the values of the 7-bit length that announce a longer one (RFC 6455 §5.2).
	len16 = 126
	len64 = 127

	// textHeaderGuess is the room that beginText leaves for the header. It is right for payloads of 126 to 65,535
	// bytes: those of nearly all messages.
	textHeaderGuess = 4
	// maxTextHeader is the longest header of a server frame: 2 bytes and a 64-bit length.
	maxTextHeader = 10
)

// Mask masks the payload of a client's frame in place, or takes the mask off: it is its own reverse. The lowest byte of
// the key masks the first byte.
//
// RFC 6455 §5.3: «Octet i of the transformed data ("transformed-octet-i") is the XOR of octet i of the original data
// ("original-octet-i") with octet at index i modulo 4 of the masking key ("masking-key-octet-j")»
func Mask(payload []byte, key uint32) {
	var octets [4]byte
	binary.LittleEndian.PutUint32(octets[:], key)
	ws.Cipher(payload, octets, 0)
}

// AppendPing appends a server's ping frame. It panics if the payload has more than 125 bytes.
func AppendPing(dst, payload []byte) []byte { return appendControl(dst, ws.OpPing, payload) }

// AppendPong appends a server's pong frame with the payload of the ping that it answers. It panics if the payload has
// more than 125 bytes.
//
// RFC 6455 §5.5.3: «A Pong frame sent in response to a Ping frame must have identical "Application data" as found in
// the message body of the Ping frame being replied to.»
func AppendPong(dst, payload []byte) []byte { return appendControl(dst, ws.OpPong, payload) }

func appendControl(dst []byte, op ws.OpCode, payload []byte) []byte {
	if len(payload) > ws.MaxControlFramePayloadSize {
		panic("BUG: control frame payload over 125 bytes")
	}
	dst = append(dst, finBit|byte(op), byte(len(payload)))
	return append(dst, payload...)
}

// beginText opens a text frame. The caller appends the payload and calls endText with the offset of the frame.
func beginText(dst []byte) []byte {
	return append(dst, finBit|byte(ws.OpText), 0, 0, 0)
}

// endText writes the header of the frame that begins at dst[at], now that the payload's length is known.
//
// RFC 6455 §5.1: «A server MUST NOT mask any frames that it sends to the client.»
func endText(dst []byte, at int) []byte {
	n := len(dst) - at - textHeaderGuess
	switch {
	case n < len16:
		dst[at+1] = byte(n)
		return slices.Delete(dst, at+2, at+textHeaderGuess)
	case n <= 0xffff:
		dst[at+1] = len16
		binary.BigEndian.PutUint16(dst[at+2:], uint16(n))
		return dst
	}
	payload := dst[at+textHeaderGuess:]
	dst = append(dst, "123456"...)
	copy(dst[at+maxTextHeader:], payload)
	dst[at+1] = len64
	binary.BigEndian.PutUint64(dst[at+2:], uint64(n))
	return dst
}

// ServerPayload returns the payload of a server's text frame.
func ServerPayload(frame []byte) []byte { return frame[headerSize(frame[1]):] }

// AppendPacked appends a compressed text message as one frame.
// RFC 7692 §6 has RSV1 of its first frame say so.
func AppendPacked(dst, packed []byte) []byte {
	const first = finBit | rsv1<<4 | byte(ws.OpText)
	switch n := len(packed); {
	case n < len16:
		dst = append(dst, first, byte(n))
	case n <= 0xffff:
		dst = append(dst, first, len16, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, len64), uint64(n))
	}
	return append(dst, packed...)
}
