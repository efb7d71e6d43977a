package tlsconn

// This file has rig: an established connection without sockets, whose client is in the test's hands.

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// rig is an established connection without sockets. The test has the client's side of the record layer: it can protect
// any record that it wants to send.
type rig struct {
	tb     testing.TB
	engine *Engine
	conn   *Conn
	out    half // protects the client's records
	in     half // opens ours
	mem    scratch
}

// memConn is a net.Conn end whose writes never block: messages of a bounded channel.
type memConn struct {
	pipe // for the methods of net.Conn that nothing calls
	from chan []byte
	to   chan []byte
	rest []byte
}

func (m *memConn) Read(b []byte) (int, error) {
	for len(m.rest) == 0 {
		var ok bool
		if m.rest, ok = <-m.from; !ok {
			return 0, io.EOF
		}
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (m *memConn) Write(b []byte) (int, error) {
	m.to <- append([]byte(nil), b...)
	return len(b), nil
}

func (m *memConn) Close() error { close(m.to); return nil }

var _ net.Conn = (*memConn)(nil)

// testEngine returns an engine, which is closed at the end of the test.
func testEngine(tb testing.TB, certs *Certificates, change func(*EngineOptions)) *Engine {
	tb.Helper()
	o := testOptions(certs)
	if change != nil {
		change(&o)
	}
	e := NewEngine(o)
	tb.Cleanup(e.Close)
	return e
}

func testOptions(certs *Certificates) EngineOptions {
	return EngineOptions{
		Certificates:        certs,
		MaxInFlight:         64,
		MaxFresh:            1 << 20,
		FirstFlight:         time.Minute,
		Timeout:             time.Minute,
		MaxBuffered:         1 << 20,
		MaxExpanded:         64,
		KeyUpdatesPerMinute: 32,
	}
}

// computeAll lets all handshakes compute until they wait for their clients.
func computeAll(e *Engine) {
	for ok := true; ok; {
		_, ok = e.Compute()
	}
}

// establish makes a handshake between a new connection of e and a client of crypto/tls, whose bytes it feeds in pieces
// of chop bytes.
func establish(tb testing.TB, e *Engine, config *tls.Config, chop int) (*Conn, *tls.Conn, *memConn) {
	tb.Helper()
	c := e.Start(Handle(1))
	wire := &memConn{from: make(chan []byte, 256), to: make(chan []byte, 256)}
	client := tls.Client(wire, config)
	result := make(chan error, 1)
	go func() { result <- client.Handshake() }()
	for clientDone := false; !clientDone || c.Phase() == Handshaking; {
		select {
		case err := <-result:
			if err != nil {
				tb.Fatalf("the client's handshake: %v; ours: %v", err, c.Err())
			}
			clientDone = true
		case b := <-wire.to:
			feedAll(tb, c, b, chop)
		}
		computeAll(e)
		if out := c.Drain(make([]byte, 0, c.Pending())); len(out) > 0 {
			wire.from <- out
		}
		if c.Phase() == Failed {
			tb.Fatalf("the handshake failed: %v", c.Err())
		}
	}
	for len(wire.to) > 0 {
		feedAll(tb, c, <-wire.to, chop)
	}
	return c, client, wire
}

// feedAll feeds b in pieces of chop bytes, during the handshake, when there is no data to read.
func feedAll(tb testing.TB, c *Conn, b []byte, chop int) {
	tb.Helper()
	for len(b) > 0 {
		n := min(chop, len(b))
		if err := c.Feed(b[:n]); err != nil {
			tb.Fatalf("Feed: %v", err)
		}
		b = b[n:]
	}
}

// newRig returns a rig in an engine of its own. suite 0 leaves the choice to the handshake.
func newRig(tb testing.TB, version uint16, suite uint16, change func(*EngineOptions)) *rig {
	tb.Helper()
	e := testEngine(tb, testCerts(tb, "ecdsa"), change)
	return newRigIn(tb, e, version, suite)
}

func newRigIn(tb testing.TB, e *Engine, version uint16, suite uint16) *rig {
	tb.Helper()
	config := clientConfig(version)
	if suite != 0 {
		config.CipherSuites = []uint16{suite}
	}
	c, _, _ := establish(tb, e, config, 1<<20)
	r := &rig{tb: tb, engine: e, conn: c, out: c.in, in: c.out}
	r.out.aead, r.in.aead = r.expand(&r.out), r.expand(&r.in)
	return r
}

func (r *rig) expand(h *half) (aead interface {
	NonceSize() int
	Overhead() int
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}) {
	return r.conn.suite.aead(h.key[:r.conn.suite.keyLen])
}

// record returns one record from the client.
func (r *rig) record(typ recordType, payload []byte) []byte {
	return seal(&r.mem, &r.out, r.conn.suite, r.conn.info.Version, nil, typ, payload)
}

// raw13 returns a TLS 1.3 record from the client whose inner plaintext, type and padding included, is as given.
func (r *rig) raw13(inner []byte) []byte {
	b := appendHeader(nil, typeData, len(inner)+tagLen)
	r.mem.setNonce(&r.out, nil)
	b = r.out.aead.Seal(b, r.mem.nonce[:], inner, b[:headerLen:headerLen])
	r.out.seq++
	return b
}

// updateOut moves the client's key on, after it has sent a KeyUpdate.
func (r *rig) updateOut() {
	r.out.update(r.conn.suite)
	r.out.aead = r.expand(&r.out)
}

// got is a record that the server sent.
type got struct {
	typ     recordType
	content string
}

// open opens all records in b, following the server's changes of keys.
func (r *rig) open(b []byte) (all []got) {
	r.tb.Helper()
	for len(b) > 0 {
		n, bad := checkHeader(r.conn.info.Version, b)
		if bad != 0 || n > len(b) {
			r.tb.Fatalf("the server sent a record with the header %x of %d bytes", b[:headerLen], len(b))
		}
		typ, content, bad := open(&r.mem, &r.in, r.conn.suite, r.conn.info.Version, b[:n])
		if bad != 0 {
			r.tb.Fatalf("a record of the server does not open: alert %d", bad)
		}
		all = append(all, got{typ, string(content)})
		b = b[n:]
		if typ == typeHandshake && r.conn.info.Version == tls.VersionTLS13 {
			r.in.update(r.conn.suite)
			r.in.aead = r.expand(&r.in)
		}
	}
	return all
}

// read feeds b in pieces of chop bytes and returns all data and the error at the end.
func (r *rig) read(b []byte, chop int) (data []byte, err error) {
	r.tb.Helper()
	for len(b) > 0 {
		n := min(chop, len(b))
		piece := append([]byte(nil), b[:n]...)
		b = b[n:]
		if err := r.conn.Feed(piece); err != nil {
			return data, err
		}
		for {
			d, err := r.conn.Next()
			data = append(data, d...)
			if err != nil {
				return data, err
			}
			if len(d) == 0 {
				break
			}
		}
		clear(piece) // its owner uses it again
	}
	return data, nil
}

// drained returns all pending output, opened.
func (r *rig) drained() []got {
	r.tb.Helper()
	return r.open(r.conn.Drain(make([]byte, 0, r.conn.Pending())))
}
