package server

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"reflect"

	"millrace/cmd/internal/acme"
	"millrace/config"
	"millrace/tlsconn"
)

// This file owns the certificates that the tracker gets by itself: from the configuration to the package that gets them, from
// there to the handshakes, and how they stand.

// acmeOptions returns the options of the package; without domains where the tracker gets no certificates.
func acmeOptions(cfg *config.Config, user privileges, log *slog.Logger) acme.Options {
	t := &cfg.TLS
	return acme.Options{
		Domains: t.ACMEDomains, Email: t.ACMEEmail, Directory: t.ACMEDirectory, Storage: t.ACMEStorage, CAPath: t.ACMECAPath,
		NewRoot: user.root != "", Log: log,
	}
}

// acmePorts returns the ports of the listeners that answer an ACME server.
func acmePorts(t *listenTable, httpPort int) (p acme.Ports) {
	for _, l := range t {
		switch {
		case l == nil || l.Unix() != "":
		case l.TLS && p.TLS == 0:
			p.TLS = int(l.addr.Port())
		case !l.TLS && int(l.addr.Port()) == httpPort:
			p.HTTP = httpPort
		}
	}
	return p
}

// openACME begins to get certificates, once the process has the rights and the root directory with which it will run, and
// serves those that are stored.
func (t *tlsServer) openACME(p acme.Ports, x tlsconn.KeyExchange) error {
	if t == nil || t.acme.Load() == nil {
		return nil
	}
	m := t.acme.Load()
	if err := m.Open(p); err != nil {
		return err
	}
	t.certificates.Refresh(tlsconn.Made(m.Certificates()), x)
	m.Begin()
	return nil
}

// proof answers handshakes of ACME servers.
func (t *tlsServer) proof(name string) *tls.Certificate {
	if m := t.acme.Load(); m != nil {
		return m.Proof(name)
	}
	return nil
}

// token answers requests of ACME servers.
func (t *tlsServer) token(path []byte) (text string, ok bool) {
	if m := t.acme.Load(); m != nil && len(path) > len(acme.TokenPath) {
		return m.Token(string(path))
	}
	return "", false
}

// renewals has a token when the certificates may have changed; nil where the tracker gets none.
func (t *tlsServer) renewals() <-chan struct{} {
	if t == nil || t.acme.Load() == nil {
		return nil
	}
	return t.acme.Load().Changed()
}

// takeCertificates puts the certificates in force that are there now.
func (s *Server) takeCertificates() {
	loaded := tlsconn.Made(s.tls.acme.Load().Certificates())
	if now, _ := s.tls.certificates.Current(); now.Same(loaded) {
		s.tls.certificates.Refresh(loaded, keyExchange(s.Config()))
		return
	}
	s.useCertificates(loaded, s.Config())
}

// stageACME returns the manager for another configuration: nil without domains, and the present one where nothing changes.
func (s *Server) stageACME(cfg *config.Config, ports acme.Ports) (*acme.Manager, error) {
	now, o := s.tls.acme.Load(), acmeOptions(cfg, s.user, s.log)
	switch {
	case len(o.Domains) == 0:
		return nil, nil
	case now != nil && reflect.DeepEqual(now.Options(), o) && s.tls.ports == ports:
		return now, nil
	case s.user.root != "" && (now == nil || now.Options().CAPath != o.CAPath):
		return nil, errors.New("cannot read the authorities of the system, by which to check the ACME server, from the new root " +
			"directory: restart the tracker")
	}
	if err := acme.CheckStorage(o.Storage); err != nil {
		return nil, err
	}
	if now != nil && now.Options().CAPath == o.CAPath {
		return now.Next(o), nil
	}
	return acme.New(o)
}

// takeACME puts a manager in force. The certificates of the one before stay until there are others.
func (s *Server) takeACME(next *acme.Manager, ports acme.Ports) {
	t := s.tls
	before := t.acme.Load()
	if next == before {
		if next != nil {
			s.takeCertificates() // the key exchange may be another one
		}
		return
	}
	before.Close()
	t.ports = ports
	if next != nil {
		if err := next.Open(ports); err != nil {
			s.log.Error(err.Error())
			next = nil
		}
	}
	t.acme.Store(next)
	if next == nil {
		return
	}
	next.Begin()
	if len(next.Certificates()) > 0 {
		s.takeCertificates()
	}
}
