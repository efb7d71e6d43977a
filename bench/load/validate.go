package load

// This file finds the mistakes of a load before it runs.

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
)

// Bounds of a load. They are far above the reach of one machine, and keep sizes and times computable.
const (
	maxConnections = 4_000_000
	maxTorrents    = 100_000_000
	maxWorkers     = 256
	maxSources     = 200      // 127.0.0.1 to 127.0.0.200
	maxOffers      = 64       // in one announce
	maxSDPBytes    = 64 << 10 // the most that trackers and clients take
	maxSeconds     = 7 * 24 * 3600
	maxStorms      = 100
)

// Validate returns every mistake of the load, each as a sentence on a line of its own that names the key.
func (c *Config) Validate() error {
	v := validator{config: c}
	v.place()
	v.times()
	v.clients()
	v.messages()
	v.storms()
	return errors.Join(v.mistakes...)
}

// validator gathers mistakes.
type validator struct {
	config   *Config
	mistakes []error
}

// report notes a mistake unless ok is true.
func (v *validator) report(ok bool, format string, args ...any) {
	if !ok {
		v.mistakes = append(v.mistakes, fmt.Errorf(format, args...))
	}
}

// within checks that the number at a key lies in a range. That of NaN does not.
func (v *validator) within(key string, lowest, highest float64) {
	field, ok := v.config.field(key)
	if !ok {
		panic("BUG: there is no key " + key)
	}
	n := 0.0
	switch field.Kind() {
	case reflect.Float64:
		n = field.Float()
	default:
		n = float64(field.Int())
	}
	v.report(lowest <= n && n <= highest, "%s is %v, but must be from %v to %v", key, field, number(lowest),
		number(highest))
}

// number is a limit, printed without an exponent.
type number float64

func (n number) String() string {
	if n == number(math.Trunc(float64(n))) {
		return fmt.Sprintf("%d", int64(n))
	}
	return fmt.Sprint(float64(n))
}

// place checks where the tracker is and how it is watched.
func (v *validator) place() {
	c := v.config
	if _, err := Describe(c.Profile); err != nil {
		v.report(false, "profile: %w", err)
	}
	v.nodes()
	pages := c.metricsURLs()
	v.report(len(pages) <= maxNodes, "metrics_url has %d addresses, but there may be at most %d", len(pages), maxNodes)
	for k, text := range pages {
		u, err := url.Parse(text)
		v.report(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "",
			"metrics_url is %q, but must be empty or like http://127.0.0.1:9000/metrics", text)
		v.report(!slices.Contains(pages[:k], text), "metrics_url has %s more than once: its counts would count more than once", text)
	}
	v.processes()
	v.report(c.Seed <= math.MaxInt64, "seed is %d, but a TOML file holds no number above %d", c.Seed, math.MaxInt64)
}

// times checks the times of the run.
func (v *validator) times() {
	for _, key := range []string{"ramp", "warmup", "drain"} {
		v.within(key, 0, maxSeconds)
	}
	v.within("duration", 0.1, maxSeconds)
}

// clients checks the threads and connections.
func (v *validator) clients() {
	c := v.config
	v.within("workers", 1, maxWorkers)
	v.within("source_addresses", 0, maxSources)
	for _, cpu := range c.CPUs {
		v.report(0 <= cpu && cpu < 1024, "cpus has %d, but must be a list of CPUs by number, from 0 on", cpu)
	}
	v.within("connections", 1, maxConnections)
	v.report(c.Workers <= max(c.Connections, 1), "workers is %d, but there are only %d connections: each worker needs one",
		c.Workers, c.Connections)
	v.report(c.Loop == "open" || c.Loop == "closed", `loop is %q, but must be "open" or "closed"`, c.Loop)
	v.within("interval", 0.001, maxSeconds)
	v.within("in_flight", 1, 32)
	v.within("torrents", 1, maxTorrents)
	v.within("torrents_per_connection", 1, 1024)
	v.report(c.PerConnection <= c.Torrents, "torrents_per_connection is %d, but there are only %d torrents",
		c.PerConnection, c.Torrents)
	switch c.Placement {
	case "even", "gamma":
	case "tail":
		v.within("mean_peers", 1, maxConnections)
	default:
		v.report(false, `placement is %q, but must be "even", "tail" or "gamma"`, c.Placement)
	}
	if c.Life != 0 {
		v.within("connection_life", 0.1, maxSeconds)
	}
	v.within("slow_share", 0, 1)
	v.within("slow_bytes", 1, 1<<30)
	v.report(!c.OnlyOnce || c.Loop == "open", `announce_once needs loop = "open": in a closed loop clients never stop`)
}

// messages checks the content of messages.
func (v *validator) messages() {
	v.within("offers", 0, maxOffers)
	v.report(v.config.SDP == sdpSized || v.config.SDP == sdpBrowser, `sdp is %q, but must be "sized" or "browser"`,
		v.config.SDP)
	v.within("sdp_bytes", minSDPBytes, maxSDPBytes)
	v.within("answer_share", 0, 1)
	v.within("seeder_share", 0, 1)
	v.within("scrape_share", 0, 1)
	v.within("compression_window", 1, 1<<mostBits)
	v.report(v.config.Compression || !v.config.Alone, "compression_alone is true, but compression is not: set both")
}

// storms checks the reconnects.
func (v *validator) storms() {
	c := v.config
	v.report(len(c.Storms) <= maxStorms, "there are %d storms, but there may be at most %d", len(c.Storms), maxStorms)
	last := math.Inf(-1)
	for _, storm := range c.Storms {
		v.report(0 <= storm.At && storm.At < c.Duration,
			"a storm is at %v s, but the measurement goes from 0 to %v s (duration)", storm.At, c.Duration)
		v.report(storm.At > last, "a storm is at %v s, but it is listed after one at %v s: list them in their order",
			storm.At, last)
		last = storm.At
	}
}
