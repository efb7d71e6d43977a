package load

// This file measures the cost of the load tester's own messages.

import "testing"

// BenchmarkAppendAnnounce measures one announce with ten offers of 1.3 kB, masked.
func BenchmarkAppendAnnounce(b *testing.B) {
	w := sizedWire(identity{seed: 1}, 10, 1300)
	hash, peer := w.who.infoHash(1), w.who.peerID(1, 0)
	a := announce{hash: &hash, peer: &peer, connection: 1}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		a.seq++
		dst = w.appendAnnounce(dst[:0], &a, uint32(a.seq)*0x9e3779b1)
	}
	b.SetBytes(int64(len(dst)))
}

// BenchmarkAppendAnswer measures one answer of 1.3 kB, masked.
func BenchmarkAppendAnswer(b *testing.B) {
	w := sizedWire(identity{seed: 1}, 10, 1300)
	hash, peer := w.who.infoHash(1), w.who.peerID(1, 0)
	var dst []byte
	ref := offerRef{}
	b.ReportAllocs()
	for b.Loop() {
		ref.seq++
		dst = w.appendAnswer(dst[:0], &hash, &peer, &peer, &hash, ref, ref.seq*0x9e3779b1)
	}
	b.SetBytes(int64(len(dst)))
}

// BenchmarkOffer measures a relayed offer of 1.3 kB from its frame to the answer to it: scanned, checked, answered.
func BenchmarkOffer(b *testing.B) {
	w := timingWorker()
	frames := w.offerFrames(1024)
	b.ReportAllocs()
	seq := 0
	for b.Loop() {
		w.books.begin(1, uint32(seq), 0, 0)
		w.consume(9, frames[seq])
		w.clients[9].pendingLen = 0
		if seq++; seq == len(frames) {
			seq = 0
		}
	}
	if w.counts.OffersReceived != w.counts.AnswersSent || w.counts.wrong() > 0 {
		b.Fatalf("%+v", w.counts)
	}
}

// BenchmarkReply measures an announce and its reply.
func BenchmarkReply(b *testing.B) {
	w := timingWorker()
	hash := w.books.hashes[1]
	text := `{"action":"announce","info_hash":"` + string(hash[:]) + `","complete":10,"incomplete":30,"interval":120}`
	frame := append([]byte{finBit | opText, byte(len(text))}, text...)
	b.ReportAllocs()
	for b.Loop() {
		w.announce(1, 0)
		w.consume(1, frame)
		w.clients[1].pendingLen = 0
	}
	if w.counts.Replies != w.counts.Announces {
		b.Fatalf("%+v", w.counts)
	}
}
