package server

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the way from the configuration to the options of each package.

// tick is the period of a shard's housekeeping timer. Deadlines have a resolution of a second, and an idle tracker
// costs nothing but its ticks.
const tick = 500 * time.Millisecond

// maxScanPeriod bounds the delay with which a connection's deadline is noticed, for every configuration.
const maxScanPeriod = 2 * time.Second

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// ringOptions returns the sizes and wishes for each shard's ring.
func ringOptions(c *config.Config, connsPerShard int) ring.Options {
	u := &c.IOUring
	return ring.Options{
		Entries:           u.Entries,
		ReceiveBuffers:    u.ReceiveBuffers,
		ReceiveBufferSize: u.ReceiveBufferSize,
		SendMemory:        u.SendMemory,
		MaxConnections:    connsPerShard,
		Tick:              tick,
		MaxBatchDelay:     time.Duration(u.MaxBatchDelayUs) * time.Microsecond,
		Want:              wishes(u),
	}
}

// wishes translates what the operator wants of each kernel feature, by its name.
func wishes(u *config.IOUring) (want ring.Want) {
	for _, f := range u.Features() {
		feature, ok := ring.FeatureNamed(f.Name)
		if !ok {
			panic("BUG: the configuration has the kernel feature " + f.Name + ", package ring does not")
		}
		switch f.Wish {
		case config.Off:
			want[feature] = ring.Off
		case config.Require:
			want[feature] = ring.Require
		}
	}
	return want
}

// secrets are the keys of this process's hashes: clients choose info hashes and addresses, and must not be able to
// choose where they fall.
type secrets struct {
	owner, table [2]uint64
	source       guard.Secret
}

func newSecrets() secrets {
	var b [32]byte
	rand.Read(b[:]) // never fails
	word := func(k int) uint64 { return binary.LittleEndian.Uint64(b[8*k:]) }
	return secrets{
		owner:  [2]uint64{word(0), word(1)},
		table:  [2]uint64{word(2), word(3)},
		source: guard.NewSecret(),
	}
}

// shardOptions returns the options of shard id out of n, without those that need a running server.
func shardOptions(c *config.Config, id, n, connsPerShard int, key secrets) shard.Options {
	return shard.Options{
		ID:             id,
		Shards:         n,
		MaxConnections: connsPerShard,
		OwnerSeed:      key.owner,
		SourceSeed:     key.source,
		Swarm:          swarmOptions(c, n, key),
		Guard:          guardLimits(&c.Limits),

		MaxHead:    c.Network.MaxRequestHead,
		Limits:     wsproto.Limits{Message: c.Network.WebsocketMaxMessageSize, Frame: c.Network.WebsocketMaxFrameSize},
		MaxPending: config.WriteBuffers * c.Network.WebsocketWriteBufferSize,

		MaxOffers:      c.Protocol.MaxOffers,
		MaxScrape:      c.Protocol.MaxScrapeTorrents,
		Interval:       uint32(c.Protocol.PeerAnnounceInterval),
		ReplyToAnswers: c.Protocol.ReplyToAnswers,
		ShareFamilies:  c.Protocol.ShareSwarmsAcrossIPVersions,
		MaxBadMessages: c.Limits.BadMessagesPerConnection,

		Deflate:     c.Network.Compression == config.CompressionAuto,
		DeflateLoad: float64(c.Network.CompressionCPU) / 100,

		FollowTorrents: c.Network.FollowTorrents,

		TrustedProxies: c.Network.TrustedProxies,

		HandshakeTimeout: uint32(c.Network.HandshakeTimeout),
		PingInterval:     uint32(c.Network.PingInterval),
		IdleTimeout:      uint32(c.Cleaning.MaxConnectionIdle),
		SendTimeout:      uint32(c.Network.SendTimeout),
		CloseTimeout:     uint32(c.Network.CloseTimeout),
		ShutdownTimeout:  uint32(c.Network.ShutdownTimeout),

		ScanPeriod:  min(seconds(c.Cleaning.ConnectionCleaningInterval), maxScanPeriod),
		SweepPeriod: seconds(c.Cleaning.TorrentCleaningInterval),

		Census: c.Metrics.PeerClients || c.Metrics.RunPrometheusEndpoint && c.Metrics.PeerIDPrefixes,
	}
}

// origins returns the web pages that may connect; nil: all may.
func origins(c *config.Network) (*wsproto.Origins, error) {
	if len(c.Origins) == 0 && !c.DenyMissingOrigin {
		return nil, nil
	}
	o, err := wsproto.ParseOrigins(c.Origins)
	if err != nil {
		return nil, fmt.Errorf("cannot use network.origins: %w", err)
	}
	o.DenyMissing = c.DenyMissingOrigin
	return o, nil
}

// guardLimits returns the bounds for one address or one connection.
func guardLimits(l *config.Limits) shard.Limits {
	return shard.Limits{
		Active: l.Active,
		Exempt: l.Exempt,

		ConnectionsPerAddress:        l.ConnectionsPerAddress,
		ConnectionsPerAddressRate:    l.ConnectionsPerAddressRate,
		ConnectionsPerAddressBurst:   l.ConnectionsPerAddressBurst,
		TLSHandshakesPerAddress:      l.TLSHandshakesPerAddress,
		TLSHandshakesPerAddressRate:  l.TLSHandshakesPerAddressRate,
		TLSHandshakesPerAddressBurst: l.TLSHandshakesPerAddressBurst,

		PeersPerAddress:         l.PeersPerAddress,
		PeerIDsPerTorrent:       l.PeerIDsPerTorrent,
		AssemblyBytesPerAddress: l.AssemblyBytesPerAddress,
		SendBytesPerAddress:     l.SendBytesPerAddress,
		OffersToReceiverRate:    l.OffersToReceiverRate,
		OffersToReceiverBurst:   l.OffersToReceiverBurst,

		MessagesPerConnectionRate:       l.MessagesPerConnectionRate,
		MessagesPerConnectionBurst:      l.MessagesPerConnectionBurst,
		BytesPerConnectionTurn:          l.BytesPerConnectionTurn,
		BytesPerConnectionRate:          l.BytesPerConnectionRate,
		BytesPerConnectionBurst:         l.BytesPerConnectionBurst,
		ControlFramesPerConnectionRate:  l.ControlFramesPerConnectionRate,
		ControlFramesPerConnectionBurst: l.ControlFramesPerConnectionBurst,
		KeyUpdatesPerMinute:             l.KeyUpdatesPerMinute,

		BanMinutes: l.BanMinutes,
	}
}

// idsPerTorrent returns how many peer ids one connection may have in one torrent. A client has one; a page with several
// players of one torrent has a few.
func idsPerTorrent(l *config.Limits) int {
	if !l.Active {
		return l.TorrentsPerConnection
	}
	return l.PeerIDsPerTorrent
}

// swarmOptions returns the options of one of n tables. Limits for all shards together are divided among them: a keyed
// hash spreads the torrents evenly.
func swarmOptions(c *config.Config, n int, key secrets) swarm.Options {
	return swarm.Options{
		Seed:                  key.table,
		MaxPeerAge:            uint32(c.Cleaning.MaxPeerAge),
		MaxQuietAge:           uint32(c.Cleaning.MaxQuietPeerAge),
		MaxOfferAge:           uint32(c.Cleaning.MaxOfferAge),
		MaxPeersPerConnection: c.Limits.TorrentsPerConnection,
		MaxIDsPerTorrent:      idsPerTorrent(&c.Limits),
		MaxPeers:              share(c.Limits.MaxPeers, n),
		MaxPendingOffers:      share(c.Limits.MaxPendingOffers, n),
		MaxPendingPerPeer:     c.Limits.PendingOffersPerPeer,

		Cluster:   c.Cluster.On(),
		MaxRemote: share(c.Limits.MaxPeers, n),
		MaxVisits: share(c.Limits.MaxPendingOffers, n),
	}
}

// share divides a total among n shards, rounding up.
func share(total, n int) int { return (total + n - 1) / n }
