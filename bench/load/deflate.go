package load

// This file compresses the clients' messages and expands the tracker's (RFC 7692), with the standard library alone: the
// load tester checks a tracker's compression with another implementation of it.

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"

	"millrace/wsproto"
)

// deflater is the compression of a worker. All of its clients share one compressor and one expander. Of a client's
// stream only the end is kept, the last bytes that it has expanded.
type deflater struct {
	keep    int    // bytes that are kept of a stream
	windows []byte // the ends of all clients' streams, keep bytes each; nil: no client has any. Untouched pages cost nothing

	writer *flate.Writer // nil: nothing has been compressed yet
	packed bytes.Buffer

	reader io.ReadCloser // nil: nothing has been expanded yet
	source bytes.Reader
	input  []byte
	text   []byte // the last message
}

// flateLevel is the effort of the clients' compressor. Chromium's makes more effort and shorter messages, but a client
// that takes the CPU of the tracker beside it is worse than some bytes.
const flateLevel = flate.BestSpeed

// flushed ends the output of a flush, and is left out of a message.
//
// RFC 7692 §7.2.1: «Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end.»
const flushed = "\x00\x00\xff\xff"

// lastBlock is an empty block that ends a stream, so that the expander ends without an error.
const lastBlock = "\x01\x00\x00\xff\xff"

// pack counts the message whose frame begins at from in the pending bytes of a client, which the caller has just
// appended, and puts a compressed one in its place, if the client may compress and that makes it shorter.
func (w *worker) pack(i uint32, from int, pending []byte) []byte {
	head, key := maskedHead(pending[from:])
	payload := pending[from+head:]
	w.counts.PayloadSent += uint64(len(payload))
	a := &w.clients[i].deflate
	// A message that is compressed alone and is no longer than the window does not look back further.
	if !a.on || a.clientBits < mostBits && len(payload) > 1<<a.clientBits {
		return pending
	}
	wsproto.Mask(payload, key)
	packed := w.deflate.compress(payload)
	if len(packed) >= len(payload) {
		wsproto.Mask(payload, key)
		return pending
	}
	pending = beginFrame(pending[:from], packedBit|opText, len(packed), key)
	start := len(pending)
	pending = append(pending, packed...)
	wsproto.Mask(pending[start:], key)
	return pending
}

// maskedHead returns the size of the header of a client's frame, and its masking key.
func maskedHead(frame []byte) (size int, key uint32) {
	size = maskedHeader
	switch frame[1] &^ maskBit {
	case length16:
		size += 2
	case length64:
		size += 8
	}
	return size, binary.LittleEndian.Uint32(frame[size-4:])
}

// compress returns the compressed form of a message. It is valid until the next one.
func (d *deflater) compress(text []byte) []byte {
	d.packed.Reset()
	if d.writer == nil {
		d.writer, _ = flate.NewWriter(&d.packed, flateLevel) // an error is for wrong levels only
	} else {
		d.writer.Reset(&d.packed)
	}
	_, _ = d.writer.Write(text) // a buffer takes all
	_ = d.writer.Flush()
	return d.packed.Bytes()[:d.packed.Len()-len(flushed)]
}

// expand returns the text of a compressed message of the tracker, which is valid until the next one, or why there is none.
func (w *worker) expand(i uint32, packed []byte) (text []byte, why string) {
	c, d := &w.clients[i], &w.deflate
	w.counts.Expanded++
	keep := 0
	if !c.deflate.alone {
		keep = min(d.keep, 1<<c.deflate.serverBits)
		if d.windows == nil {
			d.windows = make([]byte, len(w.clients)*d.keep)
		}
	}
	var window []byte
	if keep > 0 {
		window = d.windows[int(i)*d.keep:][:keep]
	}
	err := d.inflate(packed, window[:c.windowLen])
	if err != nil {
		return nil, w.explain(err, packed, window[:c.windowLen], c.deflate)
	}
	c.windowLen = uint32(slide(window, int(c.windowLen), d.text))
	return d.text, ""
}

// slide puts a text at the end of a window of which n bytes are in use, and returns how many are then.
func slide(window []byte, n int, text []byte) int {
	if len(text) >= len(window) {
		return copy(window, text[len(text)-len(window):])
	}
	kept := min(n, len(window)-len(text))
	copy(window, window[n-kept:n])
	return kept + copy(window[kept:], text)
}

// errTooLong is the error of a message that is longer than maxMessage when it is expanded.
var errTooLong = fmt.Errorf("a compressed message that expands to more than %d bytes", maxMessage)

// inflate expands a message into d.text, with the end of the stream before it.
func (d *deflater) inflate(packed, window []byte) error {
	d.input = append(append(append(d.input[:0], packed...), flushed...), lastBlock...)
	d.source.Reset(d.input)
	if d.reader == nil {
		d.reader = flate.NewReaderDict(&d.source, window)
	} else if err := d.reader.(flate.Resetter).Reset(&d.source, window); err != nil {
		return err
	}
	d.text = d.text[:0]
	for {
		if len(d.text) == cap(d.text) {
			d.text = append(d.text, make([]byte, max(len(d.text), 16<<10))...)[:len(d.text)]
		}
		n, err := d.reader.Read(d.text[len(d.text):cap(d.text)])
		d.text = d.text[:len(d.text)+n]
		switch {
		case len(d.text) > maxMessage:
			return errTooLong
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// explain returns why a message could not be expanded. With zeros in the place of the bytes that are no longer kept, a
// message that looks back at them can be expanded, to a wrong text, and others cannot.
func (w *worker) explain(err error, packed, window []byte, a agreement) string {
	if err == errTooLong {
		return err.Error()
	}
	d := &w.deflate
	if !a.alone && len(window) == d.keep && d.keep < 1<<a.serverBits {
		padded := append(make([]byte, 1<<a.serverBits-len(window)), window...)
		if d.inflate(packed, padded) == nil {
			w.lost.far++
			return "compressed with a look at bytes that are not kept: raise compression_window"
		}
	}
	return "a compressed message that cannot be expanded: " + err.Error()
}
