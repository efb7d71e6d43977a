package server

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"millrace/config"
)

// This file proves limits.ban_minutes on a whole server.

// TestBan proves that an address that keeps breaking limits is refused even when it is within them again, that the metrics
// say so, and that other addresses are served.
func TestBan(t *testing.T) {
	s := startTest(t, func(c *config.Config) {
		c.Limits.Exempt, c.Limits.BanMinutes, c.Limits.ConnectionsPerAddress = nil, 1, 1
	})
	const request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	came := uint64(0)
	// dial connects from an address and reports whether it was served. A refusal may come at any time.
	dial := func(from string) (net.Conn, bool) {
		came++
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", s.Addr().String())
		if errors.Is(err, syscall.ECONNRESET) {
			return nil, false
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(request))
		got := make([]byte, 12)
		if n, err := c.Read(got); err == nil && strings.HasPrefix(string(got[:n]), "HTTP/1.1 101") {
			return c, true
		}
		c.Close()
		return nil, false
	}
	first, ok := dial("127.0.0.1")
	if !ok {
		t.Fatal("the first connection was refused")
	}
	for range 101 {
		if _, ok := dial("127.0.0.1"); ok {
			t.Fatal("a second connection was served")
		}
	}
	first.Close()
	waitEmpty(t, s, came)
	if _, ok := dial("127.0.0.1"); ok {
		t.Error("an address that has broken limits a hundred times was served")
	}
	other, ok := dial("127.0.0.2")
	if !ok {
		t.Error("another address was refused")
	}
	defer other.Close()
	if page := scrapeTest(t, s); !strings.Contains(page, "\nmillrace_addresses_banned 1\n") ||
		!strings.Contains(page, "\nmillrace_address_connections_refused_total{reason=\"banned\"} 1\n") {
		t.Error("the metrics do not count one address and one connection refused for it")
	}
}
