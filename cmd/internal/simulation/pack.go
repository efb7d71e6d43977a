package simulation

import (
	"bytes"
	"cmp"
	"compress/flate"
	"io"
	"math/rand/v2"
	"strings"
)

// This file owns the compression of clients (RFC 7692). It uses the standard library's compress/flate, which the tracker does not.

// packing is what a client has agreed on.
type packing struct {
	offer   string // the value of its field Sec-WebSocket-Extensions; empty: it does not compress
	agreed  bool
	alone   bool
	window  []byte // all that it has expanded, as far as it may be looked back at
	limited int    // bytes of that; 0: 32 KiB
}

// packings are the offers of clients.
var packings = []packing{
	{}, {}, {offer: "permessage-deflate; client_max_window_bits"}, {offer: "permessage-deflate"},
	{offer: "permessage-deflate; server_no_context_takeover", alone: true},
	{offer: "permessage-deflate; server_max_window_bits=12", limited: 4096},
	{offer: "permessage-deflate; server_max_window_bits=9", limited: 512},
}

// drawPacking draws the offer of a client.
func drawPacking(rng *rand.Rand) packing { return packings[rng.IntN(len(packings))] }

// upgrade returns the request.
func (p *packing) upgrade() string {
	if p.offer == "" {
		return upgrade
	}
	return strings.TrimSuffix(upgrade, "\r\n") + "Sec-WebSocket-Extensions: " + p.offer + "\r\n\r\n"
}

// answered reads the response.
func (p *packing) answered(head string) {
	p.agreed = strings.Contains(head, "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")
}

// tools are what all clients of a world compress and expand with, one after the other: they are large.
type tools struct {
	writer *flate.Writer
	reader io.ReadCloser
}

func newTools() tools {
	w, err := flate.NewWriter(io.Discard, flate.HuffmanOnly)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return tools{w, flate.NewReader(strings.NewReader(""))}
}

// pack compresses a message.
func (t *tools) pack(message string) string {
	var b bytes.Buffer
	t.writer.Reset(&b)
	io.WriteString(t.writer, message)
	t.writer.Flush()
	return string(b.Bytes()[:b.Len()-4])
}

// expand expands a message of the tracker; ok is false if it is broken, or looks back too far.
func (p *packing) expand(t *tools, message string) (text string, ok bool) {
	if p.alone {
		p.window = nil
	}
	p.window = p.window[max(0, len(p.window)-cmp.Or(p.limited, 32<<10)):]
	t.reader.(flate.Resetter).Reset(strings.NewReader(message+"\x00\x00\xff\xff\x01\x00\x00\xff\xff"), p.window)
	out, err := io.ReadAll(t.reader)
	p.window = append(p.window, out...)
	return string(out), err == nil && p.agreed
}
