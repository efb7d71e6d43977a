package e2e

// This file is the observer of a swarm, which scrapes and announces without WebRTC.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// swarmSize holds the counts of one torrent in a scrape reply.
type swarmSize struct {
	Complete   int `json:"complete"`
	Incomplete int `json:"incomplete"`
}

// observer watches one torrent from outside: it scrapes, and joins only
// when it is told to announce.
type observer struct {
	conn     *websocket.Conn
	infoHash string // 20 code points U+0000 to U+00FF, as in the protocol
}

func newObserver(ctx context.Context, t *testing.T, trackerURL string, infoHash [20]byte) *observer {
	t.Helper()
	return newObserverAs(ctx, t, nil, trackerURL, infoHash)
}

// newObserverAs is newObserver with header fields in the upgrade request.
func newObserverAs(
	ctx context.Context, t *testing.T, header http.Header, trackerURL string, infoHash [20]byte,
) *observer {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, trackerURL, header)
	if err != nil {
		t.Fatalf("cannot connect an observer: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return &observer{conn: conn, infoHash: idText(infoHash)}
}

// idText writes an id as the protocol does.
func idText(id [20]byte) string {
	runes := make([]rune, 0, len(id))
	for _, b := range id {
		runes = append(runes, rune(b))
	}
	return string(runes)
}

// waitFor scrapes until the swarm has the size that is wanted, and fails the
// test when ctx ends first. The pause between two scrapes spares the machine;
// the tracker's reply ends the wait.
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
	o.setDeadlines(ctx)
	if err := o.sendScrape(); err != nil {
		return swarmSize{}, err
	}
	return o.receiveScrape()
}

// scrapeOnPing says nothing until the tracker pings, answers that and scrapes.
func (o *observer) scrapeOnPing(ctx context.Context) (swarmSize, error) {
	o.setDeadlines(ctx)
	pong := o.conn.PingHandler()
	o.conn.SetPingHandler(func(data string) error {
		return errors.Join(pong(data), o.sendScrape())
	})
	return o.receiveScrape()
}

func (o *observer) sendScrape() error {
	return o.send(map[string]any{"action": "scrape", "info_hash": o.infoHash})
}

func (o *observer) receiveScrape() (swarmSize, error) {
	var reply struct {
		Action string               `json:"action"`
		Files  map[string]swarmSize `json:"files"`
	}
	if err := o.receive(&reply); err != nil {
		return swarmSize{}, err
	}
	size, ok := reply.Files[o.infoHash]
	if reply.Action != "scrape" || !ok {
		return swarmSize{}, fmt.Errorf("the reply %+v does not have the torrent that was asked for", reply)
	}
	return size, nil
}

// announce makes a peer of the observer after all, without offers, and returns
// the counts in the reply.
func (o *observer) announce(ctx context.Context, peerID [20]byte, left int) (swarmSize, error) {
	var reply struct {
		Action   string `json:"action"`
		InfoHash string `json:"info_hash"`
		swarmSize
	}
	request := map[string]any{
		"action": "announce", "event": "started", "info_hash": o.infoHash, "peer_id": idText(peerID), "left": left,
	}
	o.setDeadlines(ctx)
	if err := o.send(request); err != nil {
		return swarmSize{}, err
	}
	if err := o.receive(&reply); err != nil {
		return swarmSize{}, err
	}
	if reply.Action != "announce" || reply.InfoHash != o.infoHash {
		return swarmSize{}, fmt.Errorf("the reply %+v is not one to the announce", reply)
	}
	return reply.swarmSize, nil
}

func (o *observer) setDeadlines(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); ok {
		o.conn.SetReadDeadline(deadline)
		o.conn.SetWriteDeadline(deadline)
	}
}

func (o *observer) send(request any) error {
	if err := o.conn.WriteJSON(request); err != nil {
		return fmt.Errorf("cannot send: %w", err)
	}
	return nil
}

// receive decodes the next message.
func (o *observer) receive(reply any) error {
	_, message, err := o.conn.ReadMessage()
	if err != nil {
		return fmt.Errorf("cannot receive: %w", err)
	}
	if err := json.Unmarshal(message, reply); err != nil {
		return fmt.Errorf("cannot read %q: %w", message, err)
	}
	return nil
}
