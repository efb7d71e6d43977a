// Package ctl is the command `millrace ctl`: it asks a running tracker on its control listener and shows the answer. This file
// owns the words of both sides, which are JSON over HTTP; the tracker's side is package control. Names of fields stay, and new
// ones may come.
package ctl

import "time"

// DefaultAddress is where the tracker is looked for, and where the packages' configuration has it listen.
const DefaultAddress = "unix:/run/millrace/control.sock"

// Paths of the control listener. The first five are asked with GET, the others ordered with POST; PathDrain is
// also asked with GET, which tells how far a drain has come.
const (
	PathStatus  = "/status"
	PathTop     = "/top"     // by=messages|bytes|drops|peers, n=rows
	PathClient  = "/client"  // address=
	PathTorrent = "/torrent" // hash=, n=peers
	PathTrace   = "/trace"   // address=, n=events, since=Trace.Next
	PathBan     = "/ban"     // address=, minutes=
	PathUnban   = "/unban"   // address=
	PathReload  = "/reload"
	PathDrain   = "/drain" // seconds=
)

// OrderHeader is a field that orders must have, and that all answers have, so that a tracker is known by it. A page of a website can make a browser send a POST to this machine, but not
// with a field of its own.
const OrderHeader = "Millrace-Ctl"

// Failure is the answer to a request that cannot be met.
type Failure struct {
	Sentence string `json:"error"`
}

// Error returns the sentence.
func (f *Failure) Error() string { return f.Sentence }

// Status is the state of the tracker.
type Status struct {
	Version       string        `json:"version"`
	Go            string        `json:"go"`
	Kernel        string        `json:"kernel"`
	PID           int           `json:"pid"`
	Started       time.Time     `json:"started"`
	Uptime        float64       `json:"uptime_seconds"`
	Configuration string        `json:"configuration"` // the file; empty: the defaults
	ReadAt        time.Time     `json:"configuration_read"`
	Listening     []string      `json:"listening"`
	Clients       int           `json:"clients"`
	ClientsIPv4   int           `json:"clients_ipv4"`
	ClientsIPv6   int           `json:"clients_ipv6"`
	MostClients   int           `json:"clients_limit"`
	Peers         int           `json:"peers"`
	Seeders       int           `json:"seeders"`
	MostPeers     int           `json:"peers_limit"`
	Torrents      int           `json:"torrents"`
	Rates         Rates         `json:"rates"`
	Memory        uint64        `json:"memory_bytes"`
	MemoryLimit   uint64        `json:"memory_limit_bytes"` // 0: none
	Descriptors   int           `json:"descriptors"`        // 0: not known
	MostDescr     int           `json:"descriptors_limit"`
	Banned        int           `json:"banned_addresses"`
	Shards        []Shard       `json:"shards"`
	Certificates  []Certificate `json:"certificates"`
	Cluster       *Cluster      `json:"cluster"`   // null: the tracker is alone by its configuration
	Drain         *Drain        `json:"drain"`     // null: none is under way
	UnderWay      string        `json:"under_way"` // long work and how far it has come; empty: there is none
	Problems      []string      `json:"problems"`  // sentences
}

// Cluster is the state of a node of a cluster.
type Cluster struct {
	Connected bool   `json:"connected"` // to NATS
	Problem   string `json:"problem"`   // a sentence; empty: none
	Nodes     []Node `json:"nodes"`     // the others
}

// Node is another node.
type Node struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Clients int    `json:"clients"`
}

// Rates are per second, over the last seconds.
type Rates struct {
	Announces float64 `json:"announces"`
	Offers    float64 `json:"offers"`
	Answers   float64 `json:"answers"`
	Received  float64 `json:"received_bytes"`
	Sent      float64 `json:"sent_bytes"`
}

// Shard is the state of one event loop.
type Shard struct {
	Clients     int     `json:"clients"`
	Peers       int     `json:"peers"`
	Torrents    int     `json:"torrents"`
	CPU         float64 `json:"cpu"` // share of a CPU that it needs
	LongestTurn float64 `json:"longest_turn_seconds"`
	Silent      float64 `json:"silent_seconds"` // since it last said that it turns: more than a second or two is trouble
}

// Certificate is a certificate in use, or one that is missing.
type Certificate struct {
	Name     string    `json:"name"`
	NotAfter time.Time `json:"not_after"` // zero: there is none yet
	Trouble  string    `json:"trouble"`   // why it could not be renewed; empty: nothing is wrong
}

// Drain is how far a drain has come.
type Drain struct {
	Left    int     `json:"clients_left"`
	Seconds float64 `json:"seconds_left"`
}

// Top is who uses the tracker most. Rates are per second, over Seconds.
type Top struct {
	Seconds   float64      `json:"seconds"`
	Addresses []UsageRow   `json:"addresses"`
	Clients   []UsageRow   `json:"clients"`
	Torrents  []TorrentRow `json:"torrents"`
}

// UsageRow is what an address, or a connection, uses.
type UsageRow struct {
	Client      string  `json:"client"`               // address, with a port where it is a connection
	Connection  string  `json:"connection,omitempty"` // its name in traces: SHARD/INDEX.GENERATION
	Connections int     `json:"connections"`
	Messages    float64 `json:"messages"`
	Received    float64 `json:"received_bytes"`
	Sent        float64 `json:"sent_bytes"`
	Dropped     float64 `json:"dropped_frames"`
}

// TorrentRow is one of the largest torrents. Its messages are estimated from the events that the shards remember.
type TorrentRow struct {
	InfoHash string  `json:"info_hash"`
	Seeders  int     `json:"seeders"`
	Leechers int     `json:"leechers"`
	Messages float64 `json:"messages"`
}

// Client is what is known of an address.
type Client struct {
	Address     string       `json:"address"`
	Usage       *Usage       `json:"usage"` // null: nothing is counted for it
	All         int          `json:"connections_total"`
	Connections []Connection `json:"connections"`
	Events      []string     `json:"events"` // the last ones
}

// Usage is what an address uses of its limits, an IPv6 address together with its /64.
type Usage struct {
	Connections int     `json:"connections"`
	Peers       int     `json:"peers"`
	Handshakes  int     `json:"tls_handshakes"`
	HalfBuilt   int     `json:"incomplete_message_bytes"`
	Unsent      int     `json:"waiting_bytes"`
	Offences    int     `json:"offences"`
	Banned      float64 `json:"banned_seconds"` // still to come; 0: it is not banned
}

// Connection is one connection. What it has used counts from when it came.
type Connection struct {
	Name      string   `json:"name"` // in traces: SHARD/INDEX.GENERATION
	Client    string   `json:"client"`
	State     string   `json:"state"`
	TLS       bool     `json:"tls"`
	Remarks   []string `json:"remarks"` // such as "held back"
	Since     int      `json:"connected_seconds"`
	Silent    int      `json:"silent_seconds"`
	Messages  uint64   `json:"messages"`
	Received  uint64   `json:"received_bytes"`
	Sent      uint64   `json:"sent_bytes"`
	Dropped   uint64   `json:"dropped_frames"`
	Waiting   int      `json:"waiting_bytes"`
	HalfBuilt int      `json:"incomplete_message_bytes"`
	Torrents  []Peer   `json:"torrents"`
}

// Peer is a peer id in a torrent.
type Peer struct {
	InfoHash  string `json:"info_hash,omitempty"`
	PeerID    string `json:"peer_id"` // in hex digits
	Software  string `json:"software"`
	Address   string `json:"address,omitempty"` // of its client
	Seeder    bool   `json:"seeder"`
	Quiet     bool   `json:"quiet"`     // it has not announced for long
	Waits     bool   `json:"successor"` // another connection has the same peer id
	Announced int    `json:"announced_seconds_ago"`
}

// Torrent is the torrents whose info hash begins with some digits.
type Torrent struct {
	Swarms []Swarm `json:"swarms"`
	All    int     `json:"swarms_total"`
	Peers  []Peer  `json:"peers"` // of these swarms
}

// Swarm is the peers of a torrent that are together.
type Swarm struct {
	InfoHash   string `json:"info_hash"`
	IPVersion  string `json:"ip_version"` // "4", "6", or "both"
	Shard      int    `json:"shard"`
	Seeders    int    `json:"seeders"`
	Leechers   int    `json:"leechers"`
	Downloaded int    `json:"downloaded"`
}

// Trace is the last events of an address, or of all.
type Trace struct {
	Lines  []string `json:"lines"`
	Missed uint64   `json:"missed"` // events since the last question that were overwritten
	Next   string   `json:"next"`   // for since= of the next question
}

// Banned is the answer to a ban.
type Banned struct {
	Network string    `json:"network"` // the address, or the /64 around it
	Until   time.Time `json:"until"`
	Ended   int       `json:"connections_ended"`
}

// Unbanned is the answer to the end of a ban.
type Unbanned struct {
	Network string `json:"network"`
	Was     bool   `json:"was_banned"`
}

// Reloaded is the answer to a reload: each file that was read.
type Reloaded struct {
	Files []ReloadedFile `json:"files"`
}

// ReloadedFile is one file that was read again.
type ReloadedFile struct {
	Key   string `json:"key"`   // of the configuration, or "configuration" for itself
	Error string `json:"error"` // empty: it is in force
	Note  string `json:"note"`  // what is not, though
}
