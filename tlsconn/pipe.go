package tlsconn

// This file owns the pipe between the event loop and a handshake: the net.Conn that crypto/tls sees, in memory.

import (
	"bytes"
	"net"
	"time"
)

// maxBacklog bounds the bytes that wait for a handshake. In practice a ClientHello is at most one record of 16 KiB, and
// the client's first data may follow its Finished at once.
const maxBacklog = 64 << 10

// pipe is the net.Conn that crypto/tls sees. Its other end is the event loop, on the same thread: one of the two runs
// while the other waits.
type pipe struct {
	wait   func() // gives the thread to the event loop, until it has bytes or an error
	in     []byte // from the client, not yet read
	out    []byte // for the client
	broken error  // why the handshake is to end

	header []byte // the bytes read of the current record's header
	body   int    // bytes of the current record that have not been read
	keyed  bool   // the client's ChangeCipherSpec has been read
	seq    uint64 // records read behind it
	hello  []byte // the first bytes of the client's first message, up to the end of its random
	sent   flight
}

// flight keeps parts of the records that crypto/tls wrote, for the takeover.
type flight struct {
	serverRandom []byte // of the last ServerHello
	last         []byte // the last record, header included
}

// feed adds a copy of bytes from the client.
func (p *pipe) feed(data []byte) error {
	if len(p.in)+len(data) > maxBacklog {
		return ErrBacklog
	}
	p.in = append(p.in, data...)
	return nil
}

// Read never goes beyond the end of a record. So after a complete handshake crypto/tls has read the client's Finished
// and nothing behind it: those bytes are for the record layer.
func (p *pipe) Read(b []byte) (int, error) {
	for p.broken == nil && len(p.in) == 0 {
		p.wait()
	}
	if p.broken != nil {
		return 0, p.broken
	}
	if len(p.header) == headerLen && p.body == 0 {
		p.header = p.header[:0]
	}
	n := 0
	if missing := headerLen - len(p.header); missing > 0 {
		n = copy(b, p.in[:min(missing, len(p.in))])
		p.header = append(p.header, p.in[:n]...)
		if len(p.header) == headerLen {
			p.body = int(p.header[3])<<8 | int(p.header[4])
			p.count(recordType(p.header[0]))
		}
	} else {
		n = copy(b, p.in[:min(p.body, len(p.in))])
		p.body -= n
		p.hello = append(p.hello, b[:min(n, helloLen-len(p.hello))]...)
	}
	if p.in = p.in[n:]; len(p.in) == 0 {
		p.in = nil // it is not needed while the client is on its way
	}
	return n, nil
}

// count counts the records behind the client's ChangeCipherSpec. In TLS 1.2 they have the keys of the connection.
func (p *pipe) count(t recordType) {
	if p.keyed {
		p.seq++
	}
	p.keyed = p.keyed || t == typeChangeCipherSpec
}

// helloLen is the length of a hello message up to the end of its random: type, length, version, random.
const helloLen = 1 + 3 + 2 + 32

// clientRandom returns the random of the ClientHello. The client may have cut that message into several records.
func (p *pipe) clientRandom() []byte { return p.hello[helloLen-32:] }

// Write takes whole records, as crypto/tls writes them.
func (p *pipe) Write(b []byte) (int, error) {
	p.sent.note(b)
	p.out = append(p.out, b...)
	return len(b), nil
}

// note keeps the parts of records that the takeover needs.
func (f *flight) note(b []byte) {
	for len(b) >= headerLen {
		n := min(len(b), headerLen+int(b[3])<<8+int(b[4]))
		rec := b[:n]
		b = b[n:]
		if len(b) == 0 {
			f.last = append(f.last[:0], rec...)
		}
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
