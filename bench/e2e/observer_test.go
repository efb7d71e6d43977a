package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// swarmSize is what a scrape tells about one torrent.
type swarmSize struct {
	Complete   int `json:"complete"`
	Incomplete int `json:"incomplete"`
}

// observer watches one torrent from outside: it scrapes, and never joins.
type observer struct {
	conn     *websocket.Conn
	infoHash string // 20 code points U+0000 to U+00FF, as in the protocol
}

func newObserver(ctx context.Context, t *testing.T, trackerURL string, infoHash [20]byte) *observer {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, trackerURL, nil)
	if err != nil {
		t.Fatalf("cannot connect an observer: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	runes := make([]rune, 0, len(infoHash))
	for _, b := range infoHash {
		runes = append(runes, rune(b))
	}
	return &observer{conn: conn, infoHash: string(runes)}
}

// waitFor scrapes until the swarm has the size that is wanted, and fails the
// test when ctx ends first. The pause between two scrapes spares the machine;
// what ends the wait is the tracker's reply.
func (o *observer) waitFor(ctx context.Context, t *testing.T, want swarmSize, when string) {
	t.Helper()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	var last swarmSize
	for {
		size, err := o.scrape(ctx)
		if err != nil {
			t.Fatalf("scrape %s: %v", when, err)
		}
		if size == want {
			return
		}
		last = size
		select {
		case <-ctx.Done():
			t.Fatalf("%s the tracker counts %+v, want %+v", when, last, want)
		case <-pause.C:
		}
	}
}

func (o *observer) scrape(ctx context.Context) (swarmSize, error) {
	if deadline, ok := ctx.Deadline(); ok {
		o.conn.SetReadDeadline(deadline)
		o.conn.SetWriteDeadline(deadline)
	}
	request := map[string]any{"action": "scrape", "info_hash": o.infoHash}
	if err := o.conn.WriteJSON(request); err != nil {
		return swarmSize{}, fmt.Errorf("cannot send: %w", err)
	}
	_, message, err := o.conn.ReadMessage()
	if err != nil {
		return swarmSize{}, fmt.Errorf("cannot receive: %w", err)
	}
	var reply struct {
		Action string               `json:"action"`
		Files  map[string]swarmSize `json:"files"`
	}
	if err := json.Unmarshal(message, &reply); err != nil {
		return swarmSize{}, fmt.Errorf("cannot read %q: %w", message, err)
	}
	size, ok := reply.Files[o.infoHash]
	if reply.Action != "scrape" || !ok {
		return swarmSize{}, fmt.Errorf("the reply %q does not have the torrent that was asked for", message)
	}
	return size, nil
}
