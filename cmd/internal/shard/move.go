package shard

import (
	"net/netip"
	"sync/atomic"

	"millrace/ring"
	"millrace/tlsconn"
)

// This file lets connections follow their torrents. The kernel spreads clients over the shards by their addresses, so
// that most of them find their torrent on another shard; what they say and hear would have to be copied through
// mailboxes for as long as they stay. A connection whose first announce is for a torrent of another shard therefore goes
// there once, with its socket, its TLS state, that announce and whatever has come behind it:
//
//	here    open ─► moving: the ring is told to pause it, and what waits for the client leaves
//	        paused, nothing to send, room in the mailbox ─► a record with all there is, and the slot is free
//	there   the ring adopts the descriptor ─► open, and the announce is read as if it had come there
//
// Until the record is written anything may happen instead: then the connection is open again where it was, the announce
// is read there, and goes by mail.

// A shard takes connections in while it has at most so many: enough to follow torrents whose owners are spread by a
// hash, and few enough that a swarm with everybody in it does not pull everybody to one core.
const (
	moveShareNum, moveShareDen = 5, 4 // times the mean of all shards
	moveSlack                  = 32   // and so many more
	moveTableNum, moveTableDen = 15, 16
)

// door is what the shards know of each other's load. All of them write to it, but only when connections come and go.
type door struct {
	_      [128]byte    // keeps what others write off the line
	live   atomic.Int64 // connections, as of the last Step
	coming atomic.Int64 // connections that are on their way in, or decided to be; below zero: it is closed for good
}

const doorClosed = -1 << 40

// enter announces a connection; false means that the shard takes no more.
func (d *door) enter() bool {
	if d.coming.Add(1) > 0 {
		return true
	}
	d.coming.Add(-1)
	return false
}

// leave takes back an enter: the connection has arrived, or will not come.
func (d *door) leave() { d.coming.Add(-1) }

// closeUp lets nobody in any more, unless somebody is on the way.
func (d *door) closeUp() bool {
	return d.coming.Load() < 0 || d.coming.CompareAndSwap(0, doorClosed)
}

// load returns how many connections the shard has or will have.
func (d *door) load() int64 { return d.live.Load() + max(d.coming.Load(), 0) }

// crossing takes TLS states from one shard to another, in the order of the records that tell of them. They are pointers,
// which mail cannot hold.
type crossing struct {
	conns []*tlsconn.Conn // made when the first one crosses
	sent  uint32          // the sender's own
	_     [128]byte
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

// hasRoom reports whether shard k takes one more connection in.
func (s *Shard) hasRoom(k int) bool {
	total := int64(0)
	for j := range s.doors {
		total += s.doors[j].load()
	}
	share := total*moveShareNum/(moveShareDen*int64(s.opt.Shards)) + moveSlack
	table := int64(s.opt.MaxConnections) * moveTableNum / moveTableDen
	return s.doors[k].load() < min(share, table)
}

// publishLoad shows the other shards how many connections there are.
func (s *Shard) publishLoad() {
	if s.shownLive != s.live {
		s.shownLive = s.live
		s.doors[s.opt.ID].live.Store(int64(s.live))
	}
}

// follow decides, once in the life of a connection, whether it goes to the owner of the torrent that the current message
// announces, and begins the move. The message is unread then, and read where the connection ends up.
func (s *Shard) follow(i uint32, c *conn) bool {
	if s.opt.Shards == 1 || !s.opt.FollowTorrents || c.state != stateOpen || c.flags.has(flagSettled) {
		return false
	}
	c.flags |= flagSettled
	k := s.owner(&s.msg.InfoHash)
	if k == s.opt.ID || c.owners != 0 || c.asks != 0 || c.flags.has(flagHungUp) || s.stop.begun {
		return false
	}
	if !s.hasRoom(k) || !s.doors[k].enter() {
		s.stats.MovesRefused++
		return false
	}
	if !c.reader.Unread(s.reading) {
		s.doors[k].leave()
		s.stats.MovesRefused++
		return false
	}
	c.target = uint16(k)
	c.deadline = s.now + s.opt.CloseTimeout
	s.setState(c, stateMoving)
	s.ops = append(s.ops, ring.Op{Kind: ring.OpPause, Slot: s.slot(i)})
	return true
}

// paused notes that nothing more is received for a connection that is to move.
func (s *Shard) paused(e *ring.Event) {
	i, c := e.Slot.Index, s.conn(e.Slot)
	if c.state != stateMoving {
		return // it stays, and the ring has not heard of it yet
	}
	c.fd = e.FD
	c.flags |= flagPaused
	s.advanceMove(i, c)
}

// advanceMove sends a connection away when it is ready to go.
func (s *Shard) advanceMove(i uint32, c *conn) {
	if c.state != stateMoving || !c.flags.has(flagPaused) || c.out != 0 || c.flight != 0 || s.sealed(i) {
		return
	}
	if !s.sendAway(i, c) {
		s.waiting = append(s.waiting, s.slot(i))
	}
}

// retryMoves sends connections away for which there was no room in a mailbox, longest waiting first. Each Step tries
// again, a tick at the latest, until their time is up: the other shard has much to do now, and so they wait.
func (s *Shard) retryMoves() {
	kept, full := s.waiting[:0], uint64(0)
	for _, slot := range s.waiting {
		c := &s.conns[slot.Index]
		if c.gen != slot.Gen || c.state != stateMoving {
			continue
		}
		if bit := uint64(1) << (c.target % 64); full&bit != 0 || !s.sendAway(slot.Index, c) {
			full |= bit
			kept = append(kept, slot)
		}
	}
	s.waiting = kept
}

// stay ends a move: moving ─► open. What was unread stays unread.
func (s *Shard) stay(i uint32, c *conn) {
	if c.state != stateMoving {
		return
	}
	s.doors[c.target].leave()
	s.stats.MovesGivenUp++
	c.flags &^= flagPaused
	s.setState(c, stateOpen)
	s.ops = append(s.ops, ring.Op{Kind: ring.OpResume, Slot: s.slot(i)})
}

// comeBack ends a move and reads here what would have been read there.
func (s *Shard) comeBack(i uint32, c *conn) {
	s.stay(i, c)
	s.readFrames(i, c, s.join(i, c, nil))
}

const moveHead = 1 + 1 + 4 + 16 + 2

// sendAway mails a connection to the shard it goes to. It reports false, and has done nothing, where there is no room.
func (s *Shard) sendAway(i uint32, c *conn) bool {
	k := int(c.target)
	rec := s.reserve(k, moveHead+int(c.asmLen), false)
	if rec == nil || s.secure != nil && s.goOut[k].full() {
		return false
	}
	if s.secure != nil {
		s.secure.conns[i].Detach()
		s.goOut[k].put(s.secure.conns[i])
		s.secure.conns[i] = nil
	}
	b := append(rec[:0], byte(mailMove), byte(c.flags&(flagEstablished|flagNotified)))
	b = le.AppendUint32(b, uint32(c.fd))
	b = append(b, c.addr[:]...)
	b = le.AppendUint16(b, c.port)
	b = append(b, s.asmPool.Bytes(c.asm)[:c.asmLen]...)
	s.commitRecord(k, len(b))
	s.ops = append(s.ops, ring.Op{Kind: ring.OpRelease, Slot: s.slot(i)})
	s.freeAssembly(c)
	s.stats.MovedOut++
	s.stats.Conns[stateMoving]--
	s.live--
	*c = conn{gen: c.gen}
	return true
}

// arrival is a connection whose descriptor the ring has been asked to adopt.
type arrival struct {
	client netip.AddrPort
	tls    *tlsconn.Conn
	asm    ring.Buf // what it has sent and nobody has read; 0: no memory was left for it
	asmLen uint32
	flags  flags
}

// readMove takes in a connection that shard k has mailed.
func (s *Shard) readMove(k int, rec []byte) {
	unread := rec[moveHead:]
	a := arrival{
		flags:  flags(rec[1]),
		client: netip.AddrPortFrom(netip.AddrFrom16([16]byte(rec[6:])), le.Uint16(rec[22:])),
		asm:    s.asmPool.Get(max(minAssembly, len(unread))),
	}
	if s.secure != nil {
		a.tls = s.comeIn[k].take()
	}
	if a.asm != 0 {
		a.asmLen = uint32(copy(s.asmPool.Bytes(a.asm), unread))
	}
	tag := uint32(len(s.arrivals))
	if n := len(s.freeTags); n > 0 {
		tag, s.freeTags = s.freeTags[n-1], s.freeTags[:n-1]
		s.arrivals[tag] = a
	} else {
		s.arrivals = append(s.arrivals, a)
	}
	s.ops = append(s.ops, ring.Op{Kind: ring.OpAdopt, FD: int32(le.Uint32(rec[2:])), Tag: tag})
}

// adopted puts a connection that has arrived into its slot and reads what it has brought.
func (s *Shard) adopted(e *ring.Event) {
	a := s.arrivals[e.Tag]
	s.arrivals[e.Tag] = arrival{}
	s.freeTags = append(s.freeTags, e.Tag)
	s.doors[s.opt.ID].leave()
	if e.Errno != 0 {
		s.stats.MovesLost++
		if a.asm != 0 {
			s.asmPool.Put(a.asm)
		}
		if a.tls != nil {
			a.tls.Close()
		}
		return
	}
	i := e.Slot.Index
	c := &s.conns[i]
	if c.state != stateFree {
		panic("BUG: the ring adopted a connection into a slot that is in use")
	}
	*c = conn{gen: e.Slot.Gen, state: stateOpen, lastSeen: s.now, flags: a.flags | flagSettled, asm: a.asm, asmLen: a.asmLen}
	s.setClient(c, a.client)
	s.used = max(s.used, i+1)
	s.live++
	s.stats.MovedIn++
	s.stats.Conns[stateOpen]++
	s.stats.ByIP[c.version].Open++
	if s.secure != nil {
		s.secure.conns[i] = a.tls
		s.secure.engine.Attach(a.tls, handleOf(e.Slot))
	}
	s.settleIn(i, c)
}

// settleIn has a connection that has just arrived go on.
func (s *Shard) settleIn(i uint32, c *conn) {
	switch {
	case s.stop.begun:
		s.stopConn(i, c)
	case s.secure != nil && s.secure.conns[i].Err() != nil:
		s.failedTLS(i, c, s.secure.conns[i].Err())
	case c.asm == 0:
		s.outOfAssembly(i, c)
	default:
		s.readFrames(i, c, s.join(i, c, nil))
	}
}

// Abandon returns ops that take in what other shards have sent here and nobody has read, so that closing the ring closes
// it too. It is for a loop that ends before its stop is complete, and is called when all loops have ended.
func (s *Shard) Abandon(ops []ring.Op) []ring.Op {
	for _, box := range s.in {
		if box == nil {
			continue
		}
		for rec := box.Next(); rec != nil; rec = box.Next() {
			if mailKind(rec[0]) == mailMove {
				ops = append(ops, ring.Op{Kind: ring.OpAdopt, FD: int32(le.Uint32(rec[2:]))})
			}
		}
	}
	return ops
}
