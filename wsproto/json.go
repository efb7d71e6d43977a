package wsproto

// This file owns the walk over JSON text: the grammar of RFC 8259 and a limit of depth, without the meaning of keys.

import (
	"bytes"
	"unicode/utf8"
)

// maxDepth is how deep JSON may be nested. The message itself is level 1.
const maxDepth = 32

// jsonReader walks JSON text (RFC 8259) once, from front to back, and checks all of it. After the first error it stands
// at the end of the text, so every loop over it ends. Only end reports the error.
type jsonReader struct {
	text  []byte
	pos   int
	depth int
	bad   bool
}

func (j *jsonReader) fail() {
	j.bad = true
	j.pos = len(j.text)
}

// end reports whether the text was exactly one JSON value.
func (j *jsonReader) end() bool {
	j.peek()
	return !j.bad && j.pos == len(j.text)
}

// peek skips white space and returns the byte after it without consuming it, or 0 at the end.
func (j *jsonReader) peek() byte {
	for ; j.pos < len(j.text); j.pos++ {
		switch c := j.text[j.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// enter consumes the bracket that opens an object or array and reports whether it has elements. Use:
//
//	for more := j.enter('}'); more; more = j.more('}') { key := j.key(); … exactly one value … }
func (j *jsonReader) enter(closing byte) bool {
	j.pos++
	j.depth++
	if j.depth > maxDepth {
		j.fail()
		return false
	}
	if j.peek() == closing {
		j.pos++
		j.depth--
		return false
	}
	return !j.bad
}

// more consumes the comma before the next value, or the closing bracket.
func (j *jsonReader) more(closing byte) bool {
	switch j.peek() {
	case ',':
		j.pos++
		return true
	case closing:
		j.pos++
		j.depth--
		return false
	}
	j.fail()
	return false
}

// key consumes an object's key and the colon after it.
func (j *jsonReader) key() jsonString {
	if j.peek() != '"' {
		j.fail()
		return jsonString{}
	}
	s := j.str()
	if j.peek() != ':' {
		j.fail()
		return jsonString{}
	}
	j.pos++
	return s
}

// skip consumes a value of any kind.
func (j *jsonReader) skip() {
	switch j.peek() {
	case '"':
		j.str()
	case '{':
		for more := j.enter('}'); more; more = j.more('}') {
			j.key()
			j.skip()
		}
	case '[':
		for more := j.enter(']'); more; more = j.more(']') {
			j.skip()
		}
	case 't':
		j.word("true")
	case 'f':
		j.word("false")
	case 'n':
		j.word("null")
	default:
		j.number()
	}
}

// word consumes true, false or null.
func (j *jsonReader) word(w string) {
	if end := j.pos + len(w); end <= len(j.text) && string(j.text[j.pos:end]) == w {
		j.pos = end
		return
	}
	j.fail()
}

// number consumes a number and returns the digits before the point, those of the fraction, and those of the exponent.
// The whole part is empty if there was no number.
func (j *jsonReader) number() (whole, fraction, exponent []byte) {
	if j.pos < len(j.text) && j.text[j.pos] == '-' {
		j.pos++
	}
	whole = j.digits()
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		j.fail()
		return nil, nil, nil
	}
	if j.pos < len(j.text) && j.text[j.pos] == '.' {
		j.pos++
		if fraction = j.digits(); len(fraction) == 0 {
			j.fail()
			return nil, nil, nil
		}
	}
	if j.pos < len(j.text) && j.text[j.pos]|0x20 == 'e' {
		j.pos++
		if j.pos < len(j.text) && (j.text[j.pos] == '+' || j.text[j.pos] == '-') {
			j.pos++
		}
		if exponent = j.digits(); len(exponent) == 0 {
			j.fail()
			return nil, nil, nil
		}
	}
	return whole, fraction, exponent
}

func (j *jsonReader) digits() []byte {
	start := j.pos
	for j.pos < len(j.text) && j.text[j.pos]-'0' <= 9 {
		j.pos++
	}
	return j.text[start:j.pos]
}

// str consumes the string whose opening quote is next.
//
// RFC 8259 §7: «All Unicode characters may be placed within the quotation marks, except for the characters that MUST be
// escaped: quotation mark, reverse solidus, and the control characters (U+0000 through U+001F).»
func (j *jsonReader) str() jsonString {
	text, i := j.text, j.pos+1
	shrink := 0 // bytes by which decoding shortens the string
	var marks stringMarks
	for {
		i = plainEnd(text, i)
		if i == len(text) {
			j.fail()
			return jsonString{}
		}
		switch c := text[i]; {
		case c == '"':
			i++
			literal := text[j.pos:i:i]
			j.pos = i
			return jsonString{literal, uint32(len(literal) - 2 - shrink), marks}
		case c == '\\':
			marks |= hasEscape
			if short := shortEscapes(text[i:]); short > 0 {
				i += 2 * short
				shrink += short
				continue
			}
			r, n := escape(text[i:])
			if n == 0 {
				j.fail()
				return jsonString{}
			}
			if r == loneSurrogate {
				marks |= hasLone
			}
			shrink += n - runeSize(r)
			i += n
		case c < utf8.RuneSelf:
			j.fail() // a control character
			return jsonString{}
		default:
			r, n := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && n == 1 {
				j.fail()
				return jsonString{}
			}
			marks |= hasWide
			i += n
		}
	}
}

// long consumes a string as str does, and is faster with session descriptions. The size in the result may be too large
// for a string within the limit. It is exact for one over the limit.
func (j *jsonReader) long(limit int) jsonString {
	text := j.text[j.pos:]
	end := bytes.IndexByte(text[1:], '"') + 2
	if end-2 > limit || !areLines(text[1:max(end, 1)]) {
		return j.str()
	}
	j.pos += end
	return jsonString{text[:end:end], uint32(end - 2), hasEscape}
}

// IsString reports whether b is one string of JSON (RFC 8259), with its quotes, and nothing else: a frame may carry it as it is. It is fast
// with session descriptions.
func IsString(b []byte) bool {
	if len(b) < 2 || b[0] != '"' {
		return false
	}
	j := jsonReader{text: b}
	j.long(len(b))
	return !j.bad && j.pos == len(b)
}
