package shard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
)

// This file tests the limits of addresses and connections on whole shards: the client that breaks one loses, and others are
// served.

// limited gives a world the limits, with a table of addresses that all shards share.
func limited(change func(*Limits)) func(*Options) {
	var table *guard.Table
	return func(o *Options) {
		l := Limits{Active: true}
		change(&l)
		if table == nil {
			table = l.Addresses(1024, guard.Secret{})
		}
		o.Guard, o.Addresses = l, table
	}
}

// inUse returns how many addresses the table of a world counts.
func (w *world) inUse() int { return w.shards[0].opt.Addresses.Stats(w.now).InUse }

// A client's address has as many connections as it may, on all shards together; the others are reset before anything is
// read, another address is served, and a place is free again when a connection ends. A connection that follows its torrent
// to another shard counts once.
func TestConnectionsPerAddress(t *testing.T) {
	w := newWorld(t, 2, limited(func(l *Limits) { l.ConnectionsPerAddress = 4 }))
	var kept []*client
	for k := range 10 {
		c := w.accept(k%2, "192.0.2.1")
		w.run()
		if c.gone != (k >= 4) || c.gone && !c.reset {
			t.Errorf("connection %d: gone %v, reset %v", k, c.gone, c.reset)
		}
		if !c.gone {
			kept = append(kept, c)
		}
	}
	if n := w.total().Table.Closed[conn.ReasonAddressLimit]; n != 6 {
		t.Errorf("%d were closed for the limit", n)
	}
	other := w.dial(0, "192.0.2.2")
	other.text(announce(w.torrentOf(1), id("other"), 0, nil))
	kept[0].send([]byte(testHead))
	kept[0].text(announce(w.torrentOf(1-kept[0].shard), id("peer"), 0, nil))
	w.run()
	if w.total().Mover.MovedIn == 0 || len(other.messages()) != 1 {
		t.Fatal("nobody moved, or another address was not served")
	}
	if c := w.accept(0, "192.0.2.1"); true {
		if w.run(); !c.gone {
			t.Error("a connection that moved to another shard does not count any more")
		}
	}
	kept[0].hangUp(0)
	w.run()
	w.dial(1, "192.0.2.1")
	for _, c := range w.all {
		c.hangUp(0)
	}
	w.run()
	w.checkEmpty()
	if n := w.inUse(); n != 0 {
		t.Errorf("%d addresses are still in use", n)
	}
}

// Behind a proxy the clients count and the proxy does not: by the PROXY protocol, and by header fields.
func TestLimitsBehindProxy(t *testing.T) {
	f := func(what string, change func(*Options), head func(client int) string) {
		t.Helper()
		limit := limited(func(l *Limits) { l.ConnectionsPerAddress = 3 })
		w := newWorld(t, 1, func(o *Options) { limit(o); trustLoopback(o); change(o) })
		upgraded := 0
		for k := range 50 {
			c := w.accept(0, "127.0.0.1")
			c.send([]byte(head(k % 10)))
			w.run()
			if bytes.HasPrefix(c.inbox, []byte("HTTP/1.1 101 ")) {
				upgraded++
			}
		}
		if upgraded != 30 {
			t.Errorf("%s: %d of 50 connections of 10 clients were let in, want 3 each", what, upgraded)
		}
		for _, c := range w.all {
			c.hangUp(0)
		}
		w.advance(10 * time.Second)
		w.checkEmpty()
		if n := w.inUse(); n != 0 {
			t.Errorf("%s: %d addresses are still in use", what, n)
		}
	}
	f("X-Forwarded-For", func(*Options) {}, func(k int) string {
		return testHead[:len(testHead)-2] + fmt.Sprintf("X-Forwarded-For: 192.0.2.%d\r\n\r\n", k)
	})
	f("PROXY", func(o *Options) { o.Listeners[0].ProxyProtocol = true }, func(k int) string {
		return fmt.Sprintf("PROXY TCP4 192.0.2.%d 198.51.100.1 1000 80\r\n", k) + testHead
	})
}

// A client that sends messages faster than its rate is not read from until it has paid for them; all of them are served,
// none is lost, and it is not closed.
func TestMessageRate(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) {
		l.MessagesPerConnectionRate, l.MessagesPerConnectionBurst = 10, 20
	}))
	c, other := w.dial(0, "192.0.2.1"), w.dial(0, "192.0.2.2")
	const sent = 100
	for range sent {
		c.text(announce(id("hash"), id("peer"), 0, nil))
	}
	w.run()
	got := len(c.messages())
	if got < 20 || got > 22 || !c.paused {
		t.Fatalf("%d replies at once, paused %v", got, c.paused)
	}
	other.text(announce(id("hash"), id("other"), 0, nil))
	w.run()
	if len(other.messages()) != 1 {
		t.Error("another client was not served")
	}
	for seconds := 0; got < sent; seconds++ {
		w.advance(time.Second)
		got += len(c.messages())
		if c.gone || seconds > 30 || got > 22+10*(seconds+3) {
			t.Fatalf("%d replies after %d seconds, gone %v", got, seconds, c.gone)
		}
	}
	for _, c := range w.all {
		c.hangUp(0)
	}
	w.run()
	w.checkEmpty()
}

// A client that ends its side behind more bytes than its turn and its rates allow gets a reply to each request first.
func TestPostponedUntilRead(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) {
		l.MessagesPerConnectionRate, l.MessagesPerConnectionBurst, l.BytesPerConnectionTurn = 100, 50, 4096
	}))
	c := w.dial(0, "192.0.2.1")
	for range 120 {
		c.text(announce(id("hash"), id("peer"), 0, nil))
	}
	c.hangUp(0)
	w.run()
	w.advance(4 * time.Second)
	if n := len(c.messages()); n != 120 || !c.fin && !c.gone {
		t.Errorf("%d replies, gone %v", n, c.gone)
	}
	w.advance(10 * time.Second)
	w.checkEmpty()
}

// A Step reads so many bytes of a connection that floods and no more; the others follow in the next Steps, in order.
func TestTurnBytes(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) {
		l.BytesPerConnectionTurn, l.ControlFramesPerConnectionRate, l.ControlFramesPerConnectionBurst = 8<<10, 1000, 1000
	}))
	c := w.dial(0, "192.0.2.1")
	var flood []byte
	for range 1000 {
		flood = append(flood, clientFrame(0x89, "ping")...)
	}
	c.send(flood)
	w.step(0)
	first := w.total().Messages.PingsIn
	if most := uint64(8<<10/frameCost + 1); first > most || !w.shards[0].Busy() {
		t.Errorf("a Step read %d pings, want %d at most", first, most)
	}
	w.run()
	if n := len(c.frames()); n != 1000 || w.total().Meter.Postponed == 0 {
		t.Errorf("%d of 1000 pongs", n)
	}
}

// TestGoodClientsHaveNoTurns proves that clients within their rates are read at once, however many they are and however much each
// has sent: a loop that has fallen behind catches up.
func TestGoodClientsHaveNoTurns(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) {
		l.BytesPerConnectionTurn, l.MessagesPerConnectionRate, l.MessagesPerConnectionBurst = 1024, 50, 1000
	}))
	const conns, each = 50, 20
	for k := range conns {
		c := w.dial(0, fmt.Sprintf("192.0.2.%d", k))
		for range each {
			c.text(announce(id("hash"), id("peer %d", k), 0, nil))
		}
	}
	w.step(0)
	if st := w.total(); st.Torrents.Swarm.Peers != conns || st.Meter.Postponed != 0 || w.shards[0].Busy() {
		t.Errorf("%d of %d peers after a Step, %d clients were postponed", st.Torrents.Swarm.Peers, conns, st.Meter.Postponed)
	}
}

// TestCrowded proves that the burst of a fast client waits in its socket and not in memory: it is not received from while
// much of it waits for its turn, it is not closed, and every request gets its reply.
func TestCrowded(t *testing.T) {
	const turn, each, packets = 4096, 10, 60
	w := newWorld(t, 1, limited(func(l *Limits) {
		l.BytesPerConnectionTurn, l.AssemblyBytesPerAddress = turn, 64<<10
		l.MessagesPerConnectionRate, l.MessagesPerConnectionBurst = 1000, 1000
	}))
	c := w.dial(0, "192.0.2.1")
	var packet []byte
	for range each {
		text, err := json.Marshal(announce(id("hash"), id("peer"), 0, nil))
		if err != nil {
			t.Fatal(err)
		}
		packet = append(packet, clientFrame(0x81, fmt.Sprintf("%-600s", text))...)
	}
	most := 0
	for range packets {
		c.send(packet)
		w.step(0)
		most = max(most, w.asm[0].InUse())
	}
	if st := w.total(); st.Meter.Crowded == 0 || !c.paused || most > 32<<10 {
		t.Errorf("received from all the time %v, paused %v, with at most %d bytes in memory", st.Meter.Crowded == 0, c.paused, most)
	}
	w.run()
	if replies := len(c.messages()); replies != each*packets || c.fin || c.gone || c.paused {
		t.Errorf("%d replies to %d requests, ended %v, paused %v", replies, each*packets, c.fin || c.gone, c.paused)
	}
	c.hangUp(0)
	w.run()
	w.checkEmpty()
}

// A client that sends control frames faster than its rate is closed with 1008.
func TestControlFlood(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) {
		l.ControlFramesPerConnectionRate, l.ControlFramesPerConnectionBurst = 10, 100
	}))
	c := w.dial(0, "192.0.2.1")
	for range 100 {
		c.send(clientFrame(0x89, ""))
	}
	w.run()
	if n := len(c.frames()); n != 100 {
		t.Fatalf("%d pongs to a burst of 100", n)
	}
	w.advance(time.Second)
	for range 11 {
		c.send(clientFrame(0x89, ""))
	}
	w.run()
	if c.closeCode() != 1008 || w.total().Table.Closed[conn.ReasonControlFlood] != 0 {
		t.Error("the flood was not closed with 1008")
	}
	c.hangUp(0)
	w.run()
	if w.total().Table.Closed[conn.ReasonControlFlood] != 1 {
		t.Error("the reason was not counted")
	}
	w.checkEmpty()
}

// TestOffersToReceiver proves that a peer gets no more offers than its rate, from whatever number of connections they come, and
// no more than half of them from the address from which most come; others have the rest. Replies still reach it.
func TestOffersToReceiver(t *testing.T) {
	w := newWorld(t, 2, limited(func(l *Limits) { l.OffersToReceiverRate, l.OffersToReceiverBurst = 5, 10 }))
	victim := w.dial(0, "192.0.2.1")
	victim.text(announce(id("hash"), id("victim"), 0, nil))
	w.run()
	victim.messages()
	offerFrom := func(k int, address string) {
		c := w.dial(k%2, address)
		c.text(announce(id("hash"), id("peer %d", k), 0, nil))
		w.run()
		c.text(announce(id("hash"), id("peer %d", k), 10, nil))
		w.run()
		c.text(announce(id("hash"), id("peer %d", k), 0, map[string]any{"event": "stopped"}))
		w.run()
	}
	for k := range 40 {
		offerFrom(k, "192.0.2.2")
	}
	if n := len(victim.messages()); n != 5 {
		t.Errorf("%d offers at once from one address, want 5", n)
	}
	for k := range 40 {
		offerFrom(k, fmt.Sprintf("192.0.2.%d", 10+k))
	}
	if n := len(victim.messages()); n != 5 {
		t.Errorf("%d offers at once from other addresses, want 5", n)
	}
	victim.text(announce(id("hash"), id("victim"), 0, nil))
	w.run()
	if n := len(victim.messages()); n != 1 || w.total().Meter.OffersDropped == 0 {
		t.Errorf("%d replies to a peer with many offers", n)
	}
}

// Half-built messages of one address take no more memory than it may hold: its connections with most bytes lose them, with
// 1013, and the small message of another address that comes in two segments is served.
func TestHalfBuiltBytes(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) { l.AssemblyBytesPerAddress = 128 << 10 }))
	var attackers []*client
	for range 100 {
		c := w.dial(0, "192.0.2.1")
		c.send(clientFrame(0x81, string(make([]byte, 60_000)))[:30_000])
		w.run()
		attackers = append(attackers, c)
	}
	if n := w.asm[0].InUse(); n > 2*128<<10 {
		t.Errorf("one address holds %d bytes", n)
	}
	closed := 0
	for _, c := range attackers {
		if c.fin || c.gone {
			closed++
		}
	}
	if closed < 90 {
		t.Errorf("%d of 100 were closed", closed)
	}
	c := w.dial(0, "192.0.2.2")
	f := clientText(t, announce(id("hash"), id("peer"), 10, nil))
	c.send(f[:100])
	w.run()
	c.send(f[100:])
	w.run()
	if len(c.messages()) != 1 {
		t.Error("a message in two segments was not served")
	}
	for _, c := range w.all {
		c.hangUp(0)
	}
	w.run()
	w.checkEmpty()
	if n := w.inUse(); n != 0 {
		t.Errorf("%d addresses are still in use", n)
	}
}

// Clients of one address that ask for much and do not read take no more send memory than the address may hold; offers
// between two other clients are relayed.
func TestUnsentBytes(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) { l.SendBytesPerAddress = 256 << 10 }))
	a, b := w.dial(0, "192.0.2.2"), w.dial(0, "192.0.2.3")
	a.text(announce(id("hash"), id("a"), 0, nil))
	w.run()
	var attackers []*client
	for range 64 {
		attackers = append(attackers, w.dial(0, "192.0.2.1"))
	}
	var hashes []string
	for k := range 64 {
		hashes = append(hashes, id("torrent %d", k))
	}
	w.stuck = true
	for range 100 {
		for _, c := range attackers {
			c.text(map[string]any{"action": "scrape", "info_hash": hashes})
		}
		w.run()
	}
	if n := w.send[0].InUse(); n > 3*256<<10 {
		t.Errorf("one address holds %d bytes", n)
	}
	b.text(announce(id("hash"), id("b"), 3, nil))
	w.run()
	a.read()
	w.run()
	a.read()
	if n := len(a.messages()); n != 2 {
		t.Errorf("%d messages to an honest client, want a reply and an offer", n)
	}
}

// An address has as many peers as it may, over all its connections and all shards. A peer that is there is served, a new one
// gets a failure, another address has its own, and peers that go make room.
func TestPeersPerAddress(t *testing.T) {
	w := newWorld(t, 2, limited(func(l *Limits) { l.PeersPerAddress = 8 }))
	replies := func(c *client, hash, peer string, more map[string]any) bool {
		t.Helper()
		c.text(announce(hash, peer, 0, more))
		w.run()
		all := c.messages()
		return len(all) == 1 && all[0]["failure reason"] == nil
	}
	a, b, other := w.dial(0, "2001:db8::1"), w.dial(1, "2001:db8::2"), w.dial(0, "2001:db8:0:1::1")
	served := 0
	for k := range 10 {
		for _, c := range []*client{a, b} {
			if replies(c, id("torrent %d", k), id("peer of %d", c.fd), nil) {
				served++
			}
		}
	}
	if served < 8 || served > 9 { // the shards see each other's counts a moment late
		t.Errorf("%d announces of 20 were served, want 8", served)
	}
	if !replies(a, id("torrent 0"), id("peer of %d", a.fd), nil) {
		t.Error("a peer that is there was refused")
	}
	if !replies(other, id("torrent 9"), id("other"), nil) {
		t.Error("another address was refused")
	}
	for k := range 4 {
		replies(a, id("torrent %d", k), id("peer of %d", a.fd), map[string]any{"event": "stopped"})
	}
	if !replies(b, id("torrent 8"), id("peer of %d", b.fd), nil) {
		t.Error("there is no room after peers have gone")
	}
	for _, c := range w.all {
		c.hangUp(0)
	}
	w.run()
	w.checkEmpty()
	if n := w.inUse(); n != 0 {
		t.Errorf("%d addresses are still in use", n)
	}
}

// A client that goes on to send when its connection ends is reset after a bounded number of bytes.
func TestFloodAfterClose(t *testing.T) {
	const maxSeen = 15 // times 4 KiB: just below the bound
	w := newWorld(t, 1, limited(func(*Limits) {}))
	c := w.dial(0, "192.0.2.1")
	c.send(clientFrame(0x88, "\x03\xe8"))
	w.run()
	for range maxSeen {
		c.send(make([]byte, 4096))
	}
	w.run()
	if c.gone {
		t.Fatal("a client was reset that may not have seen the close frame yet")
	}
	for range 2 {
		c.send(make([]byte, 4096))
		w.run()
	}
	if !c.gone || !c.reset || w.total().Table.Closed[conn.ReasonClientClose] != 1 {
		t.Errorf("gone %v, reset %v", c.gone, c.reset)
	}
	w.checkEmpty()
}

// One connection with many offers does not use up what its receivers may get from others.
func TestOffersFromSender(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) { l.OffersToReceiverRate, l.OffersToReceiverBurst = 20, 100 }))
	victim := w.dial(0, "192.0.2.1")
	victim.text(announce(id("hash"), id("victim"), 0, nil))
	junk := w.dial(0, "192.0.2.2")
	for k := range 2000 {
		m := announce(id("hash"), id("junk"), 1, nil)
		m["offers"].([]any)[0].(map[string]any)["offer_id"] = id("junk %d", k)
		junk.text(m)
		if k%10 == 0 {
			w.advance(10 * time.Millisecond)
		}
	}
	w.advance(5 * time.Second)
	victim.messages()
	honest := w.dial(0, "192.0.2.3")
	junk.text(announce(id("hash"), id("junk"), 0, map[string]any{"event": "stopped"}))
	w.run()
	honest.text(announce(id("hash"), id("honest"), 1, nil))
	w.run()
	if n := len(victim.messages()); n != 1 || w.total().Meter.OffersHeld < 1000 {
		t.Errorf("the victim got %d honest offers, %d others were held", n, w.total().Meter.OffersHeld)
	}
}

// The more connections have bytes that wait for their turn, the fewer of them one Step reads from each.
func TestManyFlooders(t *testing.T) {
	w := newWorld(t, 1, limited(func(l *Limits) {
		l.BytesPerConnectionTurn, l.ControlFramesPerConnectionRate, l.ControlFramesPerConnectionBurst = 16<<10, 1000, 1000
	}))
	var flood []byte
	for range 400 {
		flood = append(flood, clientFrame(0x89, "ping")...)
	}
	var all []*client
	for k := range 100 {
		all = append(all, w.dial(0, fmt.Sprintf("192.0.2.%d", k)))
	}
	for _, c := range all {
		c.send(flood)
	}
	w.step(0)
	before := w.total().Messages.PingsIn
	w.step(0)
	if n := w.total().Messages.PingsIn - before; n > uint64(len(all)*(1<<10/frameCost+1)) {
		t.Errorf("a Step read %d pings of %d connections", n, len(all))
	}
	w.run()
	for _, c := range all {
		if n := len(c.frames()); n != 400 {
			t.Fatalf("%d of 400 pongs", n)
		}
	}
}
