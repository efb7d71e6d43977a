package shard

import (
	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/meter"
	"net/netip"
	"time"
)

// This file owns the bounds for one address or one connection, as the server hands them in, and the levels of memory
// pressure.

// Limits are the bounds for one address or one connection. An address is an IPv4 address or an IPv6 /64; the IPv6 /48
// around it has eight times the value. It counts in all shards together. A rate counts each second, and its burst is the
// number that may come at once after a rest. All numbers are positive, but BanMinutes may be 0.
type Limits struct {
	Active bool           // false: no other field counts
	Exempt []netip.Prefix // no field counts for clients from here; clients behind a proxy count by their own address

	ConnectionsPerAddress        int // open at a time; more are closed before TLS and upgrade
	ConnectionsPerAddressRate    int // new ones; more are closed in the same way
	ConnectionsPerAddressBurst   int
	TLSHandshakesPerAddress      int // under way at a time; more wait, and are refused in the end
	TLSHandshakesPerAddressRate  int // new ones; more wait in the same way
	TLSHandshakesPerAddressBurst int

	PeersPerAddress         int // torrents × peer ids; more get a failure
	PeerIDsPerTorrent       int // of one connection in one torrent; more get a failure
	AssemblyBytesPerAddress int // of messages that are not complete; the largest holder of the address is closed
	SendBytesPerAddress     int // of waiting output; the largest holder of the address loses frames
	OffersToReceiverRate    int // offers relayed to one connection; more are dropped
	OffersToReceiverBurst   int

	MessagesPerConnectionRate       int // beyond it the reading from the connection pauses
	MessagesPerConnectionBurst      int
	BytesPerConnectionTurn          int // bytes that one Step reads from a connection that floods; the others wait
	BytesPerConnectionRate          int // beyond it the reading from the connection pauses
	BytesPerConnectionBurst         int // at least BytesPerConnectionTurn
	ControlFramesPerConnectionRate  int // more close the connection with code 1008
	ControlFramesPerConnectionBurst int
	KeyUpdatesPerMinute             int // of one TLS connection; more close it with code 1008

	BanMinutes int // for which an address is refused that keeps breaking the limits; 0: never
}

// meter returns the limits of one connection that package meter keeps.
func (l *Limits) meter() meter.Options {
	if !l.Active {
		return meter.Options{}
	}
	return meter.Options{
		Messages:  meter.Rate{PerSecond: l.MessagesPerConnectionRate, Burst: l.MessagesPerConnectionBurst},
		Bytes:     meter.Rate{PerSecond: l.BytesPerConnectionRate, Burst: l.BytesPerConnectionBurst},
		Control:   meter.Rate{PerSecond: l.ControlFramesPerConnectionRate, Burst: l.ControlFramesPerConnectionBurst},
		Offers:    meter.Rate{PerSecond: l.OffersToReceiverRate, Burst: l.OffersToReceiverBurst},
		Sent:      meter.Rate{PerSecond: l.OffersToReceiverRate, Burst: senderBurst * l.OffersToReceiverBurst},
		TurnBytes: l.BytesPerConnectionTurn,
	}
}

// senderBurst is how many times the burst of one receiver a connection may relay at once: a client that joins many torrents
// announces them all.
const senderBurst = 2

// Addresses returns a table that keeps the limits of addresses, for all shards together, of which entries addresses are
// told apart at a time. secret is the key of their hashes.
func (l *Limits) Addresses(entries int, secret guard.Secret) *guard.Table {
	limits, exempt := l.addresses()
	return guard.New(guard.Options{Limits: limits, Exempt: exempt, Entries: entries, Secret: secret})
}

// Change puts the limits in force in a table that Addresses has made.
func (l *Limits) Change(t *guard.Table) { t.Change(l.addresses()) }

// everybody are the addresses without limits where no limits are active.
var everybody = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// addresses returns the limits of one address, and the addresses that have none.
func (l *Limits) addresses() (limits guard.Limits, exempt []netip.Prefix) {
	if !l.Active {
		return guard.Limits{}, everybody
	}
	return guard.Limits{
		Connections: l.ConnectionsPerAddress,
		Arrivals:    guard.Rate{PerSecond: l.ConnectionsPerAddressRate, Burst: l.ConnectionsPerAddressBurst},
		Handshakes:  l.TLSHandshakesPerAddress,
		HandshakeRate: guard.Rate{
			PerSecond: l.TLSHandshakesPerAddressRate, Burst: l.TLSHandshakesPerAddressBurst,
		},
		Peers:     l.PeersPerAddress,
		HalfBuilt: l.AssemblyBytesPerAddress,
		Unsent:    l.SendBytesPerAddress,
		Offences:  maxOffences,
		Ban:       time.Duration(l.BanMinutes) * time.Minute,
	}, l.Exempt
}

// maxOffences is how many limits an address may break within a minute before it is banned, where bans are on.
const maxOffences = 100

// Pressure says how near the process is to its limit of memory. Options.Pressure holds one; every shard reads it. Tables
// do not give memory back to the process: so new peers and connections may take the places of others, and a tracker that
// is full goes on to serve its clients as they come and go.
type Pressure = uint32

const (
	PressureNone  Pressure = iota
	PressurePeers          // over the limit: no more peers than now
	PressureConns          // far over it, or for long: no more connections than now either
)

// pressure returns the pressure of this moment.
func (s *Shard) pressure() Pressure {
	if s.opt.Pressure == nil {
		return PressureNone
	}
	return s.opt.Pressure.Load()
}

// heedPressure keeps the tables from growing while memory is short.
func (s *Shard) heedPressure() {
	now := s.pressure()
	s.torrents.Freeze(now >= PressurePeers)
	switch {
	case now < PressureConns:
		s.chores.mostConns = noMost
	case s.chores.mostConns == noMost:
		s.chores.mostConns = s.mover.Everywhere()
	}
}

const noMost = 1 << 40 // more connections than all shards together can have
