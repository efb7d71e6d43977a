package simulation

import (
	"fmt"
	"strings"
	"time"

	"millrace/ring"
)

// This file owns the last events of each shard, which are printed when a run fails.

// journalSize is how many events and ops of a shard are kept.
const journalSize = 200

// journal has the last entries of one shard, at n%journalSize the oldest one.
type journal struct {
	entries [journalSize]entry
	n       int
}

// entry is one event of the ring, or one op of the shard.
type entry struct {
	at    time.Duration
	event ring.Event // Kind 0: it is an op
	op    ring.Op
	bytes int // of Data, which is not kept
}

var eventNames = map[ring.EventKind]string{
	ring.EventAccept: "accept", ring.EventRecv: "recv", ring.EventHangup: "hangup", ring.EventSent: "sent",
	ring.EventClosed: "closed", ring.EventTick: "tick", ring.EventWake: "wake", ring.EventRefused: "refused",
	ring.EventConnect: "connect", ring.EventAcceptFailed: "accept failed", ring.EventPaused: "paused",
	ring.EventAdopted: "adopted",
}

var opNames = map[ring.OpKind]string{
	ring.OpSend: "send", ring.OpShutdown: "shutdown", ring.OpClose: "close", ring.OpWake: "wake",
	ring.OpStopAccept: "stop accepting", ring.OpConnect: "connect", ring.OpPause: "pause", ring.OpResume: "resume",
	ring.OpRelease: "release", ring.OpAdopt: "adopt",
}

// events adds the events that a Step is about to get. Ticks are left out.
func (j *journal) events(now time.Duration, events []ring.Event) {
	for _, e := range events {
		if e.Kind != ring.EventTick {
			n := len(e.Data)
			e.Data = nil
			j.add(entry{at: now, event: e, bytes: n})
		}
	}
}

// ops adds the ops of a Step.
func (j *journal) ops(now time.Duration, ops []ring.Op) {
	for _, op := range ops {
		n := len(op.Data)
		op.Data = nil
		j.add(entry{at: now, op: op, bytes: n})
	}
}

func (j *journal) add(e entry) {
	j.entries[j.n%journalSize] = e
	j.n++
}

// String returns the entries, one a line, oldest first.
func (j *journal) String() string {
	var b strings.Builder
	for k := max(0, j.n-journalSize); k < j.n; k++ {
		e := &j.entries[k%journalSize]
		if e.event.Kind != 0 {
			v := &e.event
			fmt.Fprintf(&b, "%12v  event %-14s slot %d.%d", e.at, eventNames[v.Kind], v.Slot.Index, v.Slot.Gen)
			fmt.Fprintf(&b, " bytes %d n %d tag %d fd %d", e.bytes, v.N, v.Tag, v.FD)
			if v.Errno != 0 {
				fmt.Fprintf(&b, " %v", v.Errno)
			}
		} else {
			op := &e.op
			fmt.Fprintf(&b, "%12v  op    %-14s slot %d.%d", e.at, opNames[op.Kind], op.Slot.Index, op.Slot.Gen)
			fmt.Fprintf(&b, " bytes %d tag %d fd %d target %d abort %t", e.bytes, op.Tag, op.FD, op.Target, op.Abort)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// lastEvents returns the last events of each shard.
func (w *world) lastEvents() string {
	var b strings.Builder
	for k, l := range w.loops {
		fmt.Fprintf(&b, "the last events of shard %d:\n%s", k, l.lastEvents())
	}
	return b.String()
}
