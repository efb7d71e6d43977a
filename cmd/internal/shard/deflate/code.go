package deflate

import "math/bits"

// This file makes the two codes in which messages are written (RFC 1951 §3.2). A general compressor makes one for each message, which
// is most of its work. The messages of this protocol are so much alike that one made beforehand is nearly as short.

// code is a code for bytes and repetitions, ready to be written.
type code struct {
	header   bitWriter   // the beginning of a block
	letter   [256]symbol // the bytes; those that the code lacks have a width of absent
	end      symbol      // the end of the block
	length   [maxLength + 1]symbol
	distance [distances]symbol
}

// symbol is the bits of a code, the first one lowest.
type symbol struct {
	bits  uint32
	width uint8
}

// absent is the width of a byte that a code lacks.
const absent = 0x80

// RFC 1951 §3.2.5: «the literal and length alphabets are merged into a single alphabet (0..285), where values 0..255 represent literal
// bytes, the value 256 indicates end-of-block, and values 257..285 represent length codes».
const (
	endOfBlock = 256
	letters    = 286
	distances  = 30
	leastLong  = 3
	maxLength  = 258
)

// lengthsOf are the first length of each length code; the last code stands for the longest repetition alone.
var lengthsOf = [letters - endOfBlock - 1]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
	131, 163, 195, 227, 258}

// run is a number of neighbouring symbols of one width.
type run struct {
	n     int
	width uint8
}

// The code that RFC 1951 §3.2.6 fixes: its header has three bits.
var (
	fixedLetters   = []run{{144, 8}, {112, 9}, {24, 7}, {8, 8}} // the last two stand for nothing
	fixedDistances = []run{{distances, 5}}
)

// A code for offers and answers of browsers that look back at others. What is left of them is mostly random: digits of ports,
// addresses and candidates, hexadecimal of names and fingerprints, letters of passwords. Runs are long, so that the header, which
// each block repeats, is short. All bytes that stand in JSON without an escape have a symbol, but those beyond ASCII.
var (
	offerLetters = []run{
		{32, 0},
		{15, 8}, {1, 10}, // space to full stop, slash
		{10, 5}, {1, 4}, {6, 10}, // digits, colon
		{6, 6}, {26, 9}, // A to F, G to grave accent
		{19, 7}, {12, 8}, // a to s, t to DEL
		{128, 0},
		{13, 6}, {17, 10}, // the end and lengths up to 18, longer ones
	}
	offerDistances = []run{{8, 10}, {11, 5}, {5, 3}, {6, 8}} // most are beyond 768: of the message before
)

// newFixed returns the fixed code.
func newFixed() *code {
	c := newCode(widths(fixedLetters), widths(fixedDistances))
	c.header.put(1<<1, 3) // RFC 1951 §3.2.3: BFINAL 0, BTYPE 01
	return c
}

// newOffer returns the code for offers.
func newOffer() *code {
	l, d := widths(offerLetters), widths(offerDistances)
	c := newCode(l, d)
	writeHeader(&c.header, l, d)
	return c
}

func widths(runs []run) (list []uint8) {
	for _, r := range runs {
		for range r.n {
			list = append(list, r.width)
		}
	}
	return list
}

// newCode returns the code of these widths, without a header.
func newCode(letterWidths, distanceWidths []uint8) *code {
	c := &code{}
	symbols := canonical(letterWidths)
	for b := range c.letter {
		if c.letter[b] = symbols[b]; symbols[b].width == 0 {
			c.letter[b].width = absent
		}
	}
	c.end = symbols[endOfBlock]
	for k, first := range lengthsOf[:len(lengthsOf)-1] {
		s, next := symbols[endOfBlock+1+k], lengthsOf[k+1]
		extra := uint8(bits.Len(uint(next - first - 1)))
		for n := first; n < next; n++ {
			c.length[n] = symbol{s.bits | uint32(n-first)<<s.width, s.width + extra}
		}
	}
	c.length[maxLength] = symbols[letters-1]
	copy(c.distance[:], canonical(distanceWidths))
	return c
}

// canonical returns the code whose symbols have these widths; 0: the symbol is absent.
//
// RFC 1951 §3.2.2: «All codes of a given bit length have lexicographically consecutive values, in the same order as the symbols they
// represent; Shorter codes lexicographically precede longer codes.»
func canonical(widths []uint8) []symbol {
	list, next := make([]symbol, len(widths)), uint32(0)
	for width := uint8(1); width < 16; width++ {
		next <<= 1
		for k, w := range widths {
			if w == width {
				list[k] = symbol{bits.Reverse32(next) >> (32 - width), width}
				next++
			}
		}
	}
	return list
}

// distanceSymbol returns the symbol of a distance, and its extra bits (RFC 1951 §3.2.5).
func distanceSymbol(distance uint32) (k, extra uint32, width uint8) {
	if distance <= 4 {
		return distance - 1, 0, 0
	}
	d := distance - 1
	width = uint8(bits.Len32(d) - 2)
	return 2*uint32(width) + d>>width, d & (1<<width - 1), width
}

// How widths are written: 0 to 15 as themselves, then a repetition of the last one, and zeros (RFC 1951 §3.2.7). 17,
// which is for fewer zeros, is not needed.
const (
	again     = 16 // 3 to 6 times, 2 extra bits
	manyZeros = 18 // 11 to 138, 7 extra bits
)

var (
	// widthWidths is the code in which the widths of the code for offers are written: the fewest bits for these.
	widthWidths = [19]uint8{3: 5, 4: 5, 5: 4, 6: 4, 7: 5, 8: 4, 9: 5, 10: 3, again: 1, manyZeros: 4}
	// RFC 1951 §3.2.7: «code lengths for the code length alphabet given just above, in the order»
	widthOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// writeHeader writes the beginning of a block that has its own code (RFC 1951 §3.2.7).
func writeHeader(w *bitWriter, letterWidths, distanceWidths []uint8) {
	last := len(widthOrder) - 1
	for widthWidths[widthOrder[last]] == 0 {
		last--
	}
	w.put(2<<1, 3) // BFINAL 0, BTYPE 10
	w.put(letters-257, 5)
	w.put(distances-1, 5)
	w.put(uint32(last+1-4), 4)
	for _, k := range widthOrder[:last+1] {
		w.put(uint32(widthWidths[k]), 3)
	}
	symbols := canonical(widthWidths[:])
	put := func(k, extra int, width uint8) {
		w.put(symbols[k].bits, symbols[k].width)
		w.put(uint32(extra), width)
	}
	list := append(append([]uint8(nil), letterWidths...), distanceWidths...)
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n] == list[0] {
			n++
		}
		writeRun(put, list[0], n)
		list = list[n:]
	}
}

// writeRun writes n widths that are the same. Of zeros there are 11 to 138.
func writeRun(put func(k, extra int, width uint8), width uint8, n int) {
	if width == 0 {
		put(manyZeros, n-11, 7)
		return
	}
	put(int(width), 0, 0)
	for n--; n >= 3; n -= min(n, 6) {
		put(again, min(n, 6)-3, 2)
	}
	for range n {
		put(int(width), 0, 0)
	}
}
