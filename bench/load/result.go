package load

// This file is the result of a run, as -json prints it.

import (
	"encoding/json"
	"fmt"
	"time"
)

// Result holds the observations of a run. Latencies are those of messages whose intended time lies in the measurement.
// millrace-load prints it as JSON with -json.
type Result struct {
	Config   Config        `json:"config"`
	Started  time.Time     `json:"started"`
	Begun    float64       `json:"measured_from_seconds"` // since the start of the run
	Measured float64       `json:"measured_seconds"`
	Counts   Counts        `json:"counts"`          // of the whole run, ramp to drain: these must add up
	During   Counts        `json:"measured_counts"` // of the measurement alone, for rates
	Errors   []ErrorCount  `json:"errors"`          // by kind, most frequent first
	Latency  Latencies     `json:"latency_us"`
	Traffic  Traffic       `json:"bytes_per_cycle"`
	Client   ClientFigures `json:"client"`
	Server   ServerFigures `json:"server"`
	Cluster  Cluster       `json:"cluster,omitzero"` // of a tracker with several nodes
	Problems []string      `json:"problems"`         // sentences: each of them fails the run
	Remarks  []string      `json:"remarks"`          // sentences for the reader of the figures: the client was the bottleneck, …
	Series   []Interval    `json:"series"`           // the whole run, ramp to drain, second by second: at most maxIntervals
}

// maxErrorKinds bounds Result.Errors; kinds beyond it are counted together as "other".
const maxErrorKinds = 32

// ErrorCount is the number of errors of a kind that does not end the run: connections that could not be opened, by
// error; connections that the tracker closed, by close code; failure messages, by their text.
type ErrorCount struct {
	Kind  string `json:"kind"`
	Count uint64 `json:"count"`
}

// Counts are messages as the clients saw them.
type Counts struct {
	Connected         uint64 `json:"connected"`
	ConnectFailed     uint64 `json:"connect_failed"`
	HandshakesFull    uint64 `json:"tls_handshakes_full"`
	HandshakesResumed uint64 `json:"tls_handshakes_resumed"`
	Disconnected      uint64 `json:"disconnected"` // by the tracker

	Announces     uint64 `json:"announces"`
	Replies       uint64 `json:"announce_replies"`
	AnswerReplies uint64 `json:"answer_replies"`
	Scrapes       uint64 `json:"scrapes"`
	ScrapeReplies uint64 `json:"scrape_replies"`
	Failures      uint64 `json:"failures"` // failure messages of the tracker

	// WrongSize are replies that speak of fewer or more peers than the swarm has, in loads in which peers stay. They
	// fail the run: the number of expected offers follows from replies.
	WrongSize uint64 `json:"wrong_size"`

	OffersSent      uint64 `json:"offers_sent"`     // in announces
	OffersExpected  uint64 `json:"offers_expected"` // those that had a receiver, as replies told by the size of the swarm
	OffersUntold    uint64 `json:"offers_untold"`   // had a receiver of which the reply did not speak yet: several nodes only
	OffersReceived  uint64 `json:"offers_received"` // and right in all respects
	OffersDropped   uint64 `json:"offers_dropped"`  // as the tracker reports
	OffersGone      uint64 `json:"offers_gone"`     // missing, perhaps because their connection closed
	AnswersSent     uint64 `json:"answers_sent"`
	AnswersReceived uint64 `json:"answers_received"` // each is one signalling cycle: announce, offer, answer
	AnswersDropped  uint64 `json:"answers_dropped"`  // as the tracker reports
	AnswersGone     uint64 `json:"answers_gone"`

	Late uint64 `json:"late"` // open loop: announces that were not sent because too many of the connection were unanswered

	// Relayed messages that fail the run. None of them is counted as received.
	WrongTorrent  uint64 `json:"wrong_torrent"`
	WrongSender   uint64 `json:"wrong_sender"`
	WrongReceiver uint64 `json:"wrong_receiver"`
	Altered       uint64 `json:"altered"`
	Own           uint64 `json:"own"`
	Duplicate     uint64 `json:"duplicate"`
	Unknown       uint64 `json:"unknown"`
	Unreadable    uint64 `json:"unreadable"`

	// Agreed are the connections that agreed on compression. Payload is the bytes of messages before their compression
	// and after their expansion, without the headers of frames.
	Agreed          uint64 `json:"compression_agreed"`
	Expanded        uint64 `json:"compressed_messages_received"`
	PayloadSent     uint64 `json:"payload_bytes_sent"`
	PayloadReceived uint64 `json:"payload_bytes_received"`

	// Bytes as they go through the sockets, TLS and upgrades included.
	BytesSent     uint64 `json:"bytes_sent"`
	BytesReceived uint64 `json:"bytes_received"`

	// TCP's segments, and their bytes with the headers of TCP and IP, but without the handful of segments behind the end of a
	// connection. Of connections that hardly read they are not counted. 0: the kernel does not tell.
	SegmentsSent     uint64 `json:"segments_sent"`
	SegmentsReceived uint64 `json:"segments_received"`
	WireSent         uint64 `json:"wire_bytes_sent"`
	WireReceived     uint64 `json:"wire_bytes_received"`
}

// Traffic is the bytes of the measurement for each signalling cycle, as clients see them. It has the announces and
// replies without which there is no cycle, and in loads in which most peers are alone these are nearly all of it.
type Traffic struct {
	Sent            float64 `json:"sent"`      // through the sockets: compressed, with frames, upgrades and TLS
	Received        float64 `json:"received"`  // and so the tracker's
	WireSent        float64 `json:"wire_sent"` // with what is sent again, and with the headers of TCP and IP; 0: unknown
	WireReceived    float64 `json:"wire_received"`
	PayloadSent     float64 `json:"payload_sent"`     // messages alone, before compression
	PayloadReceived float64 `json:"payload_received"` // and after expansion
}

// traffic returns the bytes per cycle of counts.
func (c *Counts) traffic() Traffic {
	each := func(n uint64) float64 { return per(float64(n), c.AnswersReceived) }
	return Traffic{each(c.BytesSent), each(c.BytesReceived), each(c.WireSent), each(c.WireReceived), each(c.PayloadSent),
		each(c.PayloadReceived)}
}

// Rows returns the figures as a table for people: a name, and the two directions as text. Without cycles it is empty.
func (t *Traffic) Rows() (rows [][3]string) {
	row := func(name string, sent, received float64) {
		rows = append(rows, [3]string{name, count(sent), count(received)})
	}
	if t.WireSent > 0 && t.WireReceived > 0 {
		row("with TCP and IP", t.WireSent, t.WireReceived)
	}
	if t.Sent > 0 || t.Received > 0 {
		row("through the sockets", t.Sent, t.Received)
	}
	if t.PayloadSent > 0 && t.PayloadReceived > 0 {
		row("messages, plain", t.PayloadSent, t.PayloadReceived)
		share := func(a, b float64) string { return fmt.Sprintf("%.1f %%", 100*a/b) }
		rows = append(rows, [3]string{"sockets to messages", share(t.Sent, t.PayloadSent), share(t.Received, t.PayloadReceived)})
	}
	return rows
}

// Latencies are in microseconds.
type Latencies struct {
	Reply     Distribution `json:"announce_to_reply"` // from the time the announce was due
	Answer    Distribution `json:"offer_to_answer"`   // from the time the announce was due to the answer
	Handshake Distribution `json:"connect_to_open"`   // from connect to the end of the WebSocket handshake, TLS included
}

// Distribution is one latency's figures.
type Distribution struct {
	Count   uint64  `json:"count"`
	Mean    float64 `json:"mean"`
	P50     float64 `json:"p50"`
	P90     float64 `json:"p90"`
	P99     float64 `json:"p99"`
	P999    float64 `json:"p99_9"`
	Max     float64 `json:"max"`
	Points  []Point `json:"points"`        // the whole distribution for a plot, from the shortest latency to the longest
	Encoded string  `json:"hdr_histogram"` // the whole histogram, HdrHistogram's V2 compressed format in base64
}

// Point is a point of a distribution: so large a share of the latencies takes at most so many µs.
type Point struct {
	Share   float64 `json:"share"`
	Latency float64 `json:"us"`
}

// Interval is a part of the run: a second, or more in a run that is longer than maxIntervals seconds. Latencies belong to
// the interval in which their announce was due. Clients that hardly read are not in it.
type Interval struct {
	From      float64   `json:"from_seconds"` // since the start of the run
	Length    float64   `json:"seconds"`
	Announces uint64    `json:"announces"`
	Replies   uint64    `json:"announce_replies"`
	Offers    uint64    `json:"offers_received"`
	Answers   uint64    `json:"answers_received"` // signalling cycles
	Connected uint64    `json:"connected"`
	Errors    uint64    `json:"errors"` // wrong messages, failure messages, connections that failed or were closed
	Open      int       `json:"open"`   // connections, at the end of the interval
	Reply     Quantiles `json:"announce_to_reply_us"`
	Answer    Quantiles `json:"offer_to_answer_us"`
	ServerCPU float64   `json:"server_cpu_seconds"` // of the tracker's process; 0: unknown
	ServerRSS uint64    `json:"server_rss_bytes"`   // highest
	ClientCPU float64   `json:"client_cpu_seconds"` // of the load tester's process
}

// Quantiles are one latency's figures in an interval, exact to 1.6 %; the longest is exact to 1 µs.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// ClientFigures say how much of its threads the load tester itself used.
type ClientFigures struct {
	Workers   int       `json:"workers"`
	BusyShare []float64 `json:"busy_share"`  // of each worker's thread: CPU time over measured time
	CPU       float64   `json:"cpu_seconds"` // of the whole process
	LateSends uint64    `json:"late_sends"`  // announces sent more than 1 ms late for lack of time
}

// Cluster says where offers went, of those that leechers made when all nodes knew the whole swarm.
type Cluster struct {
	Nodes     int     `json:"nodes"`
	Offers    uint64  `json:"offers_counted"`
	Other     uint64  `json:"offers_from_other_nodes"`
	Even      float64 `json:"even_offers_from_other_nodes"` // if every peer of a swarm is as likely a receiver as any other
	Deviation float64 `json:"even_standard_deviation"`      // of that number
}

// ServerFigures are those of the tracker's process over the measurement, or of all its processes together.
type ServerFigures struct {
	PID              int     `json:"pid"` // the first one; the configuration has all
	CPU              float64 `json:"cpu_seconds"`
	User             float64 `json:"user_seconds"`
	System           float64 `json:"system_seconds"`
	CPUPerMessage    float64 `json:"cpu_us_per_message"`       // of all messages in both directions
	CPUPerCycle      float64 `json:"cpu_us_per_cycle"`         // per answer received
	RSSEmpty         uint64  `json:"rss_empty_bytes"`          // before the first connection
	RSSPeak          uint64  `json:"rss_peak_bytes"`           // highest
	RSSEnd           uint64  `json:"rss_end_bytes"`            // at the end of the measurement
	RSSPerConnection float64 `json:"rss_per_connection_bytes"` // (RSSEnd - RSSEmpty) / connections
	SocketMemory     uint64  `json:"socket_memory_bytes"`      // of all TCP sockets of the machine, at the end
	SlabGrowth       int64   `json:"slab_growth_bytes"`        // of the kernel's unreclaimable slab, clients' too
	Threads          int     `json:"threads"`
	LocalShare       float64 `json:"local_share"` // of requests, on their connection's shard; 0: unknown
}

// MarshalJSON writes an empty list as a list, not as null.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result // without this method
	r.Config.CPUs, r.Config.Storms = listed(r.Config.CPUs), listed(r.Config.Storms)
	r.Errors, r.Problems, r.Remarks = listed(r.Errors), listed(r.Problems), listed(r.Remarks)
	r.Client.BusyShare, r.Series = listed(r.Client.BusyShare), listed(r.Series)
	l := &r.Latency
	l.Reply.Points, l.Answer.Points, l.Handshake.Points = listed(l.Reply.Points), listed(l.Answer.Points), listed(l.Handshake.Points)
	return json.Marshal(plain(r))
}

// listed returns the list, empty instead of nil.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
