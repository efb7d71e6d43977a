package tlsconn

// This file owns the handshakes of an engine that have begun and not ended: how many there may be, whose turn it is, who
// gives way when they are too many, and how long one may wait for its client.

import "time"

// queue is a list of handshakes. Each is in one queue at most.
type queue struct {
	first, last *handshake
	length      int
}

// push adds hs behind all that have a smaller ticket or the same. It looks from the end, where mostly its place is.
func (q *queue) push(hs *handshake) {
	after := q.last
	for after != nil && after.ticket > hs.ticket {
		after = after.prev
	}
	q.length++
	hs.queue, hs.prev, hs.next = q, after, q.first
	if after != nil {
		hs.next = after.next
		after.next = hs
	} else {
		q.first = hs
	}
	if hs.next != nil {
		hs.next.prev = hs
	} else {
		q.last = hs
	}
}

// leave takes hs out of its queue, if it is in one.
func (hs *handshake) leave() {
	q := hs.queue
	if q == nil {
		return
	}
	q.length--
	if hs.prev != nil {
		hs.prev.next = hs.next
	} else {
		q.first = hs.next
	}
	if hs.next != nil {
		hs.next.prev = hs.prev
	} else {
		q.last = hs.prev
	}
	hs.queue, hs.prev, hs.next = nil, nil, nil
}

// turns says whose turn it is. A handshake that has begun to compute goes before one that has not: it will soon hold
// nothing more.
//
// One that waits for its client holds 20 times the memory of one that has not computed. So a storm of clients does not
// compute all of its first flights before their answers are due: with maxYoung of them under way the others keep to
// their ClientHellos, until answers come or [patience] is over.
type turns struct {
	fresh    queue // have not begun to compute
	answered queue // have bytes from their clients, or an error
	young    queue // wait for their clients, for less than patience
	old      queue // wait for their clients, for longer: both in the order of our flights
	bytes    int   // of the ClientHellos of fresh, [EngineOptions.MaxFresh] at most
	places   int   // of those that compute or wait for their clients, [EngineOptions.MaxInFlight] at most
	ticket   uint64
}

// With a round trip of less than patience maxYoung is no limit below 2,500 handshakes a second, and a loop makes fewer.
// Clients that are further away, or do not answer, delay the others by no more than patience.
const (
	maxYoung = 128
	patience = 50 * time.Millisecond
)

// ready reports whether a handshake can go on.
func (t *turns) ready() bool {
	return t.answered.first != nil || t.fresh.first != nil && t.young.length < maxYoung
}

// next returns the handshake whose turn it is and takes it out of its queue, nil where there is none.
func (t *turns) next() *handshake {
	hs := t.answered.first
	switch {
	case hs != nil:
		hs.leave()
	case t.ready():
		hs = t.fresh.first
		t.unfresh(hs)
	}
	return hs
}

// unfresh takes hs out of the handshakes that have not computed.
func (t *turns) unfresh(hs *handshake) {
	hs.leave()
	t.bytes -= len(hs.pipe.in)
}

// await puts hs among those that wait for their clients.
func (t *turns) await(hs *handshake, now time.Duration) {
	if now-hs.flown < patience {
		t.young.push(hs)
	} else {
		t.old.push(hs)
	}
}

// age moves those that have waited for patience.
func (t *turns) age(now time.Duration) {
	for hs := t.young.first; hs != nil && now-hs.flown >= patience; hs = t.young.first {
		hs.leave()
		t.old.push(hs)
	}
}

// waits reports whether hs waits for its client.
func (hs *handshake) waits() bool {
	t := &hs.engine.turns
	return hs.queue == &t.young || hs.queue == &t.old
}

// stamp makes hs the latest of all.
func (t *turns) stamp(hs *handshake) {
	t.ticket++
	hs.ticket = t.ticket
}

// InFlight returns how many handshakes have computed and not ended.
func (e *Engine) InFlight() int { return e.turns.places }

// Fresh returns how many handshakes have not computed yet.
func (e *Engine) Fresh() int { return e.turns.fresh.length }

// Ready reports whether a handshake can go on: see [Engine.Compute]. It may change with [Engine.SetTime].
func (e *Engine) Ready() bool { return e.turns.ready() }

// Compute goes on with one handshake until it needs more bytes of its client, or ends. That takes from some microseconds
// to some hundred, and a millisecond and more with a signature of RSA. The connection with the handle then has output for
// [Conn.Drain], or has data, or has failed. ok is false where no handshake can go on.
func (e *Engine) Compute() (h Handle, ok bool) {
	hs := e.turns.next()
	if hs == nil {
		return 0, false
	}
	c := hs.conn
	e.resume(hs)
	c.adopt()
	return c.handle, true
}

// resume runs hs until it waits or is done.
func (e *Engine) resume(hs *handshake) {
	if hs.coroutine == nil {
		e.takePlace(hs)
		hs.coroutine, hs.flown = e.coroutine(hs), e.now
		hs.pipe.wait = hs.coroutine.wait
	}
	co, before := hs.coroutine, len(hs.pipe.out)
	e.computing = hs
	co.resume()
	e.computing = nil
	switch {
	case hs.done:
		hs.coroutine = nil
		e.rest(co)
		e.giveBack(hs)
	case len(hs.pipe.out) > before: // our flight: the client's time to answer begins
		e.turns.stamp(hs)
		hs.flown = e.now
		fallthrough
	default:
		e.turns.await(hs, e.now)
	}
}

// begin starts a handshake with its first bytes.
func (e *Engine) begin(c *Conn, first []byte) (*handshake, error) {
	if e.closed {
		return nil, ErrClosed
	}
	hs := &handshake{engine: e, conn: c, begun: e.now}
	if err := hs.pipe.feed(first); err != nil {
		return nil, err
	}
	if e.turns.bytes+len(hs.pipe.in) > e.opt.MaxFresh {
		return nil, ErrPoolFull
	}
	e.turns.bytes += len(hs.pipe.in)
	e.turns.stamp(hs)
	e.turns.fresh.push(hs)
	return hs, nil
}

// more takes further bytes of a client, and gives its handshake a turn if it waited for them.
func (e *Engine) more(hs *handshake, data []byte) error {
	t := &e.turns
	fresh := hs.queue == &t.fresh
	if fresh && t.bytes+len(data) > e.opt.MaxFresh {
		return ErrPoolFull
	}
	if err := hs.pipe.feed(data); err != nil {
		return err
	}
	if fresh {
		t.bytes += len(data)
	}
	hs.answer()
	return nil
}

// takePlace gives a place to a handshake that begins to compute, if need be that of the one that has waited longest for
// its client. That one ends in its next turn. There is one, or there would be no turn: all places but one are of
// handshakes that wait.
func (e *Engine) takePlace(hs *handshake) {
	if e.turns.places >= e.opt.MaxInFlight {
		oldest := e.turns.old.first
		if oldest == nil {
			oldest = e.turns.young.first
		}
		e.giveBack(oldest)
		oldest.pipe.broken = ErrPoolFull
		oldest.answer()
	}
	e.turns.places++
	hs.placed = true
}

// giveBack frees the place of a handshake, unless another has it.
func (e *Engine) giveBack(hs *handshake) {
	if hs.placed {
		hs.placed = false
		e.turns.places--
	}
}

// answer gives hs a turn, if it has none.
func (hs *handshake) answer() {
	if hs.waits() {
		hs.leave()
		hs.engine.turns.answered.push(hs)
	}
}

// abandon ends a handshake now, with err where crypto/tls reads next. Its stack is free afterwards.
func (e *Engine) abandon(hs *handshake, err error) {
	if hs.coroutine == nil { // it has not computed yet
		e.turns.unfresh(hs)
		hs.done, hs.err = true, err
		return
	}
	hs.leave()
	if hs.pipe.broken == nil {
		hs.pipe.broken = err
	}
	if e.resume(hs); !hs.done {
		panic("BUG: a handshake goes on behind an error of its connection")
	}
}

// Expire ends the connection with [ErrTimeout] if its handshake, or its client's answer to our flight, takes longer than
// it may. It returns [Conn.Err]. A handshake that can go on is not late.
func (c *Conn) Expire() error {
	if c.state != stateHandshaking || !c.hs.waits() {
		return c.err
	}
	hs, e := c.hs, c.engine
	if e.now-hs.begun > e.opt.Timeout || e.now-hs.flown > e.opt.FirstFlight {
		c.endHandshake(ErrTimeout)
	}
	return c.err
}

// Close ends all handshakes with [ErrClosed] and frees their stacks. Later handshakes fail with the same error. It is
// called by the event loop's thread; connections that are open go on.
func (e *Engine) Close() {
	e.closed = true
	for _, q := range []*queue{&e.turns.fresh, &e.turns.answered, &e.turns.young, &e.turns.old} {
		for q.first != nil {
			q.first.conn.endHandshake(ErrClosed)
		}
	}
	for _, co := range e.idle {
		co.stop()
	}
	e.idle = nil
}
