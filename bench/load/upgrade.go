package load

// This file owns the upgrade of a connection: the request, the response, and what both agree on about compression.

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// target is the address of the tracker and the form of a client's request.
type target struct {
	host    string // with port, for the Host field
	name    string // without port, for TLS
	path    string
	secure  bool
	deflate deflateOffer
}

// upgradeKey returns the Sec-WebSocket-Key of a client's connection: 16 bytes in base64 (RFC 6455 §4.1).
func upgradeKey(who identity, connection uint32, incarnation uint16, since time.Duration) (key [24]byte) {
	var nonce [16]byte
	number := uint64(connection)<<16 | uint64(incarnation)
	binary.LittleEndian.PutUint64(nonce[:], who.mix(forKey, number, uint64(since)))
	binary.LittleEndian.PutUint64(nonce[8:], who.mix(forKey, uint64(since), number))
	base64.StdEncoding.Encode(key[:], nonce[:])
	return key
}

// key24 returns the key of a client's current connection.
func (w *worker) key24(i uint32) [24]byte {
	c := &w.clients[i]
	return upgradeKey(w.books.who, w.global(i), c.incarnation, c.since)
}

// upgradeRequest returns the request that opens a WebSocket connection.
func upgradeRequest(t *target, key [24]byte) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%sUser-Agent: millrace-load\r\n\r\n",
		t.path, t.host, key[:], t.deflate.field())
}

func (w *worker) requestUpgrade(i uint32) {
	w.clients[i].state = stateUpgrading
	request := upgradeRequest(&w.node(i).target, w.key24(i))
	if w.encrypted {
		request = w.sealRequest(i, request)
	}
	dst := w.room(i, len(request))
	if dst == nil {
		w.failed(i, "no memory to send a request")
		return
	}
	w.wrote(i, append(dst, request...))
}

// maxHead bounds the head of the response to an upgrade, in bytes.
const maxHead = 8 << 10

// onHead takes bytes of the response to the upgrade and returns those that follow it, or none.
func (w *worker) onHead(i uint32, data []byte) (rest []byte) {
	c := &w.clients[i]
	kept := int(c.partLen)
	if !w.keep(i, data[:min(len(data), maxHead-kept)], maxHead) {
		return nil
	}
	head := w.parts.Bytes(c.part)[:c.partLen]
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(head) == maxHead {
			w.failed(i, "the response to the upgrade is too long")
		}
		return nil
	}
	key := w.key24(i)
	agreed, why := checkHead(string(head[:end]), string(key[:]), w.node(i).deflate)
	rest = data[end+4-kept:]
	w.dropPart(c)
	if why != "" {
		w.failed(i, why)
		return nil
	}
	if agreed.on {
		w.counts.Agreed++
	}
	c.deflate = agreed
	w.opened(i)
	return rest
}

// acceptGUID is the constant of RFC 6455 §1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// checkHead returns what a response to an upgrade with an offer of compression agrees on, or its mistake; "" if there is none.
//
// RFC 6455 §4.1: «If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a
// value other than the base64-encoded SHA-1 of the concatenation of the |Sec-WebSocket-Key| [...] with the string [...]
// the client MUST _Fail the WebSocket Connection_.»
func checkHead(head, key string, offer deflateOffer) (agreed agreement, why string) {
	lines := strings.Split(head, "\r\n")
	if status := lines[0]; !strings.HasPrefix(status, "HTTP/1.1 101") {
		return agreement{}, "the tracker answers " + status
	}
	sum := sha1.Sum([]byte(key + acceptGUID))
	want := base64.StdEncoding.EncodeToString(sum[:])
	accepted, extended := false, false
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Sec-WebSocket-Accept"):
			accepted = accepted || value == want
		case strings.EqualFold(name, "Sec-WebSocket-Extensions"):
			if offer == deflateNone {
				return agreement{}, "the tracker uses an extension that it was not asked for"
			}
			var ok bool
			if agreed, ok = parseAgreement(value); !ok || extended || offer == deflateAlone && !agreed.alone {
				return agreement{}, "the tracker answers the offer of compression with what RFC 7692 does not allow: " + value
			}
			extended = true
		}
	}
	if !accepted {
		return agreement{}, "the Sec-WebSocket-Accept of the tracker is missing or wrong"
	}
	return agreed, ""
}

// deflateOffer is an offer of compression.
type deflateOffer uint8

const (
	deflateNone  deflateOffer = iota
	deflateAny                // as Chromium's
	deflateAlone              // the tracker is to compress each message without those before
)

// offerOf returns what the clients of a configuration offer.
func offerOf(c *Config) deflateOffer {
	switch {
	case !c.Compression:
		return deflateNone
	case c.Alone:
		return deflateAlone
	}
	return deflateAny
}

// field returns the field of the request, with its line end.
//
// RFC 7692 §7.1.1.1: «A client MAY include the "server_no_context_takeover" extension parameter in an extension negotiation offer. [...]
// If the peer server doesn't use context takeover, the client doesn't need to reserve memory to retain the LZ77 sliding window between
// messages.»
func (o deflateOffer) field() string {
	const chromium = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
	switch o {
	case deflateAny:
		return chromium + "\r\n"
	case deflateAlone:
		return chromium + "; server_no_context_takeover\r\n"
	}
	return ""
}

// agreement is what a client and the tracker have agreed on about compressed messages (RFC 7692). The zero value is
// nothing: messages are not compressed. Clients compress each message alone, which is always allowed.
type agreement struct {
	on         bool
	alone      bool  // the tracker compresses each message without those before (server_no_context_takeover)
	serverBits uint8 // the tracker looks back at most 1 << serverBits bytes
	clientBits uint8 // and so does a client
}

// RFC 7692 §7.1.2.1: «This parameter has a decimal integer value without leading zeroes between 8 to 15, inclusive»
const (
	leastBits = 8
	mostBits  = 15
)

// parseAgreement reads the tracker's answer to a deflateOffer. It is false for an answer that fails the connection.
//
// RFC 7692 §7.1: «A client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation
// offer for this extension with an extension negotiation response meeting any of the following conditions: The
// negotiation response contains an extension parameter not defined for use in a response. [...]»
func parseAgreement(answer string) (a agreement, ok bool) {
	parameters := strings.Split(answer, ";")
	if !strings.EqualFold(strings.TrimSpace(parameters[0]), "permessage-deflate") {
		return agreement{}, false
	}
	a = agreement{on: true, serverBits: mostBits, clientBits: mostBits}
	seen := make(map[string]bool)
	for _, parameter := range parameters[1:] {
		name, value, hasValue := strings.Cut(parameter, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		bits, err := strconv.ParseUint(value, 10, 8)
		isBits := err == nil && leastBits <= bits && bits <= mostBits && value[0] != '0' && value[0] != '+'
		good := false
		switch name {
		case "server_no_context_takeover":
			good, a.alone = !hasValue, true
		case "client_no_context_takeover":
			good = !hasValue
		case "server_max_window_bits":
			good, a.serverBits = isBits, uint8(bits)
		case "client_max_window_bits":
			good, a.clientBits = isBits, uint8(bits)
		}
		if !good || seen[name] {
			return agreement{}, false
		}
		seen[name] = true
	}
	return a, true
}
