package shard

import (
	"net/netip"

	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// state is where a connection is in its life (lifecycle.go has the transitions).
type state uint8

const (
	stateFree      state = iota // the slot is not in use
	stateHandshake              // accepted, the upgrade request is not complete
	stateOpen                   // a WebSocket connection
	stateMoving                 // the same, about to go to another shard: what comes is kept and not read
	stateClosing                // the last bytes are on their way to the client; nothing more is read as messages
	stateDraining               // all is sent and our side is shut; waiting for the client's end
	stateClosed                 // OpClose is issued; waiting for EventClosed
	states
)

var stateNames = [states]string{"free", "handshake", "open", "moving", "closing", "draining", "closed"}

// conn is one slot of the connection table: plain data without pointers, so that the collector does not scan the table.
// An idle connection holds no buffer.
type conn struct {
	addr   [16]byte // the client's address, IPv4 in its mapped form
	source uint64   // fingerprint of the client's address
	owners uint64   // bit k%64: shard k may hold peers of this connection

	gen      uint32
	lastSeen uint32 // second in which bytes came last
	deadline uint32 // moving, closing, draining: the second at which patience ends
	asmSince uint32 // second in which the message now in asm began, 0 without one
	sendTime uint32 // second in which the send in flight was issued or last took bytes

	asm       ring.Buf // partial head or message
	out       ring.Buf // frames that wait
	flight    ring.Buf // frames handed to the ring
	asmLen    uint32
	outLen    uint32
	flightOff uint32
	flightLen uint32

	reader wsproto.Reader
	fd     int32  // moving, once paused: the descriptor
	target uint16 // moving: the shard that it goes to
	port   uint16
	bad    uint16 // unusable messages in a row
	asks   uint16 // requests mailed to other shards whose replies are still to come
	state  state
	reason Reason
	family uint8 // of the swarms it takes part in: 4, 6, or 0 when they are shared
	flags  flags

	version uint8 // of the client's address: an index of Stats.ByIP
}

// flags are a connection's yes-or-no facts.
type flags uint16

const (
	flagDirty       flags = 1 << iota // is in Shard.dirty
	flagPinged                        // was pinged and has sent nothing since
	flagProxy                         // the header of the PROXY protocol is still to come
	flagHungUp                        // the client's side has ended
	flagEstablished                   // its TLS handshake is complete
	flagNotified                      // was sent its close_notify
	flagSettled                       // has announced: it is on the shard on which it stays, or about to go there
	flagPaused                        // moving, and the ring receives nothing more
	flagHeld                          // nothing is received before what waits for it has left
)

func (f flags) has(g flags) bool { return f&g != 0 }

// accepted puts a new connection into its slot.
func (s *Shard) accepted(e *ring.Event) {
	i := e.Slot.Index
	c := &s.conns[i]
	if c.state != stateFree {
		panic("BUG: the ring accepted a connection into a slot that is in use")
	}
	*c = conn{
		gen:      e.Slot.Gen,
		state:    stateHandshake,
		lastSeen: s.now,
		deadline: s.now + s.opt.HandshakeTimeout,
	}
	s.setClient(c, e.Peer)
	if s.opt.ProxyProtocol && s.trusted(e.Peer.Addr()) {
		c.flags |= flagProxy
	}
	if s.secure != nil {
		s.secure.conns[i] = s.secure.engine.Start(handleOf(e.Slot))
	}
	s.used = max(s.used, i+1)
	s.live++
	s.stats.Accepted++
	s.stats.Conns[stateHandshake]++
	if s.stop.begun {
		s.refuseStopping(i, c)
	}
}

// family says which swarms a client of this address takes part in.
func (s *Shard) family(ip netip.Addr) uint8 {
	switch {
	case s.opt.ShareFamilies:
		return 0
	case ip.Is4():
		return 4
	}
	return 6
}

// version returns the index of Stats.ByIP for an address.
func version(ip netip.Addr) uint8 {
	if ip.Is4() {
		return 0
	}
	return 1
}

// conn returns the connection that an event names. The ring reports nothing of a connection after its EventClosed, so
// the name is always current.
func (s *Shard) conn(slot ring.Slot) *conn {
	c := &s.conns[slot.Index]
	if c.gen != slot.Gen || c.state == stateFree {
		panic("BUG: an event of a connection that is gone")
	}
	return c
}

// address returns the name under which swarm tables know the connection.
func (s *Shard) address(i uint32) swarm.Addr {
	return swarm.Addr{Index: i, Gen: s.conns[i].gen, Shard: uint16(s.opt.ID)}
}

// setState moves a connection on and keeps the counts by state.
func (s *Shard) setState(c *conn, to state) {
	s.stats.Conns[c.state]--
	s.stats.Conns[to]++
	if c.state == stateOpen {
		s.stats.ByIP[c.version].Open--
	}
	if to == stateOpen {
		s.stats.ByIP[c.version].Open++
	}
	c.state = to
}

// reads reports whether what the client sends still counts.
func (c *conn) reads() bool {
	return c.state == stateHandshake || c.state == stateOpen || c.state == stateMoving
}

// slot returns the ring's name of the connection at index i.
func (s *Shard) slot(i uint32) ring.Slot { return ring.Slot{Index: i, Gen: s.conns[i].gen} }
