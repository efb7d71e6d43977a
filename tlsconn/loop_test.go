package tlsconn

// This file has the tests' common parts: certificates, and an event loop that serves real sockets with an Engine.

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testCert makes a self-signed certificate for "localhost" and returns the names of its files. kind is "ecdsa", "rsa"
// or "ed25519".
func testCert(tb testing.TB, kind string) (certFile, keyFile string) {
	tb.Helper()
	return writeCert(tb, kind, time.Now().Add(-time.Hour), time.Now().Add(1000*time.Hour))
}

func newKey(tb testing.TB, kind string) (private, public any) {
	tb.Helper()
	var err error
	switch kind {
	case "rsa":
		k, e := rsa.GenerateKey(rand.Reader, 2048)
		private, public, err = k, k.Public(), e
	case "ed25519":
		public, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		k, e := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		private, public, err = k, k.Public(), e
	}
	if err != nil {
		tb.Fatal(err)
	}
	return private, public
}

func writeCert(tb testing.TB, kind string, from, to time.Time) (certFile, keyFile string) {
	tb.Helper()
	private, public := newKey(tb, kind)
	der := selfSigned(tb, private, public, from, to)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(tb, certFile, "CERTIFICATE", der)
	writePEM(tb, keyFile, "PRIVATE KEY", pkcs8)
	return certFile, keyFile
}

func selfSigned(tb testing.TB, private, public any, from, to time.Time) []byte {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             from,
		NotAfter:              to,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func writePEM(tb testing.TB, file, label string, der []byte) {
	tb.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// testCerts returns a new certificate of the kind, with ML-KEM.
func testCerts(tb testing.TB, kind string) *Certificates {
	tb.Helper()
	l, err := Load(testCert(tb, kind))
	if err != nil {
		tb.Fatal(err)
	}
	return NewCertificates(l, PostQuantum, time.Now())
}

// loop is an event loop over real sockets: one goroutine that owns an Engine, as a shard does. It answers each piece of
// data from a client by serve.
type loop struct {
	engine *Engine
	second *Engine // not nil: connections go to and fro between both, as saved states
	serve  func(c *Conn, data []byte) (answer []byte, end bool)
	jobs   chan func()
	conns  map[Handle]*peer
	next   Handle
	addr   string
	ended  []error // why connections failed
	moves  int     // connections that were handed over, each time counted
}

type peer struct {
	conn *Conn
	sock net.Conn
	out  []byte
}

// newLoop starts a loop on a free port of 127.0.0.1.
func newLoop(tb testing.TB, certs *Certificates, serve func(*Conn, []byte) ([]byte, bool)) *loop {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &loop{serve: serve, jobs: make(chan func(), 1024), conns: map[Handle]*peer{}, addr: listener.Addr().String()}
	o := testOptions(certs)
	o.MaxInFlight, o.MaxBuffered, o.MaxExpanded = 256, 1<<24, 1024
	l.engine = NewEngine(o)
	var accepting, running sync.WaitGroup
	running.Go(func() {
		for job := range l.jobs {
			job()
			l.compute()
		}
	})
	accepting.Go(func() { l.accept(listener) })
	tb.Cleanup(func() {
		listener.Close()
		l.do(func() {
			for _, p := range l.conns {
				p.sock.Close()
			}
		})
		accepting.Wait()
		l.do(l.engine.Close)
		if l.second != nil {
			l.do(l.second.Close)
		}
		close(l.jobs)
		running.Wait()
	})
	return l
}

// do runs f on the loop and waits for it.
func (l *loop) do(f func()) {
	done := make(chan struct{})
	l.jobs <- func() { f(); close(done) }
	<-done
}

func (l *loop) accept(listener net.Listener) {
	var readers sync.WaitGroup
	defer readers.Wait()
	for {
		sock, err := listener.Accept()
		if err != nil {
			return
		}
		var h Handle
		l.do(func() {
			l.next++
			h = l.next
			l.conns[h] = &peer{conn: l.engine.Start(h), sock: sock}
		})
		readers.Go(func() { l.read(h, sock) })
	}
}

// read passes received bytes to the loop.
func (l *loop) read(h Handle, sock net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := sock.Read(buf)
		l.do(func() {
			if p := l.conns[h]; p != nil {
				if n > 0 {
					p.conn.Feed(buf[:n])
				}
				l.advance(h, p)
				if err != nil {
					l.drop(h, p)
				}
			}
		})
		if err != nil {
			return
		}
	}
}

// compute lets all handshakes go on that can.
func (l *loop) compute() {
	for {
		h, ok := l.engine.Compute()
		if !ok {
			return
		}
		l.advance(h, l.conns[h])
	}
}

// advance handles all data of a connection and sends the answers.
func (l *loop) advance(h Handle, p *peer) {
	end := false
	for !end {
		data, err := p.conn.Next()
		if err == io.EOF {
			p.out = p.conn.CloseNotify(p.out)
		}
		if end = err != nil || len(data) == 0; end {
			break
		}
		var answer []byte
		if answer, end = l.serve(p.conn, data); len(answer) > 0 {
			p.out, _ = p.conn.Write(p.out, answer)
		}
		if end {
			p.out = p.conn.CloseNotify(p.out)
		}
	}
	p.out = append(p.out, p.conn.Drain(make([]byte, 0, p.conn.Pending()))...)
	if len(p.out) > 0 {
		p.sock.Write(p.out)
		p.out = p.out[:0]
	}
	if l.second != nil && p.conn.Phase() == Established {
		l.handOver(h, p)
	}
	if p.conn.Phase() == Failed || p.conn.state == stateOursEnded || p.conn.state == stateBothEnded {
		l.drop(h, p)
	}
}

// handOver replaces a connection by its saved state, restored on the other engine.
func (l *loop) handOver(h Handle, p *peer) {
	to := l.second
	if p.conn.engine == to {
		to = l.engine
	}
	next, err := handOver(p.conn, to, h)
	if err != nil {
		l.ended = append(l.ended, err)
		return
	}
	p.conn = next
	l.moves++
}

func (l *loop) drop(h Handle, p *peer) {
	if err := p.conn.Err(); err != nil {
		l.ended = append(l.ended, err)
	}
	p.conn.Close()
	if tcp, ok := p.sock.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
	p.sock.Close()
	delete(l.conns, h)
}

// echo is a serve function.
func echo(_ *Conn, data []byte) ([]byte, bool) { return append([]byte(nil), data...), false }

// clientConfig returns the configuration of a client that trusts everything.
func clientConfig(version uint16) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		NextProtos: []string{"http/1.1"}}
}
