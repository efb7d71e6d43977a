package load

// This file owns the clients' TLS. A handshake of crypto/tls blocks, so it runs in a goroutine of its own, fed by the
// worker. Afterwards the connection belongs to the worker alone and never blocks: a read that finds nothing fails with
// a temporary error, which crypto/tls does not remember.

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"millrace/ring"
)

// secure is the TLS of one connection.
type secure struct {
	conn *tls.Conn
	pipe *pipe
}

// pipe is the net.Conn below a TLS connection. It is made of memory.
type pipe struct {
	mu      sync.Mutex
	arrived sync.Cond
	in, out []byte
	shaking bool // the handshake is going on, and both sides lock
	done    bool // it is over
	closed  bool
	err     error  // of the handshake
	notify  func() // tells the worker to look
}

// errAgain is the error of a pipe's Read that would block.
type errAgain struct{}

func (errAgain) Error() string   { return "there is nothing to read yet" }
func (errAgain) Timeout() bool   { return false }
func (errAgain) Temporary() bool { return true }

// Read implements net.Conn.
func (p *pipe) Read(b []byte) (int, error) {
	if p.shaking {
		p.mu.Lock()
		defer p.mu.Unlock()
		for len(p.in) == 0 && !p.closed {
			p.arrived.Wait()
		}
		if len(p.in) == 0 {
			return 0, io.EOF
		}
	}
	if len(p.in) == 0 {
		return 0, errAgain{}
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

// Write implements net.Conn.
func (p *pipe) Write(b []byte) (int, error) {
	if !p.shaking {
		p.out = append(p.out, b...)
		return len(b), nil
	}
	p.mu.Lock()
	p.out = append(p.out, b...)
	p.mu.Unlock()
	p.notify()
	return len(b), nil
}

// Close implements net.Conn.
func (p *pipe) Close() error { return nil }

func (p *pipe) LocalAddr() net.Addr              { return nil }
func (p *pipe) RemoteAddr() net.Addr             { return nil }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// abandon ends a handshake that is still going on.
func (p *pipe) abandon() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.arrived.Signal()
}

// session is the TLS session that a client keeps from one connection to the next. It implements tls.ClientSessionCache.
type session struct {
	mu    sync.Mutex
	state *tls.ClientSessionState
	use   bool
}

// Get implements tls.ClientSessionCache.
func (s *session) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.use && s.state != nil
}

// Put implements tls.ClientSessionCache.
func (s *session) Put(_ string, state *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// readyList lists the handshakes that need their worker.
type readyList struct {
	mu    sync.Mutex
	items []readyItem
	waker *ring.Waker
}

type readyItem struct {
	client uint32
	secure *secure
}

// attach sets the waker; nil: nobody is woken any more.
func (l *readyList) attach(w *ring.Waker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waker = w
}

// wake makes the worker take its next turn.
func (w *worker) wake() {
	w.ready.mu.Lock()
	defer w.ready.mu.Unlock()
	if w.ready.waker != nil {
		w.ready.waker.Wake()
	}
}

func (l *readyList) add(item readyItem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waker == nil {
		return
	}
	l.items = append(l.items, item)
	if len(l.items) == 1 {
		l.waker.Wake()
	}
}

// take moves the items to the end of all.
func (l *readyList) take(all []readyItem) []readyItem {
	l.mu.Lock()
	defer l.mu.Unlock()
	all = append(all, l.items...)
	clear(l.items)
	l.items = l.items[:0]
	return all
}

// tlsConfig returns the configuration of a client. Trackers under test have self-signed certificates.
func (t *target) tlsConfig(cache tls.ClientSessionCache) *tls.Config {
	return &tls.Config{
		ServerName:                  t.name,
		InsecureSkipVerify:          true,
		MinVersion:                  tls.VersionTLS12,
		DynamicRecordSizingDisabled: true,
		ClientSessionCache:          cache,
	}
}

// beginTLS starts the handshake of a client that has its connection.
func (w *worker) beginTLS(i uint32) {
	w.clients[i].state = stateSecuring
	var cache tls.ClientSessionCache
	if w.remembers {
		if w.session[i] == nil {
			w.session[i] = new(session)
		}
		w.session[i].use = w.resume
		cache = w.session[i]
	}
	p := &pipe{shaking: true}
	p.arrived.L = &p.mu
	s := &secure{conn: tls.Client(p, w.node(i).tlsConfig(cache)), pipe: p}
	p.notify = func() { w.ready.add(readyItem{i, s}) }
	w.secure[i] = s
	go func() {
		err := s.conn.Handshake()
		p.mu.Lock()
		p.err, p.done = err, true
		p.mu.Unlock()
		p.notify()
	}()
}

// handshakes serves the handshakes that have bytes to send or are over.
func (w *worker) handshakes() {
	w.readied = w.ready.take(w.readied[:0])
	for _, item := range w.readied {
		if w.secure[item.client] == item.secure {
			w.shake(item.client, item.secure)
		}
	}
	clear(w.readied)
}

func (w *worker) shake(i uint32, s *secure) {
	c := &w.clients[i]
	s.pipe.mu.Lock()
	out, done, err := s.pipe.out, s.pipe.done, s.pipe.err
	s.pipe.out = nil
	s.pipe.mu.Unlock()
	if len(out) > 0 {
		dst := w.room(i, len(out))
		if dst == nil {
			w.failed(i, "no memory to send a handshake")
			return
		}
		w.wrote(i, append(dst, out...))
		c.sealed = true
	}
	switch {
	case c.state != stateSecuring || !done:
	case err != nil:
		w.failed(i, "TLS handshake: "+err.Error())
	default:
		s.pipe.shaking = false
		if s.conn.ConnectionState().DidResume {
			w.counts.HandshakesResumed++
		} else {
			w.counts.HandshakesFull++
		}
		w.requestUpgrade(i)
		if w.secure[i] == s {
			w.receiveTLS(i, nil)
		}
	}
}

// sealRequest encrypts a request, which follows the handshake's last bytes in the pending ones.
func (w *worker) sealRequest(i uint32, request []byte) []byte {
	s := w.secure[i]
	if _, err := s.conn.Write(request); err != nil {
		w.trouble("TLS: " + err.Error())
	}
	sealed := s.pipe.out
	s.pipe.out = nil
	w.clients[i].sealed = true
	return sealed
}

// Encryption adds at most recordOverhead bytes to each record of 16 KiB, and as many for messages of its own.
const (
	recordSize     = 16 << 10
	recordOverhead = 96
)

// seal encrypts the pending bytes. TLS's own messages go first: the reply to a key update may wait until then (RFC 8446
// §4.6.3). Without memory it returns false.
func (w *worker) seal(i uint32) bool {
	c, s := &w.clients[i], w.secure[i]
	plain := w.pool.Bytes(c.pending)[:c.pendingLen]
	said := s.pipe.out
	b := w.pool.Get(len(said) + len(plain) + (len(plain)/recordSize+2)*recordOverhead)
	if b == 0 {
		return false
	}
	s.pipe.out = append(w.pool.Bytes(b)[:0], said...)
	if _, err := s.conn.Write(plain); err != nil {
		w.trouble("TLS: " + err.Error())
	}
	sealed := s.pipe.out
	s.pipe.out = nil
	if len(sealed) > len(w.pool.Bytes(b)) {
		panic("BUG: TLS adds more to a message than there is room for")
	}
	w.pool.Put(c.pending)
	c.pending, c.pendingLen, c.sealed = b, uint32(len(sealed)), true
	return true
}

// receiveTLS takes encrypted bytes.
func (w *worker) receiveTLS(i uint32, data []byte) {
	s := w.secure[i]
	if s.pipe.shaking {
		s.pipe.mu.Lock()
		s.pipe.in = append(s.pipe.in, data...)
		s.pipe.mu.Unlock()
		s.pipe.arrived.Signal()
		return
	}
	if len(s.pipe.in) > 0 {
		data = append(s.pipe.in, data...)
	}
	s.pipe.in = data
	for {
		n, err := s.conn.Read(w.plain)
		w.consume(i, w.plain[:n])
		if w.secure[i] != s {
			return
		}
		var again errAgain
		switch {
		case err == nil:
		case errors.As(err, &again):
			s.pipe.in = nil
			return
		case err == io.EOF:
			w.onHangup(i, 0)
			return
		default:
			w.counts.Unreadable++
			w.trouble("TLS: " + err.Error())
			w.close(i, true)
			return
		}
	}
}

// endTLS drops the TLS of a connection.
func (w *worker) endTLS(i uint32) {
	if w.secure == nil || w.secure[i] == nil {
		return
	}
	w.secure[i].pipe.abandon()
	w.secure[i] = nil
}
