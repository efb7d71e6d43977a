package tlsconn

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// This file tests certificates that are chosen by the name that a client asks for.

// named returns a certificate for one name.
func named(t *testing.T, name string) tls.Certificate {
	t.Helper()
	l, err := Load(testCert(t, "ecdsa"))
	if err != nil {
		t.Fatal(err)
	}
	cert := l.certs[0]
	leaf := *cert.Leaf
	leaf.DNSNames = []string{name}
	cert.Leaf = &leaf
	return cert
}

// handshakeAs makes a handshake and returns the server's certificate, nil where the handshake fails.
func handshakeAs(t *testing.T, l *loop, name string, protocol string) ([]byte, error) {
	t.Helper()
	config := clientConfig(0)
	config.MinVersion, config.ServerName, config.NextProtos = tls.VersionTLS12, name, []string{protocol}
	client, err := tls.Dial("tcp", l.addr, config)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.ConnectionState().PeerCertificates[0].Raw, nil
}

// TestServerNames proves that a client gets the certificate of the name that it asks for, or the first one, and that without
// any certificate it is told so.
func TestServerNames(t *testing.T) {
	a, b := named(t, "a.example"), named(t, "b.example")
	f := func(l *Loaded, name string, want []byte, alert string) {
		t.Helper()
		loop := newLoop(t, NewCertificates(l, PostQuantum, time.Now()), echo)
		got, err := handshakeAs(t, loop, name, "http/1.1")
		if string(got) != string(want) || (err == nil) != (alert == "") || err != nil && !strings.Contains(err.Error(), alert) {
			t.Errorf("%s: %v", name, err)
		}
	}
	both := Made([]tls.Certificate{a, b})
	f(both, "a.example", a.Certificate[0], "")
	f(both, "b.example", b.Certificate[0], "")
	f(both, "c.example", a.Certificate[0], "")
	f(both, "", a.Certificate[0], "")
	f(Made(nil), "a.example", nil, "unrecognized name")
	if !Made(nil).NotAfter().IsZero() || !both.NotAfter().Equal(a.Leaf.NotAfter) {
		t.Error("the ends are wrong")
	}
	if both.Same(Made([]tls.Certificate{a})) || !both.Same(Made([]tls.Certificate{a, b})) {
		t.Error("Same is wrong")
	}
}

// TestChallenge proves that an ACME server gets the certificate that it asks for, and other clients the usual one meanwhile.
func TestChallenge(t *testing.T) {
	usual, proof := named(t, "a.example"), named(t, "a.example")
	certificates := NewCertificates(Made([]tls.Certificate{usual}), PostQuantum, time.Now())
	certificates.Answer(func(name string) *tls.Certificate {
		if name == "a.example" {
			return &proof
		}
		return nil
	})
	loop := newLoop(t, certificates, echo)
	f := func(name, protocol string, want []byte) {
		t.Helper()
		got, err := handshakeAs(t, loop, name, protocol)
		if string(got) != string(want) || (err == nil) != (want != nil) {
			t.Errorf("%s, %s: %v", name, protocol, err)
		}
	}
	f("a.example", "acme-tls/1", proof.Certificate[0])
	f("a.example", "http/1.1", usual.Certificate[0])
	f("b.example", "acme-tls/1", nil)
	_, before := certificates.Current()
	certificates.Refresh(Made([]tls.Certificate{usual}), PostQuantum)
	if _, after := certificates.Current(); after != before {
		t.Errorf("a fresh staple changes the generation from %d to %d", before, after)
	}
	f("a.example", "http/1.1", usual.Certificate[0])
}
