// Package pack makes the records of a message between nodes smaller, and as they were. It keeps nothing from one message to the next, since
// messages get lost: what they have in common is in a dictionary that all nodes have (dictionary.go).
//
// Most bytes between nodes are descriptions of sessions, two thirds of which are the same in all. A message is packed with S2, which takes 2 µs
// for one description and leaves 0.40 of it; a very long one, as a node writes that has much to catch up, with Zstandard (RFC 8878) at its
// fastest, which leaves 0.27 and takes four times as long. For one description Zstandard would take 16 µs, most of them to make its tables anew.
//
// A message has descriptions of several clients, sealed behind this. A client that sees the sizes of messages could learn by its own
// descriptions whether another's are like them. Such a client has to be on the way between two nodes, and descriptions, which are new for
// each connection, hold no secret that lasts.
package pack

import (
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Forms of packed records, in their first byte. Each has a dictionary: another one needs another form, and another version of the protocol.
const (
	formS2   = 1
	formZstd = 2
)

// long is how many bytes of records a message has from which it is packed with Zstandard. Below that S2 takes a quarter of the CPU, for a
// third more bytes. Two busy nodes write 11 kB each hundredth of a second.
const long = 64 << 10

// window is how far back a repetition may be: messages are no longer than this, so that all of one is in reach.
const window = 256 << 10

// Tables are for all nodes of a process, which are one but in tests: they are large.
var (
	s2Dictionary = sync.OnceValue(func() *s2.Dict { return s2.MakeDict(dictionary(), nil) })

	zstdPacker = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(window), zstd.WithEncoderDictRaw(formZstd, dictionary()))
		if err != nil {
			panic("BUG: the options of Zstandard are wrong: " + err.Error())
		}
		return w
	})

	zstdUnpacker = sync.OnceValue(func() *zstd.Decoder {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(window),
			zstd.WithDecoderDictRaw(formZstd, dictionary()))
		if err != nil {
			panic("BUG: the options of Zstandard are wrong: " + err.Error())
		}
		return r
	})
)

// Append appends the packed form of records.
func Append(dst, records []byte) []byte {
	if len(records) >= long {
		return zstdPacker().EncodeAll(records, append(dst, formZstd))
	}
	dst = append(dst, formS2)
	at, most := len(dst), s2.MaxEncodedLen(len(records))
	if cap(dst)-at < most {
		dst = append(make([]byte, 0, at+most), dst...)
	}
	return dst[:at+len(s2Dictionary().Encode(dst[at:], records))]
}

// Unpack fills dst from its start, at most up to its capacity, with the records of a packed form. It reports false where there is none, or
// where the records have no room.
func Unpack(dst, packed []byte) ([]byte, bool) {
	if len(packed) == 0 {
		return nil, false
	}
	form, packed := packed[0], packed[1:]
	switch form {
	case formS2:
		if n, err := s2.DecodedLen(packed); err != nil || n > cap(dst) {
			return nil, false
		}
		out, err := s2Dictionary().Decode(dst[:0], packed)
		return out, err == nil
	case formZstd:
		out, err := zstdUnpacker().DecodeAll(packed, dst[:0])
		return out, err == nil
	}
	return nil, false
}
