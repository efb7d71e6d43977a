package load

// This file tests that messages allocate nothing.

import (
	"bytes"
	"compress/flate"
	"io"
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

// TestCompressedMessagesAllocateLittle proves that the same messages, compressed, allocate no more than compress/flate
// does to expand them.
func TestCompressedMessagesAllocateLittle(t *testing.T) {
	w := timingWorker()
	for i := range w.clients {
		w.clients[i].deflate = agreement{on: true, serverBits: mostBits, clientBits: mostBits}
	}
	stream := serverStream{back: 4096}
	var frames, messages [][]byte
	for _, frame := range w.offerFrames(64) {
		packed := stream.pack(frame[4:])
		messages = append(messages, packed)
		frames = append(frames, packedFrame(packed))
	}
	at := 0
	round := func() {
		w.announce(1, 0)
		w.forget(1) // its reply is of no interest here
		w.clients[1].deflate.on = true
		w.consume(9, frames[at])
		w.clients[1].pendingLen, w.clients[9].pendingLen = 0, 0
		at++
	}
	reader, source, out := flate.NewReader(nil), new(bytes.Reader), make([]byte, 64<<10)
	window, used := make([]byte, 4096), 0
	expand := func() {
		source.Reset(append(append(messages[at][:len(messages[at]):len(messages[at])], flushed...), lastBlock...))
		_ = reader.(flate.Resetter).Reset(source, window[:used])
		n, err := io.ReadFull(reader, out)
		if err != io.ErrUnexpectedEOF {
			t.Fatal(n, err)
		}
		used = slide(window, used, out[:n])
		at++
	}
	round()
	got := testing.AllocsPerRun(50, round)
	at = 0
	expand()
	if want := testing.AllocsPerRun(50, expand); got > want {
		t.Errorf("%v allocations for an announce, an offer and its answer, but %v to expand an offer", got, want)
	}
	if w.counts.OffersReceived != 52 || w.counts.AnswersSent != 52 || w.counts.wrong() > 0 {
		t.Errorf("%+v %v", w.counts, w.errors)
	}
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
