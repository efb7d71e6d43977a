// Package outbox takes frames to the connections of a shard. A frame is composed in the place where it stays: at the end
// of the connection's waiting buffer. All bytes that wait for a connection at the end of a Step leave as one send.
package outbox

import (
	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/deflate"
	"millrace/cmd/internal/shard/inbox"
	"millrace/cmd/internal/trace"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/swarm"
)

// Outbox holds the bytes that wait for the clients of a shard. It belongs to the loop's thread.
type Outbox struct {
	opt    Options
	pool   *pool.Pool // the ring's locked memory
	table  *conn.Table
	turn   *conn.Turn
	inbox  *inbox.Inbox // a held client's message gets its time back
	packer *deflate.Packer
	busy   bool     // the shard has no CPU to spare for compression
	dirty  []uint32 // connections to look at when the Step ends
	failed []uint32 // of the last Flush: connections that could not be encrypted
	open   room     // the reservation under way
	stats  Stats
}

// Options are the limits of an outbox.
type Options struct {
	MaxPending  int          // bytes of frames that wait for one connection's send; over it offers are dropped
	SendTimeout uint32       // seconds that a send may go without progress
	Addresses   *guard.Table // nil: addresses have no limits
}

// Stats are the counters of an outbox. Their tags say how they are shown (see package stats).
type Stats struct {
	ByIP     [2]IPStats `by:"ip_version"`
	BytesOut uint64     `metric:"sent_bytes_total" help:"Bytes sent to clients, those of TLS included."`

	DroppedFull   [Kinds]uint64 `metric:"frames_dropped_total" label:"reason=slow_consumer" by:"type=frame"`
	DroppedMemory [Kinds]uint64 `metric:"frames_dropped_total" label:"reason=send_memory" by:"type=frame"`
	DroppedGone   [Kinds]uint64 `metric:"frames_dropped_total" label:"reason=gone" by:"type=frame"`

	Packed [Kinds]PackedStats `by:"type=frame"`

	Sends      uint64 `metric:"sends_total" help:"Sends handed to the kernel."`
	ShortSends uint64 `metric:"short_sends_total" help:"Sends of which the kernel took only a part."`
	HeldBack   uint64 `metric:"held_back_total" help:"Times that a client was not read from because it did not read."`
	SendMemory int    `metric:"send_memory_bytes" help:"Memory in use for frames that wait to be sent."`
	SealFailed uint64 `metric:"tls_send_memory_full_total" help:"Times that waiting bytes could not be encrypted for lack of send memory."`
}

// IPStats are the counters that are kept apart for IPv4 and IPv6 clients.
type IPStats struct {
	FramesOut [Kinds]uint64 `metric:"frames_sent_total" by:"type=frame" help:"Frames and HTTP responses sent."`
}

// PackedStats are the counters of compression for a kind of frame.
type PackedStats struct {
	Messages uint64 `metric:"deflate_messages_total" label:"direction=out" help:"Messages that were sent or received compressed."`
	Plain    uint64 `metric:"deflate_bytes_total" label:"direction=out,form=plain" help:"Bytes of messages that were sent or received compressed, without frames: before (plain) and after compression (packed)."`
	Packed   uint64 `metric:"deflate_bytes_total" label:"direction=out,form=packed"`
}

// room is a reservation for one frame, between a call of Room and the Commit that ends it.
type room struct {
	conn  *conn.Conn
	index uint32
	at    uint32
	kind  Kind
}

// New returns an empty outbox. pool is the send memory of the shard's ring.
func New(o Options, pool *pool.Pool, table *conn.Table, turn *conn.Turn, in *inbox.Inbox, p *deflate.Packer) *Outbox {
	return &Outbox{opt: o, pool: pool, table: table, turn: turn, inbox: in, packer: p}
}

// Change puts other limits in force: all but Addresses.
func (o *Outbox) Change(limits Options) {
	limits.Addresses = o.opt.Addresses
	o.opt = limits
}

// Stats returns the counters.
func (o *Outbox) Stats() Stats {
	st := o.stats
	st.SendMemory = o.pool.InUse()
	return st
}

// Room returns an empty slice with a capacity of at least n bytes in which the next frame for the connection at index i
// is composed. It returns nil, and has counted why, if the connection may not have one. Commit must follow before the next
// Room.
func (o *Outbox) Room(i uint32, c *conn.Conn, n int, kind Kind) []byte {
	switch verdict := o.admit(c, n, kind); {
	case c.State() != conn.Open && c.State() != conn.Handshake:
		o.drop(i, c, n, kind, ending)
		return nil
	case verdict != admitted:
		o.drop(i, c, n, kind, verdict)
		return nil
	case !o.grow(c, int(c.OutLen)+n):
		o.drop(i, c, n, kind, noMemory)
		return nil
	}
	if !kind.Droppable() {
		o.hold(i, c, n)
	}
	o.Touch(i, c)
	o.open = room{conn: c, index: i, at: c.OutLen, kind: kind}
	return o.pool.Bytes(c.Out)[c.OutLen:c.OutLen:len(o.pool.Bytes(c.Out))]
}

// drop counts a frame that is left out.
func (o *Outbox) drop(i uint32, c *conn.Conn, n int, kind Kind, why verdict) {
	c.Dropped++
	r := o.turn.Note(i, c, trace.Frame)
	r.What, r.N = NameOf(kind), uint32(n)
	switch why {
	case overLimit:
		r.Decision = trace.OverLimit
		o.stats.DroppedFull[kind]++
	case noMemory:
		r.Decision = trace.NoMemory
		o.stats.DroppedMemory[kind]++
	case ending:
		r.Decision = trace.NoClient
		o.stats.DroppedGone[kind]++
	}
}

// RoomAt is Room for the connection of this shard that a swarm table or another shard names.
func (o *Outbox) RoomAt(index, gen uint32, n int, kind Kind) []byte {
	c := o.table.Find(index, gen)
	if c == nil {
		o.stats.DroppedGone[kind]++
		r := o.turn.NoteOf(swarm.Addr{Index: index, Gen: gen, Shard: o.table.Shard()}, trace.Frame)
		r.What, r.N, r.Decision = NameOf(kind), uint32(n), trace.NoClient
		return nil
	}
	return o.Room(index, c, n, kind)
}

// Commit ends a reservation with the frame, which was appended to the slice of Room.
func (o *Outbox) Commit(frame []byte) {
	r := &o.open
	if int(r.at)+len(frame) > len(o.pool.Bytes(r.conn.Out)) {
		panic("BUG: a frame is longer than the room reserved for it: " + r.kind.String())
	}
	if r.conn.Flags.Has(conn.Deflates) && r.kind != Control && r.kind != HTTP {
		frame = o.pack(r, frame)
	}
	r.conn.OutLen += uint32(len(frame))
	countWaiting(r.conn, r.kind)
	o.stats.ByIP[r.conn.Version].FramesOut[r.kind]++
	*r = room{}
}

// pack compresses a frame, if that makes it shorter.
func (o *Outbox) pack(r *room, frame []byte) []byte {
	frame, plain, packed := o.packer.Pack(r.index, r.conn, frame, o.busy)
	if packed > 0 {
		st := &o.stats.Packed[r.kind]
		st.Messages++
		st.Plain += uint64(plain)
		st.Packed += uint64(packed)
	}
	return frame
}

// CarryOn notes what an adopted connection was sent by another shard.
func (o *Outbox) CarryOn(c *conn.Conn, bytes uint64, dropped uint32) {
	c.BytesOut, c.Dropped = bytes, dropped
}

// SetBusy says that the shard has no CPU to spare for compression, or has some again.
func (o *Outbox) SetBusy(busy bool) { o.busy = busy }

// Forget has nothing kept of what was sent to a connection, as it goes to another shard.
func (o *Outbox) Forget(c *conn.Conn) { o.packer.Forget(c) }

// PackStats returns the counters of the compression.
func (o *Outbox) PackStats() deflate.PackStats { return o.packer.Stats() }

// Touch has a connection looked at when the Step ends, because it may have something to send.
func (o *Outbox) Touch(i uint32, c *conn.Conn) {
	if c.Flags&conn.Dirty == 0 {
		c.Flags |= conn.Dirty
		o.dirty = append(o.dirty, i)
	}
}

// Discard gives up the bytes that wait for a connection and are not in flight. What was sent to it is forgotten: its client has
// not seen all that the next frames would look back at. The frames count as left out for lack of memory, all that are neither offers nor
// answers as replies.
func (o *Outbox) Discard(c *conn.Conn) {
	o.packer.Forget(c)
	d := &o.stats.DroppedMemory
	d[Offer] += uint64(c.Offers)
	d[Answer] += uint64(c.Answers)
	d[Reply] += uint64(c.Others)
	c.Dropped += uint32(c.Offers) + uint32(c.Answers) + uint32(c.Others)
	o.free(c)
}

// free gives the waiting buffer of a connection back.
func (o *Outbox) free(c *conn.Conn) {
	if c.Out != 0 {
		o.put(c, c.Out)
		c.Out, c.OutLen = 0, 0
	}
	c.Offers, c.Answers, c.Others = 0, 0, 0
}

// Idle reports whether nothing is left to send to a connection.
func (o *Outbox) Idle(i uint32, c *conn.Conn) bool {
	return c.Out == 0 && c.Flight == 0 && !o.table.TLSPending(i)
}

// get returns a buffer of at least n bytes for a connection, and counts it for the client's address. It returns 0 where
// there is no memory.
func (o *Outbox) get(c *conn.Conn, n int) pool.Buf {
	buf := o.pool.Get(n)
	if buf != 0 && o.opt.Addresses != nil {
		o.opt.Addresses.Unsent(c.Guard, len(o.pool.Bytes(buf)))
	}
	return buf
}

// put gives a buffer of a connection back.
func (o *Outbox) put(c *conn.Conn, buf pool.Buf) {
	if o.opt.Addresses != nil {
		o.opt.Addresses.Unsent(c.Guard, -len(o.pool.Bytes(buf)))
	}
	o.pool.Put(buf)
}

// grow makes the waiting buffer at least n bytes long.
func (o *Outbox) grow(c *conn.Conn, n int) bool {
	if c.Out != 0 && n <= len(o.pool.Bytes(c.Out)) {
		return true
	}
	grown := o.get(c, n)
	if grown == 0 {
		return false
	}
	if c.Out != 0 {
		copy(o.pool.Bytes(grown), o.pool.Bytes(c.Out)[:c.OutLen])
		o.put(c, c.Out)
	}
	c.Out = grown
	return true
}

// Flush issues one send for each connection that has something waiting and no send in flight. It returns the connections
// that could not be encrypted because there was no memory; the list is valid until the next call.
func (o *Outbox) Flush() []uint32 {
	o.failed = o.failed[:0]
	for _, i := range o.dirty {
		c := o.table.At(i)
		c.Flags &^= conn.Dirty
		switch {
		case c.Flags.Has(conn.Frozen) && !c.State().Ends(): // see GoOn
			continue
		case c.Flight != 0 || c.State() == conn.Closed || c.State() == conn.Free || c.Out == 0 && !o.table.TLSPending(i):
			continue
		case !o.table.Secure(i):
			c.Flight, c.FlightOff, c.FlightLen = c.Out, 0, c.OutLen
			c.Out, c.OutLen = 0, 0
			c.Offers, c.Answers, c.Others = 0, 0, 0
		case !o.seal(i, c):
			o.stats.SealFailed++
			o.failed = append(o.failed, i)
			continue
		}
		o.send(i, c)
	}
	o.dirty = o.dirty[:0]
	return o.failed
}

// send hands the rest of the flight to the ring.
func (o *Outbox) send(i uint32, c *conn.Conn) {
	c.SendTime = o.turn.Now
	o.stats.Sends++
	o.turn.Do(ring.Op{
		Kind: ring.OpSend,
		Slot: o.table.Slot(i),
		Data: o.pool.Bytes(c.Flight)[c.FlightOff:c.FlightLen],
	})
}

// GoOn sends what has waited while a connection was frozen.
func (o *Outbox) GoOn(i uint32, c *conn.Conn) {
	if c.Flags.Has(conn.Resting) {
		c.Flags &^= conn.Resting
		o.send(i, c)
	}
	if !o.Idle(i, c) {
		o.Touch(i, c)
	}
}

// Unsent returns the bytes of a frozen connection that were made for the wire and not sent, and the frames behind them. They are good
// until the connection goes on or gives them up.
func (o *Outbox) Unsent(c *conn.Conn) (flight, waiting []byte) {
	if c.Flight != 0 {
		flight = o.pool.Bytes(c.Flight)[c.FlightOff:c.FlightLen]
	}
	if c.Out != 0 {
		waiting = o.pool.Bytes(c.Out)[:c.OutLen]
	}
	return flight, waiting
}

// GiveUp takes the bytes of a connection that goes on elsewhere with a copy of them: a flight that rests, which no event of the ring will
// give back, goes too.
func (o *Outbox) GiveUp(c *conn.Conn) {
	o.packer.Forget(c)
	o.free(c)
	if c.Flags.Has(conn.Resting) {
		o.put(c, c.Flight)
		c.Flight, c.FlightOff, c.FlightLen = 0, 0, 0
		c.Flags &^= conn.Resting
	}
}

// TakeUnsent gives a frozen connection that has come from another process what Unsent has returned there. It reports false where
// there is no memory.
func (o *Outbox) TakeUnsent(c *conn.Conn, flight, waiting []byte) bool {
	if len(flight) > 0 {
		if c.Flight = o.get(c, len(flight)); c.Flight == 0 {
			return false
		}
		c.FlightLen = uint32(copy(o.pool.Bytes(c.Flight), flight))
		c.Flags |= conn.Resting
	}
	if len(waiting) > 0 {
		if !o.grow(c, len(waiting)) {
			return false
		}
		c.OutLen = uint32(copy(o.pool.Bytes(c.Out), waiting))
	}
	return true
}

// Outcome is the meaning of the end of a send for its connection.
type Outcome uint8

// The outcomes.
const (
	Goes   Outcome = iota // the rest of a short send is on its way, or rests with a frozen connection
	Broken                // the connection has failed
	Left                  // the send is complete; Idle tells whether more waits
)

// Sent handles the completion of a send: the rest of a short one follows, else the bytes that wait.
func (o *Outbox) Sent(i uint32, c *conn.Conn, e *ring.Event) Outcome {
	o.stats.BytesOut += uint64(e.N)
	c.BytesOut += uint64(e.N)
	c.FlightOff += e.N
	if c.State() != conn.Closed && e.Errno == 0 && c.FlightOff < c.FlightLen {
		o.stats.ShortSends++
		o.turn.Note(i, c, trace.Sent).N = e.N
		if c.Flags.Has(conn.Frozen) && !c.State().Ends() {
			c.Flags |= conn.Resting
		} else {
			o.send(i, c)
		}
		return Goes
	}
	o.put(c, c.Flight)
	c.Flight, c.FlightOff, c.FlightLen = 0, 0, 0
	switch {
	case e.Errno != 0:
		return Broken
	case !o.Idle(i, c):
		o.Touch(i, c)
	default:
		o.Release(i, c)
	}
	return Left
}
