package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// This file proves the tracker over TLS: with real clients, while certificates change, and under floods of handshakes.

// pki is a certificate with its key in two files, as an operator has them.
type pki struct {
	cert, key string // paths
	pool      *x509.CertPool
}

// settings returns the configuration that uses it.
func (p *pki) settings() string {
	return fmt.Sprintf("enable_tls = true\ntls_certificate_path = '%s'\ntls_private_key_path = '%s'\n", p.cert, p.key)
}

// newPKI writes a certificate of a new key, valid until a time.
func newPKI(t *testing.T, kind string, serial int64, until time.Time) *pki {
	t.Helper()
	dir := t.TempDir()
	p := &pki{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pool: x509.NewCertPool()}
	p.write(t, kind, serial, until)
	return p
}

// write puts another certificate and key in the place of the ones there.
func (p *pki) write(t *testing.T, kind string, serial int64, until time.Time) {
	t.Helper()
	var private, public any
	switch kind {
	case "ecdsa":
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		private, public = k, &k.PublicKey
	case "rsa":
		k, _ := rsa.GenerateKey(rand.Reader, 2048)
		private, public = k, &k.PublicKey
	case "ed25519":
		pub, k, _ := ed25519.GenerateKey(rand.Reader)
		private, public = k, pub
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "tracker"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p.replace(t, p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.replace(t, p.cert, certificate)
	p.pool.AppendCertsFromPEM(certificate)
}

// replace puts a finished file in the place of another.
func (p *pki) replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// client returns an HTTP client that trusts it, with one connection per request and resumption where cache is not nil.
func (p *pki) client(version uint16, cache tls.ClientSessionCache) *http.Client {
	return &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: false,
		TLSClientConfig: &tls.Config{
			RootCAs: p.pool, MinVersion: version, MaxVersion: version, ClientSessionCache: cache,
			NextProtos: []string{"http/1.1"}, ServerName: "127.0.0.1",
		},
	}}
}

// Clients of TLS 1.2 and 1.3 find each other over wss, with every kind of key, with one and two shards and on every
// plan; large messages pass unchanged; a stop still says 1001.
func TestRelayOverTLS(t *testing.T) {
	f := func(kind, plan string, shards int, version uint16) {
		t.Run(fmt.Sprintf("%s/%s/%d/%x", kind, plan, shards, version), func(t *testing.T) {
			p := newPKI(t, kind, 1, time.Now().Add(24*time.Hour))
			tr := start(t, settings{top: fmt.Sprintf("socket_workers = %d", shards), network: p.settings(), plan: plan})
			tr.client = p.client(version, nil)
			relay(t, tr)
			tr.stop()
		})
	}
	f("ecdsa", "newest", 2, tls.VersionTLS13)
	f("ecdsa", "newest", 1, tls.VersionTLS12)
	f("rsa", "baseline", 2, tls.VersionTLS13)
	f("rsa", "between", 1, tls.VersionTLS12)
	f("ed25519", "newest", 2, tls.VersionTLS13)
}

// A certificate is replaced under load and no connection is lost: those that are open go on, new ones are shown the new
// certificate, and tickets of the old time are still taken, on every shard. A bad pair changes nothing and says why.
func TestReloadCertificate(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
	tr := start(t, settings{
		top:     "socket_workers = 2",
		network: p.settings(),
		other:   "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'",
	})
	cache := tls.NewLRUClientSessionCache(64)
	tr.client = p.client(tls.VersionTLS13, cache)
	var peers []*peer
	for k := range 20 {
		c := tr.dial()
		c.send(announce(id("hash"), id("peer %d", k), 0, nil))
		c.receive() // and with it the session ticket
		peers = append(peers, c)
	}
	endLoad := busy(t, peers)
	f := func(serial int64) {
		t.Helper()
		c, err := tls.Dial("tcp", tr.addr, &tls.Config{RootCAs: p.pool, ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != serial {
			t.Errorf("shown certificate %d, want %d", got, serial)
		}
	}
	f(1)
	p.write(t, "rsa", 2, time.Now().Add(24*time.Hour))
	tr.signal(syscall.SIGUSR1)
	tr.logged("msg=reloaded", 1)
	f(2)
	resumed := 0
	for range 10 {
		c, err := tls.Dial("tcp", tr.addr, tr.client.Transport.(*http.Transport).TLSClientConfig)
		if err != nil {
			t.Fatal(err)
		}
		if c.ConnectionState().DidResume {
			resumed++
		}
		c.Close()
	}
	if resumed != 10 {
		t.Errorf("%d of 10 tickets of the old certificate were taken", resumed)
	}
	p.replace(t, p.key, []byte("-----BEGIN PRIVATE KEY-----\nhalf of it"))
	tr.signal(syscall.SIGUSR1)
	tr.logged("reload failed, keeping the previous version", 1)
	f(2)
	endLoad()
	for k, c := range peers {
		c.send(announce(id("hash"), id("peer %d", k), 0, nil))
		if m := c.receive(); m["incomplete"] != 20.0 {
			t.Errorf("peer %d: %v", k, m)
		}
	}
}

// Clients resume their sessions with a tracker that was started again where it keeps the keys of its tickets in a file, and
// not where it does not. A file that others may read keeps the tracker from starting.
func TestTicketsAfterRestart(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
	f := func(keys string, want bool) {
		t.Helper()
		set := settings{network: p.settings() + "shutdown_timeout = 0\ntls_ticket_keys_path = '" + keys + "'"}
		client := p.client(tls.VersionTLS13, tls.NewLRUClientSessionCache(64))
		for restarted := range 2 {
			tr := start(t, set)
			tr.client = client
			if restarted == 1 {
				c, err := tls.Dial("tcp", tr.addr, client.Transport.(*http.Transport).TLSClientConfig)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.ConnectionState().DidResume; got != want {
					t.Errorf("keys in %q: resumed %v, want %v", keys, got, want)
				}
				c.Close()
			}
			c := tr.dial()
			c.send(announce(id("hash"), id("peer"), 0, nil))
			c.receive() // and with it the session ticket
			tr.signal(syscall.SIGTERM)
			<-tr.exited
			client.CloseIdleConnections()
		}
	}
	keys := filepath.Join(t.TempDir(), "keys")
	f("", false)
	f(keys, true)
	if err := os.Chmod(keys, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := command(&settings{}, "-c", (&settings{network: p.settings() + "tls_ticket_keys_path = '" + keys + "'"}).configFile(t))
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "its keys are no secret") {
		t.Errorf("with keys that others may read: %v, %s", err, out)
	}
}

// busy lets every peer announce without end, each in a torrent of its own, until the function that it returns is
// called.
func busy(t *testing.T, peers []*peer) (end func()) {
	stop, done := make(chan struct{}), sync.WaitGroup{}
	for k, c := range peers {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c.send(announce(id("hash %d", k), id("peer %d", k), 0, nil))
				if m := c.receive(); m["incomplete"] != 1.0 {
					t.Errorf("reply %v", m)
					return
				}
			}
		})
	}
	return func() {
		close(stop)
		done.Wait()
	}
}

// Connections on a replaced certificate are closed when their grace period is over.
func TestGracePeriod(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
	tr := start(t, settings{network: p.settings(), other: "[cleaning]\nclose_after_tls_update_grace_period = 1"})
	tr.client = p.client(tls.VersionTLS13, nil)
	old := tr.dial()
	p.write(t, "ecdsa", 2, time.Now().Add(24*time.Hour))
	tr.signal(syscall.SIGUSR1)
	tr.logged("msg=reloaded", 1)
	young := tr.dial()
	if code := old.closeCode(); code != 1001 {
		t.Errorf("closed with %d, want 1001", code)
	}
	young.send(announce(id("hash"), id("peer"), 0, nil))
	young.receive()
}

// Every mistake in certificate or key gives one sentence that names the file or the key, and an expired certificate is
// served with a warning.
func TestBadCertificates(t *testing.T) {
	good, other := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour)), newPKI(t, "rsa", 2, time.Now().Add(time.Hour))
	f := func(cert, key string, want ...string) {
		t.Helper()
		s := settings{network: (&pki{cert: cert, key: key}).settings()}
		cmd := command(&s, "-c", s.configFile(t))
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || bytes.Count(out, []byte("\n")) != 1 {
			t.Errorf("exit code %d, wrote %q", cmd.ProcessState.ExitCode(), out)
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%q does not say %q", out, w)
			}
		}
	}
	missing := filepath.Join(t.TempDir(), "missing.pem")
	f(missing, good.key, missing)
	f(good.cert, missing, missing)
	f(good.key, good.key, good.key)
	f(good.cert, other.key, good.cert, other.key)
	f("", good.key, "tls_certificate_path")
	expired := newPKI(t, "ecdsa", 1, time.Now().Add(-time.Hour))
	tr := start(t, settings{network: expired.settings()})
	if !strings.Contains(tr.log.String(), "level=WARN") || !strings.Contains(tr.log.String(), "expired") {
		t.Error("no warning about an expired certificate")
	}
	tr.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	relay(t, tr)
}

// A flood of ClientHellos that go nowhere, more than the pool takes, does not stall connections that are open, and the
// pool is free again afterwards.
func TestHandshakeFlood(t *testing.T) {
	p := newPKI(t, "rsa", 1, time.Now().Add(time.Hour))
	tr := start(t, settings{network: p.settings() + "handshake_timeout = 2\n"})
	tr.client = p.client(tls.VersionTLS13, nil)
	var peers []*peer
	for k := range 1000 {
		c := tr.dial()
		c.send(announce(id("hash %d", k), id("peer %d", k), 0, nil))
		c.receive()
		peers = append(peers, c)
	}
	hello := clientHello(t)
	for range 3 {
		for range 700 {
			c := tr.raw()
			c.Write(hello)
		}
		for k, c := range peers {
			c.send(announce(id("hash %d", k), id("peer %d", k), 0, nil))
			if m := c.receive(); m["incomplete"] != 1.0 {
				t.Fatalf("during the flood: %v", m)
			}
		}
	}
	eventually(t, "handshakes succeed again", func() bool {
		d := &net.Dialer{Timeout: patience}
		c, err := tls.DialWithDialer(d, "tcp", tr.addr, &tls.Config{RootCAs: p.pool, ServerName: "127.0.0.1"})
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	relay(t, tr)
}

// clientHello returns the first flight of a client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		tls.Client(near, &tls.Config{ServerName: "127.0.0.1"}).Handshake()
	}()
	far.SetReadDeadline(time.Now().Add(patience))
	head := make([]byte, 5)
	if _, err := io.ReadFull(far, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(far, body); err != nil {
		t.Fatal(err)
	}
	far.Close()
	return append(head, body...)
}

// OpenSSL and Node clients complete a handshake and get a response.
func TestForeignTLSClients(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour))
	tr := start(t, settings{network: p.settings() + "enable_http_health_checks = true\n"})
	f := func(want, input, program string, args ...string) {
		t.Helper()
		path, err := exec.LookPath(program)
		if err != nil {
			t.Logf("%s is not installed: not tried", program)
			return
		}
		cmd := exec.Command(path, args...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%s %v: %v\n%s", program, args, err, out)
		}
	}
	health := "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		f("200 OK", health, "openssl", "s_client", "-connect", tr.addr, version, "-CAfile", p.cert, "-quiet", "-ign_eof")
	}
	f("status 200", "", "node", "-e", `require('https').get({host:'127.0.0.1',port:`+tr.addr[strings.LastIndex(tr.addr, ":")+1:]+
		`,path:'/health',ca:require('fs').readFileSync('`+p.cert+`')},r=>console.log('status',r.statusCode))`)
}

// A client that ends its side of TLS right after its requests still gets the replies, also those that another shard
// makes.
func TestHalfCloseOverTLS(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
	tr := start(t, settings{top: "socket_workers = 2", network: p.settings()})
	for range 10 { // connections fall on both shards
		c, err := tls.Dial("tcp", tr.addr, &tls.Config{RootCAs: p.pool, ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		all := head("GET / HTTP/1.1", "\r\n")
		for k := range 20 {
			text := fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s"}`, id("torrent %d", k), id("peer"))
			all += string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
		}
		io.WriteString(c, all)
		c.CloseWrite()
		got, err := io.ReadAll(c)
		if n := bytes.Count(got, []byte(`"interval"`)); n != 20 {
			t.Errorf("%d replies to 20 requests, %v", n, err)
		}
		c.Close()
	}
}

// A client that speaks HTTP without TLS to the port gets a plain response that says so, also when its first bytes come
// one by one, and then the end. Other bytes without TLS get the end only.
func TestHTTPWithoutTLS(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
	tr := start(t, settings{network: p.settings()})
	f := func(request, want string, chop int) {
		t.Helper()
		c := tr.raw()
		for len(request) > 0 {
			n := min(chop, len(request))
			io.WriteString(c, request[:n])
			request = request[n:]
		}
		got, err := io.ReadAll(c)
		if want == "" && len(got) > 0 || !strings.HasPrefix(string(got), want) || want != "" && err != nil {
			t.Errorf("read %q, %v, want %q", got, err, want)
		}
		if want != "" && !strings.Contains(string(got), "wss://") {
			t.Errorf("%q does not name wss", got)
		}
	}
	const bad = "HTTP/1.1 400 Bad Request\r\n"
	f("GET / HTTP/1.1\r\nHost: x\r\n\r\n", bad, 1<<20)
	f("GET ", bad, 1)
	f("POST /announce HTTP/1.1\r\n\r\n", bad, 2)
	f("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bad, 1<<20)
	f("SSH-2.0-OpenSSH_9.2\r\n", "", 1<<20)
	tr.client = p.client(tls.VersionTLS13, nil)
	relay(t, tr)
}

// More clients than the pool has places, each of which sends a part of a ClientHello and stops, keep nobody out, and are
// closed some seconds after their first byte.
func TestHalfOpenTLS(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
	tr := start(t, settings{network: p.settings() + "handshake_timeout = 60\n"})
	tr.client = p.client(tls.VersionTLS13, nil)
	hello := clientHello(t)
	var all []net.Conn
	for k := range 1100 {
		c := tr.raw()
		c.Write(hello[:5+k%(len(hello)-5)])
		all = append(all, c)
	}
	relay(t, tr)
	for _, c := range all {
		if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a half-open handshake: %d bytes, %v", n, err)
		}
	}
}
