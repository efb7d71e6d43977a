package wsproto

// This file owns the messages for benchmarks: like those of browsers, and the same in every run.

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/gobwas/ws"
)

// corpus makes messages, different ones each time and the same ones in every run. Benchmarks take turns with several of
// them, because a processor learns where the branches of a single message go.
type corpus struct {
	random *rand.Rand
	binary bool // ids of random bytes, as the reference client makes info hashes and offer ids; else letters and digits
}

func newCorpus(binary bool) *corpus {
	return &corpus{rand.New(rand.NewPCG(1, 2)), binary}
}

func (c *corpus) word(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[c.random.IntN(len(letters))]
	}
	return string(b)
}

func (c *corpus) id() (id ID) {
	copy(id[:], c.word(len(id)))
	if c.binary {
		for i := range id {
			id[i] = byte(c.random.Uint32())
		}
	}
	return id
}

// literal is a fresh id as JSON.stringify writes it.
func (c *corpus) literal() string {
	id := c.id()
	return string(appendID(nil, &id))
}

// sdp is the literal of a session description with one data channel and some candidates, about 1.3 kB.
func (c *corpus) sdp() string {
	var b strings.Builder
	fmt.Fprintf(&b, `v=0\r\no=- %d 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n`, c.random.Uint64()>>1)
	b.WriteString(`a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n` +
		`m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n`)
	for n := c.random.IntN(3) + 6; n > 0; n-- {
		fmt.Fprintf(&b, `a=candidate:%d 1 udp %d %d.%d.%d.%d %d typ host generation 0 network-id %d\r\n`,
			c.random.Uint32(), c.random.Uint32N(1<<31), c.random.Uint32N(224), c.random.Uint32N(256),
			c.random.Uint32N(256), c.random.Uint32N(256), c.random.Uint32N(1<<16), n)
	}
	fmt.Fprintf(&b, `a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=ice-options:trickle\r\na=fingerprint:sha-256 `,
		c.word(4), c.word(24))
	for i := range 32 {
		fmt.Fprintf(&b, "%s%02X", ":"[:min(i, 1)], c.random.Uint32N(256))
	}
	b.WriteString(`\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n`)
	return `"` + b.String() + `"`
}

// announce is an announce as the reference client orders its fields.
func (c *corpus) announce(offers int) []byte {
	list := make([]string, offers)
	for i := range list {
		list[i] = `{"offer":{"type":"offer","sdp":` + c.sdp() + `},"offer_id":` + c.literal() + `}`
	}
	end := `}`
	if offers > 0 {
		end = `,"offers":[` + strings.Join(list, ",") + `]}`
	}
	return fmt.Appendf(nil, `{"numwant":%d,"uploaded":%d,"downloaded":%d,"left":%d,"action":"announce","info_hash":%s,`+
		`"peer_id":%s%s`, offers, c.random.Uint32(), c.random.Uint32(), c.random.Uint32(), c.literal(), c.literal(), end)
}

// answer is an answer to a relayed offer.
func (c *corpus) answer() []byte {
	return fmt.Appendf(nil, `{"action":"announce","info_hash":%s,"peer_id":%s,"to_peer_id":%s,`+
		`"answer":{"type":"answer","sdp":%s},"offer_id":%s}`,
		c.literal(), c.literal(), c.literal(), c.sdp(), c.literal())
}

// frames is a client's text message, in fragments of at most the size.
func frames(text []byte, size int) (stream []byte) {
	op := ws.OpText
	for len(text) > size {
		stream = clientFrame(stream, op, false, string(text[:size]))
		text, op = text[size:], ws.OpContinuation
	}
	return clientFrame(stream, op, true, string(text))
}
