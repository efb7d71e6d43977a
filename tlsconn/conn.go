package tlsconn

import (
	"errors"
	"io"
)

// Phase is where a connection is in its life.
type Phase uint8

const (
	Handshaking Phase = iota
	Established
	Failed // see Conn.Err; Drain may still give an alert for the client
)

// String returns the phase's name.
func (p Phase) String() string { return [...]string{"handshaking", "established", "failed"}[p] }

// Info is what the handshake agreed on.
type Info struct {
	Version    uint16 // tls.VersionTLS12 or tls.VersionTLS13
	Suite      uint16 // tls.CipherSuiteName gives its name
	Generation uint32 // of the certificate, see Certificates.Swap
	Resumed    bool
}

// ErrNoMemory ends a connection whose record arrived in part while [EngineOptions.MaxBuffered] was used up.
var ErrNoMemory = errors.New("no buffer left for a TLS record that arrived in part")

// errHandshaking is the caller's mistake: nothing can be written before the handshake has ended.
var errHandshaking = errors.New("BUG: data written during the TLS handshake")

// Conn is one TLS connection, server side. Its methods are called by the event loop's thread only, never block and use no
// private key. At rest it owns no buffer.
type Conn struct {
	engine  *Engine
	suite   *suite
	hs      *handshake // while handshaking, from the first byte on
	err     error      // what Next returns from now on; io.EOF leaves the phase as it is
	handle  Handle
	fed     []byte // received and not yet looked at: the caller's memory until Next returns nothing
	held    []byte // a record that arrived in part, in a buffer of the engine
	pend    []byte // output for Drain
	in      half   // what the client protects
	out     half   // what we protect
	info    Info
	place   uint32 // of the expanded keys in the engine, counted from 1
	header  [headerLen]byte
	msg     [keyUpdateMsgLen]byte // a handshake message that arrived in part
	nhead   uint8                 // bytes in header: a partial header needs no buffer
	nmsg    uint8                 // bytes in msg
	idle    uint8                 // records in a row that carried no data
	phase   Phase
	used    bool // since the engine's clock looked last
	whole   bool // held is the record that Next returned last
	sentEnd bool // close_notify or a fatal alert is sent: nothing may follow
}

// Start returns a new connection. The handle is what [EngineOptions.Notify] is given; it may be called from the first Feed
// on. Nothing else happens until then: a client that sends nothing takes no place in the pool.
func (e *Engine) Start(h Handle) *Conn { return &Conn{engine: e, handle: h} }

// Phase returns where the connection is in its life.
func (c *Conn) Phase() Phase {
	c.adopt()
	return c.phase
}

// Err returns why the connection failed, nil if it did not.
func (c *Conn) Err() error {
	if c.Phase() != Failed {
		return nil
	}
	return c.err
}

// Info returns what the handshake agreed on; it is zero before it is complete.
func (c *Conn) Info() Info { return c.info }

// Partial reports whether the connection holds a part of a record and waits for the rest.
func (c *Conn) Partial() bool { return c.nhead > 0 || len(c.held) > 0 && !c.whole }

// Feed takes bytes that the client sent. After the handshake they are not copied: they are decrypted in place by Next, so
// they have to stay, and are changed, until Next returns nothing. An error ends the connection: it is [Conn.Err].
func (c *Conn) Feed(data []byte) error {
	c.adopt()
	switch {
	case c.phase == Failed:
		return c.err
	case c.phase == Handshaking:
		return c.feedHandshake(data)
	case c.err != nil:
		return nil // data behind close_notify
	case len(c.fed) > 0:
		c.fed = append(c.fed[:len(c.fed):len(c.fed)], data...)
	default:
		c.fed = data
	}
	return nil
}

// feedHandshake passes bytes to the helper, whom the first of them calls to work.
func (c *Conn) feedHandshake(data []byte) (err error) {
	switch {
	case len(data) == 0:
		return nil
	case c.hs != nil:
		err = c.hs.pipe.feed(data)
	case recordType(data[0]) != typeHandshake:
		err = ErrNotTLS
	default:
		c.hs, err = c.engine.pool.begin(c.handle, c.engine.opt.Notify, data)
	}
	if err != nil {
		c.phase, c.err = Failed, err
	}
	return err
}

// adopt takes the connection over from the helper when the handshake has ended. What the client sent behind it, and what
// is still to be sent, comes along.
func (c *Conn) adopt() {
	if c.hs == nil || !c.hs.done.Load() {
		return
	}
	hs := c.hs
	c.gather()
	c.hs = nil
	if c.phase == Failed {
		return // by the event loop's side
	}
	if hs.err != nil {
		c.phase, c.err = Failed, hs.err
		return
	}
	c.phase, c.suite, c.info = Established, hs.result.suite, hs.result.info
	c.in, c.out = hs.result.in, hs.result.out
	if c.out.aead != nil {
		c.engine.admit(c)
	}
	c.fed = append(hs.pipe.leftover(), hs.pipe.in.take()...)
}

// Next returns the next piece of data from the client, decrypted in the memory that was fed or in a buffer of the engine:
// it is the caller's to read and change until the next call of Feed, Next or Close. Nothing without an error means that
// more has to be fed first. io.EOF is the client's close_notify: it will send no more and can still receive.
// Any other error is [Conn.Err]; Drain gives the alert for the client.
func (c *Conn) Next() ([]byte, error) {
	c.adopt()
	if c.phase == Handshaking {
		return nil, nil
	}
	if c.whole {
		c.release()
	}
	for c.err == nil {
		rec := c.record()
		if rec == nil {
			break
		}
		c.engine.expand(c, &c.in)
		typ, content, bad := open(&c.engine.mem, &c.in, c.suite, c.info.Version, rec)
		if bad != 0 {
			c.fail(bad)
			break
		}
		if data := c.accept(typ, content); len(data) > 0 {
			return data, nil
		}
		if c.whole {
			c.release()
		}
	}
	if c.err != nil {
		c.fed = nil
		c.release()
	}
	return nil, c.err
}

// Write appends data as records to dst, which does not overlap it, and returns the extended slice: as few records as
// possible, and before them what is pending. It allocates only if dst has less room than
// len(data) + [RecordOverhead] + [Conn.Pending] bytes.
func (c *Conn) Write(dst, data []byte) ([]byte, error) {
	dst = append(dst, c.collect()...)
	c.pend = nil
	switch {
	case c.phase == Handshaking:
		return dst, errHandshaking
	case c.phase == Failed:
		return dst, c.err
	case c.sentEnd:
		return dst, ErrClosed
	}
	for len(data) > 0 {
		n := min(len(data), maxPlaintext)
		dst = c.seal(dst, typeData, data[:n])
		data = data[n:]
	}
	return dst, nil
}

// Pending returns how many bytes [Conn.Drain] has for the client: parts of the handshake, answers to its changes of keys,
// an alert.
func (c *Conn) Pending() int { return len(c.collect()) }

// Drain appends what is pending to dst, as far as its capacity goes, and returns the extended slice.
func (c *Conn) Drain(dst []byte) []byte {
	pend := c.collect()
	n := min(len(pend), cap(dst)-len(dst))
	dst = append(dst, pend[:n]...)
	if c.pend = pend[n:]; len(c.pend) == 0 {
		c.pend = nil
	}
	return dst
}

// collect fetches the helper's output and returns all that is pending.
func (c *Conn) collect() []byte {
	c.adopt()
	if c.hs != nil {
		c.gather()
	}
	return c.pend
}

// gather fetches the helper's output. The memory in which it comes is the taker's.
func (c *Conn) gather() {
	out := c.hs.pipe.out.take()
	if len(c.pend) == 0 {
		c.pend = out
		return
	}
	c.pend = append(c.pend, out...)
}

// CloseNotify appends the alert that says that we send no more, and what is pending before it: at most RecordOverhead(2)
// + 2 + Pending() bytes. A connection that is not established, or has failed, has nothing to say.
func (c *Conn) CloseNotify(dst []byte) []byte {
	dst = append(dst, c.collect()...)
	c.pend = nil
	if c.phase != Established || c.sentEnd {
		return dst
	}
	dst = c.seal(dst, typeAlert, []byte{levelWarning, byte(alertCloseNotify)})
	c.sentEnd = true
	return dst
}

// Close gives back what the connection holds; a handshake in flight is abandoned. Nothing is sent. It may be called twice.
func (c *Conn) Close() {
	if c.hs != nil {
		c.hs.pipe.fail(ErrClosed)
		c.hs = nil
	}
	if c.err == nil || c.err == io.EOF {
		c.err = ErrClosed
	}
	c.phase = Failed
	c.fed, c.pend = nil, nil
	if c.engine == nil { // detached
		c.held = nil
		return
	}
	c.release()
	c.engine.dismiss(c)
}
