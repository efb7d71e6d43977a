package record

import "unicode/utf8"

// This file checks the descriptions of sessions: they go into the frames of clients as they come.

// literal reports whether b is one JSON string literal and nothing else.
func literal(b []byte) bool {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return false
	}
	text := b[1 : len(b)-1]
	for k := 0; k < len(text); k++ {
		switch c := text[k]; {
		case c < ' ' || c == '"':
			return false
		case c == '\\':
			n := escape(text[k+1:])
			if n == 0 {
				return false
			}
			k += n
		}
	}
	return utf8.Valid(text)
}

// escape returns the length of the escape at the front of text, behind its backslash; 0: there is none.
func escape(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	switch text[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(text) >= 5 && isHex(text[1]) && isHex(text[2]) && isHex(text[3]) && isHex(text[4]) {
			return 5
		}
	}
	return 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
