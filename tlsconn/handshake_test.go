package tlsconn

// This file tests handshakes: cut anywhere, refused, resumed, with each key exchange, and the bytes around their end.

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// A handshake succeeds for every cut of the client's bytes, and the data behind it is not lost.
func TestHandshakeChops(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		certs := testCerts(t, "ecdsa")
		for _, chop := range []int{1, 2, 3, 5, 6, 50, 1000} {
			e := testEngine(t, certs, nil)
			c, client, wire := establish(t, e, clientConfig(version), chop)
			client.Write([]byte("hello"))
			b := <-wire.to
			var data []byte
			for i := range b {
				c.Feed(b[i : i+1])
				d, err := c.Next()
				if err != nil {
					t.Fatal(err)
				}
				data = append(data, d...)
			}
			if string(data) != "hello" {
				t.Errorf("pieces of %d: read %q", chop, data)
			}
			info := c.Info()
			if info.Version != version || info.Suite == 0 || info.Resumed || info.Generation != 1 {
				t.Errorf("the handshake agreed on %+v", info)
			}
		}
	})
}

// Data that arrives together with the end of the handshake, or before it is computed, is read afterwards,
// in order: the client's first message often does.
func TestDataBehindHandshake(t *testing.T) {
	for round := range 20 {
		e := testEngine(t, testCerts(t, "ecdsa"), nil)
		c := e.Start(7)
		wire := &memConn{from: make(chan []byte, 256), to: make(chan []byte, 256)}
		client := tls.Client(wire, clientConfig(tls.VersionTLS13))
		go func() {
			client.Write([]byte("first,"))
			client.Write([]byte("second,"))
			client.Write([]byte(strings.Repeat("third", 1000)))
			client.Close()
		}()
		c.Feed(<-wire.to) // ClientHello
		if h, ok := e.Compute(); h != 7 || !ok {
			t.Fatalf("the handle %d computed: %v", h, ok)
		}
		wire.from <- c.Drain(make([]byte, 0, c.Pending()))
		var late []byte
		for b := range wire.to {
			late = append(late, b...)
		}
		// In the even rounds at once, in the odd ones in pieces between which it is computed.
		var data []byte
		var err error
		for len(late) > 0 && err == nil {
			n := len(late)
			if round%2 == 1 {
				n = min(n, 100)
			}
			if err = c.Feed(append([]byte(nil), late[:n]...)); err == nil {
				late = late[n:]
				if round%4 != 2 {
					computeAll(e)
				}
				data, err = drainData(c, data)
			}
		}
		if err == nil {
			computeAll(e)
			data, err = drainData(c, data)
		}
		want := "first,second," + strings.Repeat("third", 1000)
		if string(data) != want || err != io.EOF {
			t.Fatalf("read %d bytes, want %d: %v", len(data), len(want), err)
		}
	}
}

func drainData(c *Conn, data []byte) ([]byte, error) {
	for {
		d, err := c.Next()
		data = append(data, d...)
		if err != nil || len(d) == 0 {
			return data, err
		}
	}
}

// Each bad beginning fails with its own error, and the client gets the alert that TLS has for it.
func TestBadHandshakes(t *testing.T) {
	f := func(name string, change func(*tls.Config), wantClient string) {
		t.Helper()
		l := newLoop(t, testCerts(t, "ecdsa"), echo)
		config := clientConfig(tls.VersionTLS12)
		config.MaxVersion = tls.VersionTLS13
		change(config)
		_, err := tls.Dial("tcp", l.addr, config)
		if err == nil || !strings.Contains(err.Error(), wantClient) {
			t.Errorf("%s: the client says %v, want %q", name, err, wantClient)
		}
	}
	f("only h2", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "no application protocol")
	f("TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		"protocol version not supported")
	f("CBC only", func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	}, "handshake failure")

	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	g := func(name string, want error, feed ...[]byte) {
		t.Helper()
		c := e.Start(1)
		var err error
		for _, b := range feed {
			if err = c.Feed(b); err != nil {
				break
			}
		}
		if want != nil {
			computeAll(e)
		}
		if !errors.Is(c.Err(), want) {
			t.Errorf("%s: %v, want %v", name, c.Err(), want)
		}
		if want != nil && c.Phase() != Failed {
			t.Errorf("%s: the phase is %v", name, c.Phase())
		}
		if _, err := c.Next(); !errors.Is(err, want) {
			t.Errorf("%s: Next: %v", name, err)
		}
		c.Close()
	}
	g("HTTP", ErrPlainHTTP, []byte("GET / HTTP/1.1\r\n"))
	g("HTTP in pieces", ErrPlainHTTP, []byte("P"), []byte("OS"), []byte("T / HTTP/1.1\r\n"))
	g("HTTP/2", ErrPlainHTTP, []byte("PRI * HTTP/2.0\r\n"))
	g("almost HTTP", ErrNotTLS, []byte("GE"), []byte("T\t/"))
	g("the beginning of HTTP", nil, []byte("GET"))
	g("SSH", ErrNotTLS, []byte("SSH-2.0-OpenSSH_9.2"))
	g("SSL 2", ErrNotTLS, []byte{0x80, 0x2e, 1, 3, 1})
	g("nothing", nil, nil)
	g("too much", ErrBacklog, clientHello(t), make([]byte, maxBacklog+1))
	if e.Close(); e.InFlight() != 0 {
		t.Error("handshakes are in flight after Close")
	}
	g("closed engine", ErrClosed, clientHello(t))
}

// A session resumes in any event loop and across a change of certificate, until its ticket key is forgotten.
func TestResumption(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		now := time.Now()
		l, err := Load(testCert(t, "ecdsa"))
		if err != nil {
			t.Fatal(err)
		}
		certs := NewCertificates(l, PostQuantum, now)
		shards := []*loop{newLoop(t, certs, echo), newLoop(t, certs, echo)}
		config := clientConfig(version)
		config.ServerName = "localhost"
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		f := func(shard int, want bool, wantGeneration uint32) {
			t.Helper()
			client, err := tls.Dial("tcp", shards[shard].addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			got := make([]byte, 20000) // after the handshake both directions work, and the client has got its ticket
			go client.Write(bytes.Repeat([]byte("x"), len(got)))
			if _, err := io.ReadFull(client, got); err != nil {
				t.Fatal(err)
			}
			if is := client.ConnectionState().DidResume; is != want {
				t.Errorf("resumed: %v, want %v", is, want)
			}
			shards[shard].do(func() {
				for _, p := range shards[shard].conns {
					if i := p.conn.Info(); i.Generation == wantGeneration && i.Resumed == want {
						return
					}
				}
				t.Errorf("no connection of generation %d with resumed = %v", wantGeneration, want)
			})
		}
		f(0, false, 1)
		f(0, true, 1)
		f(1, true, 1)
		renewed, err := Load(testCert(t, "ecdsa"))
		if err != nil {
			t.Fatal(err)
		}
		if g := certs.Swap(renewed, PostQuantum); g != 2 {
			t.Errorf("generation %d", g)
		}
		if is, g := certs.Current(); is != renewed || g != 2 {
			t.Errorf("the certificate in use is not the new one, or its generation %d not 2", g)
		}
		f(1, true, 2)
		certs.Rotate(now.Add(time.Hour)) // too early: nothing happens
		if len(certs.tickets) != 1 {
			t.Errorf("%d ticket keys after an hour", len(certs.tickets))
		}
		// The ticket has the key of day 0, which seals until day 1 and opens until day 8.
		certs.Rotate(now.Add(25 * time.Hour))
		if len(certs.tickets) != 2 {
			t.Errorf("%d ticket keys after a day", len(certs.tickets))
		}
		f(0, true, 2)
		for day := 2; day < 30; day++ {
			certs.Rotate(now.Add(time.Duration(day) * 25 * time.Hour))
			if n := len(certs.tickets); n > 9 {
				t.Fatalf("%d ticket keys", n)
			}
		}
		f(0, false, 2)
	})
}

// A line of the key log in an unknown form is an error, which ends the handshake.
func TestKeyLog(t *testing.T) {
	f := func(line string, ok bool) {
		t.Helper()
		var k keyLog
		if _, err := k.Write([]byte(line)); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
	f("CLIENT_RANDOM 0011 2233\n", true)
	f("CLIENT_HANDSHAKE_TRAFFIC_SECRET 0011 2233\n", true)
	f("CLIENT_RANDOM 0011\n", false)
	f("SERVER_TRAFFIC_SECRET_0 0011 xyz\n", false)
	var k keyLog
	k.Write([]byte("SERVER_TRAFFIC_SECRET_0 00 aabb\n"))
	if !bytes.Equal(k.server, []byte{0xaa, 0xbb}) {
		t.Errorf("the secret is %x", k.server)
	}
}

// The hybrid key exchange is used with a client that offers it, unless it is turned off, and an elliptic curve with the
// others. The setting counts from the swap on that brings it.
func TestKeyExchange(t *testing.T) {
	f := func(x KeyExchange, offered []tls.CurveID, want tls.CurveID) {
		t.Helper()
		l, err := Load(testCert(t, "ecdsa"))
		if err != nil {
			t.Fatal(err)
		}
		certificates := NewCertificates(l, PostQuantum+Classic-x, time.Now())
		certificates.Swap(l, x)
		loop := newLoop(t, certificates, echo)
		config := clientConfig(tls.VersionTLS13)
		config.CurvePreferences = offered
		client, err := tls.Dial("tcp", loop.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if got := client.ConnectionState().CurveID; got != want {
			t.Errorf("key exchange %d with a client that offers %v: %v, want %v", x, offered, got, want)
		}
	}
	f(PostQuantum, nil, tls.X25519MLKEM768)
	f(PostQuantum, []tls.CurveID{tls.X25519, tls.CurveP256}, tls.X25519)
	f(PostQuantum, []tls.CurveID{tls.CurveP256}, tls.CurveP256)
	f(Classic, nil, tls.X25519)
	f(Classic, []tls.CurveID{tls.CurveP384}, tls.CurveP384)
}

// A handshake computes twice only, up to our flight and to the end, since each time may lead to a write.
func TestTwoTurns(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		e := testEngine(t, testCerts(t, "ecdsa"), nil)
		c, turns := e.Start(1), 0
		wire := &memConn{from: make(chan []byte, 256), to: make(chan []byte, 256)}
		ended := make(chan error, 1)
		go func() { ended <- tls.Client(wire, clientConfig(version)).Handshake() }()
		for c.Phase() == Handshaking {
			if c.Feed(<-wire.to); e.Ready() {
				turns++
				e.Compute()
				wire.from <- c.Drain(make([]byte, 0, c.Pending()))
			}
			if e.Ready() {
				t.Fatal("it can go on without its client")
			}
		}
		if err := <-ended; err != nil || c.Err() != nil || turns != 2 {
			t.Errorf("%v, %v, %d turns", err, c.Err(), turns)
		}
	})
}

// The client of a TLS 1.2 handshake, full or resumed, may cut its Finished into several records, and its data is read.
func TestFinishedInPieces(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		for _, pieces := range []int{1, 2, 3, 16} {
			var keys keyLog
			config := clientConfig(tls.VersionTLS12)
			config.KeyLogWriter = &keys
			config.ServerName, config.ClientSessionCache = "localhost", tls.NewLRUClientSessionCache(1)
			e := testEngine(t, testCerts(t, "ecdsa"), nil)
			if resumed { // with the same master secret, which crypto/tls does not log again
				establish(t, e, config, 1<<20)
			}
			c := e.Start(1)
			finished, out, suite := beforeFinished(t, c, config, &keys)
			var mem scratch
			for k := range pieces {
				part := finished[len(finished)*k/pieces : len(finished)*(k+1)/pieces]
				c.Feed(seal(&mem, &out, suite, tls.VersionTLS12, nil, typeHandshake, part))
			}
			c.Feed(seal(&mem, &out, suite, tls.VersionTLS12, nil, typeData, []byte("the first request")))
			data, err := drainData(c, nil)
			if len(data) == 0 && err == nil {
				computeAll(e)
				data, err = drainData(c, data)
			}
			if string(data) != "the first request" || c.Info().Resumed != resumed {
				t.Errorf("resumed %v, %d pieces: read %q, %v", resumed, pieces, data, err)
			}
		}
	}
}

// beforeFinished brings a TLS 1.2 handshake of c to the point where only the client's Finished is missing. It returns
// that message, and the protection and suite of the client's records from it on.
func beforeFinished(t *testing.T, c *Conn, config *tls.Config, keys *keyLog) ([]byte, half, *suite) {
	t.Helper()
	wire := &memConn{from: make(chan []byte, 256), to: make(chan []byte, 256)}
	client := tls.Client(wire, config)
	ended := make(chan error, 1)
	go func() { ended <- client.Handshake() }()
	t.Cleanup(func() {
		close(wire.from)
		<-ended
	})
	random := func(hello []byte) []byte { return bytes.Clone(hello[headerLen+helloLen-32 : headerLen+helloLen]) }
	hello := <-wire.to
	c.Feed(hello)
	computeAll(c.engine)
	flight := c.Drain(make([]byte, 0, c.Pending()))
	session := int(flight[headerLen+helloLen]) // the length of the session id, which the suite follows
	suite := suiteOf(binary.BigEndian.Uint16(flight[headerLen+helloLen+1+session:]))
	wire.from <- flight
	change := []byte{byte(typeChangeCipherSpec), 3, 3, 0, 1, 1}
	var second []byte
	for !bytes.Contains(second, append(change, byte(typeHandshake))) {
		second = append(second, <-wire.to...)
	}
	at := bytes.Index(second, change) + len(change)
	c.Feed(second[:at])
	in, _ := keys12(suite, keys.master, random(hello), random(flight))
	in.aead = suite.aead(in.key[:suite.keyLen])
	out, mem := in, scratch{}
	_, finished, bad := open(&mem, &in, suite, tls.VersionTLS12, second[at:])
	if bad != 0 {
		t.Fatalf("the client's Finished does not open: alert %d", bad)
	}
	return finished, out, suite
}

// TestUseTicketKeys proves which keys of an earlier process are taken over: those that may still open tickets and are not of a
// time to come. The newest goes on sealing for the rest of its day.
func TestUseTicketKeys(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	f := func(ages []time.Duration, want ...time.Duration) {
		t.Helper()
		k := testCerts(t, "ecdsa")
		var keys []TicketKey
		for i, age := range ages {
			keys = append(keys, TicketKey{Key: [32]byte{byte(i + 1)}, Made: now.Add(-age)})
		}
		k.UseTicketKeys(keys, now)
		var got []time.Duration
		for _, key := range k.TicketKeys() {
			age := now.Sub(key.Made)
			got = append(got, age)
			if i := slices.Index(ages, age); i >= 0 && key.Key != keys[i].Key {
				t.Errorf("ages %v: the key of age %v is another one", ages, age)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("ages %v: %v are in use, want %v", ages, got, want)
		}
	}
	f(nil, 0)
	f([]time.Duration{time.Hour}, time.Hour)
	f([]time.Duration{3 * day, time.Hour, 2 * day}, time.Hour, 2*day, 3*day)
	f([]time.Duration{day}, 0, day)
	f([]time.Duration{8*day - 1, 8 * day, 9 * day}, 0, 8*day-1)
	f([]time.Duration{-time.Hour, time.Hour}, time.Hour)
	f([]time.Duration{-time.Hour}, 0)
}
