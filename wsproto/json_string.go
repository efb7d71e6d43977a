package wsproto

// This file owns the inside of JSON strings: finding their ends eight bytes at a time, escapes, and decoding to bytes.

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// jsonString is a checked string in the text. It is small enough for the compiler to keep in registers.
type jsonString struct {
	literal []byte // a view of the text, quotes included
	size    uint32 // bytes of UTF-8 after decoding
	marks   stringMarks
}

// stringMarks is a set of properties of a string.
type stringMarks uint8

const (
	hasEscape stringMarks = 1 << iota
	hasWide               // bytes over 0x7f outside escapes
	hasLone               // an escaped surrogate without its partner
)

// decode writes the string's code points into dst as bytes and returns their number. ok is false if they do not fit, or
// one is over U+00FF.
func (s jsonString) decode(dst []byte) (n int, ok bool) {
	if len(s.literal) < 2 {
		return 0, false
	}
	b := s.literal[1 : len(s.literal)-1]
	if s.marks&(hasEscape|hasWide) == 0 {
		return copy(dst, b), len(b) <= len(dst)
	}
	for len(b) > 0 {
		r, size := rune(b[0]), 1
		switch {
		case r == '\\':
			r, size = escape(b)
		case r >= utf8.RuneSelf:
			r, size = utf8.DecodeRune(b)
		}
		if n == len(dst) || uint32(r) > 0xff {
			return n, false
		}
		dst[n] = byte(r)
		n++
		b = b[size:]
	}
	return n, true
}

// id decodes an ID and reports whether the string is one.
func (s jsonString) id(id *ID) bool {
	n, ok := s.decode(id[:])
	return ok && n == len(id)
}

// word returns the decoded string, or nil if it can be no word with a meaning. A string without escapes is a view of
// the text. One with escapes is decoded into scratch, which must hold the longest word.
func (s jsonString) word(scratch []byte) []byte {
	if s.marks&hasEscape == 0 && len(s.literal) >= 2 {
		return s.literal[1 : len(s.literal)-1]
	}
	if n, ok := s.decode(scratch); ok {
		return scratch[:n]
	}
	return nil
}

// shortEscapes counts the two-byte escapes at the front of b, one after another. Session descriptions are lines of some
// 50 characters that end in two of them.
func shortEscapes(b []byte) (n int) {
	for len(b) >= 2 && b[0] == '\\' && isShortEscape[b[1]] {
		b = b[2:]
		n++
	}
	return n
}

// isShortEscape is true for the letters that follow the backslash of a two-byte escape.
var isShortEscape = [256]bool{
	'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true,
}

// loneSurrogate stands for a code point from U+D800 to U+DFFF that is not half of a pair. The grammar of JSON allows
// it, but UTF-8 has no form for it.
const loneSurrogate rune = -1

// escape decodes the escape at the front of b, or a pair of escapes that is a surrogate pair. n is how many bytes that
// takes, 0 if the escape is not valid.
func escape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 't':
		return '\t', 2
	case 'u':
		return unicodeEscape(b)
	}
	return 0, 0
}

// unicodeEscape decodes \uXXXX, or two of them that are a surrogate pair.
func unicodeEscape(b []byte) (r rune, n int) {
	r = hex4(b)
	switch {
	case r < 0:
		return 0, 0
	case r < 0xd800 || r > 0xdfff:
		return r, 6
	case r < 0xdc00 && len(b) > 6:
		// RFC 8259 §7: «To escape an extended character that is not in the Basic Multilingual Plane, the character is
		// represented as a 12-character sequence, encoding the UTF-16 surrogate pair.»
		if low := hex4(b[6:]); low >= 0xdc00 && low <= 0xdfff {
			return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
		}
	}
	return loneSurrogate, 6
}

// hex4 returns the number in the \uXXXX at the front of b, or a negative one.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	// Any other byte than a digit sets the sign.
	return rune(hexDigits[b[2]])<<12 | rune(hexDigits[b[3]])<<8 | rune(hexDigits[b[4]])<<4 | rune(hexDigits[b[5]])
}

// hexDigits is the value of each hexadecimal digit, and -1 for all other bytes.
var hexDigits = makeHexDigits()

func makeHexDigits() (t [256]int8) {
	for c := range t {
		t[c] = -1
	}
	for i, c := range "0123456789abcdef" {
		t[c] = int8(i)
	}
	for i, c := range "ABCDEF" {
		t[c] = int8(10 + i)
	}
	return t
}

// runeSize is utf8.RuneLen. For a lone surrogate it is 3: decoders replace it by U+FFFD.
func runeSize(r rune) int {
	if r == loneSurrogate {
		return 3
	}
	return utf8.RuneLen(r)
}

// areLines reports whether b is ASCII text without other escapes than \r and \n, like a session description. b ends
// with the first quote in it. Short texts may get a false no. No branch depends on where lines end: a processor would
// guess it wrong once for every line.
func areLines(b []byte) bool {
	if len(b) < 9 {
		return false
	}
	bad := unlikeLines(b[len(b)-9:])
	for ; len(b) > 32; b = b[32:] {
		bad |= unlikeLines(b) | unlikeLines(b[8:]) | unlikeLines(b[16:]) | unlikeLines(b[24:])
	}
	for ; len(b) > 8; b = b[8:] {
		bad |= unlikeLines(b)
	}
	return bad&tops == 0
}

// unlikeLines sets the top bit of a byte if one of the first eight bytes of b is a control character, not ASCII, or a
// backslash that neither r nor n follows, and of none otherwise. The ninth byte counts only as the one after the
// eighth: another call judges whether it is ASCII.
func unlikeLines(b []byte) uint64 {
	x, next := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[1:])
	// The top bit of a byte is set in slash if it is a backslash, and in notR and notN if it is not that letter. While
	// all bytes are ASCII, no sum or difference carries from one byte to another.
	slash := tops - (x ^ ones*'\\')
	notR := (next ^ ones*'r') + ones*0x7f
	notN := (next ^ ones*'n') + ones*0x7f
	return x | (x - ones*0x20) | slash&notR&notN
}

// ones and tops have the lowest and the highest bit of every byte.
const ones, tops = 0x0101010101010101, 0x8080808080808080

// plainEnd returns the offset of the first byte at or after i that is a quote, a backslash, a control character or not
// ASCII, or len(text). It looks at eight bytes at a time.
func plainEnd(text []byte, i int) int {
	for ; i+8 <= len(text); i += 8 {
		if hit := notPlain(binary.LittleEndian.Uint64(text[i:])); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// notPlain sets the top bit of each byte of x that is a quote, a backslash, a control character or not ASCII. A borrow
// can only put false bits above the first true one, so the lowest bit is right, and 0 is right.
func notPlain(x uint64) uint64 {
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	// For an ASCII byte the differences have the top bit only after a borrow; for others x itself has it.
	return ((x - ones*0x20) | (quote - ones) | (slash - ones) | x) & tops
}
