package outbox

import (
	"math"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/trace"
)

// This file owns the kinds of frames that leave.

// Kind is the kind of a frame, for the counters and for the case that there is no room.
type Kind uint8

// The kinds.
const (
	Control Kind = iota // ping, pong, close
	HTTP                // a response of the upgrade
	Reply               // announce reply
	Offer
	Answer
	Scrape // scrape reply
	Failure
	Kinds // how many there are
)

var kindNames = [Kinds]string{"control", "http", "announce", "offer", "answer", "scrape", "failure"}

// String returns the kind's name as it stands in metrics.
func (k Kind) String() string { return kindNames[k] }

var nameKind = conn.Names.Add(kindNames[:]...)

// NameOf returns the name of a kind in traces.
func NameOf(k Kind) trace.Name { return nameKind + trace.Name(k) }

// Droppable reports whether a frame of the kind is left out when its receiver is over the limit of waiting bytes. Relayed
// frames can be missed: WebRTC offers go to a sample of peers, and clients announce again.
func (k Kind) Droppable() bool { return k == Offer || k == Answer }

// countWaiting counts a frame that waits.
func countWaiting(c *conn.Conn, kind Kind) {
	n := &c.Others
	switch kind {
	case Offer:
		n = &c.Offers
	case Answer:
		n = &c.Answers
	}
	if *n < math.MaxUint16 {
		*n++
	}
}
