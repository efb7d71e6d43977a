// Package config reads the configuration file of the tracker: TOML with the sections, keys and meanings of aquatic_ws,
// and with keys of our own. [Load] turns a file into a [Config], or into a list of all its mistakes. [DefaultTOML] is
// the annotated file that explains each key.
//
// The package only reads and checks. It opens no file, resolves no name and applies nothing: the server turns a Config
// into the options of each part of the tracker.
package config

import "net/netip"

// This file owns the keys: their Go names and types, and their defaults. default.toml explains each key, and a test
// compares its values with those here.

// Config holds one value for each key of the configuration file: fields for the keys at the top of the file and one
// struct per section. Durations are whole seconds and sizes are bytes, unless a field says otherwise. A Config from
// [Default] or [Load] is within the limits of every key.
type Config struct {
	// SocketWorkers is the number of shards. A shard is a thread with its own ring, connections and swarms. 0: one for
	// each CPU that the process may use.
	SocketWorkers int `toml:"socket_workers" restart:"yes"`

	// SwarmWorkers has no effect: each shard keeps its own swarms. Files of aquatic_ws have the key.
	SwarmWorkers int `toml:"swarm_workers" restart:"yes"`

	// LogLevel is the least important kind of line that is logged.
	LogLevel LogLevel `toml:"log_level"`

	Network    Network    `toml:"network"`
	TLS        TLS        `toml:"tls"`
	HTTP       HTTP       `toml:"http"`
	Protocol   Protocol   `toml:"protocol"`
	Cleaning   Cleaning   `toml:"cleaning"`
	Limits     Limits     `toml:"limits"`
	IOUring    IOUring    `toml:"io_uring" restart:"yes"`
	CPUPinning CPUPinning `toml:"cpu_pinning" restart:"yes"`
	Privileges Privileges `toml:"privileges" restart:"yes"`
	AccessList AccessList `toml:"access_list"`
	Metrics    Metrics    `toml:"metrics"`
	Control    Control    `toml:"control"`
	Cluster    Cluster    `toml:"cluster" restart:"yes"`

	// Listen has the listening sockets beside that of [network], at most [MaxListen].
	Listen []Listen `toml:"listen"`

	set map[string]bool // the keys that the file names, as "section.key"
}

// Network is the section [network]: the first listening socket and the life of a connection.
type Network struct {
	Address                 netip.AddrPort `toml:"address"`                    // listening address; port 0: any free port
	OnlyIPv6                bool           `toml:"only_ipv6"`                  // an IPv6 address takes no IPv4 clients
	TCPBacklog              int            `toml:"tcp_backlog" restart:"yes"`  // connections waiting to be accepted
	EnableTLS               bool           `toml:"enable_tls"`                 // wss instead of ws
	TLSCertificatePath      string         `toml:"tls_certificate_path"`       // PEM chain
	TLSPrivateKeyPath       string         `toml:"tls_private_key_path"`       // PEM key
	TLSTicketKeysPath       string         `toml:"tls_ticket_keys_path"`       // empty: keys end with the process
	TLSPostQuantum          bool           `toml:"tls_post_quantum"`           // hybrid key exchange
	WebsocketMaxMessageSize int            `toml:"websocket_max_message_size"` // bytes of a message, all its frames
	WebsocketMaxFrameSize   int            `toml:"websocket_max_frame_size"`   // bytes of the payload of one frame

	// WebsocketWriteBufferSize is the unit, in bytes, of the limits on waiting output. A connection is slow when three
	// times as much waits for it, or twelve times if the client has taken all earlier output.
	WebsocketWriteBufferSize int `toml:"websocket_write_buffer_size"`

	EnableHTTPHealthChecks bool `toml:"enable_http_health_checks"` // GET /health is answered

	MaxConnections   int `toml:"max_connections" restart:"yes"` // divided among the shards; 0: the descriptor limit decides
	HandshakeTimeout int `toml:"handshake_timeout"`             // seconds from accept to the end of the upgrade request
	PingInterval     int `toml:"ping_interval"`                 // seconds of silence after which a client is pinged
	SendTimeout      int `toml:"send_timeout"`                  // seconds that a send or a message may take
	CloseTimeout     int `toml:"close_timeout"`                 // seconds to wait for the client's close frame
	ShutdownTimeout  int `toml:"shutdown_timeout"`              // seconds that a stop waits for clients; 0: none
	MaxRequestHead   int `toml:"max_request_head"`              // bytes of the upgrade request, request line included

	FollowTorrents bool `toml:"follow_torrents" restart:"yes"` // a connection moves to its first torrent's shard, and later torrents come there

	TrustedProxies []netip.Prefix `toml:"trusted_proxies"` // these may tell the client's address
	ProxyProtocol  bool           `toml:"proxy_protocol"`  // their connections begin with a PROXY header

	Compression       Compression `toml:"compression"`                      // of messages, with clients that offer it
	CompressionMemory int         `toml:"compression_memory" restart:"yes"` // bytes of a shard for what it has sent last
	CompressionCPU    int         `toml:"compression_cpu"`                  // percent of a CPU that a shard needs above which it does not compress

	Origins           []string `toml:"origins"`             // values of the field Origin that are let in; empty: any
	DenyMissingOrigin bool     `toml:"deny_missing_origin"` // a request without the field is refused
}

// TLS is the section [tls]: the certificates that the tracker gets by itself. The other keys of TLS are in [network], where
// aquatic_ws has them.
type TLS struct {
	ACMEDomains   Domains `toml:"acme_domains"`   // a certificate for each; empty: the tracker gets none
	ACMEEmail     string  `toml:"acme_email"`     // of the account
	ACMEDirectory string  `toml:"acme_directory"` // the ACME server; empty: Let's Encrypt
	ACMEStorage   string  `toml:"acme_storage"`   // folder for account, certificates and keys
	ACMECAPath    string  `toml:"acme_ca_path"`   // PEM file: authorities of the ACME server itself; empty: the system's
	ACMEHTTPPort  int     `toml:"acme_http_port"` // a listener without TLS on it answers http-01
}

// HTTP is the section [http]: the answers to people and programs that are no clients, on the tracker's own listeners.
type HTTP struct {
	Page     bool   `toml:"page"`      // GET / is answered with a page
	Stats    bool   `toml:"stats"`     // GET /stats and /stats.json are answered
	PagePath string `toml:"page_path"` // a file instead of the page; empty: the tracker's own
}

// Domains is a list of host names in lower case.
type Domains []string

// Protocol is the section [protocol]: the replies to clients, and how much of a request is used.
type Protocol struct {
	MaxScrapeTorrents    int  `toml:"max_scrape_torrents"`    // info hashes answered in one scrape
	MaxOffers            int  `toml:"max_offers"`             // offers relayed from one announce
	PeerAnnounceInterval int  `toml:"peer_announce_interval"` // seconds, "interval" in replies
	ReplyToAnswers       bool `toml:"reply_to_answers"`       // an answer gets an announce reply, as in aquatic_ws

	// ShareSwarmsAcrossIPVersions puts the IPv4 and IPv6 peers of a torrent into one swarm instead of two.
	ShareSwarmsAcrossIPVersions bool `toml:"share_swarms_across_ip_versions" restart:"yes"`
}

// Cleaning is the section [cleaning]: how long peers, offers and connections are kept, in seconds.
type Cleaning struct {
	TorrentCleaningInterval        int `toml:"torrent_cleaning_interval"`           // one pass over all peers
	MaxPeerAge                     int `toml:"max_peer_age"`                        // then a silent peer is quiet
	MaxQuietPeerAge                int `toml:"max_quiet_peer_age"`                  // then a quiet peer is removed
	MaxOfferAge                    int `toml:"max_offer_age"`                       // then an offer expires
	ConnectionCleaningInterval     int `toml:"connection_cleaning_interval"`        // one pass over all connections
	MaxConnectionIdle              int `toml:"max_connection_idle"`                 // then a silent connection is closed
	CloseAfterTLSUpdateGracePeriod int `toml:"close_after_tls_update_grace_period"` // then old connections are closed
}

// IOUring is the section [io_uring]: one [Tri] per kernel feature that the tracker can work without, and the sizes of
// what each shard keeps for its ring. The tag needs names the feature without which another one cannot be required.
type IOUring struct {
	MultishotAccept   Tri `toml:"multishot_accept"`
	BufferRing        Tri `toml:"buffer_ring"`
	MultishotReceive  Tri `toml:"multishot_receive" needs:"buffer_ring"`
	MessageRing       Tri `toml:"message_ring"`
	CoopTaskrun       Tri `toml:"coop_taskrun"`
	SingleIssuer      Tri `toml:"single_issuer"`
	DeferTaskrun      Tri `toml:"defer_taskrun" needs:"single_issuer"`
	RegisteredRing    Tri `toml:"registered_ring"`
	RegisteredBuffers Tri `toml:"registered_buffers"`
	FixedSend         Tri `toml:"fixed_send" needs:"registered_buffers"`
	TimedWait         Tri `toml:"timed_wait"`
	MinWait           Tri `toml:"min_wait" needs:"timed_wait"`

	Entries           int `toml:"entries"`             // submission queue entries of a shard, a power of two
	ReceiveBuffers    int `toml:"receive_buffers"`     // receive buffers of a shard, a power of two
	ReceiveBufferSize int `toml:"receive_buffer_size"` // bytes of one receive buffer, a power of two
	SendMemory        int `toml:"send_memory"`         // bytes of a shard for waiting output
	AssemblyMemory    int `toml:"assembly_memory"`     // bytes of a shard for messages that are not complete
	MailboxSize       int `toml:"mailbox_size"`        // bytes of a mailbox between two shards, a power of two
	MaxBatchDelayUs   int `toml:"max_batch_delay_us"`  // longest wait for more events, in microseconds; 0: none
}

// CPUPinning is the section [cpu_pinning]: the CPUs of the shards.
type CPUPinning struct {
	Active bool `toml:"active"` // each shard has a CPU of its own
	Offset int  `toml:"offset"` // shard i takes CPU Offset+i of the usable ones, counted round
}

// Privileges is the section [privileges]: the root directory, group and user that the process changes to after it has
// bound its sockets.
type Privileges struct {
	DropPrivileges bool   `toml:"drop_privileges"` // without it the other keys have no effect
	ChrootPath     string `toml:"chroot_path"`
	Group          string `toml:"group"`
	User           string `toml:"user"`
}

// AccessList is the section [access_list]: the info hashes that are served.
type AccessList struct {
	Mode AccessListMode `toml:"mode"` // off: every torrent is served
	Path string         `toml:"path"` // has no effect while the mode is off
}

// Metrics is the section [metrics]: the page of figures for Prometheus.
type Metrics struct {
	RunPrometheusEndpoint      bool           `toml:"run_prometheus_endpoint"`       // the figures are served to Prometheus
	PrometheusEndpointAddress  netip.AddrPort `toml:"prometheus_endpoint_address"`   // no effect without the endpoint
	TorrentCountUpdateInterval int            `toml:"torrent_count_update_interval"` // no effect: torrents are counted exactly at each scrape
	PeerClients                bool           `toml:"peer_clients"`                  // peers are counted by client, for the page and the endpoint
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
		HTTP:          HTTP{Page: true, Stats: true},
		TLS:           TLS{ACMEStorage: "/var/lib/millrace", ACMEHTTPPort: 80},
		Protocol: Protocol{
			MaxScrapeTorrents: 255, MaxOffers: 10, PeerAnnounceInterval: 120, ShareSwarmsAcrossIPVersions: true,
		},
		Cleaning: Cleaning{
			TorrentCleaningInterval:        30,
			MaxPeerAge:                     180,
			MaxQuietPeerAge:                1800,
			MaxOfferAge:                    120,
			ConnectionCleaningInterval:     30,
			MaxConnectionIdle:              180,
			CloseAfterTLSUpdateGracePeriod: 216000,
		},
		Limits: defaultLimits(),
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
			DebugFrom:                  loopback(),
		},
		Control: Control{DrainSeconds: 60},
		Cluster: Cluster{Name: "millrace", NodeTimeout: 5},
	}
}

// defaultNetwork returns the defaults of [network]. aquatic_ws allows messages of 64 KiB and frames of 16 KiB. With
// some clients an announce with ten offers is longer than that, so our limits are larger.
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
		MaxRequestHead:           16 << 10,
		FollowTorrents:           true,
		Compression:              CompressionAuto,
		CompressionMemory:        16 << 20,
		CompressionCPU:           75,
	}
}

// IsSet reports whether the loaded file names the key. Keys are written with their section, such as "swarm_workers" or
// "network.address". A file may set a key to its default.
func (c *Config) IsSet(key string) bool {
	return c.set[key]
}
