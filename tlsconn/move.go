package tlsconn

// This file owns the move of a connection from one event loop to another one of the same pool.

import "bytes"

// Detach takes an established connection from its engine. Next has just returned nothing and no error. The connection
// keeps nothing that is the engine's: a record that arrived in part moves to memory of its own. Until [Engine.Attach]
// only Close may be called.
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

// Attach gives a detached connection to this engine, under another handle. If no buffer is left for a record that
// arrived in part, the connection fails with [ErrNoMemory]: see [Conn.Err].
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
