package tlsconn

// This file owns Conn: its fields, and the way of bytes in (Feed, Next) and out (Write, Drain). end.go has the states
// and all ends, queue.go the turns of handshakes, receive.go the client's records.

// Phase is where a connection is in its life.
type Phase uint8

const (
	Handshaking Phase = iota // nothing can be read or written yet
	Established              // data flows until one side sends close_notify, see Conn.Next and Conn.CloseNotify
	Failed                   // see Conn.Err; Drain may still give an alert for the client. Also after Close
)

// String returns the phase's name.
func (p Phase) String() string { return [...]string{"handshaking", "established", "failed"}[p] }

// Waiting says what a connection waits for in its handshake.
type Waiting uint8

const (
	NotWaiting   Waiting = iota // the handshake can go on, or is over
	ForHello                    // for the client's first bytes, or the rest of its ClientHello
	ForAdmission                // for [EngineOptions.Admit]: see [Conn.Retry]
	ForClient                   // for the client's answer to our flight
)

// Info is the outcome of the handshake.
type Info struct {
	Version    uint16 // tls.VersionTLS12 or tls.VersionTLS13
	Suite      uint16 // tls.CipherSuiteName gives its name
	Generation uint32 // of the certificate, see Certificates.Swap
	Resumed    bool   // from a session ticket
}

// Conn is one TLS connection, server side. Only the event loop's thread calls its methods. They never block and use no
// private key: that is for [Engine.Compute]. A Conn at rest owns no buffer.
type Conn struct {
	engine *Engine // nil: detached
	suite  *suite
	hs     *handshake // exactly in stateHandshaking
	err    error      // why the connection failed or was closed, see step
	handle Handle
	fed    []byte // received and not yet opened: the caller's memory until Next returns nothing
	held   []byte // a record that arrived in part, in a buffer of the engine
	pend   []byte // output for Drain
	in     half   // protects the client's records
	out    half   // protects ours
	info   Info
	place  uint32 // of the expanded keys in the engine, counted from 1
	hello  hello
	header [headerLen]byte
	msg    [keyUpdateMsgLen]byte // a handshake message that arrived in part
	nhead  uint8                 // bytes in header: a partial header needs no buffer
	nmsg   uint8                 // bytes in msg
	idle   uint8                 // records in a row that carried no data
	owed   bool                  // a KeyUpdate of ours, which is made when it is sent
	asked  uint32                // changes of keys and renegotiations of the client since the second since
	since  uint32
	state  state // end.go
	used   bool  // since the engine's clock passed last
	whole  bool  // held is the record that Next returned last
}

// Start returns a new connection. A client that has not sent a whole ClientHello takes no place among the handshakes.
// [Engine.Compute] goes on with those that have.
func (e *Engine) Start(h Handle) *Conn { return &Conn{engine: e, handle: h, state: stateNew} }

// Phase returns where the connection is in its life.
func (c *Conn) Phase() Phase { return phases[c.state] }

// Waiting returns what the connection waits for in its handshake.
func (c *Conn) Waiting() Waiting {
	switch c.state {
	case stateNew, stateHello:
		return ForHello
	case stateWaiting:
		return ForAdmission
	case stateHandshaking:
		if c.hs.waits() {
			return ForClient
		}
	}
	return NotWaiting
}

// Err returns why the connection failed, nil if it did not. It is [ErrClosed] after Close, unless the connection had
// failed before.
func (c *Conn) Err() error { return c.err }

// Info returns the outcome of the handshake; it is zero before the handshake is complete.
func (c *Conn) Info() Info { return c.info }

// Partial reports whether the connection holds a part of a record and waits for the rest.
func (c *Conn) Partial() bool { return c.nhead > 0 || len(c.held) > 0 && !c.whole }

// Feed takes bytes from the client. During the handshake it copies them: a part of a ClientHello into a buffer of the
// engine, later bytes for crypto/tls, 64 KiB at most. Afterwards it does not: Next
// decrypts them in place, so the caller leaves them alone until Next returns nothing. An error ends the connection: it
// is [Conn.Err]. Bytes behind the client's close_notify are dropped.
func (c *Conn) Feed(data []byte) error {
	switch {
	case c.state == stateNew, c.state == stateHello, c.state == stateWaiting:
		return c.feedHello(data)
	case c.state == stateHandshaking:
		return c.feedHandshake(data)
	case !c.state.reads():
		return c.err // nil behind close_notify
	case len(c.fed) > 0:
		c.fed = append(c.fed[:len(c.fed):len(c.fed)], data...)
	default:
		c.fed = data
	}
	return nil
}

// feedHandshake passes bytes to the handshake, which then has its turn.
func (c *Conn) feedHandshake(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if err := c.engine.more(c.hs, data); err != nil {
		c.endHandshake(err)
		return err
	}
	return nil
}

// adopt takes the output of a handshake that has computed. If it is done, the connection goes on with its keys, and with
// the bytes that the client sent behind it.
func (c *Conn) adopt() {
	hs := c.hs
	if out := hs.pipe.out; len(c.pend) == 0 {
		c.pend = out
	} else {
		c.pend = append(c.pend, out...)
	}
	hs.pipe.out = nil
	if !hs.done {
		return
	}
	c.hs = nil
	if hs.err != nil {
		c.endHandshakeFailed(hs.err)
		return
	}
	c.step(eventEstablish, nil)
	c.suite, c.info = hs.result.suite, hs.result.info
	c.in, c.out = hs.result.in, hs.result.out
	if c.out.aead != nil {
		c.engine.admit(c)
	}
	c.fed = hs.pipe.in
}

// Next returns the next piece of data from the client, decrypted in the memory that was fed or in a buffer of the
// engine. The caller may read and change it until the next call of Feed, Next or Close. Nothing without an error means
// that more has to be fed first. io.EOF is the client's close_notify: the client sends no more and can still receive.
// Any other error is [Conn.Err]; Drain gives the alert for the client.
func (c *Conn) Next() ([]byte, error) {
	if c.whole {
		c.release()
	}
	for c.state.reads() {
		rec := c.record()
		if rec == nil {
			break
		}
		c.engine.expand(c, &c.in)
		typ, content, bad := open(&c.engine.mem, &c.in, c.suite, c.info.Version, rec)
		if bad != 0 {
			c.endViolation(bad)
			break
		}
		if data := c.accept(typ, content); len(data) > 0 {
			return data, nil
		}
		if c.whole {
			c.release()
		}
	}
	return nil, c.endOfInput()
}

// Write appends the pending bytes and then data to dst, which does not overlap it, and returns the extended slice. It
// makes as few records as possible. It allocates only if dst has less room than
// len(data) + [RecordOverhead] + [Conn.Pending] bytes. It fails with [ErrClosed] behind our close_notify, and with
// [Conn.Err] on a connection that failed; the pending bytes are appended nevertheless.
func (c *Conn) Write(dst, data []byte) ([]byte, error) {
	dst = append(dst, c.pend...)
	c.pend = nil
	if !c.state.writes() {
		return dst, c.endOfOutput()
	}
	dst = c.pay(dst)
	for len(data) > 0 {
		n := min(len(data), maxPlaintext)
		dst = c.seal(dst, typeData, data[:n])
		data = data[n:]
	}
	return dst, nil
}

// Pending returns how many bytes [Conn.Drain] has for the client: parts of the handshake, answers to its changes of
// keys, an alert.
func (c *Conn) Pending() int {
	n := len(c.pend)
	if c.owed {
		n += keyUpdateLen
	}
	return n
}

// Drain appends pending bytes to dst, as far as its capacity goes, and returns the extended slice.
func (c *Conn) Drain(dst []byte) []byte {
	n := min(len(c.pend), cap(dst)-len(dst))
	dst = append(dst, c.pend[:n]...)
	if c.pend = c.pend[n:]; len(c.pend) > 0 {
		return dst
	}
	c.pend = nil
	if cap(dst)-len(dst) < keyUpdateLen {
		return dst
	}
	return c.pay(dst)
}
