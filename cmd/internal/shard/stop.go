package shard

import (
	"math"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
)

// This file stops a shard gracefully: the door closes, each client is told to go, at once or over a time, and connections that
// have not ended when the time is up are dropped.

// stopState is how far a graceful stop has come.
type stopState struct {
	begun     bool
	listening bool          // the listeners are still to be closed
	final     bool          // time is up: the remaining connections are dropped
	at        uint32        // in this pass, indices below it have been dealt with
	told      int           // connections in this pass
	all       int           // connections when it began
	from      int64         // nanoseconds at which it began
	over      time.Duration // the time over which clients are told to go; 0: they are told at once
	deadline  int64         // nanoseconds at which time is up
	why       conn.Reason   // why it ends connections
}

// maxToldPerStep bounds how many clients one Step says goodbye to.
const maxToldPerStep = 512

// Stop begins a graceful stop at the next Step: no connection is accepted, each client gets close code 1001, and those
// that have not left after Options.ShutdownTimeout are dropped. A drain becomes one. It is called between two Steps, by the
// loop's thread.
func (s *Shard) Stop() {
	if stop := &s.chores.stop; !stop.begun || stop.over > 0 {
		s.beginStop(conn.OrderStop, 0)
	}
}

// Drain begins a stop that takes its time: no connection is accepted, and the clients get close code 1001 one after the other,
// evenly over the time, so that they do not all come to other trackers at once.
func (s *Shard) Drain(over time.Duration) {
	if !s.chores.stop.begun {
		s.beginStop(conn.OrderDrain, over)
	}
}

// beginStop begins a stop, or the rest of one.
func (s *Shard) beginStop(order conn.Order, over time.Duration) {
	s.turn.NoteOrder(order)
	s.door.Close()
	s.chores.stop = stopState{
		begun:     true,
		why:       conn.ReasonStopping,
		listening: !s.chores.stop.begun || s.chores.stop.listening,
		at:        s.chores.stop.at,
		all:       s.table.Live(),
		from:      s.turn.Nanos,
		over:      over,
		deadline:  s.turn.Nanos + int64(over) + int64(s.opt.ShutdownTimeout)*int64(time.Second),
	}
}

// Stopped reports whether a stop has been asked for and no connection is left or on its way here.
func (s *Shard) Stopped() bool {
	stop := &s.chores.stop
	return stop.begun && !stop.listening && s.table.Live() == 0 && !s.needed() && s.mover.CloseUp()
}

// needed reports whether clients of other shards, which a drain has not told to go yet, may need torrents of this one.
func (s *Shard) needed() bool {
	stop := &s.chores.stop
	return stop.over > 0 && !stop.final && s.mover.Everywhere() > 0
}

// stopSlice ends the next connections because the tracker stops.
func (s *Shard) stopSlice() {
	stop := &s.chores.stop
	if !stop.begun {
		return
	}
	if stop.listening {
		stop.listening = false
		s.turn.Do(ring.Op{Kind: ring.OpStopAccept})
	}
	if !stop.final && s.turn.Nanos >= stop.deadline {
		stop.final, stop.at = true, 0
	}
	due, used := stop.due(s.turn.Nanos), s.table.Used()
	for told, n := 0, 0; stop.at < used && stop.told < due && told < maxToldPerStep && n < maxScanPerStep; n++ {
		if c := s.table.At(stop.at); c.State() != conn.Free {
			s.stopConn(stop.at, c)
			stop.told++
			told++
		}
		stop.at++
	}
	s.turn.More = s.turn.More || stop.at < used && stop.told < due
}

// due returns how many connections should have been told to go by now.
func (s *stopState) due(now int64) int {
	if spent := now - s.from; !s.final && spent < int64(s.over) {
		return int(float64(s.all) * float64(spent) / float64(s.over))
	}
	return math.MaxInt
}

// stopConn ends one connection because the tracker stops.
func (s *Shard) stopConn(i uint32, c *conn.Conn) {
	switch {
	case c.State() == conn.Free || c.State() == conn.Closed:
	case s.chores.stop.final:
		s.endNow(i, c, s.chores.stop.why, true)
	default:
		s.endStopping(i, c)
	}
}
