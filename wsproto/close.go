package wsproto

// This file owns close frames: the codes, the errors that end a connection with one, reading and writing them.

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// StatusCode is the number in a close frame that says why the connection ends (RFC 6455 §7.4).
type StatusCode = ws.StatusCode

// The status codes that a tracker sends.
const (
	StatusNormal         = ws.StatusNormalClosure           // 1000
	StatusGoingAway      = ws.StatusGoingAway               // 1001: the server is stopping
	StatusProtocolError  = ws.StatusProtocolError           // 1002: a frame broke RFC 6455
	StatusInvalidPayload = ws.StatusInvalidFramePayloadData // 1007: a text message is not UTF-8
	StatusPolicy         = ws.StatusPolicyViolation         // 1008: a rule of the tracker, not of RFC 6455, was broken
	StatusTooBig         = ws.StatusMessageTooBig           // 1009: a frame or message is over the limit

	// These are newer than RFC 6455. They are registered with IANA.
	StatusServiceRestart StatusCode = 1012 // the server goes on as another process, and the client may come back
	StatusTryAgainLater  StatusCode = 1013

	// StatusNoStatus stands for a close frame without a code. The number itself is never on the wire.
	StatusNoStatus = ws.StatusNoStatusRcvd // 1005
)

const (
	statusBadGateway StatusCode = 1014
	statusLast       StatusCode = 4999

	maxCloseReason = ws.MaxControlFramePayloadSize - 2
)

// CloseError says which rule of RFC 6455, or which limit, a client broke. The connection cannot go on: its last frame
// is a close frame with Code and Reason. All values exist from the start, so an error allocates nothing.
type CloseError struct {
	Code   StatusCode
	Reason string // at most 123 bytes of ASCII
}

// Error returns the reason.
func (e *CloseError) Error() string { return e.Reason }

var (
	errCloseShort  = &CloseError{StatusProtocolError, "close frame with a payload of one byte"}
	errCloseCode   = &CloseError{StatusProtocolError, "close frame with a status code that may not be sent"}
	errCloseReason = &CloseError{StatusInvalidPayload, "close frame with a reason that is not UTF-8"}
)

// ParseClose reads the payload of a client's close frame. The code of an empty payload is [StatusNoStatus]. If there is
// an error, the answering close frame carries its Code and Reason instead of the client's code.
func ParseClose(payload []byte) (StatusCode, *CloseError) {
	switch len(payload) {
	case 0:
		return StatusNoStatus, nil
	case 1:
		// RFC 6455 §5.5.1: «If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer»
		return StatusNoStatus, errCloseShort
	}
	code := StatusCode(binary.BigEndian.Uint16(payload))
	if !validCloseCode(code) {
		return code, errCloseCode
	}
	if !utf8.Valid(payload[2:]) {
		return code, errCloseReason
	}
	return code, nil
}

// validCloseCode reports whether a client may send the code. gobwas/ws knows the codes of RFC 6455. IANA has registered
// three newer ones, and the ranges of RFC 6455 §7.4.2 end at 4999.
func validCloseCode(code StatusCode) bool {
	if code >= StatusServiceRestart && code <= statusBadGateway {
		return true
	}
	return code <= statusLast && ws.CheckCloseFrameData(code, "") == nil
}

// AppendClose appends a server's close frame of at most [MaxControlFrame] bytes. A reason over 123 bytes is cut between
// two characters. With [StatusNoStatus] the frame is empty, so any code from [ParseClose] can be sent back.
func AppendClose(dst []byte, code StatusCode, reason string) []byte {
	if code == StatusNoStatus {
		return appendControl(dst, ws.OpClose, nil)
	}
	if len(reason) > maxCloseReason {
		n := maxCloseReason
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	dst = append(dst, finBit|byte(ws.OpClose), byte(2+len(reason)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}
