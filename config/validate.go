package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// This file owns the rules for values: the range of each number, the defaults that follow other keys, and the
// contradictions between keys. Rules about memory are in memory.go.

// Bounds of several keys. They are far above any useful value: a greater one is a slip of the keyboard.
const (
	maxShards       = 256           // socket_workers
	minMessageSize  = 1 << 10       // bytes of a message and of a frame
	maxMessageSize  = 16 << 20      // the same
	maxSeconds      = 100_000_000   // about three years
	maxInterval     = 2_147_483     // seconds; browsers' timers count milliseconds in 31 bits, and fire at once beyond
	maxSwarmWorkers = 2_000_000_000 // the key has no effect
	maxMemory       = 64 << 30      // bytes of one shard
)

// Bounds of the tables and memory of a shard. They repeat limits of the packages swarm, shard and ring, which config
// does not import. A test of the server compares them: a table would lower a greater limit without a word.
const (
	maxShardPeers     = 1 << 24    // swarm.MaxPeersLimit
	maxShardOffers    = 1<<26 - 2  // swarm.MaxPendingOffersLimit
	maxConnTorrents   = 1<<16 - 1  // swarm.MaxPeersPerConnectionLimit
	maxBadMessages    = 1<<16 - 2  // a connection counts one more than are passed over, in 16 bits
	maxRingMemory     = 1023 << 20 // bytes of one ring to receive and to send, which is one registered buffer
	maxScrapeTorrents = 1 << 12    // a scrape reply stays below 1 MiB
)

// rangeOf is the least and the greatest value of a key that is a number.
type rangeOf struct {
	key        string
	min, max   int
	powerOfTwo bool
}

// ranges has a row for every key that is a number.
var ranges = append([]rangeOf{
	{key: "socket_workers", min: 0, max: maxShards},
	{key: "swarm_workers", min: 0, max: maxSwarmWorkers},
	{key: "network.tcp_backlog", min: 1, max: 1 << 20},
	{key: "network.websocket_max_message_size", min: minMessageSize, max: maxMessageSize},
	{key: "network.websocket_max_frame_size", min: minMessageSize, max: maxMessageSize},
	{key: "network.websocket_write_buffer_size", min: 1 << 10, max: 4 << 20},
	{key: "network.max_connections", min: 0, max: 1 << 24},
	{key: "network.handshake_timeout", min: 1, max: 3600},
	{key: "network.ping_interval", min: 1, max: maxSeconds},
	{key: "network.send_timeout", min: 1, max: 3600},
	{key: "network.close_timeout", min: 1, max: 3600},
	{key: "network.shutdown_timeout", min: 0, max: 3600},
	{key: "network.max_request_head", min: 512, max: 1 << 20},
	{key: "tls.acme_http_port", min: 1, max: 65535},
	{key: "network.compression_memory", min: 0, max: maxMemory},
	{key: "network.compression_cpu", min: 0, max: 100},
	{key: "protocol.max_scrape_torrents", min: 0, max: maxScrapeTorrents},
	{key: "protocol.max_offers", min: 0, max: 1 << 10},
	{key: "protocol.peer_announce_interval", min: 1, max: maxInterval},
	{key: "cleaning.torrent_cleaning_interval", min: 1, max: maxSeconds},
	{key: "cleaning.max_peer_age", min: 2, max: maxSeconds},
	{key: "cleaning.max_quiet_peer_age", min: 2, max: maxSeconds},
	{key: "cleaning.max_offer_age", min: 1, max: maxSeconds},
	{key: "cleaning.connection_cleaning_interval", min: 1, max: maxSeconds},
	{key: "cleaning.max_connection_idle", min: 2, max: maxSeconds},
	{key: "cleaning.close_after_tls_update_grace_period", min: 0, max: maxSeconds},
	{key: "io_uring.entries", min: 64, max: 1 << 15, powerOfTwo: true},
	{key: "io_uring.receive_buffers", min: 16, max: 1 << 15, powerOfTwo: true},
	{key: "io_uring.receive_buffer_size", min: 1 << 10, max: 1 << 16, powerOfTwo: true},
	{key: "io_uring.send_memory", min: 64 << 10, max: maxRingMemory - 16*1024}, // the receive buffers are 16 KiB or more
	{key: "io_uring.assembly_memory", min: 64 << 10, max: maxMemory},
	{key: "io_uring.mailbox_size", min: 4 << 10, max: 256 << 20, powerOfTwo: true},
	{key: "io_uring.max_batch_delay_us", min: 0, max: 10_000},
	{key: "cpu_pinning.offset", min: 0, max: 1 << 16},
	{key: "metrics.torrent_count_update_interval", min: 1, max: maxSeconds},
	{key: "control.drain_seconds", min: 1, max: 24 * 3600},
	{key: "cluster.node_timeout", min: 2, max: 300},
}, limitRanges...)

// finding is a mistake in the value of one key, or in the values of several keys together.
type finding struct {
	keys     []string
	sentence string
}

// fitDefaults changes the defaults of missing keys to fit the keys that the file sets. Otherwise a file of aquatic_ws
// could contradict one of our keys, which its author cannot know.
func (c *Config) fitDefaults(fields map[string]reflect.Value) {
	fit := func(key string, value int) {
		if !c.IsSet(key) {
			fields[key].SetInt(int64(value))
		}
	}
	if key := "protocol.share_swarms_across_ip_versions"; c.IsSet("swarm_workers") && !c.IsSet(key) {
		fields[key].SetBool(false) // only files of aquatic_ws have the other key: they keep their swarms
	}
	fit("network.ping_interval", min(c.Network.PingInterval, max(1, c.Cleaning.MaxConnectionIdle/2)))
	// A peer that announces once in each interval must not be quiet, or even gone, for a part of it.
	fit("protocol.peer_announce_interval", min(c.Protocol.PeerAnnounceInterval, max(1, c.Cleaning.MaxPeerAge*2/3)))
	fit("cleaning.max_peer_age", max(c.Cleaning.MaxPeerAge, c.Protocol.PeerAnnounceInterval*3/2))
	fit("cleaning.max_quiet_peer_age", max(c.Cleaning.MaxQuietPeerAge, c.Cleaning.MaxPeerAge))
	fit("limits.pending_offers_per_peer", max(c.Limits.PendingOffersPerPeer, c.Protocol.MaxOffers))
	fit("limits.peers_per_address", max(c.Limits.PeersPerAddress, c.Limits.TorrentsPerConnection))
	fit("limits.bytes_per_connection_burst", max(c.Limits.BytesPerConnectionBurst, c.Limits.BytesPerConnectionTurn))
	for _, row := range c.needs() {
		fit(row.key, max(int(fields[row.key].Int()), row.least))
	}
}

// checkValues returns the values that are out of their range.
func (c *Config) checkValues(fields map[string]reflect.Value) []finding {
	var found []finding
	blame := func(key, format string, args ...any) {
		found = append(found, finding{[]string{key}, key + " " + fmt.Sprintf(format, args...)})
	}
	for _, row := range ranges {
		v := int(fields[row.key].Int())
		switch {
		case row.powerOfTwo && (v < row.min || v > row.max || v&(v-1) != 0):
			blame(row.key, "is %d, but must be a power of two from %d to %d", v, row.min, row.max)
		case v < row.min || v > row.max:
			blame(row.key, "is %d, but must be from %d to %d", v, row.min, row.max)
		}
	}
	return found
}

// checkTogether returns the contradictions between keys.
func (c *Config) checkTogether(fields map[string]reflect.Value) []finding {
	found := slices.Concat(c.checkNetwork(), c.checkACME(), c.checkListen(), c.checkControl(), c.checkCluster(), c.checkTables(), c.checkRingMemory(), c.checkMemoryLimit())
	atLeast := func(key string, least int, why string, from ...string) {
		if value := int(fields[key].Int()); value < least {
			found = append(found, finding{append([]string{key}, from...),
				fmt.Sprintf("%s is %d, but must be at least %d, %s", key, value, least, why)})
		}
	}
	follow := func(key string, least int, why, other string) { atLeast(key, least, why+" "+other, other) }
	follow("cleaning.max_connection_idle", c.Network.PingInterval+1, "one more than", "network.ping_interval")
	follow("cleaning.max_peer_age", c.Protocol.PeerAnnounceInterval+1, "one more than", "protocol.peer_announce_interval")
	follow("cleaning.max_quiet_peer_age", c.Cleaning.MaxPeerAge, "as much as", "cleaning.max_peer_age")
	follow("limits.pending_offers_per_peer", c.Protocol.MaxOffers, "as much as", "protocol.max_offers")
	follow("limits.peers_per_address", c.Limits.TorrentsPerConnection, "as much as", "limits.torrents_per_connection")
	follow("limits.bytes_per_connection_burst", c.Limits.BytesPerConnectionTurn, "as much as",
		"limits.bytes_per_connection_turn")
	for _, row := range c.needs() {
		atLeast(row.key, row.least, row.why, row.from...)
	}
	return append(found, c.checkFeatures()...)
}

// sameEndpoint reports whether two sockets cannot listen on a and b: the ports are the same, and so are the addresses, or one
// of them stands for all addresses of the other's IP version.
func sameEndpoint(a, b netip.AddrPort) bool {
	x, y := a.Addr().Unmap(), b.Addr().Unmap()
	return a.Port() == b.Port() && a.Port() != 0 && (x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified()))
}

// checkNetwork returns the contradictions between the keys of [network].
func (c *Config) checkNetwork() (found []finding) {
	n := &c.Network
	address := n.Address.Addr().Unmap()
	if n.OnlyIPv6 && address.Is4() {
		found = append(found, finding{[]string{"network.only_ipv6", "network.address"},
			fmt.Sprintf("network.only_ipv6 is true, but network.address is the IPv4 address %s", address)})
	}
	needsPath := func(key, path, or string) {
		wants := c.firstTLS()
		switch acme := len(c.TLS.ACMEDomains) > 0; {
		case acme && path != "":
			found = append(found, finding{[]string{"tls.acme_domains", key},
				fmt.Sprintf("tls.acme_domains has the tracker get its certificates, but %s names one: leave one of them out", key)})
		case !acme && wants != "" && path == "":
			found = append(found, finding{[]string{wants, key, "tls.acme_domains"}, fmt.Sprintf("%s is true, but needs %s, which is empty%s", wants, key, or)})
		}
	}
	if m := &c.Metrics; m.RunPrometheusEndpoint && sameEndpoint(n.Address, m.PrometheusEndpointAddress) {
		found = append(found, finding{[]string{"metrics.prometheus_endpoint_address", "network.address"},
			fmt.Sprintf("metrics.prometheus_endpoint_address is %s, but clients come to that port of the address (network.address "+
				"is %s): give it another port", m.PrometheusEndpointAddress, n.Address)})
	}
	needsPath("network.tls_certificate_path", n.TLSCertificatePath, ", or tls.acme_domains")
	needsPath("network.tls_private_key_path", n.TLSPrivateKeyPath, "")
	return found
}

// checkACME returns the mistakes in the section [tls].
func (c *Config) checkACME() (found []finding) {
	t := &c.TLS
	if len(t.ACMEDomains) == 0 {
		return nil
	}
	blame := func(key, format string, args ...any) {
		found = append(found, finding{[]string{key, "tls.acme_domains"}, key + " " + fmt.Sprintf(format, args...)})
	}
	if !c.NeedsTLS() {
		blame("tls.acme_domains", "has names, but no listener speaks TLS: set network.enable_tls = true")
	}
	if t.ACMEEmail != "" && (strings.Count(t.ACMEEmail, "@") != 1 || strings.ContainsAny(t.ACMEEmail, " <>")) {
		blame("tls.acme_email", "must be an address such as \"admin@example.org\", but is %q", short(t.ACMEEmail))
	}
	if u, err := url.Parse(t.ACMEDirectory); t.ACMEDirectory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		blame("tls.acme_directory", "must be the https:// address of an ACME directory, but is %q", short(t.ACMEDirectory))
	}
	if !strings.HasPrefix(t.ACMEStorage, "/") {
		blame("tls.acme_storage", "must be the whole path of a folder, but is %q", short(t.ACMEStorage))
	}
	return found
}

// checkTables returns the limits that are too large for the tables of all shards together. Without socket_workers in
// the file the number of shards is not known yet, so one shard must be able to hold them.
func (c *Config) checkTables() (found []finding) {
	atMost := func(key string, value, perShard int) {
		if value <= max(c.SocketWorkers, 1)*perShard {
			return
		}
		sentence := fmt.Sprintf("%s is %d, but must be at most %d, %d for each shard of socket_workers",
			key, value, c.SocketWorkers*perShard, perShard)
		if c.SocketWorkers == 0 {
			sentence = fmt.Sprintf("%s is %d, but must be at most %d, as much as one shard can hold: "+
				"for more, set socket_workers", key, value, perShard)
		}
		found = append(found, finding{[]string{key, "socket_workers"}, sentence})
	}
	atMost("limits.max_peers", c.Limits.MaxPeers, maxShardPeers)
	atMost("limits.max_pending_offers", c.Limits.MaxPendingOffers, maxShardOffers)
	return found
}
