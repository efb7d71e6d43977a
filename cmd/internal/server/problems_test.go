package server

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/outbox"
	"millrace/ring"
	"millrace/wsproto"
)

// This file proves what counts as a problem, each with a case that is just none, and the memory of the last minutes.

// TestProblems proves that each thing that is wrong is one sentence, that something nearly wrong is none, and that a tracker
// at work has no problem.
func TestProblems(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	f := func(change func(*facts), want ...string) {
		t.Helper()
		c := facts{
			status: &ctl.Status{
				Clients: 10, MostClients: 1000, Peers: 10, MostPeers: 1000, Descriptors: 20, MostDescr: 1000, Memory: 10, MemoryLimit: 1000,
				Shards: []ctl.Shard{{Silent: 1}}, Certificates: []ctl.Certificate{{Name: "a.example", NotAfter: now.Add(30 * 24 * time.Hour)}},
			},
			before: &moment{needed: []time.Duration{0}},
			now:    &moment{at: 5 * time.Minute, needed: []time.Duration{time.Minute}},
		}
		c.now.total.Outbox.ByIP[0].FramesOut[outbox.Reply] = 1000
		c.now.total.Messages.Replies.Note(time.Millisecond, 1000)
		change(&c)
		got := c.problems(now)
		for k, p := range got {
			if k >= len(want) || !strings.HasPrefix(p.text, want[k]) {
				t.Errorf("got %q, want %q", got, want)
				return
			}
		}
		if len(got) != len(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(func(c *facts) {})
	f(func(c *facts) { c.status.Shards[0].Silent = 4.9 })
	f(func(c *facts) { c.status.Shards[0].Silent = 65 }, "shard 0 stands still for 65 s, and its clients hear nothing")
	f(func(c *facts) { c.now.needed[0] = 269 * time.Second })
	f(func(c *facts) { c.now.needed[0] = 271 * time.Second }, "shard 0 needs 90 % of its CPU")
	f(func(c *facts) { c.now.at, c.now.needed[0] = leastTried, leastTried }, "shard 0 needs 100 % of its CPU")
	f(func(c *facts) { c.status.Cluster = &ctl.Cluster{Problem: "NATS is away"} }, "NATS is away")
	f(func(c *facts) { c.status.Cluster = &ctl.Cluster{Connected: true} })
	f(func(c *facts) { c.status.Cluster, c.now.at = &ctl.Cluster{}, leastTried-1 })
	f(func(c *facts) { // a tracker that has just started
		c.now.at, c.now.needed[0] = leastTried-1, leastTried-1
		c.now.total.Messages.Replies.Note(time.Second, 1000)
	})
	f(func(c *facts) { c.now.total.Messages.Replies.Note(time.Second, 9) })
	f(func(c *facts) { c.now.total.Messages.Replies.Note(time.Second, 30) }, "3 % of the announces waited more than 250ms")
	f(func(c *facts) {
		c.status.Clients, c.status.Peers, c.status.Descriptors, c.status.Memory = 900, 900, 950, 900
	})
	f(func(c *facts) { c.status.Clients = 901 }, "901 of 1000 connections are in use: raise LimitNOFILE")
	f(func(c *facts) { c.status.Peers = 901 }, "901 of 1000 peers are in use: raise limits.max_peers")
	f(func(c *facts) { c.status.Descriptors = 951 }, "951 of 1000 descriptors are in use")
	f(func(c *facts) { c.status.Memory = 901 }, "901 B of 1 kB of memory are in use")
	f(func(c *facts) { c.status.Memory, c.status.MemoryLimit = 901, 0 })
	f(func(c *facts) { c.pressure = shard.PressurePeers }, "memory is used up, and no new peers are taken in")
	f(func(c *facts) { c.pressure = shard.PressureConns }, "memory is used up, and no new peers or connections")
	f(func(c *facts) { c.status.Certificates[0].NotAfter = now.Add(169 * time.Hour) })
	f(func(c *facts) { c.status.Certificates[0].NotAfter = now.Add(167 * time.Hour) }, "the certificate of a.example expires in 7 days: renew it")
	f(func(c *facts) { c.status.Certificates[0].NotAfter = now }, "the certificate of a.example has expired")
	f(func(c *facts) { c.status.Certificates[0] = ctl.Certificate{Name: "b", Trouble: "no"} }, "there is no certificate for b", "the certificate of b cannot be renewed: no")
	f(func(c *facts) { c.ticketKeyAge = 47 * time.Hour })
	f(func(c *facts) { c.ticketKeyAge = 49 * time.Hour }, "the key of session tickets is 2 days old")
	f(func(c *facts) { c.failed = []ctl.ReloadedFile{{Key: "configuration", Error: "line 3"}} },
		"configuration could not be read again, and the previous version is in force: line 3")
	f(func(c *facts) {
		c.now.total.Door.AcceptFailed, c.now.total.Door.LastAcceptError = 3, ring.Errno(syscall.EMFILE)
	}, "3 connections of the last minutes could not be accepted: too many open files")
	f(func(c *facts) { c.now.total.Door.Refused, c.before.total.Door.Refused = 7, 5 }, "2 connections of the last minutes were refused because a shard is full")
	f(func(c *facts) { c.now.total.Messages.Overloaded[wsproto.ActionAnnounce] = 1 }, "1 requests of the last minutes failed because a mailbox")
	f(func(c *facts) { c.now.logLost = 2 }, "2 lines of the log of the last minutes were dropped")
	f(func(c *facts) { c.now.total.Outbox.DroppedFull[outbox.Offer] = 9 })
	f(func(c *facts) { c.now.total.Outbox.DroppedFull[outbox.Offer] = 30 }, "3 % of the frames of the last minutes were dropped")
	f(func(c *facts) { c.now.refused = 3000; c.status.Banned = 100 })
	f(func(c *facts) { c.now.refused = 3600 }, "addresses that open too many connections press on the tracker (12 refused a second, 0 banned)")
	f(func(c *facts) { c.status.Banned = 101 }, "addresses that open too many connections press on the tracker (0 refused a second, 101 banned)")
}

// TestRecent proves that the moments of five minutes are kept, the oldest of them first, and that one which is too close is not
// compared with.
func TestRecent(t *testing.T) {
	var r recent
	if a, b := r.before(0); a.at != 0 || b.at != 0 {
		t.Error("a memory of nothing")
	}
	for k := range 200 {
		r.add(moment{at: time.Duration(k) * watchPeriod})
	}
	f := func(now, want time.Duration) {
		t.Helper()
		a, b := r.before(now)
		if a.at != 199*watchPeriod-5*time.Minute || b.at != want || len(r.all) != recentMoments {
			t.Errorf("at %v: from %v to %v, want %v", now, a.at, b.at, want)
		}
	}
	f(199*watchPeriod+leastSpan, 199*watchPeriod)
	f(199*watchPeriod+leastSpan-1, 198*watchPeriod)
	f(0, 199*watchPeriod-5*time.Minute)
}

// TestRates proves that rates are per second between two moments, and none with too short a time between them.
func TestRates(t *testing.T) {
	from, to := &moment{at: time.Second, needed: []time.Duration{time.Second}}, &moment{at: 3 * time.Second, needed: []time.Duration{2 * time.Second}}
	to.total.Messages.BytesIn, to.total.Outbox.BytesOut = 100, 50
	to.total.Messages.Announces[0] = 8
	if got := fmt.Sprint(rates(from, to), cpu(from, to, 0), cpu(from, to, 1)); got != "{4 0 0 50 25} 0.5 0" {
		t.Error(got)
	}
	from.at = to.at - leastSpan + 1
	if got := fmt.Sprint(rates(from, to), cpu(from, to, 0)); got != "{0 0 0 0 0} 0" {
		t.Error(got)
	}
}
