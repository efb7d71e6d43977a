package ring

// This file owns the connection table: places, and the names by which ops and completions find them.

// noSlot is no place of the table.
const noSlot = ^uint32(0)

// conn is one place of the connection table: a descriptor and which requests are in flight on it. No pointers.
type conn struct {
	fd      int32
	gen     uint32 // 24 bits, never 0; tells the successive users of the place apart
	next    uint32 // in the free list or the parking list
	prev    uint32 // in the parking list
	asked   uint32 // bytes of the send in flight; the tag of a connect
	flags   uint8
	pending uint8     // requests whose last completion has not been walked
	state   connState // changed by endStep only
}

// The flags say which requests are under way on a connection; connState (end.go) says how far it has come.
const (
	flagSending    = 1 << iota // a send is in flight
	flagConnecting             // a connect is in flight
	flagParked                 // waits for a receive buffer
	flagPausing                // OpPause was given: no receive is started
	flagSingle                 // it was paused: no receive is a multishot one before its socket is empty
	flagCancelling             // OpCancelSend was given for the send in flight
)

func (r *Ring) initConns(n int) {
	r.conns = make([]conn, n)
	for i := range r.conns {
		r.conns[i] = conn{fd: -1, gen: 1, next: uint32(i + 1), state: connFree}
	}
	r.conns[n-1].next = noSlot
}

// take gives a descriptor the place that was freed last, whose cache lines are the warmest. There must be a free one.
func (r *Ring) take(fd int32, e endEvent) (uint32, *conn) {
	i := r.freeHead
	c := &r.conns[i]
	c.endStep(e)
	r.freeHead = c.next
	*c = conn{fd: fd, gen: c.gen, state: c.state}
	r.stats.Connections++
	return i, c
}

// release frees a place under a new name. The descriptor is the caller's concern.
func (r *Ring) release(i uint32, e endEvent) {
	c := &r.conns[i]
	c.endStep(e)
	gen := (c.gen + 1) & genMask
	if gen == 0 {
		gen = 1
	}
	*c = conn{fd: -1, gen: gen, next: r.freeHead, state: c.state}
	r.freeHead = i
	r.stats.Connections--
}

// named returns the connection that an op names.
func (r *Ring) named(s Slot) *conn {
	if int(s.Index) < len(r.conns) {
		if c := &r.conns[s.Index]; c.gen == s.Gen && c.state.nameable() {
			return c
		}
	}
	panic("BUG: ring: an op names a connection that is closed")
}

// completed returns the connection of a completion, or nil if it is gone, and counts the request's end.
func (r *Ring) completed(cqe CQE) (uint32, *conn) {
	i := uint32(cqe.UserData)
	gen := uint32(cqe.UserData>>genShift) & genMask
	if int(i) >= len(r.conns) || r.conns[i].gen != gen || r.conns[i].state == connFree {
		r.stats.StaleCompletions++
		return 0, nil
	}
	c := &r.conns[i]
	if cqe.Flags&cqeMore == 0 {
		c.pending--
	}
	return i, c
}
