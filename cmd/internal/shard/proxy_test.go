package shard

import (
	"millrace/cmd/internal/shard/conn"
	"net/netip"
	"strings"
	"testing"
)

// This file tests whose connection it is behind reverse proxies.

// trustLoopback makes 127.0.0.0/8 a trusted proxy.
func trustLoopback(o *Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// sourceOf returns the fingerprint of an address: of its first half, with IPv6.
func sourceOf(address string) uint64 {
	return testSeed.Source(netip.MustParseAddr(address))
}

// What a trusted proxy says of the client's address decides whose connection it is; what others say does not.
func TestForwardedAddress(t *testing.T) {
	f := func(from, header, want string) {
		t.Helper()
		w := newWorld(t, 1, trustLoopback)
		c := w.accept(0, from)
		c.send([]byte(strings.TrimSuffix(testHead, "\r\n") + header + "\r\n"))
		w.run()
		got := w.shards[0].table.At(c.slot.Index)
		if got.State() != conn.Open || got.Client().Addr().String() != want {
			t.Errorf("%s %q: client %s in state %s, want %s", from, header, got.Client(), got.State(), want)
		}
		if is6 := strings.Contains(want, ":"); is6 != (got.Family == 6) || is6 != (got.Version == 1) ||
			got.Source != sourceOf(want) {
			t.Errorf("%s %q: family %d, version %d", from, header, got.Family, got.Version)
		}
		if w.shards[0].Snapshot().Table.ByIP[got.Version].Open != 1 {
			t.Errorf("%s %q: counted elsewhere", from, header)
		}
	}
	f("127.0.0.1", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7")
	f("127.0.0.1", "X-Forwarded-For: 2001:db8::7\r\n", "2001:db8::7")
	f("127.0.0.1", "X-Forwarded-For: 203.0.113.1, 192.0.2.7, 127.0.0.9\r\n", "192.0.2.7")
	f("127.0.0.1", "Forwarded: for=\"[2001:db8::7]:4711\"\r\n", "2001:db8::7")
	f("127.0.0.1", "", "127.0.0.1")
	f("198.51.100.1", "X-Forwarded-For: 192.0.2.7\r\n", "198.51.100.1")
}

// A PROXY header is taken off the connections of trusted proxies, wherever it is cut, and only off theirs; one that does
// not begin with it is closed.
func TestProxyProtocol(t *testing.T) {
	proxied := func(o *Options) {
		trustLoopback(o)
		o.Listeners[0].ProxyProtocol = true
	}
	stream := "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n" + testHead
	for cut := range len(stream) {
		w := newWorld(t, 1, proxied)
		c := w.accept(0, "127.0.0.1")
		if cut > 0 {
			c.send([]byte(stream[:cut]))
			w.run()
		}
		c.send([]byte(stream[cut:]))
		w.run()
		got := w.shards[0].table.At(c.slot.Index)
		if got.State() != conn.Open || got.Client().String() != "[2001:db8::7]:4711" || got.Asm != 0 {
			t.Fatalf("cut at %d: client %s in state %s", cut, got.Client(), got.State())
		}
	}
	w := newWorld(t, 1, proxied)
	c := w.accept(0, "127.0.0.1")
	c.send([]byte(testHead))
	w.run()
	if !c.gone || w.shards[0].Snapshot().Door.BadProxyHeaders != 1 {
		t.Error("a trusted proxy without a PROXY header was served")
	}
	direct := w.dial(0, "192.0.2.1")
	direct.text(announce(id("hash"), id("peer"), 0, nil))
	w.run()
	if len(direct.messages()) != 1 {
		t.Error("a client that is no proxy was not served")
	}
	liar := w.accept(0, "192.0.2.2")
	liar.send([]byte(stream))
	w.run()
	if !strings.HasPrefix(string(liar.inbox), "HTTP/1.1 400 ") {
		t.Errorf("a PROXY header from elsewhere was answered with %q", liar.inbox)
	}
}
