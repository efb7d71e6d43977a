package server

import (
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"strings"
	"time"

	"millrace/config"
	"millrace/ring/host"
)

// This file owns the listener for operators and says which page answers which path: the metrics (metrics.go), the trace
// (debug.go) and the profiles of net/http/pprof.

// adminTimeout bounds how long a page waits for the loops.
const adminTimeout = 5 * time.Second

const (
	adminConns = 32               // connections at a time
	adminIdle  = 90 * time.Second // between two requests of one connection; Prometheus asks once a minute or more often
	adminDebug = 2                // requests for debug pages at a time
)

// adminServer answers operators until it is closed. A nil adminServer is none.
type adminServer struct {
	name     string // what it serves, for the log
	url      string
	http     *http.Server
	listener net.Listener
	address  string       // as it is configured
	remove   func()       // what the listener leaves behind; nil: nothing
	claim    func() error // takes that over from another process; nil: nothing
}

// newAdminServer returns one that does not answer yet.
func newAdminServer(name, url string, l net.Listener, h http.Handler) *adminServer {
	return &adminServer{name: name, url: url, listener: l, http: &http.Server{
		Handler:        workOn(h),
		ConnContext:    withConn,
		ReadTimeout:    adminTimeout, // of a whole request
		WriteTimeout:   4 * adminTimeout,
		IdleTimeout:    adminIdle,
		MaxHeaderBytes: 1 << 14,
	}}
}

// serve begins to answer.
func (a *adminServer) serve(log *slog.Logger) {
	if a == nil {
		return
	}
	go func() {
		err := a.http.Serve(&fewConns{Listener: a.listener, most: adminConns})
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			log.Error("the listener for "+a.name+" has failed", "error", err)
		}
	}()
}

// logStart says where the pages are.
func (a *adminServer) logStart(log *slog.Logger) {
	if a != nil {
		log.Info("serving "+a.name, "url", a.url)
	}
}

// close closes the listener and all connections.
func (a *adminServer) close() {
	if a != nil {
		a.http.Close() // the first, so that the end of the listener is no failure
		a.listener.Close()
		if a.remove != nil {
			a.remove()
		}
	}
}

// listenAdmin listens on the address of the metrics.
func listenAdmin(c *config.Metrics, in *inheritance) (net.Listener, error) {
	address := c.PrometheusEndpointAddress.String()
	inherited, err := in.take(listenerMetrics, address)
	if err != nil {
		return nil, err
	}
	if inherited != nil {
		return netListener(inherited[0], address)
	}
	l, err := net.Listen("tcp", c.PrometheusEndpointAddress.String())
	if err != nil {
		return nil, fmt.Errorf("cannot listen on metrics.prometheus_endpoint_address: %w", err)
	}
	return l, nil
}

// netListener makes a listener of package net of a socket.
func netListener(l *host.Listener, name string) (net.Listener, error) {
	file := os.NewFile(uintptr(l.FD()), name)
	l.Release()
	defer file.Close()
	return net.FileListener(file) // a descriptor of its own
}

// openAdmin listens on the address of the configuration. Nobody is answered before serve.
func (s *Server) openAdmin(c *config.Metrics) (*adminServer, error) {
	l, err := listenAdmin(c, s.inherits)
	if err != nil {
		return nil, err
	}
	pages := &adminPages{
		config:   func() *config.Metrics { return &s.config.Load().Metrics },
		metrics:  s.scrape,
		trace:    tracePage{tracers(s.controls), func() time.Time { return s.start }}.answer,
		profiles: profiles(),
		slots:    make(chan struct{}, adminDebug),
	}
	a := newAdminServer("metrics", "http://"+l.Addr().String()+"/metrics", l, pages)
	a.address = c.PrometheusEndpointAddress.String()
	// At every scrape the metrics library complains through package log about files in /proc that the process cannot
	// read after it has dropped its privileges. Nothing else uses that package.
	stdlog.SetOutput(io.Discard)
	return a, nil
}

// adminPages finds the page for a path.
type adminPages struct {
	config   func() *config.Metrics // in force
	metrics  func(http.ResponseWriter, *http.Request, *config.Metrics)
	trace    http.HandlerFunc
	profiles http.Handler
	slots    chan struct{} // a token for each request for trace or profiles that is being answered
}

// ServeHTTP answers a request. Prometheus may be told any path: those that are none of the debug pages' are the
// metrics.
func (p *adminPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	isTrace := r.URL.Path == "/debug/trace"
	isProfile := strings.HasPrefix(r.URL.Path+"/", "/debug/pprof/")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
	case !isTrace && !isProfile:
		p.metrics(w, r, p.config())
	case !p.mayDebug(r.RemoteAddr):
		http.Error(w, fmt.Sprintf("%s is served to the networks of metrics.debug_from only, and %s is in none of them",
			r.URL.Path, r.RemoteAddr), http.StatusForbidden)
	default:
		p.debug(w, r, isTrace)
	}
}

// debug answers a request for a debug page. Each costs the loops time, or memory, so there are few at a time.
func (p *adminPages) debug(w http.ResponseWriter, r *http.Request, isTrace bool) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		http.Error(w, fmt.Sprintf("%d other requests for pages under /debug/ are being answered: try again later", cap(p.slots)),
			http.StatusServiceUnavailable)
		return
	}
	switch {
	case isTrace:
		p.trace(w, r)
	case !p.config().Pprof:
		http.Error(w, "profiles are off: set metrics.pprof = true", http.StatusNotFound)
	default:
		p.profiles.ServeHTTP(w, r)
	}
}

// mayDebug reports whether the debug pages are served to an address, which has a port.
func (p *adminPages) mayDebug(remote string) bool {
	client, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	ip := client.Addr().Unmap().WithZone("")
	for _, network := range p.config().DebugFrom {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// profiles returns the pages of net/http/pprof.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index) // and every profile that has no function of its own
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
