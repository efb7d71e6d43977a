package tlsconn

// This file owns the handshakes of an engine that have begun and not ended: how many there may be, whose turn it is, who
// gives way when they are too many, and how long one may wait for its client.

// queue is a list of handshakes. Each is in one queue at most.
type queue struct {
	first, last *handshake
}

// push adds hs behind all that have a smaller ticket or the same. It looks from the end, where mostly its place is.
func (q *queue) push(hs *handshake) {
	after := q.last
	for after != nil && after.ticket > hs.ticket {
		after = after.prev
	}
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

// turns says whose turn it is. A handshake that has begun goes before one that has not: it will soon hold nothing more.
type turns struct {
	fresh    queue // have not begun to compute
	answered queue // have bytes from their clients, or an error
	waiting  queue // for their clients, in the order of our flights
	places   int   // that are taken, [EngineOptions.MaxInFlight] at most
	ticket   uint64
}

// next returns the handshake whose turn it is and takes it out of its queue, nil where all wait for their clients.
func (t *turns) next() *handshake {
	hs := t.answered.first
	if hs == nil {
		hs = t.fresh.first
	}
	if hs != nil {
		hs.leave()
	}
	return hs
}

// stamp makes hs the latest of all.
func (t *turns) stamp(hs *handshake) {
	t.ticket++
	hs.ticket = t.ticket
}

// InFlight returns how many handshakes have places.
func (e *Engine) InFlight() int { return e.turns.places }

// Ready reports whether a handshake can go on: see [Engine.Compute].
func (e *Engine) Ready() bool { return e.turns.answered.first != nil || e.turns.fresh.first != nil }

// Compute goes on with one handshake until it needs more bytes of its client, or ends. That takes from some microseconds
// to some hundred, and a millisecond and more with a signature of RSA. The connection with the handle then has output for
// [Conn.Drain], or has data, or has failed. ok is false where all handshakes wait for their clients.
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
		e.turns.waiting.push(hs)
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
	if e.turns.places >= e.opt.MaxInFlight && !e.supplant() {
		return nil, ErrPoolFull
	}
	e.turns.places++
	hs.placed = true
	e.turns.stamp(hs)
	e.turns.fresh.push(hs)
	return hs, nil
}

// supplant takes the place of the handshake that has waited longest for its client. It ends in its next turn.
func (e *Engine) supplant() bool {
	oldest := e.turns.waiting.first
	if oldest == nil {
		return false
	}
	e.giveBack(oldest)
	oldest.pipe.broken = ErrPoolFull
	oldest.answer()
	return true
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
	if t := &hs.engine.turns; hs.queue == &t.waiting {
		hs.leave()
		t.answered.push(hs)
	}
}

// abandon ends a handshake now, with err where crypto/tls reads next. Its stack is free afterwards.
func (e *Engine) abandon(hs *handshake, err error) {
	hs.leave()
	if hs.pipe.broken == nil {
		hs.pipe.broken = err
	}
	if hs.coroutine == nil { // it has not computed yet
		hs.done, hs.err = true, hs.pipe.broken
		e.giveBack(hs)
		return
	}
	if e.resume(hs); !hs.done {
		panic("BUG: a handshake goes on behind an error of its connection")
	}
}

// Expire ends the connection with [ErrTimeout] if its handshake, or its client's answer to our flight, takes longer than
// it may. It returns [Conn.Err]. A handshake that can go on is not late.
func (c *Conn) Expire() error {
	if c.state != stateHandshaking || c.hs.queue != &c.engine.turns.waiting {
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
	for _, q := range []*queue{&e.turns.fresh, &e.turns.answered, &e.turns.waiting} {
		for q.first != nil {
			q.first.conn.endHandshake(ErrClosed)
		}
	}
	for _, co := range e.idle {
		co.stop()
	}
	e.idle = nil
}
