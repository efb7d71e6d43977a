package shard

// This file holds the counters of a shard. A counter is one field: its tags (see package stats) say what it is called on
// the metrics page and what it means; totals, the page and config/METRICS.md derive from them.

import (
	"fmt"
	"net/netip"
	"strings"

	"millrace/cmd/internal/stats"
	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// Stats are a shard's counters: plain integers that only its thread touches, copied out about once a second. A uint64
// only grows; an int is a gauge, which goes up and down.
type Stats struct {
	// Connections: how they come, are and go.
	Conns      [states]int             `metric:"connections" by:"state" help:"Connections by state."`
	Closed     [Reasons]uint64         `metric:"connections_closed_total" by:"reason" help:"Connections that have ended."`
	LastClient [Reasons]netip.AddrPort `metric:"-"` // whose connection ended last for a reason that is Abusive

	Accepted        uint64                       `metric:"connections_accepted_total" help:"Connections that the kernel has handed over."`
	Upgraded        uint64                       `metric:"connections_upgraded_total" help:"Connections that have become WebSockets."`
	Refused         uint64                       `metric:"connections_refused_total" help:"Connections closed at once because max_connections is reached."`
	AcceptFailed    uint64                       `metric:"accept_failures_total" help:"Connections that the kernel could not hand over."`
	LastAcceptError ring.Errno                   `metric:"-"`
	BadProxyHeaders uint64                       `metric:"bad_proxy_headers_total" help:"Connections from trusted proxies closed for lack of a PROXY protocol header."`
	RefusedByStatus [len(refusalStatuses)]uint64 `metric:"http_errors_total" by:"status" help:"Requests refused with an HTTP error."`

	MovedIn      uint64 `metric:"connections_moved_total" label:"direction=in" help:"Connections that came from other shards (in) and went to them (out)."`
	MovedOut     uint64 `metric:"connections_moved_total" label:"direction=out"`
	MovesRefused uint64 `metric:"connections_not_moved_total" label:"reason=no_room" help:"Moves to another shard that did not happen; those with the reason table_full ended the connection."`
	MovesGivenUp uint64 `metric:"connections_not_moved_total" label:"reason=given_up"`
	MovesLost    uint64 `metric:"connections_not_moved_total" label:"reason=table_full"`

	TLSFull    uint64 `metric:"tls_handshakes_total" label:"result=full" help:"TLS handshakes that have ended."`
	TLSResumed uint64 `metric:"tls_handshakes_total" label:"result=resumed"`
	TLSFailed  uint64 `metric:"tls_handshakes_total" label:"result=failed"`
	TLSMemory  int    `metric:"tls_record_buffer_bytes" help:"Memory in use for partial TLS records."` // filled by Snapshot

	// Messages: those that come in, those that go out and those that are left out.
	BytesIn  uint64 `metric:"received_bytes_total" help:"Bytes received from clients, those of TLS included."`
	BytesOut uint64 `metric:"sent_bytes_total" help:"Bytes sent to clients, those of TLS included."`

	ByIP [2]IPStats `by:"ip_version"`

	Rejected         [wsproto.RejectFullScrape + 1]uint64 `metric:"messages_rejected_total" by:"reason=reject,code=reject_code" help:"Messages that cannot be acted on."`
	Overloaded       [wsproto.ActionScrape + 1]uint64     `metric:"requests_overloaded_total" by:"type=action" help:"Requests that failed because a mailbox to another shard had no room."`
	ServedHere       uint64                               `metric:"requests_by_owner_total" label:"owner=own_shard" help:"Announces and answers by whose torrent it is, counted at the connection."`
	ServedElsewhere  uint64                               `metric:"requests_by_owner_total" label:"owner=other_shard"`
	BadOffers        uint64                               `metric:"offers_unusable_total" help:"Offers in announces that were left out because they cannot be used."`
	ScrapesForbidden uint64                               `metric:"scrapes_forbidden_total" help:"Scrapes of one torrent that the access list forbids."`
	PingsIn          uint64                               `metric:"pings_received_total" help:"Ping frames received."`
	PongsIn          uint64                               `metric:"pongs_received_total" help:"Pong frames received."`

	DroppedFull   [frameKinds]uint64 `metric:"frames_dropped_total" label:"reason=slow_consumer" by:"type=frame" help:"Frames that were left out for lack of room or of a receiver."`
	DroppedMemory [frameKinds]uint64 `metric:"frames_dropped_total" label:"reason=send_memory" by:"type=frame"`
	DroppedMail   [frameKinds]uint64 `metric:"frames_dropped_total" label:"reason=mailbox" by:"type=frame"`
	DroppedGone   [frameKinds]uint64 `metric:"frames_dropped_total" label:"reason=gone" by:"type=frame"`

	// Swarms: outcomes at the torrents' owner, and the table.
	Announces [swarm.StatusConnectionFull + 1]uint64 `metric:"announces_total" by:"result=announce" help:"Announces by outcome, counted at the torrent."`
	Answers   [swarm.AnswerNoOffer + 1]uint64        `metric:"answers_total" by:"result=answer" help:"Answers to offers by outcome, counted at the torrent."`
	Families  [len(families)]FamilyStats             `by:"ip_version=family"` // filled by Snapshot
	Swarm     swarm.Counts                           // filled by Snapshot

	// Memory for sending and for partial messages.
	Sends          uint64 `metric:"sends_total" help:"Sends handed to the kernel."`
	ShortSends     uint64 `metric:"short_sends_total" help:"Sends of which the kernel took only a part."`
	HeldBack       uint64 `metric:"held_back_total" help:"Times that a client was not read from because it did not read."`
	SendMemory     int    `metric:"send_memory_bytes" help:"Memory in use for frames that wait to be sent."` // filled by Snapshot
	SealFailed     uint64 `metric:"tls_send_memory_full_total" help:"Times that waiting bytes could not be encrypted for lack of send memory."`
	AssemblyMemory int    `metric:"assembly_memory_bytes" help:"Memory in use for partial messages."` // filled by Snapshot
	AssemblyFull   uint64 `metric:"assembly_memory_full_total" help:"Connections ended because no memory was left for their partial message."`

	// Mail between shards.
	MailIn      uint64 `metric:"mail_received_total" help:"Records received from other shards."`
	MailOut     uint64 `metric:"mail_sent_total" help:"Records sent to other shards."`
	Wakes       uint64 `metric:"mail_wakes_total" help:"Times that another shard was woken for its mail."`
	MailDepth   int    `metric:"mail_depth_bytes" help:"Bytes in the mailboxes to this shard."` // filled by Snapshot
	Backlog     int    `metric:"mail_backlog" help:"Ends of connections that other shards have not been told yet."`
	Backlogged  uint64 `metric:"-"`                                                                                   // ends of connections that could not be told at once, since the start
	GoneWaiting int    `metric:"ended_connections_waiting" help:"Ended connections whose peers are not removed yet."` // filled by Snapshot
	GoneWaited  uint64 `metric:"ended_connections_waited_total" help:"Ended connections whose peers could not be removed at once."`
}

// FamilyStats are the gauges of the swarms of one IP version.
type FamilyStats struct {
	Torrents int `metric:"torrents" help:"Torrents with at least one peer."`
	Peers    int `metric:"peers" help:"Peers in all torrents."`
}

// families are the values of swarm.Key.Family, in the order of Stats.Families.
var families = [...]uint8{4, 6, 0}

// IPStats are the counters that are kept apart for IPv4 and IPv6 clients.
type IPStats struct {
	Open       int                              `metric:"active_connections" help:"Open WebSocket connections."`
	MessagesIn [wsproto.ActionScrape + 1]uint64 `metric:"messages_total" by:"type=action" help:"Messages received that can be acted on."`
	FramesOut  [frameKinds]uint64               `metric:"frames_sent_total" by:"type=frame" help:"Frames and HTTP responses sent."`
}

// Tables returns the values of the labels of Stats, as package stats needs them.
func Tables() stats.Tables {
	t := stats.Tables{
		"action":     {"", "announce", "answer", "scrape"},
		"family":     {"4", "6", "shared"},
		"frame":      frameNames[:],
		"ip_version": {"4", "6"},
		"reason":     append([]string{""}, reasonNames[1:]...),
		"state":      append([]string{""}, stateNames[1:]...), // the first stands for free slots
	}
	add := func(table, value string) { t[table] = append(t[table], strings.ReplaceAll(value, " ", "_")) }
	for status := range swarm.StatusConnectionFull + 1 {
		add("announce", status.String())
	}
	for status := range swarm.AnswerNoOffer + 1 {
		add("answer", status.String())
	}
	for why := range wsproto.RejectFullScrape + 1 {
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
var refusalStatuses = [...]int{400, 405, 408, 426, 431, 503, 505, 0}

// countRefusal counts an HTTP error.
func (s *Stats) countRefusal(status int) {
	for k, known := range refusalStatuses {
		if known == status || known == 0 {
			s.RefusedByStatus[k]++
			return
		}
	}
}

// Snapshot returns a copy of the counters. It is called by the loop's thread.
func (s *Shard) Snapshot() Stats {
	st := s.stats
	st.SendMemory, st.AssemblyMemory = s.sendPool.InUse(), s.asmPool.InUse()
	if s.secure != nil {
		st.TLSMemory = s.secure.engine.Buffered()
	}
	for _, box := range s.in {
		if box != nil {
			st.MailDepth += box.Depth()
		}
	}
	st.GoneWaiting = s.ended.len()
	st.Swarm = s.table.Counts()
	for k, family := range families {
		st.Families[k].Torrents, st.Families[k].Peers = s.table.CountsByFamily(family)
	}
	return st
}

// Add adds the figures of another shard, for totals.
func (s *Stats) Add(o *Stats) { stats.Add(s, o) }

// Open returns how many connections are not closed yet, in whatever state.
func (s *Stats) Open() int {
	n := 0
	for _, c := range s.Conns {
		n += c
	}
	return n
}
