package wsproto

// This file proves that addresses are read as net/netip reads them.

import (
	"net/netip"
	"strings"
	"testing"
)

// wantAddr reads an address without a zone with net/netip.
func wantAddr(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a.Unmap(), err == nil && a.Zone() == ""
}

func checkAddr(t *testing.T, text string) {
	t.Helper()
	got, ok := parseAddr([]byte(text))
	if want, wantOK := wantAddr(text); ok != wantOK || ok && got != want {
		t.Errorf("%q: got %s, %t, want %s, %t", text, got, ok, want, wantOK)
	}
}

// Addresses are read as net/netip reads them, in every form, in every part of every form, and with each of their
// characters replaced or doubled.
func TestParseAddrAgainstNetip(t *testing.T) {
	for _, text := range []string{"", ".", ":", "::", ":::", "::1", "1::", "1::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
		"::2:3:4:5:6:7:8", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "1::2::3", "1:2:3:4:5:6:7:8:9", "::ffff:192.0.2.1",
		"1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:7:192.0.2.1", "::192.0.2.1:1", "1::192.0.2.1", "192.0.2.1::", "::256.0.0.1",
		"0.0.0.0", "255.255.255.255", "192.0.2.256", "01.2.3.4", "1.2.3", "1.2.3.4.5", "1.2.3.4.", "1..3.4", "1.2.3.4 ",
		"fe80::1%eth0", "2001:db8:cafe::17", "ABCD:EF01:2345:6789:abcd:ef01:2345:6789", "12345::", "g::", "1:2", "1.2.3.4:80",
		"[::1]", "65536.1.1.1", "1.2.3.99999999999999999999"} {
		checkAddr(t, text)
		for i := range text {
			checkAddr(t, text[:i])
			checkAddr(t, text[i:])
			for _, c := range ":.0f5g/@`Gx" {
				checkAddr(t, text[:i]+string(c)+text[i+1:])
				checkAddr(t, text[:i]+string(c)+text[i:])
			}
		}
	}
}

// The same for any text.
func FuzzParseAddr(f *testing.F) {
	f.Add("192.0.2.1")
	f.Add("2001:db8::17")
	f.Add("1:2:3:4:5:6:192.0.2.1")
	f.Add("::ffff:1.2.3.4")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "%") {
			if a, ok := parseAddr([]byte(text)); ok {
				t.Fatalf("%q with a zone is read as %s", text, a)
			}
			return
		}
		checkAddr(t, text)
	})
}
