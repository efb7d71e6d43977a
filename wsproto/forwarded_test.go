package wsproto

// This file proves that no client can choose its address in X-Forwarded-For or Forwarded.

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// trustedProxy trusts 10.0.0.0/8 and fd00::/8.
func trustedProxy(a netip.Addr) bool {
	if a.Is4() {
		return a.As4()[0] == 10
	}
	return a.As16()[0] == 0xfd
}

// forwardedClient is Request.ForwardedClient for one value of each field, which need not fit into a head.
func forwardedClient(xff, forwarded string) (netip.Addr, bool) {
	w := forwardedWalk{trusted: trustedProxy}
	if w.xForwardedFor([]byte(xff)); w.hops == 0 {
		w.forwarded([]byte(forwarded))
	}
	return w.client, w.client.IsValid()
}

func checkForwarded(t *testing.T, xff, forwarded, want string) {
	t.Helper()
	got, ok := forwardedClient(xff, forwarded)
	if want == "" {
		if ok || got.IsValid() {
			t.Errorf("%.200q, %.200q: got %s, want nothing", xff, forwarded, got)
		}
		return
	}
	if !ok || got != netip.MustParseAddr(want) {
		t.Errorf("%.200q, %.200q: got %s, want %s", xff, forwarded, got, want)
	}
}

// In X-Forwarded-For the client is the last address that is not trusted. An entry that is no address ends the walk.
func TestXForwardedFor(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		checkForwarded(t, value, "", want)
	}
	f("", "")
	f(" , ,\t,", "")
	f("192.0.2.1", "192.0.2.1")
	f("203.0.113.9, 192.0.2.1", "192.0.2.1")
	f("203.0.113.9,192.0.2.1,10.0.0.1", "192.0.2.1")
	f("203.0.113.9, 192.0.2.1\t,  10.0.0.1 , 10.9.9.9", "192.0.2.1")
	f("10.0.0.3, 192.0.2.1, 10.0.0.1", "192.0.2.1")
	f("10.0.0.2, 10.0.0.1", "10.0.0.2")
	f(",192.0.2.1,,10.0.0.1,", "192.0.2.1")
	f("2001:db8::1, fd00::1", "2001:db8::1")
	f("[2001:db8::1], [fd00::1]:80", "2001:db8::1")
	f("[2001:db8::1]:56324", "2001:db8::1")
	f("192.0.2.1:56324, 10.0.0.1:80", "192.0.2.1")
	f("::ffff:192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1")
	f("[::ffff:192.0.2.1]:1, 10.0.0.1", "192.0.2.1")
	for _, bad := range []string{"unknown", "_hidden", "-", "192.0.2.1 192.0.2.2", "192.0.2", "192.0.2.1:", "192.0.2.1:x",
		"192.0.2.1:123456", "[2001:db8::1", "2001:db8::1]", "[192.0.2.1]", "[2001:db8::1]80", "[2001:db8::1]:",
		"fe80::1%eth0", "[fe80::1%1]", `"192.0.2.1"`, "for=192.0.2.1", "localhost", ":", "[", "[]", "]", ":80", "\xff"} {
		f(bad, "")
		f("192.0.2.1, "+bad, "")
		f("192.0.2.1, "+bad+", 10.0.0.1", "10.0.0.1")
		f(bad+", 192.0.2.1, 10.0.0.1", "192.0.2.1")
	}
	f("192.0.2.1"+strings.Repeat(",10.0.0.1", maxForwardedHops-1), "192.0.2.1")
	f("192.0.2.1"+strings.Repeat(",10.0.0.1", maxForwardedHops), "10.0.0.1")
}

// The same for Forwarded, with the examples of RFC 7239, and with everything that a client could write to hide an entry
// of a proxy.
func TestForwarded(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		checkForwarded(t, "", value, want)
	}
	f("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60")
	f(`For="[2001:db8:cafe::17]:4711"`, "2001:db8:cafe::17")
	f("for=192.0.2.43, for=198.51.100.17", "198.51.100.17")
	f("for=192.0.2.43,for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com", "198.51.100.17")
	f(`for=192.0.2.43, for="[fd00:db8:cafe::17]"`, "192.0.2.43")
	f(`for="_gazonk"`, "")
	f("for=_hidden, for=_SEVKISEK", "")
	f(`for=_mdn;host="a,b";FOR=192.0.2.1`, "")
	f(`host="a,b;c=\",";FOR=192.0.2.1 ; by="x" , for=10.0.0.1`, "192.0.2.1")
	f(`for="192.0.2.1:47011", for="10.0.0.1:_port.1-x"`, "192.0.2.1")
	f(`for="\192.\0.2\.1"`, "192.0.2.1")
	f(`for="[::ffff:192.0.2.1]"`, "192.0.2.1")
	f(";;for=192.0.2.1;,", "192.0.2.1")
	f("for=10.0.0.2, for=10.0.0.1", "10.0.0.2")
	for _, bad := range []string{"unknown", `"unknown"`, "_x", "", `""`, `"192.0.2.1`, `"192.0.2.1\"`, "2001:db8::1",
		`"2001:db8::1"`, "[2001:db8::1]", `"[192.0.2.1]"`, `"[2001:db8::1]:123456"`, `"[2001:db8::1]:_"`, `"[2001:db8::1]:x"`,
		"192.0.2.1:80", `"192.0.2.1:"`, `"192.0.2.1" x`, "192.0.2.1 x", "192.0.2.1 by=x", `"192.0.2.1"by=x`,
		"192.0.2.1;for=192.0.2.1", "192.0.2.1;x", "192.0.2.1;=x",
		"192.0.2.1;by", "192.0.2.1;by=", "192.0.2.1;a b=c", ` 192.0.2.1`, `"192.0.2.1"x`, `"[fe80::1%1]"`,
		`"192.0.2.1:_` + strings.Repeat("x", maxForwardedNode) + `"`} {
		f("for="+bad, "")
		f("for=192.0.2.1, for="+bad, "")
		f("for=192.0.2.1, for="+bad+", for=10.0.0.1", "10.0.0.1")
		f("for="+bad+", for=192.0.2.1, for=10.0.0.1", "192.0.2.1")
	}
	f("by=192.0.2.1", "")
	f("192.0.2.1", "")
	for _, lie := range []string{`for="`, `for=203.0.113.9;x="`, `for=203.0.113.9;x="\`, `for=203.0.113.9;x="\\"`, `x="",`,
		`"`, `\`, `""""`, `for="\",for=203.0.113.9;x="`} {
		f(lie+", for=192.0.2.1", "192.0.2.1")
		f(lie+`, for="192.0.2.1:80";by="a,\"b"`, "192.0.2.1")
		f(lie+`, for="[2001:db8::1]", for="10.0.0.1"`, "2001:db8::1")
	}
	f("for=192.0.2.1"+strings.Repeat(",for=10.0.0.1", maxForwardedHops-1), "192.0.2.1")
	f("for=192.0.2.1"+strings.Repeat(",for=10.0.0.1", maxForwardedHops), "10.0.0.1")
}

// Where X-Forwarded-For has an entry, even a bad one, Forwarded says nothing.
func TestXForwardedForComesFirst(t *testing.T) {
	checkForwarded(t, "192.0.2.1", "for=203.0.113.9", "192.0.2.1")
	checkForwarded(t, "unknown", "for=203.0.113.9", "")
	checkForwarded(t, "10.0.0.1", "for=203.0.113.9", "10.0.0.1")
	checkForwarded(t, ", ,", "for=203.0.113.9", "203.0.113.9")
}

// All lines of a field in a request are one list, in their order, with any other lines between them.
func TestRequestForwardedClient(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		joined := strings.Join(lines, "\r\n")
		check := func(head string) {
			t.Helper()
			req, n, status := ParseUpgrade([]byte(head+"\x81\x80"), 0, testMaxHead)
			if n == 0 || status != 0 {
				t.Fatalf("%q: status %d", head, status)
			}
			got, ok := req.ForwardedClient(trustedProxy)
			if ok != (want != "") || ok && got != netip.MustParseAddr(want) {
				t.Errorf("%q: got %s, want %s", lines, got, want)
			}
		}
		check(with(t, "Host:", joined+"\r\nHost:"))
		check(with(t, "Connection:", joined+"\r\nConnection:"))
		check(with(t, "13\r\n", "13\r\n"+joined+"\r\n"))
	}
	f("", "A: b")
	f("192.0.2.1", "X-Forwarded-For: 192.0.2.1")
	f("192.0.2.1", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.1")
	f("192.0.2.1", "X-Forwarded-For: 203.0.113.9", "a: b", "x-forwarded-FOR:192.0.2.1", "c:d",
		"X-Forwarded-For:\t10.0.0.1")
	f("192.0.2.1", "X-Forwarded-For: 192.0.2.1, 10.0.0.2", "X-Forwarded-For:", "X-Forwarded-For: 10.0.0.1")
	f("10.0.0.1", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: unknown", "X-Forwarded-For: 10.0.0.1")
	f("192.0.2.1", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=203.0.113.9")
	f("", "X-Forwarded-For: unknown", "Forwarded: for=203.0.113.9")
	f("192.0.2.1", "Forwarded: for=192.0.2.1", "X-Forwarded-For:")
	f("192.0.2.1", `Forwarded: for="[2001:db8::1]`, "Forwarded: for=192.0.2.1", "Forwarded: for=10.0.0.1")
	f("192.0.2.1", `Forwarded: for=203.0.113.9;x="`, `Forwarded: for=192.0.2.1;x="",for=10.0.0.1`)
	f("192.0.2.1", "X-Forwarded: 203.0.113.9", "Forwarded-For: 203.0.113.9", "Forwarded: for=192.0.2.1",
		"X-Forwarded-For-2: 203.0.113.9")
	if got, ok := (&Request{}).ForwardedClient(trustedProxy); ok {
		t.Errorf("an empty request gives %s", got)
	}
}

// plainForwarded splits a list from its beginning, as RFC 7239 says; ok is false if that is ambiguous or wrong.
func plainForwarded(value string) (elements []string, ok bool) {
	quoted, start := false, 0
	for i := 0; i < len(value); i++ {
		switch {
		case value[i] == '\\' && quoted:
			i++
		case value[i] == '\\':
			return nil, false
		case value[i] == '"':
			if !quoted && (i == 0 || value[i-1] != '=') {
				return nil, false
			}
			quoted = !quoted
		case value[i] == ',' && !quoted:
			elements, start = append(elements, value[start:i]), i+1
		}
	}
	return append(elements, value[start:]), !quoted
}

// For any list: splitting from its end finds the same entries as splitting from its beginning, if that is possible. One
// more entry of a trusted proxy leads back to the same result, and one more of anybody else hides it. The lines of a
// request give the same result as the values.
func FuzzForwardedClient(f *testing.F) {
	f.Add("203.0.113.9, 192.0.2.1:80, [fd00::1]:1", `for=192.0.2.1;by="x,\"y", for="[fd00::1]:_p"`)
	f.Add("unknown", `for="`)
	f.Add(",,10.0.0.1,::ffff:1.2.3.4", `for=10.0.0.1;x="\\",For="\1.2.3.4";;`)
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		if elements, ok := plainForwarded(forwarded); ok {
			rest := []byte(forwarded)
			for i := len(elements) - 1; i >= 0; i-- {
				var element []byte
				if rest, element = cutLastElement(rest); string(element) != elements[i] {
					t.Fatalf("element %d is %q, want %q", i, element, elements[i])
				}
			}
			if len(rest) > 0 {
				t.Fatalf("%q is left", rest)
			}
		}
		client, ok := forwardedClient(xff, forwarded)
		if ok != client.IsValid() || client.Is4In6() || client.Zone() != "" {
			t.Fatalf("got %s, %t", client, ok)
		}
		checkForwarded(t, xff+",192.0.2.1", forwarded, "192.0.2.1")
		checkForwarded(t, "", forwarded+",for=192.0.2.1", "192.0.2.1")
		if hops := strings.Count(xff, ",") + 2; ok && hops < maxForwardedHops && strings.Trim(xff, ", \t") != "" {
			checkForwarded(t, xff+",10.0.0.1", forwarded, client.String())
		}
		head := "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: " + testKey + "\r\nX-Forwarded-For: " + xff + "\r\nForwarded: " + forwarded + "\r\n\r\n"
		req, n, _ := ParseUpgrade([]byte(head), 0, 1<<20)
		if n != len(head) || strings.Count(head, "\r\n") != 9 {
			return
		}
		if got, _ := req.ForwardedClient(trustedProxy); got != client {
			t.Fatalf("the request gives %s, the values %s", got, client)
		}
	})
}

// No list, however long, costs an allocation.
func TestForwardedClientAllocations(t *testing.T) {
	for _, line := range []string{
		"X-Forwarded-For: 203.0.113.9, 192.0.2.1:80, [fd00::1]:1\r\nX-Forwarded-For: ::ffff:10.0.0.1",
		"X-Forwarded-For: " + strings.Repeat("10.0.0.1,", 500), "X-Forwarded-For: unknown",
		`Forwarded: for="[2001:db8::1]:_p";by="x,\"y", for="10.0.\0.1"`,
		"Forwarded: " + strings.Repeat("for=10.0.0.1;a=b,", 200),
	} {
		req, n, _ := ParseUpgrade([]byte(with(t, "Host:", line+"\r\nHost:")), 0, testMaxHead)
		if n == 0 {
			t.Fatalf("%q is refused", line)
		}
		if n := testing.AllocsPerRun(100, func() {
			req.ForwardedClient(trustedProxy)
		}); n != 0 {
			t.Errorf("%.80q: %v allocations", line, n)
		}
	}
}

// The lines of a request are walked in the order of net/http, which joins them.
func TestForwardedLinesInOrder(t *testing.T) {
	header := http.Header{}
	var lines []string
	for i := range 20 {
		value := "203.0.113." + strconv.Itoa(i) + ", 10.0.0." + strconv.Itoa(i)
		header.Add("X-Forwarded-For", value)
		lines = append(lines, "X-Forwarded-For: "+value, "Other"+strconv.Itoa(i)+": x")
		req, _, _ := ParseUpgrade([]byte(with(t, "Host:", strings.Join(lines, "\r\n")+"\r\nHost:")), 0, testMaxHead)
		got, _ := req.ForwardedClient(trustedProxy)
		checkForwarded(t, strings.Join(header.Values("X-Forwarded-For"), ","), "", got.String())
	}
}
