// Package pack makes the records of a message between nodes smaller, and as they were. It keeps nothing from one message to the next, since
// messages get lost: what they have in common is in a dictionary that all nodes have (dictionary.go).
//
// Most bytes between nodes are descriptions of sessions, two thirds of which are the same in all. Zstandard (RFC 8878) at its fastest takes
// 15 µs for one description and leaves 0.31 of it, and 3 µs and 0.27 for each of sixteen. Deflate leaves 0.32 and 0.30 in more time; S2 takes
// a sixth of it, and leaves 0.40 and 0.38.
//
// A message has descriptions of several clients, sealed behind this. A client that sees the sizes of messages could learn by its own
// descriptions whether another's are like them. Such a client has to be on the way between two nodes, and descriptions, which are new for
// each connection, hold no secret that lasts.
package pack

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// version is the number of the dictionary. Another dictionary needs another number, and another version of the protocol.
const version = 1

// window is how far back a repetition may be: messages are shorter than this, so that all of one is in reach.
const window = 256 << 10

// packer is one for all nodes of a process, which are one but in tests: its tables are large.
var packer = sync.OnceValue(func() *zstd.Encoder {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(window), zstd.WithEncoderDictRaw(version, dictionary()))
	if err != nil {
		panic("BUG: the options of Zstandard are wrong: " + err.Error())
	}
	return w
})

// unpacker undoes the work of packer.
var unpacker = sync.OnceValue(func() *zstd.Decoder {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(window),
		zstd.WithDecoderDictRaw(version, dictionary()))
	if err != nil {
		panic("BUG: the options of Zstandard are wrong: " + err.Error())
	}
	return r
})

// Append appends the packed form of records.
func Append(dst, records []byte) []byte { return packer().EncodeAll(records, dst) }

// Unpack fills dst from its start, at most up to its capacity, with the records of a packed form. It reports false where there is none, or
// where the records have no room.
func Unpack(dst, packed []byte) ([]byte, bool) {
	out, err := unpacker().DecodeAll(packed, dst[:0])
	return out, err == nil
}
