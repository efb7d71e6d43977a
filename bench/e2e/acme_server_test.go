package e2e

// This file is an ACME server that a test can have fail: pebble, which Let's
// Encrypt has for such tests, behind a handler that stands for its bad days.

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// day is how the ACME server does today.
type day int32

const (
	works  day = iota
	down       // it closes each connection without an answer
	limits     // it answers orders with 429
)

type acmeServer struct {
	url    string
	caPath string         // authorities of its own certificate
	roots  *x509.CertPool // authorities of the certificates that it gives
	store  *db.MemoryStore
	day    atomic.Int32
	orders atomic.Int32 // orders asked for
}

// startACME starts a server that comes to these ports to validate a name, and
// whose certificates last for so long.
func startACME(t *testing.T, httpPort, tlsPort int, lifetime time.Duration) *acmeServer {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	logger := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: uint64(lifetime / time.Second)}}
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, profiles)
	front := wfe.New(logger, store, va.New(logger, httpPort, tlsPort, false, "", store), authority,
		[]string{"pebble.test"}, false, false, 1, 1)
	a := &acmeServer{roots: x509.NewCertPool(), store: store, caPath: filepath.Join(t.TempDir(), "ca.pem")}
	a.roots.AddCert(authority.GetRootCert(0).Cert)
	served := httptest.NewTLSServer(a.handler(front.Handler()))
	t.Cleanup(served.Close)
	a.url = served.URL + wfe.DirectoryPath
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: served.Certificate().Raw})
	if err := os.WriteFile(a.caPath, own, 0o644); err != nil {
		t.Fatal(err)
	}
	return a
}

// handler puts the day's troubles before a working server.
func (a *acmeServer) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isOrder := strings.HasPrefix(r.URL.Path, "/order-plz")
		if isOrder {
			a.orders.Add(1)
		}
		switch today := day(a.day.Load()); {
		case today == down:
			panic(http.ErrAbortHandler)
		case today == limits && isOrder:
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"type":"urn:ietf:params:acme:error:rateLimited","status":429,"detail":"too many certificates already issued"}`)
		case strings.Contains(r.URL.Path, "/renewalInfo/"):
			next.ServeHTTP(impatient{w}, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// impatient says that renewal information is to be asked for again at once,
// where pebble says in six hours.
type impatient struct{ http.ResponseWriter }

func (w impatient) WriteHeader(status int) {
	w.Header().Set("Retry-After", "0")
	w.ResponseWriter.WriteHeader(status)
}

func (w impatient) Write(b []byte) (int, error) {
	w.Header().Set("Retry-After", "0")
	return w.ResponseWriter.Write(b)
}

// revoke revokes a certificate and says that it is to be replaced at once.
func (a *acmeServer) revoke(t *testing.T, cert *x509.Certificate) {
	t.Helper()
	known := a.store.GetCertificateBySerial(cert.SerialNumber)
	if known == nil {
		t.Fatal("the server does not know the certificate")
	}
	a.store.RevokeCertificate(&core.RevokedCertificate{Certificate: known, RevokedAt: time.Now()})
	// Pebble would give a window of one second, which clients take for a
	// mistake.
	start := time.Now().Add(-time.Hour).UTC()
	window := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`, start.Format(time.RFC3339), start.Add(10*time.Minute).Format(time.RFC3339))
	if err := a.store.SetARIResponse(cert.SerialNumber, window); err != nil {
		t.Fatal(err)
	}
}

// closedPort returns a port on which nobody listens.
func closedPort(t *testing.T) int { return portOf(t, freeAddress(t)) }

func portOf(t *testing.T, address string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}
