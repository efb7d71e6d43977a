package trace

import "strings"

// This file owns the words of a trace: which events and decisions there are, what their numbers mean, and the names
// that callers register for values of their own.

// Event says what came.
type Event uint8

// The events. Record.What and Record.N mean what stands beside each; an event without a remark uses neither.
const (
	Accepted   Event = iota + 1 // the ring has accepted a connection
	Adopted                     // a connection came from shard N
	Identified                  // a trusted proxy named the client
	Handshake                   // a TLS handshake came to its end; What: how
	Request                     // the whole head of an HTTP request
	Message                     // a message that is none of the next three, N bytes long
	Announce                    // an announce with N offers
	Answer                      // an answer to an offer
	Scrape                      // a scrape of N info hashes
	Control                     // a control frame of N bytes; What: which
	Mail                        // a record of kind What in the mailbox from shard N
	Frame                       // a frame of kind What and N bytes is to be sent to the client
	Sent                        // the socket took N bytes and not all
	Drained                     // the waiting bytes have left
	Move                        // a connection that is about to go to another shard
	Ended                       // the client ended its side in order
	Failed                      // the socket failed; N: errno
	End                         // the connection is to end
	Silence                     // nothing has come for so long that the client is pinged
	Order                       // the process told the shard to do What
	Closed                      // the ring has closed the connection: its slot is free
	events
)

// Decision says what was decided. The zero value decides nothing.
type Decision uint8

// The decisions. Record.To means what stands beside each; a decision without a remark does not use it.
const (
	Served    Decision = iota + 1
	Relayed            // served, and To offers or answers relayed
	Mailed             // passed on to shard To
	Refused            // answered with an error; Why
	Ignored            // answered with silence; Why
	OverLimit          // dropped: too many bytes wait for the client
	NoMemory           // dropped: no memory to send or to assemble
	MailFull           // dropped: the mailbox to shard To has no room
	NoClient           // dropped: the client has left
	Throttled          // nothing is received from the client until it is within its rates
	Held               // nothing is received from the client until the waiting bytes have left
	Released           // the client is heard again
	Moving             // the connection is about to go to shard To
	Staying            // the move is given up
	Moved              // the connection has gone to shard To
	Ending             // the connection ends after the waiting bytes; Why
	Ends               // the connection ends at once; Why
	decisions
)

// word is an event or a decision: the name by which requests select it, and its text, in which {what} and {n} stand for
// the name and the number of the record.
type word struct{ name, text string }

var eventWords = [events]word{
	Accepted:   {"accepted", "accepted"},
	Adopted:    {"adopted", "adopted from shard {n}"},
	Identified: {"identified", "identified by a proxy"},
	Handshake:  {"handshake", "TLS handshake {what}"},
	Request:    {"request", "request"},
	Message:    {"message", "message of {n} bytes"},
	Announce:   {"announce", "announce with {n} offers"},
	Answer:     {"answer", "answer"},
	Scrape:     {"scrape", "scrape of {n} torrents"},
	Control:    {"control", "{what} of {n} bytes"},
	Mail:       {"mail", "{what} mailed by shard {n}"},
	Frame:      {"frame", "frame to send: {what} of {n} bytes"},
	Sent:       {"sent", "only {n} bytes sent"},
	Drained:    {"drained", "all sent"},
	Move:       {"move", "move to another shard"},
	Ended:      {"ended", "client ended its side"},
	Failed:     {"failed", "socket failed with errno {n}"},
	End:        {"end", "end of the connection"},
	Silence:    {"silence", "silent client is pinged"},
	Order:      {"order", "order: {what}"},
	Closed:     {"closed", "closed"},
}

var decisionWords = [decisions]word{
	Served:    {"served", "served"},
	Relayed:   {"relayed", "served, {n} relayed"},
	Mailed:    {"mailed", "mailed to shard {n}"},
	Refused:   {"refused", "refused"},
	Ignored:   {"ignored", "ignored"},
	OverLimit: {"over_limit", "dropped, too much waits for the client"},
	NoMemory:  {"no_memory", "dropped, no memory"},
	MailFull:  {"mail_full", "dropped, the mailbox to shard {n} is full"},
	NoClient:  {"no_client", "dropped, the client has left"},
	Throttled: {"throttled", "not heard until it is within its rates"},
	Held:      {"held", "not heard until the waiting bytes have left"},
	Released:  {"released", "heard again"},
	Moving:    {"moving", "moving to shard {n}"},
	Staying:   {"staying", "stays"},
	Moved:     {"moved", "moved to shard {n}"},
	Ending:    {"ending", "ending"},
	Ends:      {"ends", "ended at once"},
}

// EventNames returns the names by which ParseEvent knows the events.
func EventNames() []string {
	var names []string
	for _, w := range eventWords[1:] {
		names = append(names, w.name)
	}
	return names
}

// ParseEvent returns the event of that name; ok is false if there is none.
func ParseEvent(name string) (e Event, ok bool) {
	for k := range eventWords {
		if k > 0 && eventWords[k].name == name {
			return Event(k), true
		}
	}
	return 0, false
}

// Name is the number of a registered name. 0 is none.
type Name uint16

// Names gives numbers to the names of its callers' values. The zero value is ready. It is filled before the first
// Buffer is made and read by any thread afterwards.
type Names struct{ all []string }

// Add registers the names of an enumeration and returns the number of the first; the others follow, so that value v of
// the enumeration is named by the returned number + v.
func (n *Names) Add(names ...string) Name {
	first := Name(len(n.all) + 1)
	n.all = append(n.all, names...)
	return first
}

// Text returns the name with that number, and "unknown" if there is none.
func (n *Names) Text(number Name) string {
	if n == nil || number == 0 || int(number) > len(n.all) {
		return "unknown"
	}
	return n.all[number-1]
}

// text returns an entry of a table of words with its places filled in.
func text(table []word, k int, what string, n string) string {
	if k >= len(table) {
		return "unknown"
	}
	return strings.NewReplacer("{what}", what, "{n}", n).Replace(table[k].text)
}
