package e2e

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
	commands io.WriteCloser
	replies  *bufio.Reader
	opened   int

	mu    sync.Mutex
	files map[string][]byte // what pages may fetch, by URL path
}

// command is one line to browser.js.
type command struct {
	Do       string `json:"do"`
	Page     string `json:"page"`
	URL      string `json:"url,omitempty"`
	Name     string `json:"name,omitempty"`
	Argument any    `json:"argument,omitempty"`
}

const browserStopTimeout = 15 * time.Second

// startBrowser starts a browser that ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{files: make(map[string][]byte)}
	b.web = httptest.NewServer(b.handler())
	t.Cleanup(b.web.Close)

	cmd := exec.Command("node", "browser.js", chromium(t))
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
	b.commands, b.replies = commands, bufio.NewReader(replies)
	t.Cleanup(func() {
		// The end of its input closes Chromium and ends the process. Should it be stuck, killing it
		// closes the pipe by which it leads Chromium, which ends Chromium.
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

// do sends one command and decodes the result of its reply into result, if
// that is not nil.
func (b *browser) do(ctx context.Context, c command, result any) error {
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("cannot encode the command %q: %w", c.Do, err)
	}
	// A command that is not done in time leaves the process out of step, so its input is closed: the
	// browser goes, and with it the wait for the reply.
	stop := context.AfterFunc(ctx, func() { b.commands.Close() })
	defer stop()
	if _, err := b.commands.Write(append(line, '\n')); err != nil {
		return errors.Join(fmt.Errorf("cannot send the command %q: %w", c.Do, err), ctx.Err())
	}
	line, err = b.replies.ReadBytes('\n')
	if err != nil {
		return errors.Join(fmt.Errorf("no reply to the command %q, see the log of browser.js: %w", c.Do, err), ctx.Err())
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), browserStopTimeout)
	defer cancel()
	if err := p.browser.do(ctx, command{Do: "close", Page: p.page}, nil); err != nil {
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
