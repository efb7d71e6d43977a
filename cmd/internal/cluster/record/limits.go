package record

import "millrace/wsproto"

// This file owns the bounds of records. A reader refuses a record that is beyond one, so the writer keeps to them: it leaves out offers whose
// description is longer than MaxSDP, say.

const (
	MaxNode    = 64                     // bytes of the id of a node
	MaxAddress = 256                    // bytes of the text about its address
	MaxNodes   = 64                     // nodes of a cluster
	MaxPeers   = 1 << 25                // seeders or leechers of a torrent on one node: the sum over all nodes fits 32 bits
	MaxOffers  = 255                    // offers of a relay
	MaxSDP     = 64 << 10               // bytes of the description of a session
	MaxHashes  = wsproto.MaxScrapeFiles // torrents of a scrape
	MaxKept    = 256 << 10              // bytes that a shard gives along with a scrape
)
