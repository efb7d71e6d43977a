package load

// This file tests the opening of connections: the response to the upgrade, its key, source addresses and URLs.

import (
	"net/netip"
	"strings"
	"testing"
)

// TestCheckHead proves that only the right response opens a connection. The key and its answer are those of RFC 6455
// §1.3.
func TestCheckHead(t *testing.T) {
	const key, accept = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	offer := deflateNone
	f := func(head, want string) {
		t.Helper()
		agreed, got := checkHead(strings.ReplaceAll(head, "\n", "\r\n"), key, offer)
		if agreed.on != (offer != deflateNone && strings.Contains(head, "deflate")) && got == "" {
			t.Errorf("%q: %+v", head, agreed)
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
	f("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nsec-websocket-accept:  "+accept, "")
	f("HTTP/1.1 101 x\nSec-WebSocket-Accept: "+strings.ToLower(accept), "missing or wrong")
	f("HTTP/1.1 101 x\nUpgrade: websocket", "missing or wrong")
	f("HTTP/1.1 101 x\nSec-WebSocket-Extensions: permessage-deflate\nSec-WebSocket-Accept: "+accept, "an extension")
	f("HTTP/1.1 503 Service Unavailable\nSec-WebSocket-Accept: "+accept, "503 Service Unavailable")
	f("", "the tracker answers")
	offer = deflateAny
	const deflate = "\nSec-WebSocket-Extensions: permessage-deflate"
	f("HTTP/1.1 101 x\nSec-WebSocket-Accept: "+accept, "")
	f("HTTP/1.1 101 x"+deflate+"\nSec-WebSocket-Accept: "+accept, "")
	f("HTTP/1.1 101 x\nSec-WebSocket-Accept: "+accept+deflate, "")
	f("HTTP/1.1 101 x"+deflate, "missing or wrong")
	f("HTTP/1.1 101 x\nSec-WebSocket-Accept: "+accept+deflate+"; mux", "RFC 7692 does not allow: permessage-deflate; mux")
	f("HTTP/1.1 101 x\nSec-WebSocket-Accept: "+accept+deflate+deflate, "RFC 7692 does not allow")
	offer = deflateAlone
	f("HTTP/1.1 101 x\nSec-WebSocket-Accept: "+accept+deflate+"; server_no_context_takeover", "")
	f("HTTP/1.1 101 x\nSec-WebSocket-Accept: "+accept+deflate, "RFC 7692 does not allow")
}

// TestUpgradeKeys proves that connections, incarnations and times have different keys.
func TestUpgradeKeys(t *testing.T) {
	who := identity{seed: 1}
	seen := make(map[[24]byte]bool)
	for c := range uint32(10) {
		for i := range uint16(10) {
			for since := range 10 {
				seen[upgradeKey(who, c, i, seconds(float64(since)))] = true
			}
		}
	}
	if len(seen) != 1000 {
		t.Errorf("1000 connections have %d keys", len(seen))
	}
}

// TestSources proves that a tracker on loopback is reached from as many addresses as its ports need, and any other from
// the one that the kernel chooses.
func TestSources(t *testing.T) {
	f := func(remote string, wanted, connections, want int) {
		t.Helper()
		list := sources(netip.MustParseAddrPort(remote), wanted, connections)
		if len(list) != want {
			t.Errorf("%s, %d, %d: %v", remote, wanted, connections, list)
		}
		for i, a := range list {
			if a.Port() != 0 || a.Addr().As4() != [4]byte{127, 0, 0, byte(i + 1)} {
				t.Errorf("%s: address %d is %v", remote, i, a)
			}
		}
	}
	f("127.0.0.1:3000", 0, 4000, 0)
	f("127.0.0.1:3000", 0, 60_000, 5)
	f("127.0.0.1:3000", 0, maxConnections, maxSources)
	f("127.0.0.1:3000", 1, 60_000, 0)
	f("127.0.0.1:3000", 9, 10, 9)
	f("[::1]:3000", 0, 60_000, 0)
	f("192.0.2.1:3000", 4, 60_000, 0)
}

// TestLocate proves that address, host, path and TLS follow from a URL.
func TestLocate(t *testing.T) {
	f := func(url, remote, host, path string, secure bool) {
		t.Helper()
		s := &site{config: &Config{URL: url, Connections: 1}}
		if err := s.locate(t.Context()); err != nil {
			t.Errorf("%s: %v", url, err)
			return
		}
		if s.nodes[0].remote.String() != remote || s.nodes[0].host != host || s.nodes[0].path != path || s.encrypted != secure {
			t.Errorf("%s: %v, %+v", url, s.nodes, s.encrypted)
		}
	}
	f("ws://127.0.0.1:3000", "127.0.0.1:3000", "127.0.0.1:3000", "/", false)
	f("ws://127.0.0.1/announce?x=1", "127.0.0.1:80", "127.0.0.1", "/announce?x=1", false)
	f("wss://[::1]/", "[::1]:443", "[::1]", "/", true)
}
