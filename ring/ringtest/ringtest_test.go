package ringtest

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"millrace/ring"
	"millrace/ring/pool"
)

// This file owns the test of package ring under faults: an echo server on the kernel of memory.

var (
	seedFlag  = flag.Uint64("seed", 0, "run only this seed of TestEchoUnderFaults, verbosely")
	seedCount = flag.Uint64("seeds", 2000, "how many seeds TestEchoUnderFaults runs")
)

// world is one run: an echo server over one or two rings, clients that do as the seed says, and their memory.
type world struct {
	k       *Kernel
	rng     *rand.Rand
	servers []*server
	clients []*client
	err     error

	draining bool // no more wakes are asked for

	moving map[uint32]*echo // connections on their way to another ring, by tag
	tags   uint32
	moved  int // connections that were adopted
	lost   int // connections for which the adopting ring had no room
	held   int // rounds in which a ring took no connections
}

// client remembers the bytes that it wrote and read.
type client struct {
	*Client
	wrote, read []byte
	ended       bool
	salt        uint32 // tells its bytes from those of others
	gone        bool   // did something that may lose data
}

// server is an event loop that sends received bytes back and keeps the contract of ring.Op and ring.Event.
type server struct {
	w         *world
	r         *ring.Ring
	conns     map[ring.Slot]*echo
	ops       []ring.Op
	events    []ring.Event
	asked     bool // a wake is owed
	holding   bool // OpHoldAccept was given
	held      bool // AcceptHeld said so
	ticks     int
	lastRound []ring.Event // whose data must be intact until the next Wait
	lastData  [][]byte
}

type echo struct {
	pending         []byte
	buf             pool.Buf
	from, to        int
	sending, shut   bool
	hungUp, closing bool
	aborted         bool
	pausing, paused bool  // OpPause was given, EventPaused has come
	fd              int32 // since EventPaused
	atRest          bool  // it was given to the other ring as a paused one
}

func (w *world) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func randomPlan(rng *rand.Rand) ring.Plan {
	var want ring.Want
	for _, feature := range []ring.Feature{ring.MultishotAccept, ring.BufferRing, ring.MultishotReceive,
		ring.MessageRing, ring.RegisteredBuffers, ring.FixedSend, ring.TimedWait, ring.MinWait} {
		want[feature] = ring.Tri(rng.IntN(2)) // Auto or Off
	}
	if rng.IntN(3) == 0 && want[ring.RegisteredBuffers] == ring.Auto {
		want[ring.FixedSend] = ring.Require
	}
	p, err := ring.Choose(ring.Features{}, ring.Options{
		Entries: 16 << rng.IntN(3), ReceiveBuffers: 2 << rng.IntN(4), ReceiveBufferSize: 512,
		SendMemory: 64 << 10, MaxConnections: 1 + rng.IntN(12), Tick: 10 * time.Millisecond,
		MaxBatchDelay: time.Millisecond, Want: want,
	})
	if err != nil {
		panic(err)
	}
	if rng.IntN(2) == 0 {
		p.CQEntries = 4 << rng.IntN(4) // smaller than real kernels make it, so that it really overflows
	}
	return p
}

func randomFaults(rng *rand.Rand) Faults {
	p := func(most float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return rng.Float64() * most
	}
	return Faults{
		ShortSend: p(0.5), Reset: p(0.02), NoBuffers: p(0.3), Delay: p(0.5), Reorder: p(0.8), Overflow: p(0.3),
		AcceptError: p(0.3), Interrupt: p(0.3), EndMultishot: p(0.3), ProvideError: p(0.2), MessageError: p(0.3),
		BusyCancel: p(0.8), LateCancel: p(0.8), Piecemeal: p(0.8),
		SocketBuffer: 1 + rng.IntN(4000),
	}
}

// run plays one seed and returns the first fault found.
func run(seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 3))
	faults := randomFaults(rng)
	w := &world{k: New(seed, faults), rng: rng, moving: map[uint32]*echo{}}
	plan := randomPlan(rng)
	rings := make([]*ring.Ring, 1+rng.IntN(2))
	for i := range rings {
		rings[i] = w.k.Open(plan)
		w.servers = append(w.servers, &server{w: w, r: rings[i], conns: map[ring.Slot]*echo{}})
	}
	for _, r := range rings {
		r.SetPeers(rings)
	}
	for range 150 {
		w.act()
		w.turn()
	}
	if rng.IntN(2) == 0 {
		w.drain()
	}
	faults.BusyCancel = 0 // Close asks again at each tick, and no time passes here
	w.k.SetFaults(faults)
	for _, s := range w.servers {
		s.r.Submit(s.ops) // adoptions that another one has asked for
		if err := s.r.Close(); err != nil {
			w.failf("Close: %v", err)
		}
		s.r.Waker().Wake() // after Close: must do nothing
	}
	if w.err == nil {
		w.err = w.k.Check()
	}
	moved, lost, held = moved+w.moved, lost+w.lost, held+w.held
	return w.err
}

// Counts over all seeds.
var moved, lost, held int

// act lets the clients and the clock do something.
func (w *world) act() {
	w.k.Advance(time.Duration(w.rng.IntN(3)) * time.Millisecond)
	if len(w.clients) < 20 && w.rng.IntN(4) == 0 {
		ip := netip.AddrFrom4([4]byte{10, 0, 0, byte(len(w.clients))})
		from := netip.AddrPortFrom(ip, uint16(1+w.rng.IntN(65000)))
		to := w.servers[w.rng.IntN(len(w.servers))].r
		w.clients = append(w.clients, &client{Client: w.k.Dial(to, from), salt: w.rng.Uint32()})
	}
	for _, c := range w.clients {
		switch w.rng.IntN(12) {
		case 0, 1, 2, 3:
			if !c.ended {
				b := make([]byte, 1+w.rng.IntN(1500))
				for i := range b {
					at := uint32(len(c.wrote)+i) + c.salt
					b[i] = byte(at * at >> 7)
				}
				c.wrote = append(c.wrote, b[:c.Write(b)]...)
			}
		case 4, 5, 6:
			w.read(c)
		case 7:
			if w.rng.IntN(5) == 0 {
				c.ended = true
				c.CloseWrite()
			}
		case 8:
			if w.rng.IntN(20) == 0 {
				c.gone = true
				c.Reset()
			}
		}
	}
}

func (w *world) read(c *client) {
	at := len(c.read)
	c.read = append(c.read, c.Read()...)
	if len(c.read) > len(c.wrote) || !bytes.Equal(c.wrote[at:len(c.read)], c.read[at:]) {
		w.failf("a client wrote %d bytes and read %d others", len(c.wrote), len(c.read))
	}
}

// turn runs every server once.
func (w *world) turn() {
	for _, s := range w.servers {
		window := ring.Window{Min: w.rng.IntN(3), Max: time.Millisecond}
		for i, e := range s.lastRound {
			if !bytes.Equal(e.Data, s.lastData[i]) {
				w.failf("received bytes changed before the next Wait")
			}
		}
		var err error
		if s.events, err = s.r.Wait(s.events[:0], window); err != nil {
			w.failf("Wait: %v", err)
			return
		}
		s.step()
		s.r.Submit(s.ops)
		s.ops = s.ops[:0]
	}
}

// drain ends every client in an orderly way and proves that each gets all its bytes back and then the end.
func (w *world) drain() {
	w.draining = true
	for _, c := range w.clients {
		c.ended = true
		c.CloseWrite()
	}
	for range 20_000 {
		w.k.Advance(5 * time.Millisecond)
		w.turn()
		left, cut := len(w.moving) > 0, 0
		for _, c := range w.clients {
			w.read(c)
			left = left || (!c.WasReset() && !c.EOF())
			if c.EOF() && !c.gone && len(c.read) != len(c.wrote) && !c.refusedByServer() {
				if cut++; cut > w.lost {
					w.failf("a client wrote %d bytes, read %d, then the end", len(c.wrote), len(c.read))
				}
			}
		}
		for _, s := range w.servers {
			left = left || len(s.conns) > 0 || s.asked
		}
		if !left || w.err != nil {
			break
		}
	}
	for _, c := range w.clients {
		if !c.WasReset() && !c.EOF() && w.err == nil {
			w.failf("a client waits for its end in vain: wrote %d, read %d", len(c.wrote), len(c.read))
		}
	}
	for _, s := range w.servers {
		st := s.r.Stats()
		if s.asked && w.err == nil {
			w.failf("a ring waits for its wake in vain")
		}
		left := st.Connections != 0 || st.Parked != 0 || st.StaleCompletions != 0 || s.r.Pool().InUse() != 0
		if w.err == nil && left {
			w.failf("left over: %+v, pool %d", st, s.r.Pool().InUse())
		}
	}
}

// refusedByServer: a connection over the limit of the table, or one the server aborted, is closed before it is read.
func (c *client) refusedByServer() bool { return len(c.read) == 0 }

func (s *server) step() {
	s.lastRound, s.lastData = s.lastRound[:0], s.lastData[:0]
	var touched []ring.Slot
	for _, e := range s.events {
		if e.Kind == ring.EventRecv {
			s.lastRound = append(s.lastRound, e)
			s.lastData = append(s.lastData, bytes.Clone(e.Data))
		}
		c := s.conns[e.Slot]
		switch e.Kind {
		case ring.EventAccept:
			if c != nil || e.Slot.Gen == 0 || !e.Peer.IsValid() || s.held {
				s.w.failf("bad accept %+v", e)
			}
			s.conns[e.Slot] = &echo{}
			touched = append(touched, e.Slot)
		case ring.EventRecv, ring.EventHangup:
			if c == nil || c.hungUp || c.closing || c.paused {
				s.w.failf("unexpected %+v", e)
				return
			}
			c.pending = append(c.pending, e.Data...)
			c.hungUp = e.Kind == ring.EventHangup
			touched = append(touched, e.Slot)
		case ring.EventSent:
			s.sent(c, e)
			touched = append(touched, e.Slot)
		case ring.EventClosed:
			if c == nil || !c.closing || c.sending {
				s.w.failf("unexpected %+v", e)
				return
			}
			if c.buf != 0 {
				s.r.Pool().Put(c.buf)
			}
			delete(s.conns, e.Slot)
		case ring.EventPaused:
			if c == nil || !c.pausing || c.paused || c.closing {
				s.w.failf("unexpected %+v", e)
				return
			}
			c.paused, c.fd = true, e.FD
			touched = append(touched, e.Slot)
		case ring.EventAdopted:
			if c = s.adopted(e); c != nil {
				touched = append(touched, e.Slot)
			}
		case ring.EventWake:
			s.asked = false
		case ring.EventTick:
			s.ticks++
		}
	}
	s.checkQuiet()
	s.checkHeld()
	for _, slot := range touched {
		if c := s.conns[slot]; c != nil {
			s.push(slot, c)
		}
	}
	if s.w.draining {
		s.goAccept()
		return
	}
	s.pauseSome()
	s.holdSome()
	s.cancelSome()
	s.wakeSome()
}

// checkQuiet proves that Quiet is true of each paused connection without a send, and of no other one that receives or sends.
func (s *server) checkQuiet() {
	for slot, c := range s.conns {
		if c.closing {
			continue
		}
		quiet := s.r.Quiet(slot)
		if c.paused && !c.sending && !quiet || quiet && (!c.pausing || c.sending) {
			s.w.failf("quiet is %v of %+v", quiet, c)
		}
		if c.paused && s.r.FD(slot) != c.fd {
			s.w.failf("descriptor %d, and %d when it was paused", s.r.FD(slot), c.fd)
		}
	}
}

// checkHeld notes whether a ring takes connections no more.
func (s *server) checkHeld() {
	s.held = s.r.AcceptHeld()
	if s.held && !s.holding {
		s.w.failf("accepting is held and nobody has asked for it")
	}
	if s.held {
		s.w.held++
	}
}

// holdSome stops and starts accepting, at times before the stop is done.
func (s *server) holdSome() {
	switch s.w.rng.IntN(16) {
	case 0:
		s.holding = true
		s.ops = append(s.ops, ring.Op{Kind: ring.OpHoldAccept})
	case 1, 2:
		s.goAccept()
	}
}

func (s *server) goAccept() {
	if s.holding {
		s.holding, s.held = false, false
		s.ops = append(s.ops, ring.Op{Kind: ring.OpGoAccept})
	}
}

// cancelSome cancels the sends of some connections, and tries to where there is none.
func (s *server) cancelSome() {
	for index := range uint32(12) {
		for slot, c := range s.conns {
			if slot.Index == index && !c.closing && s.w.rng.IntN(6) == 0 {
				s.ops = append(s.ops, ring.Op{Kind: ring.OpCancelSend, Slot: slot})
			}
		}
	}
}

func (s *server) wakeSome() {
	switch s.w.rng.IntN(6) {
	case 0:
		target := s.w.rng.IntN(len(s.w.servers))
		s.ops = append(s.ops, ring.Op{Kind: ring.OpWake, Target: uint16(target)})
		s.w.servers[target].asked = true
	case 1:
		s.r.Waker().Wake()
	}
}

func (s *server) sent(c *echo, e ring.Event) {
	if c == nil || !c.sending || e.Errno != 0 && (e.N > 0 || e.Errno.String() == "ECANCELED") || int(e.N) > c.to-c.from {
		s.w.failf("unexpected %+v", e)
		return
	}
	c.sending = false
	c.from += int(e.N)
	if e.Errno != 0 || c.from == c.to {
		// The bytes are ours again: change them, which the kernel would notice were a send still in flight.
		clear(s.r.Pool().Bytes(c.buf))
		s.r.Pool().Put(c.buf)
		c.buf = 0
	}
	if e.Errno != 0 {
		c.aborted = true
	}
}

func (s *server) push(slot ring.Slot, c *echo) {
	if c.closing {
		return
	}
	if c.aborted || s.w.rng.IntN(300) == 0 {
		c.closing = true
		s.ops = append(s.ops, ring.Op{Kind: ring.OpClose, Slot: slot, Abort: true})
		return
	}
	if c.sending {
		return
	}
	if c.buf == 0 && len(c.pending) > 0 {
		if c.buf = s.r.Pool().Get(min(len(c.pending), 2048)); c.buf == 0 {
			s.w.failf("the pool is exhausted")
			return
		}
		c.from, c.to = 0, copy(s.r.Pool().Bytes(c.buf), c.pending)
		c.pending = c.pending[c.to:]
	}
	if c.paused && c.buf == 0 {
		s.leave(slot, c)
		return
	}
	switch {
	case c.buf != 0:
		c.sending = true
		s.ops = append(s.ops, ring.Op{Kind: ring.OpSend, Slot: slot, Data: s.r.Pool().Bytes(c.buf)[c.from:c.to]})
	case c.hungUp && !c.shut && s.w.rng.IntN(2) == 0:
		c.shut = true
		s.ops = append(s.ops, ring.Op{Kind: ring.OpShutdown, Slot: slot}, ring.Op{Kind: ring.OpClose, Slot: slot})
		c.closing = true
	case c.hungUp:
		c.closing = true
		s.ops = append(s.ops, ring.Op{Kind: ring.OpClose, Slot: slot})
	}
}

// pauseSome pauses some connections, and lets others that are not paused yet go on.
func (s *server) pauseSome() {
	for index := range uint32(12) {
		for slot, c := range s.conns {
			switch {
			case slot.Index != index || c.closing: // in the order of the table: maps have none
			case !c.pausing && s.w.rng.IntN(8) == 0:
				c.pausing = true
				s.ops = append(s.ops, ring.Op{Kind: ring.OpPause, Slot: slot})
			case c.pausing && s.w.rng.IntN(4) == 0:
				c.pausing, c.paused = false, false
				s.ops = append(s.ops, ring.Op{Kind: ring.OpResume, Slot: slot})
			}
		}
	}
}

// leave sends a paused connection with nothing left to send to a random ring, its own included. One whose client has
// ended stays.
func (s *server) leave(slot ring.Slot, c *echo) {
	if c.hungUp {
		c.pausing, c.paused = false, false
		s.ops = append(s.ops, ring.Op{Kind: ring.OpResume, Slot: slot})
		s.push(slot, c)
		return
	}
	w := s.w
	w.tags++
	w.moving[w.tags] = c
	delete(s.conns, slot)
	s.r.Submit(append(s.ops, ring.Op{Kind: ring.OpRelease, Slot: slot}))
	s.ops = s.ops[:0]
	to := w.servers[w.rng.IntN(len(w.servers))]
	c.atRest = w.rng.IntN(2) == 0
	to.ops = append(to.ops, ring.Op{Kind: ring.OpAdopt, FD: c.fd, Tag: w.tags, Paused: c.atRest})
}

// adopted returns the connection that has arrived; nil if there was no room for it.
func (s *server) adopted(e ring.Event) *echo {
	c := s.w.moving[e.Tag]
	delete(s.w.moving, e.Tag)
	switch {
	case c == nil || s.conns[e.Slot] != nil || e.Errno != 0 && e.Errno.String() != "ENFILE":
		s.w.failf("unexpected %+v", e)
		return nil
	case e.Errno != 0:
		s.w.lost++
		return nil
	}
	s.w.moved++
	c.pausing, c.paused = c.atRest, c.atRest
	s.conns[e.Slot] = c
	return c
}

// TestEchoUnderFaults proves, over thousands of seeds, that the clients get their own bytes in order or a reset in
// spite of all faults of the kernel, that the ring keeps the kernel's rules (the kernel of memory checks them), and
// that nothing is left at the end. A failing seed is printed; -seed replays it.
func TestEchoUnderFaults(t *testing.T) {
	if *seedFlag != 0 {
		t.Logf("seed %d: %v", *seedFlag, run(*seedFlag))
		if run(*seedFlag) != nil {
			t.Fail()
		}
		return
	}
	for seed := uint64(1); seed <= *seedCount; seed++ {
		if err := run(seed); err != nil {
			t.Fatalf("replay with -seed %d: %v", seed, err)
		}
	}
	if moved == 0 || lost == 0 || held == 0 {
		t.Errorf("%d connections went from ring to ring, %d found no room, %d rounds without accepts: "+
			"the seeds do not lead there", moved, lost, held)
	}
}

// TestFaultsEnd proves that a kernel on which nothing succeeds serves its rings again when SetFaults ends the faults.
func TestFaultsEnd(t *testing.T) {
	w := &world{k: New(1, Faults{Delay: 1, AcceptError: 1}), rng: rand.New(rand.NewPCG(1, 3))}
	r := w.k.Open(randomPlan(w.rng))
	w.k.Dial(r, netip.MustParseAddrPort("192.0.2.1:1000"))
	accepted := func() (n int) {
		for range 50 {
			w.k.Advance(10 * time.Millisecond)
			events, err := r.Wait(nil, ring.Window{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if e.Kind == ring.EventAccept {
					n++
				}
			}
		}
		return n
	}
	if n := accepted(); n != 0 {
		t.Errorf("%d connections were accepted in spite of the faults", n)
	}
	w.k.SetFaults(Faults{})
	if n := accepted(); n != 1 {
		t.Errorf("%d connections were accepted after the faults, want 1", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := w.k.Check(); err != nil {
		t.Error(err)
	}
}
