package main

// This file holds the loads under which trackers are compared, and the trackers that take part in each.

import (
	"slices"

	"millrace/bench/load"
)

// workload is a load under which trackers are compared: a profile of the load tester, changed where two cores cannot
// follow it.
type workload struct {
	name    string
	title   string // in tables and plots
	about   string // a description, and the difference from the profile
	profile string
	tls     bool
	change  func(*load.Config) // nil: the profile as it is

	trackers []string // that take part, in the order in which they run
	figure   string   // the rounds agree when its ratio to the reference does
	rates    []float64
	byLimit  float64 // the rate is this share of the reference's limit, as the sweep found it; 0: the profile's rate
	extra    bool    // only runs when -only names it
}

var (
	everybody = []string{millrace, floorServer, aquatic, aquaticCurrent, aquaticNoMetric, "bittorrent-tracker", "peertube"}
	withTLS   = []string{millrace, aquatic, aquaticCurrent}
	noNode    = []string{millrace, floorServer, aquatic, aquaticCurrent}
	pair      = []string{millrace, aquatic}
	handshake = []string{millrace, millraceClassic, aquatic}
	realTLS   = []string{millrace, millraceClassic, aquatic, aquaticCurrent}
	loaded    = []string{millrace, millraceNoDelay, floorServer, aquatic, aquaticCurrent, "bittorrent-tracker", "peertube"}
	loadedTLS = []string{millrace, millraceNoDelay, aquatic, aquaticCurrent}
	packing   = []string{millrace, millracePlain}
	shardPair = []string{millrace, millrace2}
)

// sweepRates are announces per second. A sweep ends for a tracker with the first one that it cannot follow.
var sweepRates = []float64{50, 100, 250, 500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 8000, 10000, 12000}

// Names of the workloads. The report and the tests need them.
const (
	heavyWS, quarterWS        = "heavy-ws", "quarter-ws"
	lightWS, lightWSS         = "light-ws", "light-wss"
	realWS, realWSS           = "real-ws", "real-wss"
	hotWS                     = "hot-ws"
	maxWS, maxWSS             = "max-ws", "max-wss"
	idleWS, idleWSS           = "idle-ws", "idle-wss"
	stormFull, stormResumed   = "storm-full", "storm-resumed"
	stormPlain                = "storm-ws"
	packedWS, packedWSS       = "packed-ws", "packed-wss"
	shortWS, shortWSS         = "short-ws", "short-wss"
	sweep, sweepWSS           = "sweep", "sweep-wss"
	atSeventy                 = "at-70"
	scalingHeavy, scalingReal = "scaling-heavy", "scaling-real"
	foreign                   = "foreign"
)

// workloads are all loads, in the order in which they run.
var workloads = []workload{
	{name: heavyWS, title: "heavy, ws", profile: "heavy", trackers: everybody, figure: "cycle",
		about: "4,000 connections in 100 swarms announce every second with 10 offers of 1.3 kB, and all are answered"},
	{name: quarterWS, title: "a quarter of heavy, ws", profile: "heavy", change: aQuarter,
		trackers: everybody, figure: "cycle",
		about: "1,000 connections in 25 swarms announce every second: one core of every tracker but npm's can follow"},
	{name: lightWS, title: "light, ws", profile: "light", trackers: everybody, figure: "cycle",
		about: "3,000 connections in 100 swarms announce every 5 seconds"},
	{name: lightWSS, title: "light, wss", profile: "light", tls: true, trackers: withTLS, figure: "cycle",
		about: "the same over TLS 1.3"},
	{name: realWS, title: "real, ws", profile: "real", change: partOfReal, trackers: noNode, figure: "cycle",
		about: "two fifths of a public tracker: 16,800 connections that stay for 350 s on average, 1.8 peers a swarm"},
	{name: realWSS, title: "real, wss", profile: "real", change: partOfReal, tls: true, trackers: realTLS, figure: "cycle",
		about: "the same over TLS 1.3, handshakes of the newcomers included"},
	{name: packedWS, title: "real with compression, ws", profile: "real", change: compressing, trackers: packing,
		figure: "cycle", about: "the same with clients that compress, as browsers do, and browsers' offers"},
	{name: packedWSS, title: "real with compression, wss", profile: "real", change: compressing, tls: true, trackers: packing,
		figure: "cycle", about: "the same over TLS 1.3"},
	{name: shortWS, title: "short lives, ws", profile: "real", change: shortLives(4000), trackers: noNode, figure: "connect",
		about: "4,000 connections that stay for 10 s on average: 400 come and 400 go in every second"},
	{name: shortWSS, title: "short lives, wss", profile: "real", change: shortLives(2000), tls: true, trackers: realTLS,
		figure: "connect", about: "2,000 connections that stay for 10 s on average, over TLS 1.3"},
	{name: hotWS, title: "hot, ws", profile: "hot", trackers: noNode, figure: "cycle",
		about: "one swarm of 4,000 connections that announce every 5 seconds"},
	{name: maxWS, title: "max, ws", profile: "max", trackers: noNode, figure: "responses",
		about: "1,000 connections in a closed loop, as fast as it goes"},
	{name: maxWSS, title: "max, wss", profile: "max", tls: true, trackers: withTLS, figure: "responses",
		about: "the same over TLS 1.3"},
	{name: idleWS, title: "idle, ws", profile: "idle", change: aHalf, trackers: everybody, figure: "memory",
		about: "10,000 connections that announced once"},
	{name: idleWSS, title: "idle, wss", profile: "idle", change: aHalf, tls: true, trackers: withTLS, figure: "memory",
		about: "the same over TLS 1.3"},
	{name: stormPlain, title: "storm, ws", profile: "storm", change: storms(false), trackers: pair, figure: "connect",
		about: "twenty times, 100 connections are reset, come back at once and announce without offers"},
	{name: stormFull, title: "storm, wss, full", profile: "storm", change: storms(false), tls: true, trackers: handshake,
		figure: "connect", about: "the same with full handshakes of TLS 1.3"},
	{name: stormResumed, title: "storm, wss, resumed", profile: "storm", change: storms(true), tls: true,
		trackers: handshake,
		figure:   "connect",
		about:    "the same with the session tickets of the connections before, where the tracker takes them"},
	{name: sweep, title: "latency against load", profile: "heavy", change: thousand, trackers: loaded, rates: sweepRates,
		about: "1,000 connections in 25 swarms, at more and more announces per second"},
	{name: sweepWSS, title: "latency against load, wss", profile: "heavy", change: thousand, tls: true, trackers: loadedTLS,
		rates: sweepRates, extra: true, about: "the same over TLS 1.3"},
	{name: atSeventy, title: "latency at 70 % of aquatic_ws's limit", profile: "heavy", change: thousand, trackers: pair,
		figure: "p99", byLimit: 0.7, about: "the same at 70 % of the highest rate that aquatic_ws could follow"},
	{name: scalingHeavy, title: "heavy on two shards", profile: "heavy", change: aQuarter,
		trackers: shardPair, figure: "cycle",
		about: "a quarter of heavy; with two shards the client shares their CPUs"},
	{name: scalingReal, title: "real on two shards", profile: "real", change: partOfReal,
		trackers: shardPair, figure: "cycle",
		about: "two fifths of real; with two shards the client shares their CPUs"},
	{name: "idle-250k", title: "idle, 250,000 connections", profile: "idle",
		trackers: []string{millrace}, figure: "memory",
		extra: true, change: func(c *load.Config) { c.Scale(12.5); c.Ramp = 120 },
		about: "250,000 connections that announced once"},
	{name: "slow-ws", title: "slow, ws", profile: "slow", trackers: pair, figure: "cycle", extra: true,
		about: "1,000 connections, a tenth of which hardly read"},
}

// aQuarter scales a profile so that two cores have room for tracker and clients.
func aQuarter(c *load.Config) { c.Scale(0.25) }

// aHalf does the same for a load that measures memory: one connection takes as much as another.
func aHalf(c *load.Config) { c.Scale(0.5); c.Ramp = 25 }

// thousand spreads the announces of a sweep over 1,000 connections in swarms of heavy's size.
func thousand(c *load.Config) {
	c.Connections, c.Torrents, c.Ramp, c.Warmup, c.Duration = 1000, 25, 2, 2, 10
}

// storms are twenty returns of 100 connections in the measurement, and nothing else of any cost. So few come at a time
// because aquatic_ws remembers no more than 256 sessions, two for each client.
func storms(resume bool) func(*load.Config) {
	return func(c *load.Config) {
		c.Connections, c.Torrents, c.Offers, c.Interval = 100, 100, 0, 60
		c.Ramp, c.Warmup, c.Duration, c.Resume, c.Storms = 1, 1, 12, resume, nil
		for k := range 20 {
			c.Storms = append(c.Storms, load.Storm{At: 1 + float64(k)/2, Resume: resume})
		}
	}
}

// The longest times of a run in seconds: enough for a stable figure, as the agreement of the rounds shows, and short
// enough for the number of runs.
const (
	rampRate     = 500 // connections a second, at least
	longWarmup   = 3
	longDuration = 10
)

// shortLives has clients that come and go so fast that a tracker's time goes into connections, where that of real goes into
// announces. The swarms are as real's.
func shortLives(connections int) func(*load.Config) {
	return func(c *load.Config) {
		c.Scale(float64(connections) / float64(c.Connections))
		c.Life, c.Ramp = 10, 5
	}
}

// partOfReal scales the profile of a public tracker to a limit of 20,000 open files. Its connections open faster than
// those of the public tracker.
func partOfReal(c *load.Config) { c.Scale(0.4); c.Ramp = 40 }

// compressing is partOfReal with clients that compress, half as many: they take more CPU than the tracker.
func compressing(c *load.Config) {
	c.Scale(0.2)
	c.Ramp, c.Compression, c.SDP = 40, true, "browser"
}

// config returns the load for a tracker. rate is the announces per second; 0: the workload's own.
func (w *workload) config(o *options, t *tracker, rate float64) (load.Config, error) {
	c, err := load.Default(w.profile)
	if err != nil {
		return c, err
	}
	if w.change != nil {
		w.change(&c)
	}
	if o.scale != 1 {
		c.Scale(o.scale)
	}
	if rate > 0 {
		c.Interval = float64(c.Connections) / rate
	}
	c.Ramp = min(c.Ramp, 2+float64(c.Connections)/rampRate)
	c.Warmup = min(c.Warmup, longWarmup)
	steady := len(c.Storms) == 0 // a storm has its time
	if steady {
		c.Duration = min(c.Duration, longDuration)
	}
	if c.Life > 0 { // it takes longer to see the mixture of old and new connections
		c.Warmup, c.Duration = 5, 2*longDuration
	}
	if c.OnlyOnce { // nothing happens but sweeps
		c.Duration = 5
	}
	if o.quick && steady {
		c.Ramp, c.Warmup, c.Duration = min(c.Ramp, 3), min(c.Warmup, 1), min(c.Duration, 5)
	}
	if o.duration > 0 && steady {
		c.Duration = o.duration
	}
	c.AnswerReplies = t.repliesToAnswers()
	return c, nil
}

// repliesToAnswers reports whether a tracker sends a reply to an answer too. The load tester has to know.
func (t *tracker) repliesToAnswers() bool {
	return slices.Contains([]string{aquatic, aquaticCurrent, aquaticNoMetric}, t.name)
}
