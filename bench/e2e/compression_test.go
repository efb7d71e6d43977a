package e2e

// This file shows that clients and the tracker exchange compressed messages.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"
)

// requirePacked fails the test unless messages were compressed in each direction, as the tracker's metrics at an address say.
func requirePacked(t *testing.T, metrics string, directions []string) {
	t.Helper()
	page := metricsPage(t, metrics)
	for _, direction := range directions {
		sum := 0.0
		for line := range strings.Lines(string(page)) {
			if strings.HasPrefix(line, fmt.Sprintf("millrace_deflate_messages_total{direction=%q", direction)) {
				n, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
		}
		if sum == 0 {
			t.Errorf("no message was compressed in the direction %s", direction)
		}
	}
}

// dialer returns a connection that compresses, as two functions.
type dialer func(ctx context.Context, t *testing.T, url string) (send func(string), receive func() map[string]any)

func dialGorilla(ctx context.Context, t *testing.T, url string) (send func(string), receive func() map[string]any) {
	d := *websocket.DefaultDialer
	d.EnableCompression = true
	c, response, err := d.DialContext(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	requireAgreed(t, response)
	deadline, _ := ctx.Deadline()
	c.SetReadDeadline(deadline)
	send = func(text string) {
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return send, func() (m map[string]any) {
		if err := c.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// dialCoder returns the dialer of coder/websocket in one of its modes.
func dialCoder(mode coder.CompressionMode) dialer {
	return func(ctx context.Context, t *testing.T, url string) (send func(string), receive func() map[string]any) {
		c, response, err := coder.Dial(ctx, url, &coder.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		requireAgreed(t, response)
		send = func(text string) {
			if err := c.Write(ctx, coder.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		return send, func() (m map[string]any) {
			_, text, err := c.Read(ctx)
			if err == nil {
				err = json.Unmarshal(text, &m)
			}
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
}

func requireAgreed(t *testing.T, response *http.Response) {
	t.Helper()
	if !strings.HasPrefix(response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		t.Fatalf("no compression is agreed on: %v", response.Header)
	}
}

// TestGoClientsCompress shows that the WebSocket libraries of Go programs exchange offers and answers in compressed messages.
func TestGoClientsCompress(t *testing.T) {
	f := func(name string, dial dialer) {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
			defer cancel()
			url := startTracker(t, packing)
			firstSends, firstReads := dial(ctx, t, url)
			secondSends, secondReads := dial(ctx, t, url)
			announce := func(peer string, offers ...string) string {
				return fmt.Sprintf(`{"action":"announce","info_hash":"hhhhhhhhhhhhhhhhhhhh","peer_id":%q,"left":1,"numwant":5,"offers":[%s]}`,
					peer, strings.Join(offers, ","))
			}
			const first, second = "-GO0001-aaaaaaaaaaaa", "-GO0001-bbbbbbbbbbbb"
			firstSends(announce(first))
			firstReads()
			for k := range 20 { // each looks back at those before
				sdp, offerID := strings.Repeat("a=candidate:", 50)+strconv.Itoa(k), fmt.Sprintf("offer %14d", k)
				secondSends(announce(second, fmt.Sprintf(`{"offer_id":%q,"offer":{"type":"offer","sdp":%q}}`, offerID, sdp)))
				if m := secondReads(); m["incomplete"] != 2.0 && k > 0 {
					t.Fatalf("the reply is %v", m)
				}
				if m := firstReads(); m["offer_id"] != offerID || m["offer"].(map[string]any)["sdp"] != sdp {
					t.Fatalf("offer %d is %v", k, m)
				}
				firstSends(fmt.Sprintf(`{"action":"announce","info_hash":"hhhhhhhhhhhhhhhhhhhh","peer_id":%q,"to_peer_id":%q,"offer_id":%q,`+
					`"answer":{"type":"answer","sdp":%q}}`, first, second, offerID, sdp))
				if m := secondReads(); m["offer_id"] != offerID || m["answer"].(map[string]any)["sdp"] != sdp {
					t.Fatalf("answer %d is %v", k, m)
				}
			}
		})
	}
	f("gorilla", dialGorilla)
	f("coder with all before", dialCoder(coder.CompressionContextTakeover))
	f("coder with each alone", dialCoder(coder.CompressionNoContextTakeover))
}

// TestFirefoxCompresses shows that Firefox exchanges its offers and answers in compressed messages.
func TestFirefoxCompresses(t *testing.T) {
	program := firefoxProgram(t)
	ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, "node", "firefox.js", program, startTracker(t, packing)).CombinedOutput()
	if err != nil || strings.TrimSpace(string(output)) != "permessage-deflate" {
		t.Fatalf("firefox.js: %v\n%s", err, output)
	}
}

// firefoxProgram returns the path of Firefox.
func firefoxProgram(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("FIREFOX"); path != "" {
		return path
	}
	for _, name := range []string{"firefox-esr", "firefox"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Firefox on PATH: install it (\"make e2e\" does) or name it in FIREFOX")
	return ""
}
