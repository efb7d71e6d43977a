package load

// This file reads the headers of a tracker's frames.

import "encoding/binary"

// frameHead is the header of a tracker's frame.
type frameHead struct {
	fin    bool
	packed bool // the message that it begins is compressed
	opcode byte
	size   int // of the header
	length int // of the payload
}

// maxMessage bounds a tracker's message in bytes. A scrape reply or a failure is far smaller, and the clients
// themselves sent the offers.
const maxMessage = 1 << 20

// readFrameHead reads the header at the front of b. n is 0 while bytes are missing, and ok is false for a header that
// no server may send: reserved bits and opcodes, a mask, control frames that are long or in pieces, and sizes over
// maxMessage. With deflates, the first frame of a message may say that it is compressed.
//
// RFC 7692 §6: «An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of
// a data message.»
//
// RFC 6455 §5.1: «A server MUST NOT mask any frames that it sends to the client.»
func readFrameHead(b []byte, deflates bool) (h frameHead, n int, ok bool) {
	if len(b) < 2 {
		return h, 0, true
	}
	h = frameHead{fin: b[0]&finBit != 0, opcode: b[0] & 0xf, size: 2, length: int(b[1] &^ maskBit)}
	control := h.opcode >= opClose
	reserved := b[0] & 0x70
	if h.packed = reserved == packedBit && deflates && (h.opcode == opText || h.opcode == opBinary); h.packed {
		reserved = 0
	}
	if reserved != 0 || b[1]&maskBit != 0 || h.opcode > opPong || h.opcode > opBinary && !control ||
		control && (!h.fin || h.length >= length16) {
		return h, 0, false
	}
	switch h.length {
	case length16:
		if len(b) < 4 {
			return h, 0, true
		}
		h.size, h.length = 4, int(binary.BigEndian.Uint16(b[2:]))
	case length64:
		if len(b) < 10 {
			return h, 0, true
		}
		long := binary.BigEndian.Uint64(b[2:])
		if long > maxMessage {
			return h, 0, false
		}
		h.size, h.length = 10, int(long)
	}
	return h, h.size, h.length <= maxMessage
}
