package load

// This file takes the tracker's bytes apart into frames and messages.

import (
	"encoding/binary"
	"fmt"
	"time"
)

// onReceive takes bytes from the ring.
func (w *worker) onReceive(i uint32, data []byte) {
	switch c := &w.clients[i]; {
	case c.state == stateClosing || c.state == stateAbsent:
	case w.encrypted:
		w.receiveTLS(i, data)
	default:
		w.consume(i, data)
	}
}

// consume takes bytes of the WebSocket connection, or of the response that opens it.
func (w *worker) consume(i uint32, data []byte) {
	c := &w.clients[i]
	for len(data) > 0 {
		switch {
		case c.state == stateUpgrading:
			data = w.onHead(i, data)
		case c.state != stateOpen && c.state != stateLeaving:
			return
		case c.partLen > 0:
			data = w.join(i, data)
		default:
			h, n, ok := readFrameHead(data, c.deflate.on)
			if !ok {
				w.unreadable(i, "a frame that a server may not send")
				return
			}
			if n == 0 || n+h.length > len(data) {
				w.keep(i, data, n+h.length)
				return
			}
			w.onFrame(i, h, data[n:n+h.length])
			data = data[n+h.length:]
		}
	}
}

// keep adds bytes to the part of a frame or head that has arrived, with room for whole bytes in all. Without memory it
// closes the connection and returns false.
func (w *worker) keep(i uint32, data []byte, whole int) bool {
	c := &w.clients[i]
	need := int(c.partLen) + len(data)
	if c.part == 0 || len(w.parts.Bytes(c.part)) < need {
		b := w.parts.Get(max(need, whole))
		if b == 0 {
			w.trouble("no memory for the tracker's bytes")
			w.close(i, true)
			return false
		}
		if c.part != 0 {
			copy(w.parts.Bytes(b), w.parts.Bytes(c.part)[:c.partLen])
			w.parts.Put(c.part)
		}
		c.part = b
	}
	copy(w.parts.Bytes(c.part)[c.partLen:], data)
	c.partLen = uint32(need)
	return true
}

func (w *worker) dropPart(c *client) {
	if c.part != 0 {
		w.parts.Put(c.part)
		c.part, c.partLen = 0, 0
	}
}

// join completes the frame of which a part is kept, and returns the bytes that follow it.
func (w *worker) join(i uint32, data []byte) []byte {
	c := &w.clients[i]
	for {
		h, n, ok := readFrameHead(w.parts.Bytes(c.part)[:c.partLen], c.deflate.on)
		if !ok {
			w.unreadable(i, "a frame that a server may not send")
			return nil
		}
		missing := 1 // of the header: its size shows byte by byte
		if n > 0 {
			missing = n + h.length - int(c.partLen)
		}
		if missing == 0 {
			w.onPart(i, h, n)
			return data
		}
		take := min(missing, len(data))
		if take == 0 || !w.keep(i, data[:take], n+h.length) {
			return nil
		}
		data = data[take:]
	}
}

// onPart takes the kept frame, which is whole.
func (w *worker) onPart(i uint32, h frameHead, n int) {
	c := &w.clients[i]
	part, size := c.part, int(c.partLen)
	c.part, c.partLen = 0, 0
	w.onFrame(i, h, w.parts.Bytes(part)[n:size])
	w.parts.Put(part)
}

// unreadable ends a connection whose bytes can no longer be understood.
func (w *worker) unreadable(i uint32, what string) {
	w.counts.Unreadable++
	w.trouble("unreadable: " + what)
	w.close(i, true)
}

// onFrame takes a whole frame.
func (w *worker) onFrame(i uint32, h frameHead, payload []byte) {
	c := &w.clients[i]
	switch h.opcode {
	case opPing:
		if dst := w.room(i, frameSize(len(payload))); dst != nil {
			w.wrote(i, appendControl(dst, opPong, payload, w.key()))
		}
	case opPong:
	case opClose:
		c.closeCode = 1005 // no code was given (RFC 6455 §7.4.1)
		if len(payload) >= 2 {
			c.closeCode = uint32(binary.BigEndian.Uint16(payload))
		}
	case opBinary:
		w.unreadable(i, "a binary message: browsers do not take those")
	case opContinuation:
		w.onFragment(i, h.fin, payload)
	default:
		if _, unfinished := w.fragments[i]; unfinished {
			w.unreadable(i, "a message within another one")
			return
		}
		if !h.fin {
			w.fragments[i] = fragments{append([]byte(nil), payload...), h.packed}
			return
		}
		w.onData(i, payload, h.packed)
	}
}

// fragments are those of a message that have come.
type fragments struct {
	payload []byte
	packed  bool // compressed
}

// onFragment adds a fragment to a message.
func (w *worker) onFragment(i uint32, fin bool, payload []byte) {
	message, begun := w.fragments[i]
	if !begun || len(message.payload)+len(payload) > maxMessage {
		w.unreadable(i, "a fragment of nothing, or of too long a message")
		return
	}
	message.payload = append(message.payload, payload...)
	w.fragments[i] = message
	if fin {
		delete(w.fragments, i)
		w.onData(i, message.payload, message.packed)
	}
}

// onData takes a whole message, which may be compressed.
func (w *worker) onData(i uint32, payload []byte, packed bool) {
	if packed {
		var why string
		if payload, why = w.expand(i, payload); why != "" {
			w.unreadable(i, why)
			return
		}
	}
	w.counts.PayloadReceived += uint64(len(payload))
	w.onMessage(i, payload)
}

// onMessage takes a message of the tracker.
func (w *worker) onMessage(i uint32, text []byte) {
	var m message
	if err := scanMessage(text, &m); err != nil {
		w.counts.Unreadable++
		w.trouble("unreadable: " + err.Error())
		return
	}
	switch m.kind {
	case replyMessage:
		w.onReply(i, &m)
	case offerMessage:
		w.onOffer(i, &m)
	case answerMessage:
		w.onAnswer(i, &m)
	case scrapeMessage:
		w.onScrape(i, &m)
	case failureMessage:
		w.onFailure(i, &m)
	default:
		w.counts.Unknown++
		w.trouble("unknown message " + string(text[:min(len(text), maxErrorText)]))
	}
	w.lastHeard = w.now
	w.clients[i].heard = uint32(w.now / time.Millisecond)
}

// onReply finds the announce or the answer to which a reply belongs. Replies for one torrent come in the order of their
// requests.
func (w *worker) onReply(i uint32, m *message) {
	c := &w.clients[i]
	seq, r := w.oldestFor(i, m.infoHash)
	switch {
	case r == nil:
		if !w.repliesToAnswer(i, m.infoHash) && !w.wasPassed(i) && c.state == stateOpen {
			w.lost.unasked++
			w.counts.Unknown++
			w.trouble("a reply to nothing")
		}
		return
	case r.before > 0:
		r.before--
		w.counts.AnswerReplies++
		return
	}
	r.state = recordReplied
	if g := w.global(i); !w.books.sizeFits(g, seq, c.first, r, m.complete+m.incomplete, w.now) {
		w.counts.WrongSize++
	}
	r.expected = uint8(max(min(w.books.offers, m.complete+m.incomplete-1), 0))
	w.counts.Replies++
	w.counts.OffersExpected += uint64(r.expected)
	due := time.Duration(r.due.Load())
	w.series.due(due).replies.record(w.now - due)
	if w.measured(due) {
		w.replies.record(w.now - due)
	}
	w.resolved(i)
}

// advance moves the oldest announce of a client that waits for a reply past those that do not.
func (w *worker) advance(i uint32) {
	c := &w.clients[i]
	for ; c.oldest != c.seq; c.oldest++ {
		if r := w.books.known(w.global(i), c.oldest); r != nil && r.state == recordOpen {
			return
		}
	}
}

// resolved notes that an announce of the client waits no longer.
func (w *worker) resolved(i uint32) {
	w.advance(i)
	w.keepBusy(i)
}

// oldestFor returns the oldest announce for a torrent that waits for a reply; nil when there is none.
func (w *worker) oldestFor(i uint32, infoHash []byte) (uint32, *announceRecord) {
	var hash id
	if !decodeID(&hash, infoHash) {
		return 0, nil
	}
	c := &w.clients[i]
	g := w.global(i)
	for seq := c.oldest; seq != c.seq; seq++ {
		if w.books.hashes[w.books.places.torrent(g, seq)] != hash {
			continue
		}
		if r := w.books.known(g, seq); r != nil && r.state == recordOpen {
			return seq, r
		}
	}
	return 0, nil
}

// repliesToAnswer takes a reply for which no announce waits as the reply to an answer, if there is such an answer.
func (w *worker) repliesToAnswer(i uint32, infoHash []byte) bool {
	var hash id
	if !decodeID(&hash, infoHash) {
		return false
	}
	owed := w.owedBy(i)
	for k, t := range w.books.places.of(w.global(i)) {
		if w.books.hashes[t] == hash && owed[k] > 0 {
			owed[k]--
			w.counts.AnswerReplies++
			return true
		}
	}
	return false
}

func (w *worker) receiver(i uint32) receiver {
	return receiver{w.global(i), w.clients[i].incarnation, w.scratch}
}

func (w *worker) onOffer(i uint32, m *message) {
	var x relayed
	if w.config.Verify {
		to := w.receiver(i)
		v := w.books.checkOffer(m, &to, &x)
		if v.count(&w.counts) {
			w.trouble(fmt.Sprintf("offer: %v", v))
			return
		}
		w.counts.OffersReceived++
		if v == fine {
			w.countNodes(to.connection, &x)
		}
		if v == fine && w.clients[i].state == stateOpen {
			w.answer(i, &x)
		}
		return
	}
	w.counts.OffersReceived++
	if w.books.read(m, &x) == fine && w.clients[i].state == stateOpen {
		if x.record != nil {
			x.record.offers.Or(1 << x.offer.number)
		}
		w.answer(i, &x)
	}
}

func (w *worker) onAnswer(i uint32, m *message) {
	var x relayed
	if w.config.Verify {
		to := w.receiver(i)
		if v := w.books.checkAnswer(m, &to, &x); v.count(&w.counts) {
			w.trouble(fmt.Sprintf("answer: %v", v))
			return
		}
	} else if w.books.read(m, &x) == fine && x.record != nil {
		x.record.answers.Or(1 << x.offer.number)
	}
	w.counts.AnswersReceived++
	w.overtaken(i, &x)
	if x.record == nil {
		return
	}
	due := time.Duration(x.record.due.Load())
	w.series.due(due).cycles.record(w.now - due)
	if w.measured(due) {
		w.cycles.record(w.now - due)
	}
}

func (w *worker) onScrape(i uint32, m *message) {
	var hash id
	if decodeID(&hash, m.file) {
		for _, t := range w.books.places.of(w.global(i)) {
			if w.books.hashes[t] == hash {
				w.counts.ScrapeReplies++
				return
			}
		}
	}
	w.counts.Unknown++
	w.trouble("a scrape reply that was not asked for")
}

// onFailure counts a failure. A failure that names a torrent stands for the reply to the oldest announce.
func (w *worker) onFailure(i uint32, m *message) {
	w.counts.Failures++
	w.trouble("failure: " + string(m.failure[:min(len(m.failure), maxErrorText)]))
	if _, r := w.oldestFor(i, m.infoHash); r != nil {
		r.state = recordFailed
		w.lost.failed++
		w.resolved(i)
	}
}
