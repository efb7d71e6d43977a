package simulation

import (
	"encoding/json"
	"math/rand/v2"
	"strings"

	"millrace/ring/ringtest"
)

// This file owns the clients: the requests that they send, and the checks of all that they are sent.

// client is one connection and the knowledge of its client.
type client struct {
	*ringtest.Client
	world    *world
	n        int
	peer     string
	shared   bool // another connection has the same peer id
	inbox    []byte
	upgraded bool
	ending   bool // did something after which the tracker may close at any time
	deaf     bool // does not read for now
	cut      bool // a frame has been sent in part
	queued   []byte
	asked    []ask
	packing  packing
	present  map[string]bool // info hashes of which the last reply said that the peer is there
}

// ask is a message that will be replied to.
type ask struct {
	hash    string
	stopped bool
	scrape  bool
}

// offer is an offer that a client has sent, and how far it has come.
type offer struct {
	hash, from, sdp string
	by              *client
	to              string // the peer that received it
	answered        bool   // that peer has sent an answer
	answers         int    // answers that came back
	age             uint64 // how many hand-overs there were before it was made
}

// up reports whether the connection is open, as far as its client knows.
func (c *client) up() bool { return c.upgraded && !c.ending && !c.WasReset() && !c.EOF() }

// frame sends a frame, sometimes in two parts with a turn of the loops between them. Frames with which the client
// replies in that turn come after the second part.
func (c *client) frame(op byte, payload string) {
	if op == opText && c.packing.agreed && c.world.rng.IntN(4) > 0 {
		op, payload = op|packed, c.world.tools.pack(payload)
	}
	f := c.frames(op, payload)
	if c.cut {
		c.queued = append(c.queued, f...)
		return
	}
	if c.world.rng.IntN(3) == 0 {
		n := c.world.rng.IntN(len(f))
		c.Write(f[:n])
		f = f[n:]
		c.cut = true
		c.world.turn()
		c.cut = false
	}
	c.Write(append(f, c.queued...))
	c.queued = nil
}

// frames returns the bytes of a frame. In runs with hand-overs some messages go in two fragments.
func (c *client) frames(op byte, payload string) []byte {
	if c.world.hand == nil || op&^packed != opText || len(payload) == 0 || c.world.hand.IntN(4) > 0 {
		return appendFrame(nil, op, payload)
	}
	n := c.world.hand.IntN(len(payload))
	return appendFrame(appendFrame(nil, op&^final, payload[:n]), final, payload[n:])
}

// message sends a text frame with the JSON of m.
func (c *client) message(m map[string]any) {
	b, err := json.Marshal(m)
	if err != nil {
		panic("BUG: the simulation cannot write its JSON: " + err.Error())
	}
	c.frame(opText, string(b))
}

// description returns n bytes of text, which compress to nothing, to a half, or not at all.
func description(rng *rand.Rand, n int) string {
	var b strings.Builder
	switch rng.IntN(3) {
	case 0:
		return strings.Repeat("x", n)
	case 1:
		for b.Len() < n {
			b.WriteByte("0123456789abcdef"[rng.IntN(16)])
		}
	case 2:
		for b.Len() < n-1 {
			b.WriteRune(rune(0x80 + rng.IntN(0x800-0x80))) // all runes of two bytes
		}
		b.WriteString(strings.Repeat("x", n-b.Len()))
	}
	return b.String()
}

// announce sends an announce with one offer for each length. Each offer is unique in the run.
func (c *client) announce(hash, event string, left int, lengths []int) {
	offers := []any{}
	for _, n := range lengths {
		o := &offer{hash: hash, from: c.peer, by: c, sdp: "v=0 " + description(c.world.rng, n), age: c.world.handOvers()}
		name := id("offer %d", len(c.world.offers))
		c.world.offers[name] = o
		offers = append(offers, map[string]any{
			"offer_id": name, "offer": map[string]any{"type": "offer", "sdp": o.sdp},
		})
	}
	m := map[string]any{"action": "announce", "info_hash": hash, "peer_id": c.peer, "left": left, "offers": offers}
	if event != "" {
		m["event"] = event
	}
	c.asked = append(c.asked, ask{hash: hash, stopped: event == "stopped"})
	c.message(m)
}

// scrape asks for all torrents.
func (c *client) scrape() {
	var hashes []string
	for k := range torrents {
		hashes = append(hashes, torrent(k))
	}
	c.asked = append(c.asked, ask{scrape: true})
	c.message(map[string]any{"action": "scrape", "info_hash": hashes})
}

// readAll takes all that has arrived and checks every message.
func (c *client) readAll() {
	c.inbox = append(c.inbox, c.Read()...)
	if !c.upgraded {
		head, rest, ok := strings.Cut(string(c.inbox), "\r\n\r\n")
		if !ok {
			return
		}
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			c.sawRefusal(head)
			c.inbox = nil
			return
		}
		c.packing.answered(head)
		c.inbox, c.upgraded = []byte(rest), true
	}
	for {
		f, rest, ok := cutFrame(c.inbox)
		if !ok {
			return
		}
		c.inbox = rest
		c.saw(f)
	}
}

// sawRefusal checks the head of an HTTP error.
func (c *client) sawRefusal(head string) {
	if !strings.HasPrefix(head, "HTTP/1.1 503 ") && !strings.HasPrefix(head, "HTTP/1.1 408 ") {
		c.world.failf("client %d: a good upgrade was answered with %q", c.n, head)
	}
	c.ending = true
	c.CloseWrite()
}

// saw checks one frame of the tracker.
func (c *client) saw(f frame) {
	switch f.op {
	case opClose:
		c.sawClose(f.payload)
	case opPing:
		c.frame(opPong, f.payload)
	case opPong:
	case opText | packed:
		text, ok := c.packing.expand(&c.world.tools, f.payload)
		if !ok {
			c.world.failf("client %d cannot expand %x", c.n, f.payload)
			return
		}
		c.saw(frame{opText, text})
	case opText:
		m := map[string]any{}
		if err := json.Unmarshal([]byte(f.payload), &m); err != nil {
			c.world.failf("client %d was sent %q: %v", c.n, f.payload, err)
			return
		}
		switch {
		case m["offer"] != nil:
			c.sawOffer(m)
		case m["answer"] != nil:
			c.sawAnswer(m)
		default:
			c.sawReply(m)
		}
	default:
		c.world.failf("client %d was sent a frame that begins with %#x", c.n, f.op)
	}
}

// sawClose checks the code of a close frame, and closes as clients do.
func (c *client) sawClose(payload string) {
	code := 0
	if len(payload) >= 2 {
		code = int(payload[0])<<8 | int(payload[1])
	}
	switch w := c.world; code {
	case 1012:
		if w.hand == nil || w.hand.Told == w.hand.Lost {
			w.failf("client %d was told that it has no place, and all others have one", c.n)
			return
		}
		w.hand.Told++
	case 1001, 1008, 1013: // idle or stop; slow or unusable messages; no memory
	default:
		if !c.ending {
			c.world.failf("client %d did nothing wrong and was closed with %d", c.n, code)
		}
	}
	c.ending = true
	c.CloseWrite()
}

// sawOffer checks that an offer is the one its sender sent, for a torrent of ours, and that nobody has got it before.
// Outside the service, some are not answered and some are answered twice.
func (c *client) sawOffer(m map[string]any) {
	w := c.world
	name, _ := m["offer_id"].(string)
	if from, _ := m["peer_id"].(string); strings.HasPrefix(from, attackerPrefix) {
		return
	}
	o := w.offers[name]
	if o == nil || o.hash != m["info_hash"] || o.from != m["peer_id"] || o.sdp != sdp(m["offer"]) {
		w.failf("client %d got an offer that nobody made: %.200v", c.n, m)
		return
	}
	if o.to != "" || o.from == c.peer {
		w.failf("client %d got the offer of %q that %q has got already", c.n, o.from, o.to)
	}
	o.to = c.peer
	if o.hash == siegeHash {
		w.delivered++
	}
	answers := 1
	if o.hash != serviceHash {
		answers = w.rng.IntN(3)
	}
	for range answers {
		if c.ending {
			return
		}
		o.answered = true
		c.message(map[string]any{
			"action": "announce", "info_hash": o.hash, "peer_id": c.peer, "to_peer_id": o.from,
			"offer_id": name, "answer": map[string]any{"type": "answer", "sdp": "answer to " + o.sdp},
		})
	}
}

// sawAnswer checks that an answer is to our offer, from the peer that got it, and the first.
func (c *client) sawAnswer(m map[string]any) {
	name, _ := m["offer_id"].(string)
	o := c.world.offers[name]
	if o == nil || o.by != c || o.hash != m["info_hash"] || o.to != m["peer_id"] || !o.answered ||
		sdp(m["answer"]) != "answer to "+o.sdp {
		c.world.failf("client %d got an answer that nobody gave: %.200v", c.n, m)
		return
	}
	if c.world.handOvers() > o.age {
		c.world.hand.Late++
	}
	if o.answers++; o.answers > 1 {
		c.world.failf("client %d got %d answers to one offer", c.n, o.answers)
	}
}

// sdp returns the text of an offer or answer; nil if there is none.
func sdp(description any) any {
	m, _ := description.(map[string]any)
	return m["sdp"]
}

// sawReply checks a reply against the requests. Replies of one torrent come in the order of the announces; those of
// different torrents may overtake each other, since other shards make them.
func (c *client) sawReply(m map[string]any) {
	hash, isAnnounce := m["info_hash"].(string)
	for k, a := range c.asked {
		if a.scrape == isAnnounce || isAnnounce && a.hash != hash {
			continue
		}
		c.asked = append(c.asked[:k:k], c.asked[k+1:]...)
		files, _ := m["files"].(map[string]any)
		switch {
		case m["failure reason"] != nil:
			if !c.world.tight || c.world.phase == "service" {
				c.world.failf("client %d: failure %v", c.n, m)
			}
		case isAnnounce:
			c.present[hash] = !a.stopped
		case len(files) != torrents:
			c.world.failf("client %d: scrape reply %v", c.n, m)
		}
		return
	}
	c.world.failf("client %d got a reply to nothing: %v", c.n, m)
}
