package tlsconn

// This file tests certificates and keys in files: every form is read, every mistake has its sentence.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Load reads every form of key that OpenSSL and ACME clients write, and keeps the order of a chain.
func TestLoad(t *testing.T) {
	f := func(name, kind string, encode func(private any) []byte) {
		t.Helper()
		private, public := newKey(t, kind)
		dir := t.TempDir()
		certFile, keyFile := filepath.Join(dir, "c"), filepath.Join(dir, "k")
		writePEM(t, certFile, "CERTIFICATE", selfSigned(t, private, public, time.Now(), time.Now().Add(time.Hour)))
		// Another certificate follows in the chain.
		issuer, issuerPublic := newKey(t, "ecdsa")
		chain, err := os.ReadFile(certFile)
		if err != nil {
			t.Fatal(err)
		}
		second := selfSigned(t, issuer, issuerPublic, time.Now(), time.Now().Add(time.Hour))
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: second})...)
		key := encode(private)
		for _, same := range []bool{false, true} {
			if same {
				key, keyFile = append(chain, key...), certFile
				chain = key
			}
			os.WriteFile(keyFile, key, 0o600)
			os.WriteFile(certFile, chain, 0o600)
			l, err := Load(certFile, keyFile)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if len(l.certs[0].Certificate) != 2 || !bytes.Equal(l.certs[0].Certificate[1], second) {
				t.Errorf("%s: a chain of %d certificates", name, len(l.certs[0].Certificate))
			}
		}
	}
	pemOf := func(label string, marshal func(private any) ([]byte, error)) func(any) []byte {
		return func(private any) []byte {
			der, err := marshal(private)
			if err != nil {
				t.Fatal(err)
			}
			return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
		}
	}
	pkcs1 := func(k any) ([]byte, error) { return x509.MarshalPKCS1PrivateKey(k.(*rsa.PrivateKey)), nil }
	sec1 := func(k any) ([]byte, error) { return x509.MarshalECPrivateKey(k.(*ecdsa.PrivateKey)) }
	f("ECDSA, PKCS #8", "ecdsa", pemOf("PRIVATE KEY", x509.MarshalPKCS8PrivateKey))
	f("RSA, PKCS #8", "rsa", pemOf("PRIVATE KEY", x509.MarshalPKCS8PrivateKey))
	f("Ed25519, PKCS #8", "ed25519", pemOf("PRIVATE KEY", x509.MarshalPKCS8PrivateKey))
	f("RSA, PKCS #1", "rsa", pemOf("RSA PRIVATE KEY", pkcs1))
	f("ECDSA, SEC 1", "ecdsa", pemOf("EC PRIVATE KEY", sec1))
	f("ECDSA, SEC 1 behind parameters", "ecdsa", func(k any) []byte {
		return append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"),
			pemOf("EC PRIVATE KEY", sec1)(k)...)
	})
}

// Load reports each mistake in one sentence that names the file.
func TestLoadErrors(t *testing.T) {
	certFile, keyFile := testCert(t, "ecdsa")
	otherCert, otherKey := testCert(t, "rsa")
	read := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "file.pem")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cert, key := read(certFile), read(keyFile)
	f := func(certFile, keyFile, wantFile, want string) {
		t.Helper()
		_, err := Load(certFile, keyFile)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), wantFile) {
			t.Errorf("%v\n\twant %q and %q", err, wantFile, want)
		} else if strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("more than one line: %v", err)
		}
	}
	bad := func(text, want string) {
		t.Helper()
		file := write(text)
		f(file, keyFile, file, want)
	}
	badKey := func(text, want string) {
		t.Helper()
		file := write(text)
		f(certFile, file, file, want)
	}
	f("/nowhere/cert.pem", keyFile, "/nowhere/cert.pem", "cannot read the certificate")
	f(certFile, "/nowhere/key.pem", "/nowhere/key.pem", "cannot read the private key")
	f(filepath.Dir(certFile), keyFile, filepath.Dir(certFile), "cannot read the certificate")
	bad("", "no PEM block")
	bad("not PEM\n", "no PEM block")
	bad(cert[:len(cert)/2], "half written")
	bad(cert+cert[:len(cert)/2], "half written")
	bad(key, "no certificate in it, only PRIVATE KEY")
	bad("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate number 1 in it is not valid")
	bad(strings.Repeat("x", maxPEM+1), "larger than")
	badKey(key[:len(key)/2], "half written")
	badKey(cert, "no private key in it, only CERTIFICATE")
	badKey("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"damaged, or not an ECDSA, RSA or Ed25519 key")
	badKey("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "passphrase")
	badKey("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n"+
		"-----END RSA PRIVATE KEY-----\n", "passphrase")
	f(certFile, otherKey, otherKey, "does not belong to the certificate")
	bad(read(otherCert)+cert, "belongs to certificate number 2 in it, put that one first")
}

// Warnings names the faults that clients object to at the given time.
func TestWarnings(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.Add(90 * 24 * time.Hour)
	f := func(kind string, now time.Time, want ...string) {
		t.Helper()
		certFile, keyFile := writeCert(t, kind, from, to)
		l, err := Load(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		if !l.NotAfter().Equal(to) {
			t.Errorf("NotAfter is %v", l.NotAfter())
		}
		got := l.Warnings(now)
		if len(got) != len(want) {
			t.Fatalf("at %v: %q, want %q", now, got, want)
		}
		for i := range got {
			if !strings.Contains(got[i], want[i]) || !strings.Contains(got[i], certFile) {
				t.Errorf("at %v: %q, want %q", now, got[i], want[i])
			}
		}
	}
	f("ecdsa", from.Add(time.Hour))
	f("ecdsa", to.Add(-15*24*time.Hour))
	f("ecdsa", from.Add(-time.Hour), "not valid before 2026-01-01T00:00:00Z")
	f("ecdsa", to.Add(-13*24*time.Hour), "expires at 2026-04-01T00:00:00Z")
	f("ecdsa", to.Add(time.Hour), "expired at 2026-04-01T00:00:00Z")
	f("ed25519", from.Add(time.Hour), "Ed25519")
}
