package server

import (
	"fmt"
	"slices"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/human"
	"millrace/cmd/internal/shard"
)

// This file says what is wrong with the tracker, from plain data. Each problem has an alert of its own in
// config/deploy/prometheus/millrace.rules.yml, with the same bounds.

// facts are what problems are found in.
type facts struct {
	status       *ctl.Status
	before, now  *moment // some minutes ago, and now
	pressure     shard.Pressure
	ticketKeyAge time.Duration      // 0: there is none
	failed       []ctl.ReloadedFile // files of which the last version could not be read
}

// problem is something that is wrong.
type problem struct {
	key  string // names it in the log, where it is logged as it comes and goes; empty: other lines are about it
	text string // a sentence, with the remedy
}

// The bounds at which problems begin.
const (
	nearBound   = 0.9  // of connections, peers, memory and CPU
	nearFiles   = 0.95 // of descriptors
	lateReply   = 250 * time.Millisecond
	fewLate     = 0.01 // of replies
	fewDropped  = 0.01 // of frames
	manyRefused = 10   // connections a second, of addresses that have enough
	manyBanned  = 100
	soonExpired = 7 * 24 * time.Hour
	oldKey      = 48 * time.Hour
	stoodStill  = 5                // seconds
	leastTried  = 10 * time.Second // after the start: its work is no sign of load
)

// problems returns each thing that is wrong.
func (f *facts) problems(now time.Time) []problem {
	all := slices.Concat(f.loops(), f.bounds(), f.certificates(now), f.traffic())
	for _, r := range f.failed {
		all = append(all, problem{"", fmt.Sprintf("%s could not be read again, and the previous version is in force: %s", r.Key, r.Error)})
	}
	return all
}

func (f *facts) loops() (all []problem) {
	add := func(key, format string, args ...any) { all = append(all, problem{key, fmt.Sprintf(format, args...)}) }
	for k, s := range f.status.Shards {
		if s.Silent >= stoodStill {
			add(fmt.Sprintf("shard %d", k), "shard %d stands still for %s, and its clients hear nothing: end the tracker with SIGQUIT, "+
				"which writes its stacks to the log, and start it again", k, human.Span(s.Silent))
		}
	}
	if c := f.status.Cluster; c != nil && c.Problem != "" {
		add("the cluster", "%s", c.Problem)
	}
	if f.now.at-f.before.at < leastTried {
		return all
	}
	for k := range f.status.Shards {
		if need := cpu(f.before, f.now, k); need > nearBound {
			add(fmt.Sprintf("CPU of shard %d", k), "shard %d needs %.0f %% of its CPU: look with `millrace ctl top` for the address or "+
				"torrent that makes the load", k, 100*need)
		}
	}
	if share := late(f.before, f.now, lateReply); share > fewLate {
		add("late replies", "%.0f %% of the announces waited more than %v for their reply: other programs may use the CPUs", 100*share,
			lateReply)
	}
	return all
}

func (f *facts) bounds() (all []problem) {
	near := func(what string, have, most int, share float64, remedy string) {
		if most > 0 && float64(have) > share*float64(most) {
			all = append(all, problem{what, fmt.Sprintf("%d of %d %s are in use: %s", have, most, what, remedy)})
		}
	}
	s := f.status
	near("connections", s.Clients, s.MostClients, nearBound, "raise LimitNOFILE of the unit and network.max_connections, and restart")
	near("peers", s.Peers, s.MostPeers, nearBound, "raise limits.max_peers and reload")
	near("descriptors", s.Descriptors, s.MostDescr, nearFiles, "raise LimitNOFILE of the unit, and restart")
	switch {
	case f.pressure >= shard.PressureConns:
		all = append(all, problem{"", "memory is used up, and no new peers or connections are taken in: raise limits.memory_limit, or lower limits.max_peers"})
	case f.pressure > 0:
		all = append(all, problem{"", "memory is used up, and no new peers are taken in: raise limits.memory_limit, or lower limits.max_peers"})
	case s.MemoryLimit > 0 && float64(s.Memory) > nearBound*float64(s.MemoryLimit):
		all = append(all, problem{"memory", fmt.Sprintf("%s of %s of memory are in use: raise limits.memory_limit, or lower limits.max_peers",
			human.Bytes(float64(s.Memory)), human.Bytes(float64(s.MemoryLimit)))})
	}
	return all
}

func (f *facts) certificates(now time.Time) (all []problem) {
	add := func(key, format string, args ...any) { all = append(all, problem{key, fmt.Sprintf(format, args...)}) }
	for _, c := range f.status.Certificates {
		switch left := c.NotAfter.Sub(now); {
		case c.NotAfter.IsZero():
			add("", "there is no certificate for %s, and clients of wss cannot connect: the log says why", c.Name)
		case left <= 0:
			add("certificate of "+c.Name, "the certificate of %s has expired, and clients of wss cannot connect", c.Name)
		case left < soonExpired:
			add("certificate of "+c.Name, "the certificate of %s expires in %s: renew it", c.Name, human.Span(left.Seconds()))
		}
		if c.Trouble != "" {
			add("", "the certificate of %s cannot be renewed: %s", c.Name, c.Trouble)
		}
	}
	if f.ticketKeyAge > oldKey {
		add("", "the key of session tickets is %s old: the log says why network.tls_ticket_keys_path cannot be written",
			human.Span(f.ticketKeyAge.Seconds()))
	}
	return all
}

// traffic finds trouble that was counted in the last minutes.
func (f *facts) traffic() (all []problem) {
	a, b := &f.before.total, &f.now.total
	grown := func(from, to uint64, format string, args ...any) {
		if to > from {
			all = append(all, problem{"", fmt.Sprintf(format, append([]any{to - from}, args...)...)})
		}
	}
	grown(a.Door.AcceptFailed, b.Door.AcceptFailed, "%d connections of the last minutes could not be accepted: %s", b.Door.LastAcceptError.Error())
	grown(a.Door.Refused, b.Door.Refused, "%d connections of the last minutes were refused because a shard is full: raise LimitNOFILE of the "+
		"unit and network.max_connections, and restart")
	grown(sum(a.Messages.Overloaded[:]), sum(b.Messages.Overloaded[:]), "%d requests of the last minutes failed because a mailbox between two "+
		"shards was full: raise io_uring.mailbox_size, and restart")
	grown(f.before.logLost, f.now.logLost, "%d lines of the log of the last minutes were dropped: its reader stands still or is too slow")
	sent, dropped := framesSent(b)-framesSent(a), framesDropped(b)-framesDropped(a)
	if share := float64(dropped) / float64(max(sent+dropped, 1)); share > fewDropped {
		all = append(all, problem{"dropped frames", fmt.Sprintf("%.0f %% of the frames of the last minutes were dropped: clients are slow, or "+
			"io_uring.send_memory is too small", 100*share)})
	}
	seconds := max((f.now.at - f.before.at).Seconds(), 1)
	if rate := float64(f.now.refused-f.before.refused) / seconds; rate > manyRefused || f.status.Banned > manyBanned {
		all = append(all, problem{"addresses", fmt.Sprintf("addresses that open too many connections press on the tracker (%.0f refused a "+
			"second, %d banned): a firewall saves the work", rate, f.status.Banned)})
	}
	return all
}

func framesSent(t *shard.Stats) (n uint64) {
	for v := range t.Outbox.ByIP {
		n += sum(t.Outbox.ByIP[v].FramesOut[:])
	}
	return n
}

func framesDropped(t *shard.Stats) uint64 {
	o := &t.Outbox
	return sum(o.DroppedFull[:]) + sum(o.DroppedMemory[:]) + sum(o.DroppedGone[:]) + sum(t.Messages.DroppedMail[:])
}
