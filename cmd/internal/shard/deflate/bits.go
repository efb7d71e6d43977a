package deflate

import "encoding/binary"

// This file writes bits.

// bitWriter writes bits, the lowest of a byte first (RFC 1951 §3.1.1).
type bitWriter struct {
	bytes []byte
	held  uint64 // less than 32 bits
	n     uint8
}

// begin starts with what another has written.
func (w *bitWriter) begin(head *bitWriter) {
	w.bytes = append(w.bytes[:0], head.bytes...)
	w.held, w.n = head.held, head.n
}

// size returns how many bits there are.
func (w *bitWriter) size() int { return 8*len(w.bytes) + int(w.n) }

// put writes up to 32 bits.
func (w *bitWriter) put(b uint32, width uint8) {
	w.held |= uint64(b) << (w.n & 63)
	w.n += width
	if w.n >= 32 {
		w.bytes = binary.LittleEndian.AppendUint32(w.bytes, uint32(w.held))
		w.held >>= 32
		w.n -= 32
	}
}

// finish fills the last byte up.
func (w *bitWriter) finish() {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.bytes = append(w.bytes, byte(w.held))
		w.held >>= 8
	}
}
