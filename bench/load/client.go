package load

// This file holds the state of one client, the schedule of all announces of a worker, and the timers.

import (
	"time"

	"millrace/ring"
	"millrace/ring/pool"
)

// clientState is where a client is in its life.
type clientState uint8

const (
	stateAbsent     clientState = iota // it has no connection
	stateConnecting                    // the kernel opens one
	stateSecuring                      // TLS handshake
	stateUpgrading                     // the WebSocket request is sent
	stateOpen
	stateLeaving // it has announced its stop, and reads until the tracker closes
	stateClosing // the ring has been asked to close
)

// connected reports whether the client has a connection that ops may name.
func (s clientState) connected() bool {
	return s != stateAbsent && s != stateConnecting && s != stateClosing
}

// client is one of a worker's clients. There may be very many, so it holds no pointers. Its buffers are pieces of
// pools, and it has them only while they hold something.
type client struct {
	slot ring.Slot

	since time.Duration // before it is open: when it began to connect; leaving: when it stops waiting

	seq    uint32 // of its next announce
	oldest uint32 // no announce before this one waits for a reply
	first  uint32 // its first announce on this connection
	heard  uint32 // when a message last came, in milliseconds of the run's clock

	pending, flight, part          pool.Buf // to be sent; being sent; a frame or head of which the rest is missing
	pendingLen, partLen            uint32
	flightLen, flightAt, closeCode uint32

	windowLen uint32 // bytes of the tracker's compressed stream that are kept
	deflate   agreement

	incarnation uint16
	state       clientState
	tries       uint8 // openings that failed in a row
	passed      uint8 // announces that no longer wait for their reply, which may still come
	dirty       bool  // it is in the worker's list of those with something to send
	sealed      bool  // the pending bytes are TLS records already
	blocked     bool  // a pending buffer could not be had
}

// waiting returns how many announces may be without a reply: those since the oldest.
func (c *client) waiting() uint32 { return c.seq - c.oldest }

// isOpening reports whether the client counts as one that is being opened.
func (c *client) isOpening() bool {
	return c.state == stateConnecting || c.state == stateSecuring || c.state == stateUpgrading
}

// schedule is the order in which the clients of a worker announce in an open loop: each once in an interval, all of
// them evenly spread over it. The times are fixed in advance and do not depend on the tracker.
type schedule struct {
	order    []uint32 // clients by phase
	at       int      // in order: whose turn is next
	cycle    int64
	start    time.Duration
	interval time.Duration
	step     time.Duration // between two of this worker
	offset   time.Duration // of this worker
}

// newSchedule makes the schedule of worker number of workers. order lists its clients.
func newSchedule(order []uint32, number, workers, connections int, interval time.Duration) *schedule {
	return &schedule{
		order:    order,
		interval: interval,
		step:     interval * time.Duration(workers) / time.Duration(connections),
		offset:   interval * time.Duration(number) / time.Duration(connections),
	}
}

// next returns the time at which the next announce is due.
func (s *schedule) next() time.Duration {
	return s.start + time.Duration(s.cycle)*s.interval + time.Duration(s.at)*s.step + s.offset
}

// take returns the client of the next announce, and goes on to the one after it.
func (s *schedule) take() uint32 {
	c := s.order[s.at]
	if s.at++; s.at == len(s.order) {
		s.at = 0
		s.cycle++
	}
	return c
}

// timer is a moment at which something is to happen to a client.
type timer struct {
	at     time.Duration
	client uint32
	token  uint32 // a timer with an old token no longer applies
}

// timers is a binary heap of timers, the earliest first.
type timers []timer

func (h *timers) push(t timer) {
	*h = append(*h, t)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if s[parent].at <= s[i].at {
			break
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
}

func (h *timers) pop() timer {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if s[child].at < s[least].at {
				least = child
			}
		}
		if least == i {
			return top
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}
