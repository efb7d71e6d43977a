package wsproto

// This file owns the frames that clients send: their headers, their masks, the joining of fragments, and all limits.

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

// Limits bounds the messages and frames of a client, in bytes of payload.
type Limits struct {
	Message int // of a whole message, over all of its fragments
	Frame   int // of one data frame
}

// Reader is the state of one connection's incoming frames. It owns no bytes: all of them stay in the caller's buffer,
// which must be under 4 GiB. The zero value is ready.
//
// The buffer between two calls of Keep:
//
//	0 ......... start ........ start+size ........ pos ........ len(buf)
//	  returned        message so far      headers       not read
type Reader struct {
	start uint32    // where the fragmented message begins
	size  uint32    // bytes of it that have been joined
	pos   uint32    // where the next frame begins
	op    ws.OpCode // Text or Binary while a fragmented message is open, else 0

	agreed bool // messages may be compressed
	packed bool // the message so far, or the last one, is
}

// Agree lets messages be compressed from now on (see [Deflate]).
func (r *Reader) Agree() { r.agreed = true }

// Packed reports whether the message that Next has just returned is compressed.
func (r *Reader) Packed() bool { return r.packed }

// Fragmented reports whether a message is open: some of its fragments have come, and the last has not.
func (r *Reader) Fragmented() bool { return r.op != 0 }

var (
	errReserved      = &CloseError{StatusProtocolError, "frame with a reserved opcode"}
	errControlSize   = &CloseError{StatusProtocolError, "control frame over 125 bytes"}
	errControlSplit  = &CloseError{StatusProtocolError, "fragmented control frame"}
	errRSV           = &CloseError{StatusProtocolError, "frame with a reserved bit that no extension gives a meaning"}
	errUnmasked      = &CloseError{StatusProtocolError, "client frame without a mask"}
	errInterleaved   = &CloseError{StatusProtocolError, "new message inside a fragmented message"}
	errContinuation  = &CloseError{StatusProtocolError, "continuation frame without a message to continue"}
	errLengthTopBit  = &CloseError{StatusProtocolError, "frame length with the top bit set"}
	errLengthForm    = &CloseError{StatusProtocolError, "frame length not in its shortest form"}
	errFrameTooBig   = &CloseError{StatusTooBig, "frame over the size limit"}
	errMessageTooBig = &CloseError{StatusTooBig, "message over the size limit"}
	errNotUTF8       = &CloseError{StatusInvalidPayload, "text message is not UTF-8"}
)

// Next returns the next message or control frame in buf, or None if more bytes are needed. An error ends the
// connection; Next must not be called again.
//
// buf is the bytes that Keep has kept, followed by all bytes received since. Next unmasks payloads and joins fragments
// in place, and the result is a view of buf. A message stays valid until Keep. The payload of a control frame stays
// valid only until the next call of Next, which may join fragments over it. Next does not check that a Text is UTF-8:
// see [CheckText].
//
// Every byte is unmasked once and moved at most twice, for fragments of any size in receives of any size.
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
		if err = r.checkPacked(&h); err != nil {
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

// Unread makes Next return the same message again. It must be called directly after Next has returned a message. The
// frame then stands in buf as before, with a mask that changes nothing. So [Reader.Keep] keeps a stream of frames that
// a new Reader can read too. It reports false, and does nothing, for a message that came in fragments.
func (r *Reader) Unread(buf []byte) bool {
	begin := int(r.start)
	if r.op != 0 || r.pos == 0 || r.pos != r.start+r.size { // a header lies behind the first fragment
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
	state := ws.StateServerSide
	if r.op != 0 {
		state |= ws.StateFragmented
	}
	if r.agreed {
		state |= ws.StateExtended
	}
	return state
}

// rsv1 is the bit of a message that is compressed, in ws.Header.Rsv.
const rsv1 = 4

// checkPacked refuses reserved bits with no meaning.
//
// RFC 7692 §6.1: «An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data
// message. An endpoint receiving such a frame MUST _Fail the WebSocket Connection_.»
func (r *Reader) checkPacked(h *ws.Header) *CloseError {
	if h.Rsv == 0 || h.Rsv == rsv1 && r.op == 0 && !h.OpCode.IsControl() {
		return nil
	}
	return errRSV
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

// join adds a data frame, whose payload begins at buf[begin], to the message. It returns the message's opcode if the
// frame was its last one, and 0 otherwise.
func (r *Reader) join(buf, payload []byte, begin int, h *ws.Header) ws.OpCode {
	op := r.op
	if op == 0 {
		op = h.OpCode
		r.start, r.size, r.packed = uint32(begin), uint32(len(payload)), h.Rsv == rsv1
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

// CheckText returns an error if a Text is not UTF-8. A message that [Decoder.Decode] accepts as JSON is UTF-8, so only
// its rejects with RejectNotJSON need this check.
//
// RFC 6455 §8.1: «When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in
// fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.»
func CheckText(text []byte) *CloseError {
	if utf8.Valid(text) {
		return nil
	}
	return errNotUTF8
}

// Keep moves the bytes that later calls of Next need, the message so far and the incomplete frame, to the front of buf.
// All results of Next become invalid. kept is how many bytes were moved: if it is 0, the connection needs no buffer.
// need is how long buf must at least become before Next can return anything but None: at least kept+1, and the end of
// the incomplete frame once its header is known. Keep must not be called after an error.
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

// headerSize returns the length of a client frame's header, given its second byte.
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

// frameSize returns the smallest size in bytes that the frame at the front of b can have, as far as b shows it. After
// Next has returned None the frame is not complete, so the result is greater than len(b).
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
// RFC 6455 §5.2: «If 126, the following 2 bytes interpreted as a 16-bit unsigned integer are the payload length. If
// 127, the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST be 0) are the
// payload length.»
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

// parseHeader reads the frame header at the front of b. size is 0 if it is not complete. The faults that show in the
// first two bytes are reported even then.
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
		// RFC 6455 §5.2: «in all cases, the minimal number of bytes MUST be used to encode the length»
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
