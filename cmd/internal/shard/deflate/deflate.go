// Package deflate compresses the messages to the clients of a shard, and expands theirs (RFC 7692). Nothing of a stream is kept
// for a connection but a short history: the last bytes that were sent to it compressed. Compression that looks back at these
// alone has nearly the whole effect of one that looks back at all, since offers resemble each other, and it needs a tenth of
// the memory.
//
// Compression of secrets beside bytes that an attacker chooses would let the attacker guess them by the length (CRIME, BREACH).
// Here a client gets nothing but messages that others have sent it to read, and counts of peers: no secret shares its stream.
package deflate

import (
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/wsproto"
)

// Packer compresses the messages to the clients of a shard. It belongs to the loop's thread.
type Packer struct {
	table     *conn.Table
	memory    []byte // for histories
	histories histories

	compressor *compressor // nil: nothing has been compressed yet

	watch stopwatch
	stats PackStats
}

// PackStats are the counters of a Packer. Their tags say how they are shown (see package stats).
type PackStats struct {
	Plain     [Plains]uint64 `metric:"deflate_plain_total" by:"reason=plain" help:"Messages that were sent as they are to clients that take compressed ones."`
	Histories int            `metric:"deflate_histories" help:"Connections of which the last bytes are kept to compress the next ones."`
	Dropped   uint64         `metric:"deflate_histories_dropped_total" help:"Histories that gave way to others because the memory for them was used up."`
	Time      time.Duration  `metric:"deflate_seconds_total" label:"direction=out" help:"Time that compression (out) and expansion (in) took. That of compression is estimated from every 13th message."`
}

// Plain is why a message is sent as it is.
type Plain uint8

// The reasons.
const (
	Short  Plain = iota // compression would not pay
	Busy                // the shard has no CPU to spare
	Same                // it would not have become shorter
	Plains              // how many there are
)

// PlainNames are the reasons as they stand in metrics.
var PlainNames = []string{"short", "busy", "same"}

// NewPacker returns a Packer that keeps histories in memory, which it writes to only when there are some. clock measures its work; nil: it is not measured.
func NewPacker(table *conn.Table, memory []byte, clock func() time.Duration) *Packer {
	return &Packer{table: table, memory: memory, watch: stopwatch{clock: clock}}
}

// open takes the memory of the compressor and of the histories. A shard whose clients do not compress never does.
func (p *Packer) open() {
	p.histories = newHistories(p.memory)
	p.compressor = newCompressor()
}

// Stats returns the counters.
func (p *Packer) Stats() PackStats {
	st := p.stats
	st.Time = p.watch.sum
	return st
}

// leastPacked is the length of messages, in bytes, below which they are sent as they are. A reply to an announce has about 140.
const leastPacked = 96

// Pack compresses the frame of a message for the connection at index i, in place, if the agreement with its client allows it
// and the frame becomes shorter. It returns the frame, and the bytes of the
// message before and after; packed is 0 if it stays as it is. busy says that the shard has no CPU to spare.
func (p *Packer) Pack(i uint32, c *conn.Conn, frame []byte, busy bool) (made []byte, plain, packed int) {
	payload := wsproto.ServerPayload(frame)
	switch {
	case len(payload) < leastPacked:
		p.stats.Plain[Short]++
		return frame, len(payload), 0
	case busy:
		p.stats.Plain[Busy]++
		return frame, len(payload), 0
	}
	since := p.watch.start()
	plain, packed = len(payload), p.pack(i, c, payload)
	p.watch.stop(since)
	if packed == 0 {
		p.stats.Plain[Same]++
		return frame, plain, 0
	}
	return wsproto.AppendPacked(frame[:0], p.compressor.out.bytes), plain, packed
}

// pack compresses a message. It returns the bytes that the compressor holds of it; 0: it does not become shorter.
func (p *Packer) pack(i uint32, c *conn.Conn, payload []byte) int {
	if p.compressor == nil {
		p.open()
	}
	packed := p.compressor.compress(p.history(c), payload, c.Flags.Window())
	if len(packed) >= len(payload) {
		return 0
	}
	p.remember(i, c, payload)
	return len(packed)
}

// history returns the last bytes that the client of a connection has expanded, as far as they are kept.
func (p *Packer) history(c *conn.Conn) []byte {
	if c.History == 0 {
		return nil
	}
	return p.histories.bytes(c.History)[:c.HistoryLen]
}

// remember makes the end of a message that has just been compressed the end of the connection's history.
func (p *Packer) remember(i uint32, c *conn.Conn, payload []byte) {
	if c.Flags.Has(conn.Alone) {
		return
	}
	if c.History == 0 && !p.begin(i, c) {
		return
	}
	b := p.histories.bytes(c.History)
	if len(payload) >= len(b) {
		c.HistoryLen = uint16(copy(b, payload[len(payload)-len(b):]))
		return
	}
	kept := min(int(c.HistoryLen), len(b)-len(payload))
	copy(b, b[int(c.HistoryLen)-kept:c.HistoryLen])
	c.HistoryLen = uint16(kept + copy(b[kept:], payload))
}

// begin gives a connection an empty history, in the place of another's if there is no memory.
func (p *Packer) begin(i uint32, c *conn.Conn) bool {
	place, other := p.histories.take(i, c.Gen())
	if place == 0 {
		return false
	}
	if other.gen != 0 {
		loser := p.table.Find(other.index, other.gen)
		loser.History, loser.HistoryLen = 0, 0
		p.stats.Dropped++
	} else {
		p.stats.Histories++
	}
	c.History, c.HistoryLen = place, 0
	return true
}

// Forget drops the history of a connection, which is always allowed: the next message looks back at nothing.
func (p *Packer) Forget(c *conn.Conn) {
	if c.History != 0 {
		p.histories.free(c.History)
		c.History, c.HistoryLen = 0, 0
		p.stats.Histories--
	}
}
