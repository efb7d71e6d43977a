package main

// This file holds the figures that a run tells about a tracker, and the signs that a tracker does not follow its load.

// figure is a quantity of a run that describes a tracker.
type figure struct {
	key   string
	title string // with its unit
	more  bool   // more is better
	of    func(*run) (value float64, ok bool)
}

// figures are all of them. ok is false where a run does not have the figure.
var figures = []figure{
	{"cycle", "server CPU, µs per signalling cycle", false, func(r *run) (float64, bool) {
		return r.Result.Server.CPUPerCycle, r.Result.Server.CPUPerCycle > 0
	}},
	{"message", "server CPU, µs per message", false, func(r *run) (float64, bool) {
		return r.Result.Server.CPUPerMessage, r.Result.Server.CPUPerMessage > 0
	}},
	{"connect", "server CPU, µs per connection", false, func(r *run) (float64, bool) {
		n := r.Result.During.Connected
		return r.Result.Server.CPU * 1e6 / float64(max(n, 1)), n > 0
	}},
	{"memory", "memory above empty, bytes per connection", false, func(r *run) (float64, bool) {
		return r.Result.Server.RSSPerConnection, r.Result.Server.PID > 0
	}},
	{"p50", "announce to reply, median, µs", false, func(r *run) (float64, bool) {
		return r.Result.Latency.Reply.P50, r.Result.Latency.Reply.Count > 0
	}},
	{"p99", "announce to reply, 99th percentile, µs", false, func(r *run) (float64, bool) {
		return r.Result.Latency.Reply.P99, r.Result.Latency.Reply.Count > 0
	}},
	{"answer-p99", "offer to answer, 99th percentile, µs", false, func(r *run) (float64, bool) {
		return r.Result.Latency.Answer.P99, r.Result.Latency.Answer.Count > 0
	}},
	{"responses", "responses per second", true, func(r *run) (float64, bool) {
		c := &r.Result.During
		n := c.Replies + c.AnswerReplies + c.ScrapeReplies + c.OffersReceived + c.AnswersReceived
		return float64(n) / max(r.Result.Measured, 1e-9), n > 0
	}},
	{"cycles", "signalling cycles per second", true, func(r *run) (float64, bool) {
		n := r.Result.During.AnswersReceived
		return float64(n) / max(r.Result.Measured, 1e-9), n > 0
	}},
	{"resumed", "share of resumed handshakes", true, func(r *run) (float64, bool) {
		c := &r.Result.During
		n := c.HandshakesFull + c.HandshakesResumed
		return float64(c.HandshakesResumed) / float64(max(n, 1)), n > 0
	}},
	{"local", "share of requests for torrents of the connection's own shard", true, func(r *run) (float64, bool) {
		return r.Result.Server.LocalShare, r.Result.Server.LocalShare > 0
	}},
	{"busy", "CPUs that the server kept busy", false, func(r *run) (float64, bool) {
		return r.Result.Server.CPU / max(r.Result.Measured, 1e-9), r.Result.Server.PID > 0
	}},
	{"client", "CPUs that the client kept busy", false, func(r *run) (float64, bool) {
		sum := 0.0
		for _, share := range r.Result.Client.BusyShare {
			sum += share
		}
		return sum, len(r.Result.Client.BusyShare) > 0
	}},
	{"others", "CPUs that others kept busy", false, func(r *run) (float64, bool) { return r.Others + r.Stolen, true }},
}

// figureOf returns a figure by its key.
func figureOf(key string) figure {
	for _, f := range figures {
		if f.key == key {
			return f
		}
	}
	panic("BUG: there is no figure " + key)
}

// value returns a figure of a run: ok is false where the run has failed or does not have it.
func (f figure) value(r *run) (float64, bool) {
	if r.Result == nil {
		return 0, false
	}
	return f.of(r)
}

// Signs that a tracker does not follow the load.
const (
	followed   = 0.98 // of the announces that are due, so many must have their reply
	fullCPU    = 0.97 // of its CPUs
	lateAnswer = 5e5  // µs, 99th percentile of announce to reply
)

// saturated reports whether the tracker, or the client, could not follow the rate of an open loop.
func (r *run) saturated() bool {
	if r.Result == nil {
		return true
	}
	c := &r.Result.During
	if r.Result.Config.Loop == "closed" {
		return false
	}
	missed := float64(c.Replies) < followed*float64(c.Announces+c.Late)
	return missed || r.Result.Latency.Reply.P99 > lateAnswer
}

// full reports whether the tracker's CPUs had no time left: its figures are those of its limit.
func (r *run) full() bool {
	busy, ok := figureOf("busy").value(r)
	return ok && busy > fullCPU*float64(cpusIn(r.ServerCPUs))
}
