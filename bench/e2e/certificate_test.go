package e2e

// This file makes the certificate of every wss server of a test run.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificate is that of every wss server of a test run.
var certificate struct {
	chainPath, keyPath string // PEM files
	// keyHash is the SHA-256 of the public key in base64, by which Chromium
	// can be told to accept the certificate: it has no other way to be given one.
	keyHash string
}

// TestMain makes a certificate authority and one certificate, and lets the
// clients trust the authority: Go programs, this one included, read
// SSL_CERT_FILE when they verify their first certificate, Node reads
// NODE_EXTRA_CA_CERTS. So all but Chromium verify the chain and the address.
func TestMain(m *testing.M) {
	if config := os.Getenv(natsEnvironment); config != "" {
		os.Exit(serveNATS(config))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "millrace-e2e-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = makeCertificate(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "cannot make the certificate of the tests:", err)
			return 1
		}
		return m.Run()
	}())
}

func makeCertificate(dir string) error {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Authority of the end-to-end tests"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "Tracker of the end-to-end tests"},
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	return installCertificate(dir, authorityDER, leafDER, key)
}

// installCertificate writes the files and tells everyone where they are.
func installCertificate(dir string, authorityDER, leafDER []byte, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	publicDER, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(publicDER)
	certificate.keyHash = base64.StdEncoding.EncodeToString(hash[:])
	certificate.chainPath = filepath.Join(dir, "chain.pem")
	certificate.keyPath = filepath.Join(dir, "key.pem")
	authorityPath := filepath.Join(dir, "authority.pem")
	for _, file := range []struct {
		path, kind string
		der        []byte
	}{
		{authorityPath, "CERTIFICATE", authorityDER},
		{certificate.chainPath, "CERTIFICATE", leafDER},
		{certificate.keyPath, "PRIVATE KEY", keyDER},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der})
		if err := os.WriteFile(file.path, text, 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"} {
		if err := os.Setenv(name, authorityPath); err != nil {
			return err
		}
	}
	return nil
}
