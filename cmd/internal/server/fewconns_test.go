package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// This file proves that operators are served, however many connections there are to their listener.

// TestFewConns proves that there are never more connections than the bound, that the oldest without a request at work
// gives way, that one at work stays while it can, and that the newest is always served.
func TestFewConns(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &fewConns{Listener: inner, most: 4}
	begun, proceed := make(chan struct{}), make(chan struct{})
	server := &http.Server{ConnContext: withConn, Handler: workOn(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-proceed
		}
		fmt.Fprint(w, "page")
	}))}
	go server.Serve(l)
	defer server.Close()
	dial := func(request string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, request)
		return c
	}
	answered := func(c net.Conn) bool {
		b := make([]byte, 12)
		_, err := io.ReadFull(c, b)
		return err == nil && string(b) == "HTTP/1.1 200"
	}
	const one = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	slow := dial("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	var silent []net.Conn
	for range 20 {
		silent = append(silent, dial("GET / HT"))
		if !answered(dial(one)) {
			t.Fatal("a whole request is not answered")
		}
		l.mu.Lock()
		if len(l.conns) > l.most {
			t.Errorf("%d connections", len(l.conns))
		}
		l.mu.Unlock()
	}
	if _, err := silent[0].Read(make([]byte, 1)); err == nil {
		t.Error("the oldest silent connection was answered")
	}
	close(proceed)
	if !answered(slow) {
		t.Error("a request at work was cut off")
	}
}
