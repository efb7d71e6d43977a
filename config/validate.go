package config

import (
	"fmt"
	"math/bits"
	"reflect"
)

// Bounds that other parts of the tracker rely on.
const (
	MaxShards      = 256      // socket_workers
	MinMessageSize = 1 << 10  // websocket_max_message_size and websocket_max_frame_size, bytes
	MaxMessageSize = 16 << 20 // the same

	// MailboxMessages is the number of messages of the greatest length for which a mailbox has room.
	MailboxMessages = 4
)

// Bounds of several keys. They are far from what is reasonable: a value beyond them is a slip of the keyboard.
const (
	maxSeconds   = 100_000_000   // about three years
	maxTableSize = 2_000_000_000 // entries of a table that counts them in 32 bits
	maxMemory    = 64 << 30      // bytes of one shard
)

// rangeOf is the least and the greatest value of a key that is a number.
type rangeOf struct {
	key        string
	min, max   int
	powerOfTwo bool
}

// ranges has a row for every key that is a number.
var ranges = []rangeOf{
	{key: "socket_workers", min: 0, max: MaxShards},
	{key: "swarm_workers", min: 0, max: maxTableSize},
	{key: "network.tcp_backlog", min: 1, max: 1 << 20},
	{key: "network.websocket_max_message_size", min: MinMessageSize, max: MaxMessageSize},
	{key: "network.websocket_max_frame_size", min: MinMessageSize, max: MaxMessageSize},
	{key: "network.websocket_write_buffer_size", min: 1 << 10, max: 4 << 20},
	{key: "network.max_connections", min: 0, max: 1 << 24},
	{key: "network.handshake_timeout", min: 1, max: 3600},
	{key: "network.ping_interval", min: 1, max: maxSeconds},
	{key: "network.send_timeout", min: 1, max: 3600},
	{key: "network.close_timeout", min: 1, max: 3600},
	{key: "network.shutdown_timeout", min: 0, max: 3600},
	{key: "network.max_request_head", min: 512, max: 1 << 20},
	{key: "protocol.max_scrape_torrents", min: 0, max: 1 << 20},
	{key: "protocol.max_offers", min: 0, max: 1 << 10},
	{key: "protocol.peer_announce_interval", min: 1, max: maxSeconds},
	{key: "cleaning.torrent_cleaning_interval", min: 1, max: maxSeconds},
	{key: "cleaning.max_peer_age", min: 1, max: maxSeconds},
	{key: "cleaning.max_quiet_peer_age", min: 1, max: maxSeconds},
	{key: "cleaning.max_offer_age", min: 1, max: maxSeconds},
	{key: "cleaning.connection_cleaning_interval", min: 1, max: maxSeconds},
	{key: "cleaning.max_connection_idle", min: 2, max: maxSeconds},
	{key: "cleaning.close_after_tls_update_grace_period", min: 0, max: maxSeconds},
	{key: "limits.torrents_per_connection", min: 1, max: 1 << 20},
	{key: "limits.bad_messages_per_connection", min: 1, max: 1 << 20},
	{key: "limits.pending_offers_per_peer", min: 1, max: 1 << 16},
	{key: "limits.max_peers", min: 1, max: maxTableSize},
	{key: "limits.max_pending_offers", min: 1, max: maxTableSize},
	{key: "io_uring.entries", min: 64, max: 1 << 15, powerOfTwo: true},
	{key: "io_uring.receive_buffers", min: 16, max: 1 << 15, powerOfTwo: true},
	{key: "io_uring.receive_buffer_size", min: 1 << 10, max: 1 << 16, powerOfTwo: true},
	{key: "io_uring.send_memory", min: 64 << 10, max: maxMemory},
	{key: "io_uring.assembly_memory", min: 64 << 10, max: maxMemory},
	{key: "io_uring.mailbox_size", min: 4 << 10, max: 256 << 20, powerOfTwo: true},
	{key: "io_uring.max_batch_delay_us", min: 0, max: 10_000},
	{key: "cpu_pinning.offset", min: 0, max: 1 << 16},
	{key: "metrics.torrent_count_update_interval", min: 1, max: maxSeconds},
}

// laterKey is a key whose function is not there yet, and the name of that function.
type laterKey struct{ key, missing string }

// later holds the keys that are accepted at their default and refused at any other value, since a key that is silently
// ignored is worse than one that is not there.
var later = []laterKey{
	{"privileges.drop_privileges", "dropping of privileges"},
	{"metrics.peer_clients", "metrics by client"},
	{"metrics.peer_id_prefixes", "metrics by peer id"},
}

// finding is something wrong with the values of one key, or with two keys together.
type finding struct {
	keys     []string
	sentence string
}

// fitDefaults changes defaults of keys that the file leaves out so that they go together with what it sets. Otherwise
// a file of aquatic_ws, in which our keys are missing, could contradict a key that its author has never heard of.
func (c *Config) fitDefaults(fields map[string]reflect.Value) {
	fit := func(key string, value int) {
		if !c.IsSet(key) {
			fields[key].SetInt(int64(value))
		}
	}
	fit("network.ping_interval", min(c.Network.PingInterval, max(1, c.Cleaning.MaxConnectionIdle/2)))
	fit("cleaning.max_quiet_peer_age", max(c.Cleaning.MaxQuietPeerAge, c.Cleaning.MaxPeerAge))
	fit("limits.pending_offers_per_peer", max(c.Limits.PendingOffersPerPeer, c.Protocol.MaxOffers))
	fit("io_uring.mailbox_size", max(c.IOUring.MailboxSize, nextPowerOfTwo(c.mailboxNeed())))
}

// mailboxNeed returns the least number of bytes that a mailbox must have.
func (c *Config) mailboxNeed() int {
	return MailboxMessages * min(c.Network.WebsocketMaxMessageSize, MaxMessageSize)
}

// nextPowerOfTwo returns the least power of two that is not less than n.
func nextPowerOfTwo(n int) int {
	return 1 << bits.Len(uint(max(n, 1)-1))
}

// checkValues returns what is wrong with single values.
func (c *Config) checkValues(fields map[string]reflect.Value) []finding {
	var found []finding
	blame := func(key, format string, args ...any) {
		found = append(found, finding{[]string{key}, key + " " + fmt.Sprintf(format, args...)})
	}
	defaults := Default().fields()
	for _, row := range later {
		value, only := appendValue(nil, fields[row.key]), appendValue(nil, defaults[row.key])
		if string(value) != string(only) {
			blame(row.key, "is %s, but this version has no %s: only the default, %s, is accepted", value, row.missing, only)
		}
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

// checkPairs returns the contradictions between keys.
func (c *Config) checkPairs() []finding {
	var found []finding
	n, u := &c.Network, &c.IOUring
	address := n.Address.Addr().Unmap()
	if n.OnlyIPv6 && address.Is4() {
		found = append(found, finding{[]string{"network.only_ipv6", "network.address"},
			fmt.Sprintf("network.only_ipv6 is true, but network.address is the IPv4 address %s", address)})
	}
	atLeast := func(key string, value int, other string, least int, why string) {
		if value < least {
			found = append(found, finding{[]string{key, other},
				fmt.Sprintf("%s is %d, but must be at least %d, %s %s", key, value, least, why, other)})
		}
	}
	atLeast("cleaning.max_connection_idle", c.Cleaning.MaxConnectionIdle, "network.ping_interval", n.PingInterval+1,
		"one more than")
	atLeast("cleaning.max_quiet_peer_age", c.Cleaning.MaxQuietPeerAge, "cleaning.max_peer_age", c.Cleaning.MaxPeerAge,
		"as much as")
	atLeast("limits.pending_offers_per_peer", c.Limits.PendingOffersPerPeer, "protocol.max_offers",
		c.Protocol.MaxOffers, "as much as")
	atLeast("io_uring.mailbox_size", u.MailboxSize, "network.websocket_max_message_size", c.mailboxNeed(),
		"four times")
	atLeast("io_uring.assembly_memory", u.AssemblyMemory, "network.websocket_max_message_size",
		n.WebsocketMaxMessageSize, "as much as")
	atLeast("io_uring.send_memory", u.SendMemory, "network.websocket_write_buffer_size", n.WebsocketWriteBufferSize,
		"as much as")

	needs := func(key string, value Tri, other string, needed Tri) {
		if value == Require && needed == Off {
			found = append(found, finding{[]string{key, other},
				fmt.Sprintf(`%s is "require", but needs %s, which is "off"`, key, other)})
		}
	}
	needs("io_uring.multishot_receive", u.MultishotReceive, "io_uring.buffer_ring", u.BufferRing)
	needs("io_uring.defer_taskrun", u.DeferTaskrun, "io_uring.single_issuer", u.SingleIssuer)
	needs("io_uring.fixed_send", u.FixedSend, "io_uring.registered_buffers", u.RegisteredBuffers)
	needs("io_uring.min_wait", u.MinWait, "io_uring.timed_wait", u.TimedWait)
	return found
}
