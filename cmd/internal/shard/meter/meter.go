// Package meter measures how much each connection asks of its shard, so that every client has its turn. A connection that
// sends faster than its rates pays later: the ring receives nothing from it until it is within them again, so TCP slows the
// client down and nothing is lost. Within one Step a connection has a budget of bytes; the rest waits for the next Step.
// Connections of exempt addresses, which have no entry in the table of addresses, are not measured.
package meter

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/trace"
	"millrace/ring"
)

// Rate is a rate with a burst: so many may come at once, and then so many a second. A zero PerSecond means no limit.
type Rate struct{ PerSecond, Burst int }

// Options are the limits of one connection.
type Options struct {
	Messages  Rate // text and binary messages
	Bytes     Rate // received, in plain text or in TLS records
	Control   Rate // ping, pong and close frames
	Offers    Rate // offers relayed to the connection
	Sent      Rate // offers that the connection has relayed to others
	TurnBytes int  // bytes that one Step reads from a connection; 0: no limit
}

// Meter measures the connections of a shard. It belongs to the loop's thread.
type Meter struct {
	opt   Options
	table *conn.Table
	turn  *conn.Turn
	later []ring.Slot // connections with bytes that wait for the next Step
	spare []ring.Slot
	share int // bytes that this Step reads from a connection that floods
	stats Stats

	messages, bytes, control, offers, most, sent allowance
}

// Stats are the counters of a meter. Their tags say how they are shown (see package stats).
type Stats struct {
	Throttled     uint64 `metric:"throttled_total" help:"Times that a client was not read from because it sent faster than its rates."`
	Crowded       uint64 `metric:"turns_crowded_total" help:"Times that a client was not read from because many of its bytes waited for its turn."`
	Postponed     uint64 `metric:"turns_postponed_total" help:"Times that bytes of a client waited for the next turn of the loop."`
	OffersHeld    uint64 `metric:"offers_sender_over_rate_total" help:"Offers that were left out because their sender had made too many."`
	OffersDropped uint64 `metric:"offers_over_rate_total" help:"Offers that were left out because their receiver had got too many."`
}

// New returns a meter.
func New(o Options, table *conn.Table, turn *conn.Turn) *Meter {
	m := &Meter{table: table, turn: turn}
	m.Change(o)
	return m
}

// Change puts other limits in force. What a connection has used up of a burst takes as long to come back as it did before.
func (m *Meter) Change(o Options) {
	m.opt, m.share = o, o.TurnBytes
	m.messages, m.bytes = newAllowance(o.Messages), newAllowance(o.Bytes)
	m.control, m.offers, m.sent = newAllowance(o.Control), newAllowance(o.Offers), newAllowance(o.Sent)
	m.most = newAllowance(Rate{PerSecond: (o.Offers.PerSecond + 1) / 2, Burst: (o.Offers.Burst + 1) / 2})
}

// Stats returns the counters.
func (m *Meter) Stats() Stats { return m.stats }

// Paid returns up to which times all is paid for that a connection has sent and got, for [Meter.CarryOn].
func (m *Meter) Paid(c *conn.Conn) [5]uint32 {
	return [...]uint32{c.MessagesPaid, c.BytesPaid, c.ControlPaid, c.OffersPaid, c.SentPaid}
}

// CarryOn gives a connection that has come from another process, whose clock this one has, what Paid returned there.
func (m *Meter) CarryOn(c *conn.Conn, paid [5]uint32) {
	c.MessagesPaid, c.BytesPaid, c.ControlPaid, c.OffersPaid, c.SentPaid = paid[0], paid[1], paid[2], paid[3], paid[4]
}

// Received counts received bytes.
func (m *Meter) Received(i uint32, c *conn.Conn, n int) {
	if c.Guard.Exempt() {
		return
	}
	m.bytes.charge(&c.BytesPaid, m.clock(), n)
	m.check(i, c)
}

// Message counts a message that has been read.
func (m *Meter) Message(i uint32, c *conn.Conn) {
	if c.Guard.Exempt() {
		return
	}
	m.messages.charge(&c.MessagesPaid, m.clock(), 1)
	m.check(i, c)
}

// Control counts a control frame. It reports false if there were too many.
func (m *Meter) Control(c *conn.Conn) bool {
	return c.Guard.Exempt() || m.control.take(&c.ControlPaid, m.clock())
}

// Offer reports whether a connection may get one more offer from an address, given by its number in the table of addresses.
// The address from which most come may make up half of the rate, so many connections of one address leave room for the
// offers of others.
func (m *Meter) Offer(c *conn.Conn, from uint32) bool {
	if c.Guard.Exempt() {
		return true
	}
	now := m.clock()
	if m.vote(c, from) && !m.most.take(&c.MostPaid, now) || !m.offers.take(&c.OffersPaid, now) {
		m.stats.OffersDropped++
		return false
	}
	return true
}

// maxVotes bounds the votes, so that an address that has been the first for hours gives way within seconds.
const maxVotes = 256

// vote counts an offer from an address and reports whether most offers come from there. It is the vote of Boyer and Moore
// (1981): an address from which more than half of the offers come is found, in one word.
func (m *Meter) vote(c *conn.Conn, from uint32) bool {
	switch {
	case from == c.MostFrom:
		c.MostVotes = min(c.MostVotes+1, maxVotes)
	case c.MostVotes > 0:
		c.MostVotes--
	default:
		c.MostFrom, c.MostVotes, c.MostPaid = from, 1, 0
	}
	return from == c.MostFrom && from != 0
}

// Relay returns how many of n offers of a connection may be relayed. The limit of their receivers alone would not do: one
// sender of many offers would leave no room there for those of others.
func (m *Meter) Relay(c *conn.Conn, n int) int {
	if c.Guard.Exempt() {
		return n
	}
	for k := range n {
		if !m.sent.take(&c.SentPaid, m.clock()) {
			m.stats.OffersHeld += uint64(n - k)
			return k
		}
	}
	return n
}

// maxDrained is how many bytes a client may go on to send while its connection ends. It may not know of the end yet; a
// client that floods does not care.
const maxDrained = 64 << 10

// Drain counts bytes of a connection that ends. It reports false if there were too many.
func (m *Meter) Drain(c *conn.Conn, n int) bool {
	c.TurnBytes += uint32(n)
	return c.TurnBytes <= maxDrained || c.Guard.Exempt()
}

// check stops receiving from a connection that is over its rates.
func (m *Meter) check(i uint32, c *conn.Conn) {
	if c.State() != conn.Open || c.Flags.Has(conn.Throttled|conn.HungUp) || !m.over(c) {
		return
	}
	m.stats.Throttled++
	m.turn.Note(i, c, trace.Message).Decision = trace.Throttled
	m.table.Pause(m.turn, i, c, conn.Throttled)
}

func (m *Meter) over(c *conn.Conn) bool {
	now := m.clock()
	return m.messages.over(c.MessagesPaid, now) || m.bytes.over(c.BytesPaid, now)
}

// Recover receives again from a throttled connection that is within its rates. It reports whether there is something to go
// on with.
func (m *Meter) Recover(i uint32, c *conn.Conn) bool {
	return c.Flags.Has(conn.Throttled) && !m.over(c) && m.Forgive(i, c)
}

// Forgive ends a pause for any reason of the meter, because the connection is within its rates or ends.
func (m *Meter) Forgive(i uint32, c *conn.Conn) bool {
	m.table.Resume(m.turn, i, c, conn.Crowded)
	return m.table.Resume(m.turn, i, c, conn.Throttled)
}

// Spend counts bytes of a connection that this Step reads, and reports whether it may read more of them.
func (m *Meter) Spend(c *conn.Conn, n int) bool {
	if m.opt.TurnBytes == 0 || c.Guard.Exempt() {
		return true
	}
	if c.Turn != m.turn.Seq {
		c.Turn, c.TurnBytes = m.turn.Seq, 0
		if m.flooding(c) {
			c.TurnBytes = uint32(m.opt.TurnBytes - m.share)
		}
	}
	c.TurnBytes += uint32(n)
	return int(c.TurnBytes) < m.opt.TurnBytes || !m.flooding(c)
}

// flooding reports whether a connection has sent much more than its rates in a short time. Turns are for those alone: where the
// loop cannot follow the load of many good clients, turns would only make it slower.
func (m *Meter) flooding(c *conn.Conn) bool {
	now := m.clock()
	return m.messages.deep(c.MessagesPaid, now) || m.bytes.deep(c.BytesPaid, now) || m.control.deep(c.ControlPaid, now)
}

// Postpone has the bytes that a connection has left wait for the next Step.
func (m *Meter) Postpone(i uint32, c *conn.Conn) {
	if c.Flags.Has(conn.Postponed) {
		return
	}
	c.Flags |= conn.Postponed
	m.stats.Postponed++
	m.later = append(m.later, m.table.Slot(i))
	m.turn.More = true
}

// crowdTurns is how many turns of a connection may wait before the ring receives nothing more from it. Without that bound the
// burst of a fast client would all lie in memory.
const crowdTurns = 2

// Crowd stops receiving from a connection of which many bytes wait for its turn, and receives again when none of the kept
// bytes do.
func (m *Meter) Crowd(i uint32, c *conn.Conn, kept int) {
	switch {
	case !c.Flags.Has(conn.Postponed):
		m.table.Resume(m.turn, i, c, conn.Crowded)
	case kept <= crowdTurns*m.opt.TurnBytes || c.Flags.Has(conn.Crowded|conn.HungUp) || c.State() != conn.Open:
	default:
		m.stats.Crowded++
		m.table.Pause(m.turn, i, c, conn.Crowded)
	}
}

// A Step reads at most about turnShares times Options.TurnBytes from all flooding connections whose bytes have waited for it:
// the more there are, the less each has, but leastShare at least.
const (
	turnShares = 4
	leastShare = 1 << 10
)

// Due returns the connections whose bytes have waited for this Step. The list is valid during the Step.
func (m *Meter) Due() []ring.Slot {
	m.later, m.spare = m.spare[:0], m.later
	due, flooding := m.spare[:0], 0
	for _, slot := range m.spare {
		if c := m.table.Find(slot.Index, slot.Gen); c != nil {
			c.Flags &^= conn.Postponed
			due = append(due, slot)
			if m.flooding(c) {
				flooding++
			}
		}
	}
	m.share = min(max(turnShares*m.opt.TurnBytes/max(flooding, 1), leastShare), m.opt.TurnBytes)
	return due
}
