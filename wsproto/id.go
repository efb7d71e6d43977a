package wsproto

// This file owns ids: 20 bytes, and the JSON string literals that they are written as.

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// ID is an info hash, a peer id or an offer id: 20 bytes. In JSON it is a string of 20 code points from U+0000 to
// U+00FF, one for each byte.
type ID = [20]byte

// maxIDSize is the longest JSON string literal of an ID: each byte may be written as \u00XX.
const maxIDSize = 2 + 20*len(`\u0000`)

// isPlain reports whether the first 20 bytes of b stand for themselves in JSON: ASCII without quotes, backslashes and
// control characters.
func isPlain(b []byte) bool {
	_ = b[len(ID{})-1]
	x, y, z := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[12:])
	return notPlain(x)|notPlain(y)|notPlain(z) == 0
}

// readID decodes the literal of an ID at the front of b and returns its size. It returns 0 for any other literal, and
// for text that is not JSON: str tells which.
func readID(b []byte, id *ID) int {
	if len(b) < 2+len(id) {
		return 0
	}
	if b[1+len(id)] == '"' && isPlain(b[1:]) {
		return 2 + copy(id[:], b[1:])
	}
	i, wrong := 1, byte(0)
	for k := range id {
		if len(b)-i < 2 {
			return 0
		}
		c, next := b[i], b[i+1]
		if c == '\\' {
			r, n := escape(b[i:])
			if n == 0 || uint32(r) > 0xff {
				return 0
			}
			id[k] = byte(r)
			i += n
			continue
		}
		if c < 0x20 || c == '"' {
			return 0
		}
		// U+0080 to U+00FF are 0xc2 or 0xc3 and one more byte. In ids of random bytes a processor cannot guess their
		// places, so instead of a branch there is a mask: 0xff if c begins one.
		mask := -(c >> 7)
		wrong |= mask & (((c &^ 1) ^ 0xc2) | ((next & 0xc0) ^ 0x80))
		id[k] = c&^mask | (next+(c&1)<<6)&mask
		i += 1 + int(mask&1)
	}
	if i == len(b) || b[i] != '"' || wrong != 0 {
		return 0
	}
	return i + 1
}

// charLiterals says how each code point up to U+00FF is written inside a JSON string. It follows JSON.stringify
// (ECMA-262, QuoteJSONString), because trackers have always sent ids so: short escapes where they exist, \u00xx for the
// other controls, and all others raw, U+007F included. An entry is a little-endian number. Its last byte is the length
// of the literal, and its first bytes are the literal.
var charLiterals = makeCharLiterals()

func makeCharLiterals() (t [256]uint64) {
	const hex = "0123456789abcdef"
	short := map[int]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}
	for c := range t {
		var literal [8]byte
		b := literal[:0]
		switch {
		case short[c] != 0:
			b = append(b, '\\', short[c])
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = utf8.AppendRune(b, rune(c))
		}
		literal[7] = byte(len(b))
		t[c] = binary.LittleEndian.Uint64(literal[:])
	}
	return t
}

// appendID appends id as a JSON string literal, quotes included.
func appendID(dst []byte, id *ID) []byte {
	dst = append(dst, '"')
	if isPlain(id[:]) {
		return append(append(dst, id[:]...), '"')
	}
	// All eight bytes of an entry are stored, and the next entry over the bytes that do not count: a processor cannot
	// guess the lengths in an id of random bytes either. The last entry of the longest literal reaches two bytes beyond
	// it. There is room for them: maxIDSize counts two quotes, and neither is within these bytes.
	n := len(dst)
	dst = slices.Grow(dst, maxIDSize)
	room := dst[:cap(dst)]
	for _, c := range id {
		l := charLiterals[c]
		binary.LittleEndian.PutUint64(room[n:], l)
		n += int(l >> 56)
	}
	return append(dst[:n], '"')
}
