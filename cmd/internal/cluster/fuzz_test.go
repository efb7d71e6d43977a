package cluster

import (
	"math/rand/v2"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/bustest"
	"millrace/cmd/internal/cluster/pack"
	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file proves that nothing that comes from the bus or from a shard makes a core fail, or grow beyond its bounds.

// FuzzCore gives a core bytes as a message, as the sealed records of another node to it and to all, and as mail of a shard.
func FuzzCore(f *testing.F) {
	add := func(kind record.Kind, r fields) { f.Add(r.Append(record.AppendFrame(nil, kind, r.Size()))) }
	key := swarm.Key{Hash: swarm.ID{1}, Family: 4}
	relay := sample(key, 2, 10)
	add(record.KindHello, &record.Hello{Node: "c", Least: 1, Most: 1})
	add(record.KindHello, &record.Hello{Node: "a", Least: 1, Most: 1, Age: 1 << 60})
	add(record.KindPresence, &record.Presence{Key: key, Counts: peers(1, 1), First: true})
	add(record.KindOthers, &record.Others{Key: key, Nodes: []record.Elsewhere{{Counts: peers(1, 1)}}})
	add(record.KindRelay, &relay)
	add(record.KindAnswer, &record.Answer{SDP: []byte(`""`)})
	add(record.KindAsk, &record.Ask{Hashes: []swarm.ID{{1}, {2}}})
	add(record.KindTold, &record.Told{Number: 1, Files: []record.File{{}}})
	add(record.KindArrived, &record.Arrived{Key: key, Onward: true})
	arrived := record.Arrived{Key: key, Onward: true}
	add(record.KindPacked, raw(pack.Append(nil, arrived.Append(record.AppendFrame(nil, record.KindArrived, arrived.Size())))))
	mail := func(kind record.MailKind, r fields) { f.Add(r.Append([]byte{byte(kind)})) }
	mail(record.MailPresence, &record.Presence{Key: key, Counts: peers(1, 1)})
	mail(record.MailSeek, &record.Seek{Presence: record.Presence{Key: key, Counts: peers(1, 1)}, Relay: relay})
	mail(record.MailRelay, &record.Routed{Node: 1, Relay: relay})
	mail(record.MailAnswer, &record.Answering{Node: 1})
	mail(record.MailScrape, &record.Scrape{Hashes: []swarm.ID{{1}, {2}}, Kept: []byte("kept")})
	mail(record.MailArrived, &record.Arrived{Key: key})
	f.Fuzz(func(t *testing.T, b []byte) {
		rng := rand.New(rand.NewPCG(1, 1))
		w := &simWorld{rng: rng, bus: bustest.New[*simNode](rng), tight: true}
		n := w.start("a", 2)
		other, err := New(n.core.o)
		if err != nil {
			t.Fatal(err)
		}
		other.o.Node = "b"
		other.at(0)
		send := func(subject string, to record.Incarnation, records []byte) {
			n.core.FromBus(w.now, subject, other.seal.close(subject, to, records))
		}
		h := record.Hello{Node: "b", Least: 1, Most: 1}
		send(n.core.all, record.Incarnation{}, h.Append(record.AppendFrame(nil, record.KindHello, h.Size())))
		if len(n.core.Nodes()) != 1 {
			t.Fatal("the other node is not live")
		}
		for range 3 {
			n.core.FromBus(w.now, n.core.all, b)
			n.core.FromBus(w.now, n.core.here, b)
			send(n.core.here, n.core.seal.from, b)
			send(n.core.all, record.Incarnation{}, b)
			n.core.FromShard(w.now, 1, b)
			n.core.Tick(w.now)
			n.core.Flush(w.now)
			w.problems = nil
			if n.checkBounds(); len(w.problems) > 1 || len(w.problems) == 1 && !n.malformed() {
				t.Error(w.problems)
			}
			w.now += 2 * time.Second
		}
		for _, s := range n.shards {
			for _, rec := range s.inbox {
				if !readable(rec) {
					t.Errorf("mail that cannot be read: %x", rec)
				}
			}
		}
	})
}

// readable reports whether a piece of mail to a shard can be read.
func readable(rec []byte) bool {
	all := map[record.MailKind]interface{ Read([]byte) bool }{
		record.MailNodes: &record.Nodes{}, record.MailOthers: &record.Known{}, record.MailVisit: &record.Routed{},
		record.MailAnswered: &record.Answer{}, record.MailTold: &record.Scraped{}, record.MailArrived: &record.Arrived{},
		record.MailResend: &record.Resend{},
	}
	r := all[record.MailKind(rec[0])]
	return r != nil && r.Read(rec[1:])
}
