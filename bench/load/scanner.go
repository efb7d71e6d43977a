package load

// This file owns the reading of JSON as trackers write it: values, strings and their escapes, ids. It knows nothing of
// the messages that are made of them.

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

var (
	errNotJSON  = errors.New("it is not JSON")
	errTooDeep  = errors.New("it is nested too deeply")
	errNoObject = errors.New("it is not an object")
)

// maxDepth bounds the nesting of a message.
const maxDepth = 32

// scanner reads JSON in one pass. Every tracker writes the keys in an order of its own, some escape characters that
// others write raw, and some add keys. The form of unknown values is checked; then they are left out.
type scanner struct {
	b  []byte
	at int
}

// next passes over white space and returns the byte that follows; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.b); s.at++ {
		switch c := s.b[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// object reads an object, whose opening brace is next, and hands each key on with the value to be read.
func (s *scanner) object(depth int, member func(key []byte) error) error {
	if depth >= maxDepth {
		return errTooDeep
	}
	s.at++
	if s.next() == '}' {
		s.at++
		return nil
	}
	for {
		if s.next() != '"' {
			return errNotJSON
		}
		key, err := s.checkedString()
		if err != nil {
			return err
		}
		if s.next() != ':' {
			return errNotJSON
		}
		s.at++
		s.next()
		if err := member(key); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case '}':
			s.at++
			return nil
		default:
			return errNotJSON
		}
	}
}

// rawString reads a string and returns the text between its quotes without looking at it.
func (s *scanner) rawString() ([]byte, error) {
	s.at++
	from := s.at
	for {
		k := bytes.IndexByte(s.b[s.at:], '"')
		if k < 0 {
			return nil, errNotJSON
		}
		s.at += k + 1
		text := s.b[from : s.at-1]
		slashes := len(text)
		for slashes > 0 && text[slashes-1] == '\\' {
			slashes--
		}
		if (len(text)-slashes)%2 == 0 {
			return text, nil
		}
	}
}

// checkedString reads a string whose text is checked.
func (s *scanner) checkedString() ([]byte, error) {
	text, err := s.rawString()
	if err == nil && !checkText(text) {
		err = errNotJSON
	}
	return text, err
}

// text reads a string; nil for any other value.
func (s *scanner) text() ([]byte, error) {
	if s.next() != '"' {
		return nil, s.skip(1)
	}
	return s.checkedString()
}

// count reads a number that counts something; -1 for any other value.
func (s *scanner) count() (int, error) {
	s.next()
	from := s.at
	if err := s.skip(1); err != nil {
		return -1, err
	}
	if n, err := strconv.ParseUint(string(s.b[from:s.at]), 10, 31); err == nil {
		return int(n), nil
	}
	return -1, nil
}

// skip passes over a value of any kind.
func (s *scanner) skip(depth int) error {
	switch c := s.next(); {
	case c == '{':
		return s.object(depth, func([]byte) error { return s.skip(depth + 1) })
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, err := s.checkedString()
		return err
	case c == '-' || c-'0' <= 9:
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.at:], []byte(word)) {
			s.at += len(word)
			return nil
		}
	}
	return errNotJSON
}

func (s *scanner) array(depth int) error {
	if depth >= maxDepth {
		return errTooDeep
	}
	s.at++
	if s.next() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.skip(depth + 1); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case ']':
			s.at++
			return nil
		default:
			return errNotJSON
		}
	}
}

// number passes over a number (RFC 8259 §6).
func (s *scanner) number() error {
	digits := func() bool {
		from := s.at
		for s.at < len(s.b) && s.b[s.at]-'0' <= 9 {
			s.at++
		}
		return s.at > from
	}
	is := func(set string) bool {
		if s.at < len(s.b) && bytes.IndexByte([]byte(set), s.b[s.at]) >= 0 {
			s.at++
			return true
		}
		return false
	}
	is("-")
	if !is("0") && !digits() {
		return errNotJSON
	}
	if is(".") && !digits() {
		return errNotJSON
	}
	if is("eE") {
		is("+-")
		if !digits() {
			return errNotJSON
		}
	}
	return nil
}

// checkText reports whether the text of a string has only characters and escapes that JSON allows.
func checkText(text []byte) bool {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c < ' ' || c == '"':
			return false
		case c == '\\':
			n := escapeSize(text[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		}
	}
	return true
}

// escapeSize returns the length of the escape at the front of b; 0 where it is none.
func escapeSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		if _, err := strconv.ParseUint(string(b[2:6]), 16, 16); err == nil {
			return 6
		}
	}
	return 0
}

// decodeID reads an id: the text of a string of 20 code points below U+0100, raw or escaped.
func decodeID(dst *id, text []byte) bool {
	if len(text) == idSize && bytes.IndexByte(text, '\\') < 0 {
		copy(dst[:], text)
		return true // a byte above 0x7f is part of no id of ours, so that it need not be told apart
	}
	n := 0
	for len(text) > 0 {
		r, size := decodeRune(text)
		if n == idSize || size == 0 || r > 0xff {
			return false
		}
		dst[n] = byte(r)
		n, text = n+1, text[size:]
	}
	return n == idSize
}

// decodeRune reads one code unit, raw or escaped, of a string whose text was checked.
func decodeRune(text []byte) (r rune, size int) {
	if text[0] != '\\' {
		return utf8.DecodeRune(text)
	}
	size = escapeSize(text)
	switch {
	case size == 6:
		n, _ := strconv.ParseUint(string(text[2:6]), 16, 16)
		return rune(n), size
	case size == 2:
		const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		return rune(to[bytes.IndexByte([]byte(from), text[1])]), size
	}
	return 0, 0
}

// sameText reports whether two texts of strings, of which want has no surrogates, mean the same although they may be
// escaped differently.
func sameText(got, want []byte) bool {
	if !checkText(got) {
		return false
	}
	for len(got) > 0 && len(want) > 0 {
		a, n := decodeRune(got)
		b, m := decodeRune(want)
		if a != b || n == 0 || m == 0 {
			return false
		}
		got, want = got[n:], want[m:]
	}
	return len(got) == len(want)
}
