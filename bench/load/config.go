// Package load drives a WebTorrent tracker with many clients and checks all relayed messages.
//
// The clients run on a few threads, each with a ring of its own, so that one core of clients can load more than one
// core of a tracker. Clients recognise every message of the run when it comes back: its ids name its sender, its time
// and its content. So a relayed message that is wrong, altered, doubled or lost is noticed without a record of its
// sending (see identity.go).
//
// Config describes the load, [Run] puts it on the tracker, and Result holds the observations. The package knows nothing
// of the tracker but the protocol. The figures of its process are read by its pid (server.go).
package load

// Config is a load: the actions of the clients, their addresses and their times. Durations are in seconds. load.toml
// explains each field.
type Config struct {
	Profile string `toml:"profile" json:"profile"` // the named profile whose values are the defaults of all other keys

	URL        string `toml:"url" json:"url"`                           // ws://host:port/path or wss://…; several with commas: nodes
	Spread     string `toml:"spread" json:"spread"`                     // of clients over nodes: "clients" or "torrents"
	ServerPID  PIDs   `toml:"server_pid" json:"server_pid"`             // processes that are measured
	MetricsURL string `toml:"metrics_url" json:"metrics_url"`           // the tracker's Prometheus page, or several; "": none
	Seed       uint64 `toml:"seed" json:"seed"`                         // of every random choice
	Workers    int    `toml:"workers" json:"workers"`                   // threads of clients
	CPUs       []int  `toml:"cpus" json:"cpus"`                         // worker i has CPUs[i mod len]; empty: not pinned
	Sources    int    `toml:"source_addresses" json:"source_addresses"` // 127.0.0.1 to 127.0.0.N; 0: as needed

	Ramp     float64 `toml:"ramp" json:"ramp"`         // over which connections open and first announce
	Warmup   float64 `toml:"warmup" json:"warmup"`     // load before anything is measured
	Duration float64 `toml:"duration" json:"duration"` // of the measurement
	Drain    float64 `toml:"drain" json:"drain"`       // at most, for messages under way when the measurement ends

	Loop        string  `toml:"loop" json:"loop"`               // "open": constant rate; "closed": after each reply
	Connections int     `toml:"connections" json:"connections"` // held open
	Interval    float64 `toml:"interval" json:"interval"`       // open loop: between two announces of a connection
	InFlight    int     `toml:"in_flight" json:"in_flight"`     // closed loop: announces of one connection without a reply

	Torrents      int     `toml:"torrents" json:"torrents"`                               // how many there are
	PerConnection int     `toml:"torrents_per_connection" json:"torrents_per_connection"` // announces take turns
	Placement     string  `toml:"placement" json:"placement"`                             // "even", "tail" or "gamma"
	MeanPeers     float64 `toml:"mean_peers" json:"mean_peers"`                           // with "tail": peers a swarm

	Offers   int     `toml:"offers" json:"offers"`             // in every announce
	SDP      string  `toml:"sdp" json:"sdp"`                   // "sized" or "browser"
	SDPBytes int     `toml:"sdp_bytes" json:"sdp_bytes"`       // length of a sized sdp, as JSON text
	Answers  float64 `toml:"answer_share" json:"answer_share"` // of the offers received, how many are answered
	Seeders  float64 `toml:"seeder_share" json:"seeder_share"` // of the connections, how many announce with left 0
	Scrapes  float64 `toml:"scrape_share" json:"scrape_share"` // of the requests, how many are scrapes

	Compression bool `toml:"compression" json:"compression"`               // clients offer permessage-deflate
	Alone       bool `toml:"compression_alone" json:"compression_alone"`   // they ask the tracker to compress each message alone
	Window      int  `toml:"compression_window" json:"compression_window"` // bytes of a tracker's stream that a client keeps

	Life      float64 `toml:"connection_life" json:"connection_life"` // mean, exponentially distributed; 0: for ever
	SlowShare float64 `toml:"slow_share" json:"slow_share"`           // of the connections, how many hardly read
	SlowBytes int     `toml:"slow_bytes" json:"slow_bytes"`           // per second that such a connection reads
	Storms    []Storm `toml:"storm" json:"storm"`                     // reconnects of everybody, during the measurement
	OnlyOnce  bool    `toml:"announce_once" json:"announce_once"`     // a connection announces once and then stays silent
	Resume    bool    `toml:"resume" json:"resume"`                   // wss: new connections resume the TLS session

	AnswerReplies bool `toml:"answer_replies" json:"answer_replies"` // the tracker replies to answers (aquatic_ws does)
	Verify        bool `toml:"verify" json:"verify"`                 // check every relayed message
}

// Storm is one reconnect of all connections at once.
type Storm struct {
	At     float64 `toml:"at" json:"at"`         // seconds into the measurement
	Resume bool    `toml:"resume" json:"resume"` // with TLS session resumption
}
