package tlsconn

// This file tests the assembly of a ClientHello: in any number of records, in every cut, and each violation with the
// alert of crypto/tls.

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"
)

// inRecords returns the ClientHello message in n records.
func inRecords(message []byte, n int) (b []byte) {
	for k := range n {
		part := message[len(message)*k/n : len(message)*(k+1)/n]
		b = append(b, byte(typeHandshake), 3, 1, byte(len(part)>>8), byte(len(part)))
		b = append(b, part...)
	}
	return b
}

// A ClientHello in 1, 2, 3 and many records begins its handshake with its last byte, not before, wherever it is cut, and
// our answer comes.
func TestHelloEveryChop(t *testing.T) {
	certs := testCerts(t, "ecdsa")
	e := testEngine(t, certs, nil)
	message := clientHello(t)[headerLen:]
	f := func(records int, cuts ...int) {
		t.Helper()
		b := inRecords(message, records)
		c := e.Start(1)
		cuts, from := append(cuts, len(b)-1), 0
		for _, cut := range cuts {
			cut = max(min(cut, len(b)-1), from)
			if err := c.Feed(bytes.Clone(b[from:cut])); err != nil || c.Waiting() != ForHello || e.InFlight() != 0 {
				t.Fatalf("%d records, %d bytes: %v, waits for %d", records, cut, err, c.Waiting())
			}
			from = cut
		}
		if err := c.Feed(b[from:]); err != nil || c.Waiting() == ForHello || c.held != nil {
			t.Fatalf("%d records, whole: %v, waits for %d", records, err, c.Waiting())
		}
		if cuts[0]%50 == 0 {
			if computeAll(e); c.Pending() == 0 {
				t.Fatalf("%d records: no answer", records)
			}
		}
		c.Close()
	}
	for _, records := range []int{1, 2, 3, 50, len(message)} {
		for cut := 1; cut < len(message)+records*headerLen; cut += 1 + records/2 {
			f(records, cut)
		}
		for _, chop := range []int{1, 2, 3, 7, 100, 500} {
			var cuts []int
			for cut := chop; cut < len(message)+records*headerLen-1; cut += chop {
				cuts = append(cuts, cut)
			}
			f(records, append(cuts, 1<<20)...)
		}
	}
}

// A real client whose ClientHello arrives in many records is served.
func TestHelloInRecords(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		for _, records := range []int{2, 7, 100} {
			e := testEngine(t, testCerts(t, "ecdsa"), nil)
			c := e.Start(1)
			wire := &memConn{from: make(chan []byte, 256), to: make(chan []byte, 256)}
			client := tls.Client(wire, clientConfig(version))
			ended := make(chan error, 1)
			go func() { ended <- client.Handshake() }()
			c.Feed(inRecords((<-wire.to)[headerLen:], records))
			for c.Phase() == Handshaking {
				if computeAll(e); c.Pending() > 0 {
					wire.from <- c.Drain(make([]byte, 0, c.Pending()))
				}
				if c.Phase() == Handshaking {
					c.Feed(<-wire.to)
				}
			}
			if err := <-ended; err != nil || c.Phase() != Established {
				t.Errorf("%d records: the client says %v, we %v", records, err, c.Err())
			}
		}
	})
}

// cryptoTLS returns the bytes that crypto/tls answers to a client that sends b and ends.
func cryptoTLS(config *tls.Config, b []byte) []byte {
	wire := &memConn{from: make(chan []byte, 1), to: make(chan []byte, 16)}
	wire.from <- b
	close(wire.from)
	tls.Server(wire, config).Handshake()
	wire.Close()
	var answer []byte
	for b := range wire.to {
		answer = append(answer, b...)
	}
	return answer
}

// A beginning that cannot become a handshake gets the alert that crypto/tls sends, at once and without a place
// among the handshakes.
func TestBadHellos(t *testing.T) {
	l, err := Load(testCert(t, "ecdsa"))
	if err != nil {
		t.Fatal(err)
	}
	config := NewConfig(l, Classic)
	certs := testCerts(t, "ecdsa")
	e := testEngine(t, certs, nil)
	f := func(name string, want alert, b ...byte) {
		t.Helper()
		for _, chop := range []int{1, len(b)} {
			c := e.Start(1)
			var err error
			for rest := b; err == nil && len(rest) > 0; {
				n := min(chop, len(rest))
				err = c.Feed(rest[:n])
				rest = rest[n:]
			}
			got := c.Drain(make([]byte, 0, c.Pending()))
			theirs := cryptoTLS(config, append(b[:len(b):len(b)], make([]byte, helloRoom)...))
			if !bytes.Equal(got, theirs) {
				t.Errorf("%s: sent %x, crypto/tls sends %x", name, got, theirs)
			}
			var bad *ClientError
			if errors.As(err, &bad) != (want != 0) || want != 0 && alert(bad.Alert) != want || err == nil {
				t.Errorf("%s: %v, want the alert %d", name, err, want)
			}
			if c.Phase() != Failed || c.held != nil || e.InFlight() != 0 {
				t.Errorf("%s: %v, %d bytes held", name, c.Phase(), len(c.held))
			}
		}
	}
	f("an empty record", alertUnexpectedMessage, 22, 3, 1, 0, 0)
	f("a record of data", 0, 22, 3, 1, 0, 1, 1, 23, 3, 1, 0, 1)
	f("a record of change_cipher_spec", 0, 22, 3, 1, 0, 1, 1, 20, 3, 1, 0, 1, 1)
	f("version 16", 0, 22, 16, 1, 0, 1)
	f("a long record", alertRecordOverflow, 22, 3, 1, 0x40, 1)
	f("a very long record", alertRecordOverflow, 22, 3, 1, 0xff, 0xff)
	f("another message", alertUnexpectedMessage, append([]byte{22, 3, 1, 0, 4}, 99, 0, 0, 0)...)
	f("a message too long for crypto/tls", alertInternalError, append([]byte{22, 3, 1, 0, 4}, 1, 1, 0, 1)...)
	f("an alert of three bytes", alertUnexpectedMessage, 22, 3, 1, 0, 1, 1, 21, 3, 1, 0, 3, 2, 40, 0)
	f("a fatal alert", 0, 22, 3, 1, 0, 1, 1, 21, 3, 1, 0, 2, 2, 40)
	f("close_notify", 0, 22, 3, 1, 0, 1, 1, 21, 3, 1, 0, 2, 1, 0)
}

// A server name with a trailing dot gets decode_error from crypto/tls. A version of Go that takes it shows here.
func TestTrailingDot(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), nil)
	wire := &memConn{from: make(chan []byte), to: make(chan []byte, 1)}
	config := clientConfig(tls.VersionTLS13)
	config.ServerName = "localhostX" // the client of crypto/tls takes the dot off
	go tls.Client(wire, config).Handshake()
	hello := <-wire.to
	close(wire.from)
	c := e.Start(1)
	c.Feed(bytes.Replace(hello, []byte("localhostX"), []byte("localhost."), 1))
	computeAll(e)
	if got := c.Drain(make([]byte, 0, c.Pending())); !bytes.Equal(got, appendAlert(nil, alertDecodeError)) {
		t.Errorf("sent %x, want decode_error", got)
	}
}

// FuzzHello feeds arbitrary records as a ClientHello: the same end comes for every cut, no more is held than has
// arrived, and a handshake begins exactly when the message is whole.
func FuzzHello(f *testing.F) {
	message := clientHello(f)[headerLen:]
	for _, n := range []int{1, 2, 5, len(message)} {
		f.Add(uint16(n), inRecords(message, n))
	}
	f.Add(uint16(1), []byte{22, 3, 1, 0, 1, 1, 21, 3, 1, 0, 2, 2, 40})
	f.Add(uint16(3), []byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Add(uint16(2), []byte("OPTIONS"))
	certs := testCerts(f, "ecdsa")
	f.Fuzz(func(t *testing.T, chop uint16, b []byte) {
		ends := map[string]bool{}
		for _, n := range []int{len(b) + 1, int(chop) + 1} {
			// Admit is false, so that the handshake stays where it would begin.
			e := testEngine(t, certs, func(o *EngineOptions) { o.Admit = func(Handle) bool { return false } })
			c := e.Start(1)
			var err error
			for rest := b; len(rest) > 0 && err == nil; {
				k := min(n, len(rest))
				err = c.Feed(rest[:k])
				rest = rest[k:]
				if c.state == stateHello && len(c.held) != len(b)-len(rest) || len(c.held) > helloRoom {
					t.Fatalf("%d bytes are held", len(c.held))
				}
				if c.state == stateWaiting {
					break // bytes behind the message are the handshake's matter
				}
			}
			ends[fmt.Sprint(c.state, err)] = true
			if c.state == stateWaiting != whole(b) && err == nil {
				t.Fatalf("the state is %v, the message is whole: %v", c.state, whole(b))
			}
			c.Close()
		}
		if len(ends) > 1 && len(b) < helloRoom {
			t.Fatalf("the end depends on the cut: %v", ends)
		}
	})
}

// whole reports whether b begins with records of a whole handshake message.
func whole(b []byte) bool {
	var message []byte
	for r := bytes.NewReader(b); ; {
		head := make([]byte, headerLen)
		if _, err := io.ReadFull(r, head); err != nil || head[0] != 22 {
			return false
		}
		part := make([]byte, int(head[3])<<8|int(head[4]))
		if _, err := io.ReadFull(r, part); err != nil {
			return false
		}
		message = append(message, part...)
		if len(message) >= 4 && len(message) >= 4+(int(message[1])<<16|int(message[2])<<8|int(message[3])) {
			return true
		}
	}
}
