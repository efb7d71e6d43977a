package wsproto

// This file proves which upgrade requests are accepted, and the status of each refusal.

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws"
)

const testKey = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 §1.3

const testHead = "GET /announce?x=1 HTTP/1.1\r\nHost: tracker.example:3000\r\nUpgrade: websocket\r\n" +
	"Connection: Upgrade\r\nSec-WebSocket-Key: " + testKey + "\r\nSec-WebSocket-Version: 13\r\n\r\n"

const testMaxHead = 8192

// parseChopped gives the bytes one by one, like the slowest client.
func parseChopped(buf []byte, max int) (req Request, n, status int) {
	for have := 1; have <= len(buf); have++ {
		if req, n, status = ParseUpgrade(buf[:have], have-1, max); n != 0 || status != 0 {
			return req, n, status
		}
	}
	return req, n, status
}

// with returns the head with one line replaced; a missing old line is an error of the test.
func with(t *testing.T, old, new string) string {
	t.Helper()
	if !strings.Contains(testHead, old) {
		t.Fatalf("the head has no %q", old)
	}
	return strings.Replace(testHead, old, new, 1)
}

// Every kind of request gets its status, in one piece and byte by byte.
func TestParseUpgradeStatus(t *testing.T) {
	f := func(want int, head string) {
		t.Helper()
		_, n, status := ParseUpgrade([]byte(head), 0, testMaxHead)
		if status != want || (n == len(head)) != (want == 0) {
			t.Errorf("%.200q: %d bytes, status %d, want %d", head, n, status, want)
		}
		if _, n2, status2 := parseChopped([]byte(head), testMaxHead); n2 != n || status2 != status {
			t.Errorf("%.200q: byte by byte %d bytes, status %d", head, n2, status2)
		}
	}
	f(0, testHead)
	f(0, with(t, "Upgrade: websocket", "uPGRADE:\tWebSocket  "))
	f(0, with(t, "Connection: Upgrade", "Connection: keep-alive,  UPGRADE"))
	f(0, with(t, "Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade"))
	f(0, with(t, "Connection: Upgrade", "Connection: upgrade\r\nConnection: keep-alive"))
	f(0, with(t, "Upgrade: websocket", "Upgrade: h2c, websocket"))
	f(0, with(t, "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"))
	f(0, with(t, "/announce?x=1", "ws://tracker.example/"))
	f(0, with(t, "/announce?x=1", "http://tracker.example"))
	f(0, with(t, "HTTP/1.1", "HTTP/1.2"))
	f(0, with(t, "Host:", "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\nHost:"))
	f(0, with(t, "Host:", "Empty:\r\nContent-Length: 0\r\nHost:"))
	f(426, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f(426, "GET / HTTP/1.1\r\n\r\n")
	f(426, with(t, "Upgrade: websocket", "Upgrade: h2c"))
	f(426, with(t, "Connection: Upgrade", "Connection: close"))
	f(426, with(t, "Connection: Upgrade", "Connection: upgraded"))
	f(426, with(t, "Version: 13", "Version: 8"))
	f(426, with(t, "Version: 13", "Version: 13, 8"))
	f(426, with(t, "Sec-WebSocket-Version: 13\r\n", ""))
	f(405, with(t, "GET", "POST"))
	f(405, with(t, "GET", "get"))
	f(405, with(t, "GET", "HEADS"))
	f(426, with(t, "GET", "HEAD"))
	f(426, "HEAD /x HTTP/1.0\r\n\r\n")
	f(505, "HEAD / HTTP/2.0\r\n\r\n")
	f(400, "HEAD / HTTP/1.1\r\nno colon\r\n\r\n")
	f(405, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	f(426, with(t, "HTTP/1.1", "HTTP/1.0"))
	f(426, "GET /health HTTP/1.0\r\n\r\n")
	f(505, with(t, "HTTP/1.1", "HTTP/2.0"))
	f(505, with(t, "HTTP/1.1", "HTTP/3.1"))
	f(505, "PRI * HTTP/2.0\r\n\r\n")
	f(400, with(t, "Sec-WebSocket-Key: "+testKey+"\r\n", ""))
	f(400, with(t, testKey, testKey[1:]))
	f(400, with(t, testKey, "dGhlIHNhbXBsZSBub25jZQ=x"))
	f(400, with(t, testKey, "dGhlIHNhb BsZSBub25jZQ=="))
	f(400, with(t, "Host:", "Sec-WebSocket-Key: "+testKey+"\r\nHost:"))
	f(400, with(t, "Host:", "Host: b\r\nHost:"))
	f(400, with(t, "Host:", "Origin: b\r\nOrigin: b\r\nHost:"))
	f(400, with(t, "Host: tracker.example:3000\r\n", ""))
	f(400, with(t, "Host:", "Host :"))
	f(400, with(t, "Host:", " folded\r\nHost:"))
	f(400, with(t, "Upgrade: websocket", "Upgrade:\r\n websocket"))
	f(400, with(t, "Host:", "no colon\r\nHost:"))
	f(400, with(t, "Host:", ": no name\r\nHost:"))
	f(400, with(t, "Host:", "A: b\rc\r\nHost:"))
	f(400, with(t, "Host:", "A: b\x00c\r\nHost:"))
	f(400, with(t, "Host:", "Content-Length: 5\r\nHost:"))
	f(400, with(t, "Host:", "Transfer-Encoding: chunked\r\nHost:"))
	f(400, with(t, "\r\nHost", "\nHost"))
	f(400, with(t, "websocket\r\n", "websocket\n"))
	f(400, with(t, "/announce?x=1", "*"))
	f(400, with(t, "/announce?x=1", "tracker.example:80"))
	f(400, with(t, "/announce?x=1", "/a\rb"))
	f(400, with(t, " HTTP/1.1", ""))
	f(400, with(t, "HTTP/1.1", "HTTP/1"))
	f(400, with(t, "HTTP/1.1", "HTTP/1.1 "))
	f(400, with(t, "GET ", "GET  "))
	f(400, "\r\n"+testHead)
	f(431, strings.Replace(testHead, "Host:", "A: "+strings.Repeat("x", testMaxHead)+"\r\nHost:", 1))
	f(431, strings.Replace(testHead, "announce", strings.Repeat("x", testMaxHead), 1))
	const others = 5 // fields of testHead
	f(0, with(t, "Host:", strings.Repeat("A: b\r\n", maxFields-others)+"Host:"))
	f(431, with(t, "Host:", strings.Repeat("A: b\r\n", maxFields-others+1)+"Host:"))
}

// Bytes that cannot be HTTP are refused at once, and not only when the head is complete or too large.
func TestParseUpgradeGarbage(t *testing.T) {
	for _, garbage := range []string{"\x16\x03\x01", "\x00", "\xff\xf4", "hello\r\n", "GET /\r\n", "GET / HTTP/x.y\r\n",
		"\r\n", "\n", " ", "(", "GET / HTTP/1.1\n", "GET /\x01", "BitTorrent protocol\r\n", "\x13BitTorrent",
		strings.Repeat("A", 25), "SSH-2.0-OpenSSH_9.9\r\n"} {
		if _, n, status := ParseUpgrade([]byte(garbage), 0, testMaxHead); n != 0 || status != 400 {
			t.Errorf("%q: status %d, want 400", garbage, status)
		}
		if _, n, status := parseChopped([]byte(garbage), testMaxHead); n != 0 || status != 400 {
			t.Errorf("%q byte by byte: status %d, want 400", garbage, status)
		}
	}
}

// A head is not complete before its last byte, wherever it is cut. Then all of it is understood, and the bytes after it
// are left alone.
func TestParseUpgradeEveryChop(t *testing.T) {
	head := with(t, "Host:", "Origin: https://a.example\r\nX-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\n"+
		"Forwarded: for=9.9.9.9\r\nHost:")
	buf := []byte(head + "\x81\x80\x00\x00\x00\x00")
	for cut := range len(head) {
		if _, n, status := ParseUpgrade(buf[:cut], 0, len(head)); n != 0 || status != 0 {
			t.Fatalf("cut at %d: %d bytes, status %d", cut, n, status)
		}
		req, n, status := ParseUpgrade(buf, cut, len(head))
		if n != len(head) || status != 0 {
			t.Fatalf("cut at %d: then %d bytes, status %d", cut, n, status)
		}
		for got, want := range map[*[]byte]string{&req.Path: "/announce", &req.Key: testKey,
			&req.Origin: "https://a.example"} {
			if string(*got) != want {
				t.Errorf("got %q, want %q", *got, want)
			}
		}
		if client, ok := req.ForwardedClient(trustedProxy); !ok || client.String() != "5.6.7.8" {
			t.Errorf("the client is %s", client)
		}
	}
	if _, n, status := ParseUpgrade(buf, 0, len(head)-1); n != 0 || status != 431 {
		t.Errorf("limit one byte short: %d bytes, status %d", n, status)
	}
	if _, n, status := ParseUpgrade(buf[:len(head)-1], 0, len(head)-1); n != 0 || status != 431 {
		t.Errorf("limit reached without an end: %d bytes, status %d", n, status)
	}
	if req, _, _ := ParseUpgrade([]byte(testHead), 0, testMaxHead); req.Origin != nil {
		t.Errorf("the absent Origin is %q", req.Origin)
	}
}

// A head that comes in pieces is not read again from its beginning: its first two lines lie in a page that cannot be
// read while the others come, byte by byte.
func TestParseUpgradeReadsOnce(t *testing.T) {
	page := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(mem) }()
	line, rest, _ := strings.Cut(testHead, "\r\n")
	first := line + "\r\nCookie: \r\n"
	value := strings.Repeat("x", page+1-len(first)) // so that the line feed is behind the page
	first = strings.Replace(first, ": ", ": "+value, 1)
	buf := append(append(mem[:0], first...), rest...)
	if err := syscall.Mprotect(mem[:page], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for have := len(first) + 1; have < len(buf); have++ {
		if _, n, status := ParseUpgrade(buf[:have], have-1, 2*page); n != 0 || status != 0 {
			t.Fatalf("%d bytes: size %d, status %d", have, n, status)
		}
	}
	if err := syscall.Mprotect(mem[:page], syscall.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if req, n, status := ParseUpgrade(buf, len(buf)-1, 2*page); n != len(buf) || string(req.Path) != "/announce" {
		t.Errorf("the whole head: path %q, size %d, status %d", req.Path, n, status)
	}
}

// A plain HTTP request is refused, but its path is known.
func TestParseUpgradePlainPath(t *testing.T) {
	req, n, status := ParseUpgrade([]byte("GET /health?x HTTP/1.1\r\nHost: a\r\n\r\n"), 0, testMaxHead)
	if string(req.Path) != "/health" || n != 0 || status != 426 {
		t.Errorf("path %q, %d bytes, status %d", req.Path, n, status)
	}
}

// HEAD is known from its name, also in a request that has any fault.
func TestParseUpgradeHead(t *testing.T) {
	f := func(request string, want bool) {
		t.Helper()
		req, n, status := ParseUpgrade([]byte(request), 0, 100)
		if req.Head != (want && status != 0) || n != 0 || AsksHead([]byte(request)) != want {
			t.Errorf("%q: %v, n %d, status %d", request, req.Head, n, status)
		}
	}
	f("HEAD", false)
	f("HEAD ", true)
	f("HEAD /health HTTP/1.1\r\n\r\n", true)
	f("HEAD /health\r\n", true)
	f("HEAD / HTTP/1.1\r\nno colon\r\n\r\n", true)
	f("HEAD /"+strings.Repeat("x", 100), true)
	f("HEADS / HTTP/1.1\r\n\r\n", false)
	f("GET / HTTP/1.1\r\n\r\n", false)
}

// The first subprotocol that is asked for is found, on whatever line, and a name that cannot be sent back is not.
func TestParseUpgradeProtocol(t *testing.T) {
	long := strings.Repeat("p", maxProtocol)
	for fields, want := range map[string]string{
		"":                                    "",
		"Sec-WebSocket-Protocol:\r\n":         "",
		"Sec-WebSocket-Protocol: ,\r\n":       "",
		"sec-websocket-protocol: a\r\n":       "a",
		"Sec-WebSocket-Protocol:A.b\t, c\r\n": "A.b",
		"Sec-WebSocket-Protocol: , ,c,d\r\n":  "c",
		"Sec-WebSocket-Protocol: \r\nSec-WebSocket-Protocol: b, c\r\n":    "b",
		"Sec-WebSocket-Protocol: a,b\r\nSec-WebSocket-Protocol: c\r\n":    "a",
		"Sec-WebSocket-Protocol: a b, c\r\nSec-WebSocket-Protocol: d\r\n": "",
		"Sec-WebSocket-Protocol: \"a\", c\r\n":                            "",
		"Sec-WebSocket-Protocol: a\xff\r\n":                               "",
		"Sec-WebSocket-Protocol: " + long + ", c\r\n":                     long,
		"Sec-WebSocket-Protocol: " + long + "p, c\r\n":                    "",
	} {
		req, _, status := ParseUpgrade([]byte(with(t, "Host:", fields+"Host:")), 0, testMaxHead)
		if string(req.Protocol) != want || status != 0 {
			t.Errorf("%q: subprotocol %q, want %q; status %d", fields, req.Protocol, want, status)
		}
	}
}

// The path of each form of target is found.
func TestTargetPath(t *testing.T) {
	for target, want := range map[string]string{"/": "/", "/a/b?c?d": "/a/b", "/?": "/", "//x": "//x",
		"ws://h/p?q": "/p", "ws://h": "/", "ws://h?a/b": "/", "http://h/": "/", "*": "", "h:80": "", "://x": "",
		"ws://": ""} {
		if got := targetPath([]byte(target)); string(got) != want {
			t.Errorf("%q: path %q, want %q", target, got, want)
		}
	}
}

// readWriter gives gobwas/ws a request and swallows its response.
type readWriter struct{ io.Reader }

func (readWriter) Write(b []byte) (int, error) { return len(b), nil }

// However a head is cut, the result is the same. An accepted head is within the limit, gobwas/ws accepts it too, and
// net/http reads the same in it, so no proxy in front can see another request than we do.
func FuzzParseUpgrade(f *testing.F) {
	f.Add([]byte(testHead), uint16(testMaxHead))
	protocols := "Sec-WebSocket-Protocol: ,a\r\nSec-WebSocket-Protocol: b\r\nHost:"
	f.Add([]byte(strings.Replace(testHead, "Host:", protocols, 1)), uint16(testMaxHead))
	f.Add([]byte(strings.Replace(testHead, "GET", "HEAD", 1)), uint16(testMaxHead))
	f.Add([]byte("GET ws://h HTTP/1.1\r\nA:b\r\nHost:\r\n\r\n"), uint16(20))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), uint16(100))
	f.Add([]byte("\x16\x03\x01\x02\x00\x01\x00"), uint16(100))
	f.Fuzz(func(t *testing.T, buf []byte, max uint16) {
		req, n, status := ParseUpgrade(buf, 0, int(max))
		req2, n2, status2 := parseChopped(buf, int(max))
		if len(buf) > 0 && (n != n2 || status != status2 || req.Head != req2.Head || !bytes.Equal(req.Path, req2.Path) ||
			!bytes.Equal(req.Protocol, req2.Protocol)) {
			t.Fatalf("in one piece: %d bytes, status %d, %+v; byte by byte: %d bytes, status %d, %+v",
				n, status, req, n2, status2, req2)
		}
		if status != 0 {
			AppendHTTPError(nil, status, req.Head)
		}
		if n == 0 {
			return
		}
		if n > int(max) || n > len(buf) || status != 0 || len(req.Path) == 0 || req.Path[0] != '/' {
			t.Fatalf("%d bytes of at most %d, status %d, path %q", n, max, status, req.Path)
		}
		if req.Head {
			t.Fatal("HEAD opens a WebSocket connection")
		}
		if response := AppendUpgradeResponse(nil, req.Key, req.Protocol, Deflate{}); len(response) > UpgradeResponseSize {
			t.Fatalf("a response of %d bytes", len(response))
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(buf[:n])))
		if err != nil {
			return // net/http looks into hosts and URLs
		}
		if std.Header.Get("Sec-Websocket-Key") != string(req.Key) || std.Header.Get("Origin") != string(req.Origin) ||
			std.ContentLength != 0 {
			t.Fatalf("net/http sees %+v, we see key %q and origin %q", std, req.Key, req.Origin)
		}
		asked := strings.Join(std.Header["Sec-Websocket-Protocol"], ",")
		first, _, _ := strings.Cut(strings.TrimLeft(asked, ", \t"), ",")
		if len(req.Protocol) > 0 && strings.Trim(first, " \t") != string(req.Protocol) {
			t.Fatalf("net/http sees the subprotocols %q, we see %q first", asked, req.Protocol)
		}
		one := func(name string) bool { return len(std.Header[name]) == 1 }
		if one("Upgrade") && strings.EqualFold(std.Header.Get("Upgrade"), "websocket") &&
			std.Proto == "HTTP/1.1" && strings.HasPrefix(std.RequestURI, "/") {
			if _, err := ws.Upgrade(readWriter{bytes.NewReader(buf[:n])}); err != nil {
				t.Fatalf("gobwas/ws refuses: %s", err)
			}
		}
	})
}
