package e2e

// This file is the peer in headless Chromium: webtorrent in a page, driven through browser.js.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium, with the web server that its pages come
// from. browser.js documents the lines that go to and fro.
type browser struct {
	web      *httptest.Server
	process  *os.Process // node, which leads Chromium through a pipe: killing it ends both
	commands io.WriteCloser
	replies  *bufio.Reader
	opened   int

	mu    sync.Mutex
	files map[string][]byte // for pages to fetch, by URL path
}

// command is one line to browser.js.
type command struct {
	Do       string `json:"do"`
	Page     string `json:"page"`
	URL      string `json:"url,omitempty"`
	Name     string `json:"name,omitempty"`
	Argument any    `json:"argument,omitempty"`

	Milliseconds int64 `json:"milliseconds"`
}

const (
	pageTimeout        = 15 * time.Second // for opening and for closing a page
	browserStopTimeout = 15 * time.Second
	// replyGrace is added to the time of a command for the wait for its reply.
	replyGrace = 5 * time.Second
)

// startBrowser starts a browser that ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{files: make(map[string][]byte)}
	b.web = httptest.NewServer(b.handler())
	t.Cleanup(b.web.Close)

	cmd := exec.Command("node", "browser.js", chromium(t), certificate.keyHash)
	cmd.Stderr = t.Output()
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	replies, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start node: %v", err)
	}
	b.process, b.commands, b.replies = cmd.Process, commands, bufio.NewReader(replies)
	t.Cleanup(func() {
		kill := time.AfterFunc(browserStopTimeout, func() { cmd.Process.Kill() })
		defer kill.Stop()
		commands.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("browser.js ended with an error: %v", err)
		}
	})
	return b
}

// handler serves the page, the client library and the files to seed.
func (b *browser) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("page")))
	mux.HandleFunc("/webtorrent.min.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("node_modules", "webtorrent", "dist", "webtorrent.min.js"))
	})
	mux.HandleFunc("/files/", func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		content, ok := b.files[r.URL.Path]
		b.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(content)
	})
	return mux
}

// do sends one command and decodes the result of its reply into result, if that
// is not nil. The command gets the rest of ctx's time, and pageTimeout if ctx
// has no end.
func (b *browser) do(ctx context.Context, c command, result any) error {
	limit := pageTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(time.Until(deadline), 0)
	}
	c.Milliseconds = limit.Milliseconds()
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("cannot encode the command %q: %w", c.Do, err)
	}
	// A process that does not even reply is ended, and with it the wait.
	kill := time.AfterFunc(limit+replyGrace, func() { b.process.Kill() })
	defer kill.Stop()
	if _, err := b.commands.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("cannot send the command %q: %w", c.Do, err)
	}
	line, err = b.replies.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no reply to the command %q, see the log of browser.js: %w", c.Do, err)
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  string          `json:"error"`
	}
	if err := json.Unmarshal(line, &reply); err != nil {
		return fmt.Errorf("cannot read the reply %q: %w", line, err)
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(reply.Result, result)
}

// browserPeer is webtorrent in one page.
type browserPeer struct {
	browser *browser
	page    string
	closed  bool
}

func (b *browser) kind() kind { return kind{newPeer: b.newPeer, saysCompleted: true} }

// newPeer opens a page in a browser profile of its own.
func (b *browser) newPeer(t *testing.T) peer {
	t.Helper()
	b.opened++
	p := &browserPeer{browser: b, page: fmt.Sprint(b.opened)}
	if err := b.do(t.Context(), command{Do: "open", Page: p.page, URL: b.web.URL}, nil); err != nil {
		t.Fatalf("cannot open a page: %v", err)
	}
	t.Cleanup(func() { p.close(t) })
	return p
}

func (p *browserPeer) seed(ctx context.Context, t *testing.T, f file, trackerURL string) share {
	t.Helper()
	path := "/files/" + f.name
	p.browser.mu.Lock()
	p.browser.files[path] = f.content
	p.browser.mu.Unlock()
	var result struct {
		TorrentFile []byte `json:"torrentFile"` // base64 in JSON
		Magnet      string `json:"magnet"`
	}
	argument := map[string]string{"url": path, "name": f.name, "tracker": trackerURL}
	call := command{Do: "call", Page: p.page, Name: "seed", Argument: argument}
	if err := p.browser.do(ctx, call, &result); err != nil {
		t.Fatalf("the browser cannot seed: %v", err)
	}
	return share{torrentFile: result.TorrentFile, magnet: result.Magnet}
}

func (p *browserPeer) leech(ctx context.Context, t *testing.T, s share) string {
	t.Helper()
	argument := map[string]any{"torrentFile": s.torrentFile, "magnet": s.magnet}
	call := command{Do: "call", Page: p.page, Name: "leech", Argument: argument}
	var sum string
	if err := p.browser.do(ctx, call, &sum); err != nil {
		t.Fatalf("the browser cannot download: %v", err)
	}
	return sum
}

func (p *browserPeer) close(t *testing.T) {
	if p.closed {
		return
	}
	p.closed = true
	if err := p.browser.do(context.Background(), command{Do: "close", Page: p.page}, nil); err != nil {
		t.Errorf("the page did not end well: %v", err)
	}
}

// chromium returns the Chromium program.
func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium on PATH: install it (\"make e2e\" does) or name it in CHROMIUM")
	return ""
}
