package wsproto

// This file owns the responses to an upgrade request: the one that opens the connection, and the refusals.

import (
	"crypto/sha1"
	"encoding/base64"
	"strconv"
)

// The HTTP statuses of refusals. ParseUpgrade does not return 403, 408, 429 and 503, which are for its caller.
const (
	httpBadRequest      = 400
	httpForbidden       = 403
	httpNotAllowed      = 405
	httpTimeout         = 408
	httpUpgradeRequired = 426
	httpTooMany         = 429
	httpHeadTooLarge    = 431
	httpUnavailable     = 503
	httpBadVersion      = 505
)

// acceptGUID is the constant of RFC 6455 §1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Upper bounds of responses in bytes, so that a caller can reserve room and append in place.
const (
	UpgradeResponseSize = 384             // of AppendUpgradeResponse
	HTTPErrorSize       = 512             // of AppendHTTPError
	PlainOnTLSSize      = len(plainOnTLS) // of AppendPlainOnTLS, exactly
)

// AppendUpgradeResponse appends the response that opens the WebSocket connection. key is [Request].Key, protocol is
// [Request].Protocol, and d is the agreement about compression; it panics if key is not 24 bytes, or protocol has more than 64.
//
// A subprotocol that the client asks for is named, though it changes nothing here. The client of RFC 6455 does without,
// but those of the WHATWG standard (browsers, and the npm package ws) fail the connection. RFC 6455 §4.2.2: «The value
// chosen MUST be derived from the client's handshake, specifically by selecting one of the values from the
// |Sec-WebSocket-Protocol| field that the server is willing to use for this connection (if any).»
//
// RFC 6455 §4.2.2: the accept value is made «by concatenating the above-defined |key| with the string
// "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1 hash of this concatenated value to obtain a 20-byte value
// and base64-encoding this 20-byte hash»
func AppendUpgradeResponse(dst, key, protocol []byte, d Deflate) []byte {
	var input [keySize + len(acceptGUID)]byte
	if copy(input[:], key) != keySize {
		panic("BUG: WebSocket key is not 24 bytes")
	}
	if len(protocol) > maxProtocol {
		panic("BUG: WebSocket subprotocol is longer than 64 bytes")
	}
	copy(input[keySize:], acceptGUID)
	sum := sha1.Sum(input[:])
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	if len(protocol) > 0 {
		dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), protocol...)
	}
	return append(appendDeflate(dst, d), "\r\n\r\n"...)
}

// httpErrors has the reason phrase, the extra fields and the body of each refusal.
var httpErrors = map[int]struct{ reason, fields, body string }{
	httpBadRequest: {"Bad Request", "", "The request is not valid HTTP/1.1, or its WebSocket headers are wrong.\n"},
	httpForbidden:  {"Forbidden", "", "This tracker is only for the pages of certain origins.\n"},
	httpNotAllowed: {"Method Not Allowed", "Allow: GET, HEAD\r\n", "Only GET and HEAD are allowed.\n"},
	httpTimeout:    {"Request Timeout", "", "The request took too long to arrive.\n"},
	httpUpgradeRequired: {"Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
		"This is a WebTorrent tracker. Connect to it with a WebSocket client.\n"},
	// RFC 6585 §4: «MAY include a Retry-After header indicating how long to wait before making a new request.» In so
	// many seconds an address that has used up its burst may open many connections again.
	httpTooMany: {"Too Many Requests", "Retry-After: 30\r\n",
		"This address has too many connections, or opens them too fast. Try again later.\n"},
	httpHeadTooLarge: {"Request Header Fields Too Large", "", "The head of the request is too large.\n"},
	httpUnavailable:  {"Service Unavailable", "", "The tracker is full, stopping or out of order. Try again later.\n"},
	httpBadVersion:   {"HTTP Version Not Supported", "", "Only HTTP/1 is supported.\n"},
}

// AppendHTTPError appends a whole response that refuses a request. The caller then closes the connection. status is one
// from [ParseUpgrade], 403, 408, 429 or 503; it panics for any other. head is [Request].Head: the response to HEAD has
// all fields of that to GET, and no body.
func AppendHTTPError(dst []byte, status int, head bool) []byte {
	e, ok := httpErrors[status]
	if !ok {
		panic("BUG: no response for HTTP status " + strconv.Itoa(status))
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(dst, ' '), e.reason...)
	dst = append(dst, "\r\nConnection: close"...)
	if status == httpUpgradeRequired {
		// RFC 9110 §7.8: «A sender of Upgrade MUST also send an "Upgrade" connection option»
		dst = append(dst, ", Upgrade"...)
	}
	dst = append(append(dst, "\r\n"...), e.fields...)
	dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(e.body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	if head {
		return dst
	}
	return append(dst, e.body...)
}

const (
	plainOnTLS = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Length: 54\r\n\r\n" + plainOnTLSBody
	plainOnTLSBody = "This port speaks TLS: use https:// or wss:// with it.\n"
)

// AppendPlainOnTLS appends the whole response to a request without TLS that came to a port with it. The caller then
// closes the connection.
func AppendPlainOnTLS(dst []byte) []byte { return append(dst, plainOnTLS...) }
