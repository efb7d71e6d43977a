package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/config"
)

// This file tests the pages of the listeners.

// TestPages proves which paths have pages by the configuration, that a client's copy is known by its name, that a request for old
// pages has new ones made and a request for fresh ones has not, and that an operator's own file takes the place of the page.
func TestPages(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.html")
	if err := os.WriteFile(own, []byte("<p>mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{memory: &pressure{}}
	s.pages.asked = make(chan struct{}, 1)
	use := func(h config.HTTP) {
		t.Helper()
		c := config.Default()
		c.HTTP = h
		s.config.Store(c)
		var err error
		if s.pages.own, err = readPage(h.PagePath); err != nil {
			t.Fatal(err)
		}
		s.makePages()
	}
	f := func(path, want string) {
		t.Helper()
		full, head := s.pages.answer([]byte(path), nil)
		if want == "" {
			if full != nil {
				t.Errorf("there is a page at %s", path)
			}
			return
		}
		fields, body := string(full[:head]), string(full[head:])
		if !strings.Contains(body, want) || !strings.HasPrefix(fields, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(fields, "\r\n\r\n") {
			t.Errorf("%s: %q, %q", path, fields, body)
		}
		_, etag, _ := strings.Cut(fields, "\r\nETag: ")
		etag, _, _ = strings.Cut(etag, "\r\n")
		if same, n := s.pages.answer([]byte(path), []byte("\"x\", W/"+etag)); !strings.HasPrefix(string(same), "HTTP/1.1 304 ") || n != len(same) {
			t.Errorf("%s: a client that has %s gets %q", path, etag, same)
		}
	}
	f("/", "")
	use(config.HTTP{Page: true, Stats: true})
	f("/", "<h1>WebTorrent tracker</h1>")
	f("/stats", "<h1>WebTorrent tracker</h1>")
	f("/stats.json", `"peersCount":0`)
	f("/robots.txt", "Disallow: /stats")
	f("/x", "")
	if len(s.pages.asked) != 0 {
		t.Error("pages that are fresh are made anew")
	}
	s.pages.madeAt.Store(time.Now().Add(-2 * pageLife).UnixNano())
	f("/", "<h1>WebTorrent tracker</h1>")
	if len(s.pages.asked) != 1 {
		t.Error("pages that are old are not made anew")
	}
	use(config.HTTP{Page: true, PagePath: own})
	f("/", "<p>mine")
	f("/stats", "")
	if _, err := readPage(own + "x"); err == nil {
		t.Error("a file that is not there is no error")
	}
	if err := os.Truncate(own, mostPage+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readPage(own); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Error(err)
	}
	use(config.HTTP{})
	f("/", "")
	f("/robots.txt", "")
}
