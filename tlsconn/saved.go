package tlsconn

// This file owns the form in which an established connection goes to another process: AppendState writes it, Restore reads it.
// Numbers are big-endian. A field with a length is the length and as many bytes. savedhello.go has the other form.
//
//	bytes      field
//	1          format: 1
//	1          state: an index of savedStates
//	1          flags: savedResumed, savedOwed
//	2          version of TLS
//	2          suite
//	           for each half, the client's first:
//	8            number of the next record
//	1 + length   secret: as long as a hash of the suite in TLS 1.3, none in TLS 1.2
//	1 + length   key: as long as the suite's keys
//	1 + 12       nonce base
//	1          records in a row that carried no data
//	4          changes of keys and renegotiations of the client
//	1          seconds since their count began: 60 at most
//	1 + length   handshake message that arrived in part: 4 bytes at most
//	2 + length   record that arrived in part, its header included
//	4 + length   pending output
//
// Fields may be added at the end. A reader of the same format ignores those that it does not know, and fills in for those
// that are not there yet. Any other change makes another format.

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

const (
	savedFormat = 1

	savedResumed = 1 << 0
	savedOwed    = 1 << 1

	// minute is the time, in seconds, after which the count of the client's changes of keys begins again.
	minute = 60

	// maxSavedPend bounds the pending output in a saved state. An established connection has a session ticket, a Finished
	// and [maxUnsent] bytes of answers at most, which is far less.
	maxSavedPend = 1 << 16
)

// savedStates are the states in which a connection can be saved. Their order is part of the format.
var savedStates = [...]state{stateEstablished, statePeerEnded, stateOursEnded, stateBothEnded}

// StateLen returns how many bytes [Conn.AppendState] appends.
func (c *Conn) StateLen() int {
	if c.Unbegun() {
		return 1 + 4 + len(c.first())
	}
	secret := secretLen(c.suite, c.info.Version)
	return 7 + 2*(8+1+secret+1+c.suite.keyLen+1+ivLen) + 6 + 1 + int(c.nmsg) + 2 + len(c.part()) + 4 + len(c.pend)
}

// AppendState appends to dst all that another process needs to go on with a connection that is established or [Conn.Unbegun], and
// returns the extended slice: see [Engine.Restore]. Next has just returned nothing, or io.EOF. The connection does not change. So
// it can go on here if the other process fails, but only one of both may read or write from now on: two records must not have one
// number.
//
// The state holds keys: the caller overwrites it when it is passed on. It makes room of [Conn.StateLen] bytes in dst first,
// since slices that grow leave their bytes behind. Close then overwrites the keys of the connection.
func (c *Conn) AppendState(dst []byte) []byte {
	if c.Unbegun() {
		return c.appendHello(dst)
	}
	if c.engine == nil || phases[c.state] != Established || len(c.fed) > 0 || c.whole {
		panic("BUG: a TLS connection is saved in the middle of something")
	}
	var flags byte
	if c.info.Resumed {
		flags |= savedResumed
	}
	if c.owed {
		flags |= savedOwed
	}
	big := binary.BigEndian
	dst = slices.Grow(dst, c.StateLen())
	dst = append(dst, savedFormat, byte(slices.Index(savedStates[:], c.state)), flags)
	dst = big.AppendUint16(dst, c.info.Version)
	dst = big.AppendUint16(dst, c.suite.id)
	dst = c.in.appendTo(dst, c.suite, c.info.Version)
	dst = c.out.appendTo(dst, c.suite, c.info.Version)
	dst = append(dst, c.idle)
	dst = big.AppendUint32(dst, c.asked)
	dst = append(dst, byte(min(c.engine.seconds()-c.since, minute)))
	dst = append(append(dst, c.nmsg), c.msg[:c.nmsg]...)
	dst = append(big.AppendUint16(dst, uint16(len(c.part()))), c.part()...)
	return append(big.AppendUint32(dst, uint32(len(c.pend))), c.pend...)
}

// appendTo appends one half in its saved form.
func (h *half) appendTo(dst []byte, s *suite, version uint16) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.seq)
	for _, field := range [...][]byte{h.secret[:secretLen(s, version)], h.key[:s.keyLen], h.iv[:]} {
		dst = append(append(dst, byte(len(field))), field...)
	}
	return dst
}

// secretLen returns the length of a half's secret. TLS 1.2 changes no keys, so nothing is derived from one there.
func secretLen(s *suite, version uint16) int {
	if version == tls.VersionTLS13 {
		return s.hashLen
	}
	return 0
}

// part returns the bytes of a record that arrived in part.
func (c *Conn) part() []byte {
	if len(c.held) > 0 {
		return c.held
	}
	return c.header[:c.nhead]
}

// seconds returns the engine's time in seconds.
func (e *Engine) seconds() uint32 { return uint32(e.now / time.Second) }

// Restore makes a connection of this engine from a state that [Conn.AppendState] has saved, in this process or another one.
// It goes on where the saved one stood: the next bytes that the client sends, and that it is sent, are those that the
// saved connection has not seen. Its generation is that of the certificate in use here. state may be overwritten afterwards.
//
// The state is not trusted. It is an error if it is damaged, if it has a format, a version or a suite that this build does
// not have, or, as [ErrNoMemory], if no buffer is left for a record that arrived in part. Nothing is taken from the engine
// then.
func (e *Engine) Restore(h Handle, state []byte) (*Conn, error) {
	r := savedReader{rest: state}
	if len(state) > 0 && state[0] == savedHelloFormat {
		return e.restoreHello(h, &r)
	}
	head := r.head()
	if r.err != nil {
		return nil, r.err
	}
	_, generation := e.opt.Certificates.Current()
	c := &Conn{engine: e, handle: h, state: head.state, suite: head.suite, owed: head.owed}
	c.info = Info{Version: head.version, Suite: head.suite.id, Generation: generation, Resumed: head.resumed}
	r.half(&c.in, c, "client's keys")
	r.half(&c.out, c, "server's keys")
	c.idle = uint8(r.number("count of records without data", 1, maxIdle))
	c.asked = uint32(r.number("count of the client's requests", 4, 1<<32-1))
	c.since = e.seconds() - uint32(r.number("age of the count of requests", 1, minute))
	r.message(c)
	part := r.part(c)
	pend := r.field("pending output", 4, maxSavedPend)
	if r.err == nil && !c.keep(part) {
		r.err = fmt.Errorf("cannot restore a TLS connection: %w", ErrNoMemory)
	}
	if r.err != nil {
		c.wipe()
		return nil, r.err
	}
	c.pend = append(c.pend, pend...)
	return c, nil
}

// keep takes the bytes of a record that arrived in part. It reports whether there was a buffer for them.
func (c *Conn) keep(part []byte) bool {
	c.nhead = uint8(copy(c.header[:], part))
	if len(part) < headerLen {
		return true
	}
	b := c.engine.get(len(part))
	if b == nil {
		return false
	}
	c.held = append(b, part...)
	return true
}

// wipe overwrites the keys. Their expanded forms are dropped before: see [Engine.dismiss].
func (c *Conn) wipe() { c.in, c.out = half{}, half{} }

// savedReader reads a saved state field by field. The first thing that is wrong stays its error, and later fields are empty.
type savedReader struct {
	rest []byte
	err  error
}

// damaged notes that a field is not as it can be.
func (r *savedReader) damaged(name string) { r.fail("its saved state is damaged at the %s", name) }

func (r *savedReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("cannot restore a TLS connection: "+format, args...)
	}
}

// number reads a number of so many bytes, which is most at most.
func (r *savedReader) number(name string, bytes int, most uint64) (n uint64) {
	if len(r.rest) < bytes {
		r.damaged(name)
	}
	if r.err != nil {
		return 0
	}
	for _, b := range r.rest[:bytes] {
		n = n<<8 | uint64(b)
	}
	r.rest = r.rest[bytes:]
	if n > most {
		r.damaged(name)
		return 0
	}
	return n
}

// field reads a field whose length takes so many bytes and is most at most. It is a part of the saved state.
func (r *savedReader) field(name string, bytes, most int) []byte {
	n := int(r.number(name, bytes, uint64(most)))
	if n > len(r.rest) {
		r.damaged(name)
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// savedHead is the beginning of a saved state: it says how to read the rest.
type savedHead struct {
	state         state
	suite         *suite
	version       uint16
	resumed, owed bool
}

func (r *savedReader) head() (h savedHead) {
	if format := r.number("format", 1, 255); r.err == nil && format != savedFormat {
		r.fail("its saved state has the format %d, and this build reads %d", format, savedFormat)
	}
	h.state = savedStates[r.number("state", 1, uint64(len(savedStates)-1))]
	flags := r.number("flags", 1, savedResumed|savedOwed)
	h.resumed, h.owed = flags&savedResumed != 0, flags&savedOwed != 0
	h.version = uint16(r.number("version", 2, 1<<16-1))
	if h.version != tls.VersionTLS12 && h.version != tls.VersionTLS13 {
		r.fail("this build does not have %s", tls.VersionName(h.version))
	}
	id := uint16(r.number("suite", 2, 1<<16-1))
	if h.suite = suiteOf(id); h.suite == nil {
		r.fail("this build does not have the suite %s", tls.CipherSuiteName(id))
		return h
	}
	if (id>>8 == 0x13) != (h.version == tls.VersionTLS13) {
		r.fail("%s does not have the suite %s", tls.VersionName(h.version), tls.CipherSuiteName(id))
	}
	if h.owed && (!h.state.writes() || h.version != tls.VersionTLS13) {
		r.damaged("flags")
	}
	return h
}

// half reads the half h of c.
func (r *savedReader) half(h *half, c *Conn, name string) {
	h.seq = r.number(name, 8, 1<<64-1)
	for _, dst := range [...][]byte{h.secret[:secretLen(c.suite, c.info.Version)], h.key[:c.suite.keyLen], h.iv[:]} {
		if copy(dst, r.field(name, 1, len(dst))) < len(dst) {
			r.damaged(name)
		}
	}
}

// message reads a handshake message that arrived in part. It can only be a KeyUpdate: see [Conn.message].
func (r *savedReader) message(c *Conn) {
	whole := [...]byte{messageKeyUpdate, 0, 0, 1}
	b := r.field("handshake message", 1, len(whole))
	if string(b) != string(whole[:len(b)]) || len(b) > 0 && (!c.state.reads() || c.info.Version != tls.VersionTLS13) {
		r.damaged("handshake message")
		return
	}
	c.nmsg = uint8(copy(c.msg[:], b))
}

// part reads a record that arrived in part.
func (r *savedReader) part(c *Conn) []byte {
	b := r.field("record in part", 2, helloRoom)
	if len(b) > 0 && !c.state.reads() {
		r.damaged("record in part")
	}
	if len(b) < headerLen {
		return b
	}
	if total, bad := checkHeader(c.info.Version, b); bad != 0 || len(b) >= total {
		r.damaged("record in part")
	}
	return b
}
