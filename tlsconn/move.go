package tlsconn

import "bytes"

// This file takes a connection from one event loop to another one of the same pool.

// Detach takes an established connection, of which Next has just returned nothing and no error, from its engine: it keeps
// nothing that is the engine's. Until [Engine.Attach] only Close may be called.
func (c *Conn) Detach() {
	if !c.state.reads() || len(c.fed) > 0 || c.whole {
		panic("BUG: a TLS connection is detached in the middle of something")
	}
	c.engine.dismiss(c)
	if c.held != nil {
		own := bytes.Clone(c.held)
		c.engine.put(c.held)
		c.held = own
	}
	c.engine = nil
}

// Attach makes a detached connection one of this engine's, under another handle. Where no buffer is left for a record that
// had arrived in part, the connection has failed with [ErrNoMemory].
func (e *Engine) Attach(c *Conn, h Handle) {
	own := c.held
	c.engine, c.handle, c.held = e, h, nil
	if own == nil {
		return
	}
	if c.held = e.get(len(own)); c.held == nil {
		c.endNoMemory()
		return
	}
	c.held = append(c.held, own...)
}
