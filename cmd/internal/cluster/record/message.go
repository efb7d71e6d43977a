package record

import "encoding/binary"

// This file owns the messages between nodes. One has a header in plain bytes, and behind it, sealed, the records that have gathered for its
// receiver. Layouts:
//
//	header   "mrc" version:u8 · incarnation:16 · number:u64
//	records  { len:u32 · kind:u8 · fields }…   (len counts the kind too)

// Version is that of messages and records. A reader leaves out those of another one.
const Version = 1

// magic begins each message.
const magic = "mrc"

// HeaderSize is the length of a header.
const HeaderSize = len(magic) + 1 + len(Incarnation{}) + 8

// Header is the part of a message that is not sealed.
type Header struct {
	Version uint8
	From    Incarnation
	Number  uint64 // of the sender's messages; it grows and never repeats
}

// Append appends the header.
func (h *Header) Append(dst []byte) []byte {
	dst = append(append(dst, magic...), h.Version)
	return binary.BigEndian.AppendUint64(append(dst, h.From[:]...), h.Number)
}

// Read fills the header from the front of a message, and reports whether it is one, of any version.
func (h *Header) Read(b []byte) bool {
	if len(b) < HeaderSize || string(b[:len(magic)]) != magic {
		return false
	}
	h.Version = b[len(magic)]
	copy(h.From[:], b[len(magic)+1:])
	h.Number = binary.BigEndian.Uint64(b[HeaderSize-8:])
	return true
}

// FrameSize is what a record takes in a message besides its fields.
const FrameSize = 4 + 1

// AppendFrame appends the front of a record with size bytes of fields to the records of a message. The fields come behind it.
func AppendFrame(dst []byte, kind Kind, size int) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(1+size)), byte(kind))
}

// Next takes the next record from the records of a message. It reports false if there is none, or if what is there is none.
func Next(b []byte) (kind Kind, fields, rest []byte, ok bool) {
	if len(b) < FrameSize {
		return 0, nil, nil, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || int64(n) > int64(len(b)-4) {
		return 0, nil, nil, false
	}
	end := 4 + int(n)
	return Kind(b[4]), b[FrameSize:end:end], b[end:], true
}
