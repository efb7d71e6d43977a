package load

import "time"

// Result is what a run saw. Latencies are those of messages whose intended time lies in the measurement.
type Result struct {
	Config   Config        `json:"config"`
	Started  time.Time     `json:"started"`
	Measured float64       `json:"measured_seconds"`
	Counts   Counts        `json:"counts"`          // of the whole run, from the first connection to the end of the drain: only so can they add up
	During   Counts        `json:"measured_counts"` // of the measurement alone, for rates
	Errors   []ErrorCount  `json:"errors"`          // what went wrong, by kind, most frequent first
	Latency  Latencies     `json:"latency"`
	Client   ClientFigures `json:"client"`
	Server   ServerFigures `json:"server"`
	Problems []string      `json:"problems"` // sentences, each of which fails the run
	Remarks  []string      `json:"remarks"`  // sentences that a reader must know: the client was the bottleneck, …
}

// maxErrorKinds bounds Result.Errors; kinds beyond it are counted together as "other".
const maxErrorKinds = 32

// ErrorCount is how often something went wrong that is counted and not the end of the run: connections that could not be
// opened, by error; connections that the tracker closed, by close code; failure messages, by their text.
type ErrorCount struct {
	Kind  string `json:"kind"`
	Count uint64 `json:"count"`
}

// Counts are messages as the clients saw them.
type Counts struct {
	Connected, ConnectFailed, HandshakesFull, HandshakesResumed, Disconnected uint64

	Announces, Replies, AnswerReplies, Scrapes, ScrapeReplies uint64
	OffersSent                                                uint64 // in announces
	OffersExpected                                            uint64 // what replies said of the size of the swarm tells how many of them had a receiver
	OffersReceived                                            uint64
	AnswersSent                                               uint64
	AnswersReceived                                           uint64 // each is one signalling cycle: announce, offer, answer
	OffersDropped                                             uint64 // as the tracker reports
	AnswersDropped                                            uint64 // as the tracker reports
	OffersGone                                                uint64 // sent or due to connections that closed meanwhile: they may be missing
	AnswersGone                                               uint64
	Failures                                                  uint64 // failure messages of the tracker

	Late uint64 // open loop: announces that were not sent because too many of the connection were unanswered

	WrongTorrent, WrongSender, WrongReceiver, Altered, Own, Duplicate, Unknown, Unreadable uint64 // relayed messages that fail the run

	BytesSent, BytesReceived uint64
}

// Latencies are in microseconds.
type Latencies struct {
	Reply     Distribution `json:"announce_to_reply"` // from the time the announce was due
	Answer    Distribution `json:"offer_to_answer"`   // from the time the announce with the offer was due until the answer is there
	Handshake Distribution `json:"connect_to_open"`   // from connect to the end of the WebSocket handshake, TLS included
}

// Distribution is one latency's figures.
type Distribution struct {
	Count                          uint64
	Mean, P50, P90, P99, P999, Max float64
	Encoded                        string // the whole histogram, HdrHistogram's compressed format in base64
}

// ClientFigures say how much of its threads the load tester itself used.
type ClientFigures struct {
	Workers   int
	BusyShare []float64 // of each worker's thread: CPU time over measured time
	CPU       float64   // seconds of the whole process
	LateSends uint64    // announces that left more than 1 ms after they were due because the client had no time
}

// ServerFigures are those of the tracker's process over the measurement.
type ServerFigures struct {
	PID                       int
	CPU, User, System         float64 // seconds
	CPUPerMessage             float64 // µs, of all messages in both directions
	CPUPerCycle               float64 // µs, per answer received
	RSSEmpty, RSSPeak, RSSEnd uint64  // bytes: before the first connection, highest, at the end of the measurement
	RSSPerConnection          float64 // (RSSEnd - RSSEmpty) / connections
	SocketMemory              uint64  // bytes: kernel memory of all TCP sockets at the end of the measurement (/proc/net/sockstat), of clients too
	SlabGrowth                int64   // bytes: growth of the kernel's unreclaimable slab since before the first connection, of clients too
	Threads                   int
}
