package shard

import (
	"testing"
	"time"

	"millrace/cmd/internal/shard/loans"
	"millrace/swarm"
)

// This file tests torrents that their homes lend to the shards of their clients. Package loans has the rule.

// lending is three shards. A client of the holder is in a torrent of its own shard and in one that its home has lent.
type lending struct {
	*world
	client      *client // on the holder
	first, lent string
}

const lendHome, lendHolder, lendOther = 1, 2, 0

func newLending(t *testing.T, change func(*Options)) *lending {
	t.Helper()
	l := &lending{world: newWorld(t, 3, change)}
	l.first, l.lent = l.torrentOf(lendHolder), l.torrentOf(lendHome)
	l.client = l.member(lendHolder, "192.0.2.1", "client")
	l.client.text(announce(l.lent, id("client"), 0, nil))
	l.run()
	if n := len(l.client.messages()); n != 1 {
		t.Fatalf("%d replies", n)
	}
	return l
}

// member returns a client that is in a torrent of shard k and stays on that shard.
func (w *world) member(k int, from, peer string) *client {
	w.t.Helper()
	c := w.dial(k, from)
	c.text(announce(w.torrentOf(k), id("%s", peer), 0, nil))
	w.run()
	if n := len(c.messages()); n != 1 || c.shard != k {
		w.t.Fatalf("%d replies on shard %d", n, c.shard)
	}
	return c
}

// counts returns what a client is told by a scrape of a torrent.
func (w *world) counts(c *client, hash string) (incomplete int) {
	w.t.Helper()
	c.text(map[string]any{"action": "scrape", "info_hash": []string{c.w.torrentOf(0), hash, c.w.torrentOf(2)}})
	w.run()
	all := c.messages()
	if len(all) != 1 {
		w.t.Fatalf("%d replies to a scrape", len(all))
	}
	return int(all[0]["files"].(map[string]any)[hash].(map[string]any)["incomplete"].(float64))
}

// A torrent in which nobody was is held by the shard of its first client. Clients that begin with it come there by way of
// its home, those of other shards meet the others in it by mail, and scrapes find it. When all have left it goes home.
func TestLend(t *testing.T) {
	l := newLending(t, nil)
	before := l.total()
	if before.Torrents.Loans.Lends != 1 || before.Torrents.Loans.Lent != 1 || before.Messages.ServedElsewhere != 1 {
		t.Fatalf("%+v, %d served elsewhere", before.Torrents.Loans, before.Messages.ServedElsewhere)
	}
	l.client.text(announce(l.lent, id("client"), 0, nil))
	l.run()
	if sum := l.total(); sum.Messages.ServedHere != before.Messages.ServedHere+1 || len(l.client.messages()) != 1 {
		t.Error("the holder does not serve its client")
	}

	comes := l.dial(lendOther, "192.0.2.2")
	comes.text(announce(l.lent, id("comes"), 1, nil))
	l.run()
	offers := l.client.messages()
	if len(offers) != 1 || len(comes.messages()) != 1 || comes.shard != lendHolder || l.total().Mover.MovedOn != 1 {
		t.Fatalf("%d offers, a client that begins with the torrent is on shard %d", len(offers), comes.shard)
	}

	stays := l.member(lendOther, "192.0.2.3", "stays")
	stays.text(announce(l.lent, id("stays"), 2, nil))
	l.run()
	offers = append(l.client.messages(), comes.messages()...)
	if len(offers) != 2 || len(stays.messages()) != 1 {
		t.Fatalf("%d offers by mail", len(offers))
	}
	l.client.text(answer(id("client"), offers[0]))
	comes.text(answer(id("comes"), offers[1]))
	l.run()
	if n := len(stays.messages()); n != 2 {
		t.Errorf("%d answers by mail, want 2", n)
	}
	stays.text(announce(l.lent, id("stays"), 0, nil)) // and again
	l.run()
	stays.messages()
	if passed := l.total().Torrents.Loans.Passed; passed != 2 {
		t.Errorf("%d requests were passed on, want 2", passed)
	}
	for _, c := range []*client{l.client, comes, stays} {
		if n := l.counts(c, l.lent); n != 3 {
			t.Errorf("a client of shard %d is told of %d leechers, want 3", c.shard, n)
		}
	}

	stays.hangUp(0)
	l.run()
	if n := l.counts(comes, l.lent); n != 2 {
		t.Errorf("%d leechers after one has left", n)
	}
	l.client.hangUp(104)
	comes.hangUp(0)
	l.advance(21 * time.Second)
	if st := l.total().Torrents.Loans; st.Lent != 0 || st.Returned != 1 {
		t.Errorf("an empty torrent did not go home: %+v", st)
	}
	back := l.dial(lendHome, "192.0.2.4")
	back.text(announce(l.lent, id("back"), 0, nil))
	l.run()
	if back.shard != lendHome || len(back.messages()) != 1 {
		t.Errorf("the first client of a torrent that came home is on shard %d", back.shard)
	}
	back.hangUp(0)
	l.run()
	l.checkEmpty()
}

// The requests of one client are served in the order in which it sent them, also those that are on their way to the home
// while that lends the torrent to the client's shard.
func TestLendKeepsOrder(t *testing.T) {
	w := newWorld(t, 3, nil)
	hash := w.torrentOf(lendHome)
	first, other := w.member(lendHolder, "192.0.2.1", "first"), w.member(lendHolder, "192.0.2.2", "other")
	first.text(announce(hash, id("first"), 0, nil))
	w.step(lendHolder) // asks for the torrent
	w.step(lendHome)   // lends it
	other.text(announce(hash, id("other"), 0, nil))
	w.step(lendHolder) // mails that to the home, and then reads that the torrent is here
	other.text(announce(hash, id("other"), 0, map[string]any{"event": "stopped"}))
	w.step(lendHolder)
	w.run()
	if n := len(other.messages()); n != 2 {
		t.Errorf("%d replies, want 2", n)
	}
	first.messages()
	if n := w.counts(first, hash); n != 1 {
		t.Errorf("%d leechers, want the one that has not left", n)
	}
	before := w.total().Messages.ServedHere
	other.text(announce(hash, id("other"), 0, nil))
	w.run()
	if w.total().Messages.ServedHere != before+1 {
		t.Error("later requests do not stay here")
	}
}

// A client whose announce came back from the home takes its peer with it when it leaves, without news from the home.
func TestLendEnds(t *testing.T) {
	l := newLending(t, nil)
	c := l.dial(lendHolder, "192.0.2.2")
	c.text(map[string]any{"action": "scrape", "info_hash": l.lent}) // goes to another shard, and the announce with it
	c.text(map[string]any{"action": "scrape", "info_hash": l.torrentOf(lendHome)})
	c.text(map[string]any{"action": "scrape", "info_hash": l.torrentOf(lendOther)})
	c.text(announce(l.lent, id("c"), 0, nil))
	l.run()
	if n, passed := l.counts(l.client, l.lent), l.total().Torrents.Loans.Passed; n != 2 || passed != 1 {
		t.Fatalf("%d leechers, %d requests were passed on", n, passed)
	}
	l.fillBox(lendHome, lendHolder, 11, 0)
	c.hangUp(104)
	l.step(lendHolder)
	if n := l.shards[lendHolder].Snapshot().Torrents.Swarm.Peers; n != 2 {
		t.Errorf("%d peers, want the two of the other client", n)
	}
}

// In a stop nothing is given back: the home may have ended.
func TestLendStop(t *testing.T) {
	l := newLending(t, nil)
	l.client.hangUp(0)
	l.run()
	for _, s := range l.shards {
		s.Stop()
	}
	l.run()
	l.advance(21 * time.Second)
	if st := l.total().Torrents.Loans; st.Lent != 1 || st.Returned != 0 {
		t.Errorf("%+v", st)
	}
	l.checkEmpty()
}

// A torrent stays at home where it has somebody in it, where its client has nothing else on its own shard or has asked often
// enough, where it is forbidden, where the shard has enough, and without the setting. The client is served all the same.
func TestNotLent(t *testing.T) {
	f := func(name string, change func(*Options), prepare func(w *world, hash string) (*client, int)) {
		t.Helper()
		w := newWorld(t, 3, change)
		hash := w.torrentOf(lendHome)
		c, lends := prepare(w, hash)
		c.messages()
		c.text(announce(hash, id("client"), 0, nil))
		w.run()
		if n := len(c.messages()); n != 1 {
			t.Errorf("%s: %d replies", name, n)
		}
		if st := w.total().Torrents.Loans; int(st.Lends) != lends {
			t.Errorf("%s: %+v", name, st)
		}
	}
	member := func(w *world) *client { return w.member(lendHolder, "192.0.2.1", "client") }
	f("nothing is wrong", nil, func(w *world, hash string) (*client, int) { return member(w), 1 })
	f("somebody is in it", nil, func(w *world, hash string) (*client, int) {
		w.member(lendHome, "192.0.2.2", "there")
		return member(w), 0
	})
	f("nothing on its own shard", nil, func(w *world, hash string) (*client, int) {
		for n := range 200 {
			w.dial(lendHome, "192.0.2.2")
			if n == 0 {
				w.dial(lendHolder, "192.0.2.3")
			}
		}
		return w.dial(lendHolder, "192.0.2.1"), 0
	})
	f("asked often enough", nil, func(w *world, hash string) (*client, int) {
		c := member(w)
		w.member(lendOther, "192.0.2.2", "there")
		for range loans.MaxPerConnection {
			c.text(announce(w.torrentOf(lendOther), id("client"), 0, nil))
			w.run()
		}
		return c, 0
	})
	f("forbidden", nil, func(w *world, hash string) (*client, int) {
		c := member(w)
		for _, s := range w.shards {
			s.SetAccess(&swarm.Access{Mode: swarm.AccessAllow})
		}
		return c, 0
	})
	f("the shard has enough", nil, func(w *world, hash string) (*client, int) {
		const each = 50
		c := w.dial(lendHolder, "192.0.2.1")
		for n, sent := 0, 0; sent < 20*each; n++ {
			more := id("more %d", n)
			if w.shards[0].torrents.Loans.Home((*swarm.ID)([]byte(more))) != lendHolder {
				continue
			}
			if sent%each == 0 {
				w.run()
				c = w.dial(lendHolder, "192.0.2.1")
			}
			c.text(announce(more, id("client"), 0, nil))
			sent++
		}
		w.run()
		return c, 0
	})
	f("without the setting", func(o *Options) { o.FollowTorrents = false },
		func(w *world, hash string) (*client, int) { return member(w), 0 })
}

// A request for which the mailbox to the holder has no room fails as one whose own mailbox has none.
func TestLendOverloaded(t *testing.T) {
	l := newLending(t, func(o *Options) { o.ReplyToAnswers = true })
	stays := l.member(lendOther, "192.0.2.3", "stays")
	l.fillBox(lendHome, lendHolder, 11, 0)
	stays.text(announce(l.lent, id("stays"), 0, nil))
	l.step(lendOther)
	l.step(lendHome)
	l.step(lendOther)
	all := stays.messages()
	if len(all) != 1 || all[0]["failure reason"] == nil {
		t.Errorf("an announce was answered with %v", all)
	}
	stays.text(map[string]any{
		"action": "announce", "info_hash": l.lent, "peer_id": id("stays"), "to_peer_id": id("client"), "offer_id": id("offer"),
		"answer": map[string]any{"type": "answer", "sdp": "v=0"},
	})
	l.step(lendOther)
	l.step(lendHome)
	l.step(lendOther)
	if all = stays.messages(); len(all) != 1 || all[0]["failure reason"] == nil {
		t.Errorf("an answer was answered with %v", all)
	}
	if n := l.total().Messages.Overloaded; n[1] != 1 || n[2] != 1 {
		t.Errorf("%v were counted", n)
	}
	l.run()
	stays.text(announce(l.lent, id("stays"), 0, nil))
	l.run()
	if all = stays.messages(); len(all) != 1 || all[0]["failure reason"] != nil {
		t.Errorf("afterwards an announce was answered with %v", all)
	}
}

// A torrent that its holder gives back while an announce is on its way there stays with the holder.
func TestLendReturnsTooLate(t *testing.T) {
	l := newLending(t, nil)
	stays := l.member(lendOther, "192.0.2.3", "stays")
	l.client.hangUp(0)
	l.run()
	stays.text(announce(l.lent, id("stays"), 0, nil))
	l.now += 15 * time.Second
	l.step(lendOther)  // mails it to the home
	l.step(lendHolder) // has nobody in the torrent and gives it back
	l.step(lendHome)   // passes the announce on, before or after it reads that
	l.run()
	if n := len(stays.messages()); n != 1 {
		t.Fatalf("%d replies", n)
	}
	if n := l.counts(stays, l.lent); n != 1 {
		t.Errorf("%d leechers", n)
	}
	if st := l.total().Torrents.Loans; st.Kept+st.Returned != 1 {
		t.Errorf("it was not given back: %+v", st)
	}
	stays.hangUp(0)
	l.advance(21 * time.Second)
	if st := l.total().Torrents.Loans; st.Lent != 0 {
		t.Errorf("%+v", st)
	}
	l.checkEmpty()
}
