package shard

import (
	"slices"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
	"millrace/wsproto"
)

// This file writes the connections of a frozen shard down for another process. inherit.go reads them there.

// marks are the flags of a connection that the other process needs.
var marks = []struct {
	flag conn.Flags
	mark handover.Marks
}{
	{conn.Deflates, handover.MarkDeflates},
	{conn.Alone, handover.MarkAlone},
	{conn.Pinged, handover.MarkPinged},
	{conn.Proxied, handover.MarkProxied},
	{conn.Spoken, handover.MarkSpoken},
	{conn.Vouched, handover.MarkVouched},
	{conn.Settled, handover.MarkSettled},
	{conn.Held, handover.MarkHeld},
}

// SaveConnections calls send with all connections of a frozen shard that is still. second is that in which the other process begins,
// on the clock of its own shards. fd returns descriptors, which stay this shard's. A record is good until send returns.
func (s *Shard) SaveConnections(second uint32, fd func(ring.Slot) int32, send func(r *handover.Connection, fd int32) error) error {
	var r handover.Connection
	for i := range s.table.Used() {
		c := s.table.At(i)
		if !frozenConn(c) {
			continue
		}
		s.save(i, c, &r, second-s.turn.Now)
		err := send(&r, fd(s.table.Slot(i)))
		clear(r.TLS)
		if err != nil {
			return err
		}
	}
	return nil
}

// save fills the record of a connection. Its seconds are so much later.
func (s *Shard) save(i uint32, c *conn.Conn, r *handover.Connection, later uint32) {
	tls := r.TLS[:0]
	*r = handover.Connection{
		Name: s.nameOf(i), Open: c.State() == conn.Open,
		Addr: c.Addr, Port: c.Port, Since: c.Since + later, LastSeen: c.LastSeen + later, Deadline: c.Deadline + later,
		PingAt: c.PingAt + later, BytesIn: c.BytesIn, BytesOut: c.BytesOut, Messages: c.Messages, Dropped: c.Dropped, Bad: c.Bad,
		Paid: s.meter.Paid(c),
	}
	for _, m := range marks {
		if c.Flags.Has(m.flag) {
			r.Marks |= m.mark
		}
	}
	if !c.Guard.Exempt() {
		r.Marks |= handover.MarkCounted
	}
	if c.Asm != 0 {
		r.Unread = s.inbox.Bytes(c)
	}
	if c.AsmSince != 0 {
		r.UnreadSince = c.AsmSince + later
	}
	r.WindowBits = c.Flags.WindowBits()
	reader := c.Reader.State()
	r.MessageSize, r.MessageKind = reader.Size, uint8(reader.Kind)
	if reader.Packed {
		r.Marks |= handover.MarkPacked
	}
	r.Flight, r.Waiting = s.outbox.Unsent(c)
	if t := s.table.TLS(i); t != nil {
		r.TLS = t.AppendState(slices.Grow(tls, t.StateLen())) // it holds keys: none is left behind in a slice that grows
	}
	s.seatOf(i, r)
}

// seatOf names a torrent of the connection that this shard holds, so that both may come together again.
func (s *Shard) seatOf(i uint32, r *handover.Connection) {
	s.scratch.seats = s.torrents.AppendSeats(s.scratch.seats[:0], s.table.Address(i), 1)
	for _, seat := range s.scratch.seats {
		r.HasTorrent, r.Torrent = true, seat.Key.Hash
	}
}

// readerState returns the state of a reader in a record.
func readerState(r *handover.Connection) wsproto.ReaderState {
	return wsproto.ReaderState{
		Size: r.MessageSize, Kind: wsproto.Kind(r.MessageKind),
		Agreed: r.Marks.Has(handover.MarkDeflates), Packed: r.Marks.Has(handover.MarkPacked),
	}
}
