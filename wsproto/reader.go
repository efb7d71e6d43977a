package wsproto

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Kind is the kind of a received message or control frame.
type Kind uint8

// The kinds that [Reader.Next] returns.
const (
	None Kind = iota // more bytes are needed
	Text
	Binary
	Ping
	Pong
	Close
)

// Limits bounds what a client may send, in bytes of payload.
type Limits struct {
	Message int // of a whole message, over all of its fragments
	Frame   int // of one data frame
}

// Reader is the state of one connection's incoming frames. It owns no bytes: everything is kept in the caller's buffer,
// which must stay under 4 GiB. The zero value is ready.
//
// The buffer between two calls of Keep:
//
//	0 ......... start ........ start+size ........ pos ........ len(buf)
//	  returned        message so far      headers       not read
type Reader struct {
	start uint32    // where the fragmented message begins
	size  uint32    // how much of it has been joined
	pos   uint32    // where the next frame begins
	op    ws.OpCode // Text or Binary while a fragmented message is open, else 0
}

// Fragmented reports whether a message is open of which some fragments have come and the last has not.
func (r *Reader) Fragmented() bool { return r.op != 0 }

var (
	errReserved      = &CloseError{StatusProtocolError, "frame with a reserved opcode"}
	errControlSize   = &CloseError{StatusProtocolError, "control frame over 125 bytes"}
	errControlSplit  = &CloseError{StatusProtocolError, "fragmented control frame"}
	errRSV           = &CloseError{StatusProtocolError, "frame with a reserved bit and no extension agreed"}
	errUnmasked      = &CloseError{StatusProtocolError, "client frame without a mask"}
	errInterleaved   = &CloseError{StatusProtocolError, "new message inside a fragmented message"}
	errContinuation  = &CloseError{StatusProtocolError, "continuation frame without a message to continue"}
	errLengthTopBit  = &CloseError{StatusProtocolError, "frame length with the top bit set"}
	errLengthForm    = &CloseError{StatusProtocolError, "frame length not in its shortest form"}
	errFrameTooBig   = &CloseError{StatusTooBig, "frame over the size limit"}
	errMessageTooBig = &CloseError{StatusTooBig, "message over the size limit"}
	errNotUTF8       = &CloseError{StatusInvalidPayload, "text message is not UTF-8"}
)

// Next returns the next message or control frame in buf, or None when more bytes are needed. An error ends the
// connection; Next must not be called again.
//
// buf is what Keep has kept followed by all bytes received since. Payloads are unmasked, and fragments joined, in place;
// the result is a view of buf. A message stays valid until Keep. A control frame's payload stays valid only until the
// next call of Next, because the fragments that follow it may be joined over it. Whether a Text is UTF-8 has not been
// looked at: see [CheckText].
//
// Every byte is unmasked once and moved at most twice, however small the fragments and however they arrive.
func (r *Reader) Next(buf []byte, lim *Limits) (Kind, []byte, *CloseError) {
	for {
		h, size, err := parseHeader(buf[r.pos:], r.state())
		if err != nil {
			return None, nil, err
		}
		if size == 0 {
			return None, nil, nil
		}
		if err = r.checkLimits(&h, lim); err != nil {
			return None, nil, err
		}
		begin := int(r.pos) + size
		if len(buf)-begin < int(h.Length) {
			return None, nil, nil
		}
		end := begin + int(h.Length)
		payload := buf[begin:end:end]
		ws.Cipher(payload, h.Mask, 0)
		r.pos = uint32(end)
		if h.OpCode.IsControl() {
			return controlKind(h.OpCode), payload, nil
		}
		if op := r.join(buf, payload, begin, &h); op != 0 {
			kind, message := r.finish(buf, op)
			return kind, message, nil
		}
	}
}

// Unread makes the message that Next has just returned, and after which it was not called again, the next one to be
// returned: its frame stands in buf again, with a mask that changes nothing, so that what [Reader.Keep] keeps is a
// stream of frames for a new Reader too. It reports false, and does nothing, for a message that came in fragments.
func (r *Reader) Unread(buf []byte) bool {
	begin := int(r.start)
	if r.op != 0 || r.pos == 0 || r.pos != r.start+r.size { // a header lies behind the fragment that was first
		return false
	}
	size := frameHeaderSize(int(r.size))
	clear(buf[begin-4 : begin])

	r.pos = uint32(begin - size)
	return true
}

// frameHeaderSize returns the length of the header of a client's frame with n bytes of payload.
func frameHeaderSize(n int) int {
	switch {
	case n < len16:
		return headerSize(maskBit)
	case n <= 0xffff:
		return headerSize(maskBit | len16)
	}
	return headerSize(maskBit | len64)
}

func (r *Reader) state() ws.State {
	if r.op != 0 {
		return ws.StateServerSide | ws.StateFragmented
	}
	return ws.StateServerSide
}

// checkLimits refuses a data frame as soon as its header shows that it, or its message, is too big.
func (r *Reader) checkLimits(h *ws.Header, lim *Limits) *CloseError {
	if h.OpCode.IsControl() {
		return nil
	}
	if h.Length > int64(lim.Frame) {
		return errFrameTooBig
	}
	size := h.Length
	if r.op != 0 {
		size += int64(r.size)
	}
	if size > int64(lim.Message) {
		return errMessageTooBig
	}
	return nil
}

// join adds a data frame, whose payload begins at buf[begin], to the message. It returns the message's opcode when the
// frame was its last one.
func (r *Reader) join(buf, payload []byte, begin int, h *ws.Header) ws.OpCode {
	op := r.op
	if op == 0 {
		op = h.OpCode
		r.start, r.size = uint32(begin), uint32(len(payload))
	} else {
		copy(buf[r.start+r.size:], payload)
		r.size += uint32(len(payload))
	}
	if h.Fin {
		r.op = 0
		return op
	}
	r.op = op
	return 0
}

// finish returns the message that join has completed.
func (r *Reader) finish(buf []byte, op ws.OpCode) (Kind, []byte) {
	end := r.start + r.size
	message := buf[r.start:end:end]
	if op == ws.OpBinary {
		return Binary, message
	}
	return Text, message
}

// CheckText returns the error that a Text deserves which is not UTF-8. It is for those that [Decoder.Decode] finds not to
// be JSON: what it accepts is UTF-8, so that to look at every message would be to look at it twice.
//
// RFC 6455, section 8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not,
// in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_."
func CheckText(text []byte) *CloseError {
	if utf8.Valid(text) {
		return nil
	}
	return errNotUTF8
}

// Keep moves what the following calls of Next need, the message so far and the incomplete frame, to the front of buf.
// Everything that Next has returned becomes invalid. kept is its length: 0 means that the connection needs no buffer.
// need is how long the buffer must at least become before Next can return anything but None: at least kept+1, and once
// an incomplete frame's header is known, the end of that frame. It must not be called after an error.
func (r *Reader) Keep(buf []byte) (kept, need int) {
	if r.op != 0 {
		kept = int(r.size)
		if r.start != 0 {
			copy(buf, buf[r.start:r.start+r.size])
		}
	}
	rest := buf[r.pos:]
	frame := frameSize(rest)
	if int(r.pos) != kept {
		copy(buf[kept:], rest)
	}
	r.start, r.pos = 0, uint32(kept)
	return kept + len(rest), kept + frame
}

func controlKind(op ws.OpCode) Kind {
	switch op {
	case ws.OpPing:
		return Ping
	case ws.OpPong:
		return Pong
	}
	return Close
}

// headerSize returns the length of a client frame's header from the second byte of it.
func headerSize(second byte) int {
	size := 2
	switch second &^ maskBit {
	case len16:
		size += 2
	case len64:
		size += 8
	}
	if second&maskBit != 0 {
		size += 4
	}
	return size
}

// frameSize returns how many bytes the frame at the front of b has, as far as b shows: the smallest size that it can
// have. What Next returned None for is never complete, so the result is greater than len(b).
func frameSize(b []byte) int {
	if len(b) < 2 {
		return 2
	}
	size := headerSize(b[1])
	if len(b) < size {
		return size
	}
	return size + int(payloadLength(b))
}

// payloadLength decodes the length in a complete header.
//
// RFC 6455, section 5.2: "If 126, the following 2 bytes interpreted as a 16-bit unsigned integer are the payload
// length. If 127, the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0)
// are the payload length."
func payloadLength(b []byte) int64 {
	switch n := b[1] &^ maskBit; n {
	case len16:
		return int64(binary.BigEndian.Uint16(b[2:]))
	case len64:
		return int64(binary.BigEndian.Uint64(b[2:]))
	default:
		return int64(n)
	}
}

// parseHeader reads the frame header at the front of b. size is 0 when it is not complete; what its first two bytes
// already show to be wrong is reported all the same.
func parseHeader(b []byte, state ws.State) (h ws.Header, size int, err *CloseError) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.Fin = b[0]&finBit != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0xf)
	h.Masked = b[1]&maskBit != 0
	h.Length = int64(b[1] &^ maskBit) // enough to see that a control frame is too long
	if e := ws.CheckHeader(h, state); e != nil {
		return h, 0, headerError(e)
	}
	size = headerSize(b[1])
	if len(b) < size {
		return h, 0, nil
	}
	short := h.Length
	h.Length = payloadLength(b)
	switch {
	case h.Length < 0:
		return h, 0, errLengthTopBit
	case short == len16 && h.Length < len16, short == len64 && h.Length <= 0xffff:
		// RFC 6455, section 5.2: "in all cases, the minimal number of bytes MUST be used to encode the length".
		return h, 0, errLengthForm
	}
	h.Mask = [4]byte(b[size-4 : size])
	return h, size, nil
}

// headerError gives the errors of ws.CheckHeader their close code.
func headerError(err error) *CloseError {
	switch err {
	case ws.ErrProtocolOpCodeReserved:
		return errReserved
	case ws.ErrProtocolControlPayloadOverflow:
		return errControlSize
	case ws.ErrProtocolControlNotFinal:
		return errControlSplit
	case ws.ErrProtocolNonZeroRsv:
		return errRSV
	case ws.ErrProtocolMaskRequired:
		return errUnmasked
	case ws.ErrProtocolContinuationExpected:
		return errInterleaved
	case ws.ErrProtocolContinuationUnexpected:
		return errContinuation
	}
	panic("BUG: unknown error of ws.CheckHeader: " + err.Error())
}
