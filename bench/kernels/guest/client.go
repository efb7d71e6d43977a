package main

// This file is the WebTorrent client of the machine's tests.

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/coder/websocket"
)

// peer is a WebTorrent client.
type peer struct {
	conn *websocket.Conn
	id   string
}

// message is a message between a client and the tracker.
type message struct {
	Action     string  `json:"action,omitempty"`
	InfoHash   string  `json:"info_hash,omitempty"`
	PeerID     string  `json:"peer_id,omitempty"`
	ToPeerID   string  `json:"to_peer_id,omitempty"`
	OfferID    string  `json:"offer_id,omitempty"`
	Left       *int    `json:"left,omitempty"`
	NumWant    int     `json:"numwant,omitempty"`
	Offers     []offer `json:"offers,omitempty"`
	Offer      *words  `json:"offer,omitempty"`
	Answer     *words  `json:"answer,omitempty"`
	Complete   *int    `json:"complete,omitempty"`
	Incomplete *int    `json:"incomplete,omitempty"`
	Failure    string  `json:"failure reason,omitempty"`
}

type offer struct {
	OfferID string `json:"offer_id"`
	Offer   words  `json:"offer"`
}

// words are a session description.
type words struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// id20 returns an identifier of 20 bytes, as the protocol needs.
func id20(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	return s + strings.Repeat("-", 20-len(s))
}

func dial(addr, id string) (*peer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/", nil)
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", err)
	}
	c.SetReadLimit(1 << 20)
	return &peer{c, id}, nil
}

func (p *peer) send(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.conn.Write(ctx, websocket.MessageText, b); err != nil {
		return fmt.Errorf("%s cannot send: %w", p.id, err)
	}
	return nil
}

func (p *peer) receive() (m message, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := p.conn.Read(ctx)
	if err != nil {
		return m, fmt.Errorf("%s received nothing: %w", p.id, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s received %.200q: %w", p.id, b, err)
	}
	if m.Failure != "" {
		return m, fmt.Errorf("%s received the failure %q", p.id, m.Failure)
	}
	return m, nil
}

// announce sends an announce with an offer for each of sdps and returns the reply.
func (p *peer) announce(hash string, left int, sdps ...string) error {
	m := message{Action: "announce", InfoHash: hash, PeerID: p.id, Left: &left, NumWant: len(sdps)}
	for k, sdp := range sdps {
		m.Offers = append(m.Offers, offer{id20("offer %d", k), words{"offer", sdp}})
	}
	if err := p.send(m); err != nil {
		return err
	}
	reply, err := p.receive()
	if err == nil && (reply.Complete == nil || reply.Incomplete == nil || reply.InfoHash != hash) {
		err = fmt.Errorf("%s announced and received %+v", p.id, reply)
	}
	return err
}

// meet lets two peers, connected already, meet in a torrent: b's offer reaches a, and a's answer reaches b, unchanged.
func meet(a, b *peer, hash, sdp string) error {
	if err := a.announce(hash, 0); err != nil {
		return err
	}
	if err := b.announce(hash, 1, sdp); err != nil {
		return err
	}
	o, err := a.receive()
	if err != nil {
		return err
	}
	if o.Offer == nil || o.Offer.SDP != sdp || o.PeerID != b.id || o.InfoHash != hash {
		return fmt.Errorf("%s received another offer than was sent", a.id)
	}
	answer := words{"answer", "answer to " + sdp}
	err = a.send(message{Action: "announce", InfoHash: hash, PeerID: a.id, ToPeerID: b.id, OfferID: o.OfferID,
		Answer: &answer})
	if err != nil {
		return err
	}
	r, err := b.receive()
	if err != nil {
		return err
	}
	if r.Answer == nil || *r.Answer != answer || r.PeerID != a.id || r.OfferID != o.OfferID {
		return fmt.Errorf("%s received another answer than was sent", b.id)
	}
	return nil
}

// leave ends the connection with or without a close frame.
func (p *peer) leave(politely bool) error {
	if !politely {
		return p.conn.CloseNow()
	}
	return p.conn.Close(websocket.StatusNormalClosure, "")
}
