package tlsconn

// This file owns the certificates that are served: their reading from files, and the checks that they can be served.

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Loaded is certificate chains with their private keys, each pair of which belongs together. It never changes.
type Loaded struct {
	certs []tls.Certificate
	where string // end of the words "the certificate …"
}

// maxPEM bounds the size of a file, in bytes. No chain or key comes near it, and a wrong path may name anything.
const maxPEM = 1 << 20

// Load reads a certificate chain, the server's own certificate first, and its private key. Both are PEM and may be in
// one file of at most 1 MiB. Keys are ECDSA, RSA or Ed25519 in PKCS #8, PKCS #1 or SEC 1 form. Errors are sentences
// that name the file. [Loaded.Warnings] checks the dates, Load does not.
func Load(certFile, keyFile string) (*Loaded, error) {
	chain, err := loadChain(certFile)
	if err != nil {
		return nil, err
	}
	key, err := loadKey(keyFile)
	if err != nil {
		return nil, err
	}
	if err := checkMatch(chain, key, certFile, keyFile); err != nil {
		return nil, err
	}
	cert := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return &Loaded{[]tls.Certificate{cert}, "in " + certFile}, nil
}

// Made returns certificates that another package has made, each with its Leaf. A handshake takes the first one that has the
// server name, or the first of all. Without any, handshakes end with the alert unrecognized_name.
func Made(certs []tls.Certificate) *Loaded {
	return &Loaded{slices.Clone(certs), "from the ACME server"}
}

// NotAfter returns the time after which clients refuse a certificate, the first of them; zero where there is none.
func (l *Loaded) NotAfter() (first time.Time) {
	for i := range l.certs {
		if end := l.certs[i].Leaf.NotAfter; i == 0 || end.Before(first) {
			first = end
		}
	}
	return first
}

// Same reports whether both have the same certificates. What is stapled to them may differ.
func (l *Loaded) Same(m *Loaded) bool {
	return slices.EqualFunc(l.certs, m.certs, func(a, b tls.Certificate) bool { return a.Leaf.Equal(b.Leaf) })
}

// expirySoon is the time before its end in which a certificate gets a warning. ACME clients renew 30 days before the
// end, so a certificate that comes this near was not renewed or not reloaded.
const expirySoon = 14 * 24 * time.Hour

// Warnings returns the faults that the certificates have at the time now, as sentences: expired, not yet valid, soon to
// expire, of a kind that browsers refuse. They are served nevertheless.
func (l *Loaded) Warnings(now time.Time) (all []string) {
	for i := range l.certs {
		all = append(all, warnings(&l.certs[i], l.where, now)...)
	}
	return all
}

func warnings(cert *tls.Certificate, where string, now time.Time) (all []string) {
	warn := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("the certificate %s ", where)+fmt.Sprintf(format, args...))
	}
	leaf := cert.Leaf
	switch day := time.RFC3339; {
	case now.Before(leaf.NotBefore):
		warn("is not valid before %s: clients will refuse it until then", leaf.NotBefore.UTC().Format(day))
	case now.After(leaf.NotAfter):
		warn("expired at %s: clients will refuse it, renew it", leaf.NotAfter.UTC().Format(day))
	case now.Add(expirySoon).After(leaf.NotAfter):
		warn("expires at %s: renew it", leaf.NotAfter.UTC().Format(day))
	}
	if _, ok := cert.PrivateKey.(ed25519.PrivateKey); ok {
		warn("has an Ed25519 key: browsers refuse such certificates, use ECDSA P-256")
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		warn("names no host (no subject alternative name): browsers will refuse it")
	}
	return all
}

// readPEM reads a file of PEM blocks.
func readPEM(what, file string) ([]*pem.Block, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s: %w", what, err)
	}
	if info.Size() > maxPEM {
		return nil, fmt.Errorf("cannot use %s as the %s: it is larger than %d bytes", file, what, maxPEM)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s: %w", what, err)
	}
	var blocks []*pem.Block
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		blocks = append(blocks, block)
		text = rest
	}
	// Decode skips damaged blocks, so a file that is still being written looks like one with fewer blocks.
	if bytes.Contains(text, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("cannot use %s as the %s: it is damaged or only half written (a block has no valid end)",
			file, what)
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("cannot use %s as the %s: there is no PEM block in it", file, what)
	}
	return blocks, nil
}

// loadChain reads the certificates of a file.
func loadChain(file string) ([]*x509.Certificate, error) {
	blocks, err := readPEM("certificate", file)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("cannot use %s: certificate number %d in it is not valid: %w", file, len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("cannot use %s as the certificate: there is no certificate in it, only %s", file,
			blocks[0].Type)
	}
	return chain, nil
}

// loadKey reads the first private key of a file.
func loadKey(file string) (crypto.Signer, error) {
	blocks, err := readPEM("private key", file)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // certificates in the same file, EC PARAMETERS before the key
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, fmt.Errorf("cannot use the private key in %s: it is protected by a passphrase, store it without one "+
				"(openssl pkey -in OLD -out NEW)", file)
		}
		key, err := parseKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("cannot use the private key in %s: %w", file, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("cannot use %s as the private key: there is no private key in it, only %s", file,
		blocks[0].Type)
}

// parseKey reads a key in PKCS #8, PKCS #1 or SEC 1 form. It does not ask for the label of the PEM block, since
// programs label the same form differently.
func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return key, nil
		case *ecdsa.PrivateKey:
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		}
		return nil, fmt.Errorf("its kind %T is not one of ECDSA, RSA and Ed25519", key)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("it is damaged, or not an ECDSA, RSA or Ed25519 key in PKCS #8, PKCS #1 or SEC 1 form")
}

// checkMatch reports an error if key does not belong to the first certificate of the chain.
func checkMatch(chain []*x509.Certificate, key crypto.Signer, certFile, keyFile string) error {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return fmt.Errorf("cannot use the private key in %s: its kind %T cannot be compared", keyFile, key)
	}
	for i, cert := range chain {
		if !public.Equal(cert.PublicKey) {
			continue
		}
		if i > 0 {
			return fmt.Errorf("cannot use %s: the private key in %s belongs to certificate number %d in it, put that one first",
				certFile, keyFile, i+1)
		}
		return nil
	}
	return fmt.Errorf("cannot use %s and %s together: the private key does not belong to the certificate", certFile,
		keyFile)
}
