package shard

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/post"
	"millrace/ring"
	"millrace/ring/ringtest"
)

// The simulation runs whole shards on real rings over a kernel of plain memory, with clients that do what a seed says
// and faults that a seed says: short sends, resets, no buffers, completions late and out of order, overflow of the
// completion queue, failing accepts. The kernel checks its side (each buffer goes back once, nothing is done with a
// closed descriptor, one receive and one send at most, all requests joined); this file checks what clients see and what
// remains. A failing seed is printed; SEED=n replays it.

// sim is one run.
type sim struct {
	t                 *testing.T
	seed              uint64
	rng               *rand.Rand
	k                 *ringtest.Kernel
	loops             []*simLoop
	clients           []*simClient
	offers            map[string]*simOffer // by offer id: each is made once in a run
	tight             bool                 // memory and mailboxes so small that replies are lost
	frozen, frozenFor int                  // a shard that gets no turn, and for how many
	slow              int                  // a shard gets one turn in so many, at random, so that mail piles up
}

// simLoop is what Run does, without a thread.
type simLoop struct {
	s      *Shard
	r      *ring.Ring
	held   ring.Buf // send memory kept from the shard
	boxes  post.Boxes
	events []ring.Event
	ops    []ring.Op
	ended  bool
}

// simOffer is an offer that a client has sent, and how far it has come.
type simOffer struct {
	hash, from, sdp string
	to              string // the peer that received it
	answered        bool   // that peer has sent an answer
	answers         int    // answers that came back
}

// simClient is one connection and what its client knows.
type simClient struct {
	*ringtest.Client
	sim      *sim
	n        int
	peer     string
	inbox    []byte
	upgraded bool
	ending   bool // did something after which the tracker may close at any time
	deaf     bool // does not read for now
	cut      bool // a frame has been sent in part
	held     []byte
	asked    []simAsk
	present  map[string]bool // info hashes of which the last reply said that the peer is there
}

// simAsk is a message that will be replied to.
type simAsk struct {
	hash    string
	stopped bool
	scrape  bool
}

// TestSimulation plays many seeds.
func TestSimulation(t *testing.T) {
	if v := os.Getenv("SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		simulate(t, seed)
		return
	}
	seeds := uint64(2500)
	if raceEnabled || testing.Short() {
		seeds = 300
	}
	var all Stats
	for seed := range seeds {
		st := simulate(t, seed)
		if t.Failed() {
			t.Fatalf("replay it with SEED=%d", seed)
		}
		all.Add(&st)
	}
	if seeds > 300 {
		checkCoverage(t, &all)
	}
}

// checkCoverage fails if the seeds have not led to the rare paths: a simulation that never goes there proves nothing.
func checkCoverage(t *testing.T, all *Stats) {
	f := func(n uint64, what string) {
		t.Helper()
		if n == 0 {
			t.Errorf("no seed led to this: %s", what)
		}
	}
	f(all.Outbox.ShortSends, "a short send")
	f(all.Door.Refused, "a full connection table")
	f(all.Door.AcceptFailed, "a failed accept")
	f(all.Post.Backlogged, "the end of a connection that found a mailbox full")
	f(all.Torrents.GoneWaited, "the end of a connection that waited for another Step")
	f(all.Inbox.AssemblyFull, "no memory for a partial message")
	f(all.Outbox.DroppedMemory[outbox.Offer], "no memory for an offer")
	f(all.Outbox.DroppedFull[outbox.Offer], "an offer to a client that does not read")
	f(all.Messages.DroppedMail[outbox.Offer], "an offer that found a mailbox full")
	f(all.Outbox.DroppedGone[outbox.Offer]+all.Outbox.DroppedGone[outbox.Answer]+all.Outbox.DroppedGone[outbox.Reply], "a frame for a client that left")
	f(all.Outbox.HeldBack, "a client that was held back")
	f(all.Mover.MovedIn, "a connection that followed its torrent")
	f(all.Mover.MovesRefused, "a connection that found the other shard with enough")
	f(all.Mover.MovesGivenUp, "a connection that was about to move and stayed, or ended")
	f(all.Mover.MovesLost, "a connection that arrived when the table was full")
	t.Logf("%d moved, %d refused, %d given up, %d lost; %d requests served here, %d elsewhere",
		all.Mover.MovedIn, all.Mover.MovesRefused, all.Mover.MovesGivenUp, all.Mover.MovesLost, all.Messages.ServedHere, all.Messages.ServedElsewhere)
	for _, why := range []conn.Reason{conn.ReasonClientClose, conn.ReasonEOF, conn.ReasonReset, conn.ReasonIdle, conn.ReasonSlowConsumer,
		conn.ReasonProtocol, conn.ReasonBadMessages, conn.ReasonNoMemory, conn.ReasonStopping} {
		f(all.Table.Closed[why], "a connection that ended with "+why.String())
	}
}

// simulate plays one seed and returns what all shards counted.
func simulate(t *testing.T, seed uint64) (total Stats) {
	rng := rand.New(rand.NewPCG(seed, 11))
	w := &sim{t: t, seed: seed, rng: rng, offers: map[string]*simOffer{}, tight: rng.IntN(4) == 0, slow: []int{1, 1, 4, 20}[rng.IntN(4)]}
	w.k = ringtest.New(seed, w.faults())
	w.open(1+rng.IntN(3), rng.IntN(4) > 0)
	for range 250 {
		w.act()
		w.turn()
		if t.Failed() {
			return total
		}
	}
	w.settle()
	w.checkCounts()
	w.end()
	for _, l := range w.loops {
		st := l.s.Snapshot()
		total.Add(&st)
	}
	return total
}

// faults draws what may go wrong; every other run has no faults of a kind at all.
func (w *sim) faults() ringtest.Faults {
	p := func(most float64) float64 {
		if w.rng.IntN(2) == 0 {
			return 0
		}
		return w.rng.Float64() * most
	}
	return ringtest.Faults{
		ShortSend: p(0.5), Reset: p(0.01), NoBuffers: p(0.3), Delay: p(0.5), Reorder: p(0.8), Overflow: p(0.3),
		AcceptError: p(0.2), Interrupt: p(0.3), EndMultishot: p(0.3), ProvideError: p(0.2), MessageError: p(0.3),
		SocketBuffer: 500 + w.rng.IntN(20_000),
	}
}

// open opens n shards on a plan drawn from all there are. Connections follow their torrents or not.
func (w *sim) open(n int, follow bool) {
	var want ring.Want
	for _, f := range []*ring.Tri{&want.MultishotAccept, &want.BufferRing, &want.MultishotReceive, &want.MessageRing,
		&want.RegisteredBuffers, &want.TimedWait, &want.MinWait} {
		*f = ring.Tri(w.rng.IntN(2)) // Auto or Off
	}
	memory, mailbox := 1<<20, 1<<18
	if w.tight {
		memory, mailbox = 16<<10, 1<<12
	}
	plan, err := ring.Choose(ring.Features{}, ring.Options{
		Entries: 32, ReceiveBuffers: 4 << w.rng.IntN(4), ReceiveBufferSize: 512, SendMemory: max(64<<10, memory),
		MaxConnections: 24, Tick: 250 * time.Millisecond, MaxBatchDelay: time.Millisecond, Want: want,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	rings := make([]*ring.Ring, n)
	for id, wiring := range Wire(n, mailbox) {
		o := testOptions(id, n)
		o.MaxConnections = 24
		o.MaxPending = 6000
		o.CloseTimeout = 1
		o.FollowTorrents = follow
		o.EndedPerStep = 1 + w.rng.IntN(4) // so that some wait
		rings[id] = w.k.Open(plan)
		asm := ring.NewPool(make([]byte, memory))
		l := &simLoop{s: New(o, rings[id].Pool(), asm, wiring), r: rings[id], boxes: wiring.Boxes}
		if w.tight {
			l.held = rings[id].Pool().Get(32 << 10)
		}
		w.loops = append(w.loops, l)
	}
	for _, r := range rings {
		r.SetPeers(rings)
	}
}

// turn runs every loop once, in random order, or only some of them in a run of slow shards. It reports whether anything happened.
func (w *sim) turn() bool {
	busy := false
	w.frozenFor--
	for _, k := range w.rng.Perm(len(w.loops)) {
		l := w.loops[k]
		if l.ended || w.rng.IntN(w.slow) > 0 || k == w.frozen && w.frozenFor > 0 {
			continue
		}
		l.ops = l.s.Step(w.k.Now(), l.events, l.ops[:0])
		l.r.Submit(l.ops)
		asleep := !l.s.Busy() && l.s.PrepareToSleep()
		var err error
		if l.events, err = l.r.Wait(l.events[:0], ring.Window{}); err != nil {
			w.failf("shard %d: %v", k, err)
		}
		l.s.AwakeAgain()
		busy = busy || !asleep || len(l.events) > 0 || len(l.ops) > 0
	}
	for _, c := range w.clients {
		if !c.deaf {
			c.readAll()
		}
	}
	return busy || !w.k.Idle()
}

// settle lets everything come to rest: nobody is deaf, and time passes for what waits for time. A single quiet turn says
// little, since a receive that found no buffer is started again in the next one.
func (w *sim) settle() {
	for _, c := range w.clients {
		c.deaf = false
	}
	w.slow, w.frozenFor = 1, 0
	quiet := 0
	for n := 0; quiet < 30; n++ {
		if n > 20_000 {
			w.failf("the shards do not come to rest")
			return
		}
		quiet++
		if w.turn() {
			quiet = 0
		}
		if n%10 == 0 {
			w.k.Advance(5 * time.Millisecond) // less than a tick in thirty quiet turns
		}
	}
}

func (w *sim) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d: "+format, append([]any{w.seed}, args...)...)
}

// act lets a client do something, or time pass.
func (w *sim) act() {
	w.k.Advance(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	if w.rng.IntN(200) == 0 {
		w.k.Advance(time.Duration(w.rng.IntN(60)) * time.Second)
	}
	if w.rng.IntN(5000) == 0 {
		w.k.Advance(200 * time.Second) // all are idle
	}
	if w.tight && w.rng.IntN(100) == 0 {
		w.freeze(w.rng.IntN(len(w.loops)))
	}
	if len(w.clients) == 0 || len(w.clients) < 60 && w.rng.IntN(5) == 0 {
		w.dial()
		return
	}
	c := w.clients[w.rng.IntN(len(w.clients))]
	if !c.upgraded || c.ending {
		return
	}
	switch w.rng.IntN(25) {
	case 0:
		c.end(func() { c.frame(0x88, "\x03\xe8") })
	case 1:
		c.end(c.CloseWrite)
	case 2:
		c.end(c.Reset)
	case 3:
		c.end(func() { c.Write([]byte("\x81\x05hello")) })
	case 4:
		c.deaf = !c.deaf
	case 5:
		c.frame(0x89, "ping")
	case 6:
		for range 1 + w.rng.IntN(5) { // up to one more than is forgiven
			c.frame(0x81, "not JSON")
		}
	case 7:
		c.scrape()
	case 8, 9:
		c.announce("stopped")
	default:
		c.announce("")
	}
}

// freeze keeps a shard from its turns for a while in which the others have filled its mailboxes.
func (w *sim) freeze(k int) {
	w.frozen, w.frozenFor = k, 30
	for _, l := range w.loops {
		box := l.boxes.Out[k]
		if box == nil {
			continue
		}
		for rec := box.Reserve(9); rec != nil; rec = box.Reserve(9) {
			for i := range rec {
				rec[i] = 0xff
			}
			rec[0] = byte(post.KindEnded) // of a connection that never was
			box.Commit(9)
		}
	}
}

// dial connects a client to a random shard and sends its upgrade, sometimes in two parts.
func (w *sim) dial() {
	n := len(w.clients)
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), uint16(1000+n))
	c := &simClient{sim: w, n: n, peer: id("peer %d", n), present: map[string]bool{}}
	c.Client = w.k.Dial(w.loops[w.rng.IntN(len(w.loops))].r, from)
	w.clients = append(w.clients, c)
	cut := w.rng.IntN(len(testHead))
	c.Write([]byte(testHead[:cut]))
	if w.rng.IntN(2) == 0 {
		w.turn()
	}
	c.Write([]byte(testHead[cut:]))
}

// end does something after which the tracker closes the connection.
func (c *simClient) end(how func()) {
	how()
	c.ending = true
}

// frame sends a frame, sometimes in two parts with a turn of the loops between them. What the client says in that turn,
// in reply to what it reads, comes after the second part.
func (c *simClient) frame(b0 byte, payload string) {
	f := clientFrame(b0, payload)
	if c.cut {
		c.held = append(c.held, f...)
		return
	}
	if c.sim.rng.IntN(3) == 0 {
		n := c.sim.rng.IntN(len(f))
		c.Write(f[:n])
		f = f[n:]
		c.cut = true
		c.sim.turn()
		c.cut = false
	}
	c.Write(append(f, c.held...))
	c.held = nil
}

// announce sends an announce with some offers, each of them unique in the run.
func (c *simClient) announce(event string) {
	w := c.sim
	hash := id("torrent %d", w.rng.IntN(5))
	offers := []any{}
	for range w.rng.IntN(5) {
		o := &simOffer{hash: hash, from: c.peer, sdp: "v=0 " + strings.Repeat("x", w.rng.IntN(1500))}
		name := id("offer %d", len(w.offers))
		w.offers[name] = o
		offers = append(offers, map[string]any{"offer_id": name, "offer": map[string]any{"type": "offer", "sdp": o.sdp}})
	}
	m := map[string]any{"action": "announce", "info_hash": hash, "peer_id": c.peer, "left": w.rng.IntN(2), "offers": offers}
	if event != "" {
		m["event"] = event
	}
	c.asked = append(c.asked, simAsk{hash: hash, stopped: event == "stopped"})
	b, _ := json.Marshal(m)
	c.frame(0x81, string(b))
}

// scrape asks for all torrents.
func (c *simClient) scrape() {
	var hashes []string
	for k := range 5 {
		hashes = append(hashes, id("torrent %d", k))
	}
	c.asked = append(c.asked, simAsk{scrape: true})
	b, _ := json.Marshal(map[string]any{"action": "scrape", "info_hash": hashes})
	c.frame(0x81, string(b))
}

// readAll takes what has arrived and checks every message.
func (c *simClient) readAll() {
	c.inbox = append(c.inbox, c.Read()...)
	if !c.upgraded {
		head, rest, ok := strings.Cut(string(c.inbox), "\r\n\r\n")
		if !ok {
			return
		}
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") {
			if !strings.HasPrefix(head, "HTTP/1.1 503 ") && !strings.HasPrefix(head, "HTTP/1.1 408 ") {
				c.sim.failf("client %d: a good upgrade was answered with %q", c.n, head)
			}
			c.ending = true
			return
		}
		c.inbox, c.upgraded = []byte(rest), true
	}
	for {
		f, rest, ok := cutFrame(c.inbox)
		if !ok {
			return
		}
		c.inbox = rest
		c.saw(f)
	}
}

// saw checks one frame of the tracker.
func (c *simClient) saw(f frame) {
	switch f.op {
	case 0x88:
		switch code := int(f.payload[0])<<8 | int(f.payload[1]); {
		case c.ending, code == 1001, code == 1008, code == 1013: // idle or stop; slow or unusable messages; no memory
		default:
			c.sim.failf("client %d did nothing wrong and was closed with %d", c.n, code)
		}
		c.ending = true
		c.CloseWrite() // as clients do
	case 0x89:
		c.frame(0x8a, f.payload)
	case 0x8a:
	case 0x81:
		m := map[string]any{}
		if err := json.Unmarshal([]byte(f.payload), &m); err != nil {
			c.sim.failf("client %d was sent %q: %v", c.n, f.payload, err)
			return
		}
		switch {
		case m["offer"] != nil:
			c.sawOffer(m)
		case m["answer"] != nil:
			c.sawAnswer(m)
		default:
			c.sawReply(m)
		}
	default:
		c.sim.failf("client %d was sent a frame of opcode %x", c.n, f.op)
	}
}

// sawOffer checks that an offer is what its sender sent, for a torrent of ours, and that nobody has got it before. Most
// are answered, some twice.
func (c *simClient) sawOffer(m map[string]any) {
	w := c.sim
	o := w.offers[m["offer_id"].(string)]
	if o == nil || o.hash != m["info_hash"] || o.from != m["peer_id"] || o.sdp != m["offer"].(map[string]any)["sdp"] {
		w.failf("client %d got an offer that nobody made: %.200v", c.n, m)
		return
	}
	if o.to != "" || o.from == c.peer {
		w.failf("client %d got the offer of %q that %q has got already", c.n, o.from, o.to)
	}
	o.to = c.peer
	for range w.rng.IntN(3) {
		if c.ending {
			return
		}
		o.answered = true
		b, _ := json.Marshal(map[string]any{
			"action": "announce", "info_hash": o.hash, "peer_id": c.peer, "to_peer_id": o.from,
			"offer_id": m["offer_id"], "answer": map[string]any{"type": "answer", "sdp": "answer to " + o.sdp},
		})
		c.frame(0x81, string(b))
	}
}

// sawAnswer checks that an answer is to our offer, from the peer that got it, and the first.
func (c *simClient) sawAnswer(m map[string]any) {
	o := c.sim.offers[m["offer_id"].(string)]
	if o == nil || o.from != c.peer || o.hash != m["info_hash"] || o.to != m["peer_id"] || !o.answered ||
		m["answer"].(map[string]any)["sdp"] != "answer to "+o.sdp {
		c.sim.failf("client %d got an answer that nobody gave: %.200v", c.n, m)
		return
	}
	if o.answers++; o.answers > 1 {
		c.sim.failf("client %d got %d answers to one offer", c.n, o.answers)
	}
}

// sawReply checks a reply against what was asked. Replies of one torrent come in the order of the announces; those of
// different torrents may overtake each other, since other shards make them.
func (c *simClient) sawReply(m map[string]any) {
	hash, isAnnounce := m["info_hash"].(string)
	for k, ask := range c.asked {
		if ask.scrape == isAnnounce || isAnnounce && ask.hash != hash {
			continue
		}
		c.asked = append(c.asked[:k:k], c.asked[k+1:]...)
		if m["failure reason"] != nil {
			if !c.sim.tight {
				c.sim.failf("client %d: failure %v", c.n, m)
			}
		} else if isAnnounce {
			c.present[hash] = !ask.stopped
		} else if len(m["files"].(map[string]any)) != 5 {
			c.sim.failf("client %d: scrape reply %v", c.n, m)
		}
		return
	}
	c.sim.failf("client %d got a reply to nothing: %v", c.n, m)
}

// checkCounts compares the tables with what clients know, after everything has come to rest. Who was reset or has
// left is in no table; who has not is in the torrents that it was told.
func (w *sim) checkCounts() {
	want, lost := map[string]int{}, w.tight
	for _, c := range w.clients {
		if c.ending || !c.upgraded || c.WasReset() || c.EOF() {
			continue
		}
		lost = lost || len(c.asked) > 0 && w.droppedReplies()
		if len(c.asked) > 0 && !lost {
			w.failf("client %d never got a reply to %+v", c.n, c.asked)
		}
		for hash, present := range c.present {
			if present {
				want[hash]++
			}
		}
	}
	if lost {
		return // a client that missed a reply does not know what it is in
	}
	got := 0
	for _, l := range w.loops {
		st := l.s.Snapshot()
		got += st.Torrents.Swarm.Peers
	}
	total := 0
	for _, n := range want {
		total += n
	}
	if got != total {
		w.failf("%d peers in the tables, the clients know of %d: %v", got, total, want)
	}
}

// droppedReplies reports whether a reply was left out on purpose.
func (w *sim) droppedReplies() bool {
	for _, l := range w.loops {
		st := l.s.Snapshot()
		for _, kind := range []outbox.Kind{outbox.Reply, outbox.Failure, outbox.Scrape} {
			if st.Outbox.DroppedFull[kind]+st.Outbox.DroppedMemory[kind]+st.Messages.DroppedMail[kind] > 0 {
				return true
			}
		}
	}
	return false
}

// end stops the tracker and checks that nothing is left.
func (w *sim) end() {
	for _, l := range w.loops {
		l.s.Stop()
	}
	for n := 0; ; n++ {
		w.turn()
		w.k.Advance(20 * time.Millisecond)
		running := false
		for _, l := range w.loops {
			running = running || !l.s.Stopped()
		}
		if !running {
			break
		}
		if n > 20_000 {
			w.failf("the stop does not end")
			return
		}
	}
	w.settle() // mail that is still under way
	for k, l := range w.loops {
		if l.held != 0 {
			l.r.Pool().Put(l.held)
		}
		st := l.s.Snapshot()
		closed := uint64(0)
		for _, n := range st.Table.Closed {
			closed += n
		}
		if st.Open() != 0 || st.Outbox.SendMemory != 0 || st.Inbox.AssemblyMemory != 0 || st.Torrents.Swarm.Peers != 0 ||
			st.Torrents.Swarm.Connections != 0 || st.Post.Backlog != 0 || st.Torrents.GoneWaiting != 0 || st.Post.MailDepth != 0 || closed+st.Mover.MovedOut != st.Door.Accepted+st.Mover.MovedIn {
			w.failf("shard %d still holds something: %+v", k, st)
		}
		l.ended = true
	}
	for k, l := range w.loops {
		if err := l.r.Close(); err != nil {
			w.failf("cannot close ring %d: %v", k, err)
		}
	}
	if err := w.k.Check(); err != nil {
		w.failf("the kernel found: %v", err)
	}
}
