package shard

import (
	"fmt"
	"strings"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/deflate"
	"millrace/cmd/internal/shard/door"
	"millrace/cmd/internal/shard/inbox"
	"millrace/cmd/internal/shard/meter"
	"millrace/cmd/internal/shard/mover"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/shard/torrents"
	"millrace/cmd/internal/stats"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the counters of the path of a message and gathers those of the parts. A counter is one field: its tags
// (see package stats) give its name on the metrics page and its meaning; totals, the page and
// config/METRICS.md derive from them.

// Stats are a shard's counters: plain integers that only its thread touches, copied out about once a second. A uint64
// only grows; an int is a gauge, which goes up and down.
type Stats struct {
	Table    conn.Stats
	Door     door.Stats
	Mover    mover.Stats
	Messages Messages
	Outbox   outbox.Stats
	Packer   deflate.PackStats
	Expander deflate.ExpandStats
	Torrents torrents.Stats
	Meter    meter.Stats
	Inbox    inbox.Stats
	Post     post.Stats
}

// Messages are the counters of the path of a message: from bytes to requests, and to the shard that serves them.
type Messages struct {
	Upgraded        uint64                       `metric:"connections_upgraded_total" help:"Connections that have become WebSockets."`
	RefusedByStatus [len(refusalStatuses)]uint64 `metric:"http_errors_total" by:"status" help:"Requests refused with an HTTP error."`

	TLSFull    uint64 `metric:"tls_handshakes_total" label:"result=full" help:"TLS handshakes that have ended."`
	TLSResumed uint64 `metric:"tls_handshakes_total" label:"result=resumed"`
	TLSFailed  uint64 `metric:"tls_handshakes_total" label:"result=failed"`
	TLSMemory  int    `metric:"tls_record_buffer_bytes" help:"Memory in use for partial TLS records."`              // filled by Snapshot
	InFlight   int    `metric:"tls_handshakes_in_flight" help:"TLS handshakes that have had a turn and not ended."` // the same
	Fresh      int    `metric:"tls_handshakes_waiting" help:"TLS handshakes that wait for their first turn."`       // the same

	BytesIn uint64 `metric:"received_bytes_total" help:"Bytes received from clients, those of TLS included."`

	ByIP [2]IPStats `by:"ip_version"`

	Rejected         [wsproto.Rejects]uint64          `metric:"messages_rejected_total" by:"reason=reject,code=reject_code" help:"Messages that cannot be acted on."`
	Overloaded       [wsproto.ActionScrape + 1]uint64 `metric:"requests_overloaded_total" by:"type=action" help:"Requests that failed because a mailbox to another shard had no room."`
	ServedHere       uint64                           `metric:"requests_by_owner_total" label:"owner=own_shard" help:"Announces and answers by whose torrent it is, counted at the connection."`
	ServedElsewhere  uint64                           `metric:"requests_by_owner_total" label:"owner=other_shard"`
	BadOffers        uint64                           `metric:"offers_unusable_total" help:"Offers in announces that were left out because they cannot be used."`
	ScrapesForbidden uint64                           `metric:"scrapes_forbidden_total" help:"Scrapes of one torrent that the access list forbids."`
	PingsIn          uint64                           `metric:"pings_received_total" help:"Ping frames received."`
	PongsIn          uint64                           `metric:"pongs_received_total" help:"Pong frames received."`

	Challenges       uint64 `metric:"challenges_total" help:"Connections that were pinged because another one announced a peer id of theirs."`
	ChallengesFailed uint64 `metric:"challenges_unanswered_total" help:"Connections that did not answer that, so that their peers went to others."`
	ChallengesLost   uint64 `metric:"challenges_lost_total" help:"Challenges, or news of unanswered ones, that were left out because there was too much to do."`

	DroppedMail [outbox.Kinds]uint64 `metric:"frames_dropped_total" label:"reason=mailbox" by:"type=frame" help:"Frames that were left out for lack of room or of a receiver."`

	Announces [swarm.Statuses]uint64 `metric:"announces_total" by:"result=announce" help:"Announces by outcome, counted at the torrent."`
	Replies   stats.Latency          `metric:"announce_reply_seconds" help:"Time from the turn of the loop that read an announce until its reply was handed to the kernel. A wait in which the loop gathered events counts whole."`

	Expanded [wsproto.ActionScrape + 1]ExpandedStats `by:"type=expanded"`

	Abroad AbroadStats

	Answers [swarm.AnswerNoOffer + 1]uint64 `metric:"answers_total" by:"result=answer" help:"Answers to offers by outcome, counted at the torrent."`
}

// ExpandedStats are the counters of compressed messages of a kind.
type ExpandedStats struct {
	Messages uint64 `metric:"deflate_messages_total" label:"direction=in"`
	Plain    uint64 `metric:"deflate_bytes_total" label:"direction=in,form=plain"`
	Packed   uint64 `metric:"deflate_bytes_total" label:"direction=in,form=packed"`
}

// counters are the counters of the path of a message while they are counted.
type counters struct {
	Messages
	replies replies // keeps Messages.Replies
}

// IPStats are the counters that are kept apart for IPv4 and IPv6 clients.
type IPStats struct {
	MessagesIn [wsproto.ActionScrape + 1]uint64 `metric:"messages_total" by:"type=action" help:"Messages received that can be acted on."`
}

// Tables returns the values of the labels of Stats, as package stats needs them.
func Tables() stats.Tables {
	t := stats.Tables{
		"action":     {"", "announce", "answer", "scrape"},
		"expanded":   {"unusable", "announce", "answer", "scrape"},
		"family":     {"4", "6", "shared"},
		"ip_version": {"4", "6"},
		"reason":     {""},
		"state":      {""}, // free slots are not connections
		"plain":      deflate.PlainNames,
	}
	add := func(table, value string) { t[table] = append(t[table], strings.ReplaceAll(value, " ", "_")) }
	for state := conn.Free + 1; state < conn.States; state++ {
		add("state", state.String())
	}
	for why := conn.ReasonNone + 1; why < conn.Reasons; why++ {
		add("reason", why.String())
	}
	for kind := range outbox.Kinds {
		add("frame", kind.String())
	}
	for status := range swarm.Statuses {
		add("announce", status.String())
	}
	for status := range swarm.AnswerNoOffer + 1 {
		add("answer", status.String())
	}
	for why := range wsproto.Rejects {
		add("reject", why.String())
		add("reject_code", fmt.Sprint(int(why)))
	}
	for _, status := range refusalStatuses {
		if status == 0 {
			add("status", "other")
		} else {
			add("status", fmt.Sprint(status))
		}
	}
	return t
}

// refusalStatuses are the HTTP errors that are counted one by one; the last stands for all others.
var refusalStatuses = [...]int{400, 403, 405, 408, 426, 429, 431, 503, 505, 0}

// countRefusal counts an HTTP error.
func (m *Messages) countRefusal(status int) {
	for k, known := range refusalStatuses {
		if known == status || known == 0 {
			m.RefusedByStatus[k]++
			return
		}
	}
}

// Snapshot returns a copy of the counters. It is called by the loop's thread.
func (s *Shard) Snapshot() Stats {
	st := Stats{
		Table: s.table.Stats(), Door: s.door.Stats(), Messages: s.stats.Messages, Inbox: s.inbox.Stats(), Outbox: s.outbox.Stats(),
		Packer: s.outbox.PackStats(), Expander: s.scratch.expander.Stats(),
		Meter: s.meter.Stats(), Post: s.post.Stats(), Mover: s.mover.Stats(), Torrents: s.torrents.Stats(),
	}
	if s.secure != nil {
		st.Messages.TLSMemory = s.secure.engine.Buffered()
		st.Messages.InFlight = s.secure.engine.InFlight()
		st.Messages.Fresh = s.secure.engine.Fresh()
	}
	return st
}

// Add adds the figures of another shard, for totals.
func (s *Stats) Add(o *Stats) { stats.Add(s, o) }

// Open returns how many connections are not closed yet, in whatever state.
func (s *Stats) Open() int {
	n := 0
	for _, c := range s.Table.Conns {
		n += c
	}
	return n
}
