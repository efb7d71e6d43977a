package floor

// This file reads the frames of a client (RFC 6455 §5.2) with the least work: the length and the mask. Nothing guards
// against clients other than millrace-load.

import "encoding/binary"

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10

	finBit  = 0x80
	maskBit = 0x80
	maxSize = 128 << 10 // bytes of a frame: the tracker's default limit
)

// frame is the header of a client's frame.
type frame struct {
	op     byte
	header int // bytes before the payload
	size   int // bytes of header and payload
	mask   uint32
}

// parseFrame reads the header at the front of b. size is 0 where the header is not complete. ok is false for frames
// that millrace-load does not send: fragments, frames without a mask, frames over maxSize.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < 2 {
		return f, true
	}
	f.op = b[0] & 0xf
	payload := int(b[1] &^ maskBit)
	f.header = 2
	switch payload {
	case 126:
		if len(b) < 4 {
			return frame{}, true
		}
		f.header, payload = 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if len(b) < 10 {
			return frame{}, true
		}
		f.header, payload = 10, int(min(binary.BigEndian.Uint64(b[2:]), maxSize+1))
	}
	f.header += 4
	if b[0]&finBit == 0 || b[1]&maskBit == 0 || payload > maxSize {
		return f, false
	}
	if len(b) < f.header {
		return frame{}, true
	}
	f.mask = binary.LittleEndian.Uint32(b[f.header-4:])
	f.size = f.header + payload
	return f, true
}
