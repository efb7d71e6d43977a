package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/torrents"
	"millrace/cmd/internal/stats"
	"millrace/config"
	"millrace/ring"
	"millrace/wsproto"
)

// This file owns the page of the shards' figures for Prometheus. The loops count in plain integers; a scrape asks each of
// them for a copy, so nothing is shared with the path of a message. Names, types, texts and labels are the tags of the
// structs of figures (see package stats), those of the shards and the few structs here; config/METRICS.md lists them all.

// scrape answers one request.
func (s *Server) scrape(w http.ResponseWriter, r *http.Request, c *config.Metrics) {
	ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
	defer cancel()
	var b bytes.Buffer
	s.writePage(&b, s.Snapshot(ctx), c)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(b.Bytes())
}

// writePage writes the page.
func (s *Server) writePage(b *bytes.Buffer, all []shard.Published, c *config.Metrics) {
	shards, labels := make([]*shardFigures, len(all)), make([]string, len(all))
	for k := range all {
		shards[k], labels[k] = newShardFigures(&all[k], s.clock()), fmt.Sprintf("worker_index=%q", fmt.Sprint(k))
	}
	writeSeries(b, shardSeries, shards, labels)
	if c.PeerClients {
		writeHead(b, clientFamily)
		peerSeries(b, clientFamily.Name, clientFamily.Series[0].Labels[0].Name, all, clientOf)
	}
	if c.PeerIDPrefixes {
		writeHead(b, prefixFamily)
		peerSeries(b, prefixFamily.Name, prefixFamily.Series[0].Labels[0].Name, all,
			func(p torrents.Prefix) string { return fmt.Sprintf("%x", p) })
	}
	process := s.processFigures(len(all))
	s.writeBuild(b)
	writeSeries(b, processSeries, []*processFigures{process}, []string{""})
	if s.addresses != nil {
		figures := s.addressFigures()
		writeSeries(b, addressSeries, []*guard.Stats{&figures}, []string{""})
	}
	if s.tls != nil {
		figures := s.tlsFigures()
		writeSeries(b, tlsSeries, []*tlsFigures{&figures}, []string{""})
	}
	if s.bridge != nil {
		s.bridge.write(b)
	}
	if s.longestSilence() < freshBeat {
		appendRuntime(b)
	}
}

// freshBeat is the silence of a loop up to which the figures of the Go runtime are asked for. That stops the world for a moment,
// which waits for every loop: one that stands still would keep this page, and all others, from being served.
const freshBeat = 3 * time.Second / 2

// metricPrefix begins the names of all our series.
const metricPrefix = "millrace_"

// shardFigures are the figures of one shard, each once with the label of the shard.
type shardFigures struct {
	Compatible [len(conn.Stats{}.ByIP)]compatibleFigures `by:"ip_version"`
	Shard      shard.Stats
	Ring       ring.Stats
	Loop       loopFigures
	Silent     time.Duration `metric:"loop_silent_seconds" merge:"max" help:"Time since the event loop last said that it turns: about a second at most while it does."`
}

// compatibleFigures are series that aquatic_ws has and we derive. An answer is an announce there. Three more have its
// names: active_connections, torrents and peers, which are fields of shard.Stats.
type compatibleFigures struct {
	Requests  [2]uint64            `metric:"requests_total" by:"type=request" help:"Messages received that can be acted on, as aquatic_ws counts them: an answer is an announce."`
	Responses [outbox.Kinds]uint64 `metric:"responses_total" by:"type=response" help:"Messages sent, under the names that aquatic_ws gives them."`
}

// loopFigures are those of shard.LoopStats; the compiler keeps the fields the same.
type loopFigures struct {
	Turns   uint64        `metric:"loop_turns_total" help:"Turns of the event loop."`
	Batched uint64        `metric:"loop_batched_waits_total" help:"Waits of the event loop for several completions at once."`
	Busy    time.Duration `metric:"loop_busy_seconds_total" help:"Time that the event loop was not waiting."`
	Longest time.Duration `metric:"loop_longest_turn_seconds" merge:"max" help:"Longest turn of the event loop in the last second."`
	Needed  time.Duration `metric:"loop_needed_seconds_total" help:"CPU time that the event loop's thread used, or waited for while it was ready. Its rate is near 1 where a shard is at its limit."`
}

// processFigures are those of the whole process.
type processFigures struct {
	Shards          int    `metric:"shards" help:"Shards, each with a thread, a ring and an event loop of its own."`
	MostConnections int    `metric:"connections_limit" help:"Most connections at a time, all shards together."`
	MostPeers       int    `metric:"peers_limit" help:"Most peers at a time, all shards together (limits.max_peers)."`
	Descriptors     int    `metric:"open_descriptors" help:"Open file descriptors; 0 before Linux 6.2, which is the first to count them at once."`
	MostDescriptors int    `metric:"descriptors_limit" help:"Most open file descriptors."`
	Locked          int    `metric:"locked_bytes" help:"Memory that counts against RLIMIT_MEMLOCK."`
	MemoryLimit     int    `metric:"memory_limit_bytes" help:"Limit of the resident memory (limits.memory_limit); 0 if there is none."`
	Resident        int    `metric:"memory_resident_bytes" help:"Resident memory of the process, as it was compared with the limit last."`
	Pressure        int    `metric:"memory_pressure" help:"0: there is enough memory. 1: no more peers are taken in than there are. 2: no more connections either."`
	LogLinesDropped uint64 `metric:"log_lines_dropped_total" help:"Lines of the log that were dropped because its reader stood still or was gone."`

	ReloadsOK       [reloadKinds]uint64 `metric:"reloads_total" label:"result=ok" by:"file=reload" help:"Times that a file was read again while the tracker ran."`
	ReloadsFailed   [reloadKinds]uint64 `metric:"reloads_total" label:"result=failed" by:"file=reload"`
	HandOvers       uint64              `metric:"handovers_total" label:"result=ok" help:"Times that a new process has taken over everything, and that this failed."`
	HandOversFailed uint64              `metric:"handovers_total" label:"result=failed"`
	ReloadedAt      int                 `metric:"configuration_timestamp_seconds" help:"When the configuration in force was read, in Unix time."`
}

// processFigures returns the figures of this moment.
func (s *Server) processFigures(shards int) *processFigures {
	f := &processFigures{
		Shards:          shards,
		MostConnections: s.setup.connsPerShard * s.setup.shards,
		MostPeers:       s.config.Load().Limits.MaxPeers,
		Descriptors:     openDescriptors(),
		MostDescriptors: int(s.setup.files),
		Locked:          int(s.setup.locked),
		MemoryLimit:     int(s.memory.limit.Load()),
		Resident:        int(s.memory.resident.Load()),
		Pressure:        int(s.memory.level.Load()),
		LogLinesDropped: s.process.Lost(),
		ReloadsOK:       s.reloadCounts.read(0),
		ReloadsFailed:   s.reloadCounts.read(1),
		HandOvers:       s.upgrades.done,
		HandOversFailed: s.upgrades.failed.Load(),
		ReloadedAt:      int(s.reloadCounts.at.Load()),
	}
	stats.Add(f, &s.past.Process)
	return f
}

// openDescriptors returns how many descriptors are open.
//
// Linux 6.2, proc(5): «the size of the directory is the number of entries in it».
func openDescriptors() int {
	info, err := os.Stat("/proc/self/fd")
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// buildFamily names the version.
var buildFamily = &stats.Family{
	Name: "build_info", Type: stats.Gauge,
	Help:   "Always 1: the labels name the version of the tracker and of Go, and the kernel.",
	Series: []stats.Series{{Labels: []stats.Label{{Name: "version"}, {Name: "goversion"}, {Name: "kernel"}}}},
}

// writeBuild writes the family buildFamily.
func (s *Server) writeBuild(b *bytes.Buffer) {
	writeHead(b, buildFamily)
	fmt.Fprintf(b, "%s%s{version=%q,goversion=%q,kernel=%q} 1\n", metricPrefix, buildFamily.Name, s.process.Version,
		runtime.Version(), s.setup.kernel)
}

func processTables() stats.Tables {
	return stats.Tables{"reload": reloadNames[:]}
}

// tlsFigures are those of the process where TLS is on.
type tlsFigures struct {
	Expiry     int `metric:"tls_certificate_expiry_timestamp_seconds" help:"When the certificate in use ends, in Unix time; with several, the first of them; 0 if there is none."`
	Generation int `metric:"tls_certificate_generation" help:"Which certificate is in use: 1 is that of the start, each that replaces it is one more."`
	TicketKey  int `metric:"tls_ticket_key_timestamp_seconds" help:"When the key was made that seals session tickets, in Unix time. It is replaced every day."`

	Domains  int    `metric:"acme_domains" help:"Names for which the tracker gets certificates by itself (tls.acme_domains)."`
	Missing  int    `metric:"acme_domains_without_certificate" help:"Such names that have no certificate, or one that has expired."`
	Failing  int    `metric:"acme_domains_failing" help:"Such names for which the last attempt to get a certificate has failed."`
	Obtained uint64 `metric:"acme_certificates_obtained_total" help:"Certificates that were obtained."`
	Failures uint64 `metric:"acme_failures_total" help:"Attempts to get a certificate that have failed."`
}

// figures returns the figures of this moment.
func (t *tlsServer) figures() *tlsFigures {
	loaded, generation := t.certificates.Current()
	f := &tlsFigures{Generation: int(generation), TicketKey: int(t.certificates.TicketKeyMade().Unix())}
	if end := loaded.NotAfter(); !end.IsZero() {
		f.Expiry = int(end.Unix())
	}
	m := t.acme.Load()
	if m == nil {
		return f
	}
	for _, st := range m.Statuses() {
		f.Domains++
		f.Obtained += st.Obtained
		f.Failures += st.Failures
		if st.NotAfter.Before(time.Now()) {
			f.Missing++
		}
		if st.Err != "" {
			f.Failing++
		}
	}
	return f
}

// The lists of the series, in the order of the page.
var (
	shardSeries   = mustList[shardFigures](labelTables())
	processSeries = mustList[processFigures](processTables())
	tlsSeries     = mustList[tlsFigures](nil)
	clusterSeries = mustList[clusterFigures](clusterTables())
	addressSeries = mustList[guard.Stats](guardTables())

	clientFamily = &stats.Family{
		Name: "peer_clients", Type: stats.Gauge,
		Help:   "Peers by client and version, with metrics.peer_clients.",
		Series: []stats.Series{{Labels: []stats.Label{{Name: "client"}}}},
	}
	prefixFamily = &stats.Family{
		Name: "peer_id_prefixes", Type: stats.Gauge,
		Help:   "Peers by the first 8 bytes of their id, with metrics.peer_id_prefixes.",
		Series: []stats.Series{{Labels: []stats.Label{{Name: "prefix_hex"}}}},
	}
)

func mustList[T any](tables stats.Tables) *stats.List[T] {
	list, err := stats.New[T](tables)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return list
}

// guardTables returns the values of the labels of guard.Stats.
func guardTables() stats.Tables {
	verdicts := []string{""}
	for v := guard.Admitted + 1; v < guard.Verdicts; v++ {
		verdicts = append(verdicts, v.String())
	}
	return stats.Tables{"verdict": verdicts}
}

// labelTables returns the values of the labels of shardFigures.
func labelTables() stats.Tables {
	names := map[string]string{
		"announce": "announce", "offer": "offer", "answer": "offer_answer", "scrape": "scrape", "failure": "error",
	}
	t := shard.Tables()
	t["request"] = []string{"announce", "scrape"}
	for _, frame := range t["frame"] {
		t["response"] = append(t["response"], names[frame])
	}
	return t
}

// newShardFigures returns what a shard has published, with the derived figures.
func newShardFigures(p *shard.Published, now time.Duration) *shardFigures {
	f := &shardFigures{Shard: p.Shard, Ring: p.Ring, Loop: loopFigures(p.Loop), Silent: max(now-p.At, 0)}
	for v := range f.Compatible {
		in := &p.Shard.Messages.ByIP[v].MessagesIn
		f.Compatible[v] = compatibleFigures{
			Requests:  [2]uint64{in[wsproto.ActionAnnounce] + in[wsproto.ActionAnswer], in[wsproto.ActionScrape]},
			Responses: p.Shard.Outbox.ByIP[v].FramesOut,
		}
	}
	return f
}

// writeSeries writes the series of several structs, each with a label of its own unless that is "".
func writeSeries[T any](b *bytes.Buffer, list *stats.List[T], all []*T, labels []string) {
	var last *stats.Family
	list.Walk(all, func(f *stats.Family, s *stats.Series, k int, value float64) {
		if f != last {
			writeHead(b, f)
			last = f
		}
		b.WriteString(metricPrefix)
		b.WriteString(f.Name)
		b.WriteString(s.Suffix)
		separator := byte('{')
		for _, l := range s.Labels {
			b.WriteByte(separator)
			b.WriteString(l.Name)
			b.WriteByte('=')
			b.Write(strconv.AppendQuote(b.AvailableBuffer(), l.Value))
			separator = ','
		}
		if labels[k] != "" {
			b.WriteByte(separator)
			b.WriteString(labels[k])
			separator = ','
		}
		if separator == ',' {
			b.WriteByte('}')
		}
		b.WriteByte(' ')
		// A reader makes a float64 of any number. Some only read counters without an exponent.
		b.Write(strconv.AppendFloat(b.AvailableBuffer(), value, 'f', -1, 64))
		b.WriteByte('\n')
	})
}

// writeHead writes the lines that explain a family. The metrics library has them only without a text, and repeats them
// for every series.
func writeHead(b *bytes.Buffer, f *stats.Family) {
	name := metricPrefix + f.Name
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, f.Help, name, f.Type)
}
