package load

// This file tests the order of replies: lost ones, late ones, and replies to answers.

import (
	"testing"
	"time"
)

// replyFrame is a tracker's frame that replies to an announce for a torrent.
func (w *worker) replyFrame(torrent uint32) []byte {
	hash := w.books.hashes[torrent]
	text := `{"action":"announce","info_hash":"` + string(hash[:]) + `","complete":1,"incomplete":1,"interval":120}`
	return append([]byte{finBit | opText, byte(len(text))}, text...)
}

// answerFrame relays the answer of a connection to an offer.
func (w *worker) answerFrame(ref offerRef, from uint32) []byte {
	me, name := w.books.who.peerID(from, 0), w.books.who.offerID(ref)
	sdp := make([]byte, w.books.wire.answer.size())
	w.books.wire.answer.fill(sdp, &me, w.books.answerNumber(ref, &me))
	text := relayText("answer", w.books.hashes[w.books.places.torrent(ref.connection, ref.seq)], me, name, sdp)
	return append([]byte{finBit | opText, length16, byte(len(text) >> 8), byte(len(text))}, text...)
}

// TestLostReply proves that after a lost reply the next one is taken for that of the next announce, because an answer
// has come in between, and that the lost one is still taken when it comes after all.
func TestLostReply(t *testing.T) {
	w := testWorker()
	w.clients[1].state, w.clients[5].state = stateOpen, stateOpen
	w.books.life[1].Store(liveBit)
	w.books.life[5].Store(liveBit)
	states := func(want ...recordState) {
		t.Helper()
		for seq, state := range want {
			if r := w.books.known(1, uint32(seq)); r == nil || r.state != state {
				t.Fatalf("announce %d is %+v, not in state %d", seq, r, state)
			}
		}
	}
	w.announce(1, 0)
	w.books.known(1, 0).answered.Or(1)
	states(recordOpen)
	w.consume(1, w.answerFrame(offerRef{connection: 1}, 5))
	states(recordFailed)
	w.announce(1, 0)
	w.consume(1, w.replyFrame(1))
	states(recordFailed, recordReplied)
	if w.counts.AnswersReceived != 1 || w.counts.Replies != 1 || w.clients[1].waiting() != 0 || w.counts.wrong() != 0 {
		t.Errorf("%+v", w.counts)
	}
	w.consume(1, w.replyFrame(1))
	if w.counts.Replies != 2 || w.counts.Unknown != 0 {
		t.Errorf("the late reply is not taken: %+v", w.counts)
	}
	w.consume(1, w.replyFrame(1))
	if w.counts.Replies != 2 || w.counts.Unknown != 1 {
		t.Errorf("a third reply to two announces is taken: %+v", w.counts)
	}
}

// TestStaleAnnounces proves that a client whose replies are lost announces again after some time, even if no answer
// shows the loss.
func TestStaleAnnounces(t *testing.T) {
	w := testWorker()
	w.clients[1].state = stateOpen
	for w.counts.Late == 0 {
		w.announce(1, 0)
	}
	most := w.counts.Announces
	if most != uint64(w.books.history/2) {
		t.Errorf("%d announces without a reply", most)
	}
	w.now = staleAfter - time.Nanosecond
	if w.announce(1, w.now); w.counts.Announces != most {
		t.Error("it announced again too early")
	}
	w.now = staleAfter
	if w.announce(1, w.now); w.counts.Announces != most+1 || w.clients[1].waiting() != 1 {
		t.Errorf("it did not announce again: %+v", w.counts)
	}
}

// TestRepliesToAnswers proves that with a tracker that replies to answers too, each reply is matched to its request by
// the order of requests: answers, an announce, answers.
func TestRepliesToAnswers(t *testing.T) {
	w := testWorker()
	w.config.AnswerReplies = true
	w.clients[1].state = stateOpen
	offer := func(seq uint32) *relayed {
		ref := offerRef{connection: 5, seq: seq}
		return &relayed{torrent: 1, hash: w.books.hashes[1], peer: w.books.who.peerID(5, 0), offer: ref}
	}
	expect := func(announces, answers uint64, state recordState) {
		t.Helper()
		w.consume(1, w.replyFrame(1))
		if r := w.books.known(1, 0); w.counts.Replies != announces || w.counts.AnswerReplies != answers || r.state != state {
			t.Fatalf("%d replies to announces, %d to answers; the announce is %+v", w.counts.Replies, w.counts.AnswerReplies, r)
		}
	}
	w.answer(1, offer(0))
	w.answer(1, offer(1))
	w.announce(1, 0)
	w.answer(1, offer(2))
	expect(0, 1, recordOpen)
	expect(0, 2, recordOpen)
	expect(1, 2, recordReplied)
	expect(1, 3, recordReplied)
	if w.counts.Unknown != 0 {
		t.Errorf("%+v", w.counts)
	}
	w.consume(1, w.replyFrame(1))
	if w.counts.Unknown != 1 || w.lost.unasked != 1 {
		t.Errorf("a reply to nothing is taken: %+v", w.counts)
	}
}
