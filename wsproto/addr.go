package wsproto

// This file owns the reading of IP addresses and small numbers from bytes, without the strings that net/netip wants.

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// parseAddr reads an IP address in the textual forms that net/netip accepts, without a zone. An IPv4 address in IPv6
// form is returned as IPv4.
func parseAddr(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, ':') >= 0 {
		return parseIPv6(b)
	}
	a, ok := parseIPv4(b)
	return netip.AddrFrom4(a), ok
}

// parseIPv4 reads four decimal numbers without leading zeroes.
func parseIPv4(b []byte) (a [4]byte, ok bool) {
	for i := range a {
		field, rest, more := bytes.Cut(b, []byte("."))
		v, ok := parseDecimal(field, 255)
		if !ok || more != (i < len(a)-1) {
			return a, false
		}
		a[i], b = byte(v), rest
	}
	return a, true
}

// parseIPv6 reads the forms of RFC 4291 §2.2: eight groups. "::" may stand for one or more groups of zeros, and an IPv4
// address for the last two groups.
func parseIPv6(b []byte) (netip.Addr, bool) {
	var a [16]byte
	n, gap := 0, -1 // known bytes of a, and how many of them stand before the "::"
	if rest, ok := bytes.CutPrefix(b, []byte("::")); ok {
		gap, b = 0, rest
	}
	for len(b) > 0 && n < len(a) {
		field, rest, more := bytes.Cut(b, []byte(":"))
		if v4, ok := parseIPv4(field); ok && !more && n+len(v4) <= len(a) {
			n += copy(a[n:], v4[:])
			b = rest
			break
		}
		v, ok := parseHexGroup(field)
		if !ok || more && len(rest) == 0 {
			return netip.Addr{}, false
		}
		binary.BigEndian.PutUint16(a[n:], v)
		n += 2
		if more && rest[0] == ':' {
			if gap >= 0 {
				return netip.Addr{}, false
			}
			gap, rest = n, rest[1:]
		}
		b = rest
	}
	if len(b) > 0 || (n == len(a)) != (gap < 0) {
		return netip.Addr{}, false
	}
	if gap >= 0 {
		tail := n - gap
		copy(a[len(a)-tail:], a[gap:n])
		clear(a[gap : len(a)-tail])
	}
	return netip.AddrFrom16(a).Unmap(), true
}

// parseHexGroup reads one to four hexadecimal digits.
func parseHexGroup(b []byte) (v uint16, ok bool) {
	for _, c := range b {
		switch {
		case isDigit(c):
			v = v<<4 | uint16(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | uint16(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, len(b) >= 1 && len(b) <= 4
}

// parseDecimal reads a number from 0 to max, which is at most 65535, without leading zeroes.
func parseDecimal(b []byte, max int) (v int, ok bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, v <= max
}
