package tlsconn

// This file owns the beginning of a connection, up to a whole ClientHello. The event loop's side gathers it, so that a
// client which sends a part of one holds these bytes and nothing else: no place among the handshakes, no stack.

import "encoding/binary"

// maxHello bounds the ClientHello, in bytes of its body. Clients send 200 to 2,500.
const maxHello = 16 << 10

// helloRoom is the largest number of bytes in which a ClientHello may arrive, the headers of its records included.
const helloRoom = headerLen + maxPlaintext + 2048

const messageClientHello = 1

// hello is how far a ClientHello has come.
type hello struct {
	at   uint16  // where the record begins that has not arrived whole
	got  uint16  // bytes of the message in the records before it
	head [4]byte // the first of them: type and length
}

// scan goes on with b, all bytes of a client so far, at the record where it stopped. It reports whether the records that
// hold the ClientHello are there. An error means that no handshake can come of them. It is [ErrNotTLS], [ErrPlainHTTP],
// a [ClientError] with the alert that crypto/tls has for it, or an [AlertError].
func (h *hello) scan(b []byte) (whole bool, err error) {
	if recordType(b[0]) != typeHandshake {
		return false, foreign(b)
	}
	for int(h.at) < len(b) {
		rest := b[h.at:]
		typ := recordType(rest[0])
		if typ != typeHandshake && typ != typeAlert || len(rest) > 1 && rest[1] >= 0x10 {
			return false, ErrNotTLS // crypto/tls sends no alert either: this may be any protocol
		}
		if len(rest) < headerLen {
			return false, nil
		}
		n := int(binary.BigEndian.Uint16(rest[3:]))
		switch {
		case n > maxPlaintext:
			return false, clientErrors[alertRecordOverflow]
		case n == 0:
			return false, clientErrors[alertUnexpectedMessage]
		case int(h.at)+headerLen+n > helloRoom:
			return false, clientErrors[alertInternalError]
		case len(rest) < headerLen+n:
			return false, nil
		case typ == typeAlert:
			return false, alertBeforeHello(rest[headerLen : headerLen+n])
		}
		h.at += uint16(headerLen + n)
		if whole, err := h.add(rest[headerLen : headerLen+n]); whole || err != nil {
			return whole, err
		}
	}
	return false, nil
}

// add adds the content of a record to the message and reports whether it is whole.
func (h *hello) add(content []byte) (whole bool, err error) {
	if int(h.got) < len(h.head) {
		copy(h.head[h.got:], content)
	}
	h.got += uint16(len(content))
	if h.head[0] != messageClientHello {
		return false, clientErrors[alertUnexpectedMessage]
	}
	if int(h.got) < len(h.head) {
		return false, nil
	}
	n := int(binary.BigEndian.Uint32(h.head[:]) & 0xffffff)
	if n > maxHello {
		return false, clientErrors[alertInternalError]
	}
	return int(h.got) >= len(h.head)+n, nil
}

// alertBeforeHello returns why an alert between two records of a ClientHello ends the connection. Fatal ones and
// close_notify get no answer.
func alertBeforeHello(content []byte) error {
	if len(content) == 2 && (content[0] == levelFatal || alert(content[1]) == alertCloseNotify) {
		return alertError(content[1])
	}
	return clientErrors[alertUnexpectedMessage]
}

// methods are beginnings of HTTP requests, "PRI " that of HTTP/2.
var methods = [...]string{"GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN", "PRI "}

// foreign returns the error of a client whose first bytes b are not TLS, nil while they may become HTTP.
func foreign(b []byte) error {
	n := min(len(b), 4)
	for _, m := range methods {
		if string(b[:n]) != m[:n] {
			continue
		}
		if n < len(m) {
			return nil
		}
		return ErrPlainHTTP
	}
	return ErrNotTLS
}

// feedHello takes bytes of a client whose ClientHello is not whole, or waits to be admitted. A ClientHello that comes in
// one piece is not copied here.
func (c *Conn) feedHello(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(c.held) > 0 {
		if err := c.holdHello(data); err != nil {
			return c.failHello(err)
		}
		data = c.held
	}
	if c.state == stateWaiting {
		return nil
	}
	whole, err := c.hello.scan(data)
	switch {
	case err != nil:
		return c.failHello(err)
	case whole:
		return c.begin(data)
	case len(c.held) > 0:
		return nil
	}
	if err := c.holdHello(data); err != nil {
		return c.failHello(err)
	}
	c.step(eventHello, nil)
	return nil
}

// holdHello adds bytes to the held buffer.
func (c *Conn) holdHello(data []byte) error {
	n := len(c.held) + len(data)
	if n > helloRoom {
		return ErrBacklog
	}
	if n > cap(c.held) && !c.growHeld(n, n) {
		return ErrNoMemory
	}
	c.held = append(c.held, data...)
	return nil
}

// begin starts the handshake with the client's bytes so far, or keeps them if it is not admitted.
func (c *Conn) begin(data []byte) error {
	opt := &c.engine.opt
	if opt.Admit != nil && !opt.Admit(c.handle) {
		if c.state == stateWaiting {
			return nil
		}
		if len(c.held) == 0 {
			if err := c.holdHello(data); err != nil {
				return c.failHello(err)
			}
		}
		c.step(eventWait, nil)
		return nil
	}
	hs, err := c.engine.begin(c, data)
	if err != nil {
		c.ended()
		return c.failHello(err)
	}
	c.hs = hs
	c.step(eventBegin, nil)
	return nil
}

// Retry asks [EngineOptions.Admit] again for a connection that waits for it. It does nothing for others. Its error is
// that of Feed.
func (c *Conn) Retry() error {
	if c.state != stateWaiting {
		return c.Err()
	}
	return c.begin(c.held)
}

// failHello ends a connection before its handshake has begun, with an alert where the client broke TLS or is to try
// again.
func (c *Conn) failHello(err error) error {
	switch err := err.(type) {
	case *ClientError:
		c.pend = appendAlert(c.pend, alert(err.Alert))
	default:
		if err == ErrNoMemory {
			c.pend = appendAlert(c.pend, alertInternalError)
		}
	}
	c.endRefused(err)
	return err
}

// ended tells the caller that a handshake which was admitted has ended.
func (c *Conn) ended() {
	if c.engine.opt.Ended != nil {
		c.engine.opt.Ended(c.handle)
	}
}
