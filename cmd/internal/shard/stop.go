package shard

import (
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
)

// This file stops a shard gracefully: the door closes, each client is told to go, and connections that have not ended when
// the time is up are dropped.

// stopState is how far a graceful stop has come.
type stopState struct {
	begun     bool
	listening bool   // the listeners are still to be closed
	final     bool   // time is up: the remaining connections are dropped
	told      uint32 // in this pass, indices below it have been dealt with
	deadline  int64  // nanoseconds at which time is up
}

// maxToldPerStep bounds how many clients one Step says goodbye to.
const maxToldPerStep = 512

// Stop begins a graceful stop at the next Step: no connection is accepted, each client gets close code 1001, and those
// that have not left after Options.ShutdownTimeout are dropped. It is called between two Steps, by the loop's thread.
func (s *Shard) Stop() {
	if s.chores.stop.begun {
		return
	}
	s.door.Close()
	s.turn.NoteOrder(conn.OrderStop)
	s.chores.stop = stopState{
		begun:     true,
		listening: true,
		deadline:  s.turn.Nanos + int64(s.opt.ShutdownTimeout)*int64(time.Second),
	}
}

// Stopped reports whether a stop has been asked for and no connection is left or on its way here.
func (s *Shard) Stopped() bool {
	return s.chores.stop.begun && !s.chores.stop.listening && s.table.Live() == 0 && s.mover.CloseUp()
}

// stopSlice ends the next connections because the tracker stops.
func (s *Shard) stopSlice() {
	if !s.chores.stop.begun {
		return
	}
	if s.chores.stop.listening {
		s.chores.stop.listening = false
		s.turn.Do(ring.Op{Kind: ring.OpStopAccept})
	}
	if !s.chores.stop.final && s.turn.Nanos >= s.chores.stop.deadline {
		s.chores.stop.final, s.chores.stop.told = true, 0
	}
	for n := 0; s.chores.stop.told < s.table.Used() && n < maxToldPerStep; n++ {
		s.stopConn(s.chores.stop.told, s.table.At(s.chores.stop.told))
		s.chores.stop.told++
	}
	s.turn.More = s.turn.More || s.chores.stop.told < s.table.Used()
}

// stopConn ends one connection because the tracker stops.
func (s *Shard) stopConn(i uint32, c *conn.Conn) {
	switch {
	case c.State() == conn.Free || c.State() == conn.Closed:
	case s.chores.stop.final:
		s.endNow(i, c, conn.ReasonStopping, true)
	default:
		s.endStopping(i, c)
	}
}
