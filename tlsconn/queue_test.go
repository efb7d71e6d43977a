package tlsconn

// This file tests the bounds of handshakes in flight: places, turns, deadlines, their end, and many clients at the same
// time.

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// clientHello returns the first flight of a client of crypto/tls.
func clientHello(tb testing.TB) []byte {
	tb.Helper()
	wire := &memConn{from: make(chan []byte), to: make(chan []byte, 1)}
	go tls.Client(wire, clientConfig(tls.VersionTLS13)).Handshake()
	hello := <-wire.to
	close(wire.from)
	return hello
}

// A flood of ClientHellos never has more handshakes in flight than the engine allows. A client that finds no place takes
// that of the one that has waited longest, and an open connection goes on meanwhile. Places come back when connections
// are closed.
func TestHandshakeFlood(t *testing.T) {
	const limit = 50
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxInFlight = limit })
	r := newRigIn(t, e, tls.VersionTLS13, 0)
	hello := clientHello(t)
	var conns []*Conn
	refused := 0
	for k := range 1000 {
		c := e.Start(2)
		switch err := c.Feed(hello); {
		case errors.Is(err, ErrPoolFull): // none of the others waits for its client
			refused++
			c.Close()
		case err != nil:
			t.Fatal(err)
		default:
			conns = append(conns, c)
		}
		if k%3 > 0 {
			e.Compute()
		}
		if n := e.InFlight(); n > limit || len(e.idle) > maxIdleCoroutines {
			t.Fatalf("%d handshakes are in flight, %d coroutines are idle", n, len(e.idle))
		}
		if data, err := r.read(r.record(typeData, []byte("hi")), 100); string(data) != "hi" || err != nil {
			t.Fatalf("the open connection: %q, %v", data, err)
		}
	}
	computeAll(e)
	live := 0
	for _, c := range conns {
		if c.Phase() == Handshaking {
			live++
		} else if !errors.Is(c.Err(), ErrPoolFull) {
			t.Fatal(c.Err())
		}
	}
	if live != limit || refused == 0 || len(conns) < 2*limit {
		t.Errorf("%d handshakes go on, want %d; %d were refused, %d begun", live, limit, refused, len(conns))
	}
	for _, c := range conns {
		c.Close()
	}
	if n := e.InFlight(); n != 0 || len(e.idle) != maxIdleCoroutines {
		t.Errorf("%d handshakes are in flight at the end, %d coroutines are idle", n, len(e.idle))
	}
	newRigIn(t, e, tls.VersionTLS13, 0)
}

// Where all places are taken, the handshake that has waited longest for its client goes, and never one that has its turn
// to come.
func TestLongestWaitGoes(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxInFlight = 3 })
	hello := clientHello(t)
	begin := func() *Conn {
		c := e.Start(1)
		if err := c.Feed(hello); err != nil {
			t.Fatal(err)
		}
		return c
	}
	await := func(c *Conn) *Conn {
		if computeAll(e); c.Waiting() != ForClient {
			t.Fatal("it does not wait for its client")
		}
		return c
	}
	first, second, third := await(begin()), await(begin()), await(begin())
	second.Feed([]byte{byte(typeHandshake), 3}) // a part of an answer is none: it stays the second
	computeAll(e)
	fourth := await(begin())
	if !errors.Is(first.Err(), ErrPoolFull) || second.Waiting() != ForClient || third.Waiting() != ForClient {
		t.Fatalf("%v, %v, %v", first.Err(), second.Err(), third.Err())
	}
	third.Feed([]byte{3}) // it has its turn to come
	all := []*Conn{begin(), begin()}
	for range 2 {
		late := e.Start(1)
		if err := late.Feed(hello); !errors.Is(err, ErrPoolFull) {
			t.Errorf("while all places are of handshakes with a turn to come: %v", err)
		}
	}
	for _, c := range all {
		await(c)
	}
	if third.Waiting() != ForClient || !errors.Is(second.Err(), ErrPoolFull) || !errors.Is(fourth.Err(), ErrPoolFull) {
		t.Errorf("%v, %v, %v", third.Err(), second.Err(), fourth.Err())
	}
}

// A handshake that has begun has its turn before one that has not, and each kind in the order of its flights.
func TestTurns(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	hello := clientHello(t)
	conns := map[Handle]*Conn{}
	begin := func(h Handle) {
		conns[h] = e.Start(h)
		conns[h].Feed(hello)
	}
	f := func(want ...Handle) {
		t.Helper()
		for _, w := range want {
			if h, ok := e.Compute(); h != w || !ok {
				t.Fatalf("the turn is of %d, want %d", h, w)
			}
		}
		if h, ok := e.Compute(); ok || e.Ready() {
			t.Fatalf("%d has a turn for nothing", h)
		}
	}
	begin(1)
	begin(2)
	begin(3)
	f(1, 2, 3)
	begin(4)
	conns[3].Feed([]byte{byte(typeHandshake)})
	conns[1].Feed([]byte{byte(typeHandshake)})
	begin(5)
	conns[2].Feed([]byte{byte(typeHandshake)})
	f(1, 2, 3, 4, 5)
	begin(6)
	begin(7)
	conns[6].Close()
	conns[2].Feed([]byte{3})
	conns[5].Close()
	f(2, 7)
}

// Clients that send a part of a ClientHello, as many as they like, keep nobody out. They hold a small buffer and no
// coroutine.
func TestHalfOpen(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxInFlight = 4 })
	hello := clientHello(t)
	var all []*Conn
	for k := range 1000 {
		c := e.Start(1)
		if err := c.Feed(hello[:1+k%(len(hello)-1)]); err != nil || c.Waiting() != ForHello || c.Phase() != Handshaking {
			t.Fatalf("%v, %v", err, c.Phase())
		}
		if cap(c.held) > max(bufferSizes[0], 4*len(c.held)) {
			t.Fatalf("%d bytes are held in %d", len(c.held), cap(c.held))
		}
		if all = append(all, c); k%4 == 3 {
			all[k-3].Close()
		}
	}
	if n := e.InFlight(); n != 0 || len(e.idle) != 0 || e.Ready() {
		t.Errorf("%d handshakes are in flight, there are %d coroutines", n, len(e.idle))
	}
	newRigIn(t, e, tls.VersionTLS13, 0)
	for _, c := range all {
		c.Close()
	}
	free := 0
	for class, buffers := range e.free {
		free += len(buffers) * bufferSizes[class]
	}
	if free != e.Buffered() || free == 0 {
		t.Errorf("%d of %d bytes have come back", free, e.Buffered())
	}
}

// A handshake whose client does not answer our flight ends with ErrTimeout when the event loop asks: after the time for a
// flight, or for the whole handshake. One that has its turn to come is not late.
func TestHandshakeTimeout(t *testing.T) {
	f := func(flight, whole uint32, more []byte) {
		t.Helper()
		e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.FirstFlight, o.Timeout = flight, whole })
		e.SetTime(100)
		c := e.Start(1)
		c.Feed(clientHello(t))
		e.SetTime(1000)
		if err := c.Expire(); err != nil {
			t.Fatalf("it has its turn to come: %v", err)
		}
		e.SetTime(100)
		computeAll(e)
		last := 100 + min(flight, whole)
		for now := uint32(100); now <= last; now++ {
			e.SetTime(now)
			c.Feed(more)
			computeAll(e)
			if err := c.Expire(); err != nil {
				t.Fatalf("%d s, %d s: late after %d s: %v", flight, whole, now-100, err)
			}
		}
		e.SetTime(last + 1)
		if err := c.Expire(); !errors.Is(err, ErrTimeout) || c.Phase() != Failed || e.InFlight() != 0 {
			t.Errorf("%d s, %d s: %v, %d handshakes are in flight", flight, whole, err, e.InFlight())
		}
		if err := c.Expire(); !errors.Is(err, ErrTimeout) {
			t.Errorf("asked again: %v", err)
		}
	}
	f(10, 5, nil)
	f(3, 10, nil)
	f(3, 10, []byte{byte(typeHandshake)}) // a part of an answer is none

	r := newRig(t, tls.VersionTLS13, 0, nil)
	r.engine.SetTime(1 << 20)
	if err := r.conn.Expire(); err != nil {
		t.Errorf("an open connection: %v", err)
	}
}

// A connection that Admit refuses keeps its ClientHello until Retry, and each handshake that Admit let begin ends once.
func TestAdmit(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		asked, ended, open := 0, 0, false
		e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) {
			o.Admit = func(Handle) bool { asked++; return open }
			o.Ended = func(Handle) { ended++ }
		})
		hello := clientHello(t)
		for _, cut := range []int{0, 100} {
			c := e.Start(1)
			c.Feed(hello[:cut])
			c.Feed(hello[cut:])
			if asked != 1 || c.Waiting() != ForAdmission || c.Phase() != Handshaking || len(c.held) != len(hello) {
				t.Fatalf("asked %d times, waits for %d", asked, c.Waiting())
			}
			if err := c.Retry(); err != nil || asked != 2 || c.Waiting() != ForAdmission {
				t.Fatalf("%v, asked %d times, waits for %d", err, asked, c.Waiting())
			}
			open = true
			if err := c.Retry(); err != nil || c.Phase() != Handshaking || c.held != nil {
				t.Fatalf("admitted: %v, %v", err, c.Phase())
			}
			if ended != 0 {
				t.Fatal("it has not ended")
			}
			c.Close()
			if c.Close(); ended != 1 {
				t.Fatalf("ended %d times", ended)
			}
			asked, ended, open = 0, 0, false
		}
		open = true
		if newRigIn(t, e, version, 0); asked != 1 || ended != 1 {
			t.Errorf("asked %d times, ended %d times", asked, ended)
		}
		e.Close()
		if err := e.Start(1).Feed(hello); !errors.Is(err, ErrClosed) || asked != 2 || ended != 2 {
			t.Errorf("a closed engine: %v, asked %d times, ended %d times", err, asked, ended)
		}
	})
}

// Many real clients come and go on two shards at the same time, some of them in the middle of a handshake, while the
// certificate is swapped: all others are served, and nothing is in flight at the end.
func TestManyClients(t *testing.T) {
	certs := testCerts(t, "ecdsa")
	shards := []*loop{newLoop(t, certs, echo), newLoop(t, certs, echo)}
	other, err := Load(testCert(t, "rsa"))
	if err != nil {
		t.Fatal(err)
	}
	hello := clientHello(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 10 {
				addr := shards[(i+k)%2].addr
				if k == 5 {
					certs.Swap(other)
				}
				if k%3 == 0 {
					raw, err := net.Dial("tcp", addr)
					if err == nil {
						raw.Write(hello[:len(hello)*(k+1)/10])
						raw.Close()
					}
					continue
				}
				client, err := tls.Dial("tcp", addr, clientConfig(uint16(tls.VersionTLS12+k%2)))
				if err != nil {
					t.Error(err)
					return
				}
				client.Write([]byte("ping"))
				got := make([]byte, 4)
				if _, err := io.ReadFull(client, got); err != nil || string(got) != "ping" {
					t.Errorf("%q, %v", got, err)
				}
				client.Close()
			}
		})
	}
	all.Wait()
}

// An engine that is closed ends the handshakes wherever they are, and leaves no coroutine. Later handshakes are refused,
// and open connections go on.
func TestCloseEngine(t *testing.T) {
	before := runtime.NumGoroutine()
	e := NewEngine(testOptions(testCerts(t, "ecdsa")))
	open := newRigIn(t, e, tls.VersionTLS13, 0)
	hello := clientHello(t)
	var all []*Conn
	for k := range 30 {
		c := e.Start(Handle(k))
		c.Feed(hello)
		if all = append(all, c); k < 20 {
			computeAll(e) // they wait for their clients
		}
	}
	for _, c := range all[:10] {
		c.Feed([]byte{byte(typeHandshake)}) // they have their turns to come
	}
	e.Close()
	for k, c := range all {
		if !errors.Is(c.Err(), ErrClosed) || c.Phase() != Failed {
			t.Errorf("the handshake %d: %v", k, c.Err())
		}
	}
	c := e.Start(1)
	if err := c.Feed(hello); !errors.Is(err, ErrClosed) || e.InFlight() != 0 || e.Ready() {
		t.Errorf("later: %v, %d handshakes are in flight", err, e.InFlight())
	}
	if data, err := open.read(open.record(typeData, []byte("hi")), 100); string(data) != "hi" || err != nil {
		t.Errorf("the open connection: %q, %v", data, err)
	}
	e.Close()
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// A queue keeps the order of tickets whatever enters and leaves it.
func TestQueue(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q, other queue
	var model []*handshake
	for step := range 20000 {
		if len(model) == 0 || len(model) < 20 && rng.IntN(2) == 0 {
			hs := &handshake{ticket: rng.Uint64N(50)}
			q.push(hs)
			model = append(model, hs)
			slices.SortStableFunc(model, func(a, b *handshake) int { return cmp.Compare(a.ticket, b.ticket) })
		} else {
			k := rng.IntN(len(model))
			model[k].leave()
			model[k].leave() // it is in no queue now
			other.push(model[k])
			model[k].leave()
			model = slices.Delete(model, k, k+1)
		}
		var forth, back []*handshake
		for hs := q.first; hs != nil; hs = hs.next {
			forth = append(forth, hs)
		}
		for hs := q.last; hs != nil; hs = hs.prev {
			back = append(back, hs)
		}
		slices.Reverse(back)
		if !slices.Equal(forth, model) || !slices.Equal(back, model) || other != (queue{}) {
			t.Fatalf("after %d steps the queue has %d and %d, want %d", step, len(forth), len(back), len(model))
		}
	}
}
