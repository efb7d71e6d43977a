package wsproto

// This file owns the agreement about permessage-deflate (RFC 7692): offers in, an answer out.

import (
	"bytes"
	"iter"
	"strconv"
)

// Deflate is what a client and the tracker have agreed on about compressed messages. The zero value is nothing: messages are
// not compressed. The client compresses each of its messages alone (client_no_context_takeover), so nothing is kept for it.
type Deflate struct {
	On    bool  // messages may be compressed
	Alone bool  // ours are compressed without those before (server_no_context_takeover)
	Bits  uint8 // ours look back at most 1 << Bits bytes, 8 to 15; 0: the client says nothing (server_max_window_bits)
}

// RFC 7692 §7.1.2.1: «This parameter has a decimal integer value without leading zeroes between 8 to 15, inclusive»
const (
	leastBits = 8
	mostBits  = 15
)

// maxExtensions bounds the offers that are looked at in one request.
const maxExtensions = 8

// Deflate returns the agreement on the first offer of a request that can be accepted. An odd offer is declined and never refused:
// the client goes on without compression.
//
// RFC 7692 §5: «The order of elements is important as it specifies the client's preference.»
func (r *Request) Deflate() (d Deflate) {
	looked := 0
	for line := range r.values("sec-websocket-extensions") {
		for list := line; len(list) > 0 && looked < maxExtensions; looked++ {
			var offer []byte
			offer, list = cutOutside(list, ',')
			if d, ok := parseDeflate(offer); ok {
				return d
			}
		}
	}
	return Deflate{}
}

// values yields the values of all fields of a name, which is in lower case.
func (r *Request) values(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := r.fields; len(rest) > 0; {
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
			key, value, ok := parseField(line)
			if ok && len(key) == len(name) && bytes.EqualFold(key, []byte(name)) && !yield(value) {
				return
			}
		}
	}
}

// cutOutside cuts a list at the first separator outside quotes.
func cutOutside(list []byte, separator byte) (first, rest []byte) {
	quoted := false
	for i, c := range list {
		switch {
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, nil
}

// parseDeflate reads one offer. ok is false for one that is to be declined.
//
// RFC 7692 §7: «A server MUST decline an extension negotiation offer for this extension if any of the following conditions are
// met: The negotiation offer contains an extension parameter not defined for use in an offer. The negotiation offer contains an
// extension parameter with an invalid value. The negotiation offer contains multiple extension parameters with the same name. The
// server doesn't support the offered configuration.»
func parseDeflate(offer []byte) (d Deflate, ok bool) {
	name, rest := cutOutside(offer, ';')
	if !equalFold(trim(name), "permessage-deflate") {
		return d, false
	}
	var seen [4]bool
	for len(rest) > 0 {
		var parameter []byte
		parameter, rest = cutOutside(rest, ';')
		key, value, hasValue := bytes.Cut(parameter, []byte("="))
		key, value = trim(key), unquoteToken(trim(value))
		which, good := -1, false
		switch {
		case equalFold(key, "server_no_context_takeover"):
			which, good = 0, !hasValue
			d.Alone = true
		case equalFold(key, "client_no_context_takeover"):
			which, good = 1, !hasValue
		case equalFold(key, "server_max_window_bits"):
			d.Bits = windowBits(value)
			which, good = 2, hasValue && d.Bits != 0
		case equalFold(key, "client_max_window_bits"):
			// The value is a hint (§7.1.2.2). The answer does without the parameter: any window of theirs can be read.
			which, good = 3, !hasValue || windowBits(value) != 0
		}
		if !good || seen[which] {
			return Deflate{}, false
		}
		seen[which] = true
	}
	d.On = true
	return d, true
}

func equalFold(b []byte, lowerCase string) bool {
	return len(b) == len(lowerCase) && bytes.EqualFold(b, []byte(lowerCase))
}

// unquoteToken takes the quotes off a value that has both.
//
// RFC 6455 §9.1: «When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the 'token'
// ABNF.»
func unquoteToken(value []byte) []byte {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// windowBits reads a number from 8 to 15; 0 for anything else.
func windowBits(value []byte) uint8 {
	bits := uint8(0)
	for _, c := range value {
		if !isDigit(c) || len(value) > 2 {
			return 0
		}
		bits = 10*bits + c - '0'
	}
	if len(value) == 0 || value[0] == '0' || bits < leastBits || bits > mostBits {
		return 0
	}
	return bits
}

// appendDeflate appends the field that answers an offer, with its line feed before it.
func appendDeflate(dst []byte, d Deflate) []byte {
	if !d.On {
		return dst
	}
	dst = append(dst, "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"...)
	if d.Alone {
		dst = append(dst, "; server_no_context_takeover"...)
	}
	// RFC 7692 §7.1.2.1: «A server accepts an extension negotiation offer with this parameter by including the
	// "server_max_window_bits" extension parameter in the corresponding extension negotiation response [...] with the same or smaller value».
	if d.Bits != 0 {
		dst = strconv.AppendUint(append(dst, "; server_max_window_bits="...), uint64(d.Bits), 10)
	}
	return dst
}
