package tlsconn

// This file tests the way of connections into another process: their saved states.

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// handOver saves a connection, restores it on an engine and closes it where it was. The saved state is overwritten.
func handOver(c *Conn, to *Engine, h Handle) (*Conn, error) {
	state := c.AppendState(nil)
	next, err := to.Restore(h, state)
	clear(state)
	if err == nil {
		c.Close()
	}
	return next, err
}

// twin is a rig whose connection goes to and fro between two engines.
type twin struct {
	rig
	there *Engine
}

// newTwin returns a connection with random keys of the suite. No handshake makes them: clients of crypto/tls do not choose
// among the suites of TLS 1.3.
func newTwin(tb testing.TB, here, there *Engine, s *suite) *twin {
	w := &twin{rig: rig{tb: tb, engine: here}, there: there}
	secret := make([]byte, 3*32+s.hashLen)
	rand.Read(secret)
	w.conn = keyed(here, s, secret)
	w.out, w.in = w.conn.in, w.conn.out
	w.out.aead, w.in.aead = w.expand(&w.out), w.expand(&w.in)
	return w
}

// keyed returns an established connection with keys that are made of a secret of 96 bytes and more.
func keyed(e *Engine, s *suite, secret []byte) *Conn {
	c := &Conn{engine: e, state: stateEstablished, suite: s, info: Info{Version: versionOf(s), Suite: s.id, Generation: 1}}
	if c.info.Version == tls.VersionTLS13 {
		c.in.setSecret(s, secret[:s.hashLen])
		c.out.setSecret(s, secret[len(secret)-s.hashLen:])
	} else {
		c.in, c.out = keys12(s, secret[:48], secret[48:80], secret[64:96])
	}
	return c
}

func versionOf(s *suite) uint16 {
	if s.id>>8 == 0x13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

func (w *twin) handOver() {
	w.tb.Helper()
	next, err := handOver(w.conn, w.there, 7)
	if err != nil {
		w.tb.Fatal(err)
	}
	w.conn = next
	w.engine, w.there = w.there, w.engine
}

// everySuite runs f for each suite, with two engines.
func everySuite(t *testing.T, f func(t *testing.T, here, there *Engine, s *suite)) {
	certs := testCerts(t, "ecdsa")
	for i := range suites {
		s := &suites[i]
		t.Run(tls.CipherSuiteName(s.id), func(t *testing.T) { f(t, testEngine(t, certs, nil), testEngine(t, certs, nil), s) })
	}
}

// A connection goes on after any byte that a client may send: within records, within a handshake message, behind changes
// of keys, with answers that are not sent yet. Its data and our answers are the same, and then both sides can write.
func TestRestoreAtEveryByte(t *testing.T) {
	everySuite(t, func(t *testing.T, here, there *Engine, s *suite) {
		f := func(what string, cut func(size int) []int) {
			t.Helper()
			w := newTwin(t, here, there, s)
			b, want, answers := w.stream(w.conn.info.Version)
			var data []byte
			at := 0
			for _, to := range append(cut(len(b)), len(b)) {
				more, err := w.read(b[at:to], 1<<20)
				if err != nil {
					t.Fatalf("%s, from %d to %d: %v", what, at, to, err)
				}
				data, at = append(data, more...), to
				w.handOver()
			}
			if !bytes.Equal(data, want) || w.conn.Partial() {
				t.Fatalf("%s: read %q, want %q", what, data, want)
			}
			if n := len(w.drained()); n != answers {
				t.Fatalf("%s: %d answers, want %d", what, n, answers)
			}
			w.handOver()
			out, err := w.conn.Write(nil, []byte("ours"))
			if got := w.open(out); err != nil || len(got) != 1 || got[0].content != "ours" {
				t.Fatalf("%s: sent %q, %v", what, got, err)
			}
			if data, err := w.read(w.record(typeData, []byte("theirs")), 3); string(data) != "theirs" || err != nil {
				t.Fatalf("%s: read %q, %v", what, data, err)
			}
			w.conn.Close()
		}
		b, _, _ := newTwin(t, here, there, s).stream(versionOf(s))
		for at := range b {
			f(fmt.Sprintf("cut at %d", at), func(int) []int { return []int{at} })
		}
		for _, chop := range []int{1, 2, 3, 7, 30} {
			f(fmt.Sprintf("pieces of %d", chop), func(size int) (cuts []int) {
				for at := chop; at < size; at += chop {
					cuts = append(cuts, at)
				}
				return cuts
			})
		}
		if n := len(here.expanded) - len(here.vacant) + len(there.expanded) - len(there.vacant); n != 0 {
			t.Errorf("%d places for expanded keys are taken at the end", n)
		}
	})
}

// AppendState changes nothing: at every byte a state is saved and thrown away, and the connection goes on as if nothing
// had happened. What is saved then is also what a restored connection saves.
func TestSaveIsNoMove(t *testing.T) {
	everySuite(t, func(t *testing.T, here, there *Engine, s *suite) {
		w := newTwin(t, here, there, s)
		b, want, answers := w.stream(w.conn.info.Version)
		var data []byte
		for i := range b {
			more, err := w.read(b[i:i+1], 1)
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, more...)
			before := *w.conn
			state := w.conn.AppendState([]byte("before"))
			if !reflect.DeepEqual(before, *w.conn) {
				t.Fatalf("after byte %d: AppendState changes the connection", i)
			}
			if len(state) != len("before")+w.conn.StateLen() || string(state[:6]) != "before" {
				t.Fatalf("after byte %d: %d bytes are appended, StateLen is %d", i, len(state)-6, w.conn.StateLen())
			}
			other, err := there.Restore(3, state[6:])
			if err != nil || !bytes.Equal(other.AppendState(nil), state[6:]) {
				t.Fatalf("after byte %d: the restored connection has another state; %v", i, err)
			}
			other.Close()
		}
		if !bytes.Equal(data, want) || len(w.drained()) != answers {
			t.Errorf("read %q, want %q", data, want)
		}
	})
}

// A connection in the middle of something, or without an engine, cannot be saved.
func TestSaveAtRestOnly(t *testing.T) {
	f := func(what string, prepare func(r *rig)) {
		t.Helper()
		r := newRig(t, tls.VersionTLS13, 0, nil)
		prepare(r)
		if text := refusal(func() { r.conn.AppendState(nil) }); !strings.HasPrefix(text, "BUG: ") {
			t.Errorf("%s: %s", what, text)
		}
	}
	f("fed", func(r *rig) { r.conn.Feed(r.record(typeData, []byte("x"))) })
	f("in a record", func(r *rig) {
		b := r.record(typeData, []byte("x"))
		r.conn.Feed(b[:9])
		r.conn.Next()
		r.conn.Feed(b[9:])
		r.conn.Next()
	})
	f("in its handshake", func(r *rig) {
		r.conn = r.engine.Start(1)
		r.conn.Feed(clientHello(t))
		computeAll(r.engine)
	})
	f("failed", func(r *rig) { r.read([]byte("no record"), 100) })
	f("closed", func(r *rig) { r.conn.Close() })
	f("detached", func(r *rig) { r.conn.Detach() })
}

// talk is a client of crypto/tls and its connection, which goes to and fro between two engines.
type talk struct {
	tb     testing.TB
	conn   *Conn
	there  *Engine
	client *tls.Conn
	wire   *memConn
}

func (k *talk) handOver() {
	k.tb.Helper()
	here := k.conn.engine
	next, err := handOver(k.conn, k.there, 2)
	if err != nil {
		k.tb.Fatal(err)
	}
	k.conn, k.there = next, here
}

// hear returns all that the client has sent, and the error behind it. The connection is handed over after each piece of
// chop bytes.
func (k *talk) hear(chop int) (data []byte, err error) {
	k.tb.Helper()
	for len(k.wire.to) > 0 && err == nil {
		for piece := range slices.Chunk(<-k.wire.to, chop) {
			k.conn.Feed(piece)
			var d []byte
			d, err = drainData(k.conn, nil)
			data = append(data, d...)
			k.handOver()
		}
	}
	return data, err
}

// say sends a text to the client, and hands the connection over in between.
func (k *talk) say(text string) {
	k.tb.Helper()
	b, err := k.conn.Write(nil, []byte(text))
	if err != nil {
		k.tb.Fatal(err)
	}
	k.handOver()
	k.wire.from <- b
	got := make([]byte, len(text))
	if _, err := io.ReadFull(k.client, got); err != nil || string(got) != text {
		k.tb.Fatalf("the client got %q, %v", got, err)
	}
}

// everyClient runs f with a client of crypto/tls for each suite that it can be made to use.
func everyClient(t *testing.T, f func(k *talk)) {
	g := func(kind string, version uint16, suite ...uint16) {
		t.Helper()
		certs := testCerts(t, kind)
		config := clientConfig(version)
		config.CipherSuites = suite
		here, there := testEngine(t, certs, nil), testEngine(t, certs, nil)
		here.rekeyAfter, there.rekeyAfter = 3, 3 // our keys change all the time
		c, client, wire := establish(t, here, config, 1<<20)
		if len(suite) > 0 && c.Info().Suite != suite[0] {
			t.Fatalf("the suite is %s", tls.CipherSuiteName(c.Info().Suite))
		}
		f(&talk{t, c, there, client, wire})
	}
	g("ecdsa", tls.VersionTLS13)
	for _, s := range suites {
		switch name := tls.CipherSuiteName(s.id); {
		case s.id>>8 == 0x13:
		case strings.Contains(name, "ECDSA"):
			g("ecdsa", tls.VersionTLS12, s.id)
		default:
			g("rsa", tls.VersionTLS12, s.id)
		}
	}
}

// A client of crypto/tls talks with a connection that is handed over all the time, in both directions, and notices nothing.
func TestRestoreWithClient(t *testing.T) {
	everyClient(t, func(k *talk) {
		info := k.conn.Info()
		for _, chop := range []int{1, 4, 5, 6, 100, 1 << 20} {
			for _, size := range []int{1, 100, 3000} {
				sent := strings.Repeat("x", size)
				k.client.Write([]byte(sent))
				if got, err := k.hear(chop); string(got) != sent || err != nil {
					t.Fatalf("pieces of %d: read %d of %d bytes, %v", chop, len(got), size, err)
				}
				k.say(sent)
			}
		}
		if k.conn.Info() != info || info.Suite == 0 {
			t.Errorf("%+v has become %+v", info, k.conn.Info())
		}
	})
}

// A connection that one side has ended is handed over, and the other side goes on. When both have ended it, the restored
// connection says so.
func TestRestoreHalfClosed(t *testing.T) {
	both := func(k *talk) {
		k.handOver()
		if _, err := k.conn.Next(); err != io.EOF || k.conn.Phase() != Established {
			t.Errorf("both have ended: Next says %v", err)
		}
		if b, err := k.conn.Write(nil, []byte("x")); len(b) > 0 || err != ErrClosed || len(k.conn.CloseNotify(nil)) > 0 {
			t.Errorf("both have ended: Write says %v", err)
		}
	}
	everyClient(t, func(k *talk) { // the client is first
		k.client.Write([]byte("last"))
		k.client.CloseWrite()
		if data, err := k.hear(3); string(data) != "last" || err != io.EOF {
			t.Errorf("read %q, %v", data, err)
		}
		k.handOver()
		if _, err := k.conn.Next(); err != io.EOF {
			t.Errorf("Next says %v", err)
		}
		k.say("still here")
		k.wire.from <- k.conn.CloseNotify(nil)
		if n, err := k.client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the client read %d bytes, %v", n, err)
		}
		both(k)
	})
	everyClient(t, func(k *talk) { // we are first
		k.wire.from <- k.conn.CloseNotify(nil)
		k.handOver()
		if n, err := k.client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the client read %d bytes, %v", n, err)
		}
		k.client.Write([]byte("still here"))
		if data, err := k.hear(3); string(data) != "still here" || err != nil {
			t.Errorf("read %q, %v", data, err)
		}
		if _, err := k.conn.Write(nil, []byte("x")); err != ErrClosed {
			t.Errorf("Write says %v", err)
		}
		k.client.CloseWrite()
		if _, err := k.hear(3); err != io.EOF {
			t.Errorf("read %v", err)
		}
		both(k)
	})
}

// A client of TLS 1.2 that has not got the end of our handshake gets it from the restored connection.
func TestRestoreBehindHandshake(t *testing.T) {
	certs := testCerts(t, "ecdsa")
	here, there := testEngine(t, certs, nil), testEngine(t, certs, nil)
	wire := &memConn{from: make(chan []byte, 256), to: make(chan []byte, 256)}
	client := tls.Client(wire, clientConfig(tls.VersionTLS12))
	ended := make(chan error, 1)
	go func() { ended <- client.Handshake() }()
	k := &talk{t, here.Start(1), there, client, wire}
	for k.conn.Phase() == Handshaking {
		k.conn.Feed(<-wire.to)
		computeAll(here)
		if k.conn.Phase() == Handshaking {
			wire.from <- k.conn.Drain(make([]byte, 0, k.conn.Pending()))
		}
	}
	pending := k.conn.Pending()
	if data, err := k.conn.Next(); len(data) > 0 || err != nil || pending == 0 {
		t.Fatalf("%d bytes are pending, %v", pending, err)
	}
	k.handOver()
	k.handOver()
	if k.conn.Pending() != pending {
		t.Fatalf("%d bytes are pending, %d were", k.conn.Pending(), pending)
	}
	wire.from <- k.conn.Drain(make([]byte, 0, k.conn.Pending()))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	k.say("hello")
}

// A client over a socket gets long messages back while its connection is handed over after each piece of data.
func TestEchoWhileHandedOver(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		l := newLoop(t, testCerts(t, "ecdsa"), echo)
		l.do(func() { l.second = NewEngine(l.engine.opt) })
		client, err := tls.Dial("tcp", l.addr, clientConfig(version))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for _, size := range []int{1, 3000, 100000} {
			sent, got := make([]byte, size), make([]byte, size)
			rand.Read(sent)
			go client.Write(sent)
			if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes: %v", size, err)
			}
		}
		l.do(func() {
			if len(l.ended) > 0 || l.moves < 25 {
				t.Errorf("%d times handed over, %v", l.moves, l.ended)
			}
		})
	})
}

// The bounds on a client count on: records without data, and changes of keys in a minute of another clock.
func TestRestoreKeepsCounts(t *testing.T) {
	certs := testCerts(t, "ecdsa")
	here, there := testEngine(t, certs, nil), testEngine(t, certs, nil)
	w := newTwin(t, here, there, suiteOf(tls.TLS_AES_128_GCM_SHA256))
	for range maxIdle {
		if _, err := w.read(w.record(typeData, nil), 100); err != nil {
			t.Fatal(err)
		}
		w.handOver()
	}
	if _, err := w.read(w.record(typeData, nil), 100); !errors.Is(err, clientErrors[alertUnexpectedMessage]) {
		t.Errorf("one more record without data: %v", err)
	}
	ask := func(w *twin) error {
		b := w.record(typeHandshake, keyUpdateAsk)
		w.updateOut()
		_, err := w.read(append(b, w.record(typeData, []byte("x"))...), 1<<20)
		return err
	}
	f := func(later time.Duration, want error) {
		t.Helper()
		here.SetTime(1000 * time.Second)
		there.SetTime(3 * time.Second)
		w := newTwin(t, here, there, suiteOf(tls.TLS_AES_128_GCM_SHA256))
		for range 32 {
			if err := ask(w); err != nil {
				t.Fatal(err)
			}
		}
		here.SetTime(1010 * time.Second) // 10 of 60 seconds have passed before the hand-over
		w.handOver()
		there.SetTime(3*time.Second + later)
		if err := ask(w); err != want {
			t.Errorf("%v later: %v, want %v", later, err, want)
		}
	}
	f(0, ErrFlood)
	f(49*time.Second, ErrFlood)
	f(50*time.Second, nil)
}

// What the new process knows better is not handed over: the generation of its own certificate, and the handle.
func TestRestoreTakesOwnGeneration(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		r := newRig(t, version, 0, nil)
		r.conn.info.Resumed = true
		certs := testCerts(t, "ecdsa")
		loaded, _ := certs.Current()
		certs.Swap(loaded, PostQuantum)
		c, err := testEngine(t, certs, nil).Restore(99, r.conn.AppendState(nil))
		if err != nil {
			t.Fatal(err)
		}
		want := r.conn.info
		want.Generation = 2
		if c.Info() != want || c.handle != 99 {
			t.Errorf("%+v with the handle %d, want %+v", c.Info(), c.handle, want)
		}
	})
}

// Clients resume their sessions in a process that has taken over the ticket keys, in the form of a file: in UTC and in whole
// seconds. The key goes on sealing there for the rest of its day, and opens its tickets for their seven days.
func TestTicketKeysAreCarried(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		made := time.Now().Add(-20 * time.Hour)
		old, err := Load(testCert(t, "ecdsa"))
		if err != nil {
			t.Fatal(err)
		}
		before := NewCertificates(old, PostQuantum, made)
		after := testCerts(t, "ecdsa") // another certificate
		config := clientConfig(version)
		config.ServerName, config.ClientSessionCache = "localhost", tls.NewLRUClientSessionCache(1)
		f := func(certs *Certificates, want bool) {
			t.Helper()
			k := &talk{tb: t, there: testEngine(t, certs, nil)}
			k.conn, k.client, k.wire = establish(t, testEngine(t, certs, nil), config, 1<<20)
			k.say("behind the ticket")
			if got := k.conn.Info().Resumed; got != want {
				t.Errorf("resumed: %v, want %v", got, want)
			}
		}
		f(before, false)
		f(before, true)
		keys := before.TicketKeys()
		for i := range keys {
			keys[i].Made = time.Unix(keys[i].Made.Unix(), 0).UTC()
		}
		after.UseTicketKeys(keys, made.Add(20*time.Hour))
		f(after, true)
		if after.Rotate(made.Add(23 * time.Hour)) {
			t.Error("the key is replaced before its day is over")
		}
		if !after.Rotate(made.Add(24*time.Hour)) || after.TicketKeys()[0] == keys[0] {
			t.Error("the key is not replaced after a day")
		}
		// The client has a ticket of the old key.
		f(after, true)
		for day := 2; day <= 8; day++ {
			after.Rotate(made.Add(time.Duration(day) * 24 * time.Hour))
		}
		if slices.Contains(after.TicketKeys(), keys[0]) {
			t.Error("the key is there after eight days")
		}
	})
}

// Close overwrites the keys, in every phase, and drops their expanded forms.
func TestCloseWipes(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		f := func(what string, prepare func(r *rig)) {
			t.Helper()
			r := newRig(t, version, 0, nil)
			if r.conn.in.key == (half{}).key {
				t.Fatal("there are no keys")
			}
			r.read(r.record(typeData, []byte("x")), 100)
			prepare(r)
			if r.conn.Close(); r.conn.in != (half{}) || r.conn.out != (half{}) || r.conn.place != 0 {
				t.Errorf("%s: keys are left after Close", what)
			}
			if slices.Contains(r.engine.expanded, r.conn) {
				t.Errorf("%s: the engine still has the connection", what)
			}
		}
		f("established", func(*rig) {})
		f("saved", func(r *rig) { r.conn.AppendState(nil) })
		f("failed", func(r *rig) { r.read([]byte("no record"), 100) })
		f("detached", func(r *rig) { r.conn.Detach() })
		f("ended by us", func(r *rig) { r.conn.CloseNotify(nil) })
	})
}

// A part of a record needs a buffer: if there is none it is an error, and nothing is held. AppendState makes no garbage,
// and Restore makes one object, the connection.
func TestRestoreMemory(t *testing.T) {
	everySuite(t, func(t *testing.T, here, full *Engine, s *suite) {
		for full.get(bufferSizes[len(bufferSizes)-1]) != nil || full.get(1) != nil {
		}
		for _, k := range []int{0, 4, 5, 100} {
			w := newTwin(t, here, full, s)
			if _, err := w.read(w.record(typeData, make([]byte, 200))[:k], 1<<20); err != nil {
				t.Fatal(err)
			}
			c, err := full.Restore(2, w.conn.AppendState(nil))
			if errors.Is(err, ErrNoMemory) != (k >= headerLen) || (c == nil) != (err != nil) {
				t.Errorf("a part of %d bytes: %v", k, err)
			}
		}
		w := newTwin(t, here, full, s)
		room := make([]byte, w.conn.StateLen())
		if n := testing.AllocsPerRun(100, func() { w.conn.AppendState(room[:0:len(room)]) }); n != 0 {
			t.Errorf("AppendState makes %v objects", n)
		}
		if n := testing.AllocsPerRun(100, func() { full.Restore(1, room) }); n != 1 {
			t.Errorf("Restore makes %v objects", n)
		}
	})
}
