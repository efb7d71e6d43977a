package simulation

import (
	"millrace/cmd/internal/cluster"
	"millrace/cmd/internal/cluster/record"
)

// This file owns the list of rare paths of clusters.

// ClusterPaths returns how often each rare path of a cluster was taken.
func ClusterPaths(r *Result) []Path {
	c := &r.Cluster
	core, abroad, sw := &c.Core, &c.Shards.Messages.Abroad, &c.Shards.Torrents.Swarm
	mail := func(kind record.MailKind) uint64 { return core.MailDropped[kind-record.FirstMail] }
	return []Path{
		{"an offer to a peer of the same node", c.OffersHere},
		{"an offer to a peer of another node", c.OffersAbroad},
		{"an answer from the same node", c.AnswersHere},
		{"an answer from another node", c.AnswersAbroad},
		{"offers of a first peer that waited for its torrent's home", c.Seeks},
		{"a reply to a scrape", c.Scrapes},
		{"a client that vanished without a word", c.Vanished},
		{"a client that vanished and came back on another node", c.Roamed},
		{"a client that was on two nodes at a time", c.Doubles},
		{"a connection that was challenged because its peer came elsewhere", abroad.Rivals},
		{"a peer that left because its connection did not answer then", abroad.RivalsGone},
		{"a message that was lost", c.Lost},
		{"a message that came twice or too late", core.Flaws[cluster.FlawStale]},
		{"a message for a life of a node that was over", core.Flaws[cluster.FlawSeal]},
		{"a message of a node that was not known", core.Flaws[cluster.FlawStranger]},
		{"a message that the bus did not take", core.Unpublished},
		{"a node that died", c.Deaths},
		{"a node that said goodbye", c.Farewells},
		{"a node that lost its connection to the bus", c.Cuts},
		{"a bus that was away", c.Silences},
		{"a node that stood still", c.Pauses},
		{"a node that noticed that it had", core.Forgiven},
		{"a bridge that stood still", c.Stalls},
		{"a bus that was parted", c.Partitions},
		{"a mailbox from a bridge that was full", c.FullBoxes},
		{"counts that a shard was not told", mail(record.MailOthers)},
		{"offers from elsewhere that a shard was not given", mail(record.MailVisit)},
		{"offers that found a mailbox to a bridge full", abroad.DroppedOffers},
		{"a scrape that other nodes were not asked about", abroad.DroppedScrape},
		{"an offer from elsewhere without a receiver", abroad.OffersMissed},
		{"a guest that gave way to another", sw.GuestsPushedOut},
		{"a scrape that was answered without others", core.AsksOver},
		{"an answer to a scrape that came too late", core.Late},
		{"held offers that found no room", core.HeldFull},
		{"held offers that waited in vain", core.HeldOver},
		{"a full directory", core.StaysFull},
		{"counts from a former home", core.Strayed},
		{"a batch that was lost", core.BytesLost},
		{"a relay that was left out", core.Dropped[record.KindRelay]},
		{"a presence that was left out", core.Dropped[record.KindPresence]},
	}
}
