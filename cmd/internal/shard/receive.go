package shard

import (
	"millrace/ring"
	"millrace/wsproto"
)

// This file turns received bytes into messages. Bytes are looked at where the kernel put them; only what is incomplete
// at the end of a receive moves to a buffer of the assembly pool, and it goes back as soon as the message is complete.

// minAssembly is the smallest assembly buffer. Buffers grow with what has arrived and not with what a header promises,
// so a client has to send bytes to hold memory.
const minAssembly = 2048

// received handles bytes of a connection in whatever state it is.
func (s *Shard) received(e *ring.Event) {
	c := s.conn(e.Slot)
	s.stats.BytesIn += uint64(len(e.Data))
	c.lastSeen = s.now
	c.flags &^= flagPinged
	data := e.Data
	if c.flags.has(flagProxy) && c.state == stateHandshake {
		if data = s.readProxyHeader(e.Slot.Index, c, data); len(data) == 0 {
			return
		}
	}
	if s.secure != nil {
		s.receivedTLS(e.Slot.Index, c, data)
		return
	}
	s.readPlain(e.Slot.Index, c, data)
}

// readPlain handles bytes as the client wrote them.
func (s *Shard) readPlain(i uint32, c *conn, data []byte) {
	switch c.state {
	case stateHandshake:
		s.readHead(i, c, data)
	case stateOpen:
		s.readFrames(i, c, s.join(i, c, data))
	case stateMoving:
		if buf := s.join(i, c, data); buf != nil {
			s.keep(i, c, buf, 0)
		}
	}
}

// join returns the unread bytes of a connection: data itself where nothing is kept, else all in the assembly buffer.
// It returns nil, and closes the connection, where no memory is left for it.
func (s *Shard) join(i uint32, c *conn, data []byte) []byte {
	if c.asm == 0 {
		return data
	}
	total := int(c.asmLen) + len(data)
	if total > len(s.asmPool.Bytes(c.asm)) {
		grown := s.asmPool.Get(total)
		if grown == 0 {
			s.outOfAssembly(i, c)
			return nil
		}
		copy(s.asmPool.Bytes(grown), s.asmPool.Bytes(c.asm)[:c.asmLen])
		s.asmPool.Put(c.asm)
		c.asm = grown
	}
	buf := s.asmPool.Bytes(c.asm)[:total]
	copy(buf[c.asmLen:], data)
	c.asmLen = uint32(total)
	return buf
}

// keep stores buf, which starts with what is kept of a receive, until more arrives; need is how long it must become.
// buf is the assembly buffer itself or lies in a receive buffer.
func (s *Shard) keep(i uint32, c *conn, buf []byte, need int) {
	if len(buf) == 0 {
		s.freeAssembly(c)
		return
	}
	if c.asm == 0 {
		c.asm = s.asmPool.Get(max(minAssembly, len(buf), min(need, s.trust()*len(buf))))
		if c.asm == 0 {
			s.outOfAssembly(i, c)
			return
		}
		copy(s.asmPool.Bytes(c.asm), buf)
	}
	c.asmLen = uint32(len(buf))
	if c.asmSince == 0 {
		c.asmSince = s.now
	}
}

// trust is how many times what a client has sent it may be given for a message whose header promises more. It saves
// copies while there is memory enough.
func (s *Shard) trust() int {
	if s.asmPool.InUse() > s.asmPool.Size()/2 {
		return 1
	}
	return 4
}

// messagePatience is how long a message may take. Where memory runs short it ends with those who hold it longest.
func (s *Shard) messagePatience() uint32 {
	if scarce(s.asmPool) {
		return min(scarcePatience, s.opt.SendTimeout)
	}
	return s.opt.SendTimeout
}

// freeAssembly gives the assembly buffer back.
func (s *Shard) freeAssembly(c *conn) {
	if c.asm != 0 {
		s.asmPool.Put(c.asm)
	}
	c.asm, c.asmLen, c.asmSince = 0, 0, 0
}

// outOfAssembly ends a connection for whose partial message no memory is left. The client may come back: 1013.
func (s *Shard) outOfAssembly(i uint32, c *conn) {
	s.stats.AssemblyFull++
	s.stay(i, c)
	if c.state == stateOpen {
		s.closeWith(i, c, ReasonNoMemory, wsproto.StatusTryAgainLater, "try again later")
		return
	}
	s.refuse(i, c, ReasonNoMemory, 503)
}

// readHead reads the upgrade request. What follows it in the same bytes is the client's first frames.
func (s *Shard) readHead(i uint32, c *conn, data []byte) {
	seen := int(c.asmLen)
	buf := s.join(i, c, data)
	if buf == nil {
		return
	}
	req, n, status := wsproto.ParseUpgrade(buf, seen, s.opt.MaxHead)
	switch {
	case status != 0 && s.opt.Healthy != nil && string(req.Path) == wsproto.HealthPath:
		s.answerHealth(i, c)
	case status != 0:
		s.refuse(i, c, ReasonBadRequest, status)
	case n == 0:
		s.keep(i, c, buf, 0)
	default:
		s.believeProxy(c, &req)
		s.upgrade(i, c, &req)
		rest := buf[:copy(buf, buf[n:])]
		c.asmLen, c.asmSince = uint32(len(rest)), 0
		s.readFrames(i, c, rest)
	}
}

// answerHealth answers a health check.
func (s *Shard) answerHealth(i uint32, c *conn) {
	if !s.opt.Healthy() || s.stop.begun {
		s.refuse(i, c, ReasonHealthCheck, 503)
		return
	}
	if dst := s.roomFor(i, c, wsproto.HealthSize, frameHTTP); dst != nil {
		s.commit(wsproto.AppendHealthOK(dst))
	}
	s.finish(i, c, ReasonHealthCheck)
}

// upgrade makes the connection a WebSocket.
func (s *Shard) upgrade(i uint32, c *conn, req *wsproto.Request) {
	s.setState(c, stateOpen)
	s.stats.Upgraded++
	dst := s.roomFor(i, c, upgradeResponseSize, frameHTTP)
	if dst == nil {
		s.drop(i, c, ReasonNoMemory, true)
		return
	}
	s.commit(wsproto.AppendUpgradeResponse(dst, req.Key))
}

// upgradeResponseSize bounds the 101 response: status line, four headers and the 28 bytes of the accept key.
const upgradeResponseSize = 256

// readFrames handles every message and control frame in buf and keeps the rest.
func (s *Shard) readFrames(i uint32, c *conn, buf []byte) {
	if buf == nil {
		return
	}
	s.reading = buf
	for c.state == stateOpen {
		kind, payload, bad := c.reader.Next(buf, &s.opt.Limits)
		if bad != nil {
			s.protocolError(i, c, bad)
			break
		}
		if kind == wsproto.None {
			break
		}
		s.frame(i, c, kind, payload)
		if !c.reader.Fragmented() {
			c.asmSince = 0 // the next message's time begins with its own bytes
		}
	}
	s.reading = nil
	if c.state != stateOpen && c.state != stateMoving {
		s.freeAssembly(c)
		return
	}
	kept, need := c.reader.Keep(buf)
	s.keep(i, c, buf[:kept], need)
}

// frame handles one message or control frame.
func (s *Shard) frame(i uint32, c *conn, kind wsproto.Kind, payload []byte) {
	switch kind {
	case wsproto.Text, wsproto.Binary:
		s.message(i, c, kind, payload)
	case wsproto.Ping:
		s.stats.PingsIn++
		if dst := s.roomFor(i, c, wsproto.MaxControlFrame, frameControl); dst != nil {
			s.commit(wsproto.AppendPong(dst, payload))
		}
	case wsproto.Pong:
		s.stats.PongsIn++
	case wsproto.Close:
		s.clientClose(i, c, payload)
	}
}

// protocolError answers a client that broke the WebSocket protocol.
func (s *Shard) protocolError(i uint32, c *conn, bad *wsproto.CloseError) {
	reason := ReasonProtocol
	if bad.Code == wsproto.StatusTooBig {
		reason = ReasonTooBig
	}
	s.closeWith(i, c, reason, bad.Code, bad.Reason)
}
