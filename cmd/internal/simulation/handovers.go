package simulation

import (
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/stats"
)

// This file counts what hand-overs met.

// HandOvers says what the hand-overs of a run have led to.
type HandOvers struct {
	Done   uint64
	Failed [steps]uint64
	Lost   uint64 // connections that found no place
	Told   uint64 // clients of such connections that were told so
	Late   uint64 // answers that came behind a hand-over to offers from before

	// Connections that were handed over, by what they were in the middle of.
	Requests, Messages, Fragments, Packed, Flights, Waiting, Held, Pinged uint64

	Ended   uint64 // connections that ended while the shards came to rest
	Ending  uint64 // connections that stayed behind, since they were about to end
	Arrived uint64 // connections that came from another shard meanwhile
	Stayed  uint64 // connections that were about to go to another shard, and stayed
	Lent    uint64 // hand-overs with torrents that were lent
}

func (h *HandOvers) add(o *HandOvers) { stats.Add(h, o) }

// noteConnection counts what a connection is in the middle of.
func (h *HandOvers) noteConnection(r *handover.Connection) {
	for _, m := range []struct {
		count *uint64
		is    bool
	}{
		{&h.Requests, !r.Open && len(r.Unread) > 0},
		{&h.Messages, r.Open && len(r.Unread) > 0},
		{&h.Fragments, r.MessageKind != 0},
		{&h.Packed, r.Marks.Has(handover.MarkPacked)},
		{&h.Flights, len(r.Flight) > 0},
		{&h.Waiting, len(r.Waiting) > 0},
		{&h.Held, r.Marks.Has(handover.MarkHeld)},
		{&h.Pinged, r.Marks.Has(handover.MarkPinged)},
	} {
		if m.is {
			*m.count++
		}
	}
}

// figures are those that change while shards come to rest.
type figures struct{ closed, arrived, stayed uint64 }

// figures returns those of all shards that serve.
func (w *world) figures() (f figures) {
	for _, l := range w.loops {
		st := l.shard.Snapshot()
		for _, n := range st.Table.Closed {
			f.closed += n
		}
		f.arrived += st.Mover.MovedIn
		f.stayed += st.Mover.MovesGivenUp
	}
	return f
}

// noteRest counts what has happened while the shards came to rest, and what stays behind.
func (w *world) noteRest(before *figures) {
	h, now := &w.hand.HandOvers, w.figures()
	h.Ended += now.closed - before.closed
	h.Arrived += now.arrived - before.arrived
	h.Stayed += now.stayed - before.stayed
	for _, l := range w.loops {
		st := l.shard.Snapshot()
		h.Ending += uint64(st.Table.Conns[conn.Closing] + st.Table.Conns[conn.Draining] + st.Table.Conns[conn.Closed])
		h.Lent += min(uint64(st.Torrents.Loans.Lent), 1)
	}
}

// handOverPaths returns the rare paths of hand-overs.
func handOverPaths(h *HandOvers) []Path {
	return []Path{
		{"a hand-over", h.Done},
		{"a hand-over that failed before anything stood still", h.Failed[standing]},
		{"a hand-over that failed while the shards came to rest", h.Failed[freezing]},
		{"a hand-over that failed when some connections had their new places", h.Failed[adopting]},
		{"a hand-over that failed when all was over there", h.Failed[ending]},
		{"a connection that found no place behind a hand-over", h.Lost},
		{"a client that was told that it has no place behind a hand-over", h.Told},
		{"an answer behind a hand-over to an offer from before", h.Late},
		{"half a request in a hand-over", h.Requests},
		{"half a message in a hand-over", h.Messages},
		{"half a fragmented message in a hand-over", h.Fragments},
		{"half a compressed message in a hand-over", h.Packed},
		{"half a send in a hand-over", h.Flights},
		{"frames behind a send in a hand-over", h.Waiting},
		{"a client that was held back in a hand-over", h.Held},
		{"a client that was pinged before a hand-over", h.Pinged},
		{"a connection that ended while its shard came to rest", h.Ended},
		{"a connection that a hand-over left to its end", h.Ending},
		{"a connection that came from another shard while that came to rest", h.Arrived},
		{"a connection that stayed on its shard for a hand-over", h.Stayed},
		{"a hand-over of torrents that were lent", h.Lent},
	}
}
