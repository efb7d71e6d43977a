// Package trace remembers the last events of a shard: what came, for which connection, what was decided and why. Each
// shard has a [Buffer] of fixed records in plain memory. It answers the question "what happened to this client?"
// without a line of log per message.
//
// The thread of the event loop adds records and makes a [Copy] when it is asked for one. Everybody else works on
// copies: [Merge] puts those of several shards in order, [Select] finds the records of a client or connection, and
// [AppendText] writes a line that an operator can read.
//
// The package knows none of the enumerations of its callers. They register the names of their values in a [Names] and
// put the numbers that they get into Record.What and Record.Why.
package trace

import (
	"fmt"
	"time"
)

// Conn names a connection of the process: its shard, and the index and generation of its slot there. Generations are
// never 0; the zero Conn stands for no connection, as in a record about an order to stop.
type Conn struct {
	Index, Gen uint32
	Shard      uint16
}

// Record is one event and what was decided about it: 64 bytes without a pointer. Zero fields are left out of the text.
type Record struct {
	At       time.Duration // on the clock of the loops: when the Step began in which it happened
	Client   [16]byte      // the client's address, IPv4 in its mapped form; zero: not known to the shard that wrote
	Hash     [8]byte       // first bytes of the info hash
	Conn     Conn          // its Shard differs from By where a shard serves the client of another
	N        uint32        // a number of the event, such as bytes; see the table of events
	To       uint32        // a number of the decision, such as a shard; see the table of decisions
	What     Name          // kind of the event where it has several
	Why      Name          // reason of the decision
	Port     uint16        // the client's
	By       uint16        // the shard that wrote the record; set by Buffer.Add
	Event    Event
	Decision Decision
}

// Buffer is a ring of the records that were added last. One thread owns it. The zero Buffer is switched off: it takes
// records and keeps none.
type Buffer struct {
	records []Record
	added   uint64
	names   *Names
	shard   uint16
	off     Record // taken and not kept
}

// DefaultSize is a good number of records: 256 KiB a shard, some seconds of a busy tracker's events.
const DefaultSize = 4096

// New returns a buffer of so many records, a power of two, for a shard. names must not change any more.
func New(shard, size int, names *Names) Buffer {
	if size <= 0 || size&(size-1) != 0 {
		panic(fmt.Sprintf("BUG: a trace of %d records: the number must be a power of two", size))
	}
	return Buffer{records: make([]Record, size), names: names, shard: uint16(shard)}
}

// Add puts an empty record, with only By set, in the place of the oldest one and returns it to be filled in, field by
// field: a composite literal would be composed elsewhere and copied, which takes twice as long. The record may be
// completed while fewer than Size others have been added, as when the decision comes only after its effects. Add does
// not allocate.
func (b *Buffer) Add() *Record {
	slot := &b.off
	if len(b.records) > 0 {
		slot = &b.records[b.added&uint64(len(b.records)-1)]
		b.added++
	}
	*slot = Record{}
	slot.By = b.shard
	return slot
}

// Copy is what a buffer held at one moment. It belongs to its caller.
type Copy struct {
	Records []Record // oldest first
	Added   uint64   // records that were added up to this moment, those that are overwritten included
	Names   *Names   // of Record.What and Record.Why
}

// Size returns how many records the buffer holds at most. Any thread may ask.
func (b *Buffer) Size() int { return len(b.records) }

// Copy copies the records to into[:0], which is grown if it has less capacity than Size.
func (b *Buffer) Copy(into []Record) Copy {
	size := uint64(len(b.records))
	if b.added < size {
		into = append(into[:0], b.records[:b.added]...)
	} else if size > 0 {
		oldest := b.added & (size - 1)
		into = append(append(into[:0], b.records[oldest:]...), b.records[:oldest]...)
	}
	return Copy{Records: into, Added: b.added, Names: b.names}
}

// Since returns the records that were added after an earlier Copy with that number in Added, and how many more there
// were that have been overwritten.
func (c *Copy) Since(added uint64) (fresh []Record, missed uint64) {
	n := c.Added - added
	held := min(n, uint64(len(c.Records)))
	return c.Records[uint64(len(c.Records))-held:], n - held
}
