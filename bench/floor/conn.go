package floor

// This file moves bytes between connections and messages, as the tracker does: an incomplete message at the end of a
// receive is kept in one buffer, and all bytes that wait for a connection at the end of a turn leave as one send.

import (
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/wsproto"
)

// state is the state of a connection.
type state uint8

const (
	stateFree    state = iota
	stateHead          // the upgrade request is awaited
	stateOpen          // frames are read
	stateEnding        // the answer to the client's close frame is on its way
	stateClosing       // OpClose has been given
)

// conn is the state of a connection. It holds no pointer.
type conn struct {
	gen     uint32
	client  uint32 // the client's number in millrace-load, as its peer ids name it
	peer    id     // its peer id
	first   uint32 // its first membership; none: it is in no torrent
	partial pool.Buf
	kept    uint32 // bytes in partial

	out, flight     pool.Buf // the waiting bytes, and those that the ring is sending
	outSize         uint32
	flightAt, total uint32 // of the flight: bytes sent, and all
	state           state
	dirty           bool
}

const (
	maxHead     = 8 << 10  // bytes of an upgrade request
	maxWaiting  = 24 << 10 // bytes that may wait for a connection before offers and answers to it are dropped
	controlRoom = 256      // bytes that hold a control frame, or the response of the upgrade
)

func (f *Floor) slot(i uint32) ring.Slot { return ring.Slot{Index: i, Gen: f.conns[i].gen} }

// Turn handles the events of a ring and appends operations for it to ops. The operations point into buffers of the pool
// that New was given.
func (f *Floor) Turn(events []ring.Event, ops []ring.Op) []ring.Op {
	f.ops = ops
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case ring.EventAccept:
			f.conns[e.Slot.Index] = conn{gen: e.Slot.Gen, state: stateHead, first: none, client: none}
		case ring.EventRecv:
			f.received(e.Slot.Index, e.Data)
		case ring.EventHangup:
			f.end(e.Slot.Index, true)
		case ring.EventSent:
			f.sent(e)
		case ring.EventClosed:
			f.conns[e.Slot.Index].state = stateFree
		}
	}
	f.flush()
	return f.ops
}

// received handles bytes of a connection.
func (f *Floor) received(i uint32, data []byte) {
	c := &f.conns[i]
	if c.state != stateHead && c.state != stateOpen {
		return
	}
	buf := data
	if c.partial != 0 {
		if buf = f.join(c, data); buf == nil {
			f.end(i, true)
			return
		}
	}
	used, need := 0, 0
	if c.state == stateHead {
		used = f.upgrade(i, c, buf)
	}
	if c.state == stateOpen {
		var n int
		n, need = f.frames(i, c, buf[used:])
		used += n
	}
	if c.state == stateHead || c.state == stateOpen {
		f.keep(i, c, buf[used:], need)
	}
}

// join appends data to the kept bytes, and returns both; nil if there is no memory.
func (f *Floor) join(c *conn, data []byte) []byte {
	total := int(c.kept) + len(data)
	if buf := f.partials.Bytes(c.partial); total > len(buf) {
		grown := f.partials.Get(total)
		if grown == 0 {
			return nil
		}
		copy(f.partials.Bytes(grown), buf[:c.kept])
		f.partials.Put(c.partial)
		c.partial = grown
	}
	buf := f.partials.Bytes(c.partial)[:total]
	copy(buf[c.kept:], data)
	return buf
}

// keep stores rest, the end of a receive buffer or of the bytes kept before, until it has become need bytes.
func (f *Floor) keep(i uint32, c *conn, rest []byte, need int) {
	if len(rest) == 0 {
		if c.partial != 0 {
			f.partials.Put(c.partial)
			c.partial = 0
		}
		return
	}
	if c.partial == 0 {
		if c.partial = f.partials.Get(max(len(rest), need)); c.partial == 0 {
			f.end(i, true)
			return
		}
	}
	c.kept = uint32(copy(f.partials.Bytes(c.partial), rest))
}

// upgrade answers the upgrade request when it is complete. It returns its size.
func (f *Floor) upgrade(i uint32, c *conn, buf []byte) int {
	req, n, status := wsproto.ParseUpgrade(buf, 0, maxHead)
	if status != 0 {
		f.end(i, true)
		return 0
	}
	if n > 0 {
		c.state = stateOpen
		if dst := f.room(i, c, controlRoom); dst != nil {
			f.fill(c, len(wsproto.AppendUpgradeResponse(dst[:0], req.Key, req.Protocol, wsproto.Deflate{})))
		}
	}
	return n
}

// frames handles each whole frame in buf. used is the number of their bytes. need is the size of the incomplete frame
// that follows them, if its header says it.
func (f *Floor) frames(i uint32, c *conn, buf []byte) (used, need int) {
	for c.state == stateOpen {
		h, ok := parseFrame(buf[used:])
		if !ok {
			f.end(i, true)
			break
		}
		if h.size == 0 || len(buf)-used < h.size {
			return used, h.size
		}
		payload := buf[used+h.header : used+h.size]
		used += h.size
		wsproto.Mask(payload, h.mask)
		switch h.op {
		case opText:
			f.message(i, c, payload)
		case opPing:
			if dst := f.room(i, c, controlRoom); dst != nil {
				f.fill(c, len(wsproto.AppendPong(dst[:0], payload[:min(len(payload), 125)])))
			}
		case opClose:
			if dst := f.room(i, c, controlRoom); dst != nil {
				f.fill(c, len(wsproto.AppendClose(dst[:0], wsproto.StatusNormal, "")))
			}
			f.end(i, false)
		}
	}
	return used, 0
}

// room returns at least n bytes at the end of the bytes that wait for a connection; fill says how many of them were
// written. If there is no memory, it counts that and returns nil.
func (f *Floor) room(i uint32, c *conn, n int) []byte {
	total := int(c.outSize) + n
	if c.out == 0 || total > len(f.pool.Bytes(c.out)) {
		grown := f.pool.Get(total)
		if grown == 0 {
			f.stats.NoMemory++
			return nil
		}
		if c.out != 0 {
			copy(f.pool.Bytes(grown), f.pool.Bytes(c.out)[:c.outSize])
			f.pool.Put(c.out)
		}
		c.out = grown
	}
	if !c.dirty {
		c.dirty = true
		f.dirty = append(f.dirty, i)
	}
	return f.pool.Bytes(c.out)[c.outSize:]
}

// fill adds n bytes that room has returned to the waiting ones.
func (f *Floor) fill(c *conn, n int) { c.outSize += uint32(n) }

// flush issues one send for each connection that has something waiting and no send under way.
func (f *Floor) flush() {
	for _, i := range f.dirty {
		c := &f.conns[i]
		c.dirty = false
		switch {
		case c.flight != 0 || c.state == stateFree || c.state == stateClosing:
		case c.outSize > 0:
			c.flight, c.flightAt, c.total = c.out, 0, c.outSize
			c.out, c.outSize = 0, 0
			f.send(i, c)
		case c.state == stateEnding:
			f.end(i, true)
		}
	}
	f.dirty = f.dirty[:0]
}

func (f *Floor) send(i uint32, c *conn) {
	data := f.pool.Bytes(c.flight)[c.flightAt:c.total]
	f.ops = append(f.ops, ring.Op{Kind: ring.OpSend, Slot: f.slot(i), Data: data})
}

// sent handles the end of a send: the rest of a short one follows, else the bytes that wait meanwhile.
func (f *Floor) sent(e *ring.Event) {
	i := e.Slot.Index
	c := &f.conns[i]
	c.flightAt += e.N
	if e.Errno == 0 && c.flightAt < c.total && c.state != stateClosing {
		f.send(i, c)
		return
	}
	f.pool.Put(c.flight)
	c.flight = 0
	if e.Errno != 0 {
		f.end(i, true)
		return
	}
	if !c.dirty && (c.outSize > 0 || c.state == stateEnding) {
		c.dirty = true
		f.dirty = append(f.dirty, i)
	}
}

// end takes a connection out of its torrents and closes it: at once, or after the waiting bytes have been sent.
func (f *Floor) end(i uint32, now bool) {
	c := &f.conns[i]
	if c.state == stateFree || c.state == stateClosing {
		return
	}
	f.leaveAll(i, c)
	if c.partial != 0 {
		f.partials.Put(c.partial)
		c.partial = 0
	}
	if !now {
		c.state = stateEnding
		return
	}
	c.state = stateClosing
	if c.out != 0 {
		f.pool.Put(c.out)
		c.out, c.outSize = 0, 0
	}
	f.ops = append(f.ops, ring.Op{Kind: ring.OpClose, Slot: f.slot(i)})
}
