// Package tlstest makes TLS connections for the tests of the parts of a shard: established ones, with a client of
// crypto/tls on the other side and no socket between.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"millrace/tlsconn"
)

// Engine is the TLS of one shard. Its connections can be detached and attached to other engines.
type Engine struct {
	*tlsconn.Engine
	t testing.TB
}

// New returns an engine with a new certificate. Its handshakes have ended at the end of the test.
func New(t testing.TB) *Engine {
	t.Helper()
	e := &Engine{t: t, Engine: tlsconn.NewEngine(tlsconn.EngineOptions{
		Certificates: Certificates(t),
		MaxInFlight:  64, MaxFresh: 1 << 20, FirstFlight: time.Minute, Timeout: time.Minute,
		MaxBuffered: 1 << 20, MaxExpanded: 64, KeyUpdatesPerMinute: 32,
	})}
	t.Cleanup(e.Close)
	return e
}

// Certificates returns a new certificate.
func Certificates(t testing.TB) *tlsconn.Certificates {
	t.Helper()
	loaded, err := tlsconn.Load(certificate(t))
	if err != nil {
		t.Fatal(err)
	}
	return tlsconn.NewCertificates(loaded, tlsconn.PostQuantum, time.Now())
}

// Hello returns the first bytes of a client.
func Hello() []byte {
	w := &wire{from: make(chan []byte), to: make(chan []byte, 1)}
	go tls.Client(w, &tls.Config{InsecureSkipVerify: true}).Handshake()
	hello := <-w.to
	close(w.from)
	return hello
}

// Client is the other side of a connection. Its errors fail the test.
type Client struct {
	t    testing.TB
	tls  *tls.Conn
	wire *wire
}

// Shake returns a client whose handshake is complete. exchange takes what the client has sent and returns what the tracker
// sends.
func Shake(t testing.TB, exchange func(sent []byte) []byte) *Client {
	t.Helper()
	w := &wire{from: make(chan []byte, 64), to: make(chan []byte, 64)}
	client := &Client{t: t, wire: w, tls: tls.Client(w, &tls.Config{InsecureSkipVerify: true})}
	result := make(chan error, 1)
	go func() { result <- client.tls.Handshake() }()
	for shaken := false; !shaken || len(w.to) > 0; {
		select {
		case err := <-result:
			if err != nil {
				t.Fatalf("the client's handshake: %v", err)
			}
			shaken = true
		case b := <-w.to:
			if out := exchange(b); len(out) > 0 {
				w.from <- out
			}
		}
	}
	return client
}

// Dial returns a connection whose handshake is complete, with nothing pending, and its client.
func (e *Engine) Dial() (*tlsconn.Conn, *Client) {
	e.t.Helper()
	c := e.Start(0)
	client := Shake(e.t, func(sent []byte) []byte {
		if err := c.Feed(sent); err != nil {
			e.t.Fatal(err)
		}
		for _, ok := e.Compute(); ok; _, ok = e.Compute() {
		}
		return c.Drain(make([]byte, 0, c.Pending()))
	})
	if data, err := c.Next(); len(data) > 0 || err != nil || c.Phase() != tlsconn.Established {
		e.t.Fatalf("after the handshake: %q, %v, %v", data, err, c.Phase())
	}
	return c, client
}

// Receive gives the client bytes that the connection has sent and returns the n bytes of data in them.
func (c *Client) Receive(sent []byte, n int) []byte {
	c.t.Helper()
	c.wire.from <- sent
	data := make([]byte, n)
	if _, err := io.ReadFull(c.tls, data); err != nil {
		c.t.Fatal(err)
	}
	return data
}

// End gives the client the last bytes of the connection and reports whether they are close_notify and nothing else.
func (c *Client) End(sent []byte) bool {
	c.wire.from <- sent
	close(c.wire.from)
	n, err := c.tls.Read(make([]byte, 1)) // without close_notify, the error is io.ErrUnexpectedEOF
	return n == 0 && err == io.EOF
}

// Send returns data as the client's records.
func (c *Client) Send(data []byte) []byte {
	c.t.Helper()
	if _, err := c.tls.Write(data); err != nil {
		c.t.Fatal(err)
	}
	var records []byte
	for len(c.wire.to) > 0 {
		records = append(records, <-c.wire.to...)
	}
	return records
}

// wire is the net.Conn that crypto/tls sees.
type wire struct {
	net.Conn // none: for the methods that nothing calls
	from, to chan []byte
	rest     []byte
}

func (w *wire) Read(b []byte) (int, error) {
	for len(w.rest) == 0 {
		var ok bool
		if w.rest, ok = <-w.from; !ok {
			return 0, io.EOF
		}
	}
	n := copy(b, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	w.to <- append([]byte(nil), b...)
	return len(b), nil
}

// certificate writes a new certificate and its key into files.
func certificate(t testing.TB) (certFile, keyFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	write := func(file, label string, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(certFile, "CERTIFICATE", der)
	write(keyFile, "PRIVATE KEY", key)
	return certFile, keyFile
}
