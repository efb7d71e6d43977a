package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// This file owns the bound on the connections of operators. They are few and short. A new one is always let in: where
// there are too many, the oldest gives way that has no request at work, so that no number of slow clients keeps
// Prometheus away.

// fewConns is a listener with a bound on the connections that are open at a time.
type fewConns struct {
	net.Listener
	most int

	mu    sync.Mutex
	conns []*fewConn // open ones, the oldest first
}

// fewConn is a connection of a fewConns.
type fewConn struct {
	net.Conn
	from *fewConns
	work int // requests that are being answered: 0 or 1; guarded by from.mu
}

// Accept returns the next connection. It closes another one where there are too many.
func (l *fewConns) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &fewConn{Conn: inner, from: l}
	l.mu.Lock()
	var old *fewConn
	if len(l.conns) >= l.most {
		old = l.conns[max(0, slices.IndexFunc(l.conns, func(c *fewConn) bool { return c.work == 0 }))]
	}
	l.conns = append(l.conns, c)
	l.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return c, nil
}

// Close closes the connection.
func (c *fewConn) Close() error {
	l := c.from
	l.mu.Lock()
	if k := slices.Index(l.conns, c); k >= 0 {
		l.conns = slices.Delete(l.conns, k, k+1)
	}
	l.mu.Unlock()
	return c.Conn.Close()
}

// count adds to the requests of the connection that are being answered.
func (c *fewConn) count(n int) {
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	c.work += n
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// withConn remembers the connection of a request, for an [http.Server].
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// workOn marks the connection of each request while h answers it.
func workOn(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*fewConn); ok {
			c.count(1)
			defer c.count(-1)
		}
		h.ServeHTTP(w, r)
	})
}
