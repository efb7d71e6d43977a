// Package inbox keeps the bytes that a client has sent and that are not yet a whole message. Bytes are looked at where
// the kernel put them; only an incomplete message at the end of a receive moves to a buffer of the inbox, and the buffer
// goes back as soon as the message is complete.
package inbox

import (
	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/ring/pool"
)

// minBuffer is the smallest buffer. Buffers grow with the bytes that have arrived and not with the length that a header
// promises, so a client has to send bytes to hold memory.
const minBuffer = 2048

// scarcePatience is how many seconds a message may take where memory runs short.
const scarcePatience = 3

// Inbox holds the partial messages of a shard's connections. It belongs to the loop's thread.
type Inbox struct {
	pool      *pool.Pool
	turn      *conn.Turn
	addresses *guard.Table // nil: addresses have no limits
	stats     Stats
}

// Stats are the counters of an inbox. Their tags say how they are shown (see package stats).
type Stats struct {
	AssemblyMemory int    `metric:"assembly_memory_bytes" help:"Memory in use for partial messages."`
	AddressFull    uint64 `metric:"assembly_address_full_total" help:"Partial messages given up because the client's address holds too many bytes."`
	AssemblyFull   uint64 `metric:"assembly_memory_full_total" help:"Connections ended because no memory was left for their partial message."`
}

// New returns an empty inbox. pool may be any memory. addresses is nil where addresses have no limits.
func New(pool *pool.Pool, turn *conn.Turn, addresses *guard.Table) *Inbox {
	return &Inbox{pool: pool, turn: turn, addresses: addresses}
}

// Stats returns the counters.
func (b *Inbox) Stats() Stats {
	st := b.stats
	st.AssemblyMemory = b.pool.InUse()
	return st
}

// Join returns the unread bytes of a connection: data itself where nothing is kept, else all of them in the connection's
// buffer. It reports false where no memory is left for them.
func (b *Inbox) Join(c *conn.Conn, data []byte) ([]byte, bool) {
	if c.Asm == 0 {
		return data, true
	}
	total := int(c.AsmLen) + len(data)
	if total > len(b.pool.Bytes(c.Asm)) {
		grown := b.get(c, total, len(b.pool.Bytes(c.Asm)))
		if grown == 0 {
			return nil, false
		}
		copy(b.pool.Bytes(grown), b.pool.Bytes(c.Asm)[:c.AsmLen])
		b.put(c, c.Asm)
		c.Asm = grown
	}
	buf := b.pool.Bytes(c.Asm)[:total]
	copy(buf[c.AsmLen:], data)
	c.AsmLen = uint32(total)
	return buf, true
}

// Keep stores buf, the unread rest of a connection's bytes, until more arrives. need is how long the message becomes, 0 if
// that is not known. buf starts where the connection's buffer starts, or lies in a receive buffer. It reports false where
// no memory is left.
func (b *Inbox) Keep(c *conn.Conn, buf []byte, need int) bool {
	if len(buf) == 0 {
		b.Free(c)
		return true
	}
	if c.Asm == 0 {
		c.Asm = b.get(c, max(minBuffer, len(buf), min(need, b.growth()*len(buf))), 0)
		if c.Asm == 0 {
			return false
		}
		copy(b.pool.Bytes(c.Asm), buf)
	}
	c.AsmLen = uint32(len(buf))
	b.Began(c)
	return true
}

// get returns a buffer of at least n bytes for a connection that holds others, which it is about to give back: 0 where there
// is no memory, where the connection is among those of its address that hold too much, or where memory runs short and a
// message is large.
func (b *Inbox) get(c *conn.Conn, n, held int) pool.Buf {
	if n > smallMessage && b.scarce() {
		b.stats.AssemblyFull++
		return 0
	}
	buf := b.pool.Get(n)
	if buf == 0 {
		b.stats.AssemblyFull++
		return 0
	}
	if b.addresses == nil {
		return buf
	}
	if size := len(b.pool.Bytes(buf)); b.addresses.HalfBuilt(c.Guard, size, size+held) {
		b.stats.AddressFull++
		b.put(c, buf)
		return 0
	}
	return buf
}

// put gives a buffer back.
func (b *Inbox) put(c *conn.Conn, buf pool.Buf) {
	if b.addresses != nil {
		b.addresses.HalfBuilt(c.Guard, -len(b.pool.Bytes(buf)), 0)
	}
	b.pool.Put(buf)
}

// smallMessage is the length of a partial message for which the last quarter of the memory is kept: announces that come in
// two segments go on where others have filled the memory with the beginnings of large messages.
const smallMessage = 16 << 10

// scarce reports whether memory is nearly used up.
func (b *Inbox) scarce() bool { return b.pool.InUse() > b.pool.Size()/4*3 }

// growth is how many times its length a partial message gets as a buffer if its header promises more. Room in advance
// saves copies while there is memory enough.
func (b *Inbox) growth() int {
	if b.pool.InUse() > b.pool.Size()/2 {
		return 1
	}
	return 4
}

// Shift drops the first n of the buffered bytes buf, which [Inbox.Join] has returned, and returns the others. The time of
// the next message begins anew.
func (b *Inbox) Shift(c *conn.Conn, buf []byte, n int) []byte {
	rest := buf[:copy(buf, buf[n:])]
	c.AsmLen, c.AsmSince = uint32(len(rest)), 0
	return rest
}

// Began notes that the connection is in the middle of a message, or of a TLS record.
func (b *Inbox) Began(c *conn.Conn) {
	if c.AsmSince == 0 {
		c.AsmSince = b.turn.Now
	}
}

// Restart lets the time of a message in progress begin again, if there is one.
func (b *Inbox) Restart(c *conn.Conn) {
	if c.AsmSince != 0 {
		c.AsmSince = b.turn.Now
	}
}

// Between notes that the connection is between two messages.
func (b *Inbox) Between(c *conn.Conn) { c.AsmSince = 0 }

// Free gives the connection's buffer back.
func (b *Inbox) Free(c *conn.Conn) {
	if c.Asm != 0 {
		b.put(c, c.Asm)
	}
	c.Asm, c.AsmLen, c.AsmSince = 0, 0, 0
}

// Bytes returns the bytes that are kept of a connection.
func (b *Inbox) Bytes(c *conn.Conn) []byte { return b.pool.Bytes(c.Asm)[:c.AsmLen] }

// Parcel is the unread bytes of a connection that arrives from another shard, before it has a slot.
type Parcel struct {
	buf pool.Buf // 0: no memory was left for them
	len uint32
}

// Pack copies unread bytes into a buffer of their own.
func (b *Inbox) Pack(unread []byte) Parcel {
	p := Parcel{buf: b.pool.Get(max(minBuffer, len(unread)))}
	if p.buf == 0 {
		b.stats.AssemblyFull++
		return p
	}
	p.len = uint32(copy(b.pool.Bytes(p.buf), unread))
	return p
}

// Unpack gives the bytes to a connection. It reports false where there was no memory for them.
func (b *Inbox) Unpack(c *conn.Conn, p Parcel) bool {
	c.Asm, c.AsmLen = p.buf, p.len
	if p.buf != 0 && b.addresses != nil {
		b.addresses.HalfBuilt(c.Guard, len(b.pool.Bytes(p.buf)), 0)
	}
	return p.buf != 0
}

// CarryOn says in which second the message began that the connection is in the middle of; 0: it is in none.
func (b *Inbox) CarryOn(c *conn.Conn, since uint32) { c.AsmSince = since }

// Discard gives the bytes up.
func (b *Inbox) Discard(p Parcel) {
	if p.buf != 0 {
		b.pool.Put(p.buf)
	}
}

// Patience returns how many seconds a message may take, at most most. Where memory runs short it ends with the
// connections that hold it longest.
func (b *Inbox) Patience(most uint32) uint32 {
	if b.scarce() {
		return min(scarcePatience, most)
	}
	return most
}
