package load

// This file makes the clients speak: announces when they are due, answers to offers, and the sends that carry them.

import (
	"time"

	"millrace/ring"
	"millrace/ring/pool"
)

// fire makes all announces that are due, in an open loop.
func (w *worker) fire() {
	if w.timeline == nil || w.config.Loop == "closed" || w.config.OnlyOnce || w.ended || len(w.schedule.order) == 0 {
		return
	}
	for range maxFire {
		due := w.schedule.next()
		if due > w.now || due >= w.timeline.end {
			return
		}
		i := w.schedule.take()
		if w.clients[i].state != stateOpen {
			continue
		}
		if w.now-due > lateFrom {
			w.lost.late++
		}
		w.request(i, due)
	}
	w.more = true
}

// startClosed begins the closed loop: every client that is open announces until as many are unanswered as are allowed.
func (w *worker) startClosed() {
	for i := range w.clients {
		w.keepBusy(uint32(i))
	}
}

// keepBusy announces, in a closed loop, for each reply that a client has got.
func (w *worker) keepBusy(i uint32) {
	c := &w.clients[i]
	if w.timeline == nil || w.config.Loop != "closed" {
		return
	}
	for c.state == stateOpen && !w.ended && !c.blocked && c.waiting() < uint32(w.config.InFlight) {
		before := c.seq
		if w.request(i, w.now); c.seq == before {
			return
		}
	}
}

// giveUp lets clients of a closed loop go on that have neither sent nor received anything for long. Otherwise each lost
// reply would take a client out of the load, until none is left. The missing reply is reported all the same, unless it
// comes later.
func (w *worker) giveUp() {
	if w.timeline == nil || w.config.Loop != "closed" || w.ended || w.now < w.looked+lookEvery {
		return
	}
	w.looked = w.now
	for i := range w.clients {
		c := &w.clients[i]
		if c.state != stateOpen || c.waiting() < uint32(w.config.InFlight) {
			continue
		}
		g := w.global(uint32(i))
		last := time.Duration(c.heard) * time.Millisecond
		if r := w.books.known(g, c.seq-1); r != nil {
			last = max(last, time.Duration(r.due.Load()))
		}
		if w.now-last <= replyPatience {
			continue
		}
		for seq := c.oldest; seq != c.seq; seq++ {
			w.pass(uint32(i), w.books.known(g, seq))
		}
		w.resolved(uint32(i))
	}
}

// request announces, and scrapes in the configured proportion.
func (w *worker) request(i uint32, due time.Duration) {
	if share := w.config.Scrapes; share > 0 && share < 1 {
		for w.scrapes += share / (1 - share); w.scrapes >= 1; w.scrapes-- {
			w.scrape(i)
		}
	} else if share >= 1 {
		w.scrape(i)
		return
	}
	w.announce(i, due)
}

// announce sends the client's next announce. It is left out, and counted as late, when too many have no reply or the
// tracker does not take the bytes before it: the record of an unanswered announce must not be used again.
func (w *worker) announce(i uint32, due time.Duration) {
	c := &w.clients[i]
	g := w.global(i)
	if c.waiting() >= w.books.history/2 {
		w.passStale(i)
	}
	if c.waiting() >= w.books.history/2 {
		w.counts.Late++
		return
	}
	dst := w.room(i, frameSize(w.books.wire.announce.Size))
	if dst == nil {
		w.counts.Late++
		return
	}
	w.books.settle(g, w.books.record(g, c.seq), &w.counts)
	r := w.books.begin(g, c.seq, c.incarnation, due)
	w.books.asks(g, c.seq, c.first, r, w.now)
	owed := &w.owedBy(i)[int(c.seq)%w.books.places.perConnection]
	r.before, *owed = *owed, 0

	peer := w.books.who.peerID(g, c.incarnation)
	a := announce{
		hash:        &w.books.hashes[w.books.places.torrent(g, c.seq)],
		peer:        &peer,
		connection:  g,
		seq:         c.seq,
		incarnation: c.incarnation,
		seeder:      w.isSeeder(g),
	}
	if c.seq-c.first < uint32(w.books.places.perConnection) {
		a.event = startEvent
	}
	w.wrote(i, w.pack(i, len(dst), w.books.appendAnnounce(dst, &a, w.key())))
	c.seq++
	w.counts.Announces++
	w.counts.OffersSent += uint64(w.books.offers)
}

// inShare decides whether a number belongs to a share of all. The same number always gets the same decision.
func inShare(number uint64, share float64) bool {
	return share >= 1 || float64(number>>11)/(1<<53) < share
}

func (w *worker) isSeeder(connection uint32) bool {
	return inShare(w.books.who.mix(forSeeder, uint64(connection), 0), w.config.Seeders)
}

func (w *worker) scrape(i uint32) {
	c := &w.clients[i]
	dst := w.room(i, frameSize(w.books.wire.scrape.Size))
	if dst == nil {
		w.counts.Late++
		return
	}
	torrent := w.books.places.torrent(w.global(i), c.seq)
	w.wrote(i, w.pack(i, len(dst), w.books.appendScrape(dst, &w.books.hashes[torrent], w.key())))
	w.counts.Scrapes++
}

// answer answers an offer if it belongs to the answered share.
func (w *worker) answer(i uint32, x *relayed) {
	c := &w.clients[i]
	if !inShare(w.books.who.mix(forReply, w.books.who.content(x.offer), 0), w.config.Answers) {
		return
	}
	dst := w.room(i, frameSize(w.books.reply.Size))
	if dst == nil {
		w.lost.unsent++
		return
	}
	me := w.books.who.peerID(w.global(i), c.incarnation)
	w.wrote(i, w.pack(i, len(dst), w.books.appendAnswer(dst, &x.hash, &me, &x.peer, &x.offerID, x.offer, w.key())))
	w.counts.AnswersSent++
	if w.config.AnswerReplies {
		w.owedBy(i)[w.place(i, x.torrent)]++
	}
	if x.record == nil {
		w.counts.AnswersGone++ // its announce is too old to be followed
		return
	}
	x.record.answered.Or(1 << x.offer.number)
}

// owedBy returns, for each torrent of a client, the answers since its last announce that have no reply.
func (w *worker) owedBy(i uint32) []uint32 {
	n := w.books.places.perConnection
	return w.owed[int(i)*n : int(i+1)*n]
}

// place returns the place of a torrent among the client's; 0 where the client does not have it.
func (w *worker) place(i, torrent uint32) int {
	for k, t := range w.books.places.of(w.global(i)) {
		if t == torrent {
			return k
		}
	}
	return 0
}

// room returns the pending bytes of a client with capacity for n more. The caller appends to them and hands them to
// wrote. It is nil when the tracker takes too little, or all memory is in use.
func (w *worker) room(i uint32, n int) []byte {
	c := &w.clients[i]
	need := int(c.pendingLen) + n
	if c.pending != 0 {
		if piece := w.pool.Bytes(c.pending); len(piece) >= need {
			return piece[:c.pendingLen]
		}
	}
	var b pool.Buf
	if need <= maxPending {
		b = w.pool.Get(need)
	}
	if c.blocked = b == 0; c.blocked {
		return nil
	}
	piece := w.pool.Bytes(b)[:c.pendingLen]
	if c.pending != 0 {
		copy(piece, w.pool.Bytes(c.pending))
		w.pool.Put(c.pending)
	}
	c.pending = b
	return piece
}

// wrote takes back the pending bytes that room has lent out.
func (w *worker) wrote(i uint32, pending []byte) {
	c := &w.clients[i]
	c.pendingLen = uint32(len(pending))
	w.soil(i)
}

// soil puts a client into the list of those with something to send.
func (w *worker) soil(i uint32) {
	if c := &w.clients[i]; !c.dirty {
		c.dirty = true
		w.dirty = append(w.dirty, i)
	}
}

// flush sends the pending bytes: for each connection in one piece, and no more than one at a time.
func (w *worker) flush() {
	keep := w.dirty[:0]
	for _, i := range w.dirty {
		c := &w.clients[i]
		c.dirty = false
		if c.flight != 0 || c.pendingLen == 0 || c.state < stateSecuring || c.state == stateClosing {
			continue
		}
		if w.encrypted && !c.sealed && !w.seal(i) {
			c.dirty = true // for want of memory: once more in the next turn
			keep = append(keep, i)
			continue
		}
		c.flight, c.flightLen, c.flightAt = c.pending, c.pendingLen, 0
		c.pending, c.pendingLen, c.sealed = 0, 0, false
		w.send(c)
	}
	w.dirty = keep
}

func (w *worker) send(c *client) {
	data := w.pool.Bytes(c.flight)[c.flightAt:c.flightLen]
	w.ops = append(w.ops, ring.Op{Kind: ring.OpSend, Slot: c.slot, Data: data})
}

// onSent goes on with the bytes that the kernel did not take, or with those that have come since.
func (w *worker) onSent(i uint32, e *ring.Event) {
	c := &w.clients[i]
	w.counts.BytesSent += uint64(e.N)
	c.flightAt += e.N
	if c.state != stateClosing && e.Errno == 0 && c.flightAt < c.flightLen {
		w.send(c)
		return
	}
	w.pool.Put(c.flight)
	c.flight = 0
	if c.pendingLen > 0 && c.state != stateClosing {
		w.soil(i)
	}
	if c.blocked {
		c.blocked = false
		w.keepBusy(i)
	}
}
