// Package config reads the configuration file of the tracker: TOML with the sections, keys and meanings of aquatic_ws,
// to which keys of our own are added. [Load] turns a file into a [Config] or into the list of everything that is wrong
// with it; [DefaultTOML] is the annotated file that explains each key.
//
// The package only reads and checks. It opens no file, resolves no name and applies nothing: whoever starts the parts
// of the tracker turns a Config into their options.
package config

import "net/netip"

// Config holds one value for each key of the configuration file: fields for the keys at the top of the file and one
// struct per section. Durations are whole seconds, sizes are bytes, unless a field says otherwise. A Config that came
// from [Default] or [Load] is within the limits of every key; one that was changed by hand may not be.
type Config struct {
	// SocketWorkers is the number of shards: threads that each own a ring, connections and swarms. 0 stands for one
	// per CPU that the process may run on.
	SocketWorkers int `toml:"socket_workers"`

	// SwarmWorkers is accepted at any value and has no effect: every shard keeps its own swarms.
	SwarmWorkers int `toml:"swarm_workers"`

	// LogLevel is the least important kind of line that is logged.
	LogLevel LogLevel `toml:"log_level"`

	Network    Network    `toml:"network"`
	Protocol   Protocol   `toml:"protocol"`
	Cleaning   Cleaning   `toml:"cleaning"`
	Limits     Limits     `toml:"limits"`
	IOUring    IOUring    `toml:"io_uring"`
	CPUPinning CPUPinning `toml:"cpu_pinning"`
	Privileges Privileges `toml:"privileges"`
	AccessList AccessList `toml:"access_list"`
	Metrics    Metrics    `toml:"metrics"`

	set map[string]bool // the keys that the file names, as "section.key"
}

// Network is the section [network]: the listening socket and the life of a connection.
type Network struct {
	Address                 netip.AddrPort `toml:"address"`                    // listening address; port 0: any free port
	OnlyIPv6                bool           `toml:"only_ipv6"`                  // an IPv6 address takes no IPv4 clients
	TCPBacklog              int            `toml:"tcp_backlog"`                // connections waiting to be accepted
	EnableTLS               bool           `toml:"enable_tls"`                 // wss instead of ws
	TLSCertificatePath      string         `toml:"tls_certificate_path"`       // PEM chain
	TLSPrivateKeyPath       string         `toml:"tls_private_key_path"`       // PEM key
	TLSPostQuantum          bool           `toml:"tls_post_quantum"`           // hybrid key exchange with clients that offer it
	WebsocketMaxMessageSize int            `toml:"websocket_max_message_size"` // bytes of a message, all its frames
	WebsocketMaxFrameSize   int            `toml:"websocket_max_frame_size"`   // bytes of the payload of one frame

	// WebsocketWriteBufferSize is the number of bytes that is gathered for a connection while it does not read; a
	// connection may have three times as much waiting before it counts as slow, or twelve times if it has taken all before.
	WebsocketWriteBufferSize int `toml:"websocket_write_buffer_size"`

	EnableHTTPHealthChecks bool `toml:"enable_http_health_checks"` // GET /health is answered

	MaxConnections   int `toml:"max_connections"`   // divided among the shards; 0: what the descriptor limit allows
	HandshakeTimeout int `toml:"handshake_timeout"` // seconds from accept to the end of the upgrade request
	PingInterval     int `toml:"ping_interval"`     // seconds without a frame from a client after which it is pinged
	SendTimeout      int `toml:"send_timeout"`      // seconds that a connection may stay full, or a message unfinished
	CloseTimeout     int `toml:"close_timeout"`     // seconds to wait for the answer to a close frame
	ShutdownTimeout  int `toml:"shutdown_timeout"`  // seconds that a stop waits for clients to leave; 0: none
	MaxRequestHead   int `toml:"max_request_head"`  // bytes of the upgrade request, request line included

	FollowTorrents bool `toml:"follow_torrents"` // a connection goes to the shard that owns the torrent it announces first

	TrustedProxies []netip.Prefix `toml:"trusted_proxies"` // from these, what they say of the client's address is believed
	ProxyProtocol  bool           `toml:"proxy_protocol"`  // and each of their connections begins with a PROXY header
}

// Protocol is the section [protocol]: what clients are told and how much of what they say is used.
type Protocol struct {
	MaxScrapeTorrents    int  `toml:"max_scrape_torrents"`    // info hashes answered in one scrape
	MaxOffers            int  `toml:"max_offers"`             // offers relayed from one announce
	PeerAnnounceInterval int  `toml:"peer_announce_interval"` // seconds, sent to clients as "interval"
	ReplyToAnswers       bool `toml:"reply_to_answers"`       // an answer gets an announce reply, as from aquatic_ws

	// ShareSwarmsAcrossIPVersions puts IPv4 and IPv6 peers of a torrent into one swarm instead of two.
	ShareSwarmsAcrossIPVersions bool `toml:"share_swarms_across_ip_versions"`
}

// Cleaning is the section [cleaning]: how long things are kept, in seconds.
type Cleaning struct {
	TorrentCleaningInterval        int `toml:"torrent_cleaning_interval"`           // one pass over all peers
	MaxPeerAge                     int `toml:"max_peer_age"`                        // a peer is fresh after an announce
	MaxQuietPeerAge                int `toml:"max_quiet_peer_age"`                  // a peer whose connection lives goes
	MaxOfferAge                    int `toml:"max_offer_age"`                       // an offer may be answered
	ConnectionCleaningInterval     int `toml:"connection_cleaning_interval"`        // one pass over all connections
	MaxConnectionIdle              int `toml:"max_connection_idle"`                 // a silent connection is closed
	CloseAfterTLSUpdateGracePeriod int `toml:"close_after_tls_update_grace_period"` // of a replaced certificate
}

// Limits is the section [limits]: bounds on what clients can make the tracker remember.
type Limits struct {
	TorrentsPerConnection    int `toml:"torrents_per_connection"`     // peers (info hash and peer id) of one connection
	BadMessagesPerConnection int `toml:"bad_messages_per_connection"` // unusable messages in a row that are tolerated
	PendingOffersPerPeer     int `toml:"pending_offers_per_peer"`     // relayed offers of a peer that await an answer
	MaxPeers                 int `toml:"max_peers"`                   // all shards together
	MaxPendingOffers         int `toml:"max_pending_offers"`          // all shards together
}

// IOUring is the section [io_uring]: one [Tri] per kernel feature that the tracker can work without, and the sizes of
// what each shard keeps for its ring.
type IOUring struct {
	MultishotAccept   Tri `toml:"multishot_accept"`   // Linux 5.19
	BufferRing        Tri `toml:"buffer_ring"`        // Linux 5.19
	MultishotReceive  Tri `toml:"multishot_receive"`  // Linux 6.0, needs BufferRing
	MessageRing       Tri `toml:"message_ring"`       // Linux 5.18
	CoopTaskrun       Tri `toml:"coop_taskrun"`       // Linux 5.19
	SingleIssuer      Tri `toml:"single_issuer"`      // Linux 6.0
	DeferTaskrun      Tri `toml:"defer_taskrun"`      // Linux 6.1, needs SingleIssuer
	RegisteredRing    Tri `toml:"registered_ring"`    // Linux 5.18
	RegisteredBuffers Tri `toml:"registered_buffers"` // Linux 5.1
	FixedSend         Tri `toml:"fixed_send"`         // needs RegisteredBuffers
	TimedWait         Tri `toml:"timed_wait"`         // Linux 5.11
	MinWait           Tri `toml:"min_wait"`           // Linux 6.12, needs TimedWait

	Entries           int `toml:"entries"`             // submission queue entries of a shard, a power of two
	ReceiveBuffers    int `toml:"receive_buffers"`     // receive buffers of a shard, a power of two
	ReceiveBufferSize int `toml:"receive_buffer_size"` // bytes of one receive buffer, a power of two
	SendMemory        int `toml:"send_memory"`         // bytes of a shard for what waits to be sent
	AssemblyMemory    int `toml:"assembly_memory"`     // bytes of a shard for messages that have arrived in part
	MailboxSize       int `toml:"mailbox_size"`        // bytes of a mailbox between two shards, a power of two
	MaxBatchDelayUs   int `toml:"max_batch_delay_us"`  // microseconds to wait for more work; 0: never wait for more
}

// CPUPinning is the section [cpu_pinning].
type CPUPinning struct {
	Active bool `toml:"active"` // shard i is pinned to one CPU
	Offset int  `toml:"offset"` // and that is the (Offset+i)th of the CPUs that the process may use, counted round
}

// Privileges is the section [privileges]: what the process gives up after it has bound its sockets.
type Privileges struct {
	DropPrivileges bool   `toml:"drop_privileges"` // refused until it is there; without it the other keys have no effect
	ChrootPath     string `toml:"chroot_path"`
	Group          string `toml:"group"`
	User           string `toml:"user"`
}

// AccessList is the section [access_list]: which info hashes are served.
type AccessList struct {
	Mode AccessListMode `toml:"mode"` // off: every torrent is served
	Path string         `toml:"path"` // has no effect while the mode is off
}

// Metrics is the section [metrics].
type Metrics struct {
	RunPrometheusEndpoint      bool           `toml:"run_prometheus_endpoint"`       // the figures are served to Prometheus
	PrometheusEndpointAddress  netip.AddrPort `toml:"prometheus_endpoint_address"`   // no effect without the endpoint
	TorrentCountUpdateInterval int            `toml:"torrent_count_update_interval"` // no effect: torrents are counted exactly at each scrape
	PeerClients                bool           `toml:"peer_clients"`                  // peers are counted by client; no effect without the endpoint
	PeerIDPrefixes             bool           `toml:"peer_id_prefixes"`              // and by the first 8 bytes of their id; no effect without the endpoint
	DebugFrom                  []netip.Prefix `toml:"debug_from"`                    // who may see the pages under /debug/; no effect without the endpoint
	Pprof                      bool           `toml:"pprof"`                         // profiles are served there; no effect without the endpoint
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		SocketWorkers: 0,
		SwarmWorkers:  1,
		LogLevel:      LogInfo,
		Network:       defaultNetwork(),
		Protocol:      Protocol{MaxScrapeTorrents: 255, MaxOffers: 10, PeerAnnounceInterval: 120},
		Cleaning: Cleaning{
			TorrentCleaningInterval:        30,
			MaxPeerAge:                     180,
			MaxQuietPeerAge:                1800,
			MaxOfferAge:                    120,
			ConnectionCleaningInterval:     30,
			MaxConnectionIdle:              180,
			CloseAfterTLSUpdateGracePeriod: 216000,
		},
		Limits: Limits{
			TorrentsPerConnection:    1024,
			BadMessagesPerConnection: 10,
			PendingOffersPerPeer:     64,
			MaxPeers:                 10_000_000,
			MaxPendingOffers:         4_000_000,
		},
		IOUring: IOUring{
			Entries:           4096,
			ReceiveBuffers:    512,
			ReceiveBufferSize: 8192,
			SendMemory:        8 << 20,
			AssemblyMemory:    32 << 20,
			MailboxSize:       1 << 20,
			MaxBatchDelayUs:   2000,
		},
		CPUPinning: CPUPinning{Active: true},
		Privileges: Privileges{ChrootPath: ".", Group: "nogroup", User: "nobody"},
		AccessList: AccessList{Mode: AccessListOff, Path: "./access-list.txt"},
		Metrics: Metrics{
			PrometheusEndpointAddress:  netip.AddrPortFrom(netip.IPv4Unspecified(), 9000),
			TorrentCountUpdateInterval: 10,
			DebugFrom:                  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		},
	}
}

// defaultNetwork returns the defaults of [network]. The limits for messages and frames are larger than those of
// aquatic_ws, 64 and 16 KiB: clients exist whose announce with ten offers would not fit into those.
func defaultNetwork() Network {
	return Network{
		Address:                  netip.AddrPortFrom(netip.IPv4Unspecified(), 3000),
		TCPBacklog:               1024,
		TLSPostQuantum:           true,
		WebsocketMaxMessageSize:  128 << 10,
		WebsocketMaxFrameSize:    128 << 10,
		WebsocketWriteBufferSize: 8 << 10,
		HandshakeTimeout:         10,
		PingInterval:             45,
		SendTimeout:              20,
		CloseTimeout:             3,
		ShutdownTimeout:          10,
		MaxRequestHead:           8 << 10,
		FollowTorrents:           true,
	}
}

// IsSet reports whether the file that the Config was loaded from names the key, which is written as in
// "swarm_workers" or "network.address". It tells a value that somebody chose from one that happens to be the default.
func (c *Config) IsSet(key string) bool {
	return c.set[key]
}
