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
// is refused at once, and an open connection goes on meanwhile. Places come back when connections are closed.
func TestHandshakeFlood(t *testing.T) {
	const limit = 50
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.MaxInFlight, o.Workers = limit, 1 })
	e, notes := testEngine(t, pool, nil)
	r := newRigIn(t, e, notes, tls.VersionTLS13, 0)
	hello := clientHello(t)
	var conns []*Conn
	refused := 0
	for range 3000 {
		c := e.Start(2)
		switch err := c.Feed(hello); {
		case errors.Is(err, ErrPoolFull):
			refused++
			c.Close()
		case err != nil:
			t.Fatal(err)
		default:
			conns = append(conns, c)
		}
		if n := pool.InFlight(); n > limit {
			t.Fatalf("%d handshakes are in flight", n)
		}
		if data, err := r.read(r.record(typeData, []byte("hi")), 100); string(data) != "hi" || err != nil {
			t.Fatalf("the open connection: %q, %v", data, err)
		}
	}
	if len(conns) != limit || refused != 3000-limit {
		t.Errorf("%d handshakes began and %d were refused", len(conns), refused)
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

// A handshake that its client does not finish ends at the deadline with ErrTimeout.
func TestHandshakeTimeout(t *testing.T) {
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.Timeout = time.Millisecond })
	e, notes := testEngine(t, pool, nil)
	for _, first := range [][]byte{{22}, clientHello(t)} {
		c := e.Start(1)
		c.Feed(first)
		for c.Phase() == Handshaking {
			<-notes
		}
		if !errors.Is(c.Err(), ErrTimeout) {
			t.Errorf("after %d bytes: %v", len(first), c.Err())
		}
	}
	if n := pool.InFlight(); n != 0 {
		t.Errorf("%d handshakes are in flight", n)
	}
}

// No more handshakes compute at a time than there are workers, and those that wait for their clients keep none from
// computing.
func TestWorkers(t *testing.T) {
	pool := testPool(t, "ecdsa", func(o *PoolOptions) { o.Workers = 1 })
	e, notes := testEngine(t, pool, nil)
	for range 20 { // all of them wait for their client
		if err := e.Start(1).Feed([]byte{22}); err != nil {
			t.Fatal(err)
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
