package wsproto

import "unicode/utf8"

// ID is an info hash, a peer id or an offer id: 20 bytes, which JSON carries as a string of 20 code points from U+0000
// to U+00FF, one for each byte.
type ID = [20]byte

// maxIDSize is the longest JSON string literal of an ID: each byte may be written as \u00XX.
const maxIDSize = 2 + 20*len(`\u0000`)

// charLiteral is how one code point up to U+00FF is written inside a JSON string.
type charLiteral struct {
	n uint8
	b [7]byte
}

// charLiterals writes what JSON.stringify (ECMA-262, QuoteJSONString) writes, since that is what clients have always
// been sent: short escapes where they exist, \u00xx for the other controls, and everything else raw, U+007F included.
var charLiterals = makeCharLiterals()

func makeCharLiterals() (t [256]charLiteral) {
	const hex = "0123456789abcdef"
	short := map[int]byte{'\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r', '"': '"', '\\': '\\'}
	for c := range t {
		b := t[c].b[:0]
		switch {
		case short[c] != 0:
			b = append(b, '\\', short[c])
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = utf8.AppendRune(b, rune(c))
		}
		t[c].n = uint8(len(b))
	}
	return t
}

// appendID appends id as a JSON string literal, quotes included.
func appendID(dst []byte, id *ID) []byte {
	dst = append(dst, '"')
	for _, c := range id {
		if l := &charLiterals[c]; l.n == 1 {
			dst = append(dst, c) // measured: ids of letters take half the time
		} else {
			dst = append(dst, l.b[:l.n]...)
		}
	}
	return append(dst, '"')
}
