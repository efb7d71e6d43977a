package cluster

import "millrace/cmd/internal/cluster/record"

// This file owns the counters.

// Flaw is why a message is not taken.
type Flaw uint8

// The flaws.
const (
	FlawForm     Flaw = iota // it is no message
	FlawVersion              // it is one of another version
	FlawSecret               // it is a greeting that cannot be opened: the sender has another secret
	FlawSeal                 // it is for this node and cannot be opened: the sender means an earlier life of it, or has another secret
	FlawStale                // it came twice, or after a later one
	FlawStranger             // its sender is not known, or not any more
	Flaws
)

// FlawNames are the names of the flaws, for labels.
var FlawNames = [Flaws]string{"form", "version", "secret", "seal", "stale", "stranger"}

// kindCounts are counters by the kind of a record.
type kindCounts = [record.Kinds]uint64

// mailCounts are counters by the kind of a piece of mail.
type mailCounts = [record.MailKinds - record.FirstMail]uint64

// Stats are the counters of a core. Their tags say how they are shown (see package stats). The tables that the tags name are record.KindNames
// (record), record.MailNames (mail) and FlawNames (flaw).
type Stats struct {
	Connected int    `metric:"cluster_connected" help:"1 while there is a connection to the bus, else 0: the node is alone."`
	Unheard   int    `metric:"cluster_unheard" help:"1 while the bus does not bring this node its own greetings: it may not publish, or not subscribe."`
	Strange   bool   `metric:"-"` // in the last minute somebody greeted with another secret
	Nodes     int    `metric:"cluster_nodes" help:"Other nodes of the cluster that are live."`
	Unlike    int    `metric:"cluster_nodes_unlike" help:"Those of them with another protocol.share_swarms_across_ip_versions: their clients do not meet those of this node."`
	Joined    uint64 `metric:"cluster_nodes_joined_total" help:"Nodes that were taken in, those included that came back."`
	Left      uint64 `metric:"cluster_nodes_left_total" help:"Nodes that went, or were silent for too long."`
	Silent    uint64 `metric:"cluster_nodes_silent_total" help:"Those of them that were silent for too long, without a goodbye."`
	Refused   uint64 `metric:"cluster_nodes_refused_total" help:"Greetings of nodes that were not taken in: another version, or too many nodes."`
	Numbers   int    `metric:"cluster_node_numbers_left" help:"Nodes that can still be taken in before this node has to be restarted."`

	MessagesOut uint64        `metric:"cluster_messages_total" label:"direction=out" help:"Messages to and from other nodes."`
	MessagesIn  uint64        `metric:"cluster_messages_total" label:"direction=in"`
	BytesOut    uint64        `metric:"cluster_bytes_total" label:"direction=out" help:"Bytes of messages to and from other nodes."`
	BytesIn     uint64        `metric:"cluster_bytes_total" label:"direction=in"`
	PackPlain   uint64        `metric:"cluster_pack_bytes_total" label:"direction=out,form=plain" help:"Bytes of records that were packed together, before and after."`
	PackPacked  uint64        `metric:"cluster_pack_bytes_total" label:"direction=out,form=packed"`
	OpenPlain   uint64        `metric:"cluster_pack_bytes_total" label:"direction=in,form=plain"`
	OpenPacked  uint64        `metric:"cluster_pack_bytes_total" label:"direction=in,form=packed"`
	Unpublished uint64        `metric:"cluster_messages_unpublished_total" help:"Times that the bus did not take a message. All but greetings are tried again."`
	Out         kindCounts    `metric:"cluster_records_total" by:"kind=record" label:"direction=out" help:"Records to and from other nodes. A packed one holds those of a message, which count too."`
	In          kindCounts    `metric:"cluster_records_total" by:"kind=record" label:"direction=in"`
	Dropped     kindCounts    `metric:"cluster_records_dropped_total" by:"kind=record" help:"Records that were left out: no room, no connection, or the node is gone."`
	BytesLost   uint64        `metric:"cluster_bytes_lost_total" help:"Bytes of records that waited for a node when it went, or for the bus when the connection ended."`
	Flaws       [Flaws]uint64 `metric:"cluster_messages_refused_total" by:"reason=flaw" help:"Messages of other nodes that were not taken."`
	BadRecords  uint64        `metric:"cluster_records_refused_total" help:"Records of other nodes that mean nothing."`
	NewRecords  uint64        `metric:"cluster_records_unknown_total" help:"Records of a kind that this version does not know."`
	Strayed     uint64        `metric:"cluster_records_strayed_total" help:"Counts of a torrent from a node that is not its home, or not any more."`
	Late        uint64        `metric:"cluster_records_late_total" help:"Answers to a scrape that nobody waits for any more."`
	Waiting     int           `metric:"cluster_waiting_bytes" help:"Bytes of records that wait for the next message."`
	MailIn      mailCounts    `metric:"cluster_mail_total" by:"kind=mail" label:"direction=in" help:"Records from and to the shards."`
	MailOut     mailCounts    `metric:"cluster_mail_total" by:"kind=mail" label:"direction=out"`
	MailDropped mailCounts    `metric:"cluster_mail_dropped_total" by:"kind=mail" help:"Records that a shard's mailbox had no room for."`
	MailRefused uint64        `metric:"cluster_mail_refused_total" help:"Records of shards that mean nothing: a mistake of the tracker."`
	Torrents    int           `metric:"cluster_directory_torrents" help:"Torrents whose directory entry is here."`
	Stays       int           `metric:"cluster_directory_stays" help:"Nodes with peers in those torrents."`
	StaysFull   uint64        `metric:"cluster_directory_full_total" help:"Counts that found no room in the directory."`
	Dirty       int           `metric:"cluster_directory_changes_waiting" help:"Torrents whose changes wait to be told to other nodes."`
	HeldBytes   int           `metric:"cluster_held_bytes" help:"Bytes of offers that wait until it is known who else has their torrent."`
	HeldFull    uint64        `metric:"cluster_held_full_total" help:"First announces whose offers found no room to wait."`
	HeldOver    uint64        `metric:"cluster_held_expired_total" help:"First announces whose offers waited in vain."`
	Asks        int           `metric:"cluster_scrapes_waiting" help:"Scrapes that wait for other nodes."`
	AskBytes    int           `metric:"cluster_scrapes_waiting_bytes" help:"Bytes of those."`
	AsksOver    uint64        `metric:"cluster_scrapes_incomplete_total" help:"Scrapes that were answered without what other nodes know."`
	Resends     uint64        `metric:"cluster_resends_total" help:"Times that all shards were asked to tell all their torrents anew."`
	Forgiven    uint64        `metric:"cluster_pauses_total" help:"Times that this node itself stood still for long."`
}

// Stats returns the counters.
func (c *Core) Stats() Stats {
	st := c.stats
	if c.connected {
		st.Connected = 1
		if !c.closed && c.clock.ticked-c.clock.echoed > c.o.Timeout {
			st.Unheard = 1
		}
	}
	st.Strange = c.clock.strange != 0 && c.clock.now-c.clock.strange < sayAgain
	st.Unlike = c.view.unlike(c.o.Swarms)
	st.Nodes, st.Numbers = len(c.view.live), maxNumbers-c.view.given
	st.Waiting = c.batches.bytes
	st.Torrents, st.Stays, st.Dirty = len(c.directory.entries), c.directory.stays, len(c.directory.dirty)
	st.HeldBytes, st.Asks, st.AskBytes = c.holds.bytes, len(c.asks.byNumber), c.asks.bytes
	return st
}
