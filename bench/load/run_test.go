package load

// This file tests whole runs against a plain tracker of its own, in every kind of load and with every fault.

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
)

// tracker is a plain WebTorrent tracker, written for these tests alone: a goroutine for each connection and one lock
// for everything. Its faults are switched on by fields.
type tracker struct {
	mu     sync.Mutex
	swarms map[string][]*trackerPeer

	answerReplies bool // it replies to answers
	escapes       bool // ids are written as \u00XX
	fragments     bool // every message comes in fragments with a ping between them
	deflates      bool // it compresses where clients offer it
	alone         bool // each message without those before
	refuse        int  // every so many-th announce gets a failure
	hangUp        int  // every so many-th announce ends the connection
	drop          int  // every so many-th relayed message is lost
	twice         int  // every so many-th comes twice
	blind         bool // the reply to a first announce speaks of the peers on its own node only
	staysBlind    bool // and so do all others
	near          bool // receivers on the sender's node come first

	announces, relayed, stopped int
	opened                      []int          // connections of each node
	homes                       map[string]int // the node that a peer came to last
	strangers                   int            // requests that name another host than the node's
}

type trackerPeer struct {
	id   string
	conn *trackerConn
	seed bool
}

type trackerConn struct {
	net.Conn
	t      *tracker
	node   int
	stream *serverStream // nil: nothing is compressed
}

// start serves the tracker until the test is over and returns its URL.
func (t *tracker) start(tb testing.TB, secure bool) string { return t.startNodes(tb, secure, 1) }

// startNodes serves the tracker as so many nodes, and returns their URLs.
func (t *tracker) startNodes(tb testing.TB, secure bool, nodes int) string {
	t.swarms, t.opened = make(map[string][]*trackerPeer), make([]int, nodes)
	t.homes = make(map[string]int)
	// The clients' workers hold on to their Ps.
	procs := runtime.GOMAXPROCS(runtime.NumCPU() + 4)
	tb.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	urls := make([]string, nodes)
	for k := range urls {
		urls[k] = t.startNode(tb, secure, k)
	}
	return strings.Join(urls, ",")
}

func (t *tracker) startNode(tb testing.TB, secure bool, node int) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { t.serve(out, r, node) }))
	scheme := "ws"
	if secure {
		scheme = "wss"
		s.StartTLS()
	} else {
		s.Start()
	}
	tb.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return scheme + "://" + s.Listener.Addr().String() + "/announce"
}

func (t *tracker) serve(out http.ResponseWriter, r *http.Request, node int) {
	var upgrade ws.HTTPUpgrader
	extension := wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: t.alone,
		ClientNoContextTakeover: true}}
	if t.deflates {
		upgrade.Negotiate = extension.Negotiate
	}
	conn, _, _, err := upgrade.Upgrade(r, out)
	if err != nil {
		return
	}
	c := &trackerConn{Conn: conn, t: t, node: node}
	t.mu.Lock()
	t.opened[node]++
	if r.Host != conn.LocalAddr().String() {
		t.strangers++
	}
	t.mu.Unlock()
	if _, ok := extension.Accepted(); ok {
		if c.stream = new(serverStream); !t.alone {
			c.stream.back = 3000
		}
	}
	defer c.Close()
	defer t.remove(c, "", "")
	for {
		text, op, err := c.read()
		if err != nil {
			return
		}
		if op == ws.OpText && !t.handle(c, text) {
			return
		}
	}
}

// read returns a client's next message.
func (c *trackerConn) read() ([]byte, ws.OpCode, error) {
	if c.stream == nil {
		return wsutil.ReadClientData(c)
	}
	h, err := ws.ReadHeader(c)
	if err != nil || h.OpCode == ws.OpClose {
		return nil, 0, errors.Join(io.EOF, err)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	if _, err = io.ReadFull(c, f.Payload); err != nil {
		return nil, 0, err
	}
	if f = ws.UnmaskFrame(f); h.Rsv1() {
		f, err = wsflate.DecompressFrame(f)
	}
	return f.Payload, h.OpCode, err
}

// write sends a message. The lock is held.
func (c *trackerConn) write(m map[string]any) {
	text, _ := json.Marshal(m)
	if c.t.escapes {
		text = bytes.ReplaceAll(text, []byte("-ML"), []byte(`\u002dM\u004C`))
		text = bytes.ReplaceAll(text, []byte(`\r\n`), []byte(`\u000d\n`))
	}
	var packed byte
	if c.stream != nil {
		text, packed = c.stream.pack(text), ws.Rsv(true, false, false)
	}
	send := func(first ws.Frame) {
		first.Header.Rsv = packed
		_ = ws.WriteFrame(c, first)
	}
	if !c.t.fragments {
		send(ws.NewTextFrame(text))
		return
	}
	half := len(text) / 2
	send(ws.NewFrame(ws.OpText, false, text[:half]))
	_ = ws.WriteFrame(c, ws.NewPingFrame([]byte("still there?")))
	_ = ws.WriteFrame(c, ws.NewFrame(ws.OpContinuation, true, text[half:]))
}

// relay passes an offer or answer on, or spoils it as its faults say.
func (t *tracker) relay(c *trackerConn, m map[string]any) {
	t.relayed++
	every := func(n int) bool { return n > 0 && t.relayed%n == 0 }
	if every(t.drop) {
		return
	}
	c.write(m)
	if every(t.twice) {
		c.write(m)
	}
}

// trackerRequest is a client's message.
type trackerRequest struct {
	Action, Event string
	Hash          string `json:"info_hash"`
	Peer          string `json:"peer_id"`
	To            string `json:"to_peer_id"`
	OfferID       string `json:"offer_id"`
	Left          *int
	Answer        map[string]any
	Offers        []struct {
		Offer   map[string]any
		OfferID string `json:"offer_id"`
	}
}

// handle takes a message; false ends the connection.
func (t *tracker) handle(c *trackerConn, text []byte) bool {
	var m trackerRequest
	if json.Unmarshal(text, &m) != nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	message := func(more ...any) map[string]any {
		reply := map[string]any{"action": "announce", "info_hash": m.Hash}
		for i := 0; i < len(more); i += 2 {
			reply[more[i].(string)] = more[i+1]
		}
		return reply
	}
	counts := func() map[string]any {
		complete, incomplete := 0, 0
		for _, p := range t.swarms[m.Hash] {
			switch {
			case p.conn.node != c.node && (t.staysBlind || t.blind && m.Event == "started"):
			case p.seed:
				complete++
			default:
				incomplete++
			}
		}
		return message("complete", complete, "incomplete", incomplete, "interval", 120)
	}
	switch {
	case m.Action == "scrape":
		c.write(map[string]any{"action": "scrape", "files": map[string]any{m.Hash: counts()}})
		return true
	case m.Answer != nil:
		for _, p := range t.swarms[m.Hash] {
			if p.id == m.To {
				t.relay(p.conn, message("peer_id", m.Peer, "offer_id", m.OfferID, "answer", m.Answer))
			}
		}
		if t.answerReplies {
			c.write(counts())
		}
		return true
	}
	t.announces++
	t.homes[m.Peer] = c.node
	if t.hangUp > 0 && t.announces%t.hangUp == 0 {
		return false
	}
	if t.refuse > 0 && t.announces%t.refuse == 0 {
		c.write(message("failure reason", "not now"))
		return true
	}
	if m.Event == "stopped" {
		t.stopped++
		t.unlisted(c, m.Hash, m.Peer)
		c.write(counts())
		return true
	}
	t.enlist(c, m.Hash, m.Peer, m.Left != nil && *m.Left == 0)
	c.write(counts())
	others := t.others(m.Hash, m.Peer)
	if t.near {
		slices.SortStableFunc(others, func(a, b *trackerPeer) int {
			return cmp.Compare((a.conn.node-c.node)*(a.conn.node-c.node), (b.conn.node-c.node)*(b.conn.node-c.node))
		})
	}
	for k, offer := range m.Offers[:min(len(m.Offers), len(others))] {
		t.relay(others[k].conn, message("peer_id", m.Peer, "offer_id", offer.OfferID, "offer", offer.Offer))
	}
	return true
}

func (t *tracker) enlist(c *trackerConn, hash, peer string, seed bool) {
	for _, p := range t.swarms[hash] {
		if p.id == peer {
			return
		}
	}
	t.swarms[hash] = append(t.swarms[hash], &trackerPeer{peer, c, seed})
}

// others returns the other peers of a swarm in a random order.
func (t *tracker) others(hash, peer string) (list []*trackerPeer) {
	for _, k := range rand.Perm(len(t.swarms[hash])) {
		if p := t.swarms[hash][k]; p.id != peer {
			list = append(list, p)
		}
	}
	return list
}

// remove takes a connection's peers out of the swarms.
func (t *tracker) remove(c *trackerConn, hash, peer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unlisted(c, hash, peer)
}

// unlisted is remove with the lock held; an empty hash and peer stand for all of the connection's.
func (t *tracker) unlisted(c *trackerConn, hash, peer string) {
	for h, peers := range t.swarms {
		if hash != "" && h != hash {
			continue
		}
		kept := peers[:0]
		for _, p := range peers {
			if p.conn != c || peer != "" && p.id != peer {
				kept = append(kept, p)
			}
		}
		t.swarms[h] = kept
	}
}

// quick is a load that takes about a second.
func quick(t *testing.T, url string) Config {
	t.Helper()
	cfg, err := Default("heavy")
	if err != nil {
		t.Fatal(err)
	}
	cfg.URL, cfg.Connections, cfg.Torrents, cfg.Workers = url, 60, 6, 2
	cfg.Interval, cfg.Offers, cfg.SDPBytes = 0.2, 4, 300
	cfg.Ramp, cfg.Warmup, cfg.Duration, cfg.Drain = 0.2, 0.1, 0.6, 20
	return cfg
}

// drive runs a load and returns its result.
func drive(t *testing.T, cfg Config) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Run(ctx, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v\n%+v\n%q\n%q\n", r.Counts, r.Errors, r.Problems, r.Remarks)
	return r
}

// addUp fails the test unless all messages came, none is wrong, and each is in the time series.
func addUp(t *testing.T, name string, r Result) {
	t.Helper()
	n := &r.Counts
	if len(r.Problems) > 0 || n.Announces == 0 || n.OffersReceived == 0 || n.AnswersReceived != n.AnswersSent ||
		n.Replies != n.Announces || n.OffersReceived != n.OffersExpected || n.AnswersSent != n.OffersReceived {
		t.Errorf("%s: %+v\n%q\n%v", name, r.Counts, r.Problems, r.Errors)
	}
	var sum, replies, answers Interval
	for _, i := range r.Series {
		sum.Announces, sum.Replies = sum.Announces+i.Announces, sum.Replies+i.Replies
		sum.Offers, sum.Answers, sum.Connected = sum.Offers+i.Offers, sum.Answers+i.Answers, sum.Connected+i.Connected
		replies.Reply.Count += i.Reply.Count
		answers.Answer.Count += i.Answer.Count
	}
	want := Interval{Announces: n.Announces, Replies: n.Replies, Offers: n.OffersReceived, Answers: n.AnswersReceived,
		Connected: n.Connected}
	followed := n.AnswersReceived
	if r.Config.Loop == "closed" { // some answers come when the record of their announce is used again
		followed = min(followed, max(answers.Answer.Count, 1))
	}
	if sum != want || replies.Reply.Count != n.Replies || answers.Answer.Count != followed {
		t.Errorf("%s: the intervals add up to %+v with %d and %d latencies, want %+v", name, sum, replies.Reply.Count,
			answers.Answer.Count, want)
	}
}

// weighed checks that the bytes on the wire are all that went through the sockets, with the headers of its segments. On a busy machine a
// few are sent again. Where connections end there may be more of them: what is sent to one that ends at this moment, and the end itself.
func weighed(t *testing.T, n *Counts, end bool) {
	t.Helper()
	f := func(wire, bytes, segments uint64) {
		t.Helper()
		least := bytes + segments*40
		most := least + segments*12 + bytes/20 // timestamps may be off
		if segments == 0 || wire < least || !end && wire > most {
			t.Errorf("%d segments, %d bytes with headers, %d without", segments, wire, bytes)
		}
	}
	f(n.WireSent, n.BytesSent, n.SegmentsSent)
	f(n.WireReceived, n.BytesReceived, n.SegmentsReceived)
}

// TestRunAddsUp proves that with a tracker that does everything right every count adds up, in each kind of load.
func TestRunAddsUp(t *testing.T) {
	f := func(name string, tracker *tracker, secure bool, change func(*Config)) Result {
		t.Helper()
		cfg := quick(t, tracker.start(t, secure))
		change(&cfg)
		r := drive(t, cfg)
		addUp(t, name, r)
		return r
	}
	plain := f("open loop", &tracker{}, false, func(*Config) {})
	weighed(t, &plain.Counts, false)
	f("other forms", &tracker{escapes: true, fragments: true}, false, func(*Config) {})
	f("closed loop", &tracker{}, false, func(c *Config) { c.Loop, c.InFlight, c.Connections = "closed", 3, 20 })
	f("replies to answers", &tracker{answerReplies: true}, false, func(c *Config) {
		c.AnswerReplies, c.PerConnection = true, 2
	})
	f("once", &tracker{}, false, func(c *Config) { c.OnlyOnce, c.PerConnection = true, 3 })
	f("tail", &tracker{}, false, func(c *Config) { c.Placement, c.MeanPeers = "tail", 5 })
	if r := f("scrapes", &tracker{}, false, func(c *Config) { c.Scrapes = 0.5 }); r.Counts.Scrapes < r.Counts.Announces/2 ||
		r.Counts.ScrapeReplies != r.Counts.Scrapes {
		t.Errorf("%d scrapes, %d replies", r.Counts.Scrapes, r.Counts.ScrapeReplies)
	}
	f("descriptions of a browser", &tracker{}, false, func(c *Config) { c.SDP = sdpBrowser })
	compress := func(c *Config) { c.Compression = true }
	for _, r := range []Result{
		f("compression", &tracker{deflates: true}, false, compress),
		f("compression over TLS in other forms", &tracker{deflates: true, escapes: true, fragments: true}, true, compress),
		f("compression of each message alone", &tracker{deflates: true, alone: true}, false, compress),
		f("such compression, asked for", &tracker{deflates: true, alone: true}, false, func(c *Config) {
			c.Compression, c.Alone = true, true
		}),
	} {
		if n := &r.Counts; n.Agreed != n.Connected || n.Expanded == 0 || n.BytesSent >= n.PayloadSent ||
			n.BytesReceived >= n.PayloadReceived {
			t.Errorf("%d of %d connections compress: %+v", n.Agreed, n.Connected, n)
		}
		// On a busy machine no cycle ends within the measurement, so this is of the whole run.
		if b := r.Counts.traffic(); b.Sent <= 0 || b.Sent >= b.PayloadSent || b.Received <= 0 || b.Received >= b.PayloadReceived {
			t.Errorf("bytes per cycle: %+v", b)
		}
	}
	if r := f("compression is declined", &tracker{}, false, compress); r.Counts.Agreed != 0 || r.Counts.Expanded != 0 ||
		!strings.Contains(fmt.Sprint(r.Remarks), "the tracker declined compression on 60 of 60 connections") {
		t.Errorf("%d of %d connections compress", r.Counts.Agreed, r.Counts.Connected)
	}
	r := f("TLS", &tracker{}, true, func(*Config) {})
	if r.Counts.HandshakesFull != 60 || r.Counts.HandshakesResumed != 0 {
		t.Errorf("%d full handshakes, %d resumed", r.Counts.HandshakesFull, r.Counts.HandshakesResumed)
	}
	if n := &r.During; n.Replies > 0 && r.Latency.Reply.Count == 0 || n.AnswersReceived > 0 && r.Latency.Answer.Count == 0 ||
		r.Latency.Handshake.Count != 60 {
		t.Errorf("latencies: %+v", r.Latency)
	}
}

// TestLocalShare proves that the result has the share of the run's own requests that stayed on the connection's shard:
// the tracker's earlier requests do not count, and the share stands beside the figures of the process.
func TestLocalShare(t *testing.T) {
	reads := 0
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reads++
		fmt.Fprintf(w, "millrace_requests_by_owner_total{owner=%q} %d\n", "own_shard", 1000+(reads-1)*300)
		fmt.Fprintf(w, "millrace_requests_by_owner_total{owner=%q} %d\n", "other_shard", 1000+(reads-1)*100)
	}))
	defer pages.Close()
	cfg := quick(t, (&tracker{}).start(t, false))
	cfg.MetricsURL, cfg.ServerPID = pages.URL, PIDs{os.Getpid()}
	if r := drive(t, cfg); reads != 2 || r.Server.LocalShare != 0.75 || r.Server.PID != os.Getpid() {
		t.Errorf("%d reads, local share %v, want 0.75: %+v", reads, r.Server.LocalShare, r.Server)
	}
}

// TestRunWithComingAndGoing proves that connections that leave and come back do not make offers or answers missing:
// everything that the tracker relays before its close frame is read, and every client that leaves announces its stop.
func TestRunWithComingAndGoing(t *testing.T) {
	tracker := &tracker{}
	cfg := quick(t, tracker.start(t, false))
	cfg.Life = 0.3
	r := drive(t, cfg)
	tracker.mu.Lock()
	defer tracker.mu.Unlock()
	if back := r.Counts.Connected - uint64(cfg.Connections); uint64(tracker.stopped) < back {
		t.Errorf("%d clients came back, but only %d said that they stop", back, tracker.stopped)
	}
	weighed(t, &r.Counts, true)
	if len(r.Problems) > 0 || r.Counts.Connected < 100 || r.Counts.Disconnected > 0 {
		t.Errorf("%+v\n%q", r.Counts, r.Problems)
	}
}

// TestStorm proves that all connections come back after a storm, over TLS with the sessions that the storm asks for.
func TestStorm(t *testing.T) {
	cfg := quick(t, (&tracker{}).start(t, true))
	cfg.Interval, cfg.Duration = 0.5, 4
	cfg.Storms = []Storm{{At: 0.5, Resume: false}, {At: 2, Resume: true}}
	r := drive(t, cfg)
	if n := &r.Counts; len(r.Problems) > 0 || n.HandshakesFull != 120 || n.HandshakesResumed != 60 || n.Connected != 180 {
		t.Errorf("%+v\n%q", r.Counts, r.Problems)
	}
}

// TestSlowClients proves that clients that hardly read do not make the counts wrong.
func TestSlowClients(t *testing.T) {
	cfg := quick(t, (&tracker{}).start(t, false))
	cfg.SlowShare = 0.1
	r := drive(t, cfg)
	if len(r.Problems) > 0 || r.Counts.OffersGone == 0 || r.Counts.Connected != 60 {
		t.Errorf("%+v\n%q", r.Counts, r.Problems)
	}
}

// TestRunFails proves that a tracker's mistakes, drops and refusals are reported in a sentence.
func TestRunFails(t *testing.T) {
	f := func(tracker *tracker, want ...string) {
		t.Helper()
		cfg := quick(t, tracker.start(t, false))
		cfg.Drain = 3
		r := drive(t, cfg)
		all := strings.Join(r.Problems, "\n")
		for _, sentence := range want {
			if !strings.Contains(all, sentence) {
				t.Errorf("%+v: no %q in %q", tracker, sentence, r.Problems)
			}
		}
		if len(r.Problems) == 0 {
			t.Errorf("no problems: %+v", r.Counts)
		}
	}
	f(&tracker{drop: 1000}, "neither received nor reported as dropped")
	f(&tracker{twice: 1000}, "relayed messages came more than once")
	f(&tracker{refuse: 100}, "refused by the tracker")
	f(&tracker{hangUp: 200}, "closed by the tracker")
	f(&tracker{answerReplies: true}, "set answer_replies = true")
}

// TestNoTracker proves that a run ends at once and with a sentence where nobody listens, and that a load that is wrong does not
// run.
func TestNoTracker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cfg := quick(t, "ws://"+address)
	cfg.Connections, cfg.Duration = 2, 3600
	r := drive(t, cfg)
	if all := fmt.Sprint(r.Problems); r.OK() || !strings.Contains(all, "connections could not be opened") ||
		!strings.Contains(all, "is the tracker there") {
		t.Errorf("the problems are %v", all)
	}
	cfg.Loop = "round"
	if _, err := Run(t.Context(), cfg, nil); err == nil {
		t.Error("a load that is wrong runs")
	}
}

// TestRunEndsEarly proves that a run which is told to end does so with the figures up to then.
func TestRunEndsEarly(t *testing.T) {
	cfg := quick(t, (&tracker{}).start(t, false))
	cfg.Duration = 3600
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	r, err := Run(ctx, cfg, func(p Progress) {
		if seen++; p.Phase == PhaseMeasure && p.Counts.AnswersReceived > 0 {
			cancel()
		}
	})
	if err != nil || r.Counts.AnswersReceived == 0 || seen == 0 || len(r.Remarks) == 0 {
		t.Errorf("%+v, %v, %v", r.Counts, r.Remarks, err)
	}
}
