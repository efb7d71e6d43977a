package ring

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/ring/internal/sockaddr"

	"golang.org/x/sys/unix"
)

// This file owns the tests of a ring as a server: many clients and their ends, limits, wakes, timers and signals, each
// under every plan.

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return c.(*net.TCPConn)
}

// echoOnce proves that a connection is served.
func echoOnce(t *testing.T, c net.Conn) {
	t.Helper()
	b := []byte("are you there?")
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "are you there?" {
		t.Fatalf("got %q, %v", b, err)
	}
}

// TestResets proves that a reset by the client leaves nothing behind in any state, and harms no other client.
func TestResets(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		s := startEcho(t, p, Window{Min: 1})
		stays := dial(t, s.addr)
		for i := range 60 {
			c := dial(t, s.addr)
			_ = c.SetLinger(0)
			switch i % 3 {
			case 1:
				echoOnce(t, c)
			case 2:
				_, _ = c.Write(pattern(200_000, 1)) // its echo is under way
			}
			_ = c.Close()
		}
		echoOnce(t, stays)
		_ = stays.Close()
		s.waitIdle(t)
		s.close()
	})
}

// TestSlowReader proves that a client which does not read holds one send and no more, that others are served
// meanwhile, and that closing it with and without Abort ends the send that waits.
func TestSlowReader(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		for _, abort := range []bool{false, true} {
			s := startEcho(t, p, Window{Min: 1})
			slow := dial(t, s.addr)
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					if _, err := slow.Write(pattern(64<<10, 3)); err != nil {
						return // the server has closed the connection
					}
				}
			})
			stuck := func(s *echoServer) (slot Slot, ok bool) {
				for slot, c := range s.conns {
					if c.sending && len(c.pending) > 8<<20 {
						return slot, true
					}
				}
				return Slot{}, false
			}
			for done := false; !done; {
				other := dial(t, s.addr)
				echoOnce(t, other)
				_ = other.Close()
				s.do(func(s *echoServer) {
					slot, ok := stuck(s)
					if !ok {
						return
					}
					done = true
					s.conns[slot].closing = true
					s.ops = append(s.ops, Op{Kind: OpClose, Slot: slot, Abort: abort})
				})
			}
			wg.Wait()
			s.waitClosed(t)
			s.close()
		}
	})
}

// waitClosed waits until no connection is open. Their buffers may still be out.
func (s *echoServer) waitClosed(t *testing.T) {
	t.Helper()
	for open := 1; open > 0; {
		s.do(func(s *echoServer) { open = s.r.Stats().Connections })
	}
}

// TestAbortResets proves that Abort reaches the client as a reset and OpShutdown as an orderly end.
func TestAbortResets(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		s := startEcho(t, p, Window{Min: 1})
		f := func(kind OpKind, want error) {
			t.Helper()
			c := dial(t, s.addr)
			echoOnce(t, c)
			s.do(func(s *echoServer) {
				for slot, conn := range s.conns {
					conn.closing = kind == OpClose
					s.ops = append(s.ops, Op{Kind: kind, Slot: slot, Abort: true})
				}
			})
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, want) {
				t.Errorf("op %d: the client read %v, want %v", kind, err, want)
			}
			_ = c.Close()
			s.waitClosed(t)
		}
		f(OpClose, unix.ECONNRESET)
		f(OpShutdown, io.EOF)
		s.close()
	})
}

// TestConnectionLimit proves that clients over the table's size are closed at once and counted, and that a place is
// used again.
func TestConnectionLimit(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		p.MaxConnections = 3
		s := startEcho(t, p, Window{Min: 1})
		var open []*net.TCPConn
		for range 3 {
			open = append(open, dial(t, s.addr))
			echoOnce(t, open[len(open)-1])
		}
		over := dial(t, s.addr)
		if _, err := over.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a client over the limit read %v", err)
		}
		s.do(func(s *echoServer) {
			if s.refused != 1 {
				t.Errorf("%d refused", s.refused)
			}
		})
		_ = open[0].Close()
		for gone := false; !gone; {
			s.do(func(s *echoServer) { gone = s.r.Stats().Connections == 2 })
		}
		echoOnce(t, dial(t, s.addr))
		s.close()
	})
}

// TestFewBuffers proves that two receive buffers serve forty clients that all send at once: receives are parked, none
// is forgotten.
func TestFewBuffers(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		p.ReceiveBuffers = 2
		s := startEcho(t, p, Window{Min: 1})
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() { roundTrip(t, s.addr, pattern(30_000, byte(i)), uint64(i)) })
		}
		wg.Wait()
		s.waitIdle(t)
		s.close()
	})
}

// TestWake proves that wakes from many goroutines and from another ring arrive, and that a Waker outlives its ring.
func TestWake(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		a, b := startEcho(t, p, Window{Min: 1}), startEcho(t, p, Window{Min: 1})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					a.r.Waker().Wake()
				}
			})
		}
		wg.Wait()
		a.waitWoken()
		a.later(func(s *echoServer) {
			s.r.SetPeers([]*Ring{a.r, b.r})
			s.ops = append(s.ops, Op{Kind: OpWake, Target: 1})
		})
		b.waitWoken()
		a.close()
		b.close()
		a.r.Waker().Wake()
	})
}

// TestTick proves that the housekeeping timer goes on by itself.
func TestTick(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		p.Tick = time.Millisecond
		for _, w := range []Window{{Min: 1}, {Min: 100, Max: time.Millisecond}} {
			s := startEcho(t, p, w)
			for ticks := 0; ticks < 5; {
				s.do(func(s *echoServer) { ticks = s.counts[EventTick] })
			}
			s.close()
		}
	})
}

// TestIdleWakes proves that each kind of event wakes a ring that sleeps in the runtime's poller: clients and their bytes,
// their ends, its timer, wakes by threads and by another ring, and the collector's work goes on beside it. A wake that is
// missed would hang the test.
func TestIdleWakes(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		a, b := startEchoThat(t, p, Window{Min: 1}, true), startEchoThat(t, p, Window{Min: 1}, true)
		for range 20 {
			c := dial(t, a.addr)
			echoOnce(t, c)
			runtime.GC()
			echoOnce(t, c)
			_ = c.Close()
		}
		for left := 1; left > 0; {
			a.do(func(s *echoServer) { left = len(s.conns) })
		}
		for ticks := 0; ticks < 3; {
			a.later(func(s *echoServer) { ticks = s.counts[EventTick] })
		}
		b.do(func(s *echoServer) { s.counts[EventWake] = 0 })
		a.do(func(s *echoServer) {
			s.r.SetPeers([]*Ring{a.r, b.r})
			s.ops = append(s.ops, Op{Kind: OpWake, Target: 1})
		})
		b.waitWoken()
		a.close()
		b.close()
	})
}

// refuser is a kernel that only notes how a ring would wait.
type refuser struct {
	Kernel
	held Hold
}

func (k *refuser) Enter(_, _ uint32, h Hold) (uint32, Errno) {
	k.held = h
	return 0, Errno(unix.ETIME)
}

// TestParks proves that a ring sleeps in the runtime's poller only while nothing happens, and never where the wait is to end
// by itself: the poller would not end it, and a user of the ring whose work is due by the clock would be late.
func TestParks(t *testing.T) {
	f := func(name string, quiet, minWait bool, w Window, want bool) {
		t.Helper()
		k := &refuser{}
		r := Ring{k: k, quiet: quiet, parkHead: noSlot}
		r.plan.MaxBatchDelay, r.plan.Use[MinWait] = time.Second, minWait
		r.mem = Memory{
			SQHead: new(uint32), SQTail: new(uint32), CQHead: new(uint32), CQTail: new(uint32), CQEs: make([]CQE, 8),
		}
		r.enter(w)
		if k.held.Park != want {
			t.Errorf("%s: %+v", name, k.held)
		}
	}
	f("busy", false, true, Window{Min: 1}, false)
	f("quiet", true, true, Window{Min: 1}, true)
	f("no wait", true, true, Window{}, false)
	f("a window that ends with the first completion after it", true, true, Window{Min: 2, Max: time.Millisecond}, true)
	f("a window that ends by itself", true, false, Window{Min: 2, Max: time.Millisecond}, false)
}

// TestIdleTick proves that the timer of an idle ring is slower, most so without connections.
func TestIdleTick(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		f := func(quiet bool, connections int, want time.Duration) {
			t.Helper()
			r := Ring{plan: p, quiet: quiet}
			r.stats.Connections = connections
			if got := r.tick(); got != want {
				t.Errorf("quiet %v, %d connections: %v, want %v", quiet, connections, got, want)
			}
		}
		f(false, 0, p.Tick)
		f(false, 9, p.Tick)
		f(true, 9, 2*p.Tick)
		f(true, 0, 4*p.Tick)
		f(true, 0, p.LongestTick())
	})
}

// TestStopAccept proves that new clients are refused while those that are there stay.
func TestStopAccept(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		s := startEcho(t, p, Window{Min: 1})
		c := dial(t, s.addr)
		echoOnce(t, c)
		s.do(func(s *echoServer) { s.ops = append(s.ops, Op{Kind: OpStopAccept}) })
		s.do(func(*echoServer) {})
		if other, err := net.Dial("tcp", s.addr); err == nil {
			t.Error("a client was accepted")
			_ = other.Close()
		}
		echoOnce(t, c)
		s.close()
	})
}

// TestCollectorDuringWait proves that a loop which sleeps in the kernel holds the garbage collector up for a moment
// only: with a wait that cannot be interrupted this test would hang.
func TestCollectorDuringWait(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		p.Tick = time.Hour
		s := startEcho(t, p, Window{Min: 1})
		echoOnce(t, dial(t, s.addr))
		for range 5 {
			runtime.GC()
		}
		s.close()
	})
}

// child runs one test of this binary in a process of its own and returns its output.
func child(t *testing.T, test string, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+test+"$", "-test.timeout", "60s", "-test.v")
	cmd.Env = append(os.Environ(), append(env, "RING_TEST_CHILD=1")...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+test) {
		t.Errorf("%s %v: %v\n%s", test, env, err, out)
	}
	return string(out)
}

// TestWithoutPreemption proves that GODEBUG=asyncpreemptoff=1 does not hang the collector either.
func TestWithoutPreemption(t *testing.T) {
	child(t, "TestCollectorDuringWait", "GODEBUG=asyncpreemptoff=1")
}

// TestOutOfFiles proves, in a process of its own, that a full descriptor table is reported and does not end accepting:
// the client that waits is served as soon as there is room.
func TestOutOfFiles(t *testing.T) {
	if os.Getenv("RING_TEST_CHILD") == "" {
		child(t, "TestOutOfFiles")
		return
	}
	// The kernel reads the limit when an accept is prepared, so it is set before the rings are opened.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		t.Fatal(err)
	}
	eachPlan(t, func(t *testing.T, p Plan) {
		s := startEcho(t, p, Window{Min: 1})
		stays := dial(t, s.addr)
		echoOnce(t, stays)
		// The client's descriptor is made before the table is full; connecting needs none, accepting does.
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		var fill []int
		for {
			spare, err := unix.Dup(fd)
			if err != nil {
				break
			}
			fill = append(fill, spare)
		}
		if err := unix.Connect(fd, sockaddr.Of(netip.MustParseAddrPort(s.addr))); err != nil {
			t.Fatal(err)
		}
		for failures := 0; failures < 2; {
			s.do(func(s *echoServer) { failures = s.counts[EventAcceptFailed] })
		}
		echoOnce(t, stays)
		for _, spare := range fill {
			_ = unix.Close(spare)
		}
		b := []byte("and now?")
		if _, err := unix.Write(fd, b); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(fd, b); err != nil || string(b[:n]) != "and now?" {
			t.Fatalf("got %q, %v", b[:max(n, 0)], err)
		}
		s.close()
	})
}
