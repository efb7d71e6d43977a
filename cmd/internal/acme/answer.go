package acme

import (
	"crypto/tls"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// This file owns the answers to an ACME server that validates a name. Event loops ask for them.

// proofCache keeps the last proof: a server asks for it from several places.
type proofCache struct{ last atomic.Pointer[proof] }

type proof struct {
	authorization string
	cert          *tls.Certificate
}

// Proof returns the certificate that proves that a name is served here; nil where no server has asked. The first call for a
// question makes a key and a signature, which takes tens of microseconds.
//
// RFC 8737 §3: «The client prepares for validation by constructing a self-signed certificate that MUST contain an
// acmeIdentifier extension and a subjectAlternativeName extension».
func (m *Manager) Proof(serverName string) *tls.Certificate {
	c, ok := certmagic.GetACMEChallenge(strings.ToLower(serverName))
	if !ok || c.Type != acme.ChallengeTypeTLSALPN01 {
		return nil
	}
	if p := m.proof.last.Load(); p != nil && p.authorization == c.KeyAuthorization {
		return p.cert
	}
	cert, err := acmez.TLSALPN01ChallengeCert(c.Challenge)
	if err != nil {
		m.opt.Log.Error("cannot make the certificate that an ACME server asks for", "domain", serverName, "error", err)
		return nil
	}
	m.proof.last.Store(&proof{c.KeyAuthorization, cert})
	return cert
}

// TokenPath begins the paths at which ACME servers look for [Manager.Token].
const TokenPath = "/.well-known/acme-challenge/"

// Token returns the text at a path, and whether there is one.
//
// RFC 8555 §8.3: «The client MUST provision this resource at path "/.well-known/acme-challenge/" followed by the "token" value».
func (m *Manager) Token(path string) (text string, ok bool) {
	if !strings.HasPrefix(path, TokenPath) {
		return "", false
	}
	for _, domain := range m.opt.Domains {
		c, ok := certmagic.GetACMEChallenge(domain)
		if ok && c.Type == acme.ChallengeTypeHTTP01 && path == c.HTTP01ResourcePath() {
			return c.KeyAuthorization, true
		}
	}
	return "", false
}
