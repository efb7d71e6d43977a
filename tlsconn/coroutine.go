package tlsconn

// This file owns the coroutines: stacks on which crypto/tls computes, one handshake after the other, and stops where the
// client's next bytes are missing.

import "iter"

// maxIdleCoroutines bounds the coroutines of an engine that wait for a handshake. Each has a stack of up to 32 KiB.
const maxIdleCoroutines = 16

// coroutine is a stack for handshakes. It runs on the thread that resumes it, which is always the same: Go does not let
// a coroutine change threads where the thread is locked.
type coroutine struct {
	hs     *handshake // the one it computes
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
}

// coroutine returns a coroutine that computes hs when it is resumed.
func (e *Engine) coroutine(hs *handshake) *coroutine {
	if n := len(e.idle); n > 0 {
		co := e.idle[n-1]
		e.idle = e.idle[:n-1]
		co.hs = hs
		return co
	}
	co := &coroutine{hs: hs}
	co.resume, co.stop = iter.Pull(co.run)
	return co
}

// run computes a handshake each time that it is resumed after the end of the one before.
func (co *coroutine) run(yield func(struct{}) bool) {
	co.yield = yield
	for {
		reserveStack(0)
		co.hs.result, co.hs.err = co.hs.compute()
		co.hs.done, co.hs = true, nil
		if !yield(struct{}{}) {
			return
		}
	}
}

// wait gives the thread back until the next resume. A handshake is ended before its coroutine is stopped.
func (co *coroutine) wait() {
	if !co.yield(struct{}{}) {
		panic("BUG: a coroutine is stopped in a handshake")
	}
}

// rest takes back a coroutine whose handshake is done.
func (e *Engine) rest(co *coroutine) {
	if len(e.idle) < maxIdleCoroutines {
		e.idle = append(e.idle, co)
		return
	}
	co.stop()
}

// stackNeeded is the size of a handshake's stack with the costliest key exchange, in bytes.
const stackNeeded = 16 << 10

// reserveStack makes the coroutine's stack as large as a handshake needs, while it is almost empty. Otherwise the stack
// doubles several times, and each time all frames of the handshake are copied and their pointers corrected.
//
//go:noinline
func reserveStack(i int) byte {
	var room [stackNeeded]byte
	return room[i]
}
