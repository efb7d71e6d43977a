package cluster

import (
	"slices"
	"time"

	"millrace/cmd/internal/cluster/record"
)

// This file gathers records for each node, so that one message holds what has come within a moment after the last message. The first record
// in a while leaves at once: each message costs threads that are woken, and one that waited would cost one more. News that nobody waits for
// have a longer moment, and leave with what has a shorter one. What finds no room is left out: relays first, and counts of peers last.

// batch is what waits for one node.
type batch struct {
	to     *node
	chunks [][]byte // each the records of one message; only the last one is not full
	bytes  int
	within time.Duration // after the last message to the node, in which it is to leave: the shortest time of its records
}

// batches are those for all nodes.
type batches struct {
	limits *Limits
	all    []*batch // in the order in which they began
	bytes  int
	retry  time.Duration // nothing leaves before; 0: the bus takes messages
	spare  [][]byte      // chunks to use again
}

// maxSpare is how many of those are kept.
const maxSpare = 8

// fields are those of a record.
type fields interface {
	Size() int
	Append(dst []byte) []byte
}

// share returns the part of the room that a kind may fill, in quarters.
func share(kind record.Kind) int {
	switch kind {
	case record.KindRelay, record.KindAnswer:
		return 2
	case record.KindPresence, record.KindHello, record.KindBye:
		return 4
	}
	return 3
}

// add adds a record for a node, which is to leave within a time after the last message to it. It reports false if there is no room.
func (b *batches) add(to *node, kind record.Kind, r fields, within time.Duration) bool {
	size := r.Size()
	whole, part := record.FrameSize+size, share(kind)
	one, waiting := b.find(to.number), 0
	if one != nil {
		waiting = one.bytes
	}
	if whole > maxMessage || waiting+whole > b.limits.Waiting*part/4 || b.bytes+whole > b.limits.WaitingToAll*part/4 {
		return false
	}
	if one == nil {
		one = &batch{to: to, within: within}
		b.all = append(b.all, one)
	}
	if n := len(one.chunks); n == 0 || len(one.chunks[n-1])+whole > maxMessage {
		one.chunks = append(one.chunks, b.chunk())
	}
	last := &one.chunks[len(one.chunks)-1]
	*last = r.Append(record.AppendFrame(*last, kind, size))
	one.within = min(one.within, within)
	one.bytes += whole
	b.bytes += whole
	return true
}

func (b *batches) chunk() []byte {
	if n := len(b.spare); n > 0 {
		c := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return c
	}
	return nil
}

// find returns what waits for a node, or nil.
func (b *batches) find(number uint16) *batch {
	for _, one := range b.all {
		if one.to.number == number {
			return one
		}
	}
	return nil
}

// isDue reports whether a batch is to leave.
func (b *batch) isDue(now time.Duration) bool {
	return len(b.chunks) > 1 || now-b.to.sent >= b.within
}

// isUrgent reports whether a batch waits that holds more than news.
func (b *batches) isUrgent() bool {
	return slices.ContainsFunc(b.all, func(one *batch) bool { return one.within < newsTime })
}

// flush publishes what is due, or all. publish reports false where the bus does not take a message: all is tried again in a moment.
func (b *batches) flush(now time.Duration, all bool, publish func(to *node, records []byte) bool) {
	if now < b.retry && !all {
		return
	}
	b.retry = 0
	b.all = slices.DeleteFunc(b.all, func(one *batch) bool {
		if b.retry != 0 || !all && !one.isDue(now) {
			return false
		}
		for len(one.chunks) > 0 {
			c := one.chunks[0]
			if !publish(one.to, c) {
				b.retry = now + retryTime
				return false
			}
			one.to.sent = now
			one.bytes -= len(c)
			b.bytes -= len(c)
			if len(b.spare) < maxSpare {
				b.spare = append(b.spare, c[:0])
			}
			one.chunks = one.chunks[1:]
		}
		return true
	})
}

// drop forgets what waits for a node, and returns how many bytes that was.
func (b *batches) drop(number uint16) (bytes int) {
	b.all = slices.DeleteFunc(b.all, func(one *batch) bool {
		if one.to.number == number {
			bytes += one.bytes
		}
		return one.to.number == number
	})
	b.bytes -= bytes
	return bytes
}
