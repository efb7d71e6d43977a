// Package mailbox carries records of bytes from one shard to another.
//
// A [Box] is a bounded ring of bytes with one writer and one reader, each on its own thread. The writer never waits:
// the box refuses a record that does not fit, and the caller decides what to do without it. A [Bell] tells a writer
// whether the reader sleeps and must be woken. There is no lock. The only shared words are the two positions of a box
// and the state of a bell.
package mailbox

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync/atomic"
)

// headerSize is the length of the word before each record: the record's length, or skipMark. Records start at
// multiples of it, so a header never wraps.
const headerSize = 8

// skipMark stands in the place of a header and means that the rest of the ring up to its end is unused.
const skipMark = 1<<64 - 1

// MinSize is the smallest capacity of a box, in bytes.
const MinSize = 1 << 12

// cacheLine keeps the words of the writer and those of the reader on different lines: two of 64 bytes, because
// processors fetch them in pairs.
const cacheLine = 128

// Box is a mailbox from one writer to one reader. Positions count bytes since the start and never wrap.
type Box struct {
	buf  []byte
	mask uint64

	_    [cacheLine]byte
	tail atomic.Uint64 // all bytes before it are readable: stored by the writer

	_        [cacheLine]byte
	write    uint64 // the writer's own: end of the committed records, published by storing it to tail
	room     uint64 // the writer's copy of head
	reserved int    // bytes of the open reservation

	_    [cacheLine]byte
	head atomic.Uint64 // all bytes before it may be written again: stored by the reader

	_     [cacheLine]byte
	read  uint64 // the reader's own: end of the records that Next has returned
	ready uint64 // the reader's copy of tail
	_     [cacheLine]byte
}

// New returns an empty box of size bytes, a power of two of at least MinSize. It panics for any other size. An empty
// box takes every record of at most size/2 - 8 bytes, at any place in the ring.
func New(size int) *Box {
	if size < MinSize || bits.OnesCount(uint(size)) != 1 {
		panic(fmt.Sprintf("BUG: a mailbox of %d bytes: want a power of two of at least %d", size, MinSize))
	}
	return &Box{buf: make([]byte, size), mask: uint64(size - 1)}
}

// Reserve returns n bytes in which the writer composes its next record, or nil if there is no room for them now. The
// bytes belong to the writer until Commit. A second Reserve without Commit gives up the first.
func (b *Box) Reserve(n int) []byte { return b.ReserveKeeping(n, 0) }

// ReserveKeeping is Reserve for a record that must leave keep bytes of the box free for others.
func (b *Box) ReserveKeeping(n, keep int) []byte {
	need := uint64(headerSize + pad(n))
	size := uint64(len(b.buf))
	most := size - min(uint64(keep), size)
	at := b.write & b.mask
	skip := uint64(0)
	if at+need > size {
		skip = size - at
	}
	if b.write+skip+need-b.room > most {
		b.room = b.head.Load()
		if b.write+skip+need-b.room > most {
			return nil
		}
	}
	if skip > 0 {
		binary.LittleEndian.PutUint64(b.buf[at:], skipMark)
		b.write += skip
		at = 0
	}
	b.reserved = n
	return b.buf[at+headerSize : at+headerSize+uint64(n) : at+headerSize+uint64(n)]
}

// Commit ends the record that Reserve began: its first n bytes count. The reader sees it after Publish. Commit panics
// if n is more than was reserved.
func (b *Box) Commit(n int) {
	if n > b.reserved {
		panic(fmt.Sprintf("BUG: committed %d bytes of a reservation of %d", n, b.reserved))
	}
	binary.LittleEndian.PutUint64(b.buf[b.write&b.mask:], uint64(n))
	b.write += uint64(headerSize + pad(n))
	b.reserved = 0
}

// Publish makes all committed records readable. It reports whether there were any.
func (b *Box) Publish() bool {
	if b.tail.Load() == b.write {
		return false
	}
	b.tail.Store(b.write)
	return true
}

// Next returns the next record, or nil if none is readable. The record belongs to the reader until Release. An empty
// record is returned as a slice that is not nil.
func (b *Box) Next() []byte {
	for {
		if b.read == b.ready {
			b.ready = b.tail.Load()
			if b.read == b.ready {
				return nil
			}
		}
		at := b.read & b.mask
		n := binary.LittleEndian.Uint64(b.buf[at:])
		if n == skipMark {
			b.read += uint64(len(b.buf)) - at
			continue
		}
		b.read += uint64(headerSize + pad(int(n)))
		return b.buf[at+headerSize : at+headerSize+n : at+headerSize+n]
	}
}

// Release gives the bytes of all records that Next has returned back to the writer.
func (b *Box) Release() {
	if b.head.Load() != b.read {
		b.head.Store(b.read)
	}
}

// Empty reports whether Next would return nil now. Only the reader may ask.
func (b *Box) Empty() bool { return b.read == b.tail.Load() }

// Size returns the capacity in bytes.
func (b *Box) Size() int { return len(b.buf) }

// Depth returns how many bytes of the box are in use at this moment. Any thread may ask.
func (b *Box) Depth() int {
	head := b.head.Load()
	return int(b.tail.Load() - head)
}

// pad rounds up to whole headers.
func pad(n int) int { return (n + headerSize - 1) &^ (headerSize - 1) }

// Bell says whether a reader sleeps. The reader calls Sleep, looks into its boxes once more, and sleeps if they are
// empty. A writer publishes and then calls Ring. Both sides use sequentially consistent atomics, so one of them always
// sees the other: no record waits for a sleeping reader.
type Bell struct {
	_      [cacheLine]byte
	asleep atomic.Uint32
	_      [cacheLine]byte
}

// Sleep says that the reader is about to sleep. The reader must look into its boxes after it and before it sleeps.
func (b *Bell) Sleep() { b.asleep.Store(1) }

// Awake says that the reader does not sleep any more.
func (b *Bell) Awake() {
	if b.asleep.Load() != 0 {
		b.asleep.Store(0)
	}
}

// Ring reports whether the caller must wake the reader. It is true for only one of several callers.
func (b *Bell) Ring() bool {
	return b.asleep.Load() == 1 && b.asleep.CompareAndSwap(1, 0)
}
