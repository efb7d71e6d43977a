package load

// This file tests that messages allocate nothing.

import (
	"testing"
	"time"

	"millrace/ring/pool"
)

// timingWorker is a worker of 64 open clients in 8 torrents, as in the profile heavy.
func timingWorker() *worker {
	cfg, _ := Default("heavy")
	cfg.Connections, cfg.Torrents = 64, 8
	s := &site{config: &cfg, workers: 1, books: newLedger(&cfg), clock: func() time.Duration { return 0 }}
	w := newWorker(s, 0)
	w.pool, w.parts = pool.New(make([]byte, 8<<20)), pool.New(make([]byte, 8<<20))
	for i := range w.clients {
		w.clients[i].state = stateOpen
		s.books.life[i].Store(liveBit)
	}
	return w
}

// offerFrames returns a tracker's frames that relay the offers of announces with ascending numbers.
func (w *worker) offerFrames(n int) (frames [][]byte) {
	sdp := make([]byte, w.books.wire.offer.size())
	for seq := range n {
		ref := offerRef{connection: 1, seq: uint32(seq)}
		name := w.books.who.offerID(ref)
		w.books.wire.offer.fill(sdp, &name, w.books.who.content(ref))
		text := relayText("offer", w.books.hashes[1], w.books.who.peerID(1, 0), name, sdp)
		frame := append([]byte{finBit | opText, length16, byte(len(text) >> 8), byte(len(text))}, text...)
		frames = append(frames, frame)
	}
	return frames
}

// TestMessagesAllocateNothing proves that neither announcing nor a reply, an offer, its check or its answer allocates.
func TestMessagesAllocateNothing(t *testing.T) {
	w := timingWorker()
	frames := w.offerFrames(64)
	hash := w.books.hashes[1]
	text := `{"action":"announce","info_hash":"` + string(hash[:]) + `","complete":10,"incomplete":30,"interval":120}`
	reply := append([]byte{finBit | opText, byte(len(text))}, text...)
	at := 0
	round := func() {
		w.announce(1, 0)
		w.consume(1, reply)
		w.consume(9, frames[at%len(frames)])
		w.clients[1].pendingLen, w.clients[9].pendingLen = 0, 0
		at++
	}
	round()
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations for an announce, its reply, and an offer with its answer", n)
	}
	if w.counts.OffersReceived != w.counts.AnswersSent || w.counts.wrong() > 0 || w.counts.Replies != w.counts.Announces {
		t.Errorf("%+v", w.counts)
	}
}
