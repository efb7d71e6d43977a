package mover

// This file tests the mover between whole parts of some shards, with the ring's answers in the test's hands, and the
// memory that shards on different threads share.

import (
	"bytes"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/deflate"
	"millrace/cmd/internal/shard/door"
	"millrace/cmd/internal/shard/inbox"
	"millrace/cmd/internal/shard/outbox"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/shard/tlstest"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/tlsconn"
)

const (
	boxSize  = 4096
	poolSize = 64 << 10
	patience = 3
)

// side is one shard with all parts that a mover works with.
type side struct {
	*Mover
	t         *testing.T
	asm, send *pool.Pool
	turn      conn.Turn
	now       uint32
}

// newSides returns n shards with room for so many connections, with TLS if there is an engine. All of them use that
// engine.
func newSides(t *testing.T, n, conns int, engine *tlstest.Engine) []*side {
	var tls *tlsconn.Engine
	if engine != nil {
		tls = engine.Engine
	}
	boxes, lanes, all := post.Wire(n, boxSize), Wire(n), make([]*side, n)
	for k := range all {
		s := &side{t: t, asm: pool.New(make([]byte, poolSize)), send: pool.New(make([]byte, poolSize)), now: 1}
		table := conn.NewTable(k, conns, engine != nil)
		in := inbox.New(s.asm, &s.turn, nil)
		s.Mover = New(Options{Shard: k, Shards: n, Follow: true, Patience: patience}, Parts{
			Table: table, Turn: &s.turn, Inbox: in, Post: post.New(k, boxes[k], &s.turn),
			Door:   door.New(door.Options{SourceSeed: guard.Secret{1}}, table, &s.turn, tls),
			Outbox: outbox.New(outbox.Options{MaxPending: 1024, SendTimeout: 20}, s.send, table, &s.turn, in, deflate.NewPacker(table, nil, nil)),
		}, lanes[k])
		s.step(func() {})
		all[k] = s
	}
	return all
}

// step is a Step of the shard in which do is done. It returns the ops.
func (s *side) step(do func()) []ring.Op {
	s.turn.Begin(time.Duration(s.now-1)*time.Second, nil)
	s.turn.Now = uint32(s.now)
	s.Retry()
	do()
	s.Outbox.Flush()
	s.PublishLoad(0, 0)
	s.Post.Publish()
	return s.turn.End()
}

var client = netip.MustParseAddrPort("192.0.2.7:4711")

// enter lets a connection in at index i, with so many unread bytes, all of them i. x is nil without TLS.
func (s *side) enter(i uint32, unread int, x *tlsconn.Conn) *conn.Conn {
	s.t.Helper()
	slot := ring.Slot{Index: i, Gen: s.Table.At(i).Gen() + 1}
	c := s.Door.Adopt(slot, x, 0, client, guard.Ref{})
	if x != nil {
		c.Flags |= conn.Established | conn.Encrypted
	}
	if !s.Inbox.Keep(c, bytes.Repeat([]byte{byte(i)}, unread), 0) {
		s.t.Fatal("no memory")
	}
	return c
}

// begin begins a move that must begin.
func (s *side) begin(i uint32, k int) {
	s.t.Helper()
	if c := s.Table.At(i); !s.Begin(i, c, k, yes) || c.State() != conn.Moving {
		s.t.Fatalf("connection %d, %s, does not begin to move", i, c.State())
	}
}

// leave begins a move and has it go as far as it can: the descriptor is 100 + i.
func (s *side) leave(i uint32, k int) {
	s.t.Helper()
	s.begin(i, k)
	s.Paused(i, s.Table.At(i), 100+int32(i))
}

// arrive is a Step that takes in all connections that have been mailed. It returns the ops.
func (s *side) arrive() []ring.Op {
	return s.step(func() {
		for from, rec := s.Post.Next(); rec != nil; from, rec = s.Post.Next() {
			if post.KindOf(rec) == post.KindMove {
				var m post.Move
				post.ReadMove(rec, &m)
				s.Arrive(from, &m)
			}
		}
	})
}

// adopt is a Step with the ring's answer to an op of arrive: the connection is at index i, or is lost by an errno.
func (s *side) adopt(op ring.Op, i uint32, errno ring.Errno) (c *conn.Conn, whole bool) {
	s.step(func() {
		e := &ring.Event{Kind: ring.EventAdopted, Tag: op.Tag, Errno: errno}
		if errno == 0 {
			e.Slot = ring.Slot{Index: i, Gen: s.Table.At(i).Gen() + 1}
		}
		c, _, whole = s.Adopted(e)
	})
	return c, whole
}

// fds returns the descriptors that the ring is asked to adopt.
func fds(ops []ring.Op) (all []int32) {
	for _, op := range ops {
		if op.Kind == ring.OpAdopt {
			all = append(all, op.FD)
		}
	}
	return all
}

// kinds returns the kinds of ops but those of wakes.
func kinds(ops []ring.Op) (all []ring.OpKind) {
	for _, op := range ops {
		if op.Kind != ring.OpWake {
			all = append(all, op.Kind)
		}
	}
	return all
}

// fill fills the mailbox to shard k.
func (s *side) fill(k int) {
	var scrape post.Scrape // an empty one on its way home, which may fill all of a box
	scrape.From.Shard = uint16(k)
	s.step(func() {
		for s.Post.Scrape(k, &scrape) {
		}
	})
}

// checkRest fails unless nothing is kept for any connection, and none is on its way.
func checkRest(t *testing.T, sides []*side) {
	t.Helper()
	for k, s := range sides {
		if s.asm.InUse() != 0 || s.send.InUse() != 0 || s.Coming() != 0 || s.Stats().MovesWaiting != 0 {
			t.Errorf("shard %d: %d and %d bytes in use, %d connections on their way, %d wait",
				k, s.asm.InUse(), s.send.InUse(), s.Coming(), s.Stats().MovesWaiting)
		}
	}
}

func yes() bool { return true }
func no() bool  { return false }

// TestFairShare proves that a shard takes in a quarter more than the mean of all, and some more where there are few.
func TestFairShare(t *testing.T) {
	f := func(connections, shards, want int) {
		t.Helper()
		if got := FairShare(connections, shards); got != want {
			t.Errorf("%d connections on %d shards: %d, want %d", connections, shards, got, want)
		}
	}
	f(0, 1, 32)
	f(0, 8, 32)
	f(1000, 1, 1282)
	f(1000, 4, 344)
	f(1_000_000, 8, 156_282)
}

// TestHasRoom proves that connections on their way count as much as those that are there, at the shard and in the mean,
// and that a sixteenth of a connection table is kept for clients that the kernel brings.
func TestHasRoom(t *testing.T) {
	f := func(conns int, live, coming []int, want bool) {
		t.Helper()
		sides := newSides(t, len(live), conns, nil)
		for k := range live {
			sides[0].lanes.loads[k].live.Store(int64(live[k]))
			sides[0].lanes.loads[k].coming.Store(int64(coming[k]))
		}
		for _, s := range sides {
			if got := s.hasRoom(1); got != want {
				t.Errorf("%d of %d and %d on their way: room at shard 1: %v", live, conns, coming, got)
			}
		}
	}
	f(4000, []int{0, 0}, []int{0, 0}, true)
	f(4000, []int{1000, 1722}, []int{0, 0}, true) // the mean is 1361, the share 1733
	f(4000, []int{1000, 1732}, []int{0, 0}, true)
	f(4000, []int{1000, 1752}, []int{0, 0}, false)
	f(4000, []int{1000, 1722}, []int{0, 30}, false)
	f(4000, []int{1000, 1752}, []int{40, 0}, true)
	f(1600, []int{1400, 1499}, []int{0, 0}, true)
	f(1600, []int{1400, 1500}, []int{0, 0}, false)
	f(4000, []int{1000, 1000}, []int{0, loadClosed}, true) // asked by Begin: enter refuses
}

// TestBegin proves in which cases a connection goes and in which it stays, that a connection decides once in its life,
// and that one that stays leaves no trace in the loads of shards.
func TestBegin(t *testing.T) {
	f := func(name string, goes bool, refused uint64, settled bool, unread func() bool, prepare func(*side, *conn.Conn)) {
		t.Helper()
		sides := newSides(t, 2, 64, nil)
		s := sides[0]
		c := s.enter(5, 10, nil)
		prepare(s, c)
		state, coming := c.State(), sides[1].lanes.loads[1].coming.Load()
		var got bool
		ops := s.step(func() { got = s.Begin(5, c, 1, unread) })
		if got != goes || s.Stats().MovesRefused != refused || c.Flags.Has(conn.Settled) != settled {
			t.Errorf("%s: goes %v, refused %d, flags %b", name, got, s.Stats().MovesRefused, c.Flags)
		}
		if goes {
			coming++
			if c.State() != conn.Moving || c.Target != 1 || c.Deadline != s.now+patience ||
				!slices.Equal(kinds(ops), []ring.OpKind{ring.OpPause}) || ops[0].Slot != s.Table.Slot(5) {
				t.Errorf("%s: %s to %d until %d, ops %+v", name, c.State(), c.Target, c.Deadline, ops)
			}
		} else if c.State() != state || len(kinds(ops)) > 0 {
			t.Errorf("%s: %s, ops %+v", name, c.State(), ops)
		}
		if now := s.lanes.loads[1].coming.Load(); now != coming {
			t.Errorf("%s: %d are on their way, want %d", name, now, coming)
		}
		if s.Begin(5, c, 1, yes) && settled {
			t.Errorf("%s: it decides twice", name)
		}
	}
	f("goes", true, 0, true, yes, func(*side, *conn.Conn) {})
	f("cannot be read again", false, 1, true, no, func(*side, *conn.Conn) {})
	f("follow_torrents is off", false, 0, false, yes, func(s *side, _ *conn.Conn) { s.opt.Follow = false })
	f("one shard", false, 0, false, yes, func(s *side, _ *conn.Conn) { s.opt.Shards = 1 })
	f("owner", false, 0, true, yes, func(s *side, _ *conn.Conn) { s.opt.Shard = 1 })
	f("settled", false, 0, true, yes, func(_ *side, c *conn.Conn) { c.Flags |= conn.Settled })
	f("closing", false, 0, false, yes, func(s *side, c *conn.Conn) { s.Table.Change(c, conn.Ends) })
	f("has peers", false, 0, true, yes, func(_ *side, c *conn.Conn) { c.Owners = 1 })
	f("awaits a reply", false, 0, true, yes, func(_ *side, c *conn.Conn) { c.Asks = 1 })
	f("its client has ended", false, 0, true, yes, func(_ *side, c *conn.Conn) { c.Flags |= conn.HungUp })
	f("the tracker stops", false, 0, true, yes, func(s *side, _ *conn.Conn) { s.Door.Close() })
	f("no room", false, 1, true, yes, func(s *side, _ *conn.Conn) { s.lanes.loads[1].live.Store(1 << 20) })
	f("the other shard has ended", false, 1, true, yes, func(s *side, _ *conn.Conn) { s.lanes.loads[1].closeUp() })
}

// TestMove proves that a connection goes when it is paused and its waiting bytes have left, in either order, and that
// its descriptor, its client's address, its flags and its unread bytes arrive; its shard has all memory back.
func TestMove(t *testing.T) {
	f := func(name string, hello string, goOn func(s *side, c *conn.Conn)) {
		t.Helper()
		sides := newSides(t, 3, 64, nil)
		here, there := sides[0], sides[2]
		c := here.enter(5, 3000, nil)
		ops := here.step(func() {
			if hello != "" {
				here.Outbox.Commit(append(here.Outbox.Room(5, c, len(hello), outbox.HTTP), hello...))
			}
			here.begin(5, 2)
		})
		if there.Coming() != 1 || c.State() != conn.Moving || kinds(ops)[0] != ring.OpPause {
			t.Fatalf("%s: %s, %d on their way, ops %+v", name, c.State(), there.Coming(), ops)
		}
		ops = here.step(func() { goOn(here, c) })
		if c.State() != conn.Free || here.asm.InUse() != 0 || !slices.Contains(kinds(ops), ring.OpRelease) {
			t.Fatalf("%s: %s, %d bytes in use, ops %+v", name, c.State(), here.asm.InUse(), ops)
		}
		adopt := there.arrive()
		if !slices.Equal(fds(adopt), []int32{105}) {
			t.Fatalf("%s: arrives as %+v", name, adopt)
		}
		arrived, whole := there.adopt(adopt[0], 9, 0)
		if !whole || arrived.State() != conn.Open || arrived.Client() != client || arrived.Flags != conn.Moved ||
			!bytes.Equal(there.Inbox.Bytes(arrived), bytes.Repeat([]byte{5}, 3000)) {
			t.Errorf("%s: arrived whole %v as %+v", name, whole, arrived)
		}
		there.Inbox.Free(arrived)
		if here.Stats() != (Stats{MovedOut: 1}) || there.Stats() != (Stats{MovedIn: 1}) {
			t.Errorf("%s: the counters are %+v and %+v", name, here.Stats(), there.Stats())
		}
		checkRest(t, sides)
	}
	sent := func(s *side, c *conn.Conn) {
		s.Outbox.Sent(5, c, &ring.Event{Slot: s.Table.Slot(5), N: 5})
		s.Advance(5, c)
	}
	paused := func(s *side, c *conn.Conn) { s.Paused(5, c, 105) }
	stays := func(s *side, c *conn.Conn) {
		if c.State() != conn.Moving {
			t.Error("it has gone too early")
		}
	}
	f("nothing to send", "", paused)
	f("paused last", "hello", func(s *side, c *conn.Conn) {
		sent(s, c)
		stays(s, c)
		paused(s, c)
	})
	f("sent last", "hello", func(s *side, c *conn.Conn) {
		paused(s, c)
		stays(s, c)
		sent(s, c)
	})
	f("asked more than once", "", func(s *side, c *conn.Conn) {
		s.Advance(5, c)
		stays(s, c)
		paused(s, c)
		s.Advance(5, c)
	})
}

// TestFullMailbox proves that connections for which a mailbox has no room wait and go later, in the order in which they
// began to wait, without holding up those that go to other shards; and that a small one does not overtake a large one.
func TestFullMailbox(t *testing.T) {
	sides := newSides(t, 3, 256, nil)
	here := sides[0]
	f := func(waiting int, want1, want2 []int32, do func()) {
		t.Helper()
		here.step(do)
		if got := here.Stats().MovesWaiting; got != waiting {
			t.Errorf("%d wait, want %d", got, waiting)
		}
		check := func(k int, want []int32) {
			t.Helper()
			if want == nil {
				return // shard k does not read
			}
			adopt := sides[k].arrive()
			if got := fds(adopt); !slices.Equal(got, want) {
				t.Errorf("%v arrive at shard %d, want %v", got, k, want)
			}
			for _, op := range adopt {
				if op.Kind == ring.OpAdopt {
					c, _ := sides[k].adopt(op, uint32(op.FD), 0)
					sides[k].Inbox.Free(c)
				}
			}
		}
		check(1, want1)
		check(2, want2)
	}
	nothing := func() {}
	here.fill(1)
	here.fill(2)
	for i, unread := range []int{1: 1000, 2: 100, 3: 1000, 4: 1000, 5: 1000, 6: 100} {
		if unread > 0 {
			here.enter(uint32(i), unread, nil)
		}
	}
	f(6, nil, []int32{}, func() {
		here.leave(1, 1)
		here.leave(2, 1)
		here.leave(3, 2)
		here.leave(4, 1)
		here.leave(5, 1)
		here.leave(6, 1)
	})
	f(5, []int32{}, []int32{103}, nothing)
	f(2, []int32{101, 102, 104}, nil, nothing)
	f(0, []int32{105, 106}, nil, nothing)
	if st := here.Stats(); st.MovedOut != 6 || here.Table.Live() != 0 {
		t.Errorf("the counters are %+v, %d live", st, here.Table.Live())
	}
	checkRest(t, sides)
}

// TestStay proves that a connection can stay in each phase of a move until it has gone: it is open with its unread
// bytes and is heard again, nobody expects it, and neither a late pause nor room in the mailbox makes it go.
func TestStay(t *testing.T) {
	f := func(name string, prepare func(s *side)) {
		t.Helper()
		sides := newSides(t, 2, 64, nil)
		s := sides[0]
		c := s.enter(5, 100, nil)
		prepare(s)
		if c.State() != conn.Moving || sides[1].Coming() != 1 {
			t.Fatalf("%s: %s, %d on their way", name, c.State(), sides[1].Coming())
		}
		ops := s.step(func() {
			if !s.Stay(5, c) || s.Stay(5, c) {
				t.Errorf("%s: it cannot stay, or twice", name)
			}
		})
		if c.State() != conn.Open || c.Flags.Has(conn.Paused) || !slices.Equal(kinds(ops), []ring.OpKind{ring.OpResume}) ||
			!bytes.Equal(s.Inbox.Bytes(c), bytes.Repeat([]byte{5}, 100)) || s.Stats().MovesGivenUp != 1 {
			t.Errorf("%s: %+v, ops %+v", name, *c, ops)
		}
		sides[1].arrive()
		ops = s.step(func() {
			s.Paused(5, c, 105)
			if s.Begin(5, c, 1, yes) {
				t.Errorf("%s: it changes its mind", name)
			}
		})
		got := sides[1].arrive()
		if c.State() != conn.Open || c.Flags.Has(conn.Paused) || len(kinds(ops)) > 0 || len(fds(got)) > 0 {
			t.Errorf("%s: %s, ops %+v and %+v", name, c.State(), ops, got)
		}
		s.Inbox.Free(c)
		checkRest(t, sides)
	}
	f("begun", func(s *side) { s.begin(5, 1) })
	f("paused", func(s *side) {
		c := s.Table.At(5)
		s.Outbox.Commit(append(s.Outbox.Room(5, c, 5, outbox.HTTP), "hello"...))
		s.leave(5, 1)
		s.Outbox.Discard(c)
	})
	f("without room", func(s *side) {
		s.fill(1)
		s.leave(5, 1)
	})
}

// TestWaitingSlotIsUsedAgain proves that a connection that ended while it waited for room does not take the next user
// of its slot with it.
func TestWaitingSlotIsUsedAgain(t *testing.T) {
	sides := newSides(t, 2, 64, nil)
	s := sides[0]
	s.fill(1)
	c := s.enter(5, 100, nil)
	s.step(func() {
		s.leave(5, 1)
		s.Stay(5, c)
		s.Inbox.Free(c)
		s.Table.Change(c, conn.Closes)
		s.Door.Leave(5, conn.Gone)
		s.enter(5, 100, nil)
		s.begin(5, 1) // and is not paused yet
	})
	sides[1].arrive()
	s.step(func() {})
	if got := sides[1].arrive(); len(fds(got)) > 0 || c.State() != conn.Moving || s.Stats().MovesWaiting != 0 {
		t.Errorf("%s, the other shard adopts %v", c.State(), fds(got))
	}
}

// TestArrivals proves that connections that arrive get their own bytes in any order in which the ring adopts them; that
// one for which it has no place gives back its memory and its TLS; and that one without memory for its bytes says so.
func TestArrivals(t *testing.T) {
	engine := tlstest.New(t)
	sides := newSides(t, 2, 64, engine)
	here, there := sides[0], sides[1]
	var tls [4]*tlsconn.Conn
	move := func() []ring.Op {
		t.Helper()
		here.step(func() {
			for i := range tls {
				tls[i], _ = engine.Dial()
				here.enter(uint32(i), 100+i, tls[i])
				here.leave(uint32(i), 1)
			}
		})
		ops := there.arrive()
		if !slices.Equal(fds(ops), []int32{100, 101, 102, 103}) || there.Coming() != 4 {
			t.Fatalf("%+v arrive, %d are on their way", ops, there.Coming())
		}
		return ops
	}
	for range 2 { // the tags are used again
		ops := move()
		for _, k := range []int{2, 0, 3} {
			c, whole := there.adopt(ops[k], uint32(10+k), 0)
			if !whole || !bytes.Equal(there.Inbox.Bytes(c), bytes.Repeat([]byte{byte(k)}, 100+k)) ||
				there.Table.TLS(uint32(10+k)) != tls[k] || c.Flags != conn.Moved|conn.Established|conn.Encrypted {
				t.Errorf("connection %d arrives as %+v", k, *c)
			}
			there.Inbox.Free(c)
			there.Table.CloseTLS(uint32(10 + k))
			there.Table.Change(c, conn.Closes)
			there.Door.Leave(uint32(10+k), conn.Gone)
		}
		if c, _ := there.adopt(ops[1], 0, 23); c != nil || tls[1].Phase() != tlsconn.Failed {
			t.Errorf("a connection without a place is %+v, its TLS %s", c, tls[1].Phase())
		}
		checkRest(t, sides)
	}
	if st := there.Stats(); st.MovedIn != 6 || st.MovesLost != 2 || len(there.Mover.arrivals) != 4 {
		t.Errorf("the counters are %+v, with %d tags", st, len(there.Mover.arrivals))
	}
	b := there.asm.Get(poolSize)
	if c, whole := there.adopt(move()[0], 10, 0); whole || c == nil || c.State() != conn.Open || c.Asm != 0 {
		t.Errorf("without memory: whole %v, %+v", whole, c)
	}
	there.asm.Put(b)
}

// TestCrossingIsFull proves that a connection with TLS waits while the way for TLS states is full, without mail; that
// it goes when the other side has taken one; and that each record has its own TLS state.
func TestCrossingIsFull(t *testing.T) {
	engine := tlstest.New(t)
	sides := newSides(t, 2, 64, engine)
	here, there := sides[0], sides[1]
	way, other := here.lanes.goOut[1], new(tlsconn.Conn)
	for range crossingSize {
		way.put(other)
	}
	x, peer := engine.Dial()
	c := here.enter(5, 100, x)
	here.step(func() { here.leave(5, 1) })
	if c.State() != conn.Moving || here.Stats().MovesWaiting != 1 || len(fds(there.arrive())) > 0 {
		t.Fatalf("%s, %d wait", c.State(), here.Stats().MovesWaiting)
	}
	if there.lanes.comeIn[0].take() != other {
		t.Fatal("another state comes out than went in")
	}
	here.step(func() {})
	if c.State() != conn.Free || !way.full() || here.Table.TLS(5) != nil {
		t.Fatalf("%s with room on the way", c.State())
	}
	for range crossingSize - 1 {
		there.lanes.comeIn[0].take()
	}
	arrived, _ := there.adopt(there.arrive()[0], 9, 0)
	if there.Table.TLS(9) != x {
		t.Fatal("it arrives with the TLS of another")
	}
	if err := x.Feed(peer.Send([]byte("hello"))); err != nil {
		t.Error(err)
	}
	if data, err := x.Next(); string(data) != "hello" || err != nil {
		t.Errorf("its TLS reads %q, %v", data, err)
	}
	there.Inbox.Free(arrived)
	checkRest(t, sides)
}

// TestCloseUp proves that a shard is closed to others only while nobody is on the way to it, and then for good.
func TestCloseUp(t *testing.T) {
	sides := newSides(t, 2, 64, nil)
	s := sides[0]
	c := s.enter(5, 100, nil)
	s.begin(5, 1)
	if sides[1].CloseUp() {
		t.Error("closed with a connection on its way")
	}
	s.Stay(5, c)
	for range 2 { // it may be asked again
		if !sides[1].CloseUp() || sides[1].Coming() != 0 {
			t.Error("not closed, or not twice")
		}
	}
	s.enter(6, 100, nil)
	if s.Begin(6, s.Table.At(6), 1, yes) || sides[1].Coming() != 0 || !sides[1].CloseUp() {
		t.Error("a closed shard takes one in")
	}
}

// TestPublishLoad proves that the other shards see how many connections there are as of the last Step.
func TestPublishLoad(t *testing.T) {
	sides := newSides(t, 2, 64, nil)
	f := func(want int64) {
		t.Helper()
		if got := sides[1].lanes.loads[0].live.Load(); got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
	}
	sides[0].step(func() { sides[0].enter(5, 1, nil) })
	f(1)
	sides[0].enter(6, 1, nil)
	f(1)
	sides[0].step(func() { sides[0].leave(6, 1) })
	f(1)
	sides[0].step(func() { sides[0].enter(7, 1, nil) })
	f(2)
}

// TestEnterAndCloseUp proves for shards on threads of their own that a shard does not close up while somebody is let
// in, and that nobody is let in afterwards.
func TestEnterAndCloseUp(t *testing.T) {
	for range 200 {
		var l load
		var closed atomic.Bool
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for range 30 {
					if !l.enter() {
						continue
					}
					runtime.Gosched()
					if closed.Load() {
						t.Error("closed up with somebody inside")
					}
					l.leave()
				}
			})
		}
		all.Go(func() {
			for !l.closeUp() {
				runtime.Gosched()
			}
			closed.Store(true)
		})
		all.Wait()
		if l.enter() || l.all() != 0 {
			t.Error("somebody was let in afterwards")
		}
	}
}

// TestCrossing proves for two threads that TLS states come out in the order in which they were put in, also where the
// way is full again and again.
func TestCrossing(t *testing.T) {
	const n = 20 * crossingSize
	var x crossing
	var told atomic.Uint32 // the sender's records
	states := make([]tlsconn.Conn, n)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range states {
			for x.full() {
				runtime.Gosched()
			}
			x.put(&states[i])
			told.Add(1)
		}
	})
	all.Go(func() {
		for i := range states {
			for told.Load() == uint32(i) {
				runtime.Gosched()
			}
			if got := x.take(); got != &states[i] {
				t.Errorf("number %d is another state", i)
				return
			}
		}
	})
	all.Wait()
	if x.full() || slices.ContainsFunc(x.conns, func(c *tlsconn.Conn) bool { return c != nil }) {
		t.Error("the way keeps states that were taken")
	}
}

// TestTakesTorrent proves that a shard is lent torrents until it has a quarter more torrents, peers or connections than the
// mean of all, and that a few more or less do not count.
func TestTakesTorrent(t *testing.T) {
	f := func(torrents, peers, conns int, want bool) {
		t.Helper()
		sides := newSides(t, 2, 256, nil)
		sides[1].PublishLoad(10_000, 10_000)
		for i := range conns {
			sides[0].enter(uint32(i), 0, nil)
		}
		sides[0].PublishLoad(torrents, peers)
		if got := sides[1].TakesTorrent(0); got != want {
			t.Errorf("%d torrents, %d peers and %d connections: %v, want %v", torrents, peers, conns, got, want)
		}
	}
	limit := func(n int) bool { return n < FairShare(10_000+n, 2)+torrentSlack }
	most := 10_000
	for limit(most + 1) {
		most++
	}
	f(0, 0, 0, true)
	f(10_000, 10_000, 0, true)
	f(most, most, 0, true)
	f(most+1, 0, 0, false)
	f(0, most+1, 0, false)
	f(0, 0, 200, false)
}
