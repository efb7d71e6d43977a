package server

import (
	"errors"
	"log/slog"
	"time"

	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/tlsconn"
)

// This file owns the parts of TLS that all shards share: the certificate, which changes while they run, the keys of
// session tickets and the pool of handshakes.

const (
	// maxHandshakes bounds the handshakes in flight, each of which holds 20 to 60 KB and a goroutine.
	maxHandshakes = 1024
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
	pool         *tlsconn.Pool
}

// openTLS reads the certificate; nil where TLS is off.
func openTLS(cfg *config.Config, shards int, log *slog.Logger) (*tlsServer, error) {
	if !cfg.Network.EnableTLS {
		return nil, nil
	}
	loaded, err := loadCertificate(cfg, log)
	if err != nil {
		return nil, err
	}
	exchange := tlsconn.PostQuantum
	if !cfg.Network.TLSPostQuantum {
		exchange = tlsconn.Classic
	}
	certificates := tlsconn.NewCertificates(loaded, exchange, time.Now())
	return &tlsServer{certificates, tlsconn.NewPool(tlsconn.PoolOptions{
		Certificates: certificates,
		Workers:      shards, // more than there are helpers: loops without work give their Ps up
		MaxInFlight:  maxHandshakes,
		FirstFlight:  firstFlight * time.Second,
		Timeout:      seconds(cfg.Network.HandshakeTimeout),
	})}, nil
}

// helpers returns the number of Ps beside those that the loops hold: one for everything else, and with TLS half as many
// as there are loops, for handshakes. With a single one a large machine would open no more connections a second after a
// restart than a small one. With one for each loop a flood of handshakes could take as much of every CPU as the loops.
func helpers(cfg *config.Config, shards int) int {
	if !cfg.Network.EnableTLS {
		return 1
	}
	return (shards + 1) / 2
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
func (t *tlsServer) shardOptions(cfg *config.Config, c *shard.Control) *shard.TLSOptions {
	if t == nil {
		return nil
	}
	return &shard.TLSOptions{
		Pool:        t.pool,
		Notify:      c.HandshakeReady,
		MaxBuffered: cfg.IOUring.AssemblyMemory,
		MaxExpanded: expandedKeys,
		FirstFlight: firstFlight,
		GracePeriod: uint32(cfg.Cleaning.CloseAfterTLSUpdateGracePeriod),
	}
}

// watchCertificate adds certificate and key to the files that are read again. They are taken together or not at all.
func (s *Server) watchCertificate(cfg *config.Config) {
	if s.tls == nil {
		return
	}
	load := func() error {
		loaded, err := loadCertificate(cfg, s.log)
		if err != nil {
			return err
		}
		generation := s.tls.certificates.Swap(loaded)
		for _, c := range s.controls {
			c.SetCertificate(generation)
		}
		return nil
	}
	s.addFiles("network.tls_certificate_path", load, cfg.Network.TLSCertificatePath, cfg.Network.TLSPrivateKeyPath)
}

// rotate changes the key of session tickets when it is time.
func (t *tlsServer) rotate() {
	if t != nil {
		t.certificates.Rotate(time.Now())
	}
}

// close ends all handshakes.
func (t *tlsServer) close() {
	if t != nil {
		t.pool.Close()
	}
}
