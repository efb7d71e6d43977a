package shard

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/mover"
	"millrace/ring"
	"millrace/swarm"
)

// This file tests connections that follow their torrents to another shard.

// torrentOf returns the info hash of a torrent that shard k owns.
func (w *world) torrentOf(k int) string {
	for n := 0; ; n++ {
		if hash := id("torrent %d", n); w.shards[0].torrents.Loans.Home((*swarm.ID)([]byte(hash))) == k {
			return hash
		}
	}
}

// total returns the sums of what the shards counted.
func (w *world) total() (sum Stats) {
	for _, s := range w.shards {
		st := s.Snapshot()
		sum.Add(&st)
	}
	return sum
}

// A client is served by the shard of the torrent that it announces first, whatever it sends in one piece with that
// announce; it stays there for its later ones, and others meet it as if nothing had happened.
func TestFollow(t *testing.T) {
	w := newWorld(t, 3, nil)
	first, other := w.torrentOf(2), w.torrentOf(1)
	a, b := w.dial(0, "192.0.2.1"), w.dial(1, "192.0.2.2")
	var stream []byte
	stream = append(stream, clientText(t, announce(first, id("a"), 0, nil))...)
	stream = append(stream, clientFrame(0x89, "ping")...)
	stream = append(stream, clientText(t, announce(other, id("a"), 0, nil))...)
	a.send(stream)
	w.run()
	if all := a.frames(); len(all) != 3 || a.shard != 2 || all[1] != (frame{0x8a, "ping"}) {
		t.Fatalf("on shard %d it was sent %q", a.shard, all)
	}
	b.text(announce(first, id("b"), 1, nil))
	w.run()
	offers := a.messages()
	if len(offers) != 1 || b.shard != 2 {
		t.Fatalf("%d offers, the sender is on shard %d", len(offers), b.shard)
	}
	a.text(answer(id("a"), offers[0]))
	w.run()
	if n := len(b.messages()); n != 2 {
		t.Errorf("%d messages, want a reply and an answer", n)
	}
	sum := w.total()
	if sum.Mover.MovedIn != 2 || sum.Mover.MovedOut != 2 || sum.Messages.ServedHere != 3 || sum.Messages.ServedElsewhere != 1 {
		t.Errorf("%d in, %d out, %d served here, %d elsewhere", sum.Mover.MovedIn, sum.Mover.MovedOut, sum.Messages.ServedHere, sum.Messages.ServedElsewhere)
	}
	if st := sum.Table.ByIP[0]; st.Open != 2 || sum.Messages.ByIP[0].MessagesIn[1] != 3 {
		t.Errorf("%d open, %d announces", st.Open, sum.Messages.ByIP[0].MessagesIn[1])
	}
	a.hangUp(0)
	b.hangUp(104)
	w.run()
	w.checkEmpty()
}

// Whatever way the bytes of a client are cut, and whatever comes while it moves, the tracker says the same as if it had
// one shard.
func TestFollowEveryChop(t *testing.T) {
	play := func(shards int, turns bool, cuts ...int) string {
		w := newWorld(t, shards, nil)
		hash := w.torrentOf(shards - 1)
		stream := []byte(testHead)
		for _, m := range []string{
			`{"action":"announce","info_hash":"` + hash + `","peer_id":"` + id("peer") + `","left":1}`,
			`{"action":"announce","info_hash":"` + hash + `","peer_id":"` + id("peer") + `","left":0}`,
		} {
			stream = append(stream, clientFrame(0x81, m)...)
			stream = append(stream, clientFrame(0x89, "ping")...)
		}
		stream = append(stream, clientFrame(0x88, "\x03\xe9")...)
		c := w.accept(0, "192.0.2.1")
		from := 0
		for _, cut := range append(cuts, len(stream)) {
			c.send(stream[from:min(cut, len(stream))])
			from = min(cut, len(stream))
			if turns {
				w.run()
			} else {
				w.turn()
			}
		}
		c.hangUp(0)
		w.run()
		w.checkEmpty()
		if moved := w.total().Mover.MovedIn; shards > 1 && moved != 1 {
			t.Errorf("cut at %v: moved %d times", cuts, moved)
		}
		return string(bytes.ReplaceAll(c.inbox, []byte(hash), []byte(id("hash"))))
	}
	want := play(1, true)
	for cut := 1; cut < 560; cut++ {
		for _, turns := range []bool{true, false} {
			if got := play(2, turns, cut, cut+1+cut%7); got != want {
				t.Fatalf("cut at %d: got %q, want %q", cut, got, want)
			}
		}
	}
}

// Everybody in one swarm does not end on one shard, and a crowd without a torrent in common is spread as it came.
func TestFollowKeepsBalance(t *testing.T) {
	f := func(what string, hash func(k int) string) {
		w := newWorld(t, 2, func(o *Options) { o.MaxConnections = 1000; o.Swarm.MaxPeers = 1000 })
		const clients = 600
		for k := range clients {
			c := w.dial(k%2, "192.0.2.1")
			c.text(announce(hash(k), id("peer %d", k), 0, nil))
			w.run()
			if n := len(c.messages()); n != 1 {
				t.Fatalf("%s: %d replies", what, n)
			}
		}
		most := max(w.shards[0].table.Live(), w.shards[1].table.Live())
		if limit := mover.FairShare(clients, 2); most > limit+1 {
			t.Errorf("%s: %d connections on one shard, at most %d are fair", what, most, limit)
		}
	}
	f("one swarm", func(int) string { return id("hot") })
	f("a swarm for each", func(k int) string { return id("%d", k) })
}

// A first announce in fragments, one after a request that is still under way, and one for a torrent of a shard that has
// no room, are served where the connection is.
func TestNotFollowed(t *testing.T) {
	f := func(what string, act func(w *world, c *client, hash string), refused uint64) {
		t.Helper()
		w := newWorld(t, 2, nil)
		hash := w.torrentOf(1)
		c := w.dial(0, "192.0.2.1")
		act(w, c, hash)
		w.run()
		c.text(announce(hash, id("peer"), 0, nil))
		w.run()
		if n := len(c.messages()); n < 2 || c.shard != 0 {
			t.Errorf("%s: %d replies on shard %d", what, n, c.shard)
		}
		if sum := w.total(); sum.Mover.MovesRefused != refused || sum.Mover.MovedOut != 0 {
			t.Errorf("%s: %d refused, %d moved", what, sum.Mover.MovesRefused, sum.Mover.MovedOut)
		}
		for _, c := range w.all {
			c.hangUp(0)
		}
		w.run()
		w.checkEmpty()
	}
	f("fragments", func(w *world, c *client, hash string) {
		text := fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s"}`, hash, id("peer"))
		c.send(append(clientFrame(0x01, text[:30]), clientFrame(0x80, text[30:])...))
	}, 1)
	f("a scrape under way", func(w *world, c *client, hash string) {
		c.text(map[string]any{"action": "scrape", "info_hash": hash})
		c.text(announce(hash, id("peer"), 0, nil))
	}, 0)
	f("no room", func(w *world, c *client, hash string) {
		for range 100 {
			w.dial(1, "192.0.2.2")
		}
		c.text(announce(hash, id("peer"), 0, nil))
	}, 1)
	f("a shard that has stopped", func(w *world, c *client, hash string) {
		w.shards[1].Stop()
		w.run()
		if !w.shards[1].Stopped() {
			t.Error("it has not stopped")
		}
		c.text(announce(hash, id("peer"), 0, nil))
	}, 1)
}

// Whatever happens to a connection while it waits to move ends in its own reason, with the frames that the client is to
// have had by then, and leaves nothing behind on either shard: it waits because the client does not take what was sent.
func TestEndWhileMoving(t *testing.T) {
	const pong, text, goodbye = "\x8a", "\x81", "\x88"
	f := func(want conn.Reason, frames string, act func(w *world, c *client)) {
		t.Helper()
		w := newWorld(t, 2, nil)
		c := w.dial(0, "192.0.2.1")
		w.stuck = true
		c.send(append(clientFrame(0x89, "ping"), clientText(t, announce(w.torrentOf(1), id("peer"), 0, nil))...))
		w.run()
		if st := w.shards[0].Snapshot(); st.Table.Conns[conn.Moving] != 1 || st.Table.ByIP[0].Open != 0 {
			t.Fatalf("%s: %v", want, st.Table.Conns)
		}
		act(w, c)
		w.run()
		w.stuck = false
		c.read()
		w.run()
		got := ""
		for _, f := range c.frames() {
			got += string([]byte{f.op})
		}
		if got != frames {
			t.Errorf("%s: sent frames that begin with %x, want %x", want, got, frames)
		}
		c.hangUp(0)
		w.advance(30 * time.Second)
		sum := w.total()
		if !c.gone || sum.Table.Closed[want] != 1 || sum.Mover.MovedOut != sum.Mover.MovedIn+sum.Mover.MovesLost {
			t.Errorf("%s: gone %v, closed %v, %d moved", want, c.gone, sum.Table.Closed, sum.Mover.MovedOut)
		}
		w.checkEmpty()
	}
	f(conn.ReasonEOF, pong+text, func(w *world, c *client) {})
	f(conn.ReasonEOF, pong+text, func(w *world, c *client) { c.hangUpNow(0) })
	f(conn.ReasonReset, "", func(w *world, c *client) { c.hangUpNow(104) })
	f(conn.ReasonReset, "", func(w *world, c *client) {
		c.sending = nil
		w.push(0, ring.Event{Kind: ring.EventSent, Slot: c.slot, Errno: 104})
	})
	f(conn.ReasonStopping, pong+goodbye, func(w *world, c *client) {
		for _, s := range w.shards {
			s.Stop()
		}
	})
	f(conn.ReasonProtocol, pong+text+goodbye, func(w *world, c *client) { c.recvNow([]byte{0x81, 0x00}) }) // not masked
	f(conn.ReasonClientClose, pong+text+goodbye, func(w *world, c *client) { c.recvNow(clientFrame(0x88, "\x03\xe8")) })
	f(conn.ReasonNoMemory, pong+goodbye, func(w *world, c *client) {
		w.exhaust(w.asm[0])
		c.recvNow(make([]byte, 4096))
		w.run()
		w.restore(w.asm[0])
	})
	f(conn.ReasonSlowConsumer, "", func(w *world, c *client) { w.advance(25 * time.Second) })
}

// recvNow delivers bytes that the ring had received before it paused the connection.
func (c *client) recvNow(data []byte) {
	c.w.push(c.shard, ring.Event{Kind: ring.EventRecv, Slot: c.slot, Data: data})
}

// hangUpNow delivers an end that the ring had seen before it paused the connection.
func (c *client) hangUpNow(errno ring.Errno) {
	c.w.push(c.shard, ring.Event{Kind: ring.EventHangup, Slot: c.slot, Errno: errno})
}

// A client that does not read for a moment is served where it is: its move is given up after the close timeout.
func TestMoveTimesOut(t *testing.T) {
	w := newWorld(t, 2, nil)
	c := w.dial(0, "192.0.2.1")
	w.stuck = true
	c.send(append(clientFrame(0x89, "ping"), clientText(t, announce(w.torrentOf(1), id("peer"), 0, nil))...))
	w.advance(6 * time.Second)
	w.stuck = false
	c.read()
	w.run()
	if all := c.frames(); len(all) != 2 || c.shard != 0 || w.total().Mover.MovesGivenUp != 1 {
		t.Errorf("on shard %d it was sent %q", c.shard, all)
	}
	c.hangUp(0)
	w.run()
	w.checkEmpty()
}

// A connection for which the mailbox has no room waits for it, and stays where it is when that takes too long; one that arrives where there is no memory for what it
// has sent is closed with 1013; and where it finds the table full the ring has closed it.
func TestMoveWithoutRoom(t *testing.T) {
	f := func(what string, prepare func(w *world), check func(w *world, c *client) bool) {
		t.Helper()
		w := newWorld(t, 2, nil)
		c := w.dial(0, "192.0.2.1")
		c.text(announce(w.torrentOf(1), id("peer"), 0, nil))
		w.step(0)
		prepare(w)
		w.step(0) // it is paused, and goes
		w.run()
		if !check(w, c) {
			t.Errorf("%s: on shard %d, gone %v, sent %q", what, c.shard, c.gone, c.inbox)
		}
		c.hangUp(0)
		w.run()
		w.checkEmpty()
	}
	fill := func(w *world) {
		w.fillBox(0, 1, 11, 0)
	}
	f("a full mailbox", fill, func(w *world, c *client) bool {
		return c.shard == 1 && len(c.messages()) == 1 && w.total().Mover.MovedIn == 1
	})
	f("a mailbox that stays full", func(w *world) {
		fill(w)
		for range 10 {
			w.step(0)
			w.now += time.Second
		}
	}, func(w *world, c *client) bool {
		return c.shard == 0 && len(c.messages()) == 1 && w.total().Mover.MovesGivenUp == 1
	})
	f("a mailbox that stays full for a client that leaves", func(w *world) {
		fill(w)
		w.step(0)
		c := w.all[0]
		c.paused = false // the ring had seen its end before
		c.hangUp(104)
		w.step(0)
	}, func(w *world, c *client) bool {
		return c.gone && w.total().Mover.MovesWaiting == 0 && w.total().Table.Closed[conn.ReasonReset] == 1
	})
	f("no memory", func(w *world) {
		w.exhaust(w.asm[1])
	}, func(w *world, c *client) bool {
		return c.shard == 1 && c.closeCode() == 1013
	})
	f("a full table", func(w *world) {
		w.full = true
	}, func(w *world, c *client) bool {
		return c.gone && w.total().Mover.MovesLost == 1
	})
	f("a tracker that stops meanwhile", func(w *world) {
		w.shards[1].Stop()
	}, func(w *world, c *client) bool {
		return c.shard == 1 && c.closeCode() == 1001 && !w.shards[1].Stopped()
	})
}

// A shard that stops does not count as stopped while a connection is on its way to it, and lets nobody in afterwards.
func TestStopWaitsForArrivals(t *testing.T) {
	w := newWorld(t, 2, nil)
	c := w.dial(0, "192.0.2.1")
	hash := w.torrentOf(1)
	c.text(announce(hash, id("peer"), 0, nil))
	w.step(0)
	w.shards[1].Stop()
	w.step(1)
	if w.shards[1].Stopped() {
		t.Error("stopped, and a connection is about to come")
	}
	w.run()
	c.hangUp(0)
	w.run()
	if !w.shards[1].Stopped() {
		t.Error("not stopped, and nobody is there")
	}
	late := w.dial(0, "192.0.2.2")
	late.text(announce(hash, id("late"), 0, nil))
	w.run()
	if late.shard != 0 || len(late.messages()) != 1 {
		t.Error("a connection went to a shard that has stopped")
	}
	late.hangUp(0)
	w.run()
	w.checkEmpty()
}

// What is on its way to a shard whose loop has ended is given to its ring, which closes it.
func TestAbandon(t *testing.T) {
	w := newWorld(t, 2, nil)
	c := w.dial(0, "192.0.2.1")
	c.text(announce(w.torrentOf(1), id("peer"), 0, nil))
	w.step(0)
	w.step(0)
	ops := w.shards[1].Abandon(nil)
	if len(ops) != 1 || ops[0].Kind != ring.OpAdopt || ops[0].FD != c.fd {
		t.Errorf("got %+v", ops)
	}
}
