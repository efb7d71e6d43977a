package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"time"
)

// This file owns the record of successes and failures, which come as events of certmagic.

// Status is the state of one domain.
type Status struct {
	Domain   string
	NotAfter time.Time // end of its certificate; zero: there is none
	Obtained uint64    // certificates since the start
	Failures uint64    // failed attempts since the start
	Err      string    // of the last attempt; empty: it succeeded, or there was none
	FailedAt time.Time // when that was
}

// statuses has them by domain.
type statuses struct {
	mu  sync.Mutex
	all []Status
}

func (s *statuses) init(domains []string) {
	for _, d := range domains {
		s.all = append(s.all, Status{Domain: d})
	}
}

// change calls f with the status of a domain.
func (s *statuses) change(domain string, f func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.all {
		if s.all[i].Domain == domain {
			f(&s.all[i])
		}
	}
}

func (s *statuses) failed(domain string, err error) {
	s.change(domain, func(st *Status) { st.Failures, st.Err, st.FailedAt = st.Failures+1, cut(err), time.Now() })
}

// mostText bounds the words of an error, in bytes: a server may answer with a whole page.
const mostText = 500

// cut returns the words of an error, or the beginning of many.
func cut(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > mostText {
		return text[:mostText] + "…"
	}
	return text
}

// failed notes an attempt that has failed and says so in the log.
func (m *Manager) failed(domain string, err error) {
	m.statuses.failed(domain, err)
	m.opt.Log.Error("cannot get a certificate; it will be tried again", "domain", domain, "error", cut(err),
		"present_one_until", m.until(domain))
}

// Statuses returns the state of all domains, in their order. The caller owns them.
func (m *Manager) Statuses() []Status {
	m.statuses.mu.Lock()
	all := append([]Status(nil), m.statuses.all...)
	m.statuses.mu.Unlock()
	for i := range all {
		if c := m.certificate(all[i].Domain); c != nil {
			all[i].NotAfter = c.Leaf.NotAfter
		}
	}
	return all
}

// sameFailure is the time in which an event and a line of the log are about the same failure.
const sameFailure = 5 * time.Second

// renewalFailed notes the failure of a renewal of which there was no event.
func (m *Manager) renewalFailed(text string) {
	for _, st := range m.Statuses() {
		if strings.HasPrefix(text, "["+st.Domain+"]") && time.Since(st.FailedAt) > sameFailure {
			m.failed(st.Domain, errors.New(text))
		}
	}
}

// event follows the work of certmagic. It may be called from any goroutine and must not wait.
func (m *Manager) event(_ context.Context, event string, data map[string]any) error {
	domain, _ := data["identifier"].(string)
	switch event {
	case "cert_obtaining":
		m.opt.Log.Info("asking for a certificate", "domain", domain, "server", m.server)
	case "cert_obtained":
		m.statuses.change(domain, func(st *Status) { st.Obtained, st.Err = st.Obtained+1, "" })
		before := m.certificate(domain) // here, since the cache may change as soon as this returns
		m.background(func() { m.settle(domain, before) })
	case "cert_failed":
		err, _ := data["error"].(error)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		m.failed(domain, err)
	case "cached_managed_cert":
		m.notify()
	case "cert_ocsp_revoked":
		m.opt.Log.Warn("a certificate was revoked: it will be replaced", "names", data["subjects"])
	}
	return nil
}

// until returns how long the present certificate of a domain lasts, for people.
func (m *Manager) until(domain string) string {
	if c := m.certificate(domain); c != nil {
		return c.Leaf.NotAfter.UTC().Format(time.RFC3339)
	}
	return "there is none"
}

// A certificate that was obtained is in the storage at once, and in the cache a moment later.
const (
	settleTime  = 10 * time.Second
	settlePause = 50 * time.Millisecond
)

// settle waits until the cache has another certificate than the one before, which is nil where there was none, and says so.
func (m *Manager) settle(domain string, before *tls.Certificate) {
	for end := time.Now().Add(settleTime); isSame(m.certificate(domain), before) && time.Now().Before(end); {
		select {
		case <-time.After(settlePause):
		case <-m.alive.Done():
			return
		}
	}
	m.notify()
	m.opt.Log.Info("certificate", "domain", domain, "valid_until", m.until(domain))
}

// isSame reports whether both are one certificate, or none.
func isSame(a, b *tls.Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Leaf.Equal(b.Leaf)
}
