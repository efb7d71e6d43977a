package tlsconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
)

// This file tests the way of connections into another process whose handshakes have not begun.

// TestRestoreHello proves that a client is served whose connection goes to another process, there and back, before its first byte, at any
// point of its ClientHello, and when that is whole and has had no turn, or is not admitted; and that the one who had it sees an end of each
// handshake that it has let begin.
func TestRestoreHello(t *testing.T) {
	certs := testCerts(t, "ecdsa")
	whole := len(clientHello(t))
	for _, at := range []int{0, 1, 4, 5, 6, 9, 100, whole - 1, whole} {
		for _, admits := range []bool{true, false} {
			begun := 0
			count := func(o *EngineOptions) {
				o.Admit = func(Handle) bool {
					if admits {
						begun++
					}
					return admits
				}
				o.Ended = func(Handle) { begun-- }
			}
			here, there := testEngine(t, certs, count), testEngine(t, certs, count)
			wire := &memConn{from: make(chan []byte, 256), to: make(chan []byte, 256)}
			client := tls.Client(wire, clientConfig(tls.VersionTLS13))
			ended := make(chan error, 1)
			go func() { ended <- client.Handshake() }()
			hello := <-wire.to
			at := min(at, len(hello))
			c := here.Start(1)
			if err := c.Feed(hello[:at]); err != nil {
				t.Fatal(err)
			}
			for _, to := range []*Engine{there, here} {
				if !c.Unbegun() || c.StateLen() != len(c.AppendState(nil)) {
					t.Fatalf("behind %d bytes: %d bytes of state, %d expected", at, len(c.AppendState(nil)), c.StateLen())
				}
				next, err := handOver(c, to, 7)
				if err != nil {
					t.Fatal(err)
				}
				c = next
			}
			if begun != 0 {
				t.Fatalf("behind %d bytes: %d handshakes have begun and not ended", at, begun)
			}
			rest := hello[at:]
			for admits = true; c.Phase() == Handshaking; rest = <-wire.to {
				if err := errors.Join(c.Feed(rest), c.Retry()); err != nil {
					t.Fatal(err)
				}
				computeAll(here)
				if c.Pending() > 0 {
					wire.from <- c.Drain(make([]byte, 0, c.Pending()))
				}
				if c.Unbegun() {
					t.Fatalf("behind %d bytes the handshake does not begin", at)
				}
				if c.Phase() != Handshaking {
					break
				}
			}
			if err := <-ended; err != nil || c.Phase() != Established || begun != 0 || c.Unbegun() {
				t.Errorf("behind %d bytes the client says %v, we %v; %d handshakes have not ended", at, err, c.Err(), begun)
			}
			c.Close()
			if here.Buffered() > 1<<18 || there.Buffered() > 1<<18 {
				t.Errorf("%d and %d bytes of buffers are left", here.Buffered(), there.Buffered())
			}
		}
	}
}

// TestRestoreHelloErrors proves that what is no beginning of a ClientHello is refused, as is one for which there is no memory, and that a
// handshake which has begun cannot be saved.
func TestRestoreHelloErrors(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	f := func(state, want string) {
		t.Helper()
		before := e.Buffered()
		if c, err := e.Restore(1, []byte(state)); c != nil || err == nil || !strings.Contains(err.Error(), want) || e.Buffered() != before {
			t.Errorf("%x: %v", state, err)
		}
	}
	const damaged = "damaged at the client's first bytes"
	for n := range len("\x02\x00\x00\x00\x03\x16\x03") {
		f("\x02\x00\x00\x00\x03\x16\x03"[:max(n, 1)], damaged)
	}
	f("\x02\x00\x00\x00\x01x", damaged)
	f("\x02\x00\x01\x00\x00"+strings.Repeat("x", 1<<16), damaged)
	if c, err := e.Restore(1, []byte("\x02\x00\x00\x00\x03\x16\x03\x01 and more of the time to come")); err != nil || string(c.held) != "\x16\x03\x01" {
		t.Error(err)
	}
	small := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxBuffered = 1 << 16 })
	for small.get(helloRoom) != nil {
	}
	for small.get(512) != nil {
	}
	if _, err := small.Restore(1, []byte("\x02\x00\x00\x00\x03\x16\x03\x01")); !errors.Is(err, ErrNoMemory) {
		t.Error(err)
	}
	c := e.Start(1)
	c.Feed(bytes.Clone(clientHello(t)))
	if computeAll(e); c.Unbegun() {
		t.Error("a handshake that has computed could be saved")
	}
	c.Close()
}
