package ring

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the two queues shared with the kernel: entries go out, completions come in.

const (
	cqeMore     = giouring.CQEFMore
	cqeBuffer   = giouring.CQEFBuffer
	cqeNonEmpty = giouring.CQEFSockNonempty // the socket has more bytes (since kernel 5.19)
)

// submitTries bounds the rounds in which a full queue is submitted to make room.
const submitTries = 1000

// entry returns the next free submission entry, zeroed (a stale field of its last use would be obeyed), and counts a
// request in flight.
func (r *Ring) entry(data uint64) *SQE {
	r.room(1)
	return r.nextEntry(data)
}

func (r *Ring) nextEntry(data uint64) *SQE {
	e := &r.mem.SQEs[r.sqTail&uint32(len(r.mem.SQEs)-1)]
	*e = SQE{UserData: data}
	r.sqTail++
	r.inflight++
	return e
}

// room makes sure that n entries are free, so that n linked entries are not parted by a submission.
func (r *Ring) room(n uint32) {
	entries := uint32(len(r.mem.SQEs))
	for range submitTries {
		if entries-(r.sqTail-atomic.LoadUint32(r.mem.SQHead)) >= n {
			return
		}
		if r.broken == nil {
			r.flush()
		}
		if r.broken != nil {
			// Nothing reaches the kernel any more: the entries are written over.
			r.sqTail = atomic.LoadUint32(r.mem.SQHead)
		}
	}
	r.broken = errQueueStuck
	r.sqTail = atomic.LoadUint32(r.mem.SQHead)
}

// flush submits without waiting. Kernels before 5.19 refuse with EBUSY while completions overflow: those in the queue
// are set aside to make room for them.
func (r *Ring) flush() {
	r.publishHead()
	r.provides = 0 // their completions may be taken out of the queue before the next wait: it must not count on them
	switch errno := r.enterOnce(0, Hold{}); unix.Errno(errno) {
	case 0, unix.EINTR, unix.ETIME:
	case unix.EBUSY, unix.EAGAIN:
		r.setAside()
	default:
		r.breakDown(errno)
	}
}

var errQueueStuck = errors.New("cannot submit to a ring: the kernel takes no more requests")

func (r *Ring) breakDown(errno Errno) {
	r.broken = fmt.Errorf("cannot enter the ring: %w", errno)
}

// enterOnce is one system call. It submits all entries; the kernel may take fewer.
func (r *Ring) enterOnce(wait uint32, h Hold) Errno {
	atomic.StoreUint32(r.mem.SQTail, r.sqTail)
	r.stats.Enters++
	_, errno := r.k.Enter(r.sqTail-atomic.LoadUint32(r.mem.SQHead), wait, h)
	return errno
}

// completions returns how many are in the queue.
func (r *Ring) completions() uint32 { return atomic.LoadUint32(r.mem.CQTail) - r.cqHead }

func (r *Ring) publishHead() { atomic.StoreUint32(r.mem.CQHead, r.cqHead) }

func (r *Ring) setAside() {
	for r.completions() > 0 {
		r.backlog = append(r.backlog, r.mem.CQEs[r.cqHead&uint32(len(r.mem.CQEs)-1)])
		r.cqHead++
	}
	r.publishHead()
}

// next takes the oldest completion.
func (r *Ring) next() (c CQE, ok bool) {
	if r.backlogAt < len(r.backlog) {
		c = r.backlog[r.backlogAt]
		r.backlogAt++
		return c, true
	}
	r.backlog, r.backlogAt = r.backlog[:0], 0
	if r.completions() == 0 {
		return c, false
	}
	c = r.mem.CQEs[r.cqHead&uint32(len(r.mem.CQEs)-1)]
	r.cqHead++
	return c, true
}

// walk turns completions into events, at most twice the queue's size, so that a round ends.
func (r *Ring) walk(events []Event) []Event {
	for range 2 * len(r.mem.CQEs) {
		c, ok := r.next()
		if !ok {
			break
		}
		if c.Flags&cqeMore == 0 && c.UserData>>kindShift != kindMessage {
			r.inflight--
		}
		events = r.complete(events, c)
	}
	r.publishHead()
	r.stats.CQOverflows = uint64(atomic.LoadUint32(r.mem.CQOverflow))
	return events
}

func (r *Ring) complete(events []Event, c CQE) []Event {
	switch c.UserData >> kindShift {
	case kindReceive:
		return r.onReceive(events, c)
	case kindSend:
		return r.onSend(events, c)
	case kindAccept:
		return r.onAccept(events, c)
	case kindPoll:
		return r.onPoll(events, c)
	case kindTick:
		return r.onTick(events)
	case kindWakeRead:
		r.onWakeRead()
	case kindMessage:
		r.woken = true
	case kindNotify:
		r.onNotify(c)
	case kindProvide:
		r.onProvide(c)
	case kindConnect:
		return r.onConnect(events, c)
	case kindCancel: // the cancelled request reports by itself
	default:
		r.stats.StaleCompletions++
	}
	return events
}

// cancel ends another request of this ring by its name. That request reports by itself; one that is gone does no harm.
func (r *Ring) cancel(target uint64) {
	fillCancel(r.entry(userData(kindCancel, 0, 0)), target)
}
