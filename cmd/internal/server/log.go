package server

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"millrace/cmd/internal/page"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/conn"
)

// This file owns the log lines of the tracker as a whole: the choices at the start, the sums at the end, and warnings
// at a bounded rate between.

// kernelRelease returns the running kernel's release, for the start log. A new root directory may not have the file.
func kernelRelease() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// heldHandler keeps log records until the tracker has started.
type heldHandler struct {
	slog.Handler
	mu       sync.Mutex
	records  []slog.Record
	released bool
}

// Handle keeps a record, or passes it on after release.
func (h *heldHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return h.Handler.Handle(ctx, r)
	}
	h.records = append(h.records, r.Clone())
	return nil
}

// release passes on the records that were kept, and all later ones at once.
func (h *heldHandler) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.records {
		_ = h.Handler.Handle(context.Background(), r)
	}
	h.records, h.released = nil, true
}

// LogStart logs the version, the choices that were made for this machine, and last the address. Why a kernel feature is
// used or not is for debugging, unless the kernel lacks one that would be used.
func (s *Server) LogStart() {
	set := &s.setup
	s.held.release()
	s.log.Info("millrace", "version", s.process.Version, "go", runtime.Version(), "kernel", set.kernel)
	if s.user.active {
		s.log.Info("privileges dropped", "uid", s.user.uid, "gid", s.user.gid, "root", s.user.root)
	}
	s.logFeatures()
	limit := slog.String("locked_limit", "unlimited")
	if !set.memlockFree {
		limit = slog.Uint64("locked_limit", set.memlock)
	}
	s.log.Info("shards", "count", set.shards, "cpus", set.cpus, "max_connections", set.connsPerShard*set.shards,
		"locked_bytes", set.locked, limit)
	if set.memory > 0 {
		s.log.Info("memory", "limit_bytes", set.memory)
	}
	s.admin.logStart(s.log)
	s.control.logStart(s.log)
	for _, l := range s.listening {
		if l != nil {
			s.log.Info("listening", "url", l.url())
		}
	}
}

// logFeatures logs which kernel features are used.
func (s *Server) logFeatures() {
	var used, unused []string
	for k, c := range s.setup.plan.Choices {
		s.log.Debug("kernel feature", "name", c.Name, "used", c.On, "why", c.Why)
		if c.On {
			used = append(used, c.Name)
			continue
		}
		unused = append(unused, c.Name)
		if s.setup.ideal.Choices[k].On {
			s.log.Info("kernel feature cannot be used", "name", c.Name, "why", c.Why)
		}
	}
	s.log.Info("kernel features", "used", strings.Join(used, ","), "not_used", strings.Join(unused, ","))
}

// LogEnd logs the sums of the tracker's life.
func (s *Server) LogEnd() {
	total := s.total()
	s.log.Info("stopped",
		"uptime", time.Since(s.start).Round(time.Second).String(),
		"connections", total.Door.Accepted,
		"announces", sum(total.Messages.Announces[:]),
		"answers", sum(total.Messages.Answers[:]),
		"bytes_in", total.Messages.BytesIn,
		"bytes_out", total.Outbox.BytesOut)
}

// total adds up the figures that the shards have published last.
func (s *Server) total() shard.Stats {
	var total shard.Stats
	for _, c := range s.controls {
		last := c.Last()
		total.Add(&last.Shard)
	}
	return total
}

func sum(counters []uint64) uint64 {
	n := uint64(0)
	for _, c := range counters {
		n += c
	}
	return n
}

// watchPeriod is how often trouble is looked for, and so the highest rate at which one kind of it is logged.
const watchPeriod = 5 * time.Second

// watch reads changed files again, and logs trouble that the loops have only counted.
func (s *Server) watch() {
	ticker := time.NewTicker(watchPeriod)
	defer ticker.Stop()
	before := s.total()
	for {
		select {
		case <-s.over:
			return
		case <-s.reloads:
			s.reloadAsked()
			continue
		case <-s.pages.asked:
			s.makePages()
			continue
		case <-s.tls.renewals():
			s.takeCertificates()
			continue
		case <-ticker.C:
		}
		s.reloadChanged()
		s.tls.rotate(s.log)
		now := s.total()
		s.logTrouble(&before, &now)
		before = now
		sample := sampleOf(&now)
		sample.Names = page.MostUsed(s.peersByClient())
		s.pages.hour.Add(sample)
		s.makePages()
		s.recent.add(s.moment())
		s.logDrain()
		s.logProblems()
	}
}

// logTrouble logs the counters of trouble that have grown between two moments.
func (s *Server) logTrouble(before, now *shard.Stats) {
	ctx := context.Background()
	f := func(grown uint64, level slog.Level, text string, args ...any) {
		if grown > 0 {
			s.log.Log(ctx, level, text, append([]any{"count", grown}, args...)...)
		}
	}
	strangers, reasons := uint64(0), []any{}
	for why := conn.ReasonNone; why < conn.Reasons; why++ {
		grown, last := now.Table.Closed[why]-before.Table.Closed[why], now.Table.LastClient[why].String()
		switch {
		case why.Stranger() && grown > 0:
			strangers += grown
			reasons = append(reasons, why.String(), grown, "last_"+why.String(), last)
		case why.Abusive():
			f(grown, slog.LevelInfo, "closed connections of misbehaving clients", "reason", why.String(), "last_client", last)
		}
	}
	f(strangers, slog.LevelDebug, "closed connections that never became a client's, as probes of ports do", reasons...)
	f(now.Door.AcceptFailed-before.Door.AcceptFailed, slog.LevelError,
		"cannot accept connections; raise the limit of file descriptors (LimitNOFILE=) if the error is EMFILE",
		"error", now.Door.LastAcceptError.Error())
	f(now.Door.Refused-before.Door.Refused, slog.LevelWarn, "refused connections: network.max_connections is reached")
	f(now.Inbox.AssemblyFull-before.Inbox.AssemblyFull, slog.LevelWarn,
		"closed connections: partial messages use up io_uring.assembly_memory")
	f(now.Door.BadProxyHeaders-before.Door.BadProxyHeaders, slog.LevelWarn,
		"closed connections from network.trusted_proxies: they did not begin with a header of the PROXY protocol")
	f(now.Outbox.SealFailed-before.Outbox.SealFailed+sum(now.Outbox.DroppedMemory[:])-sum(before.Outbox.DroppedMemory[:]), slog.LevelWarn,
		"dropped frames: io_uring.send_memory is used up")
	f(sum(now.Messages.DroppedMail[:])-sum(before.Messages.DroppedMail[:]), slog.LevelWarn,
		"dropped frames: a mailbox between two shards was full (io_uring.mailbox_size)")
	f(sum(now.Messages.Overloaded[:])-sum(before.Messages.Overloaded[:]), slog.LevelWarn,
		"refused requests: a mailbox between two shards was full (io_uring.mailbox_size)")
}
