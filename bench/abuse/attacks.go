package main

// This file has the table of all attacks.

import (
	"context"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// stage is the state in which an attacker's connection begins its life.
type stage uint8

const (
	upgraded  stage = iota // TLS and upgrade are done
	secured                // TLS is done where the tracker speaks it
	raw                    // TCP to the tracker's port
	toMetrics              // TCP to the metrics page
)

// attack is one way to disturb a tracker.
type attack struct {
	name, about string
	connections int
	many        bool // each connection has an address of its own; else one address has all
	wssOnly     bool
	deaf        bool // the kernel takes little for connections that do not read
	stage       stage
	// life plays one connection. When it returns, the connection is closed and another one takes its place; an error says
	// no more than that. nil: no attackers.
	life func(ctx context.Context, s *scene, c *client, i int) error

	source    func(i int) net.IP                    // address of connection i; nil: one of the attackers' own
	tune      func(s settings)                      // changes the tracker's configuration; nil: the defaults
	spread    time.Duration                         // time over which the connections come, at scale 1
	disturb   func(ctx context.Context, srv server) // acts on the tracker itself; nil: does not
	residents int                                   // honest clients that stay and announce; 0: defaultResidents
	twins     int                                   // honest clients with two connections, as if two URLs led here
	movers    int                                   // honest clients whose address changes
	bounds                                          // what the row may show
}

// bounds are the targets of a row, besides those that are the same for all.
type bounds struct {
	memory      int  // growth of resident memory, in MiB
	descriptors int  // growth of open descriptors; 0: not looked at
	junkRate    int  // offers of attackers for each honest client in a second; 0: not looked at
	junkBurst   int  // and as many more once
	allServed   bool // the many connections are no attackers: none of them may be refused
	anyMedian   bool // latency is not looked at
}

// Honest clients of each run.
const (
	defaultResidents = 20
	idlers           = 10
)

// Names of sections of the configuration.
const (
	network = "network"
	limits  = "limits"
)

// metricsMemory is for thousands of connections a second to the metrics page, each of which leaves its buffers as garbage.
const metricsMemory = 40

// assemblyMemory is for messages of many addresses that wait to be complete, or to be handled.
const assemblyMemory = 32

// attacks are the rows of the table.
var attacks = []attack{
	{name: "tls-half-open", about: "5 bytes of a TLS hello, and no more", connections: 1024, wssOnly: true, stage: raw,
		life: halfOpen, bounds: bounds{memory: 32}},
	{name: "tls-hello-drip", about: "a TLS hello byte by byte", connections: 512, wssOnly: true, stage: raw,
		life: dripHello, bounds: bounds{memory: 32}},
	{name: "tls-keyupdate", about: "3 MB/s of KeyUpdates that ask for an answer", connections: 1, wssOnly: true,
		stage: raw, bounds: bounds{memory: 8}, life: keyUpdater(false)},
	{name: "tls-keyupdate-deaf", about: "the same, and the answers are not read", connections: 16, wssOnly: true,
		deaf: true, stage: raw, bounds: bounds{memory: 16}, life: keyUpdater(true)},
	{name: "connections", about: "fills max_connections of 2000", connections: 4000, life: stay,
		tune:   func(s settings) { s.set(network, "max_connections", "2000") },
		bounds: bounds{memory: 64}},
	{name: "torrents", about: "1024 torrents on each connection; max_peers is 60000", connections: 200,
		life:   fillTorrents,
		tune:   func(s settings) { s.set(limits, "max_peers", "60000") },
		bounds: bounds{memory: 32}},
	{name: "poison", about: "1024 peer ids in the honest torrent, once", connections: 1, life: poison,
		bounds: bounds{memory: 8}},
	{name: "pings-30", about: "pings at full speed", connections: 30, many: true, life: floodPings,
		bounds: bounds{memory: 16}},
	{name: "pings-100", about: "pings at full speed", connections: 100, many: true, life: floodPings,
		bounds: bounds{memory: 16}},
	{name: "pings-300", about: "pings at full speed", connections: 300, many: true, life: floodPings,
		bounds: bounds{memory: 32}},
	{name: "messages-30", about: "announces at full speed", connections: 30, many: true, life: floodMessages,
		bounds: bounds{memory: 16}},
	{name: "messages-100", about: "announces at full speed", connections: 100, many: true, life: floodMessages,
		bounds: bounds{memory: 16}},
	{name: "messages-300", about: "announces at full speed", connections: 300, many: true, life: floodMessages,
		bounds: bounds{memory: 32}},
	{name: "scrapes-deaf", about: "scrapes of 255 hashes, replies are not read", connections: 64, deaf: true,
		life: scrapeDeaf, bounds: bounds{memory: 16}},
	{name: "scrapes-deaf-many", about: "the same", connections: 64, many: true, deaf: true, life: scrapeDeaf,
		bounds: bounds{memory: assemblyMemory}}, // the requests that were read before the tracker held these clients back
	{name: "half-messages", about: "messages that are never quite there, in buffers of 32 MiB", connections: 600,
		life: halfMessage, spread: 2 * time.Second,
		bounds: bounds{memory: assemblyMemory}},
	{name: "half-messages-many", about: "the same", connections: 600, many: true, life: halfMessage,
		spread: 2 * time.Second,
		bounds: bounds{memory: 96}},
	{name: "takeover", about: "announces with the peer ids of honest clients, from their addresses", connections: 10,
		life:   takeOverPeer,
		source: func(i int) net.IP { return honestAddress(resident, i) },
		bounds: bounds{memory: 8}},
	{name: "address-change", about: "honest clients whose old connection falls silent", movers: 5,
		bounds: bounds{memory: 8}},
	{name: "two-connections", about: "honest clients with one peer id on two connections", twins: 5,
		bounds: bounds{memory: 8}},
	{name: "junk-offers", about: "215 announces a second with 10 offers each", connections: 1, residents: 30,
		life: junkOffers, bounds: bounds{memory: 8, junkRate: 20, junkBurst: 100}},
	{name: "junk-offers-64", about: "the same, on each connection", connections: 64, residents: 30,
		life: junkOffers, bounds: bounds{memory: 16, junkRate: 20, junkBurst: 100}},
	{name: "storm", about: "connects, upgrades and leaves", connections: 64, life: leave,
		bounds: bounds{memory: 32}},
	{name: "storm-many", about: "the same", connections: 64, many: true, life: leave,
		bounds: bounds{memory: 32}},
	{name: "metrics-slow", about: "half a request to the metrics page", connections: 2000, stage: toMetrics,
		life: dripRequest, bounds: bounds{memory: metricsMemory, descriptors: 128}},
	{name: "upgrade-half", about: "half an upgrade request", connections: 1000, stage: secured, life: dripRequest,
		bounds: bounds{memory: 64}},
	{name: "upgrade-half-many", about: "the same", connections: 1000, many: true, stage: secured, life: dripRequest,
		bounds: bounds{memory: 64}},
	{name: "giant-headers", about: "headers of frames of up to 2^63 bytes", connections: 64, life: giantHeader,
		bounds: bounds{memory: 32}},
	{name: "close-games", about: "goes on after a close frame, or ends half", connections: 64, life: closeGames,
		bounds: bounds{memory: 32}},
	{name: "campus", about: "not an attack: 1000 clients of one address in one torrent", connections: 1000,
		life: attend, spread: 20 * time.Second, bounds: bounds{memory: 64, allServed: true}},
	{name: "stopped", about: "the tracker's process is stopped for longer than clients may be silent",
		tune: func(s settings) {
			s.set(network, "ping_interval", "1")
			s.set("cleaning", "max_connection_idle", "2")
			s.set("cleaning", "connection_cleaning_interval", "1")
		},
		disturb: freeze, bounds: bounds{memory: 8, anyMedian: true}},
}

// freezeFor is longer than max_connection_idle of the attack "stopped". It is so short that each client gives fewer offers
// meanwhile than pending_offers_per_peer: all of them come in one moment after it, and the oldest would be forgotten.
const freezeFor = 2800 * time.Millisecond

// freeze stops the tracker's process for a while.
func freeze(ctx context.Context, srv server) {
	srv.signal(syscall.SIGSTOP)
	select {
	case <-ctx.Done():
	case <-time.After(freezeFor):
	}
	srv.signal(syscall.SIGCONT)
}

// attackNamed returns an attack, nil if there is none of that name.
func attackNamed(name string) *attack {
	i := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return &attacks[i]
}

// addresses says from how many addresses the attackers come.
func (a *attack) addresses(scale float64) string {
	switch {
	case a.life == nil:
		return "–"
	case a.source != nil:
		return "victims'"
	case a.many:
		return strconv.Itoa(scaled(a.connections, scale))
	}
	return "1"
}
