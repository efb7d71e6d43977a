package e2e

// This file shows that clients reach the tracker through nginx and HAProxy.

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// proxy starts a reverse proxy in front of a tracker and returns the URL that
// clients use from then on.
type proxy func(t *testing.T, trackerURL string) string

// idleTimeout is for the tracker's first ping to arrive: it is due after 45 seconds.
const idleTimeout = 75 * time.Second

// TestThroughProxy shows that the tracker serves clients through nginx and
// HAProxy as their packages configure them: the handbook's lines for WebSocket
// are added, and no timeout is changed.
func TestThroughProxy(t *testing.T) {
	f := func(name string, s setting, front proxy) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			eachTracker(t, []setting{s}, func(t *testing.T, trackerURL string) {
				testProxy(t, front(t, trackerURL))
			})
		})
	}
	f("nginx, ws", twoShards, nginxHTTP("ws"))
	f("nginx, wss ends there", twoShards, nginxHTTP("wss"))
	f("HAProxy, ws", twoShards, haproxyHTTP("option forwardfor", ""))
	f("HAProxy, wss passes through", tlsTwoShards, haproxyTCP(""))
}

// TestThroughProxyProtocol shows the same for proxies that tell the client's
// address in a PROXY header, which comes before everything else, TLS included.
func TestThroughProxyProtocol(t *testing.T) {
	f := func(name string, front proxy) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			testProxy(t, front(t, startTracker(t, proxyProtocol(tlsTwoShards))))
		})
	}
	f("nginx, wss passes through", nginxTCP)
	f("HAProxy, wss passes through", haproxyTCP("send-proxy-v2"))
}

func testProxy(t *testing.T, proxyURL string) {
	t.Run("Node client", func(t *testing.T) { testNodeClient(t, proxyURL) })
	t.Run("Go to Go", func(t *testing.T) { testTransfer(t, proxyURL, goKind, goKind, byMagnet) })
}

// TestIdleThroughProxy shows that a client which says nothing keeps its
// connection through proxies that end silent ones, after 60 seconds (nginx) and
// 50 seconds (Debian's HAProxy): the tracker's ping comes before that.
func TestIdleThroughProxy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), idleTimeout)
	defer cancel()
	trackerURL := startTracker(t, twoShards)
	idle := make(map[string]*observer)
	for name, front := range map[string]proxy{
		"nginx":            nginxHTTP("wss"),
		"HAProxy for HTTP": haproxyHTTP("option forwardfor", ""),
		"HAProxy for TCP":  haproxyTCP(""),
	} {
		idle[name] = newObserver(ctx, t, front(t, trackerURL), randomID())
	}
	for name, o := range idle {
		if _, err := o.scrapeOnPing(ctx); err != nil {
			t.Errorf("an idle connection through %s: %v", name, err)
		}
	}
}

// proxyProtocol adds to s that the proxies of this machine tell the client's
// address in a PROXY header.
func proxyProtocol(s setting) setting {
	s.proxied = true
	s.network += "proxy_protocol = true\n"
	return trustProxies(s)
}

// trustProxies adds to s that the proxies of this machine are believed.
func trustProxies(s setting) setting {
	s.network += "trusted_proxies = [\"127.0.0.1/32\"]\n"
	return s
}

// nginxHTTP is nginx for ws or for wss. TLS ends there: the tracker gets ws.
func nginxHTTP(scheme string) proxy {
	return func(t *testing.T, trackerURL string) string {
		t.Helper()
		address := freeAddress(t)
		listen := fmt.Sprintf("listen %s;", address)
		if scheme == "wss" {
			listen = fmt.Sprintf("listen %s ssl; ssl_certificate %s; ssl_certificate_key %s;",
				address, certificate.chainPath, certificate.keyPath)
		}
		return startNginx(t, scheme+"://"+address, fmt.Sprintf(`
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		%s
		location / {
			proxy_pass http://%s;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}
	}
}
`, listen, parseURL(t, trackerURL).Host))
	}
}

// nginxStream is where Debian has the module for TCP. Other builds of nginx
// include it.
const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

// nginxTCP is nginx that passes the bytes through, of ws and of wss alike,
// after a PROXY header; it writes version 1.
func nginxTCP(t *testing.T, trackerURL string) string {
	t.Helper()
	address := freeAddress(t)
	return startNginx(t, parseURL(t, trackerURL).Scheme+"://"+address, fmt.Sprintf(`
stream {
	server {
		listen %s;
		proxy_pass %s;
		proxy_protocol on;
	}
}
`, address, parseURL(t, trackerURL).Host))
}

// startNginx starts nginx on a configuration without its main part, waits
// until it serves clients of proxyURL and returns that.
func startNginx(t *testing.T, proxyURL, config string) string {
	t.Helper()
	dir := t.TempDir()
	modules := ""
	if _, err := os.Stat(nginxStream); err == nil {
		modules = "load_module " + nginxStream + ";"
	}
	path := writeConfig(t, dir, "nginx.conf", modules+`
daemon off;
pid nginx.pid;
error_log stderr;
events {}
`+config)
	s := startServer(t, anyEnd, proxyProgram(t, "nginx"), "-p", dir, "-c", path, "-e", "stderr")
	waitForTracker(t, proxyURL, s)
	return proxyURL
}

// anyEnd is for proxies: HAProxy dies of the signal that tells it to stop.
func anyEnd(*os.ProcessState) {}

// haproxyDefaults are the timeouts that Debian's package sets. There is none
// for tunnels, and a WebSocket connection becomes a tunnel: the timeouts of
// client and server hold for it.
const haproxyDefaults = `
defaults
	timeout connect 5000
	timeout client  50000
	timeout server  50000
`

// haproxyHTTP is HAProxy that understands the upgrade request. The options are
// lines for the proxy and words for its server.
func haproxyHTTP(proxyOptions, serverOptions string) proxy {
	return func(t *testing.T, trackerURL string) string {
		t.Helper()
		address := freeAddress(t)
		return startHAProxy(t, "ws://"+address, fmt.Sprintf(`
listen tracker
	mode http
	bind %s
	%s
	server tracker %s %s
`, address, proxyOptions, parseURL(t, trackerURL).Host, serverOptions))
	}
}

// haproxyTCP is HAProxy that passes the bytes through, of ws and of wss alike.
func haproxyTCP(serverOptions string) proxy {
	return func(t *testing.T, trackerURL string) string {
		t.Helper()
		address := freeAddress(t)
		return startHAProxy(t, parseURL(t, trackerURL).Scheme+"://"+address, fmt.Sprintf(`
listen tracker
	mode tcp
	bind %s
	server tracker %s %s
`, address, parseURL(t, trackerURL).Host, serverOptions))
	}
}

// startHAProxy starts HAProxy on a configuration without its defaults, waits
// until it serves clients of proxyURL and returns that.
func startHAProxy(t *testing.T, proxyURL, config string) string {
	t.Helper()
	path := writeConfig(t, t.TempDir(), "haproxy.cfg", haproxyDefaults+config)
	s := startServer(t, anyEnd, proxyProgram(t, "haproxy"), "-db", "-f", path) // -db: stay in the foreground
	waitForTracker(t, proxyURL, s)
	return proxyURL
}

func writeConfig(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// proxyProgram finds a program that Debian installs where only root looks.
func proxyProgram(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("no %s on PATH or in /usr/sbin: install it (\"make e2e\" does)", name)
	return ""
}

func parseURL(t *testing.T, rawURL string) *url.URL {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
