package tlsconn

// This file owns the pipe between the event loop and a handshake: the net.Conn that crypto/tls sees, in memory.

import (
	"bytes"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// maxBacklog bounds the bytes that wait for a handshake. In practice a ClientHello is at most one record of 16 KiB, and
// the client's first data may follow its Finished at once.
const maxBacklog = 64 << 10

// pipe is the net.Conn that crypto/tls sees. The event loop's thread is at its other end. Bytes change sides through
// atomic pointers, so that the thread never waits for a helper that was descheduled.
type pipe struct {
	workers chan struct{} // see Pool
	closing chan struct{}
	wake    chan struct{} // holds a token when in or broken has changed
	in      box           // from the client, not yet seen by the helper
	backlog atomic.Int64  // bytes of in and rest
	out     box           // for the client
	broken  atomic.Pointer[error]
	late    atomic.Bool // the client has had its time to answer our flight
	notify  func()
	await   func() // our flight is complete: the client's time to answer begins

	// The helper's own.
	place      *place // where others see that it waits for its client
	supplanted bool   // the place is another's
	idle       bool   // it has ended while it waited and has no turn to give back
	rest       []byte // taken from in and not yet read
	header     []byte // the bytes read of the current record's header
	body       int    // bytes of the current record that have not been read
	keyed      bool   // the client's ChangeCipherSpec has been read
	seq        uint64 // records read behind it
	hello      []byte // the first bytes of the client's first message, up to the end of its random
	unsaid     bool   // out has bytes of which the event loop has not been told
	sent       flight
}

// flight keeps parts of the records that crypto/tls wrote, for the takeover.
type flight struct {
	serverRandom []byte // of the last ServerHello
	last         []byte // the last record, header included
}

// box is a place for bytes between two threads. put adds bytes, take empties the box.
type box struct {
	p atomic.Pointer[[]byte]
}

func (b *box) put(data []byte) {
	for {
		old := b.p.Load()
		var before []byte
		if old != nil {
			before = *old
		}
		all := slices.Concat(before, data)
		if b.p.CompareAndSwap(old, &all) {
			return
		}
	}
}

func (b *box) take() []byte {
	if all := b.p.Swap(nil); all != nil {
		return *all
	}
	return nil
}

// feed adds a copy of bytes from the client. It is called by the event loop's thread. More than maxBacklog waiting
// bytes end the handshake with [ErrBacklog].
func (p *pipe) feed(data []byte) error {
	if p.backlog.Add(int64(len(data))) > maxBacklog {
		p.endHandshake(ErrBacklog)
		return ErrBacklog
	}
	p.in.put(data)
	p.rouse()
	return nil
}

// rouse lets the helper look at in and broken again.
func (p *pipe) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Read never goes beyond the end of a record. So after a complete handshake crypto/tls has read the client's Finished
// and nothing behind it: those bytes are for the record layer.
func (p *pipe) Read(b []byte) (int, error) {
	if err := p.more(); err != nil {
		return 0, err
	}
	if len(p.header) == headerLen && p.body == 0 {
		p.header = p.header[:0]
	}
	n := 0
	if missing := headerLen - len(p.header); missing > 0 {
		n = copy(b, p.rest[:min(missing, len(p.rest))])
		p.header = append(p.header, p.rest[:n]...)
		if len(p.header) == headerLen {
			p.body = int(p.header[3])<<8 | int(p.header[4])
			p.count(recordType(p.header[0]))
		}
	} else {
		n = copy(b, p.rest[:min(p.body, len(p.rest))])
		p.body -= n
		p.hello = append(p.hello, b[:min(n, helloLen-len(p.hello))]...)
	}
	p.rest = p.rest[n:]
	p.backlog.Add(int64(-n))
	return n, nil
}

// count counts the records behind the client's ChangeCipherSpec. In TLS 1.2 they have the keys of the connection.
func (p *pipe) count(t recordType) {
	if p.keyed {
		p.seq++
	}
	p.keyed = p.keyed || t == typeChangeCipherSpec
}

// more waits until there are bytes to read. While it waits, another handshake may compute.
func (p *pipe) more() error {
	for len(p.rest) == 0 {
		if err := p.endReason(); err != nil {
			return err
		}
		if p.rest = p.in.take(); len(p.rest) > 0 {
			break
		}
		p.wait()
	}
	return p.endReason()
}

// wait gives the turn to another handshake until the event loop has something for this one. A handshake that has ended
// meanwhile, or lost its place, goes on without a turn: it computes nothing more.
func (p *pipe) wait() {
	ticket := p.place.wait()
	switch {
	case p.unsaid:
		p.unsaid = false
		p.await()
		p.notify()
	case p.late.Load():
		p.endHandshake(ErrTimeout)
	}
	<-p.workers
	select {
	case <-p.wake:
	case <-p.closing:
	}
	if !p.place.since.CompareAndSwap(ticket, 0) {
		p.supplanted = true
		p.endHandshake(ErrPoolFull)
	}
	if p.idle = p.endReason() != nil; !p.idle {
		p.workers <- struct{}{}
	}
}

// helloLen is the length of a hello message up to the end of its random: type, length, version, random.
const helloLen = 1 + 3 + 2 + 32

// clientRandom returns the random of the ClientHello. The client may have cut that message into several records.
func (p *pipe) clientRandom() []byte { return p.hello[helloLen-32:] }

// leftover returns the bytes behind the handshake that the helper has taken. Later bytes are still in the box.
func (p *pipe) leftover() []byte { return p.rest }

// Write takes whole records, as crypto/tls writes them. The event loop is told of them when the handshake waits for the
// client or ends. So a session ticket and the end that follows it wake the loop once, and not twice: a wake costs more
// than the work that it leads to.
func (p *pipe) Write(b []byte) (int, error) {
	p.sent.note(b)
	p.out.put(b)
	p.unsaid = true
	return len(b), nil
}

// note keeps the parts of records that the takeover needs.
func (f *flight) note(b []byte) {
	for len(b) >= headerLen {
		n := min(len(b), headerLen+int(b[3])<<8+int(b[4]))
		rec := b[:n]
		b = b[n:]
		f.last = append(f.last[:0], rec...)
		if recordType(rec[0]) == typeHandshake && n >= headerLen+helloLen && rec[headerLen] == messageServerHello {
			f.serverRandom = bytes.Clone(rec[headerLen+helloLen-32 : headerLen+helloLen])
		}
	}
}

// The rest of net.Conn follows. crypto/tls does not use it in a handshake without a context.

func (p *pipe) Close() error                     { return nil }
func (p *pipe) LocalAddr() net.Addr              { return nil }
func (p *pipe) RemoteAddr() net.Addr             { return nil }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
