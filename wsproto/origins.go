package wsproto

// This file owns the allow list of origins: the web pages that may connect.

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// Origins is a list of web origins (RFC 6454) that may connect. It is not changed after [ParseOrigins], so threads may
// share one. A nil *Origins allows every request, with or without an origin.
//
// It keeps pages of other sites from using the tracker with the browsers of their visitors. A program can send any
// Origin.
type Origins struct {
	// DenyMissing refuses requests without an Origin: browsers always send one, most other programs do not. The caller
	// of ParseOrigins may set it.
	DenyMissing bool

	exact     map[string]bool // as canonicalOrigin returns them
	wildcards []wildcardOrigin
}

// wildcardOrigin allows the subdomains of a host, of any depth, and not the host itself.
type wildcardOrigin struct {
	scheme string // "https://"
	rest   string // ".example.org:8080"
}

// maxOrigin bounds an origin in bytes: a host has at most 253, and the schemes of browser extensions are short.
const maxOrigin = 320

// ParseOrigins reads a list of origins. An empty list allows any origin. An entry is in one of three forms:
//
//	https://example.org:8080   this origin; the port is left out where it is the scheme's own
//	https://*.example.org      every subdomain of example.org with this scheme and port
//	null, file://              pages without an origin of their own, such as local files: browsers differ
//
// Schemes and hosts count without regard to case (RFC 6454 §4: «Let uri-scheme be the scheme component of the URI,
// converted to lowercase.»). Hosts with other letters than those of ASCII are written as browsers send them (xn--…).
// The error names the entry.
func ParseOrigins(list []string) (*Origins, error) {
	o := &Origins{exact: map[string]bool{}}
	for _, entry := range list {
		if entry == "null" || entry == "file://" {
			o.exact[entry] = true
			continue
		}
		text := canonicalOrigin(lower(make([]byte, 0, len(entry)), []byte(entry)))
		scheme, authority, ok := strings.Cut(string(text), "://")
		host, port, hasPort := cutPort(authority)
		base, wild := strings.CutPrefix(host, "*.")
		switch {
		case !ok || !isScheme(scheme) || !isOriginHost(base) || hasPort && !isPort(port) || len(text) > maxOrigin,
			wild && base[0] == '[':
			return nil, fmt.Errorf("%q is not an origin: write it as browsers send it (https://example.org, "+
				"https://example.org:8080), with all subdomains (https://*.example.org) or as null", entry)
		case wild:
			o.wildcards = append(o.wildcards, wildcardOrigin{scheme + "://", authority[1:]})
		default:
			o.exact[string(text)] = true
		}
	}
	return o, nil
}

// Allows reports whether a request with this value of the field Origin may connect. present is false if it has no such
// field. It allocates nothing.
//
// RFC 6454 §5: «If the two origins are scheme/host/port triples, the two origins are the same if, and only if, they
// have identical schemes, hosts, and ports.» The value "null" has no other spelling.
func (o *Origins) Allows(origin []byte, present bool) bool {
	switch {
	case o == nil:
		return true
	case !present:
		return !o.DenyMissing
	case len(o.exact) == 0 && len(o.wildcards) == 0:
		return true
	}
	var folded [maxOrigin + len(":443")]byte
	text := canonicalOrigin(lower(folded[:0], origin))
	if o.exact[string(text)] {
		return string(text) != "null" || string(origin) == "null"
	}
	for _, w := range o.wildcards {
		sub, isScheme := bytes.CutPrefix(text, []byte(w.scheme))
		sub, isHost := bytes.CutSuffix(sub, []byte(w.rest))
		if isScheme && isHost && isDomain(sub) {
			return true
		}
	}
	return false
}

// canonicalOrigin returns the lower-case origin without the port that its scheme has anyway.
func canonicalOrigin(text []byte) []byte {
	switch {
	case bytes.HasPrefix(text, []byte("https://")):
		return bytes.TrimSuffix(text, []byte(":443"))
	case bytes.HasPrefix(text, []byte("http://")):
		return bytes.TrimSuffix(text, []byte(":80"))
	}
	return text
}

// cutPort splits host and port. A colon within brackets belongs to an IPv6 address.
func cutPort(authority string) (host, port string, ok bool) {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.HasSuffix(authority, "]") {
		return authority, "", false
	}
	return authority[:colon], authority[colon+1:], true
}

// isScheme reports whether s is a URI scheme in lower case (RFC 3986 §3.1).
func isScheme(s string) bool {
	for i := range len(s) {
		letter := 'a' <= s[i] && s[i] <= 'z'
		if !letter && (i == 0 || !isDigit(s[i]) && s[i] != '+' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != ""
}

// isOriginHost reports whether s is a domain in lower case, an IPv4 address, or an IPv6 address in brackets as browsers
// write it.
func isOriginHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Zone() == "" && "["+addr.String()+"]" == s
	}
	return isDomain([]byte(s))
}

// isDomain reports whether b is one or more labels of a domain in lower case, with dots between them.
func isDomain(b []byte) bool {
	last := byte('.')
	for _, c := range b {
		if c == '.' && last == '.' || c != '.' && c != '-' && c != '_' && !isDigit(c) && (c < 'a' || c > 'z') {
			return false
		}
		last = c
	}
	return last != '.'
}

// isPort reports whether s is a port as browsers write it: without leading zeros.
func isPort(s string) bool {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) || n > 1<<16 {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return s != "" && s[0] != '0' && n < 1<<16
}
