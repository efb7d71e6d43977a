package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"millrace/config"
)

// This file proves which page answers which path, and who may see the debug pages.

// TestAdminPages proves that every path is the metrics' but those of the debug pages, that these are served to the
// configured networks only, and that others and mistakes get a sentence.
func TestAdminPages(t *testing.T) {
	page := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(name)) }
	}
	c := config.Metrics{
		DebugFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fe80::/10")},
	}
	p := &adminPages{
		config:  func() *config.Metrics { return &c },
		metrics: func(w http.ResponseWriter, r *http.Request, _ *config.Metrics) { page("metrics")(w, r) },
		trace:   page("trace"),
		slots:   make(chan struct{}, 1),
	}
	f := func(from, method, path string, status int, want string) {
		t.Helper()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		r.RemoteAddr = from
		p.ServeHTTP(w, r)
		if got := w.Body.String(); w.Code != status || !strings.Contains(got, want) || strings.Count(got, "\n") > 1 {
			t.Errorf("%s %s from %s: got %d %q, want %d %q", method, path, from, w.Code, got, status, want)
		}
	}
	const local, remote = "127.0.0.2:1", "192.0.2.1:1"
	f(remote, "GET", "/", 200, "metrics")
	f(remote, "HEAD", "/metrics", 200, "metrics")
	f(remote, "GET", "/debug/", 200, "metrics")
	f(remote, "GET", "/debug/trace/", 200, "metrics")
	f(remote, "GET", "/debug/pprofile", 200, "metrics")
	f(remote, "POST", "/metrics", 405, "use GET")
	f(local, "POST", "/debug/trace", 405, "use GET")
	f(local, "GET", "/debug/trace?n=1", 200, "trace")
	f("[::ffff:127.0.0.1]:1", "GET", "/debug/trace", 200, "trace")
	f("[fe80::1%eth0]:1", "GET", "/debug/trace", 200, "trace")
	f(remote, "GET", "/debug/trace", 403,
		"/debug/trace is served to the networks of metrics.debug_from only, and 192.0.2.1:1 is in none of them")
	f("[::1]:1", "GET", "/debug/trace", 403, "[::1]:1 is in none")
	f("", "GET", "/debug/trace", 403, "debug_from")
	f(local, "GET", "/debug/pprof/", 404, "set metrics.pprof = true")
	f(local, "GET", "/debug/pprof", 404, "set metrics.pprof = true")
	c.Pprof, p.profiles = true, page("profiles")
	f(local, "GET", "/debug/pprof", 200, "profiles")
	f(local, "GET", "/debug/pprof/heap", 200, "profiles")
	f(remote, "GET", "/debug/pprof/heap", 403, "debug_from")
	p.profiles = profiles()
	f(local, "GET", "/debug/pprof/cmdline", 200, "server.test")
	f(local, "GET", "/debug/pprof/nonsense", 404, "Unknown profile")
}

// TestFewDebugPages proves that a debug page is refused while as many others are at work as may be, and that the metrics
// are not.
func TestFewDebugPages(t *testing.T) {
	ask := func(p *adminPages, path string) int {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		p.ServeHTTP(w, r)
		return w.Code
	}
	p := &adminPages{
		config:  func() *config.Metrics { return &config.Default().Metrics },
		metrics: func(http.ResponseWriter, *http.Request, *config.Metrics) {},
		slots:   make(chan struct{}, 2),
	}
	depth := 0
	p.trace = func(http.ResponseWriter, *http.Request) { // at work while it asks for another one
		depth++
		want := http.StatusOK
		if depth == 2 {
			want = http.StatusServiceUnavailable
		}
		if got := ask(p, "/debug/trace"); got != want {
			t.Errorf("with %d at work the next gets %d, want %d", depth, got, want)
		}
		if got := ask(p, "/metrics"); got != http.StatusOK {
			t.Errorf("the metrics get %d", got)
		}
		depth--
	}
	for range 2 {
		if got := ask(p, "/debug/trace"); got != http.StatusOK {
			t.Errorf("the first gets %d", got)
		}
	}
}
