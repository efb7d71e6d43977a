package outbox

// This file tests the outbox against plain slices of bytes, with the ring's side of sends in the test's hands.

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/deflate"
	"millrace/cmd/internal/shard/inbox"
	"millrace/cmd/internal/shard/tlstest"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/tlsconn"
)

const maxPending = 1024 // of the outboxes here

// rig is an outbox with all that it works on.
type rig struct {
	t *testing.T
	*Outbox
	pool  *pool.Pool
	table *conn.Table
	turn  conn.Turn
	inbox *inbox.Inbox
}

// newRig returns an outbox with so much memory, in the Step of second 1. Its connections are open.
func newRig(t *testing.T, memory, conns int, tls ...*tlsconn.Conn) *rig {
	r := &rig{t: t, pool: pool.New(make([]byte, memory)), table: conn.NewTable(0, conns, len(tls) > 0)}
	r.inbox = inbox.New(pool.New(make([]byte, 4096)), &r.turn, nil)
	r.Outbox = New(Options{MaxPending: maxPending, SendTimeout: 20}, r.pool, r.table, &r.turn, r.inbox, deflate.NewPacker(r.table, nil, nil))
	r.turn.Begin(0, nil)
	for i := range conns {
		var x *tlsconn.Conn
		if len(tls) > 0 {
			x = tls[i]
		}
		r.table.Enter(ring.Slot{Index: uint32(i), Gen: 1}, conn.Adopted, x)
	}
	return r
}

// at makes it the Step of a second.
func (r *rig) at(second uint32) {
	r.turn.Begin(time.Duration(second-1)*time.Second, nil)
	r.turn.Now = second // a single Step does not count for so long
}

// put delivers a frame and reports whether there was room for it.
func (r *rig) put(i int, frame string, kind Kind) bool {
	dst := r.Room(uint32(i), r.table.At(uint32(i)), len(frame), kind)
	if dst == nil {
		return false
	}
	if len(dst) != 0 || cap(dst) < len(frame) {
		r.t.Fatalf("room of %d bytes, of which %d are used, for %d", cap(dst), len(dst), len(frame))
	}
	r.Commit(append(dst, frame...))
	return true
}

// flush ends the Step and returns its ops.
func (r *rig) flush() []ring.Op {
	r.Flush()
	return r.turn.End()
}

// sent reports that the ring has sent n bytes for connection i, or none because of errno.
func (r *rig) sent(i, n int, errno ring.Errno) Outcome {
	c := r.table.At(uint32(i))
	return r.Sent(uint32(i), c, &ring.Event{Slot: r.table.Slot(uint32(i)), N: uint32(n), Errno: errno})
}

// take takes n bytes of the memory away.
func (r *rig) take(n int) {
	for range n / 512 {
		if r.pool.Get(512) == 0 {
			r.t.Fatal("there is not so much memory")
		}
	}
}

// TestAdmission proves for each kind of frame how many bytes may wait: the limit is higher for frames that cannot be missed,
// and while nothing is in flight; it is the smaller the less memory is free; a client that has taken everything before gets a
// frame of any length, but for the last of the memory.
func TestAdmission(t *testing.T) {
	const memory = 64 << 10
	// free is the part of the memory that is free, in sixteenths, before the connection holds any.
	f := func(kind Kind, free, inFlight, waiting, n int, want verdict) {
		t.Helper()
		r := newRig(t, memory, 1)
		c := &conn.Conn{OutLen: uint32(waiting)}
		r.take(memory - free*memory/16 - inFlight - waiting)
		if waiting > 0 {
			c.Out = r.pool.Get(waiting)
		}
		if inFlight > 0 {
			c.Flight = r.pool.Get(inFlight)
		}
		if r.pool.InUse() != memory-free*memory/16 {
			t.Fatalf("%d bytes in use", r.pool.InUse())
		}
		if got := r.admit(c, n, kind); got != want {
			t.Errorf("%s of %d bytes behind %d and %d in flight, %d/16 free: %d, want %d", kind, n, waiting, inFlight, free, got, want)
		}
	}
	const gather, burst = gatherFactor * maxPending, burstFactor * maxPending
	for _, kind := range []Kind{Offer, Answer} {
		f(kind, 8, 0, 0, 1<<20, admitted)
		f(kind, 8, 512, 0, 1<<20, admitted)
		f(kind, 8, 0, 512, gather/2-512, admitted)
		f(kind, 8, 0, 512, gather/2-511, overLimit)
		f(kind, 4, 0, 512, gather/4-512, admitted)
		f(kind, 4, 0, 512, gather/4-511, overLimit)
		f(kind, 12, 512, 512, maxPending*3/4-512, admitted)
		f(kind, 12, 512, 512, maxPending*3/4-511, overLimit)
		f(kind, 1, 0, 0, 1, admitted)
		f(kind, 0, 0, 0, 1, noMemory)
		f(kind, 1, 512, 0, 1, admitted)
	}
	for _, kind := range []Kind{Control, HTTP, Reply, Scrape, Failure} {
		f(kind, 8, 0, 0, burst, admitted)
		f(kind, 8, 0, 0, burst+1, overLimit)
		f(kind, 8, 512, 512, burst/2-1024, admitted)
		f(kind, 8, 512, 512, burst/2-1023, overLimit)
		f(kind, 2, 0, 512, burst/8-512, admitted)
		f(kind, 2, 0, 512, burst/8-511, overLimit)
		f(kind, 0, 0, 0, 1, admitted)
		f(kind, 0, 512, 0, 1, overLimit)
	}
}

// TestLargestHoldersLoseFirst proves that clients that take nothing leave memory to those that do, however many they are: a
// client that has taken everything still gets an offer and a reply.
func TestLargestHoldersLoseFirst(t *testing.T) {
	for _, deaf := range []int{8, 32, 128} {
		r := newRig(t, 256<<10, deaf+2)
		frame := strings.Repeat("x", maxPending)
		for refused := 0; refused < deaf; {
			refused = 0
			for i := range deaf {
				if !r.put(i, frame, Scrape) {
					refused++
				}
			}
			r.flush() // and nothing is sent
		}
		if !r.put(deaf, frame, Offer) || !r.put(deaf+1, frame, Reply) {
			t.Errorf("%d clients that do not read have %d of %d bytes, and another one gets nothing", deaf, r.pool.InUse(), r.pool.Size())
		}
	}
}

// TestRefusals proves that a frame for which there is no room is counted by its kind and reason, and for its connection, and changes
// nothing else.
func TestRefusals(t *testing.T) {
	f := func(name string, kind Kind, n int, prepare func(*rig, *conn.Conn), counter func(*Stats) *[Kinds]uint64) {
		t.Helper()
		r := newRig(t, 64<<10, 1)
		c := r.table.At(0)
		prepare(r, c)
		before, stats, want := *c, r.Stats(), r.Stats()
		if r.put(0, strings.Repeat("x", n), kind) {
			t.Fatalf("%s: %s was queued", name, kind)
		}
		counter(&want)[kind]++
		before.Dropped++
		if got := r.Stats(); got != want {
			t.Errorf("%s: from %+v to %+v", name, stats, got)
		}
		if *c != before {
			t.Errorf("%s: the connection has changed from %+v to %+v", name, before, *c)
		}
	}
	full := func(s *Stats) *[Kinds]uint64 { return &s.DroppedFull }
	memory := func(s *Stats) *[Kinds]uint64 { return &s.DroppedMemory }
	gone := func(s *Stats) *[Kinds]uint64 { return &s.DroppedGone }
	waiting := func(r *rig, _ *conn.Conn) { r.put(0, strings.Repeat("x", gatherFactor*maxPending), Offer) }
	exhausted := func(r *rig, _ *conn.Conn) { r.take(64 << 10) }
	f("over the limit", Offer, 1, waiting, full)
	f("over the limit", Reply, (burstFactor-gatherFactor)*maxPending+1, waiting, full)
	f("the last of the memory", Offer, 1, func(r *rig, _ *conn.Conn) { r.take(61 << 10) }, memory)
	f("exhausted", Reply, 1, exhausted, memory)
	f("exhausted", Offer, 1, exhausted, memory)
	f("in pieces", Answer, 600, func(r *rig, _ *conn.Conn) {
		r.put(0, "answer", Answer)
		var all []pool.Buf
		for b := r.pool.Get(512); b != 0; b = r.pool.Get(512) {
			all = append(all, b)
		}
		for _, b := range all {
			if b%2 == 0 {
				r.pool.Put(b) // its neighbour is in use
			}
		}
	}, memory)
	for _, e := range [][]conn.Event{{conn.Follows}, {conn.Ends}, {conn.Ends, conn.Flushed}, {conn.Closes}} {
		f("not open", Control, 1, func(r *rig, c *conn.Conn) {
			for _, e := range e {
				r.table.Change(c, e)
			}
		}, gone)
	}
}

// TestHold proves that a client for which too many replies wait is held back once, and heard again when all bytes have
// left, with the time of its silence and of its message begun anew; one that is not open, or has ended, is not held
// back.
func TestHold(t *testing.T) {
	big := strings.Repeat("x", gatherFactor*maxPending)
	r := newRig(t, 256<<10, 1)
	c := r.table.At(0)
	c.AsmSince = 1
	r.put(0, big, Reply)
	if c.Flags.Has(conn.Held) {
		t.Error("held back at the limit")
	}
	r.put(0, "y", Reply)
	r.put(0, "z", Reply)
	ops := r.turn.Ops
	if !c.Flags.Has(conn.Held) || !c.Flags.Has(conn.Settled) || len(ops) != 1 || ops[0].Kind != ring.OpPause ||
		r.Stats().HeldBack != 1 {
		t.Fatalf("over the limit: flags %b, ops %+v", c.Flags, ops)
	}
	r.flush()
	r.put(0, "more", Reply)
	r.at(9)
	if r.sent(0, len(big)+2, 0); !c.Flags.Has(conn.Held) || r.flush()[0].Kind != ring.OpSend {
		t.Error("released while bytes wait")
	}
	r.at(10)
	if r.sent(0, 4, 0) != Left || c.Flags.Has(conn.Held) || c.LastSeen != 10 || c.AsmSince != 10 {
		t.Errorf("after the last byte: flags %b, seen %d, message since %d", c.Flags, c.LastSeen, c.AsmSince)
	}
	if ops := r.flush(); len(ops) != 1 || ops[0].Kind != ring.OpResume {
		t.Errorf("after the last byte: %+v", ops)
	}
	f := func(name string, frame string, kind Kind, prepare func(*rig, *conn.Conn)) {
		t.Helper()
		r := newRig(t, 256<<10, 1)
		c := r.table.At(0)
		prepare(r, c)
		if r.put(0, frame, kind); c.OutLen == 0 || c.Flags.Has(conn.Held) || len(r.turn.Ops) > 0 {
			t.Errorf("%s: %d bytes wait, flags %b, ops %+v", name, c.OutLen, c.Flags, r.turn.Ops)
		}
	}
	f("ended its side", big+"x", Reply, func(_ *rig, c *conn.Conn) { c.Flags |= conn.HungUp })
	f("an offer", big+"x", Offer, func(*rig, *conn.Conn) {})
	f("a handshake", big+"x", HTTP, func(r *rig, c *conn.Conn) {
		r.table.Change(c, conn.Closes)
		r.table.Leave(0, conn.Gone)
		r.table.Enter(ring.Slot{Gen: 2}, conn.Accepted, nil)
	})
}

// TestOneSendAStep proves that all frames of a Step leave as one send, that the next one waits for its completion, and
// that the rest of a short send goes before newer frames.
func TestOneSendAStep(t *testing.T) {
	r := newRig(t, 64<<10, 2)
	f := func(want ...string) {
		t.Helper()
		var got []string
		for _, op := range r.flush() {
			if op.Kind != ring.OpSend || op.Slot.Gen != 1 {
				t.Errorf("an op %+v", op)
			}
			got = append(got, string(rune('0'+op.Slot.Index))+string(op.Data))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	r.put(0, "a", Reply)
	r.put(1, "b", Control)
	r.put(0, "cd", Offer)
	f("0acd", "1b")
	r.put(0, "ef", Answer)
	r.put(0, "gh", Reply)
	f()
	if got := r.sent(0, 1, 0); got != Goes {
		t.Errorf("a short send: %d", got)
	}
	f("0cd")
	if got := r.sent(0, 2, 0); got != Left || r.Idle(0, r.table.At(0)) {
		t.Errorf("a whole send: %d", got)
	}
	f("0efgh")
	r.sent(0, 4, 0)
	f()
	if r.sent(1, 0, 32) != Broken {
		t.Error("a failed send is not told")
	}
	st := r.Stats()
	if st.Sends != 4 || st.ShortSends != 1 || st.BytesOut != 7 || st.SendMemory != 0 ||
		st.ByIP[0].FramesOut != [Kinds]uint64{Control: 1, Reply: 2, Offer: 1, Answer: 1} {
		t.Errorf("the counters are %+v", st)
	}
}

// TestLate proves that a send is late when it has taken no bytes for the patience of the options, or for three seconds
// where memory is scarce.
func TestLate(t *testing.T) {
	f := func(second uint32, scarce, want bool) {
		t.Helper()
		r := newRig(t, 64<<10, 1)
		r.put(0, "xy", Reply)
		r.flush()
		r.at(5)
		r.sent(0, 1, 0)
		r.at(second)
		if scarce {
			r.take(49 << 10)
		}
		if got := r.Late(r.table.At(0)); got != want {
			t.Errorf("in second %d, scarce %v: late %v", second, scarce, got)
		}
	}
	f(25, false, false)
	f(26, false, true)
	f(8, true, false)
	f(9, true, true)
	r := newRig(t, 64<<10, 1)
	if r.at(100); r.Late(r.table.At(0)) {
		t.Error("nothing is in flight, and it is late")
	}
}

// TestRoomAt proves that a frame for a connection that has ended, or for an earlier user of its slot, is counted as
// gone.
func TestRoomAt(t *testing.T) {
	r := newRig(t, 64<<10, 2)
	dst := r.RoomAt(1, 1, 5, Reply)
	if dst == nil {
		t.Fatal("no room")
	}
	r.Commit(append(dst, "hello"...))
	if r.RoomAt(1, 2, 5, Reply) != nil || r.RoomAt(1, 0, 5, Reply) != nil || r.Stats().DroppedGone[Reply] != 2 {
		t.Error("a frame for another user of the slot has room")
	}
	defer func() {
		if recover() == nil {
			t.Error("a frame longer than the pieces of the pool was taken")
		}
	}()
	r.Commit(append(r.RoomAt(1, 1, 1, Reply), make([]byte, 512)...))
}

// peer is one connection of TestAgainstModel as the test sees it.
type peer struct {
	wanted []byte // all frames that were committed and not given up
	got    []byte // sent by the ring
	flight []byte // the bytes of the send in flight, as they were when it was issued
	data   []byte // the same, in the memory of the outbox
	held   bool
	broken bool // a send has failed
}

// play carries out the ops of a Step.
func (r *rig) play(peers []peer, ops []ring.Op) {
	r.t.Helper()
	for _, op := range ops {
		p := &peers[op.Slot.Index]
		switch op.Kind {
		case ring.OpSend:
			if p.flight != nil || len(op.Data) == 0 {
				r.t.Fatalf("a send of %d bytes beside one of %d", len(op.Data), len(p.flight))
			}
			p.flight, p.data = bytes.Clone(op.Data), op.Data
		case ring.OpPause, ring.OpResume:
			if p.held == (op.Kind == ring.OpPause) {
				r.t.Fatal("paused or resumed twice")
			}
			p.held = !p.held
		default:
			r.t.Fatalf("an op %+v", op)
		}
	}
}

// complete reports the send in flight of a connection as sent: whole, in part, or failed.
func (r *rig) complete(rng *rand.Rand, i int, p *peer) {
	r.t.Helper()
	if !bytes.Equal(p.flight, p.data) {
		r.t.Fatal("the bytes of a send have changed in flight")
	}
	n, errno := len(p.flight), ring.Errno(0)
	switch rng.IntN(4) {
	case 0:
		n = rng.IntN(n + 1)
	case 1:
		if rng.IntN(20) == 0 {
			n, errno = 0, 104
		}
	}
	p.got = append(p.got, p.flight[:n]...)
	whole := n == len(p.flight)
	p.flight = nil
	c := r.table.At(uint32(i))
	out := r.sent(i, n, errno)
	if (out == Broken) != (errno != 0) || (out == Goes) != (errno == 0 && !whole) {
		r.t.Fatalf("%d of %d bytes, errno %d: %d", n, len(p.data), errno, out)
	}
	if out == Broken { // as endClose does
		r.Discard(c)
		r.table.Change(c, conn.Closes)
		p.broken = true
	}
	if !bytes.HasPrefix(p.wanted, p.got) {
		r.t.Fatalf("sent %q, want a prefix of %q", p.got, p.wanted)
	}
}

// TestAgainstModel proves that however sends end, and where memory ends too, each client is sent exactly the frames
// that were admitted, whole and in order, with one send in flight; that a client is held back only while it has bytes
// to take; and that all memory comes back.
func TestAgainstModel(t *testing.T) {
	var all Stats
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t, []int{8 << 10, 64 << 10}[seed%2], 5)
		peers, slowness := make([]peer, r.table.Cap()), []int{2, 8, 32}[seed%3]
		for step := range uint32(300) {
			r.at(step + 1)
			for range rng.IntN(8) {
				i := rng.IntN(len(peers))
				frame := make([]byte, 1+rng.IntN(1<<rng.IntN(12)))
				for k := range frame {
					frame[k] = 'a' + byte(rng.IntN(26))
				}
				if r.put(i, string(frame), Kind(rng.IntN(int(Kinds)))) {
					peers[i].wanted = append(peers[i].wanted, frame...)
				}
			}
			for i := range peers {
				if p := &peers[i]; p.flight != nil && rng.IntN(slowness) == 0 {
					r.complete(rng, i, p)
				}
			}
			r.play(peers, r.flush())
			for i := range peers {
				if p := &peers[i]; p.held && p.flight == nil && !p.broken {
					t.Fatalf("seed %d: a client is held back for nothing", seed)
				}
			}
		}
		for i := range peers {
			for p := &peers[i]; p.flight != nil; r.play(peers, r.flush()) {
				r.complete(rng, i, p)
			}
			if p := &peers[i]; !p.broken && (p.held || !bytes.Equal(p.got, p.wanted)) {
				t.Fatalf("seed %d: %d bytes came of %d, held %v", seed, len(p.got), len(p.wanted), p.held)
			}
		}
		st := r.Stats()
		if st.SendMemory != 0 {
			t.Fatalf("seed %d: %d bytes are not given back", seed, st.SendMemory)
		}
		all.ShortSends += st.ShortSends
		all.HeldBack += st.HeldBack
		all.DroppedFull[Reply] += st.DroppedFull[Reply]
		all.DroppedFull[Offer] += st.DroppedFull[Offer]
		all.DroppedMemory[Offer] += st.DroppedMemory[Offer]
	}
	if all.ShortSends*all.HeldBack*all.DroppedFull[Reply]*all.DroppedFull[Offer]*all.DroppedMemory[Offer] == 0 {
		t.Errorf("the walks did not lead everywhere: %+v", all)
	}
}

// TestSealed proves that over TLS the frames of a Step leave as one send, in as few records as possible, and that the
// client reads them as they were; that close_notify follows once; and that all memory comes back.
func TestSealed(t *testing.T) {
	x, client := tlstest.New(t).Dial()
	r := newRig(t, 256<<10, 1, x)
	c := r.table.At(0)
	all := [][]string{{"a"}, {"b", "cd", "e"}, {strings.Repeat("long", 5000)}}
	for n := 1024 - 80; n <= 1024; n++ { // the records just fit into a piece of the pool, or just do not
		all = append(all, []string{strings.Repeat("x", n)})
	}
	for _, frames := range all {
		for _, frame := range frames {
			if !r.put(0, frame, Offer) {
				t.Fatalf("no room for %d bytes", len(frame))
			}
		}
		ops, want := r.flush(), strings.Join(frames, "")
		if len(ops) != 1 {
			t.Fatalf("%d frames leave as %d sends", len(frames), len(ops))
		}
		if n := len(ops[0].Data); n > len(want)+tlsconn.RecordOverhead(len(want)) {
			t.Errorf("%d bytes leave as %d", len(want), n)
		}
		if got := client.Receive(bytes.Clone(ops[0].Data), len(want)); string(got) != want {
			t.Errorf("sent %q, want %q", got, want)
		}
		r.sent(0, len(ops[0].Data), 0)
	}
	if !r.CloseNotify(0, c) || r.Idle(0, c) {
		t.Fatal("close_notify does not leave")
	}
	ops := r.turn.End()
	if len(ops) != 1 || !client.End(bytes.Clone(ops[0].Data)) {
		t.Errorf("close_notify is %+v", ops)
	}
	r.sent(0, len(ops[0].Data), 0)
	if r.CloseNotify(0, c) || !r.Idle(0, c) || r.Stats().SendMemory != 0 {
		t.Errorf("close_notify twice, or memory is kept: %+v", r.Stats())
	}
}

// TestHistory proves that an offer looks back at the one before it, with TLS and without, until the connection gives up bytes that wait.
func TestHistory(t *testing.T) {
	f := func(tls ...*tlsconn.Conn) {
		t.Helper()
		r := newRig(t, 256<<10, 1, tls...)
		r.Outbox.packer = deflate.NewPacker(r.table, make([]byte, deflate.HistorySize), nil)
		c := r.table.At(0)
		c.Flags |= conn.Deflates
		rng := rand.New(rand.NewPCG(1, 2))
		text := make([]byte, 600)
		for k := range text {
			text[k] = 'a' + byte(rng.IntN(26))
		}
		packed := func() uint64 {
			before := r.Stats().Packed[Offer].Packed
			dst := r.Room(0, c, len(text)+10, Offer)
			r.Commit(append(append(dst, 0x81, 126, byte(len(text)>>8), byte(len(text)&0xff)), text...))
			return r.Stats().Packed[Offer].Packed - before
		}
		leave := func() {
			ops := r.flush()
			r.sent(0, len(ops[0].Data), 0)
		}
		alone := packed()
		leave()
		if n := packed(); n > alone/10 {
			t.Errorf("%d bytes, and %d behind the same", alone, n)
		}
		leave()
		packed()
		r.Discard(c)
		if n := packed(); n != alone {
			t.Errorf("%d bytes, and %d behind the same that was given up", alone, n)
		}
	}
	f()
	x, _ := tlstest.New(t).Dial()
	f(x)
}

// TestNotSealed proves that frames that cannot be encrypted for lack of memory are named and stay as they are, so that
// they leave when there is memory; that their connection can give them up without a trace in its records; and that a
// connection without memory for close_notify goes on without.
func TestNotSealed(t *testing.T) {
	x, client := tlstest.New(t).Dial()
	r := newRig(t, 64<<10, 1, x)
	c := r.table.At(0)
	var kept []pool.Buf
	exhaust := func() {
		for b := r.pool.Get(512); b != 0; b = r.pool.Get(512) {
			kept = append(kept, b)
		}
	}
	restore := func() {
		for _, b := range kept {
			r.pool.Put(b)
		}
		kept = nil
	}
	for _, kind := range []Kind{Reply, Offer, Answer, Offer} {
		r.put(0, "given up", kind)
	}
	exhaust()
	if failed := r.Flush(); len(failed) != 1 || failed[0] != 0 || r.Stats().SealFailed != 1 || len(r.turn.Ops) > 0 {
		t.Fatalf("without memory: failed %v, ops %+v", failed, r.turn.Ops)
	}
	r.Discard(c)
	if d := r.Stats().DroppedMemory; d[Reply] != 1 || d[Offer] != 2 || d[Answer] != 1 || c.Dropped != 4 {
		t.Errorf("counted are %v, and %d", d, c.Dropped)
	}
	exhaust()
	if !r.Idle(0, c) || r.CloseNotify(0, c) || !r.Idle(0, c) || len(r.turn.Ops) > 0 {
		t.Error("frames that were given up still wait, or close_notify was sent without memory")
	}
	restore()
	r.put(0, "kept", Reply)
	if r.Discard(c); r.Stats().DroppedMemory[Offer] != 2 || r.Stats().DroppedMemory[Reply] != 2 {
		t.Errorf("counted twice: %v", r.Stats().DroppedMemory)
	}
	r.put(0, "kept", Reply)
	exhaust()
	r.Flush()
	if c.OutLen != 4 || c.Flight != 0 {
		t.Fatalf("%d bytes wait", c.OutLen)
	}
	restore()
	r.Touch(0, c)
	ops := r.flush()
	if len(ops) != 1 || string(client.Receive(bytes.Clone(ops[0].Data), 4)) != "kept" {
		t.Errorf("with memory: %+v", ops)
	}
	r.sent(0, len(ops[0].Data), 0)
	if r.Stats().SendMemory != 0 {
		t.Errorf("%d bytes are not given back", r.Stats().SendMemory)
	}
}
