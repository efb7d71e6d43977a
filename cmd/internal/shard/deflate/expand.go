package deflate

import (
	"errors"
	"io"

	"github.com/klauspost/compress/flate"

	"millrace/wsproto"
)

// This file expands the messages of clients. Each was compressed alone (client_no_context_takeover), so nothing is kept.

// ending is the rest of every message: the bytes that its sender has left out, and a last block that ends the stream, so that an
// end in the middle of a block shows.
//
// RFC 7692 §7.2.2: «Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message.»
var ending = [...]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

var (
	errBroken  = &wsproto.CloseError{Code: wsproto.StatusInvalidPayload, Reason: "compressed message is broken"}
	errTooLong = &wsproto.CloseError{Code: wsproto.StatusTooBig, Reason: "message over the size limit"}
)

// Expand returns the message that a client has compressed, of at most limit bytes: no more are produced. It is good until the next
// call.
func (d *Deflate) Expand(message []byte, limit int) ([]byte, *wsproto.CloseError) {
	out, err := d.expand(message, limit)
	if err != nil {
		d.stats.Failed++
		return nil, err
	}
	d.stats.Expanded++
	d.stats.InBefore += uint64(len(out))
	d.stats.InAfter += uint64(len(message))
	return out, nil
}

// leastRoom is the first size of the buffer for expanded messages, in bytes.
const leastRoom = 16 << 10

// maxStreams bounds the streams in one message, which are one with all known senders: each costs a copy of the window.
const maxStreams = 8

// maxWindow is how far back a stream of deflate may look, in bytes.
const maxWindow = 32 << 10

func (d *Deflate) expand(message []byte, limit int) ([]byte, *wsproto.CloseError) {
	d.expanded = d.expanded[:0]
	if len(message) == 0 {
		return d.expanded, nil // a sender that also leaves out the one byte of an empty message
	}
	if d.reader == nil {
		d.reader = flate.NewReader(&d.source)
	}
	d.input = append(append(d.input[:0], message...), ending[:]...)
	d.source.Reset(d.input)
	window := 0 // where the window of the stream begins
	for range maxStreams {
		d.reader.(flate.Resetter).Reset(&d.source, d.expanded[window:]) // fails only for readers that fail
		switch ended, err := d.read(limit); {
		case err != nil:
			return nil, err
		case !ended:
			return nil, errTooLong
		case d.source.Len() <= len(ending):
			return d.expanded, nil
		}
		// A sender may end a stream within a message (RFC 7692 §7.2.3.4). The next one goes on with the window.
		window = max(0, len(d.expanded)-maxWindow)
	}
	return nil, errBroken
}

// read reads a stream to its end. ended is false if there would be more than limit bytes.
func (d *Deflate) read(limit int) (ended bool, bad *wsproto.CloseError) {
	for {
		if len(d.expanded) == cap(d.expanded) {
			if len(d.expanded) > limit {
				return false, nil
			}
			grown := make([]byte, len(d.expanded), min(max(2*cap(d.expanded), leastRoom), limit+1))
			copy(grown, d.expanded)
			d.expanded = grown
		}
		n, err := d.reader.Read(d.expanded[len(d.expanded):cap(d.expanded)])
		d.expanded = d.expanded[:len(d.expanded)+n]
		switch {
		case len(d.expanded) > limit:
			return false, nil
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, errBroken
		}
	}
}
