package tlsconn

import (
	"bytes"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// maxBacklog bounds the bytes that wait for a handshake, in bytes: a ClientHello is at most one record of 16 KiB in
// practice, and behind the client's Finished may come what it has to say first.
const maxBacklog = 64 << 10

// pipe is the connection that crypto/tls believes to have: the event loop's thread is at its other end. Bytes change sides
// through atomic pointers, so that the thread never waits for a helper that was descheduled.
type pipe struct {
	workers chan struct{} // see Pool
	closing chan struct{}
	wake    chan struct{} // holds a token when in or broken has changed
	in      box           // from the client, not yet seen by the helper
	backlog atomic.Int64  // bytes in in and rest
	out     box           // for the client
	broken  atomic.Pointer[error]
	notify  func()

	// The helper's own.
	rest   []byte // taken from in and not yet read
	header []byte // what has been read of the current record's header
	body   int    // bytes of the current record that have not been read
	hello  []byte // the first bytes of the client's first message, as far as its random
	unsaid bool   // out has got bytes of which the event loop has not been told
	sent   flight
}

// flight is what is remembered of the records that crypto/tls wrote.
type flight struct {
	serverRandom []byte // of the last ServerHello
	last         []byte // the last record, header included
}

// box is a place for bytes between two threads. Each put adds to what is there, take empties it.
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

// feed adds bytes from the client. It is called by the event loop's thread.
func (p *pipe) feed(data []byte) error {
	if p.backlog.Add(int64(len(data))) > maxBacklog {
		p.endHandshake(ErrBacklog)
		return ErrBacklog
	}
	p.in.put(data)
	p.rouse()
	return nil
}

func (p *pipe) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Read never goes beyond the end of a record. So when the handshake is complete crypto/tls has read the client's Finished
// and nothing of what follows, which is for the record layer.
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

// more waits until there are bytes to read. While it waits another handshake may compute.
func (p *pipe) more() error {
	for len(p.rest) == 0 {
		if err := p.endReason(); err != nil {
			return err
		}
		if p.rest = p.in.take(); len(p.rest) > 0 {
			break
		}
		if p.unsaid {
			p.unsaid = false
			p.notify()
		}
		<-p.workers
		select {
		case <-p.wake:
		case <-p.closing:
		}
		p.workers <- struct{}{}
	}
	return p.endReason()
}

// helloLen is how far a hello message goes to the end of its random: type, length, version, random.
const helloLen = 1 + 3 + 2 + 32

// clientRandom returns the random of the ClientHello, which the client may have cut into several records.
func (p *pipe) clientRandom() []byte { return p.hello[helloLen-32:] }

// leftover returns the bytes behind the handshake that the helper has taken. What has come since is still in the box.
func (p *pipe) leftover() []byte { return p.rest }

// Write takes whole records, as crypto/tls writes them. The event loop is told of them when the handshake waits for the
// client or ends, and so once of a session ticket and of the end that follows it: to wake the loop costs more than most
// of what it then does.
func (p *pipe) Write(b []byte) (int, error) {
	p.sent.note(b)
	p.out.put(b)
	p.unsaid = true
	return len(b), nil
}

// note remembers what the takeover needs of records.
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

// Close and the rest of net.Conn: crypto/tls does not use them in a handshake without a context.

func (p *pipe) Close() error                     { return nil }
func (p *pipe) LocalAddr() net.Addr              { return nil }
func (p *pipe) RemoteAddr() net.Addr             { return nil }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
