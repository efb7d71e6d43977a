package wsproto

// This file proves that the PROXY protocol is read as its specification says, however the header is cut.

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

// The address blocks of version 2, from 192.0.2.1 port 56324 to 198.51.100.2 port 443, and the same in IPv6.
const (
	testBlock4    = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
	testBlock6    = "\x20\x01\x0d\xb8" + zeroes11 + "\x01\x20\x01\x0d\xb8" + zeroes11 + "\x02\xdc\x04\x01\xbb"
	testBlock4in6 = zeroes10 + "\xff\xff\xc0\x00\x02\x01" + zeroes10 + "\xff\xff\xc6\x33\x64\x02\xdc\x04\x01\xbb"
	zeroes10      = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	zeroes11      = zeroes10 + "\x00"
)

// binaryHeader returns a header of version 2 whose length is that of its body.
func binaryHeader(command, protocol byte, body string) string {
	header := append([]byte(proxySignature), command, protocol)
	return string(binary.BigEndian.AppendUint16(header, uint16(len(body)))) + body
}

// withChecksum fills in the checksum, whose four zero bytes are at the place.
func withChecksum(header string, at int) string {
	b := []byte(header)
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

// parseProxyChopped parses ever longer beginnings and checks that there is no result before the last byte that counts.
func parseProxyChopped(t *testing.T, buf []byte) (n int, src netip.AddrPort, local bool, err error) {
	t.Helper()
	for have := range len(buf) + 1 {
		n, src, local, err = ParseProxyHeader(buf[:have])
		if n != 0 || err != nil {
			if n != 0 && n != have || n != 0 && err != nil {
				t.Fatalf("%.300q: of the first %d bytes %d are the header, error %v", buf, have, n, err)
			}
			return n, src, local, err
		}
		if src.IsValid() || local {
			t.Fatalf("%.300q: the first %d bytes give %s, %t", buf, have, src, local)
		}
	}
	return n, src, local, err
}

// Good headers, in one piece with more bytes behind them and byte by byte. An empty source is a local one.
func TestParseProxyHeader(t *testing.T) {
	f := func(header, want string) {
		t.Helper()
		var wantSrc netip.AddrPort
		if want != "" {
			wantSrc = netip.MustParseAddrPort(want)
		}
		check := func(n int, src netip.AddrPort, local bool, err error) {
			t.Helper()
			if n != len(header) || src != wantSrc || local != (want == "") || err != nil {
				t.Errorf("%.300q: %d bytes, %s, local %t, error %v", header, n, src, local, err)
			}
		}
		check(ParseProxyHeader([]byte(header + "GET / HTTP/1.1\r\n")))
		check(ParseProxyHeader([]byte(header)))
		check(parseProxyChopped(t, []byte(header)))
	}
	f("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1:56324")
	f("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535")
	f("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0")
	f("PROXY TCP6 2001:db8::1 2001:DB8::2 56324 443\r\n", "[2001:db8::1]:56324")
	f("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n", "192.0.2.1:1")
	full := strings.Repeat("ffff:", 7) + "ffff"
	f("PROXY TCP6 "+full+" "+full+" 65535 65535\r\n", "["+full+"]:65535")
	f("PROXY UNKNOWN\r\n", "")
	f("PROXY UNKNOWN "+full+" "+full+" 65535 65535\r\n", "")
	f("PROXY UNKNOWN \x00\xff any\rthing\r\n", "")

	f(binaryHeader(0x21, 0x11, testBlock4), "192.0.2.1:56324")
	f(binaryHeader(0x21, 0x21, testBlock6), "[2001:db8::1]:56324")
	f(binaryHeader(0x21, 0x21, testBlock4in6), "192.0.2.1:56324")
	f(binaryHeader(0x21, 0x12, testBlock4), "")
	f(binaryHeader(0x21, 0x22, testBlock6), "")
	f(binaryHeader(0x21, 0x31, strings.Repeat("u", 216)), "")
	f(binaryHeader(0x21, 0x32, strings.Repeat("u", 216)+"\x04\x00\x00"), "")
	f(binaryHeader(0x21, 0x00, ""), "")
	f(binaryHeader(0x21, 0x00, "whatever"), "")
	f(binaryHeader(0x20, 0x00, ""), "")
	f(binaryHeader(0x20, 0x11, testBlock4), "")
	f(binaryHeader(0x20, 0x11, "x"), "")
	f(binaryHeader(0x20, 0xff, strings.Repeat("x", 4080)), "")
	f(binaryHeader(0x21, 0x11, testBlock4+"\x04\x00\x00"), "192.0.2.1:56324")
	f(binaryHeader(0x21, 0x11, testBlock4+"\x01\x00\x08http/1.1\xe0\x00\x01x\x04\x00\x02\x03\x00"), "192.0.2.1:56324")
	f(binaryHeader(0x21, 0x11, testBlock4+"\x04\x0f\xe1"+strings.Repeat("x", 4065)), "192.0.2.1:56324")
	f(withChecksum(binaryHeader(0x21, 0x11, testBlock4+"\x03\x00\x04\x00\x00\x00\x00"), 31), "192.0.2.1:56324")
	f(withChecksum(binaryHeader(0x21, 0x21, testBlock6+"\x04\x00\x01x\x03\x00\x04\x00\x00\x00\x00\x02\x00\x01h"), 59),
		"[2001:db8::1]:56324")
}

// Each fault is refused with its own error, in one piece and byte by byte.
func TestParseProxyHeaderErrors(t *testing.T) {
	f := func(want error, headers ...string) {
		t.Helper()
		for _, header := range headers {
			if n, src, local, err := ParseProxyHeader([]byte(header)); n != 0 || src.IsValid() || local || err != want {
				t.Errorf("%.300q: %d bytes, %s, local %t, error %v, want %v", header, n, src, local, err, want)
			}
			if _, _, _, err := parseProxyChopped(t, []byte(header)); err != want {
				t.Errorf("%.300q byte by byte: error %v, want %v", header, err, want)
			}
		}
	}
	f(ErrNotProxy, "GET / HTTP/1.1\r\n", "\x16\x03\x01", "PROXY\t", "proxy ", "PROXYTCP4", "\r\n\r\n\x00\r\nQUIT\r",
		"\r\nP", "P ")
	line := func(fields string) string { return "PROXY " + fields + "\r\n" }
	f(errProxyLineEnd, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n", "PROXY \n", "PROXY UNKNOWN\n",
		"PROXY UNKNOWN "+strings.Repeat("x", 107), line("UNKNOWN "+strings.Repeat("x", 107-len(line("UNKNOWN "))+1)))
	f(errProxyFamily, line(""), line("TCP"), line("TCP5 1.2.3.4 1.2.3.4 1 2"), line("tcp4 1.2.3.4 1.2.3.4 1 2"),
		line(" TCP4 1.2.3.4 1.2.3.4 1 2"), line("UNKNOWNS"), line("UDP4 1.2.3.4 1.2.3.4 1 2"))
	f(errProxyAddress, line("TCP4"), line("TCP4 "), line("TCP4 1.2.3.4"), line("TCP4 1.2.3.4  1.2.3.4 1 2"),
		line("TCP4  1.2.3.4 1.2.3.4 1 2"), line("TCP4 01.2.3.4 1.2.3.4 1 2"), line("TCP4 1.2.3.4 1.2.3.256 1 2"),
		line("TCP4 ::1 ::1 1 2"), line("TCP4 ::ffff:1.2.3.4 ::ffff:1.2.3.4 1 2"), line("TCP6 1.2.3.4 1.2.3.4 1 2"),
		line("TCP6 ::1 1.2.3.4 1 2"), line("TCP6 fe80::1%1 ::1 1 2"), line("TCP6 [::1] ::1 1 2"),
		line("TCP6 ::1\r ::1 1 2"))
	f(errProxyPort, line("TCP4 1.2.3.4 1.2.3.4"), line("TCP4 1.2.3.4 1.2.3.4 1"), line("TCP4 1.2.3.4 1.2.3.4 1 "),
		line("TCP4 1.2.3.4 1.2.3.4 01 2"), line("TCP4 1.2.3.4 1.2.3.4 1 02"), line("TCP4 1.2.3.4 1.2.3.4 1 65536"),
		line("TCP4 1.2.3.4 1.2.3.4 65536 1"), line("TCP4 1.2.3.4 1.2.3.4 -1 2"), line("TCP4 1.2.3.4 1.2.3.4 +1 2"),
		line("TCP4 1.2.3.4 1.2.3.4 1  2"), line("TCP4 1.2.3.4 1.2.3.4 1 2 "), line("TCP4 1.2.3.4 1.2.3.4 1 2 3"),
		line("TCP4 1.2.3.4 1.2.3.4 1 2\r"), line("TCP4 1.2.3.4 1.2.3.4 0x1 2"))

	f(errProxyCommand, binaryHeader(0x11, 0x11, testBlock4), binaryHeader(0x31, 0x11, testBlock4),
		binaryHeader(0x22, 0x11, testBlock4), binaryHeader(0x01, 0x11, testBlock4), binaryHeader(0x2f, 0, ""))
	f(errProxyProtocol, binaryHeader(0x21, 0x10, testBlock4), binaryHeader(0x21, 0x01, testBlock4),
		binaryHeader(0x21, 0x13, testBlock4), binaryHeader(0x21, 0x41, testBlock4), binaryHeader(0x21, 0xff, testBlock4))
	f(errProxyShort, binaryHeader(0x21, 0x11, testBlock4[1:]), binaryHeader(0x21, 0x21, testBlock6[1:]),
		binaryHeader(0x21, 0x31, strings.Repeat("u", 215)), binaryHeader(0x21, 0x11, ""))
	f(errProxyLong, binaryHeader(0x20, 0, strings.Repeat("x", 4081)),
		binaryHeader(0x21, 0x11, strings.Repeat("x", 65535)))
	f(errProxyTLV, binaryHeader(0x21, 0x11, testBlock4+"\x04"), binaryHeader(0x21, 0x11, testBlock4+"\x04\x00"),
		binaryHeader(0x21, 0x11, testBlock4+"\x04\x00\x01"), binaryHeader(0x21, 0x11, testBlock4+"\x04\x00\x01xy"),
		binaryHeader(0x21, 0x12, testBlock4+"\x04\xff\xffx"), binaryHeader(0x21, 0x31, strings.Repeat("u", 217)))
	good := withChecksum(binaryHeader(0x21, 0x11, testBlock4+"\x03\x00\x04\x00\x00\x00\x00\x04\x00\x01x"), 31)
	for _, at := range []int{16, 24, 27, 31, 34, 35, len(good) - 1} {
		bad := []byte(good)
		bad[at] ^= 1
		f(errProxyChecksum, string(bad))
	}
	const checksum = "\x03\x00\x04\x00\x00\x00\x00"
	f(errProxyChecksum, withChecksum(binaryHeader(0x21, 0x11, testBlock4+checksum+checksum), 31),
		withChecksum(binaryHeader(0x21, 0x11, testBlock4+checksum+checksum), 38),
		binaryHeader(0x21, 0x11, testBlock4+"\x03\x00\x00"),
		binaryHeader(0x21, 0x11, testBlock4+"\x03\x00\x05\x00\x00\x00\x00\x00"))
}

// The checksum is CRC32c: the value for a header that was computed bit by bit, with the polynomial of RFC 4960,
// appendix B.
func TestProxyChecksumIsCRC32c(t *testing.T) {
	header := binaryHeader(0x21, 0x11, testBlock4+"\x03\x00\x04\x00\x00\x00\x00")
	sum := ^uint32(0)
	for _, b := range []byte(header) {
		sum ^= uint32(b)
		for range 8 {
			sum = sum>>1 ^ 0x82f63b78*(sum&1)
		}
	}
	buf := binary.BigEndian.AppendUint32([]byte(header[:31]), ^sum)
	if n, _, _, err := ParseProxyHeader(buf); n != len(buf) || err != nil {
		t.Fatalf("%d bytes, error %v", n, err)
	}
}

// proxyLine is version 1 as a regular expression. A match is good if net/netip reads its addresses.
var proxyLine = regexp.MustCompile(
	`^PROXY (?:UNKNOWN(?: [^\n]*)?|TCP(4|6) ([^ \n]+) ([^ \n]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4}))\r\n`)

// wantProxyLine reads a line of version 1 the plain way.
func wantProxyLine(buf []byte) (n int, src netip.AddrPort, local bool) {
	m := proxyLine.FindSubmatch(buf[:min(len(buf), maxProxyLine)])
	if m == nil {
		return 0, src, false
	}
	if m[1] == nil {
		return len(m[0]), src, true
	}
	from, err1 := netip.ParseAddrPort("[" + string(m[2]) + "]:" + string(m[4]))
	to, err2 := netip.ParseAddrPort("[" + string(m[3]) + "]:" + string(m[5]))
	if m[1][0] == '4' {
		from, err1 = netip.ParseAddrPort(string(m[2]) + ":" + string(m[4]))
		to, err2 = netip.ParseAddrPort(string(m[3]) + ":" + string(m[5]))
	}
	if err1 != nil || err2 != nil || from.Addr().Zone()+to.Addr().Zone() != "" {
		return 0, src, false
	}
	return len(m[0]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), false
}

// However a header is cut, the result is the same and within its bounds. A line of version 1 is read as the plain way
// reads it. If a checksum is added to a header of version 2, a change of any bit before its fields is noticed.
func FuzzParseProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET"))
	f.Add([]byte("PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 56324 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN any thing\r\n"))
	f.Add([]byte(binaryHeader(0x21, 0x11, testBlock4+"\x04\x00\x01x")))
	f.Add([]byte(binaryHeader(0x21, 0x21, testBlock6)))
	f.Add([]byte(binaryHeader(0x20, 0x00, "")))
	f.Add([]byte(withChecksum(binaryHeader(0x21, 0x11, testBlock4+"\x03\x00\x04\x00\x00\x00\x00"), 31)))
	f.Fuzz(func(t *testing.T, buf []byte) {
		n, src, local, err := ParseProxyHeader(buf)
		n2, src2, local2, err2 := parseProxyChopped(t, buf)
		if n != n2 || src != src2 || local != local2 || err != err2 {
			t.Fatalf("%d, %s, %t, %v in one piece, and %d, %s, %t, %v byte by byte",
				n, src, local, err, n2, src2, local2, err2)
		}
		if n > MaxProxyHeader || n == 0 && err == nil && len(buf) >= MaxProxyHeader || n > 0 && src.IsValid() == local ||
			src.Addr().Is4In6() {
			t.Fatalf("%d bytes of %d, %s, local %t, error %v", n, len(buf), src, local, err)
		}
		if len(buf) > 0 && buf[0] != '\r' {
			if wantN, wantSrc, wantLocal := wantProxyLine(buf); n != wantN || src != wantSrc || local != wantLocal {
				t.Fatalf("%d bytes, %s, local %t, want %d, %s, %t", n, src, local, wantN, wantSrc, wantLocal)
			}
			return
		}
		if n == 0 || local || n > 512 {
			return
		}
		size, _ := proxyAddressSize(buf[13])
		header := []byte(withChecksum(string(buf[:n])+"\x03\x00\x04\x00\x00\x00\x00", n+3))
		if checkProxyTLVs(header, proxyFixed+size) != nil {
			return // it has a checksum already
		}
		for bit := range 8 * (proxyFixed + size) {
			header[bit/8] ^= 1 << (bit % 8)
			if checkProxyTLVs(header, proxyFixed+size) == nil {
				t.Fatalf("the checksum is right with bit %d changed", bit)
			}
			header[bit/8] ^= 1 << (bit % 8)
		}
	})
}

// No header, good or bad, costs an allocation.
func TestParseProxyHeaderAllocations(t *testing.T) {
	for _, header := range []string{"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "PROXY TCP6 ::1 ::1 1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 56324 x\r\n", "GET /", binaryHeader(0x21, 0x21, testBlock6),
		binaryHeader(0x2f, 0, ""),
		withChecksum(binaryHeader(0x21, 0x11, testBlock4+"\x03\x00\x04\x00\x00\x00\x00"), 31)} {
		buf := []byte(header)
		if n := testing.AllocsPerRun(100, func() { _, _, _, _ = ParseProxyHeader(buf) }); n != 0 {
			t.Errorf("%q: %v allocations", header, n)
		}
	}
	if _, _, _, err := ParseProxyHeader([]byte("x")); !errors.Is(err, ErrNotProxy) {
		t.Errorf("error %v", err)
	}
}
