package ring

import (
	"encoding/binary"
	"testing"
)

// This file owns the test of the buffer ring on plain memory.

// TestBufRingWraps proves that the largest buffer ring is filled to its last entry and over its end: no entry lands on
// another, and the tail, which shares entry 0, is kept. (An offset counted in 16 bits writes entry 4096 over entry 0.)
func TestBufRingWraps(t *testing.T) {
	const entries = maxReceiveBuffers
	mem := make([]byte, entries*bufRingEntry)
	b := newBufRing(mem)
	for round := range uint64(3) {
		for i := range entries {
			b.add(round<<32|uint64(i), 100+int(round), uint16(entries-1-i))
		}
		b.publish()
		for i := range entries {
			e := mem[i*bufRingEntry:]
			if binary.NativeEndian.Uint64(e) != round<<32|uint64(i) ||
				binary.NativeEndian.Uint32(e[8:]) != 100+uint32(round) ||
				binary.NativeEndian.Uint16(e[12:]) != uint16(entries-1-i) {
				t.Fatalf("round %d: entry %d is % x", round, i, e[:bufRingEntry])
			}
		}
		if tail := binary.NativeEndian.Uint16(mem[14:]); tail != uint16((round+1)*entries) {
			t.Fatalf("round %d: the tail is %d", round, tail)
		}
	}
}
