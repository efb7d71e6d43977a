package shard

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/post"
	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file tests how connections end, and which bytes their clients get before.

// closeReason plays one way to end, on shards whose connections follow their torrents or do not.
func closeReason(t *testing.T, want conn.Reason, wantCode int, follow bool, act func(w *world) *client) {
	t.Helper()
	w := newWorld(t, 2, func(o *Options) { o.FollowTorrents = follow })
	c := act(w)
	w.run()
	if wantCode != 0 {
		if got := c.closeCode(); got != wantCode {
			t.Errorf("%s: close code %d, want %d", want, got, wantCode)
		}
		if !c.fin {
			t.Errorf("%s: our side was not shut after the close frame", want)
		}
	}
	c.hangUp(0)
	w.advance(30 * time.Second)
	if !c.gone {
		t.Fatalf("%s: the connection was not closed", want)
	}
	if n := w.shards[c.shard].Snapshot().Table.Closed[want]; n != 1 {
		t.Errorf("%s: counted %d times; all: %v", want, n, w.shards[c.shard].Snapshot().Table.Closed)
	}
	w.checkEmpty()
}

// Every way a connection can end leads to its own reason, tells the client what it should be told, and leaves nothing
// behind.
func TestCloseReasons(t *testing.T) {
	f := func(want conn.Reason, wantCode int, act func(w *world) *client) {
		t.Helper()
		for _, follow := range []bool{false, true} {
			closeReason(t, want, wantCode, follow, act)
		}
	}
	open := func(w *world) *client {
		c := w.dial(1, "192.0.2.1")
		for k := range 8 {
			c.text(announce(id("torrent %d", k), id("peer"), 1, nil))
		}
		w.run()
		c.messages()
		return c
	}
	f(conn.ReasonClientClose, 1000, func(w *world) *client {
		c := open(w)
		c.send(clientFrame(0x88, "\x03\xe8bye"))
		return c
	})
	f(conn.ReasonEOF, 0, func(w *world) *client {
		c := open(w)
		c.hangUp(0)
		return c
	})
	f(conn.ReasonReset, 0, func(w *world) *client {
		c := open(w)
		c.hangUp(104)
		return c
	})
	f(conn.ReasonBadRequest, 0, func(w *world) *client {
		c := w.accept(0, "192.0.2.1")
		c.send([]byte("\x16\x03\x01\x02\x00\x01\x00")) // a TLS ClientHello
		w.run()
		if !bytes.HasPrefix(c.inbox, []byte("HTTP/1.1 400 ")) || !c.fin {
			w.t.Errorf("not HTTP was answered with %q", c.inbox)
		}
		return c
	})
	f(conn.ReasonHandshakeTimeout, 0, func(w *world) *client {
		c := w.accept(0, "192.0.2.1")
		c.send([]byte(testHead[:20]))
		w.advance(13 * time.Second)
		if !bytes.HasPrefix(c.inbox, []byte("HTTP/1.1 408 ")) {
			w.t.Errorf("a slow head was answered with %q", c.inbox)
		}
		return c
	})
	f(conn.ReasonIdle, 1001, func(w *world) *client {
		c := open(w)
		w.advance(179 * time.Second)
		if all := c.frames(); len(all) != 1 || all[0].op != 0x89 {
			w.t.Errorf("a silent client was sent %q, want one ping", all)
		}
		w.advance(5 * time.Second)
		return c
	})
	f(conn.ReasonSlowConsumer, 0, func(w *world) *client {
		c := open(w)
		w.stuck = true
		c.text(announce(id("torrent"), id("peer"), 0, nil))
		w.advance(15 * time.Second)
		if c.gone {
			w.t.Error("closed before the send timeout")
		}
		w.advance(8 * time.Second)
		if !c.reset {
			w.t.Error("a slow consumer was not aborted")
		}
		return c
	})
	f(conn.ReasonSlowMessage, 1008, func(w *world) *client {
		c := open(w)
		m := clientFrame(0x81, strings.Repeat("x", 1000))
		for k := range 25 { // a byte a second, and a ping between would not help it
			c.send(m[k : k+1])
			w.advance(time.Second)
		}
		return c
	})
	f(conn.ReasonProtocol, 1002, func(w *world) *client {
		c := open(w)
		c.send([]byte{0x81, 0x00}) // not masked
		return c
	})
	f(conn.ReasonTooBig, 1009, func(w *world) *client {
		c := open(w)
		c.send(clientFrame(0x81, strings.Repeat("x", 70_000))[:20])
		return c
	})
	f(conn.ReasonBadMessages, 1008, func(w *world) *client {
		c := open(w)
		for range 4 {
			c.text("x")
		}
		return c
	})
	f(conn.ReasonNoMemory, 1013, func(w *world) *client {
		c := open(w)
		w.exhaust(w.asm[c.shard])
		c.send(clientFrame(0x81, "x")[:3])
		w.run()
		w.restore(w.asm[c.shard])
		return c
	})
	f(conn.ReasonStopping, 1001, func(w *world) *client {
		c := open(w)
		for _, s := range w.shards {
			s.Stop()
		}
		return c
	})
}

// A ping is answered with its payload, between the fragments of a message too, and a pong ends the wait for one.
func TestControlFrames(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.dial(0, "192.0.2.1")
	text := `{"action":"scrape","info_hash":"` + id("hash") + `"}`
	c.send(clientFrame(0x01, text[:10]))
	c.send(clientFrame(0x89, "hello"))
	c.send(clientFrame(0x80, text[10:]))
	w.run()
	all := c.frames()
	if len(all) != 2 || all[0] != (frame{0x8a, "hello"}) || all[1].op != 0x81 {
		t.Fatalf("got %q", all)
	}
	for range 10 {
		w.advance(48 * time.Second)
		if all := c.frames(); len(all) != 1 || all[0].op != 0x89 {
			t.Fatalf("got %q, want one ping", all)
		}
		c.send(clientFrame(0x8a, ""))
	}
}

// Whatever way the bytes of a client are cut, the tracker says the same.
func TestEveryChop(t *testing.T) {
	var stream []byte
	stream = append(stream, testHead...)
	split := `{"action":"scrape","info_hash":"` + id("hash") + `"}`
	stream = append(stream, clientFrame(0x89, "ping")...)
	stream = append(stream, clientFrame(0x01, split[:7])...)
	stream = append(stream, clientFrame(0x80, split[7:])...)
	stream = append(stream, clientFrame(0x81, `{"action":"announce","info_hash":"`+id("hash")+`","peer_id":"`+id("peer")+`"}`)...)
	stream = append(stream, clientFrame(0x88, "\x03\xe9")...)
	play := func(cuts ...int) string {
		w := newWorld(t, 1, nil)
		c := w.accept(0, "192.0.2.1")
		from := 0
		for _, cut := range append(cuts, len(stream)) {
			c.send(stream[from:cut])
			w.run()
			from = cut
		}
		c.hangUp(0)
		w.run()
		w.checkEmpty()
		return string(c.inbox)
	}
	want := play()
	for cut := 1; cut < len(stream); cut++ {
		if got := play(cut); got != want {
			t.Fatalf("cut at %d: got %q, want %q", cut, got, want)
		}
	}
	var each []int
	for cut := 1; cut < len(stream); cut++ {
		each = append(each, cut)
	}
	if got := play(each...); got != want {
		t.Fatalf("byte by byte: got %q, want %q", got, want)
	}
}

// announceBig is an announce with offer k, of 2 kB.
func announceBig(k int) map[string]any {
	m := announce(id("hash"), id("fast"), 1, nil)
	offer := m["offers"].([]any)[0].(map[string]any)
	offer["offer_id"] = id("offer %d", k)
	offer["offer"] = map[string]any{"type": "offer", "sdp": strings.Repeat("s", 2000)}
	return m
}

// A client that does not read loses offers before anything else, never more than the limit waits for it, and one that
// reads again gets what waited.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, 1, nil)
	slow, fast := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2")
	slow.text(announce(id("hash"), id("slow"), 0, nil))
	w.run()
	slow.messages()
	w.stuck = true
	for k := range 40 {
		fast.text(announceBig(k))
		w.run()
		fast.read()
	}
	dropped := w.shards[0].Snapshot().Outbox.DroppedFull[outbox.Offer]
	if dropped == 0 || dropped > 35 {
		t.Fatalf("%d of 40 offers of 2 kB dropped at a limit of 24 KiB", dropped)
	}
	w.stuck = false
	slow.read()
	w.run()
	if got := len(slow.messages()); got != 40-int(dropped) {
		t.Errorf("%d offers came through, want %d", got, 40-int(dropped))
	}
}

// What comes for a client in one Step may be more than a slow one may have waiting, if it has taken all before: a busy
// swarm is not the client's fault.
func TestBurstForReader(t *testing.T) {
	w := newWorld(t, 1, nil)
	reader, fast := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2")
	reader.text(announce(id("hash"), id("reader"), 0, nil))
	w.run()
	reader.messages()
	for k := range 30 {
		fast.text(announceBig(k))
	}
	w.run()
	if got := len(reader.messages()); got != 30 {
		t.Errorf("%d of 30 offers came through at a limit of %d bytes", got, testOptions(0, 1).MaxPending)
	}
}

// A client that asks without ever reading the replies is held back when they pile up, long before they fill the memory,
// and closed when it takes none for the time that a send may take.
func TestRequestsWithoutReading(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.dial(0, "192.0.2.1")
	w.stuck = true
	for range 300 {
		for range 40 {
			c.text(announce(id("hash"), id("peer"), 0, nil))
		}
		w.advance(100 * time.Millisecond)
		if c.gone {
			break
		}
		if used := w.send[0].InUse(); used > 1<<18 {
			t.Fatalf("one client holds %d bytes", used)
		}
	}
	if n := w.shards[0].Snapshot().Outbox.HeldBack; n != 1 {
		t.Errorf("it was held back %d times", n)
	}
	if !c.gone || w.shards[0].Snapshot().Table.Closed[conn.ReasonSlowConsumer] != 1 {
		t.Fatal("the connection is still open")
	}
	w.checkEmpty()
}

// A client that sends a great many requests before it reads the first reply gets them all: it is held back, let go as
// often as it has read what waited, and what it sent meanwhile is read then, its close frame as the last.
func TestHeldBack(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.dial(0, "192.0.2.1")
	w.stuck = true
	const requests = 2000
	for range requests / 50 {
		for range 50 {
			c.text(announce(id("hash"), id("peer"), 0, nil))
		}
		w.run()
	}
	c.send(clientFrame(0x88, "\x03\xe8"))
	w.run()
	if n := w.shards[0].Snapshot().Messages.ByIP[0].MessagesIn[wsproto.ActionAnnounce]; n == requests {
		t.Fatal("it was never held back")
	}
	w.advance(10 * time.Second) // longer than it may be silent, were it heard
	for range requests {
		c.read()
		w.run()
	}
	all := c.frames()
	if len(all) != requests+1 || all[requests].op != 0x88 {
		t.Errorf("%d requests and a close frame got %d frames, the last of kind %#x", requests, len(all), all[len(all)-1].op)
	}
}

// The end of a connection reaches the owners of its torrents even when every mailbox was full at that moment.
func TestGoneIsNotLost(t *testing.T) {
	w := newWorld(t, 2, nil)
	var clients []*client
	for k := range 100 {
		c := w.dial(0, "192.0.2.1")
		for n := range 16 { // some of them belong to shard 1
			c.text(announce(id("torrent %d", n), id("peer %d", k), 0, nil))
		}
		clients = append(clients, c)
	}
	w.run()
	w.fillBox(0, 1, 11, 0)
	for _, c := range clients {
		c.hangUp(0)
	}
	s := w.shards[0]
	w.ops = s.Step(w.now, w.events[0], w.ops[:0])
	w.events[0] = nil
	if s.Snapshot().Post.Backlog == 0 {
		t.Fatal("the mailbox was not full")
	}
	w.shards[1].readMail() // now there is room
	if s.post.Reply(swarm.Addr{Shard: 1}, &post.Reply{}) {
		t.Error("mail may overtake the ends of connections that wait")
	}
	for i := range w.ops {
		w.do(0, &w.ops[i])
	}
	w.run()
	w.checkEmpty()
}

// A graceful stop says goodbye to everybody, drops who does not leave, and then reports that it is complete.
func TestStop(t *testing.T) {
	w := newWorld(t, 2, nil)
	leaves, stays, half := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2"), w.accept(1, "192.0.2.3")
	w.run()
	for _, s := range w.shards {
		s.Stop()
	}
	w.run()
	if !w.slots[0].stopped || !w.slots[1].stopped {
		t.Error("the listeners are still open")
	}
	if leaves.closeCode() != 1001 || stays.closeCode() != 1001 {
		t.Error("want close code 1001")
	}
	if !bytes.HasPrefix(half.inbox, []byte("HTTP/1.1 503 ")) {
		t.Errorf("a client in its handshake was sent %q", half.inbox)
	}
	leaves.hangUp(0)
	half.hangUp(0)
	w.run()
	if w.shards[0].Stopped() || !w.shards[1].Stopped() {
		t.Error("one shard still has a client, the other has none")
	}
	w.advance(15 * time.Second)
	if !w.shards[0].Stopped() || !stays.gone {
		t.Error("the client that stayed was not dropped")
	}
	w.checkEmpty()
}

// A connection that is accepted while the tracker stops is turned away.
func TestAcceptWhileStopping(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.dial(0, "192.0.2.1")
	w.shards[0].Stop()
	w.run()
	c := w.accept(0, "192.0.2.2")
	w.run()
	if !bytes.HasPrefix(c.inbox, []byte("HTTP/1.1 503 ")) || !c.fin {
		t.Errorf("it was sent %q", c.inbox)
	}
}

// A send that fails ends the connection, and its error is not answered with another send.
func TestSendFails(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.dial(0, "192.0.2.1")
	w.stuck = true
	c.text(announce(id("hash"), id("peer"), 0, nil))
	w.run()
	c.sending = nil
	w.push(0, ring.Event{Kind: ring.EventSent, Slot: c.slot, Errno: 104})
	w.run()
	if !c.gone || w.shards[0].Snapshot().Table.Closed[conn.ReasonReset] != 1 {
		t.Error("the connection is still open")
	}
	w.checkEmpty()
}

// A client that sends a thousand requests at once and reads gets a thousand replies, with one shard and with several.
func TestBurstOfRequests(t *testing.T) {
	for _, shards := range []int{1, 2} {
		w := newWorld(t, shards, func(o *Options) { o.Swarm.MaxPeersPerConnection = 2000 })
		c := w.dial(0, "192.0.2.1")
		for k := range 1000 {
			c.text(announce(id("torrent %d", k), id("peer"), 0, nil))
		}
		w.run()
		if n := len(c.messages()); n != 1000 {
			t.Errorf("%d shards: %d replies to 1000 requests", shards, n)
		}
	}
}

// A client that ends its side right after its requests still gets the replies, also those that other shards make.
func TestHalfClose(t *testing.T) {
	for _, shards := range []int{1, 2, 5} {
		w := newWorld(t, shards, nil)
		c := w.dial(0, "192.0.2.1")
		for k := range 20 {
			c.text(announce(id("torrent %d", k), id("peer"), 0, nil))
		}
		c.text(map[string]any{"action": "scrape", "info_hash": []string{id("torrent 1"), id("torrent 2"), id("torrent 3")}})
		c.hangUp(0)
		w.run()
		if n := len(c.messages()); n != 21 {
			t.Errorf("%d shards: %d replies to 21 requests", shards, n)
		}
		w.checkEmpty()
	}
}

// Many clients that send the beginnings of large messages, and many that do not read, keep nobody from being served for
// longer than a moment: those who hold memory longest lose it first.
func TestMemoryUnderPressure(t *testing.T) {
	w := newWorld(t, 1, nil)
	victim := w.dial(0, "192.0.2.9")
	for range 60 {
		w.dial(0, "192.0.2.1").send(clientFrame(0x81, strings.Repeat("x", 60_000))[:30_000])
	}
	w.run()
	if pool := w.asm[0]; pool.InUse() <= pool.Size()/4*3 {
		t.Fatal("memory for partial messages is not scarce")
	}
	w.advance(7 * time.Second)
	f := clientFrame(0x81, `{"action":"scrape","info_hash":"`+id("hash")+`"}`)
	victim.send(f[:20])
	w.run()
	victim.send(f[20:])
	w.run()
	if n := len(victim.messages()); n != 1 {
		t.Errorf("the victim got %d replies", n)
	}
}

// Requests and offers leave room in a full mailbox for replies: a flood from one client does not cost others theirs.
func TestFloodedMailbox(t *testing.T) {
	w := newWorld(t, 2, nil)
	s := w.shards[0]
	w.fillBox(0, 1, 5000, w.wiring[0].Boxes.Out[1].Size()/4)
	if w.wiring[0].Boxes.Out[1].Reserve(5000) == nil {
		t.Error("no room for a reply")
	}
	c := w.dial(0, "192.0.2.1")
	for k := range 20 {
		c.text(announce(id("torrent %d", k), id("peer"), 1, nil))
	}
	w.ops = s.Step(w.now, w.events[0], w.ops[:0]) // before the other shard reads
	w.events[0] = nil
	for i := range w.ops {
		w.do(0, &w.ops[i])
	}
	w.run()
	replies, failures := 0, 0
	for _, m := range c.messages() {
		if m["failure reason"] == nil {
			replies++
		} else {
			failures++
		}
	}
	if replies+failures != 20 || uint64(failures) != s.Snapshot().Messages.Overloaded[1] {
		t.Errorf("%d replies, %d failures, %d counted", replies, failures, s.Snapshot().Messages.Overloaded[1])
	}
}

// A shard that writes to one which sleeps wakes it, once, and does not wake one that is up.
func TestWake(t *testing.T) {
	w := newWorld(t, 2, func(o *Options) { o.FollowTorrents = false })
	c := w.dial(0, "192.0.2.1")
	wakes := func() int {
		for k := range 10 {
			c.text(announce(id("torrent %d", k), id("peer"), 0, nil))
		}
		w.ops = w.shards[0].Step(w.now, w.events[0], w.ops[:0])
		w.events[0] = nil
		n := 0
		for i := range w.ops {
			if w.ops[i].Kind == ring.OpWake && w.ops[i].Target == 1 {
				n++
			}
			w.do(0, &w.ops[i])
		}
		return n
	}
	w.shards[1].AwakeAgain()
	if n := wakes(); n != 0 {
		t.Errorf("a shard that is up was woken %d times", n)
	}
	w.run()
	if !w.shards[1].PrepareToSleep() {
		t.Fatal("there is mail at rest")
	}
	if n := wakes(); n != 1 {
		t.Errorf("a sleeping shard was woken %d times", n)
	}
	if w.shards[1].PrepareToSleep() {
		t.Error("a shard may sleep over its mail")
	}
}

// A peer that only keeps its connection alive stays in the swarm until it has been quiet for too long.
func TestQuietPeer(t *testing.T) {
	w := newWorld(t, 1, nil)
	c, other := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2")
	c.text(announce(id("hash"), id("peer"), 0, nil))
	for range 1790 / 30 {
		w.advance(30 * time.Second)
		c.send(clientFrame(0x89, ""))
		other.send(clientFrame(0x89, ""))
	}
	peers := func() any {
		w.run()
		other.frames()
		other.text(map[string]any{"action": "scrape", "info_hash": id("hash")})
		w.run()
		return other.messages()[0]["files"].(map[string]any)[id("hash")].(map[string]any)["incomplete"]
	}
	if n := peers(); n != 1.0 {
		t.Errorf("%v peers before max_quiet_peer_age", n)
	}
	w.advance(70 * time.Second)
	if n := peers(); n != 0.0 || c.gone {
		t.Errorf("%v peers after max_quiet_peer_age, connection gone: %v", n, c.gone)
	}
}

// A client that does not answer a close frame is gone after the close timeout.
func TestCloseTimeout(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.dial(0, "192.0.2.1")
	c.send([]byte{0x81, 0x00})
	w.advance(2 * time.Second)
	if c.gone {
		t.Error("gone before the close timeout")
	}
	w.advance(4 * time.Second)
	if !c.reset {
		t.Error("still there after the close timeout")
	}
	w.checkEmpty()
}

// A stop reaches every connection, also where there are more than one Step deals with.
func TestStopManyConnections(t *testing.T) {
	w := newWorld(t, 1, func(o *Options) { o.MaxConnections = 3 * maxToldPerStep })
	var all []*client
	for range 2*maxToldPerStep + 10 {
		all = append(all, w.dial(0, "192.0.2.1"))
	}
	w.shards[0].Stop()
	w.run()
	for k, c := range all {
		if c.closeCode() != 1001 {
			t.Fatalf("connection %d was not told", k)
		}
	}
}

// Time in which the process was stopped is not silence of its clients: after ten minutes away a connection is open, it is
// pinged, and it is closed only when it does not answer for as long as any other.
func TestStoppedProcess(t *testing.T) {
	w := newWorld(t, 1, nil)
	c := w.dial(0, "192.0.2.1")
	w.now += 10 * time.Minute
	w.run()
	w.advance(10 * time.Second)
	if c.fin || c.gone || len(c.frames()) != 0 {
		t.Fatal("the client was pinged or closed for the silence of the tracker")
	}
	w.advance(60 * time.Second)
	if all := c.frames(); len(all) != 1 || all[0].op != 0x89 {
		t.Fatalf("the silent client got %v, want a ping", all)
	}
	w.advance(200 * time.Second)
	if c.closeCode() != 1001 {
		t.Error("the silent client was not closed as idle")
	}
}
