package tlsconn

// This file owns the form in which a connection goes to another process while its handshake has not begun: its client may not have sent
// a whole ClientHello, or it has not had its turn. A build that knows only the form of established connections refuses it.
//
//	bytes      field
//	1          format: 2
//	4 + length   what the client has sent
//
// Fields may be added at the end, as in saved.go.

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const savedHelloFormat = 2

// Unbegun reports whether nothing has been computed of the handshake and nothing sent, so that [Conn.AppendState] may be called.
func (c *Conn) Unbegun() bool {
	switch c.state {
	case stateNew, stateHello, stateWaiting:
		return true
	case stateHandshaking:
		return c.hs.coroutine == nil && len(c.hs.pipe.in) <= helloRoom
	}
	return false
}

// first returns what the client of such a connection has sent.
func (c *Conn) first() []byte {
	if c.state == stateHandshaking {
		return c.hs.pipe.in
	}
	return c.held
}

func (c *Conn) appendHello(dst []byte) []byte {
	first := c.first()
	dst = append(slices.Grow(dst, c.StateLen()), savedHelloFormat)
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(first))), first...)
}

// restoreHello is Restore for a connection whose handshake has not begun. A whole ClientHello waits to be admitted: see [Conn.Retry].
func (e *Engine) restoreHello(h Handle, r *savedReader) (*Conn, error) {
	const name = "client's first bytes"
	r.number("format", 1, savedHelloFormat)
	first := r.field(name, 4, helloRoom)
	if r.err != nil {
		return nil, r.err
	}
	c := &Conn{engine: e, handle: h, state: stateNew}
	if len(first) == 0 {
		return c, nil
	}
	whole, err := c.hello.scan(first)
	if err != nil {
		r.damaged(name)
		return nil, r.err
	}
	if c.held = e.get(len(first)); c.held == nil {
		return nil, fmt.Errorf("cannot restore a TLS connection: %w", ErrNoMemory)
	}
	c.held = append(c.held, first...)
	if whole {
		c.step(eventWait, nil)
	} else {
		c.step(eventHello, nil)
	}
	return c, nil
}
