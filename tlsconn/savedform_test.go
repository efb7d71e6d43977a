package tlsconn

// This file tests the form of saved states: it stays readable, and damage to it is an error.

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "add the saved states of suites that testdata lacks")

// savedFile has a line for each suite: its name, and a state in hexadecimal digits. A line that is there never changes:
// processes that run today save such states.
const savedFile = "testdata/saved1.txt"

// sample returns a connection of the suite in which every field has a value that is its own, as far as fields go together.
func sample(e *Engine, s *suite) *Conn {
	secret := make([]byte, 144)
	for i := range secret {
		secret[i] = byte(i)
	}
	c := keyed(e, s, secret)
	c.in.seq, c.out.seq = 0x0102030405060708, 0x1112131415161718
	c.info.Resumed = true
	c.idle, c.asked, c.since = 5, 0x21222324, e.seconds()-17
	c.pend = []byte("pending output")
	part := appendHeader(nil, typeData, 300)
	c.held = append(append(e.get(100), part...), "a part of a record"...)
	c.nhead = uint8(copy(c.header[:], part))
	if c.info.Version == tls.VersionTLS13 {
		c.owed = true
		c.nmsg = uint8(copy(c.msg[:], keyUpdate[:3]))
	}
	return c
}

// Every state that a process has saved in this format can be read, for each suite, and means the same.
func TestSavedStatesStayReadable(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	e.SetTime(1000 * time.Second)
	text, err := os.ReadFile(savedFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines[name] = digits
	}
	for i := range suites {
		want := sample(e, &suites[i])
		name := tls.CipherSuiteName(suites[i].id)
		if lines[name] == "" && *update {
			lines[name] = hex.EncodeToString(want.AppendState(nil))
			text = append(text, name+" "+lines[name]+"\n"...)
		}
		state, err := hex.DecodeString(lines[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := e.Restore(0, state)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		compare(t, name, got, want)
		if now := want.AppendState(nil); !bytes.HasPrefix(now, state) {
			t.Errorf("%s: a saved state does not begin as it did", name)
		}
		got.Close()
		want.Close()
	}
	if *update {
		if err := os.WriteFile(savedFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// compare reports fields in which two connections differ.
func compare(t *testing.T, name string, got, want *Conn) {
	t.Helper()
	if got.in != want.in || got.out != want.out || got.suite != want.suite || got.info != want.info || got.state != want.state {
		t.Errorf("%s: other keys, or another outcome of the handshake: %+v", name, got.info)
	}
	if got.idle != want.idle || got.asked != want.asked || got.since != want.since || got.owed != want.owed {
		t.Errorf("%s: %d %d %d %v, want %d %d %d %v", name, got.idle, got.asked, got.since, got.owed, want.idle, want.asked,
			want.since, want.owed)
	}
	if !bytes.Equal(got.held, want.held) || got.header != want.header || got.nhead != want.nhead {
		t.Errorf("%s: the part of a record is %q, want %q", name, got.held, want.held)
	}
	if got.msg != want.msg || got.nmsg != want.nmsg || !bytes.Equal(got.pend, want.pend) {
		t.Errorf("%s: message %v, output %q", name, got.msg, got.pend)
	}
}

// Bytes behind the last field are ignored, since later versions may have written them.
func TestRestoreIgnoresMore(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	for i := range suites {
		want := sample(e, &suites[i])
		got, err := e.Restore(0, append(want.AppendState(nil), "a field of the time to come"...))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, tls.CipherSuiteName(suites[i].id), got, want)
	}
}

// A state that ends early is an error at every length, and takes nothing from the engine.
func TestRestoreTruncated(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	for i := range suites {
		c := sample(e, &suites[i])
		state, before := c.AppendState(nil), e.Buffered()
		for n := range state {
			got, err := e.Restore(0, state[:n:n])
			if got != nil || err == nil || !strings.Contains(err.Error(), "damaged") || e.Buffered() != before {
				t.Fatalf("%s, %d of %d bytes: %v, %d bytes of buffers", tls.CipherSuiteName(suites[i].id), n, len(state), err,
					e.Buffered()-before)
			}
		}
		c.Close()
	}
}

// Each thing that cannot be is an error that names it: an unknown format, version or suite, and every field out of its
// bounds or at odds with another one.
func TestRestoreErrors(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	const v12, v13 = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_AES_128_GCM_SHA256
	// change is called twice: with the connection before it is saved, and with the state.
	f := func(id uint16, want string, change func(c *Conn, state []byte)) {
		t.Helper()
		c := sample(e, suiteOf(id))
		change(c, nil)
		state := c.AppendState(nil)
		change(nil, state)
		got, err := e.Restore(0, state)
		if want == "" {
			want = "<nil>"
		} else if got != nil || err == nil || !strings.HasPrefix(err.Error(), "cannot restore a TLS connection: ") {
			t.Errorf("want %q, not %v", want, err)
			return
		}
		if text := "<nil>"; err != nil {
			if text = err.Error(); !strings.HasSuffix(text, want) {
				t.Errorf("%s, want %q", text, want)
			}
		}
	}
	at := func(i int, values ...byte) func(*Conn, []byte) { // changes the bytes from i on, from the end if it is negative
		return func(_ *Conn, state []byte) {
			if state != nil {
				copy(state[(i+len(state))%len(state):], values)
			}
		}
	}
	conn := func(change func(c *Conn)) func(*Conn, []byte) {
		return func(c *Conn, _ []byte) {
			if c != nil {
				change(c)
			}
		}
	}
	f(v13, "", at(0))
	f(v12, "", at(0))
	f(v13, "the format 3, and this build reads 1", at(0, 3))
	f(v13, "the format 0, and this build reads 1", at(0, 0))
	f(v13, "damaged at the state", at(1, 4))
	f(v13, "damaged at the flags", at(2, 4))
	f(v12, "damaged at the flags", at(2, savedOwed))
	f(v13, "does not have TLS 1.1", at(3, 3, 2))
	f(v13, "does not have 0x7F1C", at(3, 0x7f, 0x1c))
	f(v13, "does not have the suite 0x13FF", at(6, 0xff))
	f(v12, "does not have the suite TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", at(5, 0xc0, 0x09))
	f(v12, "TLS 1.3 does not have the suite TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", at(3, 3, 4))
	f(v13, "TLS 1.2 does not have the suite TLS_AES_128_GCM_SHA256", at(3, 3, 3))
	f(v13, "damaged at the client's keys", at(15, 31))
	f(v13, "damaged at the client's keys", at(15, 33))
	f(v12, "damaged at the client's keys", at(15, 1))
	f(v12, "damaged at the client's keys", at(16, 32))
	f(v12, "damaged at the client's keys", at(33, 11))
	f(v12, "damaged at the server's keys", at(54, 1))
	f(v13, "damaged at the count of records without data", conn(func(c *Conn) { c.idle = maxIdle + 1 }))
	f(v13, "damaged at the age of the count of requests", at(-48, 61))
	f(v13, "damaged at the handshake message", conn(func(c *Conn) { c.msg[2] = 1 }))
	f(v13, "damaged at the handshake message", conn(func(c *Conn) { c.nmsg = keyUpdateMsgLen }))
	f(v12, "damaged at the handshake message", conn(func(c *Conn) { c.nmsg, c.msg[0] = 1, messageKeyUpdate }))
	f(v13, "damaged at the record in part", conn(func(c *Conn) { c.held[0] = byte(typeAlert) }))
	f(v12, "damaged at the record in part", conn(func(c *Conn) { c.held[2] = 1 }))
	f(v13, "damaged at the record in part", conn(func(c *Conn) { c.held[3] = 0xff }))
	f(v13, "damaged at the record in part", conn(func(c *Conn) { c.held[3], c.held[4] = 0, 18 }))
	f(v13, "", conn(func(c *Conn) { c.held[3], c.held[4] = 0, 19 }))
	f(v12, "damaged at the record in part", conn(func(c *Conn) { c.state = statePeerEnded }))
	f(v13, "damaged at the handshake message", conn(func(c *Conn) { c.state, c.held, c.nhead = statePeerEnded, nil, 0 }))
	f(v13, "damaged at the flags", conn(func(c *Conn) { c.state = stateOursEnded }))
	f(v13, "damaged at the pending output", conn(func(c *Conn) { c.pend = make([]byte, maxSavedPend+1) }))
	f(v13, "", conn(func(c *Conn) { c.pend = make([]byte, maxSavedPend) }))
	f(v13, "damaged at the pending output", at(-14-4, 0xff, 0xff, 0xff, 0xff))
}

// FuzzRestore reads arbitrary bytes as a saved state. If they are one, the connection saves the same again, works in every
// direction and leaves nothing behind.
func FuzzRestore(f *testing.F) {
	e := testEngine(f, testCerts(f, "ecdsa"), nil)
	for i := range suites {
		c := sample(e, &suites[i])
		f.Add(c.AppendState(nil), []byte("bytes of a client"))
		c.Close()
	}
	for _, s := range savedStates {
		c := keyed(e, suiteOf(tls.TLS_AES_128_GCM_SHA256), make([]byte, 144))
		if c.state = s; s.reads() {
			c.nhead = uint8(copy(c.header[:], "\x17\x03\x03"))
		}
		f.Add(c.AppendState(nil), []byte{23, 3, 3, 0, 1, 1})
	}
	hello := e.Start(1)
	hello.Feed(clientHello(f)[:100])
	f.Add(hello.AppendState(nil), []byte("bytes of a client"))
	hello.Close()
	f.Fuzz(func(t *testing.T, state, from []byte) {
		c, err := e.Restore(1, state)
		if err == nil {
			if again := c.AppendState(nil); !bytes.HasPrefix(state, again) {
				t.Fatalf("saved again as %x", again)
			}
			c.Feed(from)
			for data, err := c.Next(); len(data) > 0 && err == nil; data, err = c.Next() {
			}
			b, _ := c.Write(nil, []byte("data"))
			c.Drain(c.CloseNotify(b))
			c.Close()
		}
		free := 0
		for class, buffers := range e.free {
			free += len(buffers) * bufferSizes[class]
		}
		if free != e.Buffered() || len(e.vacant) != len(e.expanded) {
			t.Fatalf("%d of %d bytes have come back, and %d of %d places", free, e.Buffered(), len(e.vacant), len(e.expanded))
		}
	})
}
