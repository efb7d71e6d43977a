package server

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/acme"
	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/tlsconn"
)

// This file owns the parts of TLS that all shards share: the certificate, which changes while they run, and the keys
// of session tickets.

const (
	// maxHandshakes bounds the handshakes in flight, each of which holds about 55 KB, half of it a stack: so many in all,
	// and leastHandshakes of each shard.
	maxHandshakes   = 1024
	leastHandshakes = 256
	// helloMemory is for the ClientHellos of a shard whose handshakes have not had their turn: 4,000 of browsers.
	helloMemory = 8 << 20
	// firstFlight is the time in seconds from a client's first byte to its whole ClientHello, and again for its answer to
	// our flight.
	firstFlight = 3
	// expandedKeys is the number of connections of a shard that keep their expanded keys at hand, 1.5 KB each. A
	// message on another connection takes 1 µs and two allocations more.
	expandedKeys = 16384
)

// tlsServer holds the shared parts. A nil tlsServer is a tracker without TLS.
type tlsServer struct {
	certificates *tlsconn.Certificates
	acme         atomic.Pointer[acme.Manager] // gets the certificates; nil: they come from files
	ports        acme.Ports                   // of its listeners
	keysFile     string                       // keeps the keys of session tickets; empty: nothing does
	unsaved      bool                         // the file lacks the newest key
}

// openTLS reads the certificate, or makes ready to get one; nil where TLS is off.
func openTLS(cfg *config.Config, user privileges, log *slog.Logger) (*tlsServer, error) {
	if !cfg.NeedsTLS() {
		return nil, nil
	}
	t := &tlsServer{}
	loaded := tlsconn.Made(nil)
	if o := acmeOptions(cfg, user, log); len(o.Domains) > 0 {
		m, err := acme.New(o)
		if err != nil {
			return nil, err
		}
		t.acme.Store(m)
	} else {
		var err error
		if loaded, err = loadCertificate(cfg, log); err != nil {
			return nil, err
		}
	}
	t.certificates = tlsconn.NewCertificates(loaded, keyExchange(cfg), time.Now())
	t.certificates.Answer(t.proof)
	if err := t.useTicketKeys(cfg.Network.TLSTicketKeysPath); err != nil {
		return nil, err
	}
	return t, nil
}

// saveTicketKeys writes the file of ticket keys, if there is one.
func (t *tlsServer) saveTicketKeys() error {
	if t == nil || t.keysFile == "" {
		return nil
	}
	keys := t.certificates.TicketKeys()
	defer clear(keys)
	return writeTicketKeys(t.keysFile, keys)
}

// loadCertificate reads certificate and key, and warns of defects for which clients will refuse them.
func loadCertificate(cfg *config.Config, log *slog.Logger) (*tlsconn.Loaded, error) {
	if cfg.Network.TLSCertificatePath == "" || cfg.Network.TLSPrivateKeyPath == "" {
		return nil, errors.New("network.enable_tls needs network.tls_certificate_path and network.tls_private_key_path")
	}
	loaded, err := tlsconn.Load(cfg.Network.TLSCertificatePath, cfg.Network.TLSPrivateKeyPath)
	if err != nil {
		return nil, err
	}
	for _, warning := range loaded.Warnings(time.Now()) {
		log.Warn(warning)
	}
	log.Info("certificate", "file", cfg.Network.TLSCertificatePath, "valid_until", loaded.NotAfter())
	return loaded, nil
}

// shardOptions returns the options with which a shard speaks TLS.
func (t *tlsServer) shardOptions(cfg *config.Config, shards int) *shard.TLSOptions {
	if t == nil {
		return nil
	}
	return &shard.TLSOptions{
		Certificates: t.certificates,
		MaxInFlight:  max(maxHandshakes/shards, leastHandshakes),
		MaxFresh:     helloMemory,
		MaxBuffered:  cfg.IOUring.AssemblyMemory,
		MaxExpanded:  expandedKeys,
		FirstFlight:  firstFlight,
		GracePeriod:  uint32(cfg.Cleaning.CloseAfterTLSUpdateGracePeriod),
	}
}

// swapCertificate reads certificate and key and puts them in force, together or not at all.
func (s *Server) swapCertificate(cfg *config.Config) error {
	loaded, err := loadCertificate(cfg, s.log)
	if err != nil {
		return err
	}
	s.useCertificates(loaded, cfg)
	return nil
}

// useCertificates puts certificates in force.
func (s *Server) useCertificates(loaded *tlsconn.Loaded, cfg *config.Config) {
	generation := s.tls.certificates.Swap(loaded, keyExchange(cfg))
	for _, c := range s.controls {
		c.SetCertificate(generation)
	}
}

// keyExchange returns the way in which handshakes exchange keys.
func keyExchange(cfg *config.Config) tlsconn.KeyExchange {
	if cfg.Network.TLSPostQuantum {
		return tlsconn.PostQuantum
	}
	return tlsconn.Classic
}

// useTicketKeys takes over the keys of session tickets that a file has, and has them kept there from now on. An empty path
// is no file.
func (t *tlsServer) useTicketKeys(path string) error {
	if path != "" {
		keys, err := readTicketKeys(path)
		if err != nil {
			return err
		}
		t.certificates.UseTicketKeys(keys, time.Now())
		clear(keys)
	}
	t.keysFile = path
	return nil
}

// rotate changes the key of session tickets when it is time, and saves the new one. Where that fails, the log says so once a
// day, and each later call tries again.
func (t *tlsServer) rotate(log *slog.Logger) {
	if t == nil {
		return
	}
	fresh := t.certificates.Rotate(time.Now())
	if !fresh && !t.unsaved {
		return
	}
	err := t.saveTicketKeys()
	if t.unsaved = err != nil; t.unsaved && fresh {
		log.Error(err.Error())
	}
}
