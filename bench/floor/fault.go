package floor

// This file spoils relayed messages on purpose.

import "time"

// FaultKind is the way in which a faulty server spoils single messages.
type FaultKind uint8

// The kinds of fault. Every one leaves a valid frame with valid JSON.
const (
	NoFault         FaultKind = iota
	Drop                      // it is not sent
	Duplicate                 // its receiver gets it twice
	SecondReceiver            // another peer of the torrent gets it too
	Alter                     // one byte of its sdp is another
	OtherText                 // it has the sdp of the message before it
	OtherID                   // it has the offer id of the message before it
	OtherTorrent              // it has the info hash of the message before it, where that is another one
	MisrouteTorrent           // it goes to a peer of another torrent
	MisrouteSwarm             // it goes to another peer of the torrent; for an offer that is no mistake
	MisrouteSelf              // it goes back to its sender
	WrongType                 // it is of a type that is neither offer nor answer
	WrongSender               // it carries the peer id of another peer of the torrent
	LoseReply                 // the reply to an announce is not sent
	DoubleReply               // the reply to an announce is sent twice
	Understate                // the reply to an announce speaks of no other peer, and no offer is relayed
	faultKinds
)

var faultNames = [faultKinds]string{"no fault", "drop", "duplicate", "second receiver", "alter", "other text",
	"other id",
	"other torrent", "misroute to another torrent", "misroute within the swarm", "misroute to the sender", "wrong type",
	"wrong sender", "lost reply", "doubled reply", "understated swarm"}

func (k FaultKind) String() string { return faultNames[k] }

// Subject is a set of kinds of relayed messages.
type Subject uint8

// The subjects of a fault. Faults of replies have none.
const (
	Offers Subject = 1 << iota
	Answers
)

// Fault is the fault of a server: it spoils one in Every messages of each subject, or stalls once.
type Fault struct {
	Kind  FaultKind
	Of    Subject
	Every uint64

	Stall      time.Duration // how long the server sleeps, once
	StallAfter uint64        // announces received before that
}

// faultState is the memory of the messages of one subject, or of replies, that spoiling needs.
type faultState struct {
	seen uint64
	owed bool // one is to be spoiled: the next one that can be
	last struct {
		hash, offerID, sdp []byte // copies of those of the message before this one
	}
}

// faultOf returns the state for a message, or nil where the fault is not about such messages.
func (f *Floor) faultOf(r *relayed) *faultState {
	switch {
	case f.fault.Kind == NoFault || f.fault.Kind >= LoseReply:
		return nil
	case r.answer && f.fault.Of&Answers != 0:
		return &f.faults.answers
	case !r.answer && f.fault.Of&Offers != 0:
		return &f.faults.offers
	}
	return nil
}

// relayFaulty relays a message, and spoils it if it is its turn.
func (f *Floor) relayFaulty(s *faultState, r *relayed) {
	s.seen++
	if s.seen%f.fault.Every == 0 {
		s.owed = true
	}
	if s.owed {
		f.spoil(s, r)
	} else {
		f.write(r)
	}
	s.remember(r)
}

// dueReply reports whether this reply is to be spoiled in a way.
func (f *Floor) dueReply(kind FaultKind) bool {
	if f.fault.Kind != kind {
		return false
	}
	s := &f.faults.replies
	s.seen++
	if s.seen%f.fault.Every != 0 {
		return false
	}
	f.stats.SpoiledReplies++
	return true
}

// remember keeps a copy of a message: the next one may get its parts.
func (s *faultState) remember(r *relayed) {
	s.last.hash = append(s.last.hash[:0], r.hash...)
	s.last.offerID = append(s.last.offerID[:0], r.offerID...)
	s.last.sdp = append(s.last.sdp[:0], r.sdp...)
}

// spoil applies the fault to a message. If that is not possible, for example because nobody else is there, the message
// is relayed as it is, and the next one is tried.
func (f *Floor) spoil(s *faultState, r *relayed) {
	wrong := *r
	last := &s.last
	other := none
	switch f.fault.Kind {
	case Drop:
		f.spoiled(s, r)
		return
	case Duplicate:
		other = r.to
		f.write(r)
	case SecondReceiver:
		if other = f.inTorrent(r); other != none {
			f.write(r)
		}
	case Alter:
		other = r.to
		wrong.sdp = altered(r.sdp, s.seen)
	case OtherText:
		if len(last.sdp) == len(r.sdp) {
			other, wrong.sdp = r.to, last.sdp
		}
	case OtherID:
		if last.offerID != nil {
			other, wrong.offerID = r.to, last.offerID
		}
	case OtherTorrent:
		if last.hash != nil && string(last.hash) != string(r.hash) {
			other, wrong.hash = r.to, last.hash
		}
	case MisrouteTorrent:
		other = f.outsideTorrent(r)
	case MisrouteSwarm:
		other = f.inTorrent(r)
	case MisrouteSelf:
		other = r.from
	case WrongType:
		other, wrong.text = r.to, `","offer":{"type":"other","sdp":"`
		if r.answer {
			wrong.text = `","answer":{"type":"offer","sdp":"`
		}
	case WrongSender:
		if f.inTorrent(r) != none {
			other, wrong.peer = r.to, f.conns[f.inTorrent(r)].peer[:]
		}
	}
	if other == none {
		f.write(r)
		return
	}
	wrong.to = other
	f.write(&wrong)
	f.spoiled(s, r)
}

func (f *Floor) spoiled(s *faultState, r *relayed) {
	s.owed = false
	if r.answer {
		f.stats.SpoiledAnswers++
	} else {
		f.stats.SpoiledOffers++
	}
}

// inTorrent returns another peer of the torrent than sender and receiver, or none.
func (f *Floor) inTorrent(r *relayed) uint32 {
	for _, m := range f.torrents[r.torrent].list {
		if i := f.slab[m].conn; i != r.from && i != r.to {
			return i
		}
	}
	return none
}

// outsideTorrent returns a peer of another torrent, or none.
func (f *Floor) outsideTorrent(r *relayed) uint32 {
	for number := range f.torrents {
		if t := &f.torrents[number]; uint32(number) != r.torrent && len(t.list) > 0 {
			return f.slab[t.list[0]].conn
		}
	}
	return none
}

// altered returns a copy of a JSON text in which one letter or digit is another one. seed says where.
func altered(text []byte, seed uint64) []byte {
	text = append([]byte(nil), text...)
	for n := range len(text) {
		i := (int(seed%(1<<31))*7919 + n) % len(text)
		c := text[i]
		plain := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if plain && (i == 0 || text[i-1] != '\\') {
			text[i] = c ^ 1
			return text
		}
	}
	return text
}
