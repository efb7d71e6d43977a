package conn

import (
	"net/netip"

	"millrace/ring"
	"millrace/swarm"
	"millrace/tlsconn"
)

// This file owns the table: where a connection is put, how its state changes, and the counts by state.

// Table holds the connections of a shard, by Slot.Index. It belongs to the loop's thread.
type Table struct {
	shard uint16
	conns []Conn
	tls   []*tlsconn.Conn // by index; nil without TLS
	used  uint32          // indices below it have been used at some time
	live  int             // connections not yet closed, in whatever state
	stats Stats
}

// Stats are the counters of a table. Their tags say how they are shown (see package stats).
type Stats struct {
	Conns      [States]int             `metric:"connections" by:"state" help:"Connections by state."`
	ByIP       [2]IPStats              `by:"ip_version"`
	Closed     [Reasons]uint64         `metric:"connections_closed_total" by:"reason" help:"Connections that have ended."`
	LastClient [Reasons]netip.AddrPort `metric:"-"` // whose connection ended last for a reason that is Abusive
}

// IPStats are the counters that are kept apart for IPv4 and IPv6 clients.
type IPStats struct {
	Open int `metric:"active_connections" help:"Open WebSocket connections."`
}

// NewTable returns an empty table of a shard for n connections, with TLS or without.
func NewTable(shard, n int, withTLS bool) *Table {
	t := &Table{shard: uint16(shard), conns: make([]Conn, n)}
	if withTLS {
		t.tls = make([]*tlsconn.Conn, n)
	}
	return t
}

// At returns the slot at index i, in use or not.
func (t *Table) At(i uint32) *Conn { return &t.conns[i] }

// Shard returns the number of the shard.
func (t *Table) Shard() uint16 { return t.shard }

// Used returns an index below which all connections are.
func (t *Table) Used() uint32 { return t.used }

// Live returns how many connections are not yet closed, in whatever state.
func (t *Table) Live() int { return t.live }

// Cap returns for how many connections there is room.
func (t *Table) Cap() int { return len(t.conns) }

// Stats returns the counters.
func (t *Table) Stats() Stats { return t.stats }

// Named returns the connection that an event of the ring names. The ring reports nothing of a connection after its
// EventClosed, so the name is always current.
func (t *Table) Named(slot ring.Slot) *Conn {
	c := &t.conns[slot.Index]
	if c.gen != slot.Gen || c.state == Free {
		panic("BUG: an event of a connection that is gone")
	}
	return c
}

// Find returns the connection that a swarm table or another shard names, or nil if it has ended.
func (t *Table) Find(index, gen uint32) *Conn {
	if c := &t.conns[index]; c.gen == gen && c.state != Free {
		return c
	}
	return nil
}

// Slot returns the ring's name of the connection at index i.
func (t *Table) Slot(i uint32) ring.Slot { return ring.Slot{Index: i, Gen: t.conns[i].gen} }

// Address returns the name under which swarm tables and other shards know the connection at index i.
func (t *Table) Address(i uint32) swarm.Addr {
	return swarm.Addr{Index: i, Gen: t.conns[i].gen, Shard: t.shard}
}

// Enter puts a connection into its slot: by Accepted or Adopted. tls is nil without TLS.
func (t *Table) Enter(slot ring.Slot, e Event, tls *tlsconn.Conn) *Conn {
	c := &t.conns[slot.Index]
	state := c.state.after(e)
	*c = Conn{gen: slot.Gen}
	t.used = max(t.used, slot.Index+1)
	t.live++
	t.stats.Conns[Free]++ // count takes it back
	t.count(c, state)
	if t.tls != nil {
		t.tls[slot.Index] = tls
	}
	return c
}

// Change moves a connection on.
func (t *Table) Change(c *Conn, e Event) { t.count(c, c.state.after(e)) }

// Leave frees the slot at index i: by Released or Gone.
func (t *Table) Leave(i uint32, e Event) {
	c := &t.conns[i]
	if e == Gone {
		t.stats.Closed[c.Reason]++
		if c.Reason.Abusive() {
			t.stats.LastClient[c.Reason] = c.Client()
		}
	}
	t.Change(c, e)
	t.stats.Conns[Free]-- // only connections are counted
	t.live--
	if t.tls != nil {
		t.tls[i] = nil
	}
	*c = Conn{gen: c.gen}
}

// count changes the state and the counts by state.
func (t *Table) count(c *Conn, to State) {
	t.stats.Conns[c.state]--
	t.stats.Conns[to]++
	if c.state == Open {
		t.stats.ByIP[c.Version].Open--
	}
	if to == Open {
		t.stats.ByIP[c.Version].Open++
	}
	c.state = to
}

// Pause stops receiving from a connection, for a reason that is one of Pauses. A connection that was paused does not move to
// another shard any more: an EventPaused must have one meaning only.
func (t *Table) Pause(turn *Turn, i uint32, c *Conn, why Flags) {
	if !c.Flags.Has(Pauses) {
		turn.Do(ring.Op{Kind: ring.OpPause, Slot: t.Slot(i)})
	}
	c.Flags |= why | Settled
}

// Resume ends a pause for one reason, and receives again if there is no other. It reports whether there was that reason.
func (t *Table) Resume(turn *Turn, i uint32, c *Conn, why Flags) bool {
	if !c.Flags.Has(why) {
		return false
	}
	if c.Flags &^= why; !c.Flags.Has(Pauses) {
		turn.Do(ring.Op{Kind: ring.OpResume, Slot: t.Slot(i)})
	}
	return true
}

// SetVersion says which IP version the client's address has: an index of Stats.ByIP.
func (t *Table) SetVersion(c *Conn, version uint8) {
	if c.state == Open {
		t.stats.ByIP[c.Version].Open--
		t.stats.ByIP[version].Open++
	}
	c.Version = version
}

// TLS returns the TLS of the connection at index i: nil without TLS, and after [Table.CloseTLS].
func (t *Table) TLS(i uint32) *tlsconn.Conn {
	if t.tls == nil {
		return nil
	}
	return t.tls[i]
}

// Secure reports whether the bytes of the connection at index i are encrypted: not without TLS, and not after
// [Table.CloseTLS].
func (t *Table) Secure(i uint32) bool { return t.TLS(i) != nil }

// TakeTLS gives up the TLS of a connection without closing it.
func (t *Table) TakeTLS(i uint32) *tlsconn.Conn {
	x := t.tls[i]
	t.tls[i] = nil
	return x
}

// CloseTLS closes the TLS of a connection and gives its memory back.
func (t *Table) CloseTLS(i uint32) {
	if x := t.TLS(i); x != nil {
		x.Close()
		t.tls[i] = nil
	}
}

// TLSPending reports whether TLS has bytes of its own to send.
func (t *Table) TLSPending(i uint32) bool {
	x := t.TLS(i)
	return x != nil && x.Pending() > 0
}

// CanSpeak reports whether a connection can be sent frames or HTTP: always without TLS, and with it after the handshake.
func (t *Table) CanSpeak(i uint32) bool {
	x := t.TLS(i)
	return x == nil || x.Phase() == tlsconn.Established
}
