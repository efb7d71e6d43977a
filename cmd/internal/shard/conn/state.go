package conn

// This file owns the states of a connection and the one table by which they change:
//
//	free ─► handshake ─► open ─► closing ─► draining ─► closed ─► free
//	                      │ ▲
//	                      ▼ │
//	                     moving ─► free, and open on another shard
//
// handshake, open, closing and draining can also fall to closed at once. handshake and open are free when another process has the
// connection. cmd/internal/shard/end.go has the drawing of how
// a connection ends together with its TLS and its place in the ring.

// State is where a connection is in its life.
type State uint8

// The states.
const (
	Free      State = iota // the slot is not in use
	Handshake              // accepted; the upgrade request is not complete
	Open                   // a WebSocket connection
	Moving                 // the same, about to go to another shard: received bytes are kept and not read
	Closing                // the last bytes are on their way to the client; nothing more is read as messages
	Draining               // all is sent and our side is shut; the client's end is awaited
	Closed                 // OpClose is issued; EventClosed is awaited
	States                 // how many there are
)

var stateNames = [States]string{"free", "handshake", "open", "moving", "closing", "draining", "closed"}

// String returns the state's name as it stands in metrics.
func (s State) String() string { return stateNames[s] }

// Reads reports whether bytes that the client sends still count.
func (s State) Reads() bool { return s == Handshake || s == Open || s == Moving }

// Ends reports whether the connection is on its way out, or gone.
func (s State) Ends() bool { return s == Free || s >= Closing }

// Event is a reason for a state to change.
type Event uint8

// The events.
const (
	Accepted  Event = iota // the ring has accepted the connection
	Adopted                // the ring has taken it over from another shard
	Upgraded               // the upgrade request is complete and acceptable
	Follows                // its torrent is another shard's, and it is to go there
	Stays                  // it does not go after all
	Released               // the other shard has it
	GivenAway              // another process has it
	Ends                   // its last bytes are queued
	Flushed                // its last bytes have left, and our side is shut
	Closes                 // the ring is told to close it
	Gone                   // the ring has closed it
	events                 // how many there are
)

var eventNames = [events]string{
	"accepted", "adopted", "upgraded", "follows", "stays", "released", "given away", "ends", "flushed", "closes", "gone",
}

// transitions are all changes of state that there are.
var transitions = []struct {
	from  State
	event Event
	to    State
}{
	{Free, Accepted, Handshake},
	{Free, Adopted, Open},
	{Handshake, Upgraded, Open},
	{Open, Follows, Moving},
	{Moving, Stays, Open},
	{Moving, Released, Free},
	{Handshake, GivenAway, Free},
	{Open, GivenAway, Free},
	{Handshake, Ends, Closing},
	{Open, Ends, Closing},
	{Closing, Flushed, Draining},
	{Handshake, Closes, Closed},
	{Open, Closes, Closed},
	{Closing, Closes, Closed},
	{Draining, Closes, Closed},
	{Closed, Gone, Free},
}

// impossible stands for the result of an event that cannot come in a state.
const impossible = States

// next is transitions by state and event.
var next = func() (table [States][events]State) {
	for s := range table {
		for e := range table[s] {
			table[s][e] = impossible
		}
	}
	for _, t := range transitions {
		table[t.from][t.event] = t.to
	}
	return table
}()

// after returns the state that follows s on an event.
func (s State) after(e Event) State {
	to := next[s][e]
	if to == impossible {
		panic("BUG: a connection that is " + stateNames[s] + " cannot change by the event " + eventNames[e])
	}
	return to
}
