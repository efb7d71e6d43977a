package load

// This file lets a connection go on when a reply is lost. Replies are told apart by their order alone. After a loss
// every later reply would be taken for that of the announce before, with a latency that is too long by an interval.

import "time"

// staleAfter is how long an announce waits for its reply before others may pass it.
const staleAfter = 10 * time.Second

// maxPassed bounds how many passed announces of a connection are counted.
const maxPassed = 255

// overtaken takes note of an answer to one of the client's announces. Trackers reply to an announce before or right
// after they relay its offers, and a connection keeps the order. So if an answer to an offer comes before the reply,
// the reply will not come, or was taken for that of an earlier announce or of an answer.
func (w *worker) overtaken(i uint32, x *relayed) {
	if x.record == nil || x.record.state != recordOpen {
		return
	}
	c := &w.clients[i]
	g := w.global(i)
	for seq := c.oldest; seq != x.offer.seq+1; seq++ {
		if w.books.places.torrent(g, seq) == x.torrent {
			w.pass(i, w.books.known(g, seq))
		}
	}
	w.resolved(i)
}

// pass lets a client stop waiting for the reply to an announce. If the reply comes all the same, no announce waits for
// it.
func (w *worker) pass(i uint32, r *announceRecord) {
	if r == nil || r.state != recordOpen {
		return
	}
	r.state = recordFailed
	if c := &w.clients[i]; c.passed < maxPassed {
		c.passed++
	}
}

// passStale passes the announces that have waited for too long, when they keep the client from announcing again.
func (w *worker) passStale(i uint32) {
	c := &w.clients[i]
	for seq := c.oldest; seq != c.seq; seq++ {
		r := w.books.known(w.global(i), seq)
		if r != nil && r.state == recordOpen && w.now-time.Duration(r.due.Load()) < staleAfter {
			break
		}
		w.pass(i, r)
	}
	w.advance(i)
}

// wasPassed takes a reply for which no announce waits as the reply to a passed announce, if there is one.
func (w *worker) wasPassed(i uint32) bool {
	c := &w.clients[i]
	if c.passed == 0 {
		return false
	}
	c.passed--
	w.counts.Replies++
	return true
}
