package simulation

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/deflate"
	"millrace/cmd/internal/shard/outbox"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the list of rare paths. A simulation that never goes there proves nothing.

// Path is something rare that shards do under faults, and how often they did.
type Path struct {
	Name  string
	Count uint64
}

// Paths returns how often each rare path was taken.
func Paths(r *Result) []Path {
	st := &r.Stats
	reply, offer, answer := outbox.Reply, outbox.Offer, outbox.Answer
	paths := []Path{
		{"a short send", st.Outbox.ShortSends},
		{"a full connection table", st.Door.Refused},
		{"a failed accept", st.Door.AcceptFailed},
		{"the end of a connection that found a mailbox full", st.Post.Backlogged},
		{"the end of a connection that waited for another Step", st.Torrents.GoneWaited},
		{"no memory for a partial message", st.Inbox.AssemblyFull},
		{"no memory for an offer", st.Outbox.DroppedMemory[offer]},
		{"an offer to a client that does not read", st.Outbox.DroppedFull[offer]},
		{"an offer that found a mailbox full", st.Messages.DroppedMail[offer]},
		{"a frame for a client that left",
			st.Outbox.DroppedGone[offer] + st.Outbox.DroppedGone[answer] + st.Outbox.DroppedGone[reply]},
		{"a client that was held back", st.Outbox.HeldBack},
		{"a request for a torrent of another shard", st.Messages.ServedElsewhere},
		{"a second connection of a peer", st.Messages.Announces[swarm.StatusSuccessor]},
		{"a connection that did not answer a challenge", st.Messages.ChallengesFailed},
		{"a peer that went to another connection", st.Torrents.Swarm.PeersHandedOver},
		{"a connection that followed its torrent", st.Mover.MovedIn},
		{"a connection that found the other shard with enough", st.Mover.MovesRefused},
		{"a connection that was about to move and stayed, or ended", st.Mover.MovesGivenUp},
		{"a connection that arrived when the table was full", st.Mover.MovesLost},
		{"a connection that went on from the home of its torrent to the holder", st.Mover.MovedOn},
		{"a torrent that was lent", st.Torrents.Loans.Lends},
		{"a request that went through the home of a torrent that was lent", st.Torrents.Loans.Passed},
		{"a torrent that came home", st.Torrents.Loans.Returned},
		{"a torrent that could not come home yet", st.Torrents.Loans.Kept},
		{"a client that was not read from because it was too fast", st.Meter.Throttled},
		{"a client whose bytes waited for its turn", st.Meter.Postponed},
		{"a client that was not read from because many did", st.Meter.Crowded},
		{"an offer that was one too many for its receiver", st.Meter.OffersDropped},
		{"an offer that was one too many of its sender", st.Meter.OffersHeld},
		{"an offer that was sent compressed", st.Outbox.Packed[outbox.Offer].Messages},
		{"a compressed announce of a client", st.Messages.Expanded[wsproto.ActionAnnounce].Messages},
		{"a history that gave way to another", st.Packer.Dropped},
		{"a message that did not become shorter", st.Packer.Plain[deflate.Same]},
		{"half a message that was one too many of its address", st.Inbox.AddressFull},
		{"a peer id too many in a torrent", st.Messages.Announces[swarm.StatusTooManyIDs]},
		{"a peer too many of an address", st.Messages.Announces[swarm.StatusAddressFull]},
	}
	for _, why := range []conn.Reason{
		conn.ReasonClientClose, conn.ReasonEOF, conn.ReasonReset, conn.ReasonIdle, conn.ReasonSlowConsumer,
		conn.ReasonProtocol, conn.ReasonBadMessages, conn.ReasonNoMemory, conn.ReasonStopping,
		conn.ReasonAddressLimit, conn.ReasonControlFlood,
	} {
		paths = append(paths, Path{"a connection that ended with " + why.String(), st.Table.Closed[why]})
	}
	return append(paths, handOverPaths(&r.HandOvers)...)
}
