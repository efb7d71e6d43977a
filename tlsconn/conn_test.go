package tlsconn

// This file tests Conn against the client of crypto/tls, over sockets.

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"io"
	"testing"
)

// A client of crypto/tls gets its data back unchanged, in messages of all sizes, with each version, suite and kind of
// key.
func TestEcho(t *testing.T) {
	f := func(kind string, version uint16, suites ...uint16) {
		t.Helper()
		l := newLoop(t, testCerts(t, kind), echo)
		config := clientConfig(version)
		config.CipherSuites = suites
		client, err := tls.Dial("tcp", l.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for _, size := range []int{1, 2, 300, 2048, 14000, 16384, 16385, 100000} {
			sent := make([]byte, size)
			rand.Read(sent)
			go client.Write(sent)
			got := make([]byte, size)
			if _, err := io.ReadFull(client, got); err != nil {
				t.Fatalf("%s %s: %v", kind, tls.VersionName(version), err)
			}
			if !bytes.Equal(got, sent) {
				t.Fatalf("%s %s: %d bytes came back changed", kind, tls.VersionName(version), size)
			}
		}
	}
	for _, kind := range []string{"ecdsa", "rsa", "ed25519"} {
		f(kind, tls.VersionTLS13)
		f(kind, tls.VersionTLS12)
	}
	for _, s := range suites {
		switch name := tls.CipherSuiteName(s.id); {
		case s.id>>8 == 0x13:
		case bytes.Contains([]byte(name), []byte("ECDSA")):
			f("ecdsa", tls.VersionTLS12, s.id)
		default:
			f("rsa", tls.VersionTLS12, s.id)
		}
	}
}
