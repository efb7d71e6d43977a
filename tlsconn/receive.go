package tlsconn

// This file owns the client's records after the handshake: it puts them together, and obeys those that are not data. It
// also makes our own records, with a change of keys where one is due.

import "crypto/tls"

// Types of handshake messages (RFC 8446 §4).
const (
	messageServerHello = 2
	messageKeyUpdate   = 24
	keyUpdateMsgLen    = 5 // type, length of 1 in 3 bytes, request
)

// maxUnsent is the length of output from which on a client that asks for renegotiation gets no further warning before it
// has read the earlier ones. As a result pending output is bounded: at most one flight of the handshake, this, and an
// alert. A KeyUpdate is made when it is sent.
const maxUnsent = 256

// maxIdle bounds the records in a row that carry no data, since each costs work. crypto/tls has the same bound.
const maxIdle = 16

// record returns the next whole record, in the fed bytes or in the held buffer. It returns nil if the record has not
// arrived whole, or has ended the connection.
func (c *Conn) record() []byte {
	if c.nhead == 0 && len(c.held) == 0 && len(c.fed) >= headerLen {
		n, bad := checkHeader(c.info.Version, c.fed)
		if bad != 0 {
			c.endViolation(bad)
			return nil
		}
		if n <= len(c.fed) {
			return c.consume(n)
		}
	}
	if len(c.fed) == 0 {
		return nil
	}
	if len(c.held) == 0 {
		c.nhead += uint8(copy(c.header[c.nhead:], c.consume(min(headerLen-int(c.nhead), len(c.fed)))))
		if c.nhead < headerLen {
			return nil
		}
	}
	return c.hold()
}

// consume returns the next n fed bytes.
func (c *Conn) consume(n int) []byte {
	b := c.fed[:n:n]
	if c.fed = c.fed[n:]; len(c.fed) == 0 {
		c.fed = nil
	}
	return b
}

// hold moves fed bytes of the record whose header is known to the held buffer. It returns the record if it is whole.
func (c *Conn) hold() []byte {
	total, bad := checkHeader(c.info.Version, c.header[:])
	if bad != 0 {
		c.endViolation(bad)
		return nil
	}
	have := max(len(c.held), headerLen)
	n := min(total-have, len(c.fed))
	if have+n > cap(c.held) && !c.growHeld(have+n, total) {
		c.endNoMemory()
		return nil
	}
	if len(c.held) == 0 {
		c.held = append(c.held, c.header[:]...)
	}
	c.held = append(c.held, c.consume(n)...)
	if len(c.held) < total {
		return nil
	}
	c.whole, c.nhead = true, 0
	return c.held
}

// growHeld makes room for n bytes of a record of total bytes. The buffer grows to four times the bytes that have
// arrived, and not to the length that the header promises: a client has to send bytes to hold memory.
func (c *Conn) growHeld(n, total int) bool {
	b := c.engine.get(min(total, 4*n))
	if b == nil {
		return false
	}
	if c.held != nil {
		b = append(b, c.held...)
		c.engine.put(c.held)
	}
	c.held = b
	return true
}

// release gives the held buffer back.
func (c *Conn) release() {
	if c.held != nil {
		c.engine.put(c.held)
	}
	c.held, c.whole, c.nhead = nil, false, 0
}

// accept obeys one record. It returns the content if that is data.
func (c *Conn) accept(typ recordType, content []byte) []byte {
	if c.nmsg > 0 && typ != typeHandshake {
		// RFC 8446 §5.1: «Handshake messages MUST NOT be interleaved with other record types.»
		c.endViolation(alertUnexpectedMessage)
		return nil
	}
	if typ == typeData && len(content) > 0 {
		c.idle = 0
		return content
	}
	if c.idle++; c.idle > maxIdle {
		c.endViolation(alertUnexpectedMessage)
		return nil
	}
	switch {
	case typ == typeData: // RFC 8446 §5.1: «Zero-length fragments of Application Data MAY be sent»
	case len(content) == 0 || typ != typeAlert && typ != typeHandshake:
		// RFC 8446 §5.4: «Implementations MUST NOT send Handshake and Alert records that have a zero-length
		// TLSInnerPlaintext.content; if such a message is received, the receiving implementation MUST terminate the
		// connection with an "unexpected_message" alert.»
		c.endViolation(alertUnexpectedMessage)
	case typ == typeAlert:
		c.endByAlert(content)
	case c.info.Version == tls.VersionTLS13:
		c.message(content)
	case !c.allow():
	case c.state.writes() && len(c.pend) < maxUnsent:
		// A client of TLS 1.2 asks for renegotiation. RFC 5246 §7.2.2: no_renegotiation is sent «by the server in
		// response to a client hello after initial handshaking [...] This message is always a warning.»
		c.pend = c.seal(c.pend, typeAlert, []byte{levelWarning, byte(alertNoRenegotiation)})
	}
	return nil
}

// message takes the next piece of a handshake message of TLS 1.3. A client may send this server only one after the
// handshake: KeyUpdate.
func (c *Conn) message(content []byte) {
	for _, b := range content {
		if c.nmsg == keyUpdateMsgLen {
			// RFC 8446 §5.1: «Handshake messages MUST NOT span key changes.» Bytes follow the KeyUpdate.
			c.endViolation(alertUnexpectedMessage)
			return
		}
		c.msg[c.nmsg] = b
		c.nmsg++
		switch {
		case c.msg[0] != messageKeyUpdate:
			c.endViolation(alertUnexpectedMessage)
			return
		case c.nmsg == 4 && (c.msg[1] != 0 || c.msg[2] != 0 || c.msg[3] != 1):
			c.endViolation(alertDecodeError)
			return
		}
	}
	if c.nmsg == keyUpdateMsgLen {
		c.nmsg = 0
		c.keyUpdate(c.msg[4])
	}
}

// keyUpdate obeys a KeyUpdate with the given value of request_update.
func (c *Conn) keyUpdate(request byte) {
	if request > 1 {
		// RFC 8446 §4.6.3: «If an implementation receives any other value, it MUST terminate the connection with an
		// "illegal_parameter" alert.»
		c.endViolation(alertIllegalParameter)
		return
	}
	if !c.allow() {
		return
	}
	c.in.update(c.suite)
	if request == 1 && c.state.writes() {
		// RFC 8446 §4.6.3: «If the request_update field is set to "update_requested", then the receiver MUST send a
		// KeyUpdate of its own with request_update set to "update_not_requested" prior to sending its next Application
		// Data record. This mechanism allows either side to force an update to the entire connection, but causes an
		// implementation which receives multiple KeyUpdates while it is silent to respond with a single update.»
		c.owed = true
	}
}

// allow counts a request of the client that costs work and carries no data. It ends the connection and reports false if
// there are too many. The alert is that of OpenSSL, BoringSSL and crypto/tls for too many KeyUpdates.
func (c *Conn) allow() bool {
	if now := c.engine.seconds(); now-c.since >= minute {
		c.since, c.asked = now, 0
	}
	if c.asked++; int(c.asked) > c.engine.opt.KeyUpdatesPerMinute {
		c.endFatal(alertUnexpectedMessage, ErrFlood)
		return false
	}
	return true
}

// pay appends the KeyUpdate that the client was promised, if there is one, to dst.
func (c *Conn) pay(dst []byte) []byte {
	if c.owed {
		dst = c.changeKey(dst)
	}
	return dst
}

// changeKey appends a KeyUpdate to dst that requests none, and moves to our next key.
func (c *Conn) changeKey(dst []byte) []byte {
	c.engine.expand(c, &c.out)
	dst = seal(&c.engine.mem, &c.out, c.suite, c.info.Version, dst, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, 0})
	c.out.update(c.suite)
	c.owed = false
	return dst
}

// seal appends one record to dst, and a change of keys before it if our key has protected enough records.
func (c *Conn) seal(dst []byte, typ recordType, payload []byte) []byte {
	if c.out.seq >= c.engine.rekeyAfter && c.info.Version == tls.VersionTLS13 {
		dst = c.changeKey(dst)
	}
	c.engine.expand(c, &c.out)
	return seal(&c.engine.mem, &c.out, c.suite, c.info.Version, dst, typ, payload)
}
