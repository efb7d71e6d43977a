package shard

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/shard/post"
	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file proves what shards say to the bridge to other nodes, and do by its mail. Package cluster has the other side of the bridge, and
// package simulation both together.

// abroadWorld is a world whose bridge is the test.
type abroadWorld struct {
	*world
	boxes post.Boxes
}

func newAbroadWorld(t *testing.T, n int) *abroadWorld {
	wirings, boxes := WireBridge(n, 1<<18, func() {})
	w := newWorldOn(t, wirings, func(o *Options) {
		o.Swarm.Cluster, o.Swarm.MaxRemote, o.Swarm.MaxVisits = true, 100, 100
	})
	a := &abroadWorld{w, boxes}
	nodes := record.Nodes{Live: []uint16{7, 8}}
	for k := range n {
		a.mail(k, record.MailNodes, &nodes)
	}
	return a
}

// mail sends a record of the bridge to a shard, and lets all come to rest.
func (w *abroadWorld) mail(k int, kind record.MailKind, r post.Fields) {
	box := w.boxes.Out[k]
	rec := r.Append([]byte{byte(kind)})
	copy(box.Reserve(len(rec)), rec)
	box.Commit(len(rec))
	box.Publish()
	w.run()
}

// read is what the shards have sent to the bridge, by kind.
type read struct {
	presences []record.Presence
	seeks     []record.Seek
	relays    []record.Routed
	answers   []record.Answering
	scrapes   []record.Scrape
	arrived   []record.Arrived
}

// reader reads a record.
type reader interface{ Read(b []byte) bool }

// take reads all that the shards have sent to the bridge.
func (w *abroadWorld) take() (got read) {
	w.run()
	w.now += time.Second // counts that have changed are told then
	w.run()
	for _, box := range w.boxes.In {
		if box == nil {
			continue
		}
		for rec := box.Next(); rec != nil; rec = box.Next() {
			b := append([]byte(nil), rec...) // it is given back
			into := map[record.MailKind]func() reader{
				record.MailPresence: func() reader { return last(&got.presences) },
				record.MailSeek:     func() reader { return last(&got.seeks) },
				record.MailRelay:    func() reader { return last(&got.relays) },
				record.MailAnswer:   func() reader { return last(&got.answers) },
				record.MailScrape:   func() reader { return last(&got.scrapes) },
				record.MailArrived:  func() reader { return last(&got.arrived) },
			}[record.MailKind(b[0])]()
			if !into.Read(b[1:]) {
				w.t.Errorf("a %v cannot be read", record.MailKind(b[0]))
			}
		}
		box.Release()
	}
	return got
}

// last appends an element and returns it.
func last[T any](list *[]T) *T {
	*list = append(*list, *new(T))
	return &(*list)[len(*list)-1]
}

var abroadKey = swarm.Key{Hash: swarm.ID([]byte(id("hash"))), Family: 4}

// elsewhere are peers on node 7, and seeders on node 8.
func elsewhere(leechers, seeders uint32) *record.Known {
	return &record.Known{Key: abroadKey, Others: []record.Other{
		{Node: 7, Counts: record.Counts{Leechers: leechers, FreshLeechers: leechers}},
		{Node: 8, Counts: record.Counts{Seeders: seeders, FreshSeeders: seeders, Downloaded: 5}},
	}}
}

// TestFirstPeerSeeks proves that the bridge hears at once of the first peer of a torrent, with its offers, which have no receiver here, and
// then of changes and of the end.
func TestFirstPeerSeeks(t *testing.T) {
	w := newAbroadWorld(t, 1)
	c := w.dial(0, "192.0.2.1")
	c.text(announce(id("hash"), id("alice"), 3, nil))
	got := w.take()
	if len(got.seeks) != 1 || len(got.arrived) != 1 || len(got.relays) > 0 {
		t.Fatalf("%+v", got)
	}
	s := &got.seeks[0]
	if s.Presence.Key != abroadKey || s.Presence.Leechers != 1 || !s.Presence.First || len(s.Relay.Offers) != 3 || s.Relay.Seeder ||
		string(s.Relay.Peer[:]) != id("alice") || string(s.Relay.Offers[2].SDP) != `"v=0 alice---------------"` {
		t.Errorf("%+v", s)
	}
	c.text(announce(id("hash"), id("alice"), 3, map[string]any{"left": 0}))
	got = w.take()
	if len(got.seeks) > 0 || len(got.presences) != 1 || got.presences[0].Seeders != 1 || got.presences[0].Leechers != 0 {
		t.Errorf("a peer has become a seeder: %+v", got)
	}
	c.text(announce(id("hash"), id("alice"), 0, map[string]any{"event": "stopped"}))
	if got = w.take(); len(got.presences) != 1 || got.presences[0].Peers() != 0 || got.presences[0].Key != abroadKey {
		t.Errorf("the last peer has left: %+v", got)
	}
}

// TestOffersAbroad proves that replies and scrapes count the peers of other nodes, and that each offer goes to one node or one peer here.
func TestOffersAbroad(t *testing.T) {
	w := newAbroadWorld(t, 1)
	a, b := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2")
	a.text(announce(id("hash"), id("alice"), 0, nil))
	w.take()
	w.mail(0, record.MailOthers, elsewhere(3, 2))
	b.text(announce(id("hash"), id("bob"), 10, nil))
	got := w.take()
	if m := b.messages(); len(m) != 1 || m[0]["complete"] != 2.0 || m[0]["incomplete"] != 5.0 {
		t.Errorf("reply %v", m)
	}
	here, seen := 0, map[string]bool{}
	for _, m := range a.messages() {
		if m["offer"] != nil {
			here++
			seen[m["offer_id"].(string)] = true
		}
	}
	byNode := map[uint16]int{}
	for _, r := range got.relays {
		byNode[r.Node] += len(r.Offers)
		for _, o := range r.Offers {
			seen[string(o.ID[:])] = true
		}
		if r.Key != abroadKey || string(r.Peer[:]) != id("bob") {
			t.Errorf("%+v", r)
		}
	}
	if want := (map[uint16]int{7: 3, 8: 2}); here != 1 || !reflect.DeepEqual(byNode, want) || len(seen) != 6 {
		t.Errorf("%d offers here, %v elsewhere, %d different ones", here, byNode, len(seen))
	}
	b.text(map[string]any{"action": "scrape", "info_hash": id("hash")})
	w.run()
	if m := b.messages(); len(m) != 1 || !reflect.DeepEqual(m[0]["files"], map[string]any{
		id("hash"): map[string]any{"complete": 2.0, "incomplete": 5.0, "downloaded": 5.0}}) {
		t.Errorf("scrape %v", m)
	}
	w.mail(0, record.MailNodes, &record.Nodes{Live: []uint16{8}})
	b.text(announce(id("hash"), id("bob"), 10, nil))
	if got = w.take(); len(got.relays) != 1 || got.relays[0].Node != 8 {
		t.Errorf("a node has gone: %+v", got.relays)
	}
}

// TestVisit proves that offers of another node's peer reach peers here, that the answer goes back to its node, and that it is answered once.
// The torrent may be another shard's.
func TestVisit(t *testing.T) {
	for home := range 2 {
		w := newAbroadWorld(t, 2)
		c := w.dial(home, "192.0.2.1")
		c.text(announce(id("hash"), id("alice"), 0, nil))
		w.take()
		visit := &record.Routed{Node: 7, Relay: record.Relay{
			Key: abroadKey, Peer: swarm.ID([]byte(id("bob"))), From: swarm.Addr{Shard: 3, Index: 4, Gen: 5},
			Offers: []wsproto.Offer{{ID: swarm.ID([]byte(id("one"))), SDP: []byte(`"x"`)}, {ID: swarm.ID([]byte(id("two"))), SDP: []byte(`"y"`)}},
		}}
		w.mail(swarm.Owner(testOptions(0, 2).OwnerSeed, &abroadKey.Hash, 2), record.MailVisit, visit)
		m := c.messages()
		if len(m) != 2 || m[1]["offer_id"] != id("one") || m[1]["peer_id"] != id("bob") {
			t.Fatalf("%v", m)
		}
		c.text(answer(id("alice"), m[1]))
		c.text(answer(id("alice"), m[1]))
		got := w.take()
		if len(got.answers) != 1 {
			t.Fatalf("%d answers", len(got.answers))
		}
		a := got.answers[0]
		if a.Node != 7 || a.To != (swarm.Addr{Shard: 3, Index: 4, Gen: 5}) || string(a.Peer[:]) != id("alice") ||
			string(a.Offer[:]) != id("one") || string(a.SDP) != `"v=0 answer of alice---------------"` {
			t.Errorf("%+v", a)
		}
	}
}

// TestAnsweredAbroad proves that an answer of another node's peer reaches the connection that made the offer, and no later one in its place.
func TestAnsweredAbroad(t *testing.T) {
	w := newAbroadWorld(t, 1)
	c := w.dial(0, "192.0.2.1")
	c.text(announce(id("hash"), id("alice"), 1, nil))
	seek := w.take().seeks[0]
	c.messages()
	r := &record.Answer{To: seek.Relay.From, Hash: abroadKey.Hash, Peer: swarm.ID([]byte(id("bob"))), Offer: seek.Relay.Offers[0].ID, SDP: []byte(`"z"`)}
	w.mail(0, record.MailAnswered, r)
	if m := c.messages(); len(m) != 1 || m[0]["peer_id"] != id("bob") || m[0]["answer"] == nil {
		t.Errorf("%v", m)
	}
	r.To.Gen++
	w.mail(0, record.MailAnswered, r)
	if m := c.messages(); len(m) != 0 {
		t.Errorf("%v", m)
	}
}

// TestScrapeAbroad proves that torrents without peers here are asked for, and that the reply has all torrents in any case.
func TestScrapeAbroad(t *testing.T) {
	w := newAbroadWorld(t, 2)
	c := w.dial(0, "192.0.2.1")
	c.text(announce(id("hash"), id("alice"), 0, nil))
	w.take()
	c.messages()
	c.text(map[string]any{"action": "scrape", "info_hash": []string{id("one"), id("hash"), id("two")}})
	got := w.take()
	if len(got.scrapes) != 1 || len(got.scrapes[0].Hashes) != 2 || len(c.messages()) > 0 {
		t.Fatalf("%+v", got)
	}
	q := got.scrapes[0]
	w.mail(int(q.From.Shard), record.MailTold, &record.Scraped{From: q.From, Kept: q.Kept, Files: []record.File{
		{Hash: swarm.ID([]byte(id("two"))), Seeders: 1, Leechers: 2, Downloaded: 3}}})
	file := func(c, i, d float64) map[string]any {
		return map[string]any{"complete": c, "incomplete": i, "downloaded": d}
	}
	if m := c.messages(); len(m) != 1 || !reflect.DeepEqual(m[0]["files"],
		map[string]any{id("one"): file(0, 0, 0), id("hash"): file(0, 1, 0), id("two"): file(1, 2, 3)}) {
		t.Errorf("%v", m)
	}
}

// TestRival proves that a peer goes whose id has come to another node if its connection does not answer, and stays if it does.
func TestRival(t *testing.T) {
	f := func(answers bool, want int) {
		t.Helper()
		w := newAbroadWorld(t, 1)
		c, other := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2")
		c.text(announce(id("hash"), id("alice"), 0, nil))
		c.text(announce(id("else"), id("alice"), 0, nil))
		other.text(announce(id("hash"), id("bob"), 0, nil))
		w.take()
		w.mail(0, record.MailArrived, &record.Arrived{Key: abroadKey, Peer: swarm.ID([]byte(id("alice")))})
		for range 2*challengePatience + 2 {
			if answers {
				c.send(clientFrame(0x8a, ""))
			}
			w.now += time.Second
			w.run()
		}
		if got, _ := w.shards[0].torrents.Torrent(abroadKey); int(got.Leechers) != want {
			t.Errorf("answers %t: %d peers, want %d", answers, got.Leechers, want)
		}
		if n := w.shards[0].torrents.Counts().Peers; n != want+1 {
			t.Errorf("answers %t: %d peers in all", answers, n)
		}
	}
	f(true, 2)
	f(false, 1)
}

// TestResend proves that all torrents are told anew when the bridge asks for that, and that what it tells of a torrent in which nobody is here
// any more is put right.
func TestResend(t *testing.T) {
	w := newAbroadWorld(t, 1)
	c := w.dial(0, "192.0.2.1")
	for k := range 20 {
		c.text(announce(id("hash %d", k), id("alice"), 0, nil))
	}
	w.take()
	w.mail(0, record.MailResend, &record.Resend{Within: 1000})
	told := map[swarm.Key]int{}
	take := func() {
		for range 3 {
			for _, p := range w.take().presences {
				told[p.Key] += p.Peers()
			}
		}
	}
	if take(); len(told) != 20 {
		t.Errorf("%d torrents are told", len(told))
	}
	for k := range 18 { // those that are gone take no time
		c.text(announce(id("hash %d", k), id("alice"), 0, map[string]any{"event": "stopped"}))
	}
	w.take()
	clear(told)
	w.mail(0, record.MailResend, &record.Resend{Within: 1000})
	if take(); len(told) != 2 {
		t.Errorf("%d torrents are told, of 2 that are left of 20", len(told))
	}
	for _, r := range []*record.Known{elsewhere(1, 1), {Key: abroadKey}} {
		w.mail(0, record.MailOthers, r)
		if got := w.take(); len(got.presences) != 1 || got.presences[0].Key != abroadKey || got.presences[0].Peers() != 0 {
			t.Errorf("%+v", got)
		}
	}
}

// TestLongOffers proves that an offer which is longer than nodes take does not keep the others, and the news of its peer, from them.
func TestLongOffers(t *testing.T) {
	w := newAbroadWorld(t, 1)
	long := func(m map[string]any) map[string]any {
		m["offers"].([]any)[1].(map[string]any)["offer"] = map[string]any{"type": "offer", "sdp": strings.Repeat("x", record.MaxSDP)}
		return m
	}
	w.shards[0].opt.Limits = wsproto.Limits{Message: 1 << 20, Frame: 1 << 20}
	c := w.dial(0, "192.0.2.1")
	c.text(long(announce(id("hash"), id("alice"), 3, nil)))
	if got := w.take(); len(got.seeks) != 1 || len(got.seeks[0].Relay.Offers) != 2 {
		t.Errorf("%+v", got)
	}
	w.mail(0, record.MailOthers, elsewhere(3, 0))
	c.text(long(announce(id("hash"), id("alice"), 3, nil)))
	if got := w.take(); len(got.relays) != 1 || len(got.relays[0].Offers) != 2 {
		t.Errorf("%+v", got)
	}
}

// TestBridgeIsAway proves that clients do not notice a bridge that reads nothing, and that what has no room is counted.
func TestBridgeIsAway(t *testing.T) {
	w := newAbroadWorld(t, 1)
	c := w.dial(0, "192.0.2.1")
	for k := range 3000 {
		c.text(announce(id("hash %d", k%60), id("alice"), 2, map[string]any{"event": []string{"started", "stopped"}[k/60%2]}))
		w.run()
		if m := c.messages(); len(m) != 1 || m[0]["failure reason"] != nil {
			t.Fatalf("announce %d: %v", k, m)
		}
	}
	if st := w.shards[0].Snapshot(); st.Messages.Abroad.DroppedOffers == 0 || st.Messages.Abroad.DroppedArrive == 0 {
		t.Errorf("%+v", st.Messages.Abroad)
	}
}

// TestScrapesHaveRoom proves that each scrape which was sent to the bridge finds room for its reply, however full other nodes have made the
// mailbox, and that the others are replied to at once.
func TestScrapesHaveRoom(t *testing.T) {
	w := newAbroadWorld(t, 1)
	c := w.dial(0, "192.0.2.1")
	box, scrapes := w.boxes.Out[0], 0
	for round := range 50 {
		var owed []record.Scrape
		for range 300 {
			hashes := []string{}
			for k := range 1 + (scrapes+round)%7 {
				hashes = append(hashes, id("hash %d", k))
			}
			c.text(map[string]any{"action": "scrape", "info_hash": hashes})
			scrapes++
		}
		owed = append(owed, w.take().scrapes...)
		if len(owed) == 0 || len(owed) == 300 {
			t.Fatalf("round %d: the bridge was asked for %d scrapes of 300", round, len(owed))
		}
		for _, kind := range []record.MailKind{record.MailOthers, record.MailNodes} {
			var r post.Fields = &record.Nodes{Live: []uint16{7}}
			if kind == record.MailOthers {
				r = &record.Known{Key: swarm.Key{Hash: swarm.ID{byte(round)}, Family: 4}}
			}
			for rec := r.Append([]byte{byte(kind)}); post.ToShard(box, rec); {
			}
		}
		for _, q := range owed {
			r := &record.Scraped{From: q.From, Kept: q.Kept}
			for _, h := range q.Hashes {
				r.Files = append(r.Files, record.File{Hash: h, Seeders: 1})
			}
			if !post.ToShard(box, r.Append([]byte{byte(record.MailTold)})) {
				t.Fatalf("round %d: a reply has no room", round)
			}
		}
		box.Publish()
		w.take()
	}
	if m := c.messages(); len(m) != scrapes {
		t.Errorf("%d replies to %d scrapes", len(m), scrapes)
	}
}

// TestScrapeOfFrozenShard proves that a shard is not still before the bridge has replied to its scrapes, that the client gets the reply, and
// that other nodes change nothing meanwhile.
func TestScrapeOfFrozenShard(t *testing.T) {
	w := newAbroadWorld(t, 1)
	c := w.dial(0, "192.0.2.1")
	c.text(announce(id("hash"), id("alice"), 0, nil))
	c.text(map[string]any{"action": "scrape", "info_hash": id("one")})
	q := w.take().scrapes[0]
	c.messages()
	s := w.shards[0]
	do := func(ops []ring.Op) {
		for k := range ops {
			w.do(0, &ops[k])
		}
	}
	do(s.Freeze())
	w.run()
	quiet := func(ring.Slot) bool { return true }
	if s.Still(quiet) {
		t.Error("the shard is still while the bridge owes it a reply")
	}
	w.mail(0, record.MailVisit, &record.Routed{Node: 7, Relay: record.Relay{
		Key: abroadKey, Peer: swarm.ID([]byte(id("bob"))), Offers: []wsproto.Offer{{ID: swarm.ID([]byte(id("one"))), SDP: []byte(`"x"`)}}}})
	w.mail(0, record.MailTold, &record.Scraped{From: q.From, Kept: q.Kept})
	if !s.Still(quiet) || s.torrents.Counts().Guests > 0 {
		t.Errorf("still %t, %d guests", s.Still(quiet), s.torrents.Counts().Guests)
	}
	ops, _ := s.Thaw(10)
	do(ops)
	w.run()
	if m := c.messages(); len(m) != 1 || m[0]["action"] != "scrape" {
		t.Errorf("%v", m)
	}
}
