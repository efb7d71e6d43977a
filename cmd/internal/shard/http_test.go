package shard

// This file tests what clients get that do not, or not at once, open a WebSocket connection.

import (
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/wsproto"
)

// sends connects a client that sends bytes in pieces.
func sends(w *world, pieces ...string) *client {
	c := w.accept(0, "192.0.2.1")
	for _, piece := range pieces {
		c.send([]byte(piece))
		w.run()
	}
	return c
}

// A health check is answered at both spellings of its path. To HEAD it is answered as to GET, without the body.
func TestHealthCheck(t *testing.T) {
	healthy := true
	w := newWorld(t, 1, func(o *Options) { o.Health = func() (string, bool) { return "ok\n", healthy } })
	f := func(status, path string) {
		t.Helper()
		const end = " HTTP/1.1\r\nHost: x\r\n\r\n"
		get, head := string(sends(w, "GET "+path+end).inbox), string(sends(w, "HEAD "+path+end).inbox)
		fields, body, _ := strings.Cut(get, "\r\n\r\n")
		if !strings.HasPrefix(get, "HTTP/1.1 "+status+" ") || body == "" || head != fields+"\r\n\r\n" {
			t.Errorf("%s: GET gets %q, HEAD %q", path, get, head)
		}
	}
	f("200", "/health")
	f("200", "/health/")
	f("200", "/health/?x")
	f("426", "/health/x")
	f("426", "/")
	healthy = false
	f("503", "/health")
}

// TestToken proves that an ACME server gets the text at its path, and others what they get at any path.
func TestToken(t *testing.T) {
	w := newWorld(t, 1, func(o *Options) {
		o.Token = func(path []byte) (string, bool) {
			return "token.thumb", string(path) == "/.well-known/acme-challenge/token"
		}
	})
	f := func(request, status, body string) {
		t.Helper()
		got := string(sends(w, request+" HTTP/1.1\r\nHost: x\r\n\r\n").inbox)
		if !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") || !strings.HasSuffix(got, "\r\n\r\n"+body) {
			t.Errorf("%s gets %q", request, got)
		}
	}
	f("GET /.well-known/acme-challenge/token", "200", "token.thumb")
	f("HEAD /.well-known/acme-challenge/token", "200", "")
	f("GET /.well-known/acme-challenge/other", "426", "This is a WebTorrent tracker. Connect to it with a WebSocket client.\n")
	f("GET /health", "426", "This is a WebTorrent tracker. Connect to it with a WebSocket client.\n")
}

// A WebSocket of a page that is not on the list is refused with 403, which has a counter of its own. A health check
// needs no origin.
func TestOrigins(t *testing.T) {
	origins, err := wsproto.ParseOrigins([]string{"https://*.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	origins.DenyMissing = true
	w := newWorld(t, 1, func(o *Options) { o.Origins, o.Health = origins, func() (string, bool) { return "ok\n", true } })
	f := func(status, request string) {
		t.Helper()
		if got := string(sends(w, request).inbox); !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") {
			t.Errorf("%q gets %q, want %s", request, got, status)
		}
	}
	from := func(origin string) string {
		return strings.Replace(testHead, "Host:", "Origin: "+origin+"\r\nHost:", 1)
	}
	f("101", from("https://www.example.org"))
	f("403", from("https://example.com"))
	f("403", from(""))
	f("403", testHead)
	f("426", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	f("200", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	w.advance(10 * time.Second)
	st := w.shards[0].Snapshot()
	if n := st.Messages.RefusedByStatus[1]; refusalStatuses[1] != 403 || n != 3 || st.Table.Closed[conn.ReasonOrigin] != 3 ||
		st.Messages.Upgraded != 1 {
		t.Errorf("%d refusals and %d upgrades are counted", n, st.Messages.Upgraded)
	}
}

// A subprotocol that the client asks for is named in the response.
func TestSubprotocol(t *testing.T) {
	w := newWorld(t, 1, nil)
	asks := strings.Replace(testHead, "Host:", "Sec-WebSocket-Protocol: tracker, other\r\nHost:", 1)
	if got := string(sends(w, asks).inbox); !strings.HasPrefix(got, "HTTP/1.1 101 ") ||
		!strings.Contains(got, "\r\nSec-WebSocket-Protocol: tracker\r\n") {
		t.Errorf("the response is %q", got)
	}
}

// A refused HEAD request gets no body, wherever it is refused and however it is cut.
func TestRefusedHead(t *testing.T) {
	f := func(want string, act func(w *world) *client) {
		t.Helper()
		w := newWorld(t, 1, nil)
		c := act(w)
		w.run()
		if got := string(c.inbox); !strings.HasPrefix(got, "HTTP/1.1 "+want+" ") || !strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("%s: got %q", want, got)
		}
		c.hangUp(0)
		w.run()
		w.checkEmpty()
	}
	f("400", func(w *world) *client { return sends(w, "HEAD /\r\n") })
	f("400", func(w *world) *client { return sends(w, "HE", "AD / HTTP/1.1\r\nno ", "colon\r\n\r\n") })
	f("426", func(w *world) *client { return sends(w, strings.Replace(testHead, "GET", "HEAD", 1)) })
	f("431", func(w *world) *client { return sends(w, "HEAD /", strings.Repeat("x", 5000)) })
	f("408", func(w *world) *client {
		c := sends(w, "HEAD / HTTP/1.1\r\n")
		w.advance(12 * time.Second)
		return c
	})
	f("503", func(w *world) *client {
		c := sends(w, "HEAD / HTTP/1.1\r\n")
		w.shards[0].Stop()
		return c
	})
	f("503", func(w *world) *client {
		c := sends(w, "HEAD / HTTP/1.1\r\n")
		w.exhaust(w.asm[0])
		c.send([]byte("A: " + strings.Repeat("x", 3000)))
		return c
	})
}

// TestPage proves that a plain request gets the page of its path, HEAD without its body, that the client's copy is passed on, and
// that a request for a WebSocket that cannot be met is refused as ever.
func TestPage(t *testing.T) {
	const page = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage"
	w := newWorld(t, 1, func(o *Options) {
		o.Page = func(path, known []byte) ([]byte, int) {
			switch {
			case string(path) != "/":
				return nil, 0
			case string(known) == `"same"`:
				return []byte("HTTP/1.1 304 Not Modified\r\n\r\n"), 29
			}
			return []byte(page), len(page) - 4
		}
	})
	f := func(request, want string) {
		t.Helper()
		if got := string(sends(w, request+"\r\n\r\n").inbox); !strings.HasPrefix(got, want) || want == page && got != page {
			t.Errorf("%q gets %q", request, got)
		}
	}
	f("GET / HTTP/1.1\r\nHost: x", page)
	f("GET /?a HTTP/1.0", page)
	f("HEAD / HTTP/1.1\r\nHost: x", strings.TrimSuffix(page, "page"))
	f("GET / HTTP/1.1\r\nHost: x\r\nIF-none-match: \"same\"", "HTTP/1.1 304 ")
	f("GET /x HTTP/1.1\r\nHost: x", "HTTP/1.1 426 ")
	f("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "HTTP/1.1 426 ")
	f("POST / HTTP/1.1\r\nHost: x", "HTTP/1.1 405 ")
}
