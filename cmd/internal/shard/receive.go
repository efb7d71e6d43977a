package shard

import (
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/trace"
	"millrace/wsproto"
)

// This file turns received bytes into messages: the PROXY header, TLS records (tls.go), the upgrade request, frames.

// received handles bytes of a connection in whatever state it is.
func (s *Shard) received(i uint32, c *conn.Conn, data []byte) {
	s.stats.BytesIn += uint64(len(data))
	c.BytesIn += uint64(len(data))
	s.meter.Received(i, c, len(data))
	if c.State().Ends() {
		if !s.meter.Drain(c, len(data)) {
			s.endNow(i, c, c.Reason, true)
		}
		return
	}
	c.LastSeen = s.turn.Now
	c.Flags &^= conn.Pinged | conn.Challenged | conn.Doubted
	if c.Flags.Has(conn.Proxied) && c.State() == conn.Handshake {
		if data = s.readProxyHeader(i, c, data); len(data) == 0 {
			return
		}
	}
	if c.Flags.Has(conn.Encrypted) {
		s.receivedTLS(i, c, data)
		return
	}
	s.readPlain(i, c, data)
}

// readProxyHeader takes the header of the PROXY protocol off the first bytes of a connection and returns the bytes behind
// it: none while it is not complete, or after the connection was ended because it has none.
func (s *Shard) readProxyHeader(i uint32, c *conn.Conn, data []byte) []byte {
	buf, ok := s.inbox.Join(c, data)
	if !ok {
		s.endNoMemory(i, c)
		return nil
	}
	n, verdict, err := s.door.ProxyHeader(i, c, buf)
	switch {
	case err != nil:
		s.endNow(i, c, conn.ReasonBadRequest, true)
		return nil
	case verdict != guard.Admitted:
		s.endNow(i, c, conn.ReasonAddressLimit, true)
		return nil
	case n == 0:
		s.keep(i, c, buf, 0)
		return nil
	case c.Asm == 0:
		return buf[n:]
	}
	s.scratch.proxied = append(s.scratch.proxied[:0], buf[n:]...)
	s.inbox.Free(c)
	return s.scratch.proxied
}

// readPlain handles bytes as the client wrote them.
func (s *Shard) readPlain(i uint32, c *conn.Conn, data []byte) {
	if !c.State().Reads() {
		return
	}
	buf, ok := s.inbox.Join(c, data)
	switch {
	case !ok:
		s.endNoMemory(i, c)
	case c.State() == conn.Handshake:
		s.readHead(i, c, buf, len(buf)-len(data))
	case c.State() == conn.Open && !c.Flags.Has(conn.Throttled|conn.Postponed):
		s.readFrames(i, c, buf)
	default: // moving, or not its turn
		s.keep(i, c, buf, 0)
	}
}

// readPostponed reads bytes that have waited for this Step.
func (s *Shard) readPostponed() {
	for _, slot := range s.meter.Due() {
		c := s.table.At(slot.Index)
		if c.State() == conn.Open && !c.Flags.Has(conn.Throttled) {
			s.readKept(slot.Index, c)
		}
	}
}

// keep has the inbox keep the unread bytes of a connection.
func (s *Shard) keep(i uint32, c *conn.Conn, buf []byte, need int) {
	if !s.inbox.Keep(c, buf, need) {
		s.endNoMemory(i, c)
		return
	}
	s.meter.Crowd(i, c, len(buf))
}

// readKept reads the bytes that were kept while the connection was moving, or while it was not its turn.
func (s *Shard) readKept(i uint32, c *conn.Conn) {
	if c.Asm != 0 {
		s.readFrames(i, c, s.inbox.Bytes(c))
	} else {
		s.meter.Crowd(i, c, 0)
	}
	if c.State() == conn.Open && c.Flags.Has(conn.HungUp) {
		s.endHalf(i, c)
	}
}

// readHead reads the upgrade request, of which seen bytes have been looked at before. The bytes behind it are the client's
// first frames.
func (s *Shard) readHead(i uint32, c *conn.Conn, buf []byte, seen int) {
	req, n, status := wsproto.ParseUpgrade(buf, seen, s.opt.MaxHead)
	switch {
	case status != 0:
		s.answerRequest(i, c, &req, status)
	case n == 0:
		s.keep(i, c, buf, 0)
	default:
		if s.door.ForwardedFor(i, c, &req) != guard.Admitted {
			s.endRequest(i, c, conn.ReasonAddressLimit, 429, req.Head)
			return
		}
		if !s.opt.Origins.Allows(req.Origin, req.Origin != nil) {
			s.endRequest(i, c, conn.ReasonOrigin, 403, req.Head)
			return
		}
		s.upgrade(i, c, &req)
		s.readFrames(i, c, s.inbox.Shift(c, buf, n))
	}
}

// answerRequest answers a request that is no upgrade, and for which status is the refusal.
func (s *Shard) answerRequest(i uint32, c *conn.Conn, req *wsproto.Request, status int) {
	if s.opt.Token != nil {
		if text, ok := s.opt.Token(req.Path); ok {
			s.answerText(i, c, conn.ReasonACME, req.Head, text)
			return
		}
	}
	switch {
	case s.opt.Health != nil && req.IsHealthCheck():
		s.answerHealth(i, c, req.Head)
	case s.opt.Page != nil && s.answerPage(i, c, req):
	default:
		s.endRequest(i, c, conn.ReasonBadRequest, status, req.Head)
	}
}

// answerHealth answers a health check, with head as the answer to HEAD.
func (s *Shard) answerHealth(i uint32, c *conn.Conn, head bool) {
	if text, ok := s.opt.Health(); ok && !s.door.Closed() {
		s.answerText(i, c, conn.ReasonHealthCheck, head, text)
		return
	}
	s.endRequest(i, c, conn.ReasonHealthCheck, 503, head)
}

// answerPage answers a request for a page. It reports false, and has done nothing, where there is none, or where the client asks
// for a WebSocket, though in a wrong way.
func (s *Shard) answerPage(i uint32, c *conn.Conn, req *wsproto.Request) bool {
	if req.Field("upgrade") != nil {
		return false
	}
	response, head := s.opt.Page(req.Path, req.Field("if-none-match"))
	if response == nil {
		return false
	}
	if req.Head {
		response = response[:head]
	}
	if dst := s.outbox.Room(i, c, len(response), outbox.HTTP); dst != nil {
		s.outbox.Commit(append(dst, response...))
	}
	s.end(i, c, conn.ReasonPage)
	return true
}

// answerText answers with a text, or without it if head is true, and ends the connection.
func (s *Shard) answerText(i uint32, c *conn.Conn, why conn.Reason, head bool, text string) {
	if dst := s.outbox.Room(i, c, wsproto.TextSize(text), outbox.HTTP); dst != nil {
		s.outbox.Commit(wsproto.AppendText(dst, head, text))
	}
	s.end(i, c, why)
}

// upgrade makes the connection a WebSocket.
func (s *Shard) upgrade(i uint32, c *conn.Conn, req *wsproto.Request) {
	s.table.Change(c, conn.Upgraded)
	s.stats.Upgraded++
	s.turn.Note(i, c, trace.Request).Decision = trace.Served
	dst := s.outbox.Room(i, c, wsproto.UpgradeResponseSize, outbox.HTTP)
	if dst == nil {
		s.endNow(i, c, conn.ReasonNoMemory, true)
		return
	}
	var agreed wsproto.Deflate
	if s.opt.Deflate {
		agreed = req.Deflate()
		s.agree(c, agreed)
	}
	s.outbox.Commit(wsproto.AppendUpgradeResponse(dst, req.Key, req.Protocol, agreed))
}

// agree notes what a client and the tracker have agreed on about compression.
func (s *Shard) agree(c *conn.Conn, d wsproto.Deflate) {
	if !d.On {
		return
	}
	c.Reader.Agree()
	c.Flags |= conn.Deflates
	if d.Alone {
		c.Flags |= conn.Alone
	}
	if d.Bits != 0 {
		c.Flags |= conn.Narrows(d.Bits)
	}
}

// readFrames handles every message and control frame in buf, as far as it is the connection's turn, and keeps the rest.
func (s *Shard) readFrames(i uint32, c *conn.Conn, buf []byte) {
	for c.State() == conn.Open && !c.Flags.Has(conn.Throttled) {
		if !s.meter.Spend(c, 0) {
			s.meter.Postpone(i, c)
			break
		}
		kind, payload, bad := c.Reader.Next(buf, &s.opt.Limits)
		if bad != nil {
			s.endProtocol(i, c, bad)
			break
		}
		if kind == wsproto.None {
			break
		}
		s.meter.Spend(c, frameCost+len(payload))
		s.frame(i, c, kind, payload, buf)
		if !c.Reader.Fragmented() {
			s.inbox.Between(c) // the next message's time begins with its own bytes
		}
	}
	if state := c.State(); state != conn.Open && state != conn.Moving {
		s.inbox.Free(c)
		return
	}
	kept, need := c.Reader.Keep(buf)
	s.keep(i, c, buf[:kept], need)
}

// frameCost is the number of bytes that a frame counts in a connection's turn besides its payload: work that does not
// depend on the length.
const frameCost = 256

// frame handles one message or control frame, which lies in buf.
func (s *Shard) frame(i uint32, c *conn.Conn, kind wsproto.Kind, payload, buf []byte) {
	if kind != wsproto.Text && kind != wsproto.Binary && !s.meter.Control(c) {
		s.door.Offence(c)
		s.endSaying(i, c, conn.ReasonControlFlood, wsproto.StatusPolicy, "too many control frames")
		return
	}
	switch kind {
	case wsproto.Text, wsproto.Binary:
		c.Messages++
		s.meter.Message(i, c)
		s.scratch.packed = 0
		if c.Reader.Packed() {
			expanded, bad := s.scratch.expander.Expand(payload, s.opt.Limits.Message)
			if bad != nil {
				s.endProtocol(i, c, bad)
				return
			}
			s.chargeExpanded(i, c, len(expanded))
			payload, s.scratch.packed = expanded, len(payload)
		}
		s.message(i, c, kind, payload, buf)
	case wsproto.Ping:
		s.stats.PingsIn++
		s.noteControl(i, c, kind, payload)
		if dst := s.outbox.Room(i, c, wsproto.MaxControlFrame, outbox.Control); dst != nil {
			s.outbox.Commit(wsproto.AppendPong(dst, payload))
		}
	case wsproto.Pong:
		s.stats.PongsIn++
		s.noteControl(i, c, kind, payload)
	case wsproto.Close:
		s.noteControl(i, c, kind, payload)
		s.endByClient(i, c, payload)
	}
}

// expandedByte is the time in which the shard can be expected to expand a byte. Real messages take a fifth of it.
const expandedByte = 10 * time.Nanosecond

// chargeExpanded counts a message that came compressed and has n bytes, for the connection's turn and its rate of bytes: a few bytes of
// deflate can be much work.
func (s *Shard) chargeExpanded(i uint32, c *conn.Conn, n int) {
	n = max(n, int(s.scratch.expander.Took()/expandedByte))
	s.meter.Spend(c, n)
	s.meter.Received(i, c, n)
}

// nameControl is the name of wsproto.Ping in traces; those of wsproto.Pong and wsproto.Close follow.
var nameControl = conn.Names.Add("ping", "pong", "close frame")

func (s *Shard) noteControl(i uint32, c *conn.Conn, kind wsproto.Kind, payload []byte) {
	r := s.turn.Note(i, c, trace.Control)
	r.What, r.N = nameControl+trace.Name(kind-wsproto.Ping), uint32(len(payload))
}
