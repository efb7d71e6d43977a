package swarm

// This file owns the keyed hash: of all tables, of Owner, and of the seed of the random sample.

import (
	"encoding/binary"
	"math/bits"
)

// A use keeps the hashes of one table apart from those of another: equal words under different uses
// have unrelated hashes.
type use uint64

const (
	useOwner use = iota + 1
	usePeer
	useSwarm
	useConn
	useOffer
	useSender
	useSeats
	useRandom // this and the next number
	_
	useAway
	useGuest
)

// hasher is SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) over whole
// 64-bit words. The number of words is fixed for each use, so no length is mixed in.
//
// Strangers choose all inputs, and their records stay in the tables for hours. For the faster
// multiply-and-fold hashes, inputs are known that collide under every key. SipHash is built against
// that and costs some 10 ns more for each message.
type hasher struct{ v0, v1, v2, v3 uint64 }

func newHash(seed [2]uint64, u use) hasher {
	h := hasher{
		v0: seed[0] ^ 0x736f6d6570736575,
		v1: seed[1] ^ 0x646f72616e646f6d,
		v2: seed[0] ^ 0x6c7967656e657261,
		v3: seed[1] ^ 0x7465646279746573,
	}
	h.word(uint64(u))
	return h
}

func (h *hasher) word(m uint64) {
	h.v3 ^= m
	h.round()
	h.v0 ^= m
}

// id mixes in 20 bytes as three words.
func (h *hasher) id(id *ID) {
	h.word(binary.LittleEndian.Uint64(id[0:8]))
	h.word(binary.LittleEndian.Uint64(id[8:16]))
	h.word(uint64(binary.LittleEndian.Uint32(id[16:20])))
}

func (h *hasher) sum() uint64 {
	h.v2 ^= 0xff
	h.round()
	h.round()
	h.round()
	return h.v0 ^ h.v1 ^ h.v2 ^ h.v3
}

func (h *hasher) round() {
	v0, v1, v2, v3 := h.v0, h.v1, h.v2, h.v3
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	h.v0, h.v1, h.v2, h.v3 = v0, v1, v2, v3
}
