package wsproto

// Action is what a message asks for.
type Action uint8

// The actions of client messages. An answer is an announce message on the wire.
const (
	ActionNone Action = iota
	ActionAnnounce
	ActionAnswer
	ActionScrape
)

// Left is what a message says about the bytes that the peer still lacks.
type Left uint8

// The values of Left. LeftUnknown is a missing or null field and must not change what is known about the peer.
const (
	LeftUnknown Left = iota
	LeftZero         // the number zero: a seeder
	LeftMore         // anything else, of any type
)

// Event is what a message says that has happened.
type Event uint8

// The events. Whatever is neither EventStopped nor EventCompleted, of any type, is an update.
const (
	EventUpdate Event = iota
	EventStopped
	EventCompleted
)

// Offer is one WebRTC offer of an announce.
type Offer struct {
	ID ID
	// SDP is the JSON string literal as received, quotes included: a view of the message's text.
	SDP []byte
}

// Message is a decoded client message. It is meant to be reused: Decode resets it and keeps the capacity of its slices.
type Message struct {
	Action      Action
	HasInfoHash bool // InfoHash is valid, also in a rejected message
	Left        Left
	Event       Event

	InfoHash ID // announce, answer
	PeerID   ID // announce, answer: the sender
	ToPeerID ID // answer: the peer that made the offer
	OfferID  ID // answer

	NumWant   int     // peers wanted; 0 when missing or not a positive integer, which is no wish
	Offers    []Offer // announce: the usable offers, at most Decoder.MaxOffers
	BadOffers int     // announce: elements of offers that were skipped because they were not usable
	SDP       []byte  // answer: the JSON string literal as received, a view of the message's text
	Hashes    []ID    // scrape: the first Decoder.MaxScrape hashes, duplicates kept
}

func (m *Message) reset() {
	*m = Message{Offers: m.Offers[:0], Hashes: m.Hashes[:0]}
}

// Reject says why a message cannot be acted on.
type Reject uint8

// The reasons. RejectInfoHash is for announces and answers, RejectScrapeHash for scrapes.
const (
	RejectNone Reject = iota
	RejectNotJSON
	RejectNoAction
	RejectInfoHash
	RejectPeerID
	RejectToPeerID
	RejectOfferID
	RejectAnswer
	RejectScrapeHash
	RejectFullScrape
)

// Failure returns what the sender of the message is told: FailureNone where nothing may be sent back (see Silent), and
// for RejectNone.
func (r Reject) Failure() Failure { return rejectFailures[r] }

// String names the reason in logs and metrics: with the text of its Failure, if it has one.
func (r Reject) String() string {
	if f := r.Failure(); f != FailureNone {
		return f.String()
	}
	return silentTexts[r]
}

// Silent reports whether nothing may be sent back: clients drop their connection when they get a message without an
// action or an info hash that they know.
func (r Reject) Silent() bool { return r != RejectNone && r.Failure() == FailureNone }
