package ring

import (
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// This file owns the wait for completions: the one system call of a round.
//
// How a loop waits decides its cost in Go. The loop's goroutine is locked to its thread and enters the kernel by
// RawSyscall6, blocking: the runtime does not learn that the thread sleeps, and so does not take its P away and give
// it back around every wait (measured: 1.3 to 2.3 times the CPU per message otherwise). Three rules follow.
//
//   - GOMAXPROCS must be at least the number of rings plus one. With as many Ps as rings the garbage collector finds no
//     P to start a worker on, and the process hangs.
//   - The runtime interrupts a thread that should stop by a signal, which ends the wait with EINTR; Wait then calls
//     runtime.Gosched, the safe point. When nothing has happened since the last interruption, the ring is idle: it sleeps
//     in the runtime's poller (uring_park.go) until something but its timer comes. A wait that ends by itself does not.
//   - GODEBUG=asyncpreemptoff=1 turns that signal off. Then every wait gives the P up.

// preemptionOff reports whether a GODEBUG setting turns the runtime's preemption signal off. The last value counts.
func preemptionOff(godebug string) bool {
	off := false
	for _, setting := range strings.Split(godebug, ",") {
		if v, ok := strings.CutPrefix(setting, "asyncpreemptoff="); ok {
			off = v == "1"
		}
	}
	return off
}

func environmentPreemptionOff() bool { return preemptionOff(os.Getenv("GODEBUG")) }

// longWait is the timeout beside a min_wait: a wait without an end returns every period.
const longWait = time.Hour

// enter submits everything and waits by the recipe above.
func (r *Ring) enter(w Window) {
	wait, hold := r.hold(w)
	r.publishHead()
	r.provides = 0
	lively := false
	for {
		h := hold
		h.GiveUpP = wait > 0 && r.alwaysGiveUpP
		h.Park = wait > 0 && r.quiet && !lively && !hold.ends()
		errno := r.enterOnce(wait, h)
		switch unix.Errno(errno) {
		case 0, unix.EINTR:
		case unix.ETIME, unix.EBUSY, unix.EAGAIN:
			return
		default:
			r.breakDown(errno)
			return
		}
		if wait == 0 || r.completions() > 0 {
			return
		}
		// The runtime interrupted the wait because it wants this thread to stop for a moment.
		runtime.Gosched()
		lively, r.quiet = !r.quiet, true
	}
}

// gatherMost is about how many completions a round for a single event brings, beside those of requests that complete at
// once. It bounds the Step that follows. A loop that is short of CPU asks for as many by itself: see [Pacer].
const gatherMost = batchEvents

// leastWork is IO_LOCAL_TW_DEFAULT_MAX: the pieces of work that a call runs, where it does not wait for more.
const leastWork = 20

// gather has the kernel do more of the work that is due. Since Linux 6.13 a call runs 20 pieces of the deferred work
// (DEFER_TASKRUN), or as many as it waits for, and a wait for a single event leaves the rest. Then a message stood behind
// a whole Step for each 20 before it: for 20 ms and more while 2,000 clients came at once (bench/results/tried.md). Each
// piece may be a receive, so there are no more of them than receive buffers.
func (r *Ring) gather(w Window) {
	if w.Min > 1 {
		return
	}
	for range min(gatherMost, r.plan.ReceiveBuffers)/leastWork - 1 {
		if !r.k.Pending() {
			return
		}
		r.stats.Gathers++
		if r.enterOnce(0, Hold{}) != 0 {
			return
		}
	}
}

// ends reports whether a wait ends without a completion.
func (h Hold) ends() bool { return h.Timeout > 0 && h.MinWait == 0 }

// hold translates a window into the arguments that the plan's kernel knows. Without a timeout argument a wait is never
// for more than one completion beyond those that are sure to come. A TIMEOUT request would not end it safely: its
// completion wakes a thread that waits (cq_timeouts in io_should_wake), but a thread that is late finds it in the queue
// already.
func (r *Ring) hold(w Window) (wait uint32, h Hold) {
	due := len(r.joined) + len(r.unconnected) + len(r.paused) + len(r.adopted) + len(r.backlog) - r.backlogAt
	if due > 0 || r.parkHead != noSlot || w.Min <= 0 {
		return 0, h
	}
	provides := uint32(r.provides)
	if w.Min == 1 || w.Max <= 0 || r.plan.MaxBatchDelay <= 0 {
		return 1 + provides, h
	}
	wait = uint32(min(w.Min+int(provides), len(r.mem.CQEs)))
	delay := min(w.Max, r.plan.MaxBatchDelay)
	if r.plan.Use[MinWait] {
		return wait, Hold{MinWait: max(delay, time.Microsecond), Timeout: longWait}
	}
	return wait, Hold{Timeout: delay}
}
