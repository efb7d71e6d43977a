package load

// This file holds the named loads.

import (
	"fmt"
	"math"
	"strings"
)

// DefaultProfile is taken where none is named.
const DefaultProfile = "heavy"

// profile is a named load.
type profile struct {
	name string
	text string // its meaning, in a paragraph
	set  func(*Config)
}

// common returns the common part of all profiles. It is the content of their messages: a browser's announce with ten
// offers of 1.3 kB each, as in a video player that looks for peers.
func common() Config {
	return Config{
		URL:           "ws://127.0.0.1:3000/",
		Spread:        spreadClients,
		Seed:          1,
		Workers:       1,
		Ramp:          5,
		Warmup:        5,
		Duration:      30,
		Drain:         10,
		Loop:          "open",
		Interval:      1,
		InFlight:      1,
		PerConnection: 1,
		Placement:     "even",
		MeanPeers:     1.8,
		Offers:        10,
		SDP:           sdpSized,
		SDPBytes:      1300,
		Answers:       1,
		Seeders:       0.25,
		Window:        4096,
		SlowBytes:     1000,
		Verify:        true,
	}
}

// profiles are all named loads, in the order of the help text.
var profiles = []profile{
	{"heavy", "Big swarms that are searched all the time: 4,000 connections in 100 swarms announce once a second with " +
		"10 offers of 1.3 kB, and every offer is answered. A tracker mostly relays here: 168,000 messages and 220 MB a " +
		"second in both directions together.",
		func(c *Config) { c.Connections, c.Torrents = 4000, 100 }},
	{"light", "The same messages at a rate that leaves a tracker time to sleep between them: 3,000 connections in 100 " +
		"swarms announce every 5 seconds. The cost of a tracker's wake-ups shows here.",
		func(c *Config) { c.Connections, c.Torrents, c.Interval, c.Ramp = 3000, 100, 5, 10 }},
	{"real", "A public tracker in production: 42,000 connections, most of them alone in their swarm (1.8 peers on " +
		"average with a long tail), that stay for 350 seconds on average, so that 120 come and 120 go in every second. " +
		"They announce every 120 seconds, the interval that trackers ask for. Scale it down to the power of two cores.",
		func(c *Config) {
			c.Connections, c.Torrents, c.Placement, c.MeanPeers = 42000, 23333, "tail", 1.8
			c.Life, c.Interval, c.Ramp, c.Warmup, c.Duration = 350, 120, 60, 30, 120
		}},
	{"hot", "One swarm for everybody: 4,000 connections that announce every 5 seconds. The work that a tracker does for " +
		"each peer of a swarm, or can only do on one core, shows here.",
		func(c *Config) { c.Connections, c.Torrents, c.Interval = 4000, 1, 5 }},
	{"media", "A video player that shares sound and pictures apart: 3,000 connections that are in three torrents of one " +
		"content each, 30 peers in a swarm, announce every 5 seconds, one torrent after the other. What a tracker of " +
		"several threads pays for messages of one connection that concern several torrents shows here.",
		func(c *Config) {
			c.Connections, c.Torrents, c.PerConnection, c.Interval, c.Ramp, c.Warmup = 3000, 300, 3, 5, 10, 20
		}},
	{"idle", "20,000 connections in swarms of ten that announce once, exchange their offers and answers, and then only " +
		"stay. The figure is the memory per connection. Scale it to the number of connections that you expect.",
		func(c *Config) { c.Connections, c.Torrents, c.Ramp, c.OnlyOnce = 20000, 2000, 40, true }},
	{"storm", "2,000 connections are reset and come back all at once, first with full TLS handshakes and 20 seconds " +
		"later with resumed ones (with ws:// both times without TLS). In between they announce every 30 seconds.",
		func(c *Config) {
			c.Connections, c.Torrents, c.Interval, c.Duration, c.Resume = 2000, 200, 30, 45, true
			c.Storms = []Storm{{At: 5, Resume: false}, {At: 25, Resume: true}}
		}},
	{"aquatic", "The defaults of aquatic_ws_load_test 0.9: 16 connections in a closed loop, over TLS, 10 offers of 64 " +
		"bytes (the original has 47), a quarter seeders. Torrents are drawn for each announce from 10,000 with a gamma " +
		"distribution that gives almost half of the announces to one of them. It differs from the original in two ways: " +
		"every offer is answered at once instead of the last one read, and a connection uses 64 torrents in turn, not a " +
		"new one each time. The original cannot work without replies to answers; this one can (see answer_replies).",
		func(c *Config) {
			c.URL, c.Loop, c.Connections, c.Ramp = "wss://127.0.0.1:3000/", "closed", 16, 0.2
			c.Torrents, c.Placement, c.PerConnection, c.SDPBytes = 10000, "gamma", 64, 64
		}},
	{"max", "As fast as possible: 1,000 connections in 25 swarms. Each announces as soon as its last announce has its " +
		"reply. The messages are those of heavy. The figure is the rate; latencies of a closed loop say little.",
		func(c *Config) { c.Loop, c.Connections, c.Torrents = "closed", 1000, 25 }},
	{"slow", "1,000 connections in 25 swarms announce every 2 seconds, and every tenth of them reads no more than 1,000 " +
		"bytes in a second. The tracker must not wait for them, it must limit the memory for their messages, and the " +
		"other connections must not notice. Drops are part of it.",
		func(c *Config) {
			c.Connections, c.Torrents, c.Interval, c.SlowShare, c.Duration = 1000, 25, 2, 0.1, 60
		}},
}

// Profiles returns the names of all profiles.
func Profiles() []string {
	names := make([]string, len(profiles))
	for k := range profiles {
		names[k] = profiles[k].name
	}
	return names
}

// Default returns the load of a profile. The error lists the names.
func Default(name string) (Config, error) {
	p, err := find(name)
	if err != nil {
		return Config{}, err
	}
	c := common()
	c.Profile = p.name
	p.set(&c)
	return c, nil
}

// Describe returns a paragraph without line feeds about a profile.
func Describe(name string) (string, error) {
	p, err := find(name)
	return p.text, err
}

// find returns the profile of a name.
func find(name string) (profile, error) {
	for _, p := range profiles {
		if p.name == name {
			return p, nil
		}
	}
	return profile{}, fmt.Errorf("there is no profile %q: the profiles are %s", name, strings.Join(Profiles(), ", "))
}

// Scale changes the number of connections, and with it all rates of an open loop, by a factor. The number of torrents
// follows, so that swarms keep their size. Torrents that belong together stay together.
func (c *Config) Scale(factor float64) {
	scaled := func(n int) int { return max(int(math.Round(float64(n)*factor)), 1) }
	together := 1
	if c.PerConnection > 1 && c.Torrents%c.PerConnection == 0 {
		together = c.PerConnection
	}
	c.Connections, c.Torrents = scaled(c.Connections), scaled(c.Torrents/together)*together
}
