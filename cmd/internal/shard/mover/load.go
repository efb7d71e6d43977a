package mover

import (
	"sync/atomic"

	"millrace/tlsconn"
)

// This file owns the data that shards share for connections that move: the number of connections of each, and the way
// by which TLS states go from one to another.

// cacheLine keeps the writes of different threads on different lines (two of 64 bytes, since processors fetch them in
// pairs).
const cacheLine = 128

// load is how many connections a shard has and will have. All shards write to it, but only when connections come and go.
type load struct {
	_      [cacheLine]byte // keeps the writes of others off the line
	live   atomic.Int64    // connections, as of the last Step
	coming atomic.Int64    // connections that are on their way in, or decided to be; below zero: closed for good

	torrents, peers atomic.Int64 // as of the last Step
}

const loadClosed = -1 << 40

// enter announces a connection; false means that the shard takes no more.
func (l *load) enter() bool {
	if l.coming.Add(1) > 0 {
		return true
	}
	l.coming.Add(-1)
	return false
}

// leave takes back an enter: the connection has arrived, or will not come.
func (l *load) leave() { l.coming.Add(-1) }

// closeUp lets nobody in any more, unless somebody is on the way.
func (l *load) closeUp() bool {
	return l.coming.Load() < 0 || l.coming.CompareAndSwap(0, loadClosed)
}

// all returns how many connections the shard has or will have.
func (l *load) all() int64 { return l.live.Load() + max(l.coming.Load(), 0) }

// crossing takes TLS states from one shard to another, in the order of the records that tell of them. They are pointers,
// which mail cannot hold.
type crossing struct {
	conns []*tlsconn.Conn // made when the first one crosses
	sent  uint32          // the sender's own
	_     [cacheLine]byte
	taken atomic.Uint32
}

const crossingSize = 256 // a power of two

// full reports whether put must not be called now.
func (x *crossing) full() bool { return x.sent-x.taken.Load() == crossingSize }

// put adds a state, which the other side may take when it has read the record that the sender publishes afterwards.
func (x *crossing) put(t *tlsconn.Conn) {
	if x.conns == nil {
		x.conns = make([]*tlsconn.Conn, crossingSize)
	}
	x.conns[x.sent%crossingSize] = t
	x.sent++
}

// take returns the oldest state.
func (x *crossing) take() *tlsconn.Conn {
	n := x.taken.Load()
	t := x.conns[n%crossingSize]
	x.conns[n%crossingSize] = nil
	x.taken.Store(n + 1)
	return t
}
