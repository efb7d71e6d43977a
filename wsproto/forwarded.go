package wsproto

// This file owns the client's address behind reverse proxies: the fields X-Forwarded-For and Forwarded of a request.

import (
	"bytes"
	"net/netip"
)

const (
	xForwardedFor = "x-forwarded-for"
	forwarded     = "forwarded"

	// maxForwardedHops bounds the walk along a list of addresses. Real chains of proxies are a few long.
	maxForwardedHops = 64
	// maxForwardedNode bounds a quoted node in bytes: an address and an obfuscated port.
	maxForwardedNode = 64
)

// ForwardedClient returns the address of the client behind trusted proxies, from all lines of X-Forwarded-For and
// Forwarded (RFC 7239). The head that r was read from must be unchanged. Call it only for a connection from a trusted
// proxy: anybody else can write any address there.
//
// Each proxy appends the address that it was reached from, so the list is read from its end. A trusted address belongs
// to another proxy, and the entry before it counts too. The first address that is not trusted is the client's. The
// client may have made up the entries before that, so they are never read. The walk also ends at the front of the list
// and at an entry that is no address ("unknown", an obfuscated identifier, no "for", malformed); the result is then the
// last address before the end of the walk. ok is false if there is none: then the address of the connection itself
// stands. IPv4 addresses in IPv6 form are returned, and given to trusted, as IPv4.
//
// If X-Forwarded-For has an entry, even one that is no address, Forwarded is not read. A proxy appends to the field
// that it knows and passes the other on as the client wrote it. Nearly all proxies know X-Forwarded-For. A proxy that
// writes Forwarded has to remove X-Forwarded-For.
//
// RFC 9110 §5.3: «A recipient MAY combine multiple field lines within a field section that have the same field name
// into one field line, without changing the semantics of the message, by appending each subsequent field line value to
// the initial field line value in order, separated by a comma»
func (r *Request) ForwardedClient(trusted func(netip.Addr) bool) (client netip.Addr, ok bool) {
	w := forwardedWalk{trusted: trusted}
	if w.lines(r.fields, xForwardedFor); w.hops == 0 {
		w.lines(r.fields, forwarded)
	}
	return w.client, w.client.IsValid()
}

// forwardedWalk is a walk from the nearest proxy towards the client.
type forwardedWalk struct {
	trusted func(netip.Addr) bool
	client  netip.Addr // the farthest address so far
	hops    int        // entries so far, empty ones not counted
}

// lines walks over the values of all lines of one field, the last line first. A quoted string ends with its line.
func (w *forwardedWalk) lines(fields []byte, name string) {
	for len(fields) > 0 {
		line := fields
		if end := bytes.LastIndex(fields, []byte("\r\n")); end >= 0 {
			line, fields = fields[end+2:], fields[:end]
		} else {
			fields = nil
		}
		var folded [24]byte
		lineName, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case string(lower(folded[:0], lineName)) != name:
		case name == xForwardedFor && !w.xForwardedFor(value), name == forwarded && !w.forwarded(value):
			return
		}
	}
}

// hop notes the next entry, whose address is valid if ok, and reports whether the walk goes on.
func (w *forwardedWalk) hop(addr netip.Addr, ok bool) bool {
	if w.hops++; !ok || w.hops > maxForwardedHops {
		return false
	}
	w.client = addr
	return w.trusted(addr)
}

// xForwardedFor walks over one value of X-Forwarded-For and reports whether the walk goes on before it.
func (w *forwardedWalk) xForwardedFor(list []byte) bool {
	for len(list) > 0 {
		entry := list
		if comma := bytes.LastIndexByte(list, ','); comma >= 0 {
			list, entry = list[:comma], list[comma+1:]
		} else {
			list = nil
		}
		if entry = trim(entry); len(entry) > 0 && !w.hop(parseXForwardedFor(entry)) {
			return false
		}
	}
	return true
}

// parseXForwardedFor reads an entry of X-Forwarded-For: an address. All but a bare IPv6 address may have a port.
func parseXForwardedFor(entry []byte) (netip.Addr, bool) {
	if bytes.Count(entry, []byte(":")) >= 2 && entry[0] != '[' {
		return parseIPv6(entry)
	}
	return parseForwardedNode(entry)
}

// forwarded walks over one value of Forwarded and reports whether the walk goes on before it.
func (w *forwardedWalk) forwarded(list []byte) bool {
	for len(list) > 0 {
		var element []byte
		list, element = cutLastElement(list)
		if element = trim(element); len(element) > 0 && !w.hop(parseForwardedElement(element)) {
			return false
		}
	}
	return true
}

// cutLastElement splits off the element after the last comma outside quoted strings. It finds the strings from the end,
// which a trusted proxy has written: nothing that a client writes before it, such as an open quote, can hide it.
func cutLastElement(list []byte) (rest, element []byte) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:]
		case list[i] == '"':
			slashes := 0
			for slashes < i && list[i-1-slashes] == '\\' {
				slashes++
			}
			if slashes%2 == 0 {
				quoted = !quoted
			}
		}
	}
	return nil, list
}

// parseForwardedElement reads one element and returns the address of its "for".
//
// RFC 7239 §4: «forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )», «forwarded-pair = token "="
// value». White space around a pair is accepted, though the grammar has none. «Each parameter MUST NOT occur more than
// once per field-value»: a second "for" makes the element malformed.
func parseForwardedElement(element []byte) (netip.Addr, bool) {
	var node []byte
	for rest := element; len(rest) > 0; {
		if rest[0] == ';' {
			rest = trim(rest[1:])
			continue
		}
		name, after, ok := bytes.Cut(rest, []byte("="))
		if !ok || !isToken(name) {
			return netip.Addr{}, false
		}
		size := valueSize(after)
		value := after[:size]
		rest = trim(after[size:])
		if size == 0 || len(rest) > 0 && rest[0] != ';' {
			return netip.Addr{}, false
		}
		var folded [8]byte
		if string(lower(folded[:0], name)) == "for" {
			if node != nil {
				return netip.Addr{}, false
			}
			node = value
		}
	}
	if len(node) > 0 && node[0] == '"' {
		var plain [maxForwardedNode]byte
		return parseForwardedNode(unquote(plain[:0], node))
	}
	return parseForwardedNode(node)
}

// valueSize returns the size of the token or quoted string at the front of b, 0 if there is none.
func valueSize(b []byte) int {
	n := 0
	if len(b) == 0 || b[0] != '"' {
		for n < len(b) && isTokenChar(b[n]) {
			n++
		}
		return n
	}
	for n = 1; n < len(b); n++ {
		switch b[n] {
		case '"':
			return n + 1
		case '\\':
			n++
		}
	}
	return 0
}

// unquote appends the content of a complete quoted string to dst, or nothing if it does not fit.
//
// RFC 9110 §5.6.4: «Recipients that process the value of a quoted-string MUST handle a quoted-pair as if it were
// replaced by the octet following the backslash.»
func unquote(dst, quoted []byte) []byte {
	content := quoted[1 : len(quoted)-1]
	if len(content) > cap(dst) {
		return dst
	}
	for i := 0; i < len(content); i++ {
		if content[i] == '\\' {
			i++
		}
		dst = append(dst, content[i])
	}
	return dst
}

// parseForwardedNode reads a node and returns its address. It returns false for a node that has none.
//
// RFC 7239 §6: «node = nodename [ ":" node-port ]», «nodename = IPv4address / "[" IPv6address "]" / "unknown" /
// obfnode», «node-port = port / obfport», «port = 1*5DIGIT», «obfport = "_" 1*(ALPHA / DIGIT / "." / "_" / "-")»
func parseForwardedNode(node []byte) (addr netip.Addr, ok bool) {
	rest, bracketed := bytes.CutPrefix(node, []byte("["))
	name, port, hasPort := bytes.Cut(rest, []byte(":"))
	if bracketed {
		if name, port, ok = bytes.Cut(rest, []byte("]")); !ok {
			return addr, false
		}
		port, hasPort = bytes.CutPrefix(port, []byte(":"))
		if !hasPort && len(port) > 0 {
			return addr, false
		}
		addr, ok = parseIPv6(name)
	} else {
		var a [4]byte
		a, ok = parseIPv4(name)
		addr = netip.AddrFrom4(a)
	}
	if !ok || hasPort && !isNodePort(port) {
		return netip.Addr{}, false
	}
	return addr, true
}

// isNodePort reports whether b is a port number or an obfuscated port.
func isNodePort(b []byte) bool {
	obfuscated := len(b) > 1 && b[0] == '_'
	if !obfuscated && (len(b) == 0 || len(b) > 5) {
		return false
	}
	for _, c := range b {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '.' || c == '_' || c == '-'
		if !isDigit(c) && !(obfuscated && letter) {
			return false
		}
	}
	return true
}
