package shard

import (
	"errors"
	"net/netip"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/door"
	"millrace/ring"
	"millrace/swarm"
	"millrace/tlsconn"
)

// This file takes in connections that another process has written down (save.go).

// Heir is a connection of another process. Its record and the descriptor are the shard's.
type Heir struct {
	Record *handover.Connection
	FD     int32
}

// Inherited is what has become of a connection of another process.
type Inherited struct {
	Old    handover.Name
	Addr   swarm.Addr // its name here
	Source uint64     // as in swarm.Announce
	Origin uint32
	Family uint8 // of the swarms in which its peers take part

	// Err says why it could not be taken in. Then Heir is the caller's again, FD -1 if the descriptor is closed, and Elsewhere says that
	// another shard may have the memory for it.
	Err       error
	Heir      Heir
	Elsewhere bool
}

// heir is a connection that the ring is to adopt.
type heir struct {
	Heir
	done func(Inherited)
}

// heirTag is set in the tags of heirs. Those of connections that move between shards are below it.
const heirTag = 1 << 31

// Errors of connections that cannot be taken in.
var (
	errNoPlace = errors.New("the table of connections is full")
	errNoTLS   = errors.New("it is encrypted, and there is no TLS any more")
	errNoRoom  = errors.New("there is no memory for the bytes that wait for it")
	errBadWord = errors.New("its record makes no sense")
)

// Inherit has the ring adopt connections of another process. done is called for each in one of the next Steps, by the loop's thread.
// The shard is frozen, and Thaw has them go on. It is called between two Steps, by the loop's thread.
func (s *Shard) Inherit(list []Heir, done func(Inherited)) []ring.Op {
	for _, h := range list {
		s.turn.Do(ring.Op{Kind: ring.OpAdopt, FD: h.FD, Tag: uint32(len(s.chores.freeze.heirs)) | heirTag, Paused: true})
		s.chores.freeze.heirs = append(s.chores.freeze.heirs, heir{h, done})
	}
	return s.turn.End()
}

// inherited takes in a connection that the ring has adopted.
func (s *Shard) inherited(i uint32, e *ring.Event) {
	h := s.chores.freeze.heirs[e.Tag&^heirTag]
	s.chores.freeze.heirs[e.Tag&^heirTag] = heir{}
	in := Inherited{Old: h.Record.Name, Err: errNoPlace}
	fd := int32(-1) // the ring has closed it
	if e.Errno == 0 {
		in = s.takeIn(i, e.Slot, h.Record)
		fd = h.FD
	}
	if in.Err == nil {
		clear(h.Record.TLS)
	} else {
		in.Heir = Heir{Record: h.Record, FD: fd}
	}
	h.done(in)
}

// takeIn gives a connection its place. After an error it has none.
func (s *Shard) takeIn(i uint32, slot ring.Slot, r *handover.Connection) Inherited {
	in := Inherited{Old: r.Name}
	t, err := s.takeTLS(slot, r)
	c := s.door.Inherit(slot, t, r.Open, r.Marks.Has(handover.MarkCounted), heirFlags(r, t), netip.AddrPortFrom(netip.AddrFrom16(r.Addr), r.Port))
	s.fill(c, r)
	switch {
	case err != nil:
		in.Err = err
	case !c.Reader.SetState(readerState(r), len(r.Unread)):
		in.Err = errBadWord
	case len(r.Unread) > 0 && !s.inbox.Unpack(c, s.inbox.Pack(r.Unread)) || !s.outbox.TakeUnsent(c, r.Flight, r.Waiting):
		in.Err = errNoRoom
	}
	if in.Err != nil {
		in.Elsewhere = errors.Is(in.Err, errNoRoom) || errors.Is(in.Err, tlsconn.ErrNoMemory)
		s.letGo(i, c)
		return in
	}
	in.Addr, in.Source, in.Origin, in.Family = s.table.Address(i), c.Source, c.Guard.Origin(), c.Family
	s.inbox.CarryOn(c, r.UnreadSince)
	return in
}

// takeTLS returns the TLS of a connection, nil if it has none.
func (s *Shard) takeTLS(slot ring.Slot, r *handover.Connection) (*tlsconn.Conn, error) {
	switch {
	case len(r.TLS) == 0:
		return nil, nil
	case s.secure == nil:
		return nil, errNoTLS
	}
	return s.secure.engine.Restore(door.Handle(slot), r.TLS)
}

// heirFlags returns the flags of a connection with its TLS, nil without.
func heirFlags(r *handover.Connection, t *tlsconn.Conn) conn.Flags {
	flags := conn.Frozen
	for _, m := range marks {
		if r.Marks.Has(m.mark) {
			flags |= m.flag
		}
	}
	if len(r.Flight)+len(r.Waiting) == 0 {
		flags &^= conn.Held // nothing is left whose end would end that
	}
	if t != nil {
		flags |= conn.Encrypted
		if t.Phase() == tlsconn.Established {
			flags |= conn.Established
		}
	}
	if r.WindowBits >= 8 && r.WindowBits < 15 {
		flags |= conn.Narrows(r.WindowBits)
	}
	return flags
}

// fill gives a connection what its record says. Its peers may be on any shard.
func (s *Shard) fill(c *conn.Conn, r *handover.Connection) {
	s.door.CarryOn(c, s.turn.Now-r.Since)
	s.outbox.CarryOn(c, r.BytesOut, r.Dropped)
	s.meter.CarryOn(c, r.Paid)
	c.LastSeen, c.Deadline, c.PingAt = r.LastSeen, r.Deadline, r.PingAt
	c.BytesIn, c.Messages, c.Bad = r.BytesIn, r.Messages, r.Bad
	if r.Open {
		c.Owners = ^uint64(0) >> (64 - min(s.opt.Shards, 64))
	}
}
