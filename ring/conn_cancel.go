package ring

// This file owns the cancels that end a send or a receive while the connection stays.
//
// A cancel can miss. It answers EALREADY where a worker thread of the kernel executes the request, which the signal to
// that thread normally ends, and ENOENT where the request is between its wait and its next try. Such a request may then
// wait once more. So the ring cancels it again at each tick until it has come back.
//
// A cancel can also come too late and meet the next request of the same name. That one ends as if it were interrupted:
// a receive is started again, and a send reports that nothing was taken.

// cancelSend obeys OpCancelSend.
func (r *Ring) cancelSend(s Slot) {
	c := r.named(s)
	if c.flags&flagSending == 0 || c.flags&flagCancelling != 0 {
		return
	}
	c.flags |= flagCancelling
	r.cancel(userData(kindSend, c.gen, s.Index))
	r.cancels = append(r.cancels, s)
}

// cancelReceive cancels what may be in flight for a receive.
func (r *Ring) cancelReceive(i uint32, c *conn) {
	r.cancel(userData(kindReceive, c.gen, i))
	if !r.plan.Use[BufferRing] {
		r.cancel(userData(kindPoll, c.gen, i))
	}
}

// cancelAgain repeats the cancels of the requests that have not come back. It is called at each tick.
func (r *Ring) cancelAgain() {
	kept := r.cancels[:0]
	for _, s := range r.cancels {
		c := &r.conns[s.Index]
		if c.gen != s.Gen {
			continue
		}
		send := c.flags&flagCancelling != 0
		receive := c.flags&flagPausing != 0 && c.receiving() > 0
		if send {
			r.cancel(userData(kindSend, c.gen, s.Index))
		}
		if receive {
			r.cancelReceive(s.Index, c)
		}
		if send || receive {
			kept = append(kept, s)
		}
	}
	r.cancels = kept
}
