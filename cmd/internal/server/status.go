package server

import (
	"os"
	"runtime"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/shard"
)

// This file says how the tracker is.

// status returns the state of this moment. Any goroutine may ask.
func (s *Server) status() ctl.Status {
	out, _ := s.judge()
	return out
}

// judge returns the state of this moment and the problems in it.
func (s *Server) judge() (ctl.Status, []problem) {
	now := s.moment()
	before, last := s.recent.before(now.at)
	t, c := &now.total, s.config.Load()
	out := ctl.Status{
		Version: s.process.Version, Go: runtime.Version(), Kernel: s.setup.kernel, PID: os.Getpid(),
		Started: s.start, Uptime: time.Since(s.start).Seconds(), Configuration: s.process.File,
		ReadAt: time.Unix(s.reloadCounts.at.Load(), 0), Listening: *s.urls.Load(),
		Clients: t.Table.ByIP[0].Open + t.Table.ByIP[1].Open, ClientsIPv4: t.Table.ByIP[0].Open, ClientsIPv6: t.Table.ByIP[1].Open,
		MostClients: s.setup.connsPerShard * s.setup.shards,
		Peers:       t.Torrents.Swarm.Peers, Seeders: t.Torrents.Swarm.Seeders, MostPeers: c.Limits.MaxPeers, Torrents: t.Torrents.Swarm.Torrents,
		Rates: rates(&last, &now), Memory: s.memory.resident.Load(), MemoryLimit: s.memory.limit.Load(),
		Descriptors: openDescriptors(), MostDescr: int(s.setup.files),
		Shards: s.shardStates(&last, &now), Certificates: s.certificates(), Cluster: s.bridge.status(), Drain: s.draining(),
		UnderWay: s.underWay(), Problems: []string{},
	}
	if s.addresses != nil {
		out.Banned = s.addresses.Banned(now.at)
	}
	facts := facts{
		status: &out, before: &before, now: &now, pressure: shard.Pressure(s.memory.level.Load()),
		failed: s.reloadCounts.failing(),
	}
	if s.tls != nil {
		facts.ticketKeyAge = time.Since(s.tls.certificates.TicketKeyMade())
	}
	problems := facts.problems(time.Now())
	for _, p := range problems {
		out.Problems = append(out.Problems, p.text)
	}
	return out, problems
}

// shardStates returns the state of each loop.
func (s *Server) shardStates(before, now *moment) (all []ctl.Shard) {
	for k, c := range s.controls {
		last := c.Last()
		t := &last.Shard
		all = append(all, ctl.Shard{
			Clients: t.Table.ByIP[0].Open + t.Table.ByIP[1].Open, Peers: t.Torrents.Swarm.Peers, Torrents: t.Torrents.Swarm.Torrents,
			CPU: cpu(before, now, k), LongestTurn: last.Loop.Longest.Seconds(), Silent: max(s.silent(c), 0).Seconds(),
		})
	}
	return all
}

// certificates returns the certificates in use.
func (s *Server) certificates() []ctl.Certificate {
	all := []ctl.Certificate{}
	if s.tls == nil {
		return all
	}
	m := s.tls.acme.Load()
	if m == nil {
		loaded, _ := s.tls.certificates.Current()
		return append(all, ctl.Certificate{Name: s.config.Load().Network.TLSCertificatePath, NotAfter: loaded.NotAfter()})
	}
	for _, st := range m.Statuses() {
		c := ctl.Certificate{Name: st.Domain, NotAfter: st.NotAfter}
		if st.Err != "" {
			c.Trouble = "the last try failed at " + st.FailedAt.UTC().Format(time.RFC3339) + ": " + st.Err
		}
		all = append(all, c)
	}
	return all
}

// logProblems logs the problems that have come and gone since the last call, of the kinds that have no other line.
func (s *Server) logProblems() {
	_, found := s.judge()
	now := make(map[string]bool)
	for _, p := range found {
		if p.key == "" {
			continue
		}
		now[p.key] = true
		if !s.known[p.key] {
			s.log.Warn(p.text)
		}
	}
	for key := range s.known {
		if !now[key] {
			s.log.Info("a problem is over", "which", key)
		}
	}
	s.known = now
}
