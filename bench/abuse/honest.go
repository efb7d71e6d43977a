package main

// This file owns the honest clients: each has an address of its own, announces when it is due, and answers every offer.

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// exchange is an announce, its reply, and the first answer to one of its offers. Its person's mutex guards it.
type exchange struct {
	key     string // the begin of its offer ids
	due     time.Time
	phase   phase
	replied bool
	done    bool
	timeout *time.Timer
}

// person is one honest client. It connects again when it loses its connection.
type person struct {
	crowd   *crowd
	id      string
	source  net.IP
	writing sync.Mutex // held while bytes of one message are written

	mu      sync.Mutex
	link    *client     // nil: not connected
	waiting []*exchange // without a reply, in the order of their announces
	running map[string]*exchange
}

// connect opens the person's connection and starts to read it. The returned channel is closed when it has ended.
func (p *person) connect(ctx context.Context) (<-chan struct{}, error) {
	link, err := p.crowd.dialer.open(ctx, p.source)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.link = link
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.read(link)
		link.Close()
		p.lose(link)
	}()
	return ended, nil
}

// read serves a connection until it ends.
func (p *person) read(link *client) {
	for {
		opcode, payload, err := readFrame(link.in)
		if err != nil {
			return
		}
		switch opcode {
		case opPing:
			p.write(link, appendFrame(nil, opPong, string(payload)))
		case opClose:
			p.write(link, appendFrame(nil, opClose, string(payload)))
			return
		case opText:
			var m message
			if err := json.Unmarshal(payload, &m); err != nil {
				p.crowd.ledger.wrong()
				return
			}
			p.receive(link, &m)
		}
	}
}

// receive takes a message.
func (p *person) receive(link *client, m *message) {
	switch {
	case m.Offer != nil && strings.HasPrefix(m.PeerID, attackerPrefix):
		p.crowd.ledger.junk(p.crowd.now())
	case m.Offer != nil:
		if !strings.HasPrefix(m.Offer.SDP, m.OfferID) {
			p.crowd.ledger.wrong()
		}
		answer := appendFrame(nil, opText, answerText(honestHash, p.id, m.PeerID, m.OfferID, sdpOf(m.OfferID)))
		time.AfterFunc(thinkTime, func() { p.write(link, answer) })
	case m.Answer != nil:
		if !strings.HasPrefix(m.Answer.SDP, m.OfferID) {
			p.crowd.ledger.wrong()
		}
		p.answered(m.OfferID[:min(len(m.OfferID), keySize)])
	default:
		p.replied(m.Failure == "")
	}
}

// write sends whole frames.
func (p *person) write(link *client, pieces ...[]byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	link.SetWriteDeadline(time.Now().Add(patience))
	for k, piece := range pieces {
		if k > 0 {
			time.Sleep(splitGap)
		}
		if _, err := link.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// keySize is the length of an exchange's key; the rest of an offer id is the number of the offer.
const keySize = 19

// sdpOf returns a session description that names its offer, so that the receiver sees that it is the right one.
func sdpOf(offerID string) string { return offerID + strings.Repeat("v", sdpSize-len(offerID)) }

// begin makes the exchange that is due now, nil when the crowd is halted.
func (p *person) begin(due time.Time) *exchange {
	c := p.crowd
	c.beginning.Lock()
	defer c.beginning.Unlock()
	if c.halted {
		return nil
	}
	x := &exchange{key: fmt.Sprintf("%0*d", keySize, c.sequence.Add(1)), due: due, phase: c.now()}
	c.open.Add(1)
	c.ledger.begin(x.phase)
	x.timeout = time.AfterFunc(time.Until(due)+patience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.finish(x, false)
	})
	return x
}

// announce sends the announce of an exchange, if there is one.
func (p *person) announce(x *exchange) {
	if x == nil {
		return
	}
	offers := make([]offer, offersOfAnnounce)
	for k := range offers {
		name := x.key + strconv.Itoa(k)
		offers[k] = offer{name, sdpOf(name)}
	}
	frame := appendFrame(nil, opText, announceText(honestHash, p.id, 1, offers))
	pieces := [][]byte{frame}
	number, _ := strconv.Atoi(x.key)
	split := number%splitEvery == 0
	if split {
		pieces = [][]byte{frame[:len(frame)/2], frame[len(frame)/2:]}
	}
	p.mu.Lock()
	if split {
		x.due = x.due.Add(splitGap) // no reply is due before the second piece
	}
	link := p.link
	if link == nil {
		p.finish(x, false)
		p.mu.Unlock()
		return
	}
	p.waiting = append(p.waiting, x)
	p.running[x.key] = x
	p.mu.Unlock()
	p.write(link, pieces...) // an error ends the connection, which the reader notices
	p.crowd.ledger.offered(x.phase, len(offers))
}

// replied gives the oldest exchange without a reply its reply: the tracker replies in order.
func (p *person) replied(ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.crowd.ledger.wrong()
		return
	}
	x := p.waiting[0]
	p.waiting = p.waiting[1:]
	x.replied = true
	p.crowd.ledger.replied(x.phase, time.Since(x.due))
	if !ok {
		p.finish(x, false)
	}
}

// answered takes an answer to an offer of an exchange. The first one completes the exchange.
func (p *person) answered(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.running[key]
	if x == nil {
		p.crowd.ledger.wrong()
		return
	}
	p.crowd.ledger.answered(x.phase)
	p.finish(x, x.replied)
}

// finish ends an exchange once. The caller holds the mutex. The exchange stays known, since more answers may follow.
func (p *person) finish(x *exchange, ok bool) {
	if x.done {
		return
	}
	x.done = true
	x.timeout.Stop()
	if !x.replied {
		p.crowd.ledger.replied(x.phase, patience)
	}
	p.crowd.ledger.finish(x.phase, ok)
	p.crowd.open.Done()
}

// lose ends what waits on a connection that has ended.
func (p *person) lose(link *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != link {
		return
	}
	p.link = nil
	for _, x := range p.running {
		p.finish(x, false)
	}
	p.waiting = nil
}

// live keeps a person connected and, with a period, announcing until the crowd is halted. Lost connections count. ready
// is called when the person is connected for the first time.
func (p *person) live(ctx context.Context, offset, period time.Duration, ready func()) {
	due := time.Now().Add(offset)
	for first := true; ctx.Err() == nil; first = false {
		ended, err := p.connect(ctx)
		if first {
			ready()
		}
		if err != nil {
			p.crowd.ledger.lost(p.crowd.now())
			if due = p.miss(ctx, due, period); due.IsZero() {
				return
			}
			continue
		}
		if period == 0 {
			p.announceOnce()
		}
		if due = p.follow(ctx, ended, due, period); due.IsZero() {
			return
		}
		p.crowd.ledger.lost(p.crowd.now())
		if due = p.miss(ctx, due, period); due.IsZero() {
			return
		}
	}
}

// announceOnce announces without an offer and counts as no exchange: the person is in the swarm, and answers.
func (p *person) announceOnce() {
	x := &exchange{done: true, timeout: time.NewTimer(0), phase: warm}
	p.mu.Lock()
	link := p.link
	p.waiting = append(p.waiting, x)
	p.mu.Unlock()
	if link != nil {
		p.write(link, appendFrame(nil, opText, announceText(honestHash, p.id, 1, nil)))
	}
}

// follow announces when it is due until the connection ends; it returns when the next announce is due. At the halt it
// stays until the context ends, and returns zero.
func (p *person) follow(ctx context.Context, ended <-chan struct{}, due time.Time, period time.Duration) time.Time {
	halt := p.crowd.halt
	for {
		var tick <-chan time.Time
		if period > 0 && halt != nil {
			tick = time.After(time.Until(due))
		}
		select {
		case <-ctx.Done():
			return time.Time{}
		case <-halt:
			halt = nil
		case <-ended:
			if ctx.Err() != nil {
				return time.Time{}
			}
			return due
		case <-tick:
			p.announce(p.begin(due))
			due = due.Add(period)
		}
	}
}

// miss lets the announces fail that are due while there is no connection, and waits a moment.
func (p *person) miss(ctx context.Context, due time.Time, period time.Duration) time.Time {
	select {
	case <-ctx.Done():
		return time.Time{}
	case <-p.crowd.halt:
		return time.Time{}
	case <-time.After(announcePeriod):
	}
	for ; period > 0 && due.Before(time.Now()); due = due.Add(period) {
		p.announce(p.begin(due))
	}
	return due
}

// await waits until an exchange is over.
func (p *person) await(ctx context.Context, x *exchange) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		p.mu.Lock()
		done := x.done
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
