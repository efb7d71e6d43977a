package shard

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/post"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the make-believe clients and rings of the tests of this package.

// world is some shards with clients around them and no kernel between: ops are carried out at once and without fault.
// It is for tests of what shards decide; package simulation has the faults.
type world struct {
	t      testing.TB
	now    time.Duration
	took   time.Duration // by each Step
	shards []*Shard
	wiring []Wiring
	asm    []*pool.Pool // by shard
	send   []*pool.Pool
	taken  map[*pool.Pool][]pool.Buf // memory kept from the shards
	events [][]ring.Event
	ops    []ring.Op
	slots  []slots
	stuck  bool // sends are not completed: clients do not read
	full   bool // the connection tables take nobody in
	all    []*client
}

// slots is the connection table of one make-believe ring.
type slots struct {
	clients []*client
	gens    []uint32
	stopped bool
}

// client is one connection as its client sees it.
type client struct {
	w       *world
	shard   int
	slot    ring.Slot
	inbox   []byte // what the tracker has sent and frames has not taken yet
	fin     bool   // the tracker has shut its side
	reset   bool   // the connection was aborted
	gone    bool   // EventClosed has been given
	sending []byte // the send in flight, while the world is stuck
	fd      int32  // its index in world.all
	paused  bool   // by OpPause, or on its way to another shard
	single  bool   // it was paused: one event at a time
	waiting bool   // one will be seen in the next step
	held    []ring.Event
}

// testOptions are those of a shard with small limits.
func testOptions(id, n int) Options {
	return Options{
		ID: id, Shards: n, MaxConnections: 256,
		OwnerSeed: [2]uint64{1, 2}, SourceSeed: testSeed,
		Swarm: swarm.Options{
			Seed: [2]uint64{3, 4}, MaxPeerAge: 180, MaxQuietAge: 1800, MaxOfferAge: 120,
			MaxPeersPerConnection: 64, MaxIDsPerTorrent: 4, MaxPeers: 10_000, MaxPendingOffers: 10_000, MaxPendingPerPeer: 64,
		},
		MaxHead: 4096, Limits: wsproto.Limits{Message: 65536, Frame: 65536}, MaxPending: 24 << 10,
		MaxOffers: 10, MaxScrape: 64, Interval: 120, MaxBadMessages: 3,
		HandshakeTimeout: 10, PingInterval: 45, IdleTimeout: 180, SendTimeout: 20, CloseTimeout: 3, ShutdownTimeout: 10,
		ScanPeriod: time.Second, SweepPeriod: 30 * time.Second,
		FollowTorrents: true,
	}
}

var testSeed = guard.Secret{1}

// newWorld returns n shards; change may alter their options.
func newWorld(t testing.TB, n int, change func(*Options)) *world {
	return newWorldOn(t, Wire(n, 1<<18), change)
}

// newWorldOn is newWorld with mailboxes.
func newWorldOn(t testing.TB, wirings []Wiring, change func(*Options)) *world {
	n := len(wirings)
	w := &world{t: t, events: make([][]ring.Event, n), slots: make([]slots, n), taken: map[*pool.Pool][]pool.Buf{}}
	for id, wiring := range wirings {
		o := testOptions(id, n)
		if change != nil {
			change(&o)
		}
		w.slots[id].clients = make([]*client, o.MaxConnections)
		w.slots[id].gens = make([]uint32, o.MaxConnections)
		w.send = append(w.send, pool.New(make([]byte, 4<<20)))
		w.asm = append(w.asm, pool.New(make([]byte, 1<<20)))
		w.wiring = append(w.wiring, wiring)
		w.shards = append(w.shards, New(o, w.send[id], w.asm[id], wiring))
	}
	w.run()
	return w
}

// exhaust takes all memory of a pool. restore gives it back.
func (w *world) exhaust(p *pool.Pool) {
	for size := p.Size(); size >= 512; {
		if b := p.Get(size); b != 0 {
			w.taken[p] = append(w.taken[p], b)
		} else {
			size /= 2
		}
	}
}

func (w *world) restore(p *pool.Pool) {
	for _, b := range w.taken[p] {
		p.Put(b)
	}
	delete(w.taken, p)
}

// fillBox puts records of size bytes into the mailbox from one shard to another until keep bytes of it are left.
func (w *world) fillBox(from, to, size, keep int) {
	box := w.wiring[from].Boxes.Out[to]
	for rec := box.ReserveKeeping(size, keep); rec != nil; rec = box.ReserveKeeping(size, keep) {
		clear(rec)
		rec[0] = byte(post.KindEnded) // of a connection that never was
		box.Commit(size)
	}
}

// run steps all shards until nothing happens any more.
func (w *world) run() {
	for turn := 0; ; turn++ {
		if turn > 10_000 {
			w.t.Fatal("the shards do not come to rest")
		}
		quiet := w.turn()
		for _, s := range w.shards {
			quiet = quiet && s.PrepareToSleep()
			s.AwakeAgain()
		}
		if quiet {
			return
		}
	}
}

// turn steps all shards once and reports whether nothing happened.
func (w *world) turn() bool {
	quiet := true
	for k := range w.shards {
		quiet = w.step(k) && quiet
	}
	return quiet
}

// step steps shard k once and reports whether nothing happened.
func (w *world) step(k int) bool {
	s, events := w.shards[k], w.events[k]
	w.events[k] = nil
	w.fetch(k)
	w.ops = s.Step(w.now, events, w.ops[:0])
	for i := range w.ops {
		w.do(k, &w.ops[i])
	}
	s.stats.countReplies(w.now + w.took)
	return len(events) == 0 && len(w.ops) == 0 && !s.Busy()
}

// fetch has the next event follow of each client of shard k whose events come one at a time.
func (w *world) fetch(k int) {
	for _, c := range w.slots[k].clients {
		if c != nil && !c.gone {
			c.waiting = false
			if !c.paused {
				c.goOn()
			}
		}
	}
}

// do carries out one op.
func (w *world) do(k int, op *ring.Op) {
	if op.Kind == ring.OpWake {
		return
	}
	if op.Kind == ring.OpStopAccept {
		w.slots[k].stopped = true
		return
	}
	if op.Kind == ring.OpAdopt {
		w.adopt(k, op)
		return
	}
	c := w.slots[k].clients[op.Slot.Index]
	if c == nil || c.slot != op.Slot || c.gone {
		w.t.Fatalf("op %d on a connection that is gone: %+v", op.Kind, op.Slot)
	}
	switch op.Kind {
	case ring.OpSend:
		if c.fin || c.sending != nil {
			w.t.Fatal("a send after the shutdown or beside another one")
		}
		if w.stuck {
			c.sending = op.Data
			return
		}
		c.inbox = append(c.inbox, op.Data...)
		w.push(k, ring.Event{Kind: ring.EventSent, Slot: c.slot, N: uint32(len(op.Data))})
	case ring.OpShutdown:
		c.fin = true
	case ring.OpPause:
		c.paused = true
		w.push(k, ring.Event{Kind: ring.EventPaused, Slot: c.slot, FD: c.fd})
	case ring.OpResume:
		c.single = true
		c.goOn()
	case ring.OpRelease:
		if c.sending != nil || !c.paused {
			w.t.Fatal("released in the middle of a send, or without a pause")
		}
		w.slots[k].clients[op.Slot.Index] = nil
	case ring.OpClose:
		if c.sending != nil {
			w.push(k, ring.Event{Kind: ring.EventSent, Slot: c.slot, Errno: 32})
			c.sending = nil
		}
		c.reset, c.gone = op.Abort, true
		w.push(k, ring.Event{Kind: ring.EventClosed, Slot: c.slot})
	}
}

// adopt puts a connection that has been released into the table of shard k.
func (w *world) adopt(k int, op *ring.Op) {
	c := w.all[op.FD]
	e := ring.Event{Kind: ring.EventAdopted, Tag: op.Tag}
	if e.Slot, e.Errno = w.place(k, c); e.Errno != 0 {
		c.gone, c.reset = true, true
	}
	w.push(k, e)
	c.goOn()
}

// goOn delivers what a client has sent while nothing was received from it.
func (c *client) goOn() {
	c.paused = false
	for len(c.held) > 0 && !(c.single && c.waiting) {
		e := c.held[0]
		c.held, e.Slot = c.held[1:], c.slot
		c.deliver(e)
	}
}

// deliver has the shard see an event of the connection at the next run, or when it receives again.
func (c *client) deliver(e ring.Event) {
	switch {
	case c.gone:
	case c.paused:
		c.held = append(c.held, e)
	case c.single && c.waiting:
		c.held = append(c.held, e)
	default:
		c.waiting = true
		c.w.push(c.shard, e)
	}
}

// place gives a connection a slot of shard k.
func (w *world) place(k int, c *client) (ring.Slot, ring.Errno) {
	table := &w.slots[k]
	for i := range table.clients {
		if w.full {
			break
		}
		if old := table.clients[i]; old == nil || old.gone {
			table.gens[i]++
			c.shard, c.slot = k, ring.Slot{Index: uint32(i), Gen: table.gens[i]}
			table.clients[i] = c
			return c.slot, 0
		}
	}
	return ring.Slot{}, ring.Errno(syscall.ENFILE)
}

func (w *world) push(k int, e ring.Event) { w.events[k] = append(w.events[k], e) }

// advance lets time pass in small steps, so that every deadline is noticed near its time.
func (w *world) advance(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.now += min(250*time.Millisecond, end-w.now)
		w.run()
	}
}

// accept connects a client that has not sent anything to shard k.
func (w *world) accept(k int, from string) *client {
	c := &client{w: w, fd: int32(len(w.all))}
	w.all = append(w.all, c)
	if _, errno := w.place(k, c); errno != 0 {
		w.t.Fatal("the make-believe ring is full")
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr(from), uint16(1000+c.fd))
	w.push(k, ring.Event{Kind: ring.EventAccept, Slot: c.slot, Peer: addr})
	return c
}

const testHead = "GET /announce HTTP/1.1\r\nHost: tracker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// dial connects a client to shard k and upgrades it.
func (w *world) dial(k int, from string) *client {
	c := w.accept(k, from)
	c.send([]byte(testHead))
	w.run()
	head, rest, ok := bytes.Cut(c.inbox, []byte("\r\n\r\n"))
	if !ok || !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		w.t.Fatalf("the upgrade was answered with %q", c.inbox)
	}
	c.inbox = rest
	return c
}

// send delivers bytes of the client to its shard at the next run.
func (c *client) send(data []byte) {
	c.deliver(ring.Event{Kind: ring.EventRecv, Slot: c.slot, Data: bytes.Clone(data)})
}

// text sends one text frame with the JSON of v, or v itself where it is a string.
func (c *client) text(v any) {
	payload, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			c.w.t.Fatal(err)
		}
		payload = string(b)
	}
	c.send(clientFrame(0x81, payload))
}

// clientFrame returns a masked frame with the first byte b0.
func clientFrame(b0 byte, payload string) []byte {
	f := []byte{b0}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x11, 0x92, 0x53, 0x04}
	f = append(f, mask[:]...)
	for i := range len(payload) {
		f = append(f, payload[i]^mask[i%4])
	}
	return f
}

// hangUp ends what the client sends: with errno 0 by a FIN, else by a failure.
func (c *client) hangUp(errno ring.Errno) {
	c.deliver(ring.Event{Kind: ring.EventHangup, Slot: c.slot, Errno: errno})
}

// read is a client that takes what was sent while the world was stuck.
func (c *client) read() {
	if c.sending != nil {
		c.inbox = append(c.inbox, c.sending...)
		c.w.push(c.shard, ring.Event{Kind: ring.EventSent, Slot: c.slot, N: uint32(len(c.sending))})
		c.sending = nil
	}
}

// frames takes all whole frames out of the inbox, each as its first byte and its payload.
func (c *client) frames() []frame {
	var out []frame
	for {
		f, rest, ok := cutFrame(c.inbox)
		if !ok {
			return out
		}
		c.inbox = rest
		out = append(out, f)
	}
}

type frame struct {
	op      byte
	payload string
}

// cutFrame takes one unmasked frame off b.
func cutFrame(b []byte) (f frame, rest []byte, ok bool) {
	if len(b) < 2 {
		return f, b, false
	}
	n, at := int(b[1]), 2
	switch {
	case n == 126 && len(b) >= 4:
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case n == 127 && len(b) >= 10:
		n, at = int(binary.BigEndian.Uint64(b[2:])), 10
	case n >= 126:
		return f, b, false
	}
	if len(b) < at+n {
		return f, b, false
	}
	return frame{b[0], string(b[at : at+n])}, b[at+n:], true
}

// messages takes the JSON messages out of the inbox; any other frame fails the test.
func (c *client) messages() []map[string]any {
	c.w.t.Helper()
	var out []map[string]any
	for _, f := range c.frames() {
		m := map[string]any{}
		if f.op != 0x81 || json.Unmarshal([]byte(f.payload), &m) != nil {
			c.w.t.Fatalf("not a JSON text frame: %x %q", f.op, f.payload)
		}
		out = append(out, m)
	}
	return out
}

// closeCode returns the code of the close frame that must be the last in the inbox.
func (c *client) closeCode() int {
	c.w.t.Helper()
	all := c.frames()
	if len(all) == 0 || all[len(all)-1].op != 0x88 || len(all[len(all)-1].payload) < 2 {
		c.w.t.Fatalf("no close frame at the end of %q", all)
	}
	return int(binary.BigEndian.Uint16([]byte(all[len(all)-1].payload)))
}

// id returns a 20-byte id that starts with what its arguments print.
func id(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	return s + "--------------------"[len(s):]
}

// announce returns an announce with n offers, whose ids are made of the peer's name and their number.
func announce(hash, peer string, n int, more map[string]any) map[string]any {
	offers := []any{}
	for k := range n {
		offers = append(offers, map[string]any{
			"offer_id": id("%.8s-%d", peer, k),
			"offer":    map[string]any{"type": "offer", "sdp": "v=0 " + peer},
		})
	}
	m := map[string]any{"action": "announce", "info_hash": hash, "peer_id": peer, "left": 1, "offers": offers}
	for k, v := range more {
		m[k] = v
	}
	return m
}

// answer returns the answer of peer to an offer message it was sent.
func answer(peer string, offer map[string]any) map[string]any {
	return map[string]any{
		"action": "announce", "info_hash": offer["info_hash"], "peer_id": peer, "to_peer_id": offer["peer_id"],
		"offer_id": offer["offer_id"], "answer": map[string]any{"type": "answer", "sdp": "v=0 answer of " + peer},
	}
}

// checkEmpty fails unless nothing is left of any connection.
func (w *world) checkEmpty() {
	w.t.Helper()
	for k, s := range w.shards {
		w.restore(w.asm[k])
		st := s.Snapshot()
		if st.Open() != 0 || s.table.Live() != 0 || st.Outbox.SendMemory != 0 || st.Inbox.AssemblyMemory != 0 || st.Torrents.Swarm.Peers != 0 ||
			st.Torrents.Swarm.Torrents != 0 || st.Torrents.Swarm.Connections != 0 || st.Post.Backlog != 0 || st.Torrents.GoneWaiting != 0 || st.Post.MailDepth != 0 {
			w.t.Errorf("shard %d still holds %+v", k, st)
		}
		closed := uint64(0)
		for _, n := range st.Table.Closed {
			closed += n
		}
		if closed+st.Mover.MovedOut != st.Door.Accepted+st.Mover.MovedIn {
			w.t.Errorf("shard %d: %d connections accepted and %d moved in, %d closed and %d moved out",
				k, st.Door.Accepted, st.Mover.MovedIn, closed, st.Mover.MovedOut)
		}
		if n := s.mover.Coming(); n > 0 {
			w.t.Errorf("shard %d: %d connections are on their way, and there are none", k, n)
		}
	}
}
