package wsproto

// This file owns the header of the PROXY protocol, with which a proxy begins a connection.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
)

const (
	// MaxProxyHeader is the size in bytes of the longest header that ParseProxyHeader accepts.
	MaxProxyHeader = 4096

	// maxProxyLine: PROXY protocol §2.1: «If the CRLF sequence is not found in the first 107 characters, the receiver
	// should declare the line invalid.»
	maxProxyLine = 107

	proxyPrefix    = "PROXY "
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = len(proxySignature) + 4 // signature, version and command, family and protocol, length

	proxyTLVHead   = 3 // type and length
	proxyTLVCRC32C = 3 // PP2_TYPE_CRC32C
)

// ErrNotProxy is the error for a connection that does not begin with a PROXY protocol header.
var ErrNotProxy = errors.New("the connection does not begin with a PROXY protocol header")

// The other errors of ParseProxyHeader.
var (
	errProxyLineEnd  = errors.New("the PROXY line does not end in CRLF within 107 bytes")
	errProxyFamily   = errors.New("the protocol in the PROXY line is not TCP4, TCP6 or UNKNOWN")
	errProxyAddress  = errors.New("the PROXY line does not have two addresses of its family")
	errProxyPort     = errors.New("the PROXY line does not end in two port numbers")
	errProxyCommand  = errors.New("the version of the PROXY header is not 2, or its command not LOCAL or PROXY")
	errProxyProtocol = errors.New("the PROXY header has an address family or protocol that does not exist")
	errProxyShort    = errors.New("the PROXY header is too short for its addresses")
	errProxyLong     = errors.New("the PROXY header is longer than 4096 bytes")
	errProxyTLV      = errors.New("the PROXY header ends in the middle of a field")
	errProxyChecksum = errors.New("the checksum of the PROXY header is wrong")
)

// castagnoli is the table of CRC32c. noChecksum stands in the place of a checksum while it is computed.
var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	noChecksum = make([]byte, 4)
)

// ParseProxyHeader reads the header of the PROXY protocol, version 1 or 2 ("The PROXY protocol, Versions 1 & 2", Willy
// Tarreau, 2020). buf is all bytes received so far.
//
// If n > 0, the header is buf[:n], and src is the client's address and port in the words of the proxy. An IPv4 address
// in IPv6 form is returned as IPv4. If local, the header names no client, and the address of the connection itself
// stands: the proxy checks our health (LOCAL), or the client's protocol is unknown (UNKNOWN, UNSPEC) or not TCP. If n
// == 0 and there is no error, more bytes are needed, at most [MaxProxyHeader] in all. After an error the caller closes
// the connection.
//
// PROXY protocol §5: «Implementers should be very careful about not trying to automatically detect whether they have to
// decode the header or not, but rather they must only rely on a configuration parameter.»
func ParseProxyHeader(buf []byte) (n int, src netip.AddrPort, local bool, err error) {
	switch {
	case startsLike(buf, proxyPrefix):
		return parseProxyLine(buf)
	case startsLike(buf, proxySignature):
		return parseProxyBinary(buf)
	}
	return 0, src, false, ErrNotProxy
}

// startsLike reports whether buf starts with the prefix, or may do so with more bytes.
func startsLike(buf []byte, prefix string) bool {
	n := min(len(buf), len(prefix))
	return string(buf[:n]) == prefix[:n]
}

// parseProxyLine reads version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".
func parseProxyLine(buf []byte) (n int, src netip.AddrPort, local bool, err error) {
	end := bytes.IndexByte(buf[:min(len(buf), maxProxyLine)], '\n')
	switch {
	case end < 0 && len(buf) < maxProxyLine:
		return 0, src, false, nil
	case end < 0 || buf[end-1] != '\r':
		// PROXY protocol §2.1: «The receiver must not tolerate a single CR or LF character to end the line when a
		// complete CRLF sequence is expected.»
		return 0, src, false, errProxyLineEnd
	}
	family, rest, _ := bytes.Cut(buf[len(proxyPrefix):end-1], []byte(" "))
	switch string(family) {
	case "TCP4", "TCP6":
	case "UNKNOWN":
		// PROXY protocol §2.1: «the receiver must ignore anything presented before the CRLF is found»
		return end + 1, src, true, nil
	default:
		return 0, src, false, errProxyFamily
	}
	from, rest, _ := bytes.Cut(rest, []byte(" "))
	to, rest, _ := bytes.Cut(rest, []byte(" "))
	fromPort, toPort, _ := bytes.Cut(rest, []byte(" "))
	addr, ok := parseProxyAddr(from, family[3])
	if _, okTo := parseProxyAddr(to, family[3]); !ok || !okTo {
		return 0, src, false, errProxyAddress
	}
	port, ok := parseDecimal(fromPort, 65535)
	if _, okTo := parseDecimal(toPort, 65535); !ok || !okTo {
		return 0, src, false, errProxyPort
	}
	return end + 1, netip.AddrPortFrom(addr, uint16(port)), false, nil
}

// parseProxyAddr reads an address of a family, '4' or '6'.
//
// PROXY protocol §2.1: «The advertised protocol family dictates what format to use.»
func parseProxyAddr(b []byte, family byte) (netip.Addr, bool) {
	if isIPv6 := bytes.IndexByte(b, ':') >= 0; isIPv6 != (family == '6') {
		return netip.Addr{}, false
	}
	return parseAddr(b)
}

// parseProxyBinary reads version 2. It refuses each fault as soon as it shows.
func parseProxyBinary(buf []byte) (n int, src netip.AddrPort, local bool, err error) {
	const version2, commandLocal, commandProxy = 0x20, 0, 1
	command, protocol := len(proxySignature), len(proxySignature)+1 // their places
	if len(buf) <= command {
		return 0, src, false, nil
	}
	if buf[command] != version2|commandLocal && buf[command] != version2|commandProxy {
		return 0, src, false, errProxyCommand
	}
	local = buf[command] == version2|commandLocal
	if len(buf) <= protocol {
		return 0, src, false, nil
	}
	addresses, ok := proxyAddressSize(buf[protocol])
	if !local && !ok {
		return 0, src, false, errProxyProtocol
	}
	if len(buf) < proxyFixed {
		return 0, src, false, nil
	}
	size := proxyFixed + int(binary.BigEndian.Uint16(buf[proxyFixed-2:]))
	switch {
	case size > MaxProxyHeader:
		return 0, src, false, errProxyLong
	case !local && size < proxyFixed+addresses:
		return 0, src, false, errProxyShort
	case len(buf) < size:
		return 0, src, false, nil
	case local || addresses == 0:
		// PROXY protocol §2.2: «The receiver must accept this connection as valid and must use the real connection
		// endpoints and discard the protocol block including the family which is ignored.»
		return size, src, true, nil
	}
	if err = checkProxyTLVs(buf[:size], proxyFixed+addresses); err != nil {
		return 0, src, false, err
	}
	src, ok = proxySource(buf[protocol], buf[proxyFixed:])
	return size, src, !ok, nil
}

// proxyAddressSize returns the size in bytes of the addresses of a family and protocol, and whether there is such a
// combination. The size for UNSPEC is 0: it defines no addresses.
func proxyAddressSize(protocol byte) (size int, ok bool) {
	switch protocol {
	case 0x00:
		return 0, true
	case 0x11, 0x12: // TCP and UDP over IPv4
		return 2*4 + 2*2, true
	case 0x21, 0x22: // TCP and UDP over IPv6
		return 2*16 + 2*2, true
	case 0x31, 0x32: // Unix stream and datagram
		return 2 * 108, true
	}
	return 0, false
}

// proxySource returns the source of a TCP connection from the block of addresses. ok is false for other protocols.
//
// PROXY protocol §2.2: «A receiver is not required to implement other ones, provided that it automatically falls back
// to the UNSPEC mode for the valid combinations above that it does not support.»
func proxySource(protocol byte, block []byte) (src netip.AddrPort, ok bool) {
	switch protocol {
	case 0x11:
		addr := netip.AddrFrom4([4]byte(block[:4]))
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(block[2*4:])), true
	case 0x21:
		addr := netip.AddrFrom16([16]byte(block[:16])).Unmap()
		return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(block[2*16:])), true
	}
	return src, false
}

// checkProxyTLVs checks that the fields (type, length, value) from at on fill the header exactly, and that the checksum
// is right if there is one. A second checksum is an error: two cannot both be right.
func checkProxyTLVs(header []byte, at int) error {
	checksum := 0 // its place
	for at < len(header) {
		if len(header)-at < proxyTLVHead {
			return errProxyTLV
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += proxyTLVHead
		if size > len(header)-at {
			return errProxyTLV
		}
		if kind == proxyTLVCRC32C {
			if checksum != 0 || size != len(noChecksum) {
				return errProxyChecksum
			}
			checksum = at
		}
		at += size
	}
	if checksum == 0 {
		return nil
	}
	// PROXY protocol §2.2.3: «replace the 32 bits of the checksum field in the received PROXY header with all '0's and
	// calculate a CRC32c checksum value of the whole PROXY header»
	sum := crc32.Checksum(header[:checksum], castagnoli)
	sum = crc32.Update(sum, castagnoli, noChecksum)
	sum = crc32.Update(sum, castagnoli, header[checksum+len(noChecksum):])
	if sum != binary.BigEndian.Uint32(header[checksum:]) {
		return errProxyChecksum
	}
	return nil
}
