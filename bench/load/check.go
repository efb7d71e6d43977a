package load

// This file judges relayed messages: each is right, wrong in one of several ways, or too late.

import "sync/atomic"

// verdict is the result of a check of a relayed message.
type verdict uint8

const (
	fine          verdict = iota
	untimely              // right, but the incarnation of its sender or receiver has left meanwhile
	wrongTorrent          // it names another torrent than the one it was sent for
	wrongSender           // it names another peer than the one that sent it
	wrongReceiver         // it came to a wrong client
	altered               // its sdp is not the one that was sent
	own                   // it came back to its sender
	duplicate             // it came before
	unknown               // no client sent it
	verdicts
)

var verdictNames = [verdicts]string{
	fine: "fine", untimely: "untimely", wrongTorrent: "wrong torrent", wrongSender: "wrong sender",
	wrongReceiver: "wrong receiver", altered: "altered", own: "one's own", duplicate: "duplicate", unknown: "unknown",
}

func (v verdict) String() string { return verdictNames[v] }

// count adds a verdict to the counts. It returns false for a verdict that is no fault.
func (v verdict) count(n *Counts) bool {
	field := [verdicts]*uint64{
		wrongTorrent: &n.WrongTorrent, wrongSender: &n.WrongSender, wrongReceiver: &n.WrongReceiver,
		altered: &n.Altered, own: &n.Own, duplicate: &n.Duplicate, unknown: &n.Unknown,
	}[v]
	if field == nil {
		return false
	}
	*field++
	return true
}

// receiver is the client that checks a message.
type receiver struct {
	connection  uint32
	incarnation uint16
	scratch     []byte // room for an sdp
}

// relayed is a message whose ids are right.
type relayed struct {
	torrent uint32
	hash    id
	peer    id // of the sender
	offerID id
	offer   offerRef
	record  *announceRecord // of the announce; nil if that was too long ago
}

// read decodes the ids of an offer or an answer and finds the announce and torrent to which they belong.
func (l *ledger) read(m *message, x *relayed) verdict {
	if !decodeID(&x.hash, m.infoHash) || !decodeID(&x.peer, m.peerID) || !decodeID(&x.offerID, m.offerID) {
		return unknown
	}
	var ok bool
	if x.offer, ok = l.who.parseOffer(&x.offerID); !ok || int(x.offer.connection) >= len(l.life) ||
		int(x.offer.number) >= l.offers {
		return unknown
	}
	x.torrent = l.places.torrent(x.offer.connection, x.offer.seq)
	if l.hashes[x.torrent] != x.hash {
		return wrongTorrent
	}
	x.record = l.known(x.offer.connection, x.offer.seq)
	return fine
}

// checkOffer returns the verdict about an offer, and marks a right one as received.
func (l *ledger) checkOffer(m *message, to *receiver, x *relayed) verdict {
	if v := l.read(m, x); v != fine {
		return v
	}
	mine := x.offer.connection == to.connection
	switch {
	case x.peer != l.who.peerID(x.offer.connection, x.offer.incarnation):
		return wrongSender
	case mine && x.offer.incarnation == to.incarnation:
		return own
	case !l.places.has(to.connection, x.torrent):
		return wrongReceiver
	case !l.sameSDP(l.offer, m.sdp, to.scratch, &x.offerID, l.who.content(x.offer)):
		return altered
	}
	if x.record != nil && isSecond(&x.record.offers, x.offer.number) {
		return duplicate
	}
	if mine || !l.isLive(x.offer.connection, x.offer.incarnation) {
		return untimely
	}
	return fine
}

// checkAnswer returns the verdict about an answer, and marks a right one as received.
func (l *ledger) checkAnswer(m *message, to *receiver, x *relayed) verdict {
	if v := l.read(m, x); v != fine {
		return v
	}
	if x.offer.connection != to.connection || x.offer.incarnation != to.incarnation {
		return wrongReceiver
	}
	from, _, ok := l.who.parsePeer(&x.peer)
	if named := l.answer.name(m.sdp); named != nil && string(named) != string(x.peer[:]) {
		return wrongSender
	}
	switch {
	case !ok || int(from) >= len(l.life):
		return wrongSender
	case from == to.connection:
		return own
	case !l.places.has(from, x.torrent):
		return wrongSender
	case !l.sameSDP(l.answer, m.sdp, to.scratch, &x.peer, l.answerNumber(x.offer, &x.peer)):
		return altered
	}
	if x.record == nil {
		return fine
	}
	if x.record.answered.Load()&(1<<x.offer.number) == 0 {
		return unknown
	}
	if isSecond(&x.record.answers, x.offer.number) {
		return duplicate
	}
	return fine
}

// sameSDP compares the text of a description. The tracker may have escaped it in any way.
func (l *ledger) sameSDP(t *sdpTemplate, got, scratch []byte, name *id, number uint64) bool {
	if t.matches(got, scratch, name, number) {
		return true
	}
	want := scratch[:t.size()]
	t.fill(want, name, number)
	return sameText(got, want)
}

// isSecond sets a bit and reports whether it was set before.
func isSecond(mask *atomic.Uint64, bit uint8) bool {
	return mask.Or(1<<bit)&(1<<bit) != 0
}
