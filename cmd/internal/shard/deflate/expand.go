package deflate

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/klauspost/compress/flate"

	"millrace/wsproto"
)

// This file expands the messages of clients.

// Expander expands messages. Each was compressed alone (client_no_context_takeover), so nothing is kept but memory
// to work in. It belongs to one goroutine at a time. The zero value is ready for use; nothing measures its work.
type Expander struct {
	reader   io.ReadCloser // nil: nothing has been expanded yet
	source   bytes.Reader
	input    []byte
	expanded []byte

	clock func() time.Duration // monotonic; nil: the work is not measured
	took  time.Duration

	stats ExpandStats
}

// ExpandStats are the counters of an Expander. Their tags say how they are shown (see package stats).
type ExpandStats struct {
	Failed uint64        `metric:"deflate_failures_total" help:"Compressed messages of clients that could not be expanded, or were too long."`
	Time   time.Duration `metric:"deflate_seconds_total" label:"direction=in"`
}

// NewExpander returns an Expander whose work is measured with a clock; nil: it is not measured.
func NewExpander(clock func() time.Duration) Expander {
	return Expander{clock: clock}
}

// Took returns how long the last message took; 0: it was not measured.
func (x *Expander) Took() time.Duration { return x.took }

// Stats returns the counters.
func (x *Expander) Stats() ExpandStats { return x.stats }

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
func (x *Expander) Expand(message []byte, limit int) ([]byte, *wsproto.CloseError) {
	var since time.Duration
	if x.clock != nil {
		since = x.clock()
	}
	out, err := x.expand(message, limit)
	if x.clock != nil {
		x.took = x.clock() - since
		x.stats.Time += x.took
	}
	if err != nil {
		x.stats.Failed++
	}
	return out, err
}

// leastRoom is the first size of the buffer for expanded messages, in bytes.
const leastRoom = 16 << 10

// maxStreams bounds the streams in one message, which are one with all known senders: each costs a copy of the window.
const maxStreams = 8

// maxWindow is how far back a stream of deflate may look, in bytes.
const maxWindow = 32 << 10

func (x *Expander) expand(message []byte, limit int) ([]byte, *wsproto.CloseError) {
	x.expanded = x.expanded[:0]
	if len(message) == 0 {
		return x.expanded, nil // a sender that also leaves out the one byte of an empty message
	}
	if x.reader == nil {
		x.reader = flate.NewReader(&x.source)
	}
	x.input = append(append(x.input[:0], message...), ending[:]...)
	x.source.Reset(x.input)
	window := 0 // where the window of the stream begins
	for range maxStreams {
		x.reader.(flate.Resetter).Reset(&x.source, x.expanded[window:]) // fails only for readers that fail
		switch ended, err := x.read(limit); {
		case err != nil:
			return nil, err
		case !ended:
			return nil, errTooLong
		case x.source.Len() <= len(ending):
			return x.expanded, nil
		}
		// A sender may end a stream within a message (RFC 7692 §7.2.3.4). The next one goes on with the window.
		window = max(0, len(x.expanded)-maxWindow)
	}
	return nil, errBroken
}

// read reads a stream to its end. ended is false if there would be more than limit bytes.
func (x *Expander) read(limit int) (ended bool, bad *wsproto.CloseError) {
	for {
		if len(x.expanded) == cap(x.expanded) {
			if len(x.expanded) > limit {
				return false, nil
			}
			grown := make([]byte, len(x.expanded), min(max(2*cap(x.expanded), leastRoom), limit+1))
			copy(grown, x.expanded)
			x.expanded = grown
		}
		n, err := x.reader.Read(x.expanded[len(x.expanded):cap(x.expanded)])
		x.expanded = x.expanded[:len(x.expanded)+n]
		switch {
		case len(x.expanded) > limit:
			return false, nil
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, errBroken
		}
	}
}
