package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/door"
	"millrace/cmd/internal/shard/loans"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/torrents"
)

// This file owns the settings of a shard's parts, and their change while it runs.

// Listeners are the settings of all listening sockets, by the numbers that the ring gives them.
type Listeners = door.Listeners

// Listener says how clients come through one of them.
type Listener = door.Listener

// keep takes from the options in force those that stay as they are until the process ends: tables have been made by them,
// connections and torrents are known by them, or all shards must agree on them.
func (o *Options) keep(now *Options) {
	o.ID, o.Shards, o.MaxConnections = now.ID, now.Shards, now.MaxConnections
	o.OwnerSeed, o.SourceSeed, o.Swarm.Seed, o.Swarm.Count = now.OwnerSeed, now.SourceSeed, now.Swarm.Seed, now.Swarm.Count
	o.Addresses, o.Pressure = now.Addresses, now.Pressure
	o.ShareFamilies, o.FollowTorrents = now.ShareFamilies, now.FollowTorrents
	o.EndedPerStep = now.EndedPerStep
	switch {
	case now.TLS == nil:
		o.TLS = nil
	case o.TLS == nil:
		o.TLS = now.TLS
	default:
		t := *now.TLS
		t.GracePeriod = o.TLS.GracePeriod
		o.TLS = &t
	}
}

// Change puts other options in force, but for those that keep names. Nobody is closed at once by it: a limit counts for what
// comes, and deadlines that have been set stay. It is called between two Steps, by the loop's thread.
func (s *Shard) Change(o Options) {
	o.keep(&s.opt)
	s.opt = o
	s.turn.NoteOrder(conn.OrderChange)
	s.scratch.dec.MaxOffers, s.scratch.dec.MaxScrape = o.MaxOffers, o.MaxScrape
	s.door.Change(o.door())
	s.outbox.Change(o.outbox())
	s.meter.Change(o.Guard.meter())
	s.mover.SetPatience(o.CloseTimeout)
	s.torrents.Change(o.torrents())
	s.secure.change(&o)
	s.SetLoad(s.chores.load)
}

// SetLoad says how much CPU the loop's thread needs, in CPUs. Above Options.DeflateLoad nothing is compressed, nor where compression has been
// turned off since its client came: that may always be.
func (s *Shard) SetLoad(cpus float64) {
	s.chores.load = cpus
	s.outbox.SetBusy(cpus > s.opt.DeflateLoad || !s.opt.Deflate)
}

func (o *Options) door() door.Options {
	return door.Options{
		SourceSeed: o.SourceSeed, ShareFamilies: o.ShareFamilies,
		TrustedProxies: o.TrustedProxies, Listeners: o.Listeners, HandshakeTimeout: o.HandshakeTimeout,
		Addresses: o.Addresses,
	}
}

func (o *Options) outbox() outbox.Options {
	return outbox.Options{MaxPending: o.MaxPending, SendTimeout: o.SendTimeout, Addresses: o.Addresses}
}

func (o *Options) torrents() torrents.Options {
	t := torrents.Options{
		Swarm: o.Swarm, SweepPeriod: o.SweepPeriod, Census: o.Census, EndedPerStep: o.EndedPerStep,
		Loans: loans.Options{
			Shard: o.ID, Shards: o.Shards, OwnerSeed: o.OwnerSeed, Lend: o.FollowTorrents && o.Shards > 1,
		},
	}
	if o.Addresses != nil {
		t.Swarm.Count = o.Addresses.CountPeers
	}
	return t
}
