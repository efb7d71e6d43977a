package deflate

import (
	"encoding/binary"
	"math/bits"
)

// This file finds what a message repeats, of itself and of the bytes before it, and writes it as one block of DEFLATE (RFC 1951).

// compressor compresses messages, each as one block. Between messages it keeps nothing but memory to work in: 16 KiB for positions,
// codes of 9 KiB, and the longest message. It does a quarter of the work of a general compressor at its fastest level, for two
// hundredths more bytes (bench/results/tried.md).
type compressor struct {
	fixed, offer *code
	text         []byte  // the bytes before the message, and the message
	places       places  // in text
	pieces       []piece // of the message
	literals     []byte  // the bytes of all pieces that are not repetitions
	out          bitWriter
}

// piece is some bytes as they are, and the repetition that follows them.
type piece struct{ literals, length, distance uint32 }

// newCompressor returns a compressor.
func newCompressor() *compressor { return &compressor{fixed: newFixed(), offer: newOffer()} }

// compress returns a message without the 4 bytes that RFC 7692 §7.2.1 leaves out. It is good until the next call. window is what the
// receiver has expanded before, and reach the distance at which it may be looked back at, in bytes.
func (c *compressor) compress(window, message []byte, reach int) []byte {
	c.text = append(append(c.text[:0], window...), message...)
	c.places.enter(c.text[:len(window)])
	c.find(len(window), reach)
	c.places.leave(len(c.text))
	c.write(c.choose())
	return c.out.bytes
}

// find takes the text from an index on apart into pieces.
func (c *compressor) find(from, reach int) {
	c.pieces, c.literals = c.pieces[:0], c.literals[:0]
	text, done := c.text, from
	for i := from; i+leastRepeated <= len(text); {
		at := c.places.swap(text, i)
		if at < 0 || i-at > reach {
			i++
			continue
		}
		start, end := widen(text, done, i, at)
		c.literals = append(c.literals, text[done:start]...)
		c.pieces = append(c.pieces, piece{uint32(start - done), uint32(end - start), uint32(i - at)})
		i, done = end, end
		if i-2+leastRepeated <= len(text) {
			c.places.swap(text, i-2)
		}
	}
	c.literals = append(c.literals, text[done:]...)
}

// widen returns the limits of the longest repetition around one of leastRepeated bytes at index i, of those at an earlier one. It begins
// at least at from.
func widen(text []byte, from, i, at int) (start, end int) {
	start, end = i, i+leastRepeated
	for start > from && at-(i-start) > 0 && text[start-1] == text[at-(i-start)-1] {
		start--
	}
	distance := i - at
	for end+8 <= len(text) {
		differ := binary.LittleEndian.Uint64(text[end:]) ^ binary.LittleEndian.Uint64(text[end-distance:])
		if differ != 0 {
			return start, end + bits.TrailingZeros64(differ)/8
		}
		end += 8
	}
	for end < len(text) && text[end] == text[end-distance] {
		end++
	}
	return start, end
}

// choose returns the code in which the pieces are shorter, by its estimate. Each repetition takes some two bits less in that for offers.
func (c *compressor) choose() *code {
	sum, all := 0, uint8(0)
	for _, b := range c.literals {
		width := c.offer.letter[b].width
		sum += int(width)
		all |= width
	}
	if all&absent == 0 && c.offer.header.size()+sum < c.fixed.header.size()+8*len(c.literals)+2*len(c.pieces) {
		return c.offer
	}
	return c.fixed
}

// write writes the pieces as a block.
func (c *compressor) write(code *code) {
	c.out.begin(&code.header)
	rest := c.literals
	for _, p := range c.pieces {
		c.out.letters(code, rest[:p.literals])
		rest = rest[p.literals:]
		for length := p.length; length > 0; {
			n := min(length, maxLength)
			if left := length - n; left > 0 && left < leastLong {
				n -= leastLong // the rest has to be long enough
			}
			c.out.repetition(code, n, p.distance)
			length -= n
		}
	}
	c.out.letters(code, rest)
	c.out.put(code.end.bits, code.end.width)
	// RFC 7692 §7.2.1: «If the resulting data does not end with an empty DEFLATE block with no compression (the "BTYPE" bits are set to
	// 00), append an empty DEFLATE block with no compression to the tail end.» Its header is three zeros, and the rest is left out.
	c.out.put(0, 3)
	c.out.finish()
}

// leastRepeated is the least length of a repetition that is looked for, in bytes.
const leastRepeated = 4

// places tells where in a text the same bytes stood last.
type places struct {
	last [1 << placeBits]uint32 // by the hash of leastRepeated bytes: origin and one more than their index
	// origin is more than each entry for another text, so that none has to be taken away.
	origin uint32
}

const (
	placeBits = 12
	// maxOrigin is where all entries are taken away after all. No text is as long as what is beyond it.
	maxOrigin = 1 << 30
)

// slot returns the place for the bytes at an index.
func (p *places) slot(v uint32) *uint32 { return &p.last[v*0x9e3779b1>>(32-placeBits)] }

// enter notes the bytes at every second index of a text. A repetition that begins between them is found one byte late and widened.
func (p *places) enter(text []byte) {
	for i := 0; i+leastRepeated <= len(text); i += 2 {
		*p.slot(binary.LittleEndian.Uint32(text[i:])) = p.origin + uint32(i) + 1
	}
}

// swap notes the bytes at an index, and returns where the same ones stood before; less than 0: nowhere.
func (p *places) swap(text []byte, i int) int {
	v := binary.LittleEndian.Uint32(text[i:])
	slot := p.slot(v)
	at := int(*slot) - int(p.origin) - 1
	*slot = p.origin + uint32(i) + 1
	if at < 0 || binary.LittleEndian.Uint32(text[at:]) != v {
		return -1
	}
	return at
}

// leave forgets a text of n bytes.
func (p *places) leave(n int) {
	p.origin += uint32(n) + 1
	if p.origin > maxOrigin {
		*p = places{}
	}
}

// letters writes bytes.
func (w *bitWriter) letters(code *code, list []byte) {
	held, n, out := w.held, w.n, w.bytes
	for _, b := range list {
		s := code.letter[b]
		held |= uint64(s.bits) << (n & 63)
		if n += s.width; n >= 32 {
			out = binary.LittleEndian.AppendUint32(out, uint32(held))
			held >>= 32
			n -= 32
		}
	}
	w.held, w.n, w.bytes = held, n, out
}

// repetition writes a repetition of at most maxLength bytes.
func (w *bitWriter) repetition(code *code, length, distance uint32) {
	s := code.length[length]
	w.put(s.bits, s.width)
	k, extra, width := distanceSymbol(distance)
	s = code.distance[k]
	w.put(s.bits|extra<<s.width, s.width+width)
}
