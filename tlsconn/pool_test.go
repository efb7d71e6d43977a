package tlsconn

// This file tests the bounds of the pool: places, turns, deadlines, its end, and many clients at the same time.

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
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

// A flood of ClientHellos never has more handshakes in flight than the pool allows. A client that finds the pool full
// takes the place of the one that has waited longest, and an open connection goes on meanwhile. Places come back when
// connections are closed.
func TestHandshakeFlood(t *testing.T) {
	const limit = 50
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.MaxInFlight, o.Workers = limit, 1 })
	e, notes := testEngine(t, pool, nil)
	r := newRigIn(t, e, notes, tls.VersionTLS13, 0)
	hello := clientHello(t)
	var conns []*Conn
	refused := 0
	for range 1000 {
		c := e.Start(2)
		switch err := c.Feed(hello); {
		case errors.Is(err, ErrPoolFull): // all others compute, or wait for their turn
			refused++
			c.Close()
		case err != nil:
			t.Fatal(err)
		default:
			conns = append(conns, c)
		}
		if n, running := pool.InFlight(), pool.running.Load(); n > limit || running > 2*limit+1 {
			t.Fatalf("%d handshakes are in flight, %d goroutines run", n, running)
		}
		if data, err := r.read(r.record(typeData, []byte("hi")), 100); string(data) != "hi" || err != nil {
			t.Fatalf("the open connection: %q, %v", data, err)
		}
	}
	live := func() (n int) {
		for _, c := range conns {
			if c.Phase() == Handshaking {
				n++
			} else if !errors.Is(c.Err(), ErrPoolFull) {
				t.Fatal(c.Err())
			}
		}
		return n
	}
	for live() > limit { // those that lost their place are about to end
		<-notes
	}
	if n := live(); n != limit {
		t.Errorf("%d handshakes go on, want %d; %d were refused", n, limit, refused)
	}
	for _, c := range conns {
		c.Close()
	}
	for pool.InFlight() > 0 {
		<-notes // each end is notified
	}
	r2 := newRigIn(t, e, notes, tls.VersionTLS13, 0)
	if r2.conn.Phase() != Established {
		t.Error("no handshake after the flood")
	}
}

// Where the pool is full, the handshake that has waited longest for its client goes, and never one that computes.
func TestLongestWaitGoes(t *testing.T) {
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.MaxInFlight, o.Workers = 3, 1 })
	e, notes := testEngine(t, pool, nil)
	hello := clientHello(t)
	begin := func() *Conn {
		c := e.Start(1)
		if err := c.Feed(hello); err != nil {
			t.Fatal(err)
		}
		return c
	}
	await := func(c *Conn) *Conn {
		for c.Waiting() != ForClient {
			<-notes
		}
		return c
	}
	first, second, third := await(begin()), await(begin()), await(begin())
	fourth := await(begin())
	for first.Phase() == Handshaking {
		<-notes
	}
	if !errors.Is(first.Err(), ErrPoolFull) || second.Waiting() != ForClient || third.Waiting() != ForClient {
		t.Fatalf("%v, %v, %v", first.Err(), second.Err(), third.Err())
	}
	pool.workers <- struct{}{} // from now on nobody computes
	all := []*Conn{begin(), begin(), begin()}
	late := e.Start(1)
	if err := late.Feed(hello); !errors.Is(err, ErrPoolFull) {
		t.Errorf("among handshakes that compute: %v", err)
	}
	<-pool.workers
	for _, c := range all {
		await(c)
	}
	for _, c := range []*Conn{second, third, fourth} {
		if c.Phase(); !errors.Is(c.Err(), ErrPoolFull) {
			t.Errorf("an earlier one: %v", c.Err())
		}
	}
}

// Clients that send a part of a ClientHello, as many as they like, keep nobody out. They hold a small buffer and no
// goroutine.
func TestHalfOpen(t *testing.T) {
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.MaxInFlight = 4 })
	e, notes := testEngine(t, pool, nil)
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
	if n := pool.running.Load(); n != 0 || pool.InFlight() != 0 {
		t.Errorf("%d goroutines run, %d handshakes are in flight", n, pool.InFlight())
	}
	newRigIn(t, e, notes, tls.VersionTLS13, 0)
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

// A handshake whose client does not answer our flight ends with ErrTimeout: after the time for a flight, or for the whole
// handshake.
func TestHandshakeTimeout(t *testing.T) {
	f := func(flight, whole time.Duration, more []byte) {
		t.Helper()
		pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.FirstFlight, o.Timeout = flight, whole })
		e, notes := testEngine(t, pool, nil)
		c := e.Start(1)
		c.Feed(clientHello(t))
		for c.Phase() == Handshaking {
			<-notes
			c.Feed(more)
		}
		if !errors.Is(c.Err(), ErrTimeout) {
			t.Errorf("%v, %v: %v", flight, whole, c.Err())
		}
		if n := pool.InFlight(); n != 0 {
			t.Errorf("%d handshakes are in flight", n)
		}
	}
	f(time.Minute, time.Millisecond, nil)
	f(time.Millisecond, time.Minute, nil)
	f(time.Millisecond, time.Minute, []byte{byte(typeHandshake), 3}) // a part of an answer is none
}

// A connection that Admit refuses keeps its ClientHello until Retry, and each handshake that Admit let begin ends once.
func TestAdmit(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		asked, ended, open := 0, 0, false
		pool := testPool(t, "ecdsa", nil)
		e, notes := testEngine(t, pool, func(o *EngineOptions) {
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
		if newRigIn(t, e, notes, version, 0); asked != 1 || ended != 1 {
			t.Errorf("asked %d times, ended %d times", asked, ended)
		}
		pool.Close()
		if err := e.Start(1).Feed(hello); !errors.Is(err, ErrClosed) || asked != 2 || ended != 2 {
			t.Errorf("a closed pool: %v, asked %d times, ended %d times", err, asked, ended)
		}
	})
}

// No more handshakes compute at a time than there are workers, and those that wait for their clients keep none from
// computing.
func TestWorkers(t *testing.T) {
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.Workers = 1 })
	e, notes := testEngine(t, pool, nil)
	for range 20 { // all of them wait for their client
		waits := e.Start(1)
		if err := waits.Feed(clientHello(t)); err != nil {
			t.Fatal(err)
		}
		for waits.Waiting() != ForClient {
			<-notes
		}
	}
	newRigIn(t, e, notes, tls.VersionTLS12, 0)
	pool.workers <- struct{}{} // nobody computes now
	c := e.Start(2)
	c.Feed(clientHello(t))
	if c.Pending() != 0 {
		t.Error("a handshake computes without a worker's token")
	}
	<-pool.workers
	for c.Pending() == 0 {
		<-notes
	}
}

// Many real clients come and go on two shards at the same time, some of them in the middle of a handshake, while the
// certificate is swapped: all others are served, and nothing is in flight at the end.
func TestManyClients(t *testing.T) {
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.MaxInFlight = 256 })
	shards := []*loop{newLoop(t, pool, echo), newLoop(t, pool, echo)}
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
					pool.opt.Certificates.Swap(other)
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

// A pool that is closed while event loops begin handshakes leaves no goroutine of its own. Later handshakes are
// refused, and all calls of Close return.
func TestCloseMeanwhile(t *testing.T) {
	hello := clientHello(t)
	for range 20 {
		pool := testPool(t, "ecdsa", nil)
		var all sync.WaitGroup
		for range 2 {
			e, notes := testEngine(t, pool, nil)
			all.Go(func() {
				var err error
				for !errors.Is(err, ErrClosed) {
					c := e.Start(1)
					if err = c.Feed(hello); err == nil {
						<-notes
					}
					c.Close()
				}
			})
			all.Go(pool.Close)
		}
		all.Wait()
		if pool.running.Load() != 0 || pool.InFlight() != 0 {
			t.Fatalf("%d goroutines and %d handshakes are left", pool.running.Load(), pool.InFlight())
		}
	}
}
