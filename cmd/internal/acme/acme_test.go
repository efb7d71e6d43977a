package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// This file tests what needs no ACME server. The end-to-end tests have one.

// manager returns one that is open, of a storage that cannot get certificates: nobody listens at the server's address.
func manager(t *testing.T, storage string, log io.Writer) *Manager {
	t.Helper()
	m, err := New(Options{
		Domains: []string{"a.example", "b.example"}, Directory: "https://127.0.0.1:1/dir", Storage: storage,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Open(Ports{TLS: 443}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestWithoutServer proves that a manager whose server does not answer has no certificates, knows why, answers no questions that
// nobody asked, and ends at once.
func TestWithoutServer(t *testing.T) {
	var log lockedBuffer
	m := manager(t, filepath.Join(t.TempDir(), "new", "folder"), &log)
	if got := m.Certificates(); len(got) != 0 {
		t.Errorf("%d certificates", len(got))
	}
	_ = m.event(context.Background(), "cert_failed", map[string]any{"identifier": "b.example", "error": errors.New("no")})
	_ = m.event(context.Background(), "cert_failed", map[string]any{"identifier": "a.example", "error": context.Canceled})
	all := m.Statuses()
	if len(all) != 2 || all[0].Failures != 0 || all[1].Failures != 1 || all[1].Err != "no" || !all[1].NotAfter.IsZero() {
		t.Errorf("%+v", all)
	}
	if !strings.Contains(log.String(), `msg="cannot get a certificate; it will be tried again" domain=b.example error=no`) {
		t.Errorf("logged %s", log.String())
	}
	if m.Proof("a.example") != nil {
		t.Error("a proof that nobody asked for")
	}
	for _, path := range []string{"", "/", TokenPath, TokenPath + "x"} {
		if text, ok := m.Token(path); ok {
			t.Errorf("%s has the text %q", path, text)
		}
	}
	m.Close()
	m.background(func() { t.Error("work after the end") })
}

// TestStorageGone proves that an attempt that fails before it has asked the server, as on a full disk, is told like the others.
func TestStorageGone(t *testing.T) {
	var log lockedBuffer
	storage := filepath.Join(t.TempDir(), "s")
	m := manager(t, storage, &log)
	if err := os.RemoveAll(storage); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nonexistent/folder", storage); err != nil { // so that nothing can be written
		t.Fatal(err)
	}
	m.Begin()
	for _, domain := range m.opt.Domains {
		for !strings.Contains(log.String(), `msg="cannot get a certificate; it will be tried again" domain=`+domain) {
			runtime.Gosched()
		}
	}
	first := m.Statuses()[1].Err
	m.renewalFailed("[b.example] Renew: no room")
	if got := m.Statuses()[1].Err; got != first {
		t.Errorf("the same failure was told twice: %q", got)
	}
	m.statuses.change("b.example", func(st *Status) { st.FailedAt = time.Time{} })
	m.renewalFailed("[b.example] Renew: " + strings.Repeat("x", 1<<20))
	if got := m.Statuses()[1]; !strings.HasPrefix(got.Err, "[b.example] Renew: xxx") || len(got.Err) > 600 {
		t.Errorf("the reason has %d bytes", len(got.Err))
	}
}

// TestSettle proves that a certificate that reached the cache before anybody waited for it is told at once, and another one not
// before it is there. The manager has ended its work, so that waiting ends without a word.
func TestSettle(t *testing.T) {
	var log lockedBuffer
	m := manager(t, filepath.Join(t.TempDir(), "s"), &log)
	m.cancel()
	m.settle("a.example", nil)
	if strings.Contains(log.String(), "msg=certificate") {
		t.Errorf("a certificate is told that is not there: %s", log.String())
	}
	old := &tls.Certificate{Leaf: &x509.Certificate{Raw: []byte("old")}}
	m.settle("a.example", old)
	if !strings.Contains(log.String(), "msg=certificate domain=a.example") {
		t.Errorf("a change is not told: %s", log.String())
	}
	if isSame(old, &tls.Certificate{Leaf: &x509.Certificate{Raw: []byte("new")}}) || !isSame(old, old) || isSame(old, nil) {
		t.Error("certificates are told apart by something else")
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestErrors proves that a folder that cannot be written to and a file without authorities are refused with a remedy.
func TestErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(CheckStorage(filepath.Join(file, "below")), "cannot use the folder tls.acme_storage: it must be writable for the tracker's user")
	_, err := New(Options{CAPath: file})
	f(err, "there is no certificate in "+file)
	_, err = New(Options{CAPath: file + "x"})
	f(err, "cannot read the authorities by which to check the ACME server")
}

// TestFirstNameserver proves that the first name server of a file is found, IPv6 too.
func TestFirstNameserver(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := firstNameserver(path); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("# x\nsearch example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n", "192.0.2.1:53")
	f("nameserver 2001:db8::1", "[2001:db8::1]:53")
	f("nameserver\n", "")
	if firstNameserver("/nonexistent") != "" {
		t.Error("a file that is not there names a server")
	}
}

// TestLog proves that lines of certmagic come with their fields, its errors as warnings, and those that have a line of their own
// for debugging.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := zap.New(&logCore{log: slog.New(slog.NewTextHandler(&out, nil))}).With(zap.String("a", "1"))
	f := func(want string) {
		t.Helper()
		if got := out.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("logged %q, want %q", got, want)
		}
		out.Reset()
	}
	log.Error("stored nothing", zap.Int("b", 2))
	f(`level=WARN msg="acme: stored nothing"`)
	log.Error("stored nothing", zap.Int("b", 2))
	f("a=1")
	log.Info("obtained")
	f("")
	log.Error("will retry")
	f("")
}
