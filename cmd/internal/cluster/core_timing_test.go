package cluster

import (
	"math/rand/v2"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file measures how much a relay, a report and the choice of a home cost, from mail to mail.

// sink is a node whose messages and mail are counted and dropped, or handed to another one.
type sink struct {
	*Core
	to *sink
}

func (s *sink) Mail(int, []byte) bool { return true }

func (s *sink) Publish(subject string, msg []byte) bool {
	if s.to != nil {
		s.to.FromBus(time.Hour, subject, msg)
	}
	return true
}

// sinks returns two nodes that know each other.
func sinks(b *testing.B) (x, y *sink) {
	b.Helper()
	make := func(id string, seed uint64) *sink {
		s := new(sink)
		core, err := New(Options{
			Cluster: "c", Node: id, Secret: []byte(rigSecret), Shards: 1, Timeout: time.Second, Refresh: time.Minute,
			Random: simRandom{rand.New(rand.NewPCG(seed, 1))}, Owner: func(*swarm.ID) int { return 0 }, Mail: s, Bus: s,
		})
		if err != nil {
			b.Fatal(err)
		}
		s.Core = core
		return s
	}
	x, y = make("x", 1), make("y", 2)
	x.to, y.to = y, x
	for _, s := range []*sink{x, y} {
		s.Connected(time.Hour, true)
	}
	x.Tick(time.Hour)
	y.Tick(time.Hour)
	if len(x.Nodes()) != 1 || len(y.Nodes()) != 1 {
		b.Fatal("the nodes have not met")
	}
	return x, y
}

// BenchmarkRelay takes a relay of four offers from a shard of one node to a shard of the other.
func BenchmarkRelay(b *testing.B) {
	x, y := sinks(b)
	r := record.Routed{Node: 1, Relay: sample(swarm.Key{Hash: swarm.ID{1}}, 4, 1300)}
	mail := r.Append([]byte{byte(record.MailRelay)})
	b.SetBytes(int64(len(mail)))
	b.ReportAllocs()
	for b.Loop() {
		x.FromShard(time.Hour, 0, mail)
		x.flush(true)
	}
	if y.stats.MailOut[record.MailVisit-record.FirstMail] == 0 {
		b.Fatal("nothing arrives")
	}
}

// BenchmarkReports takes reports of 100,000 torrents of one node to the directory of the other, in batches.
func BenchmarkReports(b *testing.B) {
	x, y := sinks(b)
	x.view.own = 0 // the other one is the home of nearly all
	var p record.Presence
	mail := make([]byte, 0, 100)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		p.Key.Hash = swarm.ID{byte(n), byte(n >> 8), byte(n >> 16 % 2)}
		p.Leechers = uint32(1 + n%5)
		mail = p.Append(append(mail[:0], byte(record.MailPresence)))
		x.FromShard(time.Hour, 0, mail)
		if n%64 == 0 {
			x.flush(true)
			y.flush(true)
		}
	}
}

// BenchmarkHome chooses the home of a torrent among 64 nodes.
func BenchmarkHome(b *testing.B) {
	c, err := newCompass([]byte(rigSecret))
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]string, 64)
	for k := range ids {
		ids[k] = string(rune('a' + k))
	}
	v := viewOf(&c, 0, ids...)
	var hash swarm.ID
	for b.Loop() {
		hash[0]++
		v.home(c.sum(&hash))
	}
}
