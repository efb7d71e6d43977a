package e2e

// This file shows that the tracker gets its certificates by itself, also
// on bad days of the ACME server, and serves its clients meanwhile.

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// acmeTracker is a tracker that gets a certificate for localhost.
type acmeTracker struct {
	t       *testing.T
	server  *server
	acme    *acmeServer
	config  string
	plain   string // address of the listener without TLS
	secure  string // address of the listener with TLS
	storage string
	log     lockedBuffer
}

// lockedBuffer is what the tracker has written.
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

// acmeSetting is what differs between tests.
type acmeSetting struct {
	domain   string
	lifetime time.Duration // of certificates
	byHTTP   bool          // the server cannot reach the port with TLS
	jail     string        // root directory into which the tracker goes, as an ordinary user; empty: none
}

func startACMETracker(t *testing.T, s acmeSetting) *acmeTracker {
	t.Helper()
	return startACMETrackerOn(t, works, s)
}

// startACMETrackerOn starts it on such a day of the ACME server.
func startACMETrackerOn(t *testing.T, today day, s acmeSetting) *acmeTracker {
	t.Helper()
	a := &acmeTracker{t: t, plain: freeAddress(t), secure: freeAddress(t), storage: filepath.Join(t.TempDir(), "acme")}
	tlsPort, httpPort := portOf(t, a.secure), closedPort(t)
	if s.byHTTP {
		tlsPort, httpPort = closedPort(t), portOf(t, a.plain)
	}
	if s.lifetime == 0 {
		s.lifetime = 90 * 24 * time.Hour
	}
	a.acme = startACME(t, httpPort, tlsPort, s.lifetime)
	a.acme.day.Store(int32(today))
	if s.domain == "" {
		s.domain = "localhost"
	}
	a.config = filepath.Join(t.TempDir(), "millrace.toml")
	storage, jail := a.storage, ""
	if s.jail != "" {
		a.storage, storage = filepath.Join(s.jail, "acme"), "/acme"
		jail = fmt.Sprintf("[privileges]\ndrop_privileges = true\nchroot_path = %q\nuser = \"nobody\"\ngroup = \"nogroup\"\n", s.jail)
	}
	a.write(jail + fmt.Sprintf(`

[network]
address = %q
enable_tls = true
enable_http_health_checks = true
shutdown_timeout = 1
[tls]
acme_domains = [%q]
acme_directory = %q
acme_ca_path = %q
acme_storage = %q
acme_http_port = %d
[[listen]]
address = %q
[metrics]
run_prometheus_endpoint = true
prometheus_endpoint_address = "127.0.0.1:0"
`, a.secure, s.domain, a.acme.url, a.acme.caPath, storage, httpPort, a.plain))
	a.start()
	return a
}

func (a *acmeTracker) write(config string) {
	a.t.Helper()
	if err := os.WriteFile(a.config, []byte(config), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// start starts the tracker, again after stop.
func (a *acmeTracker) start() {
	a.t.Helper()
	a.server = startLoggedServer(a.t, &a.log, func(*os.ProcessState) {}, trackerProgram(a.t), "-c", a.config)
	waitForTracker(a.t, "ws://"+a.plain, a.server)
}

// client returns the settings of clients that trust the ACME server.
func (a *acmeTracker) client() *tls.Config {
	return &tls.Config{RootCAs: a.acme.roots, ServerName: "localhost"}
}

// served returns the certificate that clients get and trust; nil where there is none.
func (a *acmeTracker) served() *x509.Certificate {
	c, err := tls.Dial("tcp", a.secure, a.client())
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// eventually waits for a condition that no event tells of.
func (a *acmeTracker) eventually(what string, ok func() bool) {
	a.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(60 * time.Second); !ok(); <-ticker.C {
		if time.Now().After(end) {
			a.t.Fatalf("never came: %s", what)
		}
	}
}

// logged waits for a text in the log.
func (a *acmeTracker) logged(text string) {
	a.t.Helper()
	a.eventually("a line with "+text, func() bool { return strings.Contains(a.log.String(), text) })
}

// get returns a page.
func (a *acmeTracker) get(url string) string {
	a.t.Helper()
	r, err := http.Get(url)
	if err != nil {
		a.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(b)
}

// says fails where the health check and the metrics do not have these words.
func (a *acmeTracker) says(health string, metrics ...string) {
	a.t.Helper()
	if got := a.get("http://" + a.plain + "/health"); !strings.Contains(got, health) {
		a.t.Errorf("health: %q, want %q", got, health)
	}
	_, url, _ := strings.Cut(a.log.String(), `msg="serving metrics" url=`)
	url, _, _ = strings.Cut(url, "\n")
	page := a.get(url)
	for _, m := range metrics {
		if !strings.Contains(page, m+"\n") {
			a.t.Errorf("the metrics lack %q", m)
		}
	}
}

// again has the tracker try again at once.
func (a *acmeTracker) again() { a.server.cmd.Process.Signal(syscall.SIGHUP) }

// joins connects a client over wss and announces.
func (a *acmeTracker) joins(id string) *websocket.Conn {
	a.t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: a.client()}
	c, _, err := dialer.Dial("wss://"+a.secure, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close() })
	announceOn(a.t, c, id)
	return c
}

// announceOn announces and waits for the reply.
func announceOn(t *testing.T, c *websocket.Conn, id string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(startTimeout))
	text := fmt.Sprintf(`{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"%020s","numwant":0,"left":1,"offers":[]}`, id)
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, reply, err := c.ReadMessage(); err != nil || !bytes.Contains(reply, []byte(`"interval"`)) {
		t.Fatalf("reply %q, %v", reply, err)
	}
}

// TestACME shows the first certificate, by each of the two ways to prove a
// name, and that a restart serves it while the ACME server is down.
func TestACME(t *testing.T) {
	for _, byHTTP := range []bool{false, true} {
		t.Run(fmt.Sprintf("by HTTP %v", byHTTP), func(t *testing.T) {
			a := startACMETracker(t, acmeSetting{byHTTP: byHTTP})
			a.eventually("a certificate", func() bool { return a.served() != nil })
			first := a.served()
			a.joins("first")
			a.says("certificate of localhost: good until "+first.NotAfter.UTC().Format(time.RFC3339), "millrace_acme_domains 1",
				"millrace_acme_domains_without_certificate 0", "millrace_acme_certificates_obtained_total 1",
				fmt.Sprintf("millrace_tls_certificate_expiry_timestamp_seconds %d", first.NotAfter.Unix()))
			a.logged("msg=certificate domain=localhost valid_until=")
			a.server.stop(t)
			a.acme.day.Store(int32(down))
			a.start()
			if again := a.served(); again == nil || !again.Equal(first) {
				t.Error("the certificate is not served after a restart")
			}
			if info, err := os.Stat(a.storage); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the storage: %v, %v", info.Mode(), err)
			}
		})
	}
}

// makeJail makes a folder to be a root directory, with one for certificates in
// it that belongs to an ordinary user. Only root can change to it: for others it
// returns none.
func makeJail(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return ""
	}
	jail, err := os.MkdirTemp("", "millrace-jail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(jail) })
	const nobody = 65534
	for _, folder := range []string{"", "acme"} {
		folder = filepath.Join(jail, folder)
		os.MkdirAll(folder, 0o755)
		os.Chmod(folder, 0o755)
		if err := os.Chown(folder, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return jail
}

// TestACMEInJail shows that the tracker gets a certificate, and another one,
// after it has changed its root directory and its user, from where it sees
// neither the authorities nor the configuration of the system. Run by an
// ordinary user, the tracker stays where it is.
func TestACMEInJail(t *testing.T) {
	a := startACMETracker(t, acmeSetting{jail: makeJail(t)})
	a.eventually("a certificate", func() bool { return a.served() != nil })
	a.joins("jailed")
	first := a.served()
	a.acme.revoke(t, first)
	a.eventually("another certificate", func() bool {
		a.again()
		now := a.served()
		return now != nil && !now.Equal(first)
	})
}

// TestACMEFailures shows that a tracker without a certificate serves clients of
// ws, says what is wrong, and has a certificate once it is mended.
func TestACMEFailures(t *testing.T) {
	for name, c := range map[string]struct {
		day  day
		want string // in the log
	}{
		"down":         {down, `msg="cannot get a certificate; it will be tried again" domain=localhost`},
		"rate limited": {limits, "too many certificates already issued"},
	} {
		t.Run(name, func(t *testing.T) {
			a := startACMETrackerOn(t, c.day, acmeSetting{})
			a.logged(c.want)
			if !strings.Contains(a.log.String(), `present_one_until="there is none"`) {
				t.Error("the log does not say that there is no certificate")
			}
			a.says("certificate of localhost: none yet; the last try failed at", "millrace_acme_domains_without_certificate 1",
				"millrace_acme_domains_failing 1", "millrace_tls_certificate_expiry_timestamp_seconds 0")
			c, _, err := websocket.DefaultDialer.Dial("ws://"+a.plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			announceOn(t, c, "plain")
			a.acme.day.Store(int32(works))
			a.again()
			a.eventually("a certificate", func() bool { return a.served() != nil })
			a.joins("mended")
			announceOn(t, c, "plain")
			a.says("certificate of localhost: good until", "millrace_acme_domains_failing 0")
		})
	}
}

// TestACMEWrongName shows the same for a name that does not lead to the tracker.
func TestACMEWrongName(t *testing.T) {
	a := startACMETracker(t, acmeSetting{domain: "nowhere.invalid"})
	a.logged(`msg="cannot get a certificate; it will be tried again" domain=nowhere.invalid`)
	a.says("certificate of nowhere.invalid: none yet; the last try failed at", "millrace_acme_domains_failing 1")
	text, err := os.ReadFile(a.config)
	if err != nil {
		t.Fatal(err)
	}
	a.write(strings.Replace(string(text), "nowhere.invalid", "localhost", 1))
	a.again()
	a.eventually("a certificate", func() bool { return a.served() != nil })
	a.says("certificate of localhost: good until", "millrace_acme_domains 1")
}

// TestACMEKeyExchange shows that a reload changes how keys are exchanged, and
// leaves the certificate as it is.
func TestACMEKeyExchange(t *testing.T) {
	a := startACMETracker(t, acmeSetting{})
	a.eventually("a certificate", func() bool { return a.served() != nil })
	first := a.served()
	text, err := os.ReadFile(a.config)
	if err != nil {
		t.Fatal(err)
	}
	a.write(strings.Replace(string(text), "enable_tls = true", "enable_tls = true\ntls_post_quantum = false", 1))
	a.again()
	a.eventually("another key exchange", func() bool {
		c, err := tls.Dial("tcp", a.secure, a.client())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().CurveID == tls.X25519
	})
	if !a.served().Equal(first) {
		t.Error("the certificate has changed")
	}
	a.says("certificate of localhost", "millrace_tls_certificate_generation 2") // none at first, then this one
}

// TestACMERenewal shows that a certificate is replaced in time, and at once
// when it was revoked, while clients are connected, none of whom is lost.
func TestACMERenewal(t *testing.T) {
	renewed := func(t *testing.T, a *acmeTracker, trouble func(first *x509.Certificate)) {
		a.eventually("a certificate", func() bool { return a.served() != nil })
		first := a.served()
		var clients []*websocket.Conn
		for i := range 20 {
			clients = append(clients, a.joins(fmt.Sprint("client", i)))
		}
		trouble(first)
		a.eventually("another certificate", func() bool {
			for i, c := range clients {
				announceOn(t, c, fmt.Sprint("client", i))
			}
			a.again()
			now := a.served()
			return now != nil && !now.Equal(first)
		})
		for i, c := range clients {
			announceOn(t, c, fmt.Sprint("client", i))
		}
		a.joins("after")
		a.says("certificate of localhost: good until", "millrace_acme_domains_failing 0")
	}
	t.Run("in time", func(t *testing.T) {
		renewed(t, startACMETracker(t, acmeSetting{lifetime: 15 * time.Second}), func(*x509.Certificate) {})
	})
	t.Run("revoked", func(t *testing.T) {
		a := startACMETracker(t, acmeSetting{})
		renewed(t, a, func(first *x509.Certificate) { a.acme.revoke(t, first) })
	})
	t.Run("expired while the server was down", func(t *testing.T) {
		a := startACMETracker(t, acmeSetting{lifetime: 5 * time.Second})
		a.eventually("a certificate", func() bool { return a.served() != nil })
		first := a.served()
		a.acme.day.Store(int32(down))
		a.eventually("its end", func() bool { a.again(); return time.Now().After(first.NotAfter) })
		a.logged(`msg="cannot get a certificate; it will be tried again"`)
		a.says("certificate of localhost: expired at", "millrace_acme_domains_without_certificate 1")
		a.acme.day.Store(int32(works))
		a.server.stop(t) // or its next try is minutes away
		a.start()
		a.eventually("another certificate", func() bool { return a.served() != nil })
	})
}
