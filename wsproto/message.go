package wsproto

// This file owns the types of a decoded client message, and the reasons for which one is rejected.

// Action is the request of a message.
type Action uint8

// The actions of client messages. An answer is an announce message on the wire.
const (
	ActionNone Action = iota
	ActionAnnounce
	ActionAnswer
	ActionScrape
)

// Left says whether the peer still lacks bytes of the torrent.
type Left uint8

// The values of Left. LeftUnknown is a missing or null field. It must not change a known peer.
const (
	LeftUnknown Left = iota
	LeftZero         // the number zero: a seeder
	LeftMore         // anything else, of any type
)

// Event is the change that a message reports.
type Event uint8

// The events. Any other value than those of EventStopped and EventCompleted, of any type, is an update.
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

// Message is a decoded client message. [Decoder.Decode] resets it and reuses its slices, so one Message serves for many
// texts. Comments name the actions that a field is for; it is undefined for others.
type Message struct {
	Action      Action
	HasInfoHash bool // InfoHash is valid, also in a rejected message
	Left        Left
	Event       Event

	InfoHash ID // announce, answer
	PeerID   ID // announce, answer: the sender
	ToPeerID ID // answer: the peer that made the offer
	OfferID  ID // answer

	NumWant   int     // announce: peers wanted; 0 is no wish: the field is missing or not a positive integer
	Offers    []Offer // announce: the usable offers, at most Decoder.MaxOffers
	BadOffers int     // announce: how many elements of offers were skipped as unusable
	SDP       []byte  // answer: the JSON string literal as received, a view of the message's text
	Hashes    []ID    // scrape: the first Decoder.MaxScrape hashes, duplicates kept
}

func (m *Message) reset() {
	*m = Message{Offers: m.Offers[:0], Hashes: m.Hashes[:0]}
}

// Reject says why a message cannot be served.
type Reject uint8

// The reasons. RejectInfoHash is for announces and answers, RejectScrapeHash for scrapes. RejectKeepalive is for text
// that some clients send to keep the connection open: it asks for nothing, and is no fault.
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
	RejectKeepalive
	Rejects // how many there are
)

// Failure returns the failure for the sender of the message. It is FailureNone if nothing may be sent back
// (see [Reject.Silent]) and for RejectNone.
func (r Reject) Failure() Failure { return rejectFailures[r] }

// String names the reason in logs and metrics. A reason with a Failure is named by its text.
func (r Reject) String() string {
	if f := r.Failure(); f != FailureNone {
		return f.String()
	}
	return silentTexts[r]
}

// Silent reports whether nothing may be sent back. Clients drop their connection when they get a message without an
// action or an info hash that they know.
func (r Reject) Silent() bool { return r != RejectNone && r.Failure() == FailureNone }
