package ring

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"millrace/ring/host"
	"millrace/ring/pool"
)

// This file owns the echo server that most tests of this package talk to, and the plans that they run under.

// echoServer is a minimal event loop over one ring. It sends the bytes of a client back, in order; after the client's
// end it sends the rest before it closes the connection. It keeps the contract of Op and Event, and fails where the
// ring does not.
type echoServer struct {
	r       *Ring
	addr    string
	window  Window
	conns   map[Slot]*echoConn
	counts  [EventAdopted + 1]int
	most    int // events with data of one connection from one Wait, since it was last set to 0
	refused int
	ops     []Op
	fail    func(format string, args ...any)
	stop    chan struct{}
	ended   chan struct{}
	ask     chan func(*echoServer)
	perOp   int  // bytes a send takes at most
	idle    bool // every wait is that of a ring to which nothing has happened for a while

	next   *echoServer // to which each connection goes after some receives (move_test.go); nil: they stay
	moving map[uint32]*echoConn
	inbox  inbox
}

type echoConn struct {
	pending []byte
	buf     pool.Buf
	sent    int // bytes of buf that are already acknowledged
	size    int
	sending bool
	ended   bool
	closing bool
	failed  bool // a send failed; later bytes are of no use

	received int // events since it came to this server
	leaving  bool
	fd       int32 // since EventPaused, else 0
}

// startEcho runs an echo server on a thread of its own. stop it with s.close, which also proves that the ring joins.
func startEcho(t testing.TB, p Plan, w Window) *echoServer {
	t.Helper()
	return startEchoThat(t, p, w, false)
}

// startEchoThat is startEcho with a ring that may count as idle before each wait.
func startEchoThat(t testing.TB, p Plan, w Window, idle bool) *echoServer {
	t.Helper()
	ls, err := host.Listen(host.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := &echoServer{addr: ls[0].Addr().String(), window: w, conns: map[Slot]*echoConn{}, fail: t.Errorf,
		perOp: 1 << 16, idle: idle,
		stop: make(chan struct{}), ended: make(chan struct{}), ask: make(chan func(*echoServer), 16)}
	opened := make(chan error)
	go s.run(p, ls[0], opened)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *echoServer) close() {
	close(s.stop)
	s.r.Waker().Wake()
	<-s.ended
}

// do runs f on the loop's thread and returns when it has run.
func (s *echoServer) do(f func(*echoServer)) {
	done := s.post(f)
	s.r.Waker().Wake()
	<-done
}

// later is do without a wake: f runs when the loop comes round for another reason, its tick at the latest.
func (s *echoServer) later(f func(*echoServer)) { <-s.post(f) }

func (s *echoServer) post(f func(*echoServer)) (done chan struct{}) {
	done = make(chan struct{})
	s.ask <- func(s *echoServer) { f(s); close(done) }
	return done
}

// waitWoken returns when a wake has arrived that the caller did not send.
func (s *echoServer) waitWoken() {
	for woken := false; !woken; {
		s.later(func(s *echoServer) { woken = s.counts[EventWake] > 0 })
	}
}

func (s *echoServer) run(p Plan, l *host.Listener, opened chan<- error) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	defer close(s.ended)
	r, err := Open(p, l)
	s.r = r
	opened <- err
	if err != nil {
		return
	}
	var events []Event
	for {
		r.quiet = r.quiet || s.idle
		events, err = r.Wait(events[:0], s.window)
		if err != nil {
			s.fail("Wait: %v", err)
			return
		}
		s.step(events)
		s.takeIn()
		r.Submit(s.ops)
		s.ops = s.ops[:0]
		select {
		case <-s.stop:
			if err := r.Close(); err != nil {
				s.fail("Close: %v", err)
			}
			return
		case f := <-s.ask:
			f(s)
			r.Submit(s.ops)
			s.ops = s.ops[:0]
		default:
		}
	}
}

func (s *echoServer) step(events []Event) {
	var touched []Slot
	data := map[Slot]int{}
	for _, e := range events {
		s.counts[e.Kind]++
		c := s.conns[e.Slot]
		switch e.Kind {
		case EventAccept:
			if c != nil || !e.Peer.IsValid() {
				s.fail("slot %v accepted twice, or without an address: %v", e.Slot, e.Peer)
			}
			s.conns[e.Slot] = &echoConn{}
		case EventRecv:
			if c == nil || c.ended || c.closing || len(e.Data) == 0 {
				s.fail("unexpected data on %v", e.Slot)
				continue
			}
			data[e.Slot]++
			s.most = max(s.most, data[e.Slot])
			c.pending = append(c.pending, e.Data...)
			s.maybeMove(c, e.Slot)
			touched = append(touched, e.Slot)
		case EventHangup:
			if c == nil || c.ended || c.closing {
				s.fail("unexpected hangup on %v", e.Slot)
				continue
			}
			c.ended = true
			touched = append(touched, e.Slot)
		case EventSent:
			s.sent(c, e)
			touched = append(touched, e.Slot)
		case EventClosed:
			if c == nil || !c.closing || c.sending {
				s.fail("unexpected close of %v", e.Slot)
			}
			delete(s.conns, e.Slot)
		case EventPaused:
			if c == nil || c.closing {
				s.fail("unexpected pause of %v", e.Slot)
				continue
			}
			if c.leaving {
				c.fd = e.FD
			}
			touched = append(touched, e.Slot)
		case EventAdopted:
			s.adopted(e)
			touched = append(touched, e.Slot)
		case EventRefused:
			s.refused += int(e.N)
		}
	}
	for _, slot := range touched {
		if c := s.conns[slot]; c != nil {
			s.push(slot, c)
		}
	}
}

func (s *echoServer) sent(c *echoConn, e Event) {
	if c == nil || !c.sending || (e.Errno != 0 && e.N != 0) {
		s.fail("unexpected end of a send on %v: %+v", e.Slot, e)
		return
	}
	c.sending = false
	c.sent += int(e.N)
	if e.Errno != 0 || c.sent == c.size {
		s.r.Pool().Put(c.buf)
		c.buf = 0
		c.failed = e.Errno != 0
	}
}

func (s *echoServer) push(slot Slot, c *echoConn) {
	if c.sending || c.closing {
		return
	}
	if c.fd != 0 && c.buf == 0 {
		s.moveOn(c, slot)
		return
	}
	if c.buf == 0 && len(c.pending) > 0 && !c.failed {
		if c.buf = s.r.Pool().Get(min(len(c.pending), s.perOp)); c.buf == 0 {
			s.fail("the pool is exhausted")
			return
		}
		c.size = copy(s.r.Pool().Bytes(c.buf), c.pending)
		c.pending = slices.Delete(c.pending, 0, c.size)
		c.sent = 0
	}
	if c.buf != 0 {
		c.sending = true
		s.ops = append(s.ops, Op{Kind: OpSend, Slot: slot, Data: s.r.Pool().Bytes(c.buf)[c.sent:c.size]})
		return
	}
	if c.ended || c.failed {
		c.closing = true
		s.ops = append(s.ops, Op{Kind: OpClose, Slot: slot})
	}
}

// testOptions are the sizes of the rings that the tests open.
func testOptions(w Want) Options {
	return Options{
		Entries: 256, ReceiveBuffers: 64, ReceiveBufferSize: 2048, SendMemory: 1 << 20, MaxConnections: 300,
		Tick: 20 * time.Millisecond, MaxBatchDelay: 2 * time.Millisecond, Want: w,
	}
}

// testPlans are the plans that the tests of the real kernel run under: from the 5.8 baseline to all the kernel has.
func testPlans(t testing.TB, f func(name string, p Plan)) {
	t.Helper()
	with := func(w Want, features ...Feature) Want {
		for _, feature := range features {
			w[feature] = Auto
		}
		return w
	}
	baseline := allOff()
	provided511 := with(baseline, TimedWait)
	ring519 := with(provided511, MultishotAccept, BufferRing, MessageRing, CoopTaskrun,
		RegisteredRing, RegisteredBuffers)
	multishot60 := with(ring519, MultishotReceive, SingleIssuer)
	fixed := Want{FixedSend: Require}
	for _, c := range []struct {
		name string
		want Want
	}{
		{"baseline 5.8", baseline}, {"5.11", provided511}, {"5.19", ring519}, {"6.0", multishot60},
		{"6.1", Want{MinWait: Off}}, {"fixed send", fixed}, {"newest", Want{}},
	} {
		p, err := Choose(Probe(), testOptions(c.want))
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", c.name, err))
		}
		f(c.name, p)
	}
}

// eachPlan runs f as a subtest under every plan.
func eachPlan(t *testing.T, f func(t *testing.T, p Plan)) {
	testPlans(t, func(name string, p Plan) {
		t.Run(name, func(t *testing.T) { f(t, p) })
	})
}
