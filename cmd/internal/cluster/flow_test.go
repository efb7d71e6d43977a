package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file proves the ways of offers, answers and scrapes from shard to shard, and what is left out first.

// sample returns a relay with n offers of size bytes each.
func sample(key swarm.Key, n, size int) record.Relay {
	r := record.Relay{Key: key, Peer: swarm.ID{9}, From: addrOn(1)}
	for k := range n {
		r.Offers = append(r.Offers, record.Offer{ID: swarm.ID{byte(k), byte(k >> 8), 1}, SDP: []byte(`"` + strings.Repeat("a", size-2) + `"`)})
	}
	return r
}

// TestRelayAndAnswer proves that offers reach the shard of their torrent on the other node with its number there, an answer the shard of the
// connection; and that neither goes to a node that is not live, to a later life of one, or to a shard that there is not.
func TestRelayAndAnswer(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(time.Second)
	relay := record.Routed{Node: a.numberOf("b"), Relay: sample(a.keyAt("a"), 2, 10)}
	a.mails, b.mails = nil, nil
	a.tell(record.MailRelay, &relay)
	r.pass(10 * time.Millisecond)
	relay.Node = b.numberOf("a")
	if got := b.fetch(record.MailVisit); !slices.Equal(got, []string{fmt.Sprintf("%d %+v", b.o.Owner(&relay.Key.Hash), relay)}) {
		t.Errorf("b got %q", got)
	}
	answer := record.Answering{Node: relay.Node, Answer: record.Answer{To: relay.From, Hash: relay.Key.Hash, SDP: []byte(`"sdp"`)}}
	b.tell(record.MailAnswer, &answer)
	r.pass(10 * time.Millisecond)
	if got := a.fetch(record.MailAnswered); !slices.Equal(got, []string{fmt.Sprintf("1 %+v", answer.Answer)}) {
		t.Errorf("a got %q", got)
	}
	answer.To.Shard = 3
	b.tell(record.MailAnswer, &answer)
	relay.Node = 7
	a.tell(record.MailRelay, &relay)
	r.pass(10 * time.Millisecond)
	if got := a.fetch(record.MailAnswered); len(got) != 0 || a.Stats().BadRecords != 1 || a.Stats().Dropped[record.KindRelay] != 1 {
		t.Errorf("a got %q, and counted %+v", got, a.Stats())
	}
	answer.To.Shard = 1
	b.tell(record.MailAnswer, &answer)
	r.now += batchTime
	b.Flush(r.now)
	kept := b.out
	b.out, r.cores = nil, []*rigNode{b}
	next := r.join("a")
	r.pass(2 * time.Second)
	for _, m := range kept {
		next.FromBus(r.now, m.subject, m.msg)
	}
	if got := next.fetch(record.MailAnswered); len(got) != 0 || next.Stats().Flaws[FlawSeal] != 1 {
		t.Errorf("a later life got %q", got)
	}
	b.tell(record.MailAnswer, &answer)
	if b.Stats().Dropped[record.KindAnswer] != 1 {
		t.Error("an answer went to a life that is over")
	}
}

// TestLongRelay proves that offers that are too long for one message go in several, and all arrive.
func TestLongRelay(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(time.Second)
	b.mails = nil
	a.tell(record.MailRelay, &record.Routed{Node: a.numberOf("b"), Relay: sample(a.keyAt("a"), 20, record.MaxSDP)})
	r.pass(10 * time.Millisecond)
	got := strings.Join(b.fetch(record.MailVisit), "")
	for k := range 20 {
		if id := fmt.Sprint(swarm.ID{byte(k), 0, 1}); strings.Count(got, id) != 1 {
			t.Errorf("offer %d came %d times", k, strings.Count(got, id))
		}
	}
	if st := a.Stats(); st.Out[record.KindRelay] != 7 || st.Dropped[record.KindRelay] != 0 {
		t.Errorf("counted %+v", st)
	}
}

// TestSeek proves that the offers of a first peer wait until the home has answered and go then to a node that has others, from a home
// elsewhere and from this one; that they are given up when nobody has others, after a second without an answer, and if there is no room.
func TestSeek(t *testing.T) {
	for _, home := range []string{"a", "b", "c"} {
		r := newRig(t)
		a, b := r.join("a"), r.join("b")
		r.join("c")
		r.pass(2 * a.o.Timeout) // all is settled
		key := a.keyAt(home)
		seek := func(n *rigNode, offers int) {
			relay := sample(key, offers, 10)
			n.tell(record.MailSeek, &record.Seek{Presence: record.Presence{Key: key, Counts: peers(0, 1)}, Relay: relay})
		}
		seek(a, 2)
		r.pass(60 * time.Millisecond)
		if st := a.Stats(); st.HeldBytes != 0 || st.Out[record.KindRelay] != 0 || st.HeldOver != 0 {
			t.Errorf("home %s: alone in a torrent, counted %+v", home, st)
		}
		seek(a, 2) // the home has not heard that the torrent was left
		r.pass(60 * time.Millisecond)
		if st := a.Stats(); st.HeldBytes != 0 || st.HeldOver != 0 {
			t.Errorf("home %s: back in a torrent, counted %+v", home, st)
		}
		a.mails, b.mails = nil, nil
		seek(b, 3)
		if held := b.Stats().HeldBytes > 0; held != (home != "b") {
			t.Errorf("home %s: offers wait: %v", home, held)
		}
		r.pass(60 * time.Millisecond)
		if got := a.fetch(record.MailVisit); len(got) != 1 || strings.Count(got[0], "SDP") != 1 {
			t.Errorf("home %s: one leecher there gets %q", home, got)
		}
		if got := b.fetch(record.MailOthers); len(got) == 0 || !strings.Contains(got[0], "Leechers:1") {
			t.Errorf("home %s: the shard is told %q", home, got)
		}
		if home == "b" {
			continue
		}
		r.cut = true
		b.tell(record.MailPresence, &record.Presence{Key: key})
		seek(b, 1)
		seek(b, 1)
		r.pass(900 * time.Millisecond)
		if st := b.Stats(); st.HeldBytes == 0 || st.HeldOver != 0 {
			t.Errorf("home %s: counted %+v", home, st)
		}
		r.pass(150 * time.Millisecond)
		if st := b.Stats(); st.HeldBytes != 0 || st.HeldOver != 2 || len(b.holds.queue) != 0 || len(b.holds.byKey) != 0 {
			t.Errorf("home %s: counted %+v", home, st)
		}
		b.o.Limits.HeldBytes = 2 * holdCost
		seek(b, 1)
		seek(b, 1)
		if st := b.Stats(); st.HeldFull != 1 || st.HeldBytes > 2*holdCost || st.HeldBytes == 0 {
			t.Errorf("home %s: counted %+v", home, st)
		}
		b.Connected(r.now, false)
		if seek(b, 1); b.Stats().HeldBytes != 0 {
			t.Errorf("home %s: offers wait without a connection", home)
		}
	}
}

// TestHoldsAreBounded proves that holds that have ended behind one that has not are so many at most.
func TestHoldsAreBounded(t *testing.T) {
	h := holds{byKey: make(map[swarm.Key]*held)}
	const most = 10 * holdCost
	relay := sample(swarm.Key{Hash: swarm.ID{1}}, 0, 0)
	h.add(0, &relay, most)
	relay.Key.Hash[0] = 2
	for range 100 {
		h.add(0, &relay, most)
		h.take(relay.Key, func([]byte) {})
	}
	if len(h.queue) > most/holdCost+1 || h.bytes > 2*holdCost {
		t.Errorf("%d holds in %d bytes", len(h.queue), h.bytes)
	}
	if n := h.expire(0); n != 1 || h.bytes != 0 || len(h.queue) != 0 || !h.add(0, &relay, most) {
		t.Errorf("%d holds ended, %d are there with %d bytes", n, len(h.queue), h.bytes)
	}
}

// TestScrape proves that a scrape has the sums of all homes, with what the shard gave along; that it waits for 250 ms at most and has then what
// is known, and without a connection not at all; that an answer which comes after that, or that was not asked for, counts as late.
func TestScrape(t *testing.T) {
	r := newRig(t)
	a, b, c := r.join("a"), r.join("b"), r.join("c")
	r.pass(2 * time.Second)
	keys := []swarm.Key{a.keyAt("b"), a.keyAt("c"), a.keyAt("a"), {Hash: swarm.ID{77}, Family: 4}}
	scrape := record.Scrape{Family: 4, From: addrOn(2), Kept: []byte("kept")}
	for k, key := range keys {
		scrape.Hashes = append(scrape.Hashes, key.Hash)
		if k < 3 {
			b.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(1, uint32(k))})
			c.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(10, 0)})
		}
	}
	r.pass(60 * time.Millisecond)
	f := func(what string, files ...int) {
		t.Helper()
		got := a.fetch(record.MailTold)
		want := fmt.Sprintf("2 %+v", record.Scraped{From: scrape.From, Kept: scrape.Kept})
		want = strings.Replace(want, "Files:[]", "", 1)
		ok := len(got) == 1 && strings.HasPrefix(got[0], "2 {From:{Index:1 Gen:2 Shard:2") && strings.HasSuffix(got[0], fmt.Sprintf("Kept:%v}", scrape.Kept))
		for k := range keys {
			file := fmt.Sprintf("{Hash:%v Seeders:11 Leechers:%d Downloaded:0}", keys[k].Hash, k)
			ok = ok && strings.Contains(got[0], file) == slices.Contains(files, k) && strings.Count(got[0], "Hash:") == len(files)
		}
		if !ok {
			t.Errorf("%s: the shard is told %q, want like %q with %v", what, got, want, files)
		}
	}
	a.mails = nil
	a.tell(record.MailScrape, &scrape)
	r.pass(60 * time.Millisecond)
	f("all answer", 0, 1, 2)

	r.cut = true
	a.tell(record.MailScrape, &scrape)
	r.pass(240 * time.Millisecond)
	if got := a.fetch(record.MailTold); len(got) != 0 || a.Stats().Asks != 1 {
		t.Errorf("the shard is told %q before time", got)
	}
	r.pass(60 * time.Millisecond)
	f("nobody answers", 2)
	number := a.asks.number
	r.cut = false
	late := a.Stats().Late
	for _, n := range []uint64{number, number + 1} {
		a.told(a.view.live[0], &record.Told{Number: n})
	}
	if got := a.Stats(); got.Late != late+2 || got.AsksOver != 1 || len(a.asks.queue) != 0 {
		t.Errorf("counted %+v", got)
	}
	a.o.Limits.Waiting = 1
	a.tell(record.MailScrape, &scrape)
	f("no question can be sent", 2)
	a.o.Limits.Waiting = DefaultLimits.Waiting
	a.o.Limits.Asks = 1
	r.cut = true
	a.tell(record.MailScrape, &scrape)
	if len(a.fetch(record.MailTold)) != 0 {
		t.Error("the first scrape does not wait")
	}
	a.tell(record.MailScrape, &scrape)
	f("there is no room", 2)
	a.Connected(r.now, false)
	f("the connection ends", 2)
	a.tell(record.MailScrape, &scrape)
	f("there is no connection", 2)
	if st := a.Stats(); st.AskBytes != 0 || st.Asks != 0 {
		t.Errorf("counted %+v", st)
	}
	scrape.From.Shard = 3
	if a.tell(record.MailScrape, &scrape); a.Stats().MailRefused != 1 {
		t.Error("a scrape for a shard that there is not is taken")
	}
}

// TestToldIsChecked proves that of an answer only those torrents are taken that its home was asked about, each once.
func TestToldIsChecked(t *testing.T) {
	l := asks{byNumber: make(map[uint64]*ask)}
	a := newAsk(0, &record.Scrape{Hashes: []swarm.ID{{1}, {2}, {3}, {4}}})
	for k, home := range []uint16{1, 2, 1, 1} {
		a.await(k, home)
	}
	if !l.add(a, &DefaultLimits) {
		t.Fatal("there is no room")
	}
	file := func(k byte) record.File { return record.File{Hash: swarm.ID{k}, Seeders: uint32(k)} }
	if _, ok := l.told(3, &record.Told{Number: a.number}); ok {
		t.Error("a node that was not asked is heard")
	}
	done, ok := l.told(1, &record.Told{Number: a.number, Files: []record.File{file(1), file(4), file(3), file(2), file(4)}})
	if done != nil || !ok {
		t.Error("the first of two homes ends the scrape")
	}
	if _, ok := l.told(1, &record.Told{Number: a.number}); ok {
		t.Error("a home answers twice")
	}
	done, ok = l.told(2, &record.Told{Number: a.number, Files: []record.File{file(2), file(3)}})
	if done != a || !ok || l.bytes != 0 || len(l.byNumber) != 0 {
		t.Error("the last home does not end the scrape")
	}
	if known := a.known(); fmt.Sprint(known) != fmt.Sprint([]record.File{file(1), file(2), file(4)}) {
		t.Errorf("taken: %v", known)
	}
}

// TestArrived proves that the news of a new peer reach each node with peers of the torrent once, by way of the home, and never the one that
// it came from; and that nobody passes them on without being asked to.
func TestArrived(t *testing.T) {
	for _, home := range []string{"a", "b", "c", "d"} {
		r := newRig(t)
		for _, id := range []string{"a", "b", "c", "d"} {
			r.join(id)
		}
		r.pass(2 * time.Second)
		key := r.cores[0].keyAt(home)
		for _, n := range r.cores[:3] {
			n.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(1, 0)})
		}
		r.pass(60 * time.Millisecond)
		for _, n := range r.cores {
			n.mails = nil
		}
		r.cores[0].tell(record.MailArrived, &record.Arrived{Key: key, Peer: swarm.ID{5}})
		r.pass(60 * time.Millisecond)
		for k, want := range []int{0, 1, 1, 0} {
			if got := r.cores[k].fetch(record.MailArrived); len(got) != want || want == 1 && !has(got, "Onward:false") {
				t.Errorf("home %s: node %d heard %q", home, k, got)
			}
		}
	}
}

// TestFullMailbox proves that a shard whose mailbox is full gets nothing about nodes before it knows which are live, and is told that and
// what it has to tell anew when there is room.
func TestFullMailbox(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	a.full = true
	r.pass(2 * time.Second)
	if !a.Waiting() {
		t.Error("nothing waits for a full mailbox")
	}
	b.tell(record.MailRelay, &record.Routed{Node: b.numberOf("a"), Relay: sample(a.keyAt("a"), 1, 10)})
	r.pass(60 * time.Millisecond)
	if st := a.Stats(); len(a.mails) != 0 || st.MailDropped[record.MailVisit-record.FirstMail] != 1 || st.In[record.KindRelay] != 1 {
		t.Errorf("counted %+v", st)
	}
	a.full = false
	b.tell(record.MailRelay, &record.Routed{Node: b.numberOf("a"), Relay: sample(a.keyAt("a"), 1, 10)})
	r.now += batchTime
	b.Flush(r.now)
	r.deliver()
	r.pass(60 * time.Millisecond)
	var kinds []record.MailKind
	for _, m := range a.mails {
		kinds = append(kinds, record.MailKind(m[1]))
	}
	two := []record.MailKind{record.MailNodes, record.MailResend}
	if want := slices.Concat(two, []record.MailKind{record.MailVisit}, two, two); !slices.Equal(kinds, want) {
		t.Errorf("the shards are told %v", kinds)
	}
}

// TestWithoutConnection proves that a node without a connection sends nothing and remembers nothing for later, keeps the directory of its own
// torrents, and has all torrents told anew when it is connected again.
func TestWithoutConnection(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(2 * time.Second)
	a.tell(record.MailRelay, &record.Routed{Node: a.numberOf("b"), Relay: sample(a.keyAt("b"), 1, 10)})
	a.Connected(r.now, false)
	for _, home := range []string{"a", "b"} {
		a.tell(record.MailPresence, &record.Presence{Key: a.keyAt(home), Counts: peers(1, 0)})
	}
	a.mails = nil
	r.pass(time.Second)
	st := a.Stats()
	if len(a.out) != 0 || st.Waiting != 0 || st.BytesLost == 0 || st.Stays != 1 || st.Dropped[record.KindPresence] != 1 || st.Connected != 0 {
		t.Errorf("counted %+v", st)
	}
	a.Connected(r.now, true)
	r.pass(settleTime + 10*time.Millisecond)
	if got := a.fetch(record.MailResend); len(got) != 3 || a.Stats().Connected != 1 {
		t.Errorf("the shards are asked %q", got)
	}
	r.pass(time.Second)
	b.mails = nil
	key := a.keyAt("b")
	a.tell(record.MailRelay, &record.Routed{Node: a.numberOf("b"), Relay: sample(key, 1, 10)})
	a.tell(record.MailSeek, &record.Seek{Presence: record.Presence{Key: key, Counts: peers(1, 0)}, Relay: sample(key, 1, 10)})
	a.Bye(r.now)
	out := len(a.out)
	a.Bye(r.now)
	a.hello()
	a.tell(record.MailPresence, &record.Presence{Key: a.keyAt("b"), Counts: peers(1, 0)})
	if a.Flush(r.now + time.Second); len(a.out) != out || out == 0 {
		t.Errorf("%d messages are sent after the goodbye", len(a.out)-out)
	}
	if st := a.Stats(); st.HeldBytes != 0 || st.Waiting != 0 {
		t.Errorf("after the goodbye there waits %+v", st)
	}
	r.deliver()
	if got := b.fetch(record.MailVisit); len(got) != 1 || len(b.Nodes()) != 0 {
		t.Errorf("before the goodbye b got %q", got)
	}
}

// TestFormerHome proves that a shard believes only the home of a torrent, and not itself when its node is not the home any more.
func TestFormerHome(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(2 * a.o.Timeout) // all is settled
	key := a.keyAt("b")
	a.mails = nil
	a.report(0, &record.Presence{Key: key, Counts: peers(1, 0)})
	a.report(a.numberOf("b"), &record.Presence{Key: key, Counts: peers(2, 0)})
	if got := a.fetch(record.MailOthers); len(got) != 0 {
		t.Errorf("a tells its shard %q", got)
	}
	r.pass(60 * time.Millisecond)
	if st := b.Stats(); st.In[record.KindOthers] != 1 || st.Strayed != 1 {
		t.Errorf("b counted %+v", st)
	}
	a.others(a.view.live[0], &record.Others{Key: a.keyAt("a"), Nodes: []record.Elsewhere{{Incarnation: b.seal.from, Counts: peers(1, 1)}}})
	if got := a.fetch(record.MailOthers); len(got) != 0 || a.Stats().Strayed != 1 {
		t.Errorf("a believes one that is not the home: %q", got)
	}
	a.others(a.view.live[0], &record.Others{Key: key, Nodes: []record.Elsewhere{{Incarnation: b.seal.from}}})
	if got := a.fetch(record.MailOthers); len(got) != 1 || strings.Contains(got[0], "Node:") {
		t.Errorf("of a node without peers a tells its shard %q", got)
	}
	a.others(a.view.live[0], &record.Others{Key: key, Nodes: []record.Elsewhere{
		{Incarnation: b.seal.from, Counts: peers(1, 1)}, {Incarnation: a.seal.from, Counts: peers(1, 1)}, {Incarnation: record.Incarnation{3}, Counts: peers(1, 1)},
	}})
	if got := a.fetch(record.MailOthers); len(got) != 1 || strings.Count(got[0], "Node:") != 1 {
		t.Errorf("of itself, a live node and an unknown one a tells its shard %q", got)
	}
}

// TestAloneIsToldOnce proves that the shard of a torrent that is on this node only is told so once, and again when the nodes have changed:
// another home may have said something else in between.
func TestAloneIsToldOnce(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	r.pass(time.Second)
	key := a.keyAt("a")
	f := func(want int, first bool) {
		t.Helper()
		a.mails = nil
		r.pass(20 * time.Second)
		a.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(1, 0), First: first})
		if got := a.fetch(record.MailOthers); len(got) != want {
			t.Errorf("the shard is told %q", got)
		}
	}
	f(0, true)
	f(0, false)
	a.tell(record.MailPresence, &record.Presence{Key: key})
	f(1, false)
	f(0, false)
	b := r.join("b")
	r.pass(time.Second)
	b.Bye(r.now)
	r.deliver()
	f(1, false)
	f(0, false)
}

// TestRelaysGiveWayFirst proves that when little room is left for a node, relays are left out first and counts of peers last; and that all
// nodes together have a bound too.
func TestRelaysGiveWayFirst(t *testing.T) {
	r := newRig(t)
	a := r.add("a", func(o *Options) { o.Limits = Limits{Waiting: 4000, WaitingToAll: 6000} })
	a.Connected(r.now, true)
	r.join("b")
	r.join("c")
	r.pass(time.Second)
	b, c := a.view.byID["b"], a.view.byID["c"]
	fill := func(to *node, kind record.Kind) (n int) {
		for a.send(to, kind, raw(make([]byte, 95))) {
			n++
		}
		return n
	}
	relays, asks, presences := fill(b, record.KindRelay), fill(b, record.KindAsk), fill(b, record.KindPresence)
	if relays != 20 || asks != 10 || presences != 10 {
		t.Errorf("room for %d relays, %d asks and %d presences", relays, asks, presences)
	}
	if relays, presences := fill(c, record.KindRelay), fill(c, record.KindPresence); relays != 0 || presences != 20 {
		t.Errorf("room for %d relays and %d presences to another node", relays, presences)
	}
	if st := a.Stats(); st.Waiting != 6000 || st.Dropped[record.KindRelay] != 2 || st.Dropped[record.KindPresence] != 2 {
		t.Errorf("counted %+v", st)
	}
	a.left(b, NodeBye)
	if st := a.Stats(); st.Waiting != 2000 || st.BytesLost != 4000 {
		t.Errorf("counted %+v", st)
	}
}

// TestNews proves that news wait longer for others than what somebody waits for, that no turns are made for them, that they leave with what is
// urgent, before it and in order, and that a first seeker's question and an answer that has peers in it are urgent while one without is news.
func TestNews(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(time.Second)
	to := a.view.byID["b"]
	messages := func() int { a.Flush(r.now); return len(a.out) }
	a.sendNews(to, record.KindArrived, raw("0"))
	if n := messages(); n != 1 {
		t.Errorf("%d messages leave at once, after a while in which none did", n)
	}
	a.sendNews(to, record.KindArrived, raw("1"))
	r.now += newsTime - 1
	if n := messages(); n != 1 || a.Waiting() {
		t.Errorf("%d messages left, and that something waits is %v", n, a.Waiting())
	}
	r.now++
	if n := messages(); n != 2 {
		t.Errorf("%d messages left after the time of news", n)
	}
	a.sendNews(to, record.KindArrived, raw("2"))
	a.send(to, record.KindAsk, raw("3"))
	if n := messages(); n != 2 || !a.Waiting() {
		t.Errorf("%d messages left, and that something waits is %v", n, a.Waiting())
	}
	r.now += batchTime
	before := b.Stats().BadRecords
	if n := messages(); n != 3 || a.Waiting() {
		t.Errorf("%d messages left, and that something waits is %v", n, a.Waiting())
	}
	r.deliver()
	if n := b.Stats().BadRecords - before; n != 4 {
		t.Errorf("%d records came", n)
	}
	urgent := func(want bool, what string, f func()) {
		t.Helper()
		r.pass(time.Second)
		to.sent = r.now
		f()
		if got := a.Waiting(); got != want {
			t.Errorf("%s is urgent: %v", what, got)
		}
	}
	theirs, ours := a.keyAt("b"), a.keyAt("a")
	seek := record.Seek{Presence: record.Presence{Key: theirs, Counts: peers(0, 1)}, Relay: sample(theirs, 1, 10)}
	urgent(false, "a count", func() { a.tell(record.MailPresence, &seek.Presence) })
	urgent(true, "a seeker's question", func() { a.tell(record.MailSeek, &seek) })
	first := record.Presence{Key: ours, Counts: peers(0, 1), First: true}
	urgent(false, "the answer that nobody is there", func() { a.report(to.number, &first) })
	urgent(false, "that a peer has come", func() { a.report(0, &first) })
	urgent(true, "the answer that somebody is there", func() { a.report(to.number, &first) })
}

// TestBatches proves that records wait a millisecond for others, that a full message leaves at once, and that what the bus does not take is
// tried again, in order.
func TestBatches(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.join("c")
	r.pass(time.Second)
	to := a.view.byID["b"]
	if a.send(to, record.KindPresence, raw(make([]byte, maxMessage))) {
		t.Error("a record is taken that is longer than a message")
	}
	messages := func() int { a.Flush(r.now); return len(a.out) }
	a.send(to, record.KindAsk, raw("0"))
	a.send(to, record.KindAsk, raw("0"))
	if n := messages(); n != 1 {
		t.Errorf("%d messages leave at once, after a while in which none did", n)
	}
	r.deliver()
	a.send(a.view.byID["c"], record.KindAsk, raw("0"))
	r.now += batchTime / 2
	if n := messages(); n != 1 {
		t.Errorf("%d messages leave to a node that had none", n)
	}
	r.deliver()
	a.send(to, record.KindAsk, raw("1"))
	a.send(a.view.byID["c"], record.KindAsk, raw("1"))
	if n := messages(); n != 0 {
		t.Errorf("%d messages leave soon after the last one", n)
	}
	r.now += batchTime
	a.refuse = true
	if n := messages(); n != 0 || a.Stats().Unpublished != 1 || !a.Waiting() {
		t.Errorf("%d messages left, and %+v", n, a.Stats())
	}
	a.refuse = false
	a.send(to, record.KindAsk, raw("2"))
	r.now += retryTime - 1
	if n := messages(); n != 0 {
		t.Errorf("%d messages left a moment after one was not taken", n)
	}
	r.now++
	if n := messages(); n != 2 || a.Stats().Waiting != 0 {
		t.Errorf("%d messages left, and %+v", n, a.Stats())
	}
	r.deliver()
	if st := b.Stats(); st.BadRecords != 4 {
		t.Errorf("b got %+v", st)
	}
	for range 3 {
		a.send(to, record.KindPresence, raw(make([]byte, maxMessage/2)))
	}
	if n := messages(); n != 3 || len(a.batches.all) != 0 {
		t.Errorf("%d messages leave of three that are half full", n)
	}
}
