package shard

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file proves what an operator sees of connections and torrents, and that an order of theirs ends the connections of an
// address, over several Steps where there are many.

// ask has shard k answer a look.
func (w *world) ask(k int, l Look) {
	w.t.Helper()
	answered := false
	w.shards[k].Look(l, func() { answered = true })
	w.run()
	if !answered {
		w.t.Fatal("the look was not answered")
	}
}

// TestLookConnections proves that a look shows the connections of a network with what they have used, counts those that it
// does not show, and goes over a large table in several Steps.
func TestLookConnections(t *testing.T) {
	const others = 2*maxScanPerStep + 5
	w := newWorld(t, 1, func(o *Options) { o.MaxConnections = others + 10 })
	a, b := w.dial(0, "192.0.2.1"), w.accept(0, "192.0.2.2")
	for k := range others {
		w.accept(0, fmt.Sprintf("198.51.%d.%d", 100+k/250, k%250))
	}
	w.run()
	w.advance(3 * time.Second)
	a.text(announce(id("a"), id("peer"), 0, nil))
	w.run()
	w.stuck = true
	a.text(announce(id("a"), id("peer"), 0, nil))
	w.run()
	l := LookConnections{Client: netip.MustParsePrefix("192.0.2.0/24")}
	w.ask(0, &l)
	if l.All != 2 || len(l.Found) != 2 {
		t.Fatalf("%+v", l)
	}
	c := l.Found[0]
	if c.Client.String() != fmt.Sprintf("192.0.2.1:%d", 1000+a.fd) || c.State != conn.Open || c.Messages != 2 || c.Dropped != 0 ||
		c.BytesIn == 0 || c.BytesOut == 0 || c.Waiting == 0 || c.Since != 3 || c.LastSeen != 0 || c.Addr.Gen == 0 {
		t.Errorf("%+v", c)
	}
	if c = l.Found[1]; c.State != conn.Handshake || c.Messages != 0 || c.Client.Addr() != netip.MustParseAddr("192.0.2.2") || b.gone {
		t.Errorf("%+v", c)
	}
	l = LookConnections{Most: 7}
	steps, answered := 0, false
	w.shards[0].Look(&l, func() { answered = true })
	for ; !answered; steps++ {
		w.step(0)
	}
	if l.All != others+2 || len(l.Found) != 7 || steps != 3 {
		t.Errorf("%d of %d found in %d Steps", len(l.Found), l.All, steps)
	}
}

// TestLookTorrents proves that a look shows the largest torrents, or those whose info hashes begin with some bytes, with
// their peers, and the torrents of a connection.
func TestLookTorrents(t *testing.T) {
	w := newWorld(t, 1, nil)
	var clients []*client
	for k := range 5 {
		c := w.dial(0, fmt.Sprintf("192.0.2.%d", k+1))
		clients = append(clients, c)
		for torrent := range k + 1 { // torrent 0 has 5 peers, torrent 4 has one
			c.text(announce(id("torrent %d", torrent), id("peer %d", k), 0, map[string]any{"left": k % 2}))
		}
	}
	w.run()
	l := LookTorrents{Most: 2}
	w.ask(0, &l)
	var sizes []uint32
	for _, f := range l.Found {
		sizes = append(sizes, f.Seeders+f.Leechers)
	}
	slices.Sort(sizes)
	if l.All != 5 || !slices.Equal(sizes, []uint32{4, 5}) {
		t.Errorf("%+v", l)
	}
	l = LookTorrents{Hash: []byte("torrent 1"), Most: 8, Peers: 3}
	w.ask(0, &l)
	if l.All != 1 || len(l.Seats) != 3 || !bytes.HasPrefix(l.Found[0].Key.Hash[:], []byte("torrent 1")) ||
		l.Found[0].Seeders != 2 || l.Found[0].Leechers != 2 {
		t.Errorf("%s: %+v", hex.EncodeToString(l.Hash), l)
	}
	seats := LookSeats{Of: []swarm.Addr{{Index: clients[4].slot.Index, Gen: clients[4].slot.Gen}, {Index: 99, Gen: 1}}}
	w.ask(0, &seats)
	if len(seats.Found) != 5 || seats.Found[0].Peer != swarm.ID([]byte(id("peer 4"))) || seats.Now == 0 {
		t.Errorf("%+v", seats)
	}
}

// TestExpel proves that the connections of a banned address end with close code 1008, or an HTTP error before their upgrade,
// and those of others do not, nor those of addresses
// without limits, in a table of any size.
func TestExpel(t *testing.T) {
	w := newWorld(t, 1, func(o *Options) {
		o.MaxConnections = 3 * maxExpelledPerStep
		o.Addresses = guard.New(guard.Options{Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}})
	})
	spared := w.dial(0, "192.0.2.129")
	var bad, good []*client
	for range 2 * maxExpelledPerStep / 3 {
		bad = append(bad, w.dial(0, "192.0.2.1"))
		good = append(good, w.dial(0, "192.0.2.2"))
	}
	half := w.accept(0, "192.0.2.1")
	w.run()
	l := Expel{Client: netip.MustParsePrefix("192.0.2.1/32")}
	w.ask(0, &l)
	if l.Ended != len(bad)+1 {
		t.Errorf("%d ended, want %d", l.Ended, len(bad)+1)
	}
	for k := range bad {
		if bad[k].closeCode() != 1008 || good[k].fin {
			t.Fatalf("connection %d", k)
		}
	}
	if !bytes.HasPrefix(half.inbox, []byte("HTTP/1.1 429 ")) {
		t.Errorf("before the upgrade it was sent %q", half.inbox)
	}
	if st := w.shards[0].Snapshot(); st.Table.Conns[conn.Open] != len(good)+1 {
		t.Errorf("%+v", st.Table.Conns)
	}
	l = Expel{Client: netip.MustParsePrefix("192.0.2.128/25")}
	if w.ask(0, &l); l.Ended != 0 || spared.fin {
		t.Errorf("%d connections without limits ended", l.Ended)
	}
}

// TestDrain proves that a drain closes the listeners at once, tells the clients to go evenly over its time, and that a stop
// meanwhile tells all others at once.
func TestDrain(t *testing.T) {
	const n = 100
	told := func(all []*client) (count int) {
		for _, c := range all {
			if c.fin {
				count++
			}
		}
		return count
	}
	for _, stop := range []bool{false, true} {
		w := newWorld(t, 1, func(o *Options) { o.MaxConnections = 2 * n })
		var all []*client
		var gone []*client // those before the others in the table
		for range n {
			gone = append(gone, w.dial(0, "192.0.2.1"))
		}
		for range n {
			all = append(all, w.dial(0, "192.0.2.1"))
		}
		for _, c := range gone {
			c.hangUp(0)
		}
		w.run()
		s := w.shards[0]
		s.Drain(10 * time.Second)
		w.run()
		if !w.slots[0].stopped || told(all) != 0 {
			t.Fatalf("the listeners are open, or %d clients were told at once", told(all))
		}
		s.Drain(time.Hour) // a second one changes nothing
		w.advance(5 * time.Second)
		if got := told(all); got < n/2-3 || got > n/2+3 {
			t.Errorf("%d of %d clients were told in half of the time", got, n)
		}
		if stop {
			s.Stop()
			w.run()
		} else {
			w.advance(5 * time.Second)
		}
		if told(all) != n || all[0].closeCode() != 1001 || s.Stopped() {
			t.Errorf("%d of %d clients were told", told(all), n)
		}
		for _, c := range all {
			c.hangUp(0)
		}
		w.run()
		if !s.Stopped() {
			t.Error("the drain is not over though everybody has gone")
		}
		w.checkEmpty()
	}
}

// TestDrainNeedsAllShards proves that a shard without connections serves those of others until a drain has told these to go, and that
// one which does not hear of their end ends with the time of the drain.
func TestDrainNeedsAllShards(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		w := newWorld(t, 2, func(o *Options) { o.FollowTorrents = false })
		hash := wsproto.ID{}
		for k := 0; swarm.Owner(w.shards[0].opt.OwnerSeed, &hash, 2) == 0; k++ {
			hash = wsproto.ID([]byte(id("%d", k)))
		}
		c := w.dial(0, "192.0.2.1")
		w.run()
		for _, s := range w.shards {
			s.Drain(10 * time.Second)
		}
		w.advance(5 * time.Second)
		c.text(announce(string(hash[:]), id("peer"), 0, nil))
		w.run()
		if m := c.messages(); len(m) != 1 || w.shards[1].Stopped() {
			t.Errorf("%d replies in a drain, and the shard of the torrent has stopped: %t", len(m), w.shards[1].Stopped())
		}
		if leaves {
			c.hangUp(0)
			w.run()
		} else {
			w.shards[1].chores.stop.final = true
		}
		if !w.shards[1].Stopped() {
			t.Errorf("leaves %t: the shard goes on", leaves)
		}
	}
}

// TestUseMovesAlong proves that a connection that follows its torrent to another shard keeps what it has used: the time, bytes
// and messages, each counted once.
func TestUseMovesAlong(t *testing.T) {
	w := newWorld(t, 2, func(o *Options) { o.FollowTorrents = true })
	first := w.dial(1, "192.0.2.1")
	hash := id("a")
	for k := 0; w.shards[0].torrents.Loans.Home(hashOf(hash)) != 1; k++ {
		hash = id("torrent %d", k)
	}
	first.text(announce(hash, id("first"), 0, nil))
	w.run()
	c := w.dial(0, "192.0.2.2")
	w.advance(5 * time.Second)
	c.text(announce(hash, id("second"), 0, nil))
	w.run()
	l := LookConnections{Client: netip.MustParsePrefix("192.0.2.2/32")}
	w.ask(1, &l)
	if len(l.Found) != 1 || !l.Found[0].Flags.Has(conn.Moved) {
		t.Fatalf("the connection has not moved: %+v", l)
	}
	if f := l.Found[0]; f.Since != 5 || f.Messages != 1 || f.BytesIn < uint64(len(testHead))+100 || f.BytesOut < 200 {
		t.Errorf("%+v", f)
	}
}

// hashOf returns an info hash as a number of bytes.
func hashOf(text string) *swarm.ID { return (*swarm.ID)([]byte(text)) }
