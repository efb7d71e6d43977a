// Package acme gets certificates from an ACME server (RFC 8555) and keeps them fresh. It owns certmagic, which does the work:
// accounts, storage, retries, renewal information (RFC 9773), OCSP. The parts of the tracker that listen answer the server's
// questions with what this package tells them, so that no other port is needed.
package acme

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Options say which certificates to get, and where.
type Options struct {
	Domains   []string // a certificate for each, in lower case
	Email     string   // of the account; may be empty
	Directory string   // address of the ACME server's directory; empty: Let's Encrypt
	Storage   string   // folder for the account, certificates and keys
	CAPath    string   // PEM file with the authorities that the ACME server's own certificate is checked by; empty: the system's

	NewRoot bool // the root directory changes between New and Open: what lies outside is read by New
	Log     *slog.Logger
}

// Ports are those of the listeners that answer an ACME server. It comes to the ports 443 and 80 of a name: these must lead
// there. 0: there is none.
type Ports struct {
	TLS  int // answers acme-tls/1 with [Manager.Proof]
	HTTP int // answers with [Manager.Token]
}

// Manager keeps the certificates. Its methods may be called from any thread.
type Manager struct {
	opt      Options
	server   string // Options.Directory, or that of Let's Encrypt
	roots    *x509.CertPool
	resolver string

	cache    *certmagic.Cache
	config   *certmagic.Config
	changed  chan struct{}
	alive    context.Context
	cancel   context.CancelFunc // ends all work in the background
	obtain   context.CancelFunc // ends the requests for certificates that are not there yet; belongs to the caller of Retry
	renewing atomic.Bool        // renew is under way
	proof    proofCache
	statuses statuses

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup // grows while closed is false
}

// New reads the parts of the system that are out of reach after a change of the root directory. Open follows.
func New(o Options) (*Manager, error) {
	m := newManager(o)
	var err error
	if o.CAPath != "" {
		m.roots, err = readRoots(o.CAPath)
	} else {
		m.roots, err = x509.SystemCertPool()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the authorities by which to check the ACME server: %w", err)
	}
	if o.NewRoot {
		m.resolver = firstNameserver("/etc/resolv.conf")
	}
	return m, nil
}

func newManager(o Options) *Manager {
	m := &Manager{opt: o, server: cmp.Or(o.Directory, certmagic.LetsEncryptProductionCA), changed: make(chan struct{}, 1)}
	m.statuses.init(o.Domains)
	return m
}

// Next returns a manager for other options that has read the same authorities and name server. Close m before it is opened.
func (m *Manager) Next(o Options) *Manager {
	next := newManager(o)
	next.roots, next.resolver = m.roots, m.resolver
	return next
}

// Options returns the options of New or Next.
func (m *Manager) Options() Options { return m.opt }

func readRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in %s", path)
	}
	return roots, nil
}

// firstNameserver returns the address of a name server; empty where the file names none.
func firstNameserver(path string) string {
	text, _ := os.ReadFile(path) // without it, the standard library asks the server on this machine
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			return net.JoinHostPort(f[1], "53")
		}
	}
	return ""
}

// checkTime bounds the reading of stored certificates at the start, which may ask an OCSP responder.
const checkTime = 5 * time.Second

// checkBytes is what an account and a certificate with its key and chain need, by far.
const checkBytes = 32 << 10

// CheckStorage reports an error where the folder cannot be made or written to.
func CheckStorage(folder string) error {
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		name := filepath.Join(folder, ".millrace")
		if err = os.WriteFile(name, make([]byte, checkBytes), 0o600); err == nil {
			err = os.Remove(name)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot use the folder tls.acme_storage: it must be writable for the tracker's user, and have room: %w", err)
	}
	return nil
}

// Open takes the certificates from the storage that are there. Begin follows, once the listeners ask this manager; or Close.
func (m *Manager) Open(p Ports) error {
	if err := CheckStorage(m.opt.Storage); err != nil {
		return err
	}
	certmagic.UserAgent = "millrace"
	log := zap.New(&logCore{log: m.opt.Log, failed: m.renewalFailed})
	storage := &certmagic.FileStorage{Path: m.opt.Storage}
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		Logger:           log,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{Storage: storage, Logger: log, OnEvent: m.event})
	m.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: m.server, Email: m.opt.Email, Agreed: true, Logger: log,
		TrustedRoots: m.roots, Resolver: m.resolver,
		DisableTLSALPNChallenge: p.TLS == 0, AltTLSALPNPort: p.TLS,
		DisableHTTPChallenge: p.HTTP == 0, AltHTTPPort: p.HTTP,
		DisableDistributedSolvers: true,
	})}
	m.alive, m.cancel = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeout(m.alive, checkTime)
	defer cancel()
	for _, domain := range m.opt.Domains {
		m.load(ctx, domain)
	}
	return nil
}

// Begin gets the certificates that are missing, and looks after all of them.
func (m *Manager) Begin() {
	m.background(m.watch)
	m.obtainMissing()
	m.renew()
}

// background runs f in a goroutine that Close waits for; not after Close.
func (m *Manager) background(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.work.Go(f)
	}
}

// renew looks for certificates that are due, unless it does so already: it may wait for the server.
func (m *Manager) renew() {
	if m.renewing.CompareAndSwap(false, true) {
		m.background(func() {
			_ = m.cache.RenewManagedCertificates(m.alive) // events tell of failures
			m.renewing.Store(false)
		})
	}
}

// load takes the certificate of a domain from the storage, if it is there.
func (m *Manager) load(ctx context.Context, domain string) {
	_, err := m.config.CacheManagedCertificate(ctx, domain)
	if err == nil && m.certificate(domain) == nil {
		err = errors.New("it is for another name")
	}
	switch {
	case err == nil:
		m.statuses.change(domain, func(st *Status) { st.Err = "" })
	case !errors.Is(err, fs.ErrNotExist):
		m.statuses.failed(domain, err)
		m.opt.Log.Error("cannot read a stored certificate: move its folder away to get a new one",
			"domain", domain, "storage", m.opt.Storage, "error", err)
	}
}

// obtainMissing asks for the certificates that are not there, again and again until they are.
func (m *Manager) obtainMissing() {
	var ctx context.Context
	ctx, m.obtain = context.WithCancel(m.alive)
	for _, domain := range m.opt.Domains {
		if m.certificate(domain) != nil {
			continue
		}
		m.background(func() { m.obtainOne(ctx, domain) })
	}
}

// Times between attempts that certmagic does not repeat by itself, as where the storage is full: each is twice the one before.
const (
	firstPause = time.Minute
	mostPause  = time.Hour
)

// obtainOne asks for a certificate until it is there.
func (m *Manager) obtainOne(ctx context.Context, domain string) {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		err := m.config.ObtainCertAsync(ctx, domain)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			m.failed(domain, err)
		default:
			m.load(ctx, domain)
			if m.certificate(domain) != nil {
				m.notify()
				return
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// Retry asks at once for all certificates that are missing or due, where it would wait after a failure.
func (m *Manager) Retry() {
	if m == nil || m.cache == nil {
		return
	}
	m.obtain()
	m.obtainMissing()
	m.renew()
}

// Close ends the work. It waits until none is under way. Closing again, or a manager that is not open, does nothing.
func (m *Manager) Close() {
	if m == nil || m.cache == nil {
		return
	}
	m.mu.Lock()
	before := m.closed
	m.closed = true
	m.mu.Unlock()
	if before {
		return
	}
	m.cancel()
	m.work.Wait()
	m.cache.Stop()
}

// Changed has a token when the certificates may have changed.
func (m *Manager) Changed() <-chan struct{} { return m.changed }

func (m *Manager) notify() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Certificates returns the certificates that are there, in the order of the domains, each with its Leaf.
func (m *Manager) Certificates() (all []tls.Certificate) {
	for _, domain := range m.opt.Domains {
		if c := m.certificate(domain); c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// certificate returns the certificate of a domain, the one that lasts longest; nil where there is none.
func (m *Manager) certificate(domain string) *tls.Certificate {
	certs := m.cache.AllMatchingCertificates(domain)
	if len(certs) == 0 {
		return nil
	}
	last := slices.MaxFunc(certs, func(a, b certmagic.Certificate) int { return a.Leaf.NotAfter.Compare(b.Leaf.NotAfter) })
	return &last.Certificate
}

// stapleTime is how often fresh OCSP responses are looked for. certmagic fetches them once an hour.
const stapleTime = 20 * time.Minute

// watch says now and then that something may have changed of which there is no event.
func (m *Manager) watch() {
	ticker := time.NewTicker(stapleTime)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.notify()
		case <-m.alive.Done():
			return
		}
	}
}
