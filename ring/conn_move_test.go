package ring

import (
	"bytes"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This file owns the tests of OpPause, OpResume, OpRelease and OpAdopt, and the part of the echo server that moves
// connections.

// inbox is how echo servers hand connections to each other.
type inbox struct {
	mu       sync.Mutex
	arrivals []arrival
}

type arrival struct {
	c  *echoConn
	fd int32
}

// maybeMove has a connection leave for the next server after a few receives.
func (s *echoServer) maybeMove(c *echoConn, slot Slot) {
	if c.received++; s.next != nil && !c.leaving && c.received%3 == 1 {
		c.leaving = true
		s.ops = append(s.ops, Op{Kind: OpPause, Slot: slot})
	}
}

// moveOn sends a paused connection to the next server; one whose client has ended stays and goes on here.
func (s *echoServer) moveOn(c *echoConn, slot Slot) {
	fd := c.fd
	c.fd, c.leaving = 0, false
	if c.ended || c.failed {
		s.ops = append(s.ops, Op{Kind: OpResume, Slot: slot})
		s.push(slot, c)
		return
	}
	s.ops = append(s.ops, Op{Kind: OpRelease, Slot: slot})
	delete(s.conns, slot)
	s.r.Submit(s.ops) // before the other ring has the descriptor
	s.ops = s.ops[:0]
	s.next.inbox.mu.Lock()
	s.next.inbox.arrivals = append(s.next.inbox.arrivals, arrival{c, fd})
	s.next.inbox.mu.Unlock()
	s.next.r.Waker().Wake()
}

// takeIn adopts the connections that have arrived.
func (s *echoServer) takeIn() {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	for _, a := range s.inbox.arrivals {
		tag := uint32(s.counts[EventAdopted] + len(s.moving) + 1)
		if s.moving == nil {
			s.moving = map[uint32]*echoConn{}
		}
		s.moving[tag] = a.c
		s.ops = append(s.ops, Op{Kind: OpAdopt, FD: a.fd, Tag: tag})
	}
	s.inbox.arrivals = s.inbox.arrivals[:0]
}

func (s *echoServer) adopted(e Event) {
	c := s.moving[e.Tag]
	delete(s.moving, e.Tag)
	switch {
	case c == nil || s.conns[e.Slot] != nil:
		s.fail("unexpected %+v", e)
	case e.Errno == 0:
		c.received = 0
		s.conns[e.Slot] = c
	}
}

// TestMove proves that a connection can go from ring to ring and back while its client sends without a pause: no byte
// is lost, doubled or out of order under any plan, and the ring that has it by then finds the end of its client.
func TestMove(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		a, b := startEcho(t, p, Window{Min: 1}), startEcho(t, p, Window{Min: 1})
		a.do(func(s *echoServer) { s.next = b })
		b.do(func(s *echoServer) { s.next = a })
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				roundTrip(t, a.addr, pattern(200_000*(1+i%3), byte(i)), uint64(i))
				roundTrip(t, b.addr, pattern(100, byte(i)), uint64(i))
			})
		}
		wg.Wait()
		a.do(func(s *echoServer) { s.next = nil })
		b.do(func(s *echoServer) { s.next = nil })
		moves := 0
		for _, s := range []*echoServer{a, b} {
			s.waitClosed(t)
			s.do(func(s *echoServer) {
				moves += s.counts[EventAdopted]
				if st := s.r.Stats(); st.Parked != 0 || s.r.Pool().InUse() != 0 || len(s.conns) != 0 {
					t.Errorf("left over: %+v, pool %d, connections %d", st, s.r.Pool().InUse(), len(s.conns))
				}
			})
			s.close()
		}
		if moves < 10 {
			t.Errorf("only %d moves", moves)
		}
	})
}

// TestPause proves that a paused connection can be resumed and closed like any other: the bytes that came meanwhile are
// received after OpResume, and Close resets connections that are paused.
func TestPause(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		s := startEcho(t, p, Window{Min: 1})
		all := func(kind OpKind) {
			s.do(func(s *echoServer) {
				for slot, c := range s.conns {
					c.closing = kind == OpClose
					s.ops = append(s.ops, Op{Kind: kind, Slot: slot, Abort: true})
				}
			})
		}
		pauses := func() (n int) {
			s.do(func(s *echoServer) { n = s.counts[EventPaused] })
			return n
		}
		c := dial(t, s.addr)
		for range 20 {
			echoOnce(t, c)
			all(OpPause)
			_, _ = c.Write([]byte("x"))
			all(OpResume)
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		paused := func(end func()) {
			t.Helper()
			c := dial(t, s.addr)
			echoOnce(t, c)
			before := pauses()
			all(OpPause)
			for pauses() == before {
			}
			end()
			if _, err := c.Read(make([]byte, 1)); Errno(unix.ECONNRESET) != errnoIn(err) {
				t.Errorf("the client read %v", err)
			}
		}
		_ = c.Close()
		s.waitClosed(t)
		paused(func() { all(OpClose) })
		s.waitClosed(t)
		paused(s.close)
	})
}

// TestSingle proves that a connection that was resumed gets one buffer between two Waits, however full its socket is, and that
// no byte is lost; and that it gets as many as there are once its socket was empty.
func TestSingle(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		s := startEcho(t, p, Window{Min: 1})
		c := dial(t, s.addr)
		echoOnce(t, c)
		// exchange has many buffers of data in the socket when the loop looks at it, and returns how many came in one Wait.
		exchange := func(before, after OpKind) (most int) {
			sent := pattern(16*p.ReceiveBufferSize, 1)
			all := func(s *echoServer, kind OpKind) {
				for slot := range s.conns {
					if kind != 0 {
						s.ops = append(s.ops, Op{Kind: kind, Slot: slot})
					}
				}
			}
			s.do(func(s *echoServer) { all(s, before) })
			s.do(func(s *echoServer) {
				if _, err := c.Write(sent); err != nil {
					t.Error(err)
				}
				s.most = 0
				all(s, after)
			})
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("the client read other bytes than it has sent, or fewer: %v", err)
			}
			s.do(func(s *echoServer) { most = s.most })
			return most
		}
		if n := exchange(OpPause, OpResume); n != 1 {
			t.Errorf("a Wait gave %d buffers of a connection that was resumed", n)
		}
		if n := exchange(0, 0); p.Use[MultishotReceive] && n == 1 {
			t.Error("each Wait gave one buffer of a connection whose socket was empty")
		}
		c.Close()
		s.waitClosed(t)
		s.close()
	})
}

// TestAdoptIntoFullTable proves that a descriptor is closed when the table has no place for it, and that the event says
// so.
func TestAdoptIntoFullTable(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		from := startEcho(t, p, Window{Min: 1})
		p.MaxConnections = 1
		to := startEcho(t, p, Window{Min: 1})
		echoOnce(t, dial(t, to.addr))
		from.do(func(s *echoServer) { s.next = to })
		c := dial(t, from.addr)
		echoOnce(t, c) // and then it moves
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a connection beyond the table is served")
		}
		for told := false; !told; {
			to.do(func(s *echoServer) { told = s.counts[EventAdopted] > 0 })
		}
		to.do(func(s *echoServer) {
			if s.counts[EventAdopted] != 1 || len(s.conns) != 1 || s.r.Stats().Connections != 1 {
				t.Errorf("%d adopted events, %d connections", s.counts[EventAdopted], len(s.conns))
			}
		})
		from.close()
		to.close()
	})
}

// TestMoveOnQuietRing proves that the next Wait reports the outcome of OpAdopt and OpPause at once, on a ring on which
// nothing else happens.
func TestMoveOnQuietRing(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		runtime.LockOSThread()
		p.Tick = time.Hour
		r, err := Open(p)
		if err != nil {
			t.Fatal(err)
		}
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		next := func(want EventKind) Event {
			t.Helper()
			for {
				events, err := r.Wait(nil, Window{Min: 1})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events {
					if e.Kind == want {
						return e
					}
				}
			}
		}
		r.Submit([]Op{{Kind: OpAdopt, FD: int32(fds[0]), Tag: 5}})
		e := next(EventAdopted)
		if e.Tag != 5 || e.Errno != 0 {
			t.Errorf("got %+v", e)
		}
		_ = unix.Close(fds[1])
		next(EventHangup)
		r.Submit([]Op{{Kind: OpPause, Slot: e.Slot}}) // nothing is in flight that could end
		if got := next(EventPaused); got.FD != int32(fds[0]) {
			t.Errorf("descriptor %d, want %d", got.FD, fds[0])
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
