package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file serves the shards' figures to Prometheus. The loops count in plain integers; a scrape asks each of them for
// a copy, so nothing is shared with the path of a message. The first series are those of aquatic_ws under our prefix.

// metricsTimeout bounds how long a scrape waits for the loops.
const metricsTimeout = 5 * time.Second

// metricsServer answers scrapes until it is closed.
type metricsServer struct {
	http *http.Server
	addr net.Addr
}

// serveMetrics listens on the address of the configuration.
func (s *Server) serveMetrics(c *config.Metrics) (*metricsServer, error) {
	l, err := net.Listen("tcp", c.PrometheusEndpointAddress.String())
	if err != nil {
		return nil, fmt.Errorf("cannot listen on metrics.prometheus_endpoint_address: %w", err)
	}
	m := &metricsServer{addr: l.Addr(), http: &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.scrape(w, r, c) }),
		ReadHeaderTimeout: metricsTimeout,
		WriteTimeout:      4 * metricsTimeout,
		MaxHeaderBytes:    1 << 14,
	}}
	// The library complains through package log at every scrape about files in /proc that it may not read any more, after
	// the privileges are dropped. Nothing else uses that package.
	stdlog.SetOutput(io.Discard)
	go func() {
		if err := m.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the Prometheus endpoint has failed", "error", err)
		}
	}()
	return m, nil
}

// scrape answers one request.
func (s *Server) scrape(w http.ResponseWriter, r *http.Request, c *config.Metrics) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), metricsTimeout)
	defer cancel()
	all, err := s.Snapshot(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	var b bytes.Buffer
	for k := range all {
		page := metricsPage{&b, fmt.Sprintf(`worker_index="%d"`, k)}
		page.aquatic(&all[k].Shard)
		page.connections(&all[k].Shard)
		page.messages(&all[k].Shard)
		page.swarm(&all[k].Shard)
		page.loop(&all[k])
	}
	if c.PeerClients {
		peerSeries(&b, "peer_clients", "client", all, clientOf)
	}
	if c.PeerIDPrefixes {
		peerSeries(&b, "peer_id_prefixes", "prefix_hex", all, func(p shard.Prefix) string { return fmt.Sprintf("%x", p) })
	}
	metrics.WriteGaugeUint64(&b, "millrace_shards", uint64(len(all)))
	metrics.WriteGaugeUint64(&b, "millrace_locked_bytes", s.setup.plan.LockedBytes()*uint64(len(all)))
	if s.tls != nil {
		loaded, generation := s.tls.certificates.Current()
		metrics.WriteGaugeUint64(&b, "millrace_tls_certificate_expiry_timestamp_seconds", uint64(loaded.NotAfter().Unix()))
		metrics.WriteGaugeUint64(&b, "millrace_tls_certificate_generation", uint64(generation))
		metrics.WriteGaugeUint64(&b, "millrace_tls_handshakes_in_flight", uint64(s.tls.pool.InFlight()))
	}
	metrics.WritePrometheus(&b, true)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(b.Bytes())
}

// metricsPage writes the series of one shard.
type metricsPage struct {
	w      io.Writer
	worker string // the label that names the shard
}

// series returns a series name with the shard's label and more, given as name and value by turns.
func (p *metricsPage) series(name string, labels ...string) string {
	all := ""
	for k := 0; k < len(labels); k += 2 {
		all += fmt.Sprintf("%s=%q,", labels[k], labels[k+1])
	}
	return "millrace_" + name + "{" + all + p.worker + "}"
}

func (p *metricsPage) counter(n uint64, name string, labels ...string) {
	metrics.WriteCounterUint64(p.w, p.series(name, labels...), n)
}

func (p *metricsPage) gauge(n int, name string, labels ...string) {
	metrics.WriteGaugeUint64(p.w, p.series(name, labels...), uint64(max(n, 0)))
}

// aquatic writes the series that aquatic_ws has, under our prefix.
func (p *metricsPage) aquatic(st *shard.Stats) {
	responses := map[string]string{
		"announce": "announce", "offer": "offer", "answer": "offer_answer", "scrape": "scrape", "failure": "error",
	}
	for v, ip := range shard.IPNames {
		by := &st.ByIP[v]
		p.gauge(by.Open, "active_connections", "ip_version", ip)
		announces := by.MessagesIn[wsproto.ActionAnnounce] + by.MessagesIn[wsproto.ActionAnswer]
		p.counter(announces, "requests_total", "type", "announce", "ip_version", ip)
		p.counter(by.MessagesIn[wsproto.ActionScrape], "requests_total", "type", "scrape", "ip_version", ip)
		for k, kind := range shard.FrameNames() {
			if name := responses[kind]; name != "" {
				p.counter(by.FramesOut[k], "responses_total", "type", name, "ip_version", ip)
			}
		}
	}
	for k, ip := range shard.FamilyNames {
		p.gauge(st.Families[k].Torrents, "torrents", "ip_version", ip)
		p.gauge(st.Families[k].Peers, "peers", "ip_version", ip)
	}
}

// connections writes how connections come, are and go.
func (p *metricsPage) connections(st *shard.Stats) {
	for k, state := range shard.StateNames() {
		if k > 0 {
			p.gauge(st.Conns[k], "connections", "state", state)
		}
	}
	for why := shard.Reason(1); why < shard.Reasons; why++ {
		p.counter(st.Closed[why], "connections_closed_total", "reason", why.String())
	}
	p.counter(st.Accepted, "connections_accepted_total")
	p.counter(st.Upgraded, "connections_upgraded_total")
	p.counter(st.MovedIn, "connections_moved_total", "direction", "in")
	p.counter(st.MovedOut, "connections_moved_total", "direction", "out")
	p.counter(st.MovesRefused, "connections_not_moved_total", "reason", "no_room")
	p.counter(st.MovesGivenUp, "connections_not_moved_total", "reason", "given_up")
	p.counter(st.MovesLost, "connections_not_moved_total", "reason", "table_full")
	p.counter(st.Refused, "connections_refused_total")
	p.counter(st.TLSFull, "tls_handshakes_total", "result", "full")
	p.counter(st.TLSResumed, "tls_handshakes_total", "result", "resumed")
	p.counter(st.TLSFailed, "tls_handshakes_total", "result", "failed")
	p.gauge(st.TLSMemory, "tls_record_buffer_bytes")
	p.counter(st.AcceptFailed, "accept_failures_total")
	p.counter(st.BadProxyHeaders, "bad_proxy_headers_total")
	for k, status := range shard.RefusalStatuses() {
		name := fmt.Sprint(status)
		if status == 0 {
			name = "other"
		}
		p.counter(st.RefusedByStatus[k], "http_errors_total", "status", name)
	}
}

// messages writes what comes in, what goes out and what is left out.
func (p *metricsPage) messages(st *shard.Stats) {
	p.counter(st.BytesIn, "received_bytes_total")
	p.counter(st.BytesOut, "sent_bytes_total")
	for v, ip := range shard.IPNames {
		by := &st.ByIP[v]
		p.counter(by.MessagesIn[wsproto.ActionAnnounce], "messages_total", "type", "announce", "ip_version", ip)
		p.counter(by.MessagesIn[wsproto.ActionAnswer], "messages_total", "type", "answer", "ip_version", ip)
		p.counter(by.MessagesIn[wsproto.ActionScrape], "messages_total", "type", "scrape", "ip_version", ip)
		for k, kind := range shard.FrameNames() {
			p.counter(by.FramesOut[k], "frames_sent_total", "type", kind, "ip_version", ip)
		}
	}
	for why := wsproto.Reject(1); int(why) < len(st.Rejected); why++ {
		p.counter(st.Rejected[why], "messages_rejected_total", "reason", label(why.String()), "code", fmt.Sprint(int(why)))
	}
	p.counter(st.Overloaded[wsproto.ActionAnnounce], "requests_overloaded_total", "type", "announce")
	p.counter(st.Overloaded[wsproto.ActionAnswer], "requests_overloaded_total", "type", "answer")
	p.counter(st.Overloaded[wsproto.ActionScrape], "requests_overloaded_total", "type", "scrape")
	p.counter(st.ServedHere, "requests_by_owner_total", "owner", "own_shard")
	p.counter(st.ServedElsewhere, "requests_by_owner_total", "owner", "other_shard")
	p.counter(st.BadOffers, "offers_unusable_total")
	p.counter(st.ScrapesForbidden, "scrapes_forbidden_total")
	p.counter(st.PingsIn, "pings_received_total")
	p.counter(st.PongsIn, "pongs_received_total")
	for k, kind := range shard.FrameNames() {
		p.counter(st.DroppedFull[k], "frames_dropped_total", "type", kind, "reason", "slow_consumer")
		p.counter(st.DroppedMemory[k], "frames_dropped_total", "type", kind, "reason", "send_memory")
		p.counter(st.DroppedMail[k], "frames_dropped_total", "type", kind, "reason", "mailbox")
		p.counter(st.DroppedGone[k], "frames_dropped_total", "type", kind, "reason", "gone")
	}
}

// swarm writes what the tables do and hold.
func (p *metricsPage) swarm(st *shard.Stats) {
	for k := range st.Announces {
		p.counter(st.Announces[k], "announces_total", "result", label(swarm.Status(k).String()))
	}
	for k := range st.Answers {
		p.counter(st.Answers[k], "answers_total", "result", label(swarm.AnswerStatus(k).String()))
	}
	t := &st.Swarm
	p.gauge(t.Seeders, "seeders")
	p.gauge(t.Quiet, "quiet_peers")
	p.gauge(t.PendingOffers, "pending_offers")
	p.gauge(t.Bytes, "swarm_bytes")
	p.counter(t.OffersExpired, "offers_expired_total")
	p.counter(t.OffersPushedOut, "offers_pushed_out_total")
	p.counter(t.PeersAgedOut, "peers_aged_out_total")
	p.counter(t.PeersForbidden, "peers_forbidden_total")
}

// loop writes how the event loop and its ring do.
func (p *metricsPage) loop(last *shard.Published) {
	st, r, l := &last.Shard, &last.Ring, &last.Loop
	p.counter(l.Turns, "loop_turns_total")
	p.counter(l.Batched, "loop_batched_waits_total")
	metrics.WriteCounterFloat64(p.w, p.series("loop_busy_seconds_total"), l.Busy.Seconds())
	metrics.WriteGaugeFloat64(p.w, p.series("loop_longest_turn_seconds"), l.Longest.Seconds())
	p.counter(r.Enters, "ring_enters_total")
	p.counter(r.Events, "ring_events_total")
	p.counter(r.Rearms, "ring_rearms_total")
	p.counter(r.NoBuffers, "ring_no_buffers_total")
	p.counter(r.CQOverflows, "ring_overflows_total")
	p.counter(r.StaleCompletions, "ring_stale_completions_total")
	p.counter(r.Vanished, "connections_vanished_total")
	p.gauge(r.BuffersInUse, "receive_buffers_in_use")
	p.gauge(r.Parked, "connections_parked")
	p.counter(st.Sends, "sends_total")
	p.counter(st.ShortSends, "short_sends_total")
	p.counter(st.HeldBack, "held_back_total")
	p.gauge(st.SendMemory, "send_memory_bytes")
	p.gauge(st.AssemblyMemory, "assembly_memory_bytes")
	p.counter(st.AssemblyFull, "assembly_memory_full_total")
	p.counter(st.SealFailed, "tls_send_memory_full_total")
	p.counter(st.MailIn, "mail_received_total")
	p.counter(st.MailOut, "mail_sent_total")
	p.counter(st.Wakes, "mail_wakes_total")
	p.gauge(st.MailDepth, "mail_depth_bytes")
	p.gauge(st.Backlog, "mail_backlog")
	p.gauge(st.GoneWaiting, "ended_connections_waiting")
	p.counter(st.GoneWaited, "ended_connections_waited_total")
}

// label turns a sentence into the value of a label.
func label(text string) string { return strings.ReplaceAll(text, " ", "_") }
