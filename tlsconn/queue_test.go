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
	"time"
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

// A flood of ClientHellos never has more handshakes in flight, and never more bytes of those that have not computed, than
// the engine allows. A client that finds no place takes that of the one that has waited longest, and an open connection
// goes on meanwhile. Places and bytes come back when connections are closed.
func TestHandshakeFlood(t *testing.T) {
	const limit, bytes = 50, 1 << 16
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxInFlight, o.MaxFresh = limit, bytes })
	r := newRigIn(t, e, tls.VersionTLS13, 0)
	hello := clientHello(t)
	var conns []*Conn
	refused := 0
	for k := range 1000 {
		c := e.Start(2)
		switch err := c.Feed(hello); {
		case errors.Is(err, ErrPoolFull): // there is no room for its ClientHello
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
		if n := e.InFlight(); n > limit || len(e.idle) > maxIdleCoroutines || e.turns.bytes > bytes {
			t.Fatalf("%d handshakes are in flight, %d coroutines are idle, %d bytes are held", n, len(e.idle), e.turns.bytes)
		}
		if data, err := r.read(r.record(typeData, []byte("hi")), 100); string(data) != "hi" || err != nil {
			t.Fatalf("the open connection: %q, %v", data, err)
		}
	}
	if e.Fresh() != bytes/len(hello) {
		t.Errorf("%d handshakes have not computed, %d would find room", e.Fresh(), bytes/len(hello))
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
	if n := e.InFlight(); n != 0 || len(e.idle) != maxIdleCoroutines || e.turns.bytes != 0 {
		t.Errorf("%d handshakes are in flight at the end, %d coroutines are idle, %d bytes are held", n, len(e.idle),
			e.turns.bytes)
	}
	newRigIn(t, e, tls.VersionTLS13, 0)
}

// Bytes behind a ClientHello that has not had its turn count like its own, and are given back as they were counted.
func TestFreshBytes(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxFresh = 1 << 16 })
	hello := clientHello(t)
	begin := func(more int) (*Conn, error) {
		c := e.Start(1)
		if err := c.Feed(hello); err != nil {
			t.Fatal(err)
		}
		return c, c.Feed(make([]byte, more))
	}
	a, err := begin(1<<16 - len(hello))
	if err != nil || e.turns.bytes != 1<<16 {
		t.Fatalf("%v, %d bytes", err, e.turns.bytes)
	}
	if err := a.Feed(make([]byte, 1)); !errors.Is(err, ErrPoolFull) || a.Phase() != Failed || e.turns.bytes != 0 {
		t.Fatalf("a byte too much: %v, %d bytes", err, e.turns.bytes)
	}
	begin(100)
	if e.Compute(); e.turns.bytes != 0 {
		t.Errorf("%d bytes after its turn", e.turns.bytes)
	}
}

// Where all places are taken, the handshake that has waited longest for its client goes. Another's part of an answer
// does not make it a younger one.
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
	gone := func(all ...*Conn) {
		t.Helper()
		for k, c := range all {
			if !errors.Is(c.Err(), ErrPoolFull) {
				t.Errorf("number %d: %v", k, c.Err())
			}
		}
	}
	first, second, third := await(begin()), await(begin()), await(begin())
	second.Feed([]byte{byte(typeHandshake), 3})
	computeAll(e)
	fourth := await(begin())
	gone(first)
	if second.Waiting() != ForClient || third.Waiting() != ForClient {
		t.Fatalf("%v, %v", second.Err(), third.Err())
	}
	e.SetTime(patience) // they are old now, those that follow are young
	last := []*Conn{begin(), begin(), begin(), begin()}
	for _, c := range last[1:] {
		await(c)
	}
	gone(second, third, fourth, last[0])
}

// With maxYoung first flights under way the other handshakes keep to their ClientHellos, each until an answer comes, a
// connection is closed, or patience is over.
func TestYoung(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxInFlight = 10 * maxYoung })
	hello := clientHello(t)
	const more = 5
	var all []*Conn
	for k := range maxYoung + more {
		c := e.Start(Handle(k))
		c.Feed(hello)
		all = append(all, c)
	}
	f := func(what string, fresh int, want ...Handle) {
		t.Helper()
		for _, w := range want {
			if h, ok := e.Compute(); !ok || h != w {
				t.Fatalf("%s: the turn is of %d (%v), want %d", what, h, ok, w)
			}
		}
		if h, ok := e.Compute(); ok || e.Ready() || e.Fresh() != fresh {
			t.Fatalf("%s: %d has a turn (%v), %d are fresh, want %d", what, h, ok, e.Fresh(), fresh)
		}
	}
	var handles []Handle
	for k := range Handle(maxYoung) {
		handles = append(handles, k)
	}
	f("first flights", more, handles...)
	all[7].Feed([]byte{byte(typeHandshake)})
	f("a part of an answer", more, 7)
	all[7].Feed([]byte{9, 9, 9, 9})
	f("an answer that is none", more-1, 7, maxYoung)
	all[3].Close()
	f("a close", more-2, maxYoung+1)
	e.SetTime(patience - 1)
	f("not yet", more-2)
	e.SetTime(patience)
	all[9].Feed([]byte{byte(typeHandshake)})
	f("patience is over", 0, 9, maxYoung+2, maxYoung+3, maxYoung+4)
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
	if n := e.InFlight() + e.Fresh(); n != 0 || len(e.idle) != 0 || e.Ready() {
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
	f := func(flight, whole time.Duration, more []byte) {
		t.Helper()
		e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.FirstFlight, o.Timeout = flight, whole })
		const start = 100 * time.Second
		e.SetTime(start)
		c := e.Start(1)
		c.Feed(clientHello(t))
		e.SetTime(10 * start)
		if err := c.Expire(); err != nil {
			t.Fatalf("it has its turn to come: %v", err)
		}
		e.SetTime(start)
		computeAll(e)
		last := start + min(flight, whole)
		for now := start; now <= last; now += time.Second {
			e.SetTime(now)
			c.Feed(more)
			computeAll(e)
			if err := c.Expire(); err != nil {
				t.Fatalf("%v, %v: late after %v: %v", flight, whole, now-start, err)
			}
		}
		e.SetTime(last + time.Millisecond)
		if err := c.Expire(); !errors.Is(err, ErrTimeout) || c.Phase() != Failed || e.InFlight() != 0 {
			t.Errorf("%v, %v: %v, %d handshakes are in flight", flight, whole, err, e.InFlight())
		}
		if err := c.Expire(); !errors.Is(err, ErrTimeout) {
			t.Errorf("asked again: %v", err)
		}
	}
	f(10*time.Second, 5*time.Second, nil)
	f(3*time.Second, 10*time.Second, nil)
	f(3*time.Second, 10*time.Second, []byte{byte(typeHandshake)}) // a part of an answer is none

	r := newRig(t, tls.VersionTLS13, 0, nil)
	r.engine.SetTime(1000 * time.Hour)
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
					certs.Swap(other, PostQuantum)
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
