package config

import (
	"fmt"
	"net/netip"
)

// This file owns the section [limits]: its keys, their defaults and ranges, and the contradictions between them. The
// first keys bound the memory of all clients, the others the share of one address or one connection.

// Limits is the section [limits]: bounds on the memory and the work that clients can take. A rate counts each second,
// unless its name says otherwise, and its burst is the number that may come at once after a rest. An address is an IPv4
// address or an IPv6 /64; the IPv6 /48 around it has eight times the value.
type Limits struct {
	TorrentsPerConnection    int `toml:"torrents_per_connection"`     // peers (info hash and peer id) of one connection
	BadMessagesPerConnection int `toml:"bad_messages_per_connection"` // unusable messages in a row that are passed over
	PendingOffersPerPeer     int `toml:"pending_offers_per_peer"`     // relayed and unanswered offers of one peer
	MaxPeers                 int `toml:"max_peers"`                   // all shards together
	MaxPendingOffers         int `toml:"max_pending_offers"`          // all shards together
	MemoryLimit              int `toml:"memory_limit"`                // resident bytes of the process; 0: 3/4 of the machine's

	Active bool           `toml:"active"` // the limits below count
	Exempt []netip.Prefix `toml:"exempt"` // they do not count for these addresses

	ConnectionsPerAddress        int `toml:"connections_per_address"`      // open at a time
	ConnectionsPerAddressRate    int `toml:"connections_per_address_rate"` // new ones
	ConnectionsPerAddressBurst   int `toml:"connections_per_address_burst"`
	TLSHandshakesPerAddress      int `toml:"tls_handshakes_per_address"`      // under way at a time
	TLSHandshakesPerAddressRate  int `toml:"tls_handshakes_per_address_rate"` // new ones
	TLSHandshakesPerAddressBurst int `toml:"tls_handshakes_per_address_burst"`

	PeersPerAddress           int `toml:"peers_per_address"`          // peers (info hash and peer id)
	PeerIDsPerTorrent         int `toml:"peer_ids_per_torrent"`       // of one connection in one torrent
	AssemblyBytesPerAddress   int `toml:"assembly_bytes_per_address"` // of messages that are not complete
	SendBytesPerAddress       int `toml:"send_bytes_per_address"`     // of waiting output
	OffersToReceiverRate      int `toml:"offers_to_receiver_rate"`    // offers that one connection gets
	OffersToReceiverBurst     int `toml:"offers_to_receiver_burst"`
	MessagesPerConnectionRate int `toml:"messages_per_connection_rate"` // messages that are read from it

	MessagesPerConnectionBurst      int `toml:"messages_per_connection_burst"`
	BytesPerConnectionTurn          int `toml:"bytes_per_connection_turn"` // read in one turn of a loop, of a flood
	BytesPerConnectionRate          int `toml:"bytes_per_connection_rate"` // bytes that are read from it
	BytesPerConnectionBurst         int `toml:"bytes_per_connection_burst"`
	ControlFramesPerConnectionRate  int `toml:"control_frames_per_connection_rate"` // pings, pongs and the like
	ControlFramesPerConnectionBurst int `toml:"control_frames_per_connection_burst"`
	KeyUpdatesPerMinute             int `toml:"key_updates_per_minute"` // of one TLS connection

	BanMinutes int `toml:"ban_minutes"` // time for which an address is refused that keeps breaking limits; 0: never
}

// defaultLimits returns the defaults of [limits]. A campus of 1,000 clients behind one IPv4 address, all in the same
// swarm, stays within them.
func defaultLimits() Limits {
	return Limits{
		TorrentsPerConnection:    8192,
		BadMessagesPerConnection: 10,
		PendingOffersPerPeer:     64,
		MaxPeers:                 10_000_000,
		MaxPendingOffers:         4_000_000,

		Active: true,
		Exempt: loopback(),

		ConnectionsPerAddress:        1024,
		ConnectionsPerAddressRate:    50,
		ConnectionsPerAddressBurst:   1024,
		TLSHandshakesPerAddress:      64,
		TLSHandshakesPerAddressRate:  30,
		TLSHandshakesPerAddressBurst: 512,

		PeersPerAddress:         32768,
		PeerIDsPerTorrent:       4,
		AssemblyBytesPerAddress: 1 << 20,
		SendBytesPerAddress:     4 << 20,
		OffersToReceiverRate:    20,
		OffersToReceiverBurst:   100,

		MessagesPerConnectionRate:       50,
		MessagesPerConnectionBurst:      1000,
		BytesPerConnectionTurn:          16 << 10,
		BytesPerConnectionRate:          256_000,
		BytesPerConnectionBurst:         2 << 20,
		ControlFramesPerConnectionRate:  10,
		ControlFramesPerConnectionBurst: 100,
		KeyUpdatesPerMinute:             32,
	}
}

// loopback returns the networks of this machine's own clients.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Bounds of several keys of [limits]. A value that nobody reaches switches a single limit off.
const (
	maxCount = 1 << 24 // connections, handshakes, peers
	maxRate  = 1 << 30 // of anything a second, and its burst; bytes of one address

	leastMemoryLimit = 16 << 20 // less than an empty tracker has
)

// limitRanges has a row for every key of [limits] that is a number.
var limitRanges = []rangeOf{
	{key: "limits.torrents_per_connection", min: 1, max: maxConnTorrents},
	{key: "limits.bad_messages_per_connection", min: 0, max: maxBadMessages},
	{key: "limits.pending_offers_per_peer", min: 1, max: 1 << 16},
	{key: "limits.max_peers", min: 1, max: maxShards * maxShardPeers},
	{key: "limits.max_pending_offers", min: 1, max: maxShards * maxShardOffers},
	{key: "limits.memory_limit", min: 0, max: 1 << 50},
	{key: "limits.connections_per_address", min: 1, max: maxCount},
	{key: "limits.connections_per_address_rate", min: 1, max: maxRate},
	{key: "limits.connections_per_address_burst", min: 1, max: maxRate},
	{key: "limits.tls_handshakes_per_address", min: 1, max: maxCount},
	{key: "limits.tls_handshakes_per_address_rate", min: 1, max: maxRate},
	{key: "limits.tls_handshakes_per_address_burst", min: 1, max: maxRate},
	{key: "limits.peers_per_address", min: 1, max: maxRate},
	{key: "limits.peer_ids_per_torrent", min: 1, max: maxConnTorrents},
	{key: "limits.assembly_bytes_per_address", min: minMessageSize, max: maxRate},
	{key: "limits.send_bytes_per_address", min: minMessageSize, max: maxRate},
	{key: "limits.offers_to_receiver_rate", min: 1, max: maxRate},
	{key: "limits.offers_to_receiver_burst", min: 1, max: maxRate},
	{key: "limits.messages_per_connection_rate", min: 1, max: maxRate},
	{key: "limits.messages_per_connection_burst", min: 1, max: maxRate},
	{key: "limits.bytes_per_connection_turn", min: minMessageSize, max: maxRate},
	{key: "limits.bytes_per_connection_rate", min: minMessageSize, max: maxRate},
	{key: "limits.bytes_per_connection_burst", min: minMessageSize, max: maxRate},
	{key: "limits.control_frames_per_connection_rate", min: 1, max: maxRate},
	{key: "limits.control_frames_per_connection_burst", min: 1, max: maxRate},
	{key: "limits.key_updates_per_minute", min: 1, max: maxRate},
	{key: "limits.ban_minutes", min: 0, max: 366 * 24 * 60},
}

// checkMemoryLimit returns that the limit of memory is one that no tracker can keep.
func (c *Config) checkMemoryLimit() []finding {
	v := c.Limits.MemoryLimit
	if v == 0 || v >= leastMemoryLimit {
		return nil
	}
	return []finding{{[]string{"limits.memory_limit"},
		fmt.Sprintf("limits.memory_limit is %d, but must be 0 or at least %d bytes", v, leastMemoryLimit)}}
}
