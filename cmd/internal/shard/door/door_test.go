package door

// This file tests how connections enter and leave, and whose they are.

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/tlstest"
	"millrace/ring"
	"millrace/wsproto"
)

var seed = guard.Secret{1}

// rig is a door with its table, in the Step of second 100.
type rig struct {
	*Door
	table *conn.Table
	turn  conn.Turn
	gen   uint32
}

// newRig returns the door of a shard, with 127.0.0.0/8 and fd00::/8 as trusted proxies.
func newRig(shard int, change func(*Options)) *rig {
	r := &rig{table: conn.NewTable(shard, 64, false)}
	r.turn.Begin(99*time.Second, nil)
	r.turn.Now = 100
	o := Options{SourceSeed: seed, HandshakeTimeout: 10, TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
	}}
	if change != nil {
		change(&o)
	}
	r.Door = New(o, r.table, &r.turn, nil)
	return r
}

// accept lets a client in.
func (r *rig) accept(client string) *conn.Conn {
	r.gen++
	slot := ring.Slot{Index: r.gen, Gen: r.gen}
	c, _ := r.Accept(&ring.Event{Kind: ring.EventAccept, Slot: slot, Peer: netip.MustParseAddrPort(client)})
	return c
}

func proxyProtocol(o *Options) { o.Listeners[0].ProxyProtocol = true }
func shareFamilies(o *Options) { o.ShareFamilies = true }

// TestAccept proves that a connection that enters has its client's address in one form, the family of its swarms, the
// IP version by which it is counted, and a deadline for its handshake.
func TestAccept(t *testing.T) {
	f := func(change func(*Options), client, want string, family, version uint8) {
		t.Helper()
		r := newRig(0, change)
		c := r.accept(client)
		if c.State() != conn.Handshake || c.Client().String() != want || c.Family != family || c.Version != version {
			t.Errorf("%s: %s is %s, family %d, version %d", client, c.Client(), c.State(), c.Family, c.Version)
		}
		if c.LastSeen != 100 || c.Deadline != 110 || c.Flags != 0 || r.Stats().Accepted != 1 {
			t.Errorf("%s: seen %d, deadline %d, flags %b", client, c.LastSeen, c.Deadline, c.Flags)
		}
		r.table.Change(c, conn.Upgraded)
		if open := r.table.Stats().ByIP; open[version].Open != 1 || open[1-version].Open != 0 {
			t.Errorf("%s: counted as %+v", client, open)
		}
		r.table.Change(c, conn.Closes)
		if r.Leave(1, conn.Gone); r.table.Live() != 0 {
			t.Errorf("%s did not leave", client)
		}
	}
	f(nil, "192.0.2.7:4711", "192.0.2.7:4711", 4, 0)
	f(nil, "[2001:db8::7]:4711", "[2001:db8::7]:4711", 6, 1)
	f(nil, "[::ffff:192.0.2.7]:1", "192.0.2.7:1", 4, 0)
	f(shareFamilies, "192.0.2.7:4711", "192.0.2.7:4711", 0, 0)
	f(shareFamilies, "[2001:db8::7]:4711", "[2001:db8::7]:4711", 0, 1)
}

// line returns a header of the PROXY protocol, version 1, for a client of this address and the port 4711.
func line(client string) string {
	if strings.Contains(client, ":") {
		return "PROXY TCP6 " + client + " 2001:db8::ff 4711 443\r\n"
	}
	return "PROXY TCP4 " + client + " 192.0.2.255 4711 443\r\n"
}

// block returns a header of the PROXY protocol, version 2, with the given command for an IPv4 client 192.0.2.7:4711.
func block(command byte) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, 0x11, 0, 12)
	b = append(b, 192, 0, 2, 7, 192, 0, 2, 255)
	return string(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, 4711), 443))
}

// request returns an upgrade request with more header fields.
func request(t *testing.T, fields string) *wsproto.Request {
	t.Helper()
	head := "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + fields + "\r\n"
	req, n, status := wsproto.ParseUpgrade([]byte(head), 0, 4096)
	if n != len(head) {
		t.Fatalf("the request %q gets %d", head, status)
	}
	return &req
}

// TestFingerprints proves that a client's address has the same fingerprint at all shards and by each way in which they
// learn of it, that its port is no part of it, and that another address has another one.
func TestFingerprints(t *testing.T) {
	here, there, proxied := newRig(0, nil), newRig(1, nil), newRig(2, proxyProtocol)
	seen := make(map[uint64]string)
	f := func(address string) {
		t.Helper()
		want := here.accept(netip.AddrPortFrom(netip.MustParseAddr(address), 1).String())
		check := func(how string, c *conn.Conn) {
			t.Helper()
			if c.Source != want.Source || c.Client().Addr() != want.Client().Addr() || c.Family != want.Family {
				t.Errorf("%s, %s: fingerprint %x of %s, family %d, want %x",
					address, how, c.Source, c.Client(), c.Family, want.Source)
			}
		}
		ip := want.Client().Addr()
		check("at another shard", there.accept(netip.AddrPortFrom(ip, 2).String()))
		check("in IPv6 form", there.accept(netip.AddrPortFrom(netip.AddrFrom16(ip.As16()), 3).String()))
		there.gen++
		check("adopted", there.Adopt(ring.Slot{Index: there.gen, Gen: 1}, nil, 0, netip.AddrPortFrom(ip, 4), guard.Ref{}))
		forwarded := here.accept("127.0.0.1:5")
		here.ForwardedFor(0, forwarded, request(t, "X-Forwarded-For: "+address+"\r\n"))
		check("by a header field", forwarded)
		behind := proxied.accept("127.0.0.1:6")
		if _, _, err := proxied.ProxyHeader(0, behind, []byte(line(address))); err != nil {
			t.Error(err)
		}
		check("by the PROXY protocol", behind)
		if other := seen[want.Source]; other != "" {
			t.Errorf("%s has the fingerprint of %s", address, other)
		}
		seen[want.Source] = address
	}
	f("192.0.2.7")
	f("192.0.2.8")
	f("2001:db8::7")
	f("2001:db8:0:1::7")
}

// TestProxyHeader proves that the header of the PROXY protocol is read wherever it is cut, that the connection is the
// proxy's until then and its client's from then on, and that a header that names no client changes nothing.
func TestProxyHeader(t *testing.T) {
	f := func(header, want string, family, version uint8) {
		t.Helper()
		for cut := 1; cut <= len(header); cut++ {
			r := newRig(0, proxyProtocol)
			c := r.accept("127.0.0.1:1")
			n, _, err := r.ProxyHeader(0, c, []byte(header)[:cut])
			if err != nil || (n > 0) != (cut == len(header)) {
				t.Fatalf("%q: read %d bytes of %d, %v", header, n, cut, err)
			}
			if n == 0 && (!c.Flags.Has(conn.Proxied) || c.Client().String() != "127.0.0.1:1") {
				t.Fatalf("%q cut at %d: the client is %s", header, cut, c.Client())
			}
			n, _, err = r.ProxyHeader(0, c, []byte(header+"GET / HTTP/1.1"))
			if err != nil || n != len(header) || c.Flags.Has(conn.Proxied) {
				t.Fatalf("%q and more: %d bytes, %v, flags %b", header, n, err, c.Flags)
			}
			if c.Client().String() != want || c.Family != family || c.Version != version {
				t.Fatalf("%q: the client is %s, family %d, version %d", header, c.Client(), c.Family, c.Version)
			}
		}
	}
	f(line("192.0.2.7"), "192.0.2.7:4711", 4, 0)
	f(line("2001:db8::7"), "[2001:db8::7]:4711", 6, 1)
	f(block(0x21), "192.0.2.7:4711", 4, 0)
	f(block(0x20), "127.0.0.1:1", 4, 0)
	f("PROXY UNKNOWN\r\n", "127.0.0.1:1", 4, 0)
}

// TestWhoSendsProxyHeaders proves that a header is awaited from trusted proxies only, and with the PROXY protocol only,
// and that a connection without one is counted and keeps waiting for it.
func TestWhoSendsProxyHeaders(t *testing.T) {
	f := func(change func(*Options), client string, want bool) {
		t.Helper()
		r := newRig(0, change)
		if c := r.accept(client); c.Flags.Has(conn.Proxied) != want {
			t.Errorf("%s: a header is awaited: %v", client, !want)
		}
	}
	f(proxyProtocol, "127.0.0.1:1", true)
	f(proxyProtocol, "127.255.0.1:1", true)
	f(proxyProtocol, "[fd00::1]:1", true)
	f(proxyProtocol, "128.0.0.1:1", false)
	f(proxyProtocol, "[2001:db8::7]:1", false)
	f(nil, "127.0.0.1:1", false)
	r := newRig(0, proxyProtocol)
	c := r.accept("127.0.0.1:1")
	if _, _, err := r.ProxyHeader(0, c, []byte("GET / HTTP/1.1\r\n")); !errors.Is(err, wsproto.ErrNotProxy) {
		t.Errorf("HTTP is taken for a header: %v", err)
	}
	if !c.Flags.Has(conn.Proxied) || c.Client().String() != "127.0.0.1:1" || r.Stats().BadProxyHeaders != 1 {
		t.Errorf("flags %b, client %s, %+v", c.Flags, c.Client(), r.Stats())
	}
}

// TestForwardedFor proves that header fields say whose connection it is if it comes from a trusted proxy and the PROXY
// protocol is not in use, and that its port is unknown then.
func TestForwardedFor(t *testing.T) {
	f := func(change func(*Options), from, fields, want string) {
		t.Helper()
		r := newRig(0, change)
		c := r.accept(from)
		if r.ForwardedFor(0, c, request(t, fields)); c.Client().String() != want {
			t.Errorf("%s with %q: the client is %s, want %s", from, fields, c.Client(), want)
		}
	}
	f(nil, "127.0.0.1:1", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7:0")
	f(nil, "[fd00::1]:1", "Forwarded: for=\"[2001:db8::7]:4711\"\r\n", "[2001:db8::7]:0")
	f(nil, "127.0.0.1:1", "X-Forwarded-For: 203.0.113.1, 192.0.2.7, 127.0.0.9\r\n", "192.0.2.7:0")
	f(nil, "127.0.0.1:1", "X-Forwarded-For: unknown\r\n", "127.0.0.1:1")
	f(nil, "127.0.0.1:1", "", "127.0.0.1:1")
	f(nil, "198.51.100.1:1", "X-Forwarded-For: 192.0.2.7\r\n", "198.51.100.1:1")
	f(proxyProtocol, "127.0.0.1:1", "X-Forwarded-For: 192.0.2.7\r\n", "127.0.0.1:1")
}

// TestAdopt proves that a connection that comes from another shard is open at once, with its flags, its client's
// address and its TLS, of which the engine here knows it by its new name.
func TestAdopt(t *testing.T) {
	var turn conn.Turn
	turn.Begin(41*time.Second, nil)
	turn.Now = 42
	engine := tlstest.New(t)
	table := conn.NewTable(0, 4, true)
	d := New(Options{SourceSeed: seed}, table, &turn, engine.Engine)
	x, client := engine.Dial()
	records := client.Send([]byte("hello"))
	if err := x.Feed(records[:10]); err != nil { // a part of a record has arrived
		t.Fatal(err)
	}
	x.Next()
	x.Detach()
	slot, from := ring.Slot{Index: 3, Gen: 7}, netip.MustParseAddrPort("[2001:db8::7]:4711")
	c := d.Adopt(slot, x, conn.Established|conn.Settled, from, guard.Ref{})
	if c != table.Named(slot) || c.State() != conn.Open || c.Flags != conn.Established|conn.Settled || c.LastSeen != 42 ||
		c.Client() != from || c.Family != 6 || table.Stats().ByIP[1].Open != 1 {
		t.Errorf("adopted as %+v", *c)
	}
	if err := x.Feed(records[10:]); err != nil {
		t.Fatal(err)
	}
	if data, err := table.TLS(3).Next(); string(data) != "hello" || err != nil {
		t.Errorf("its TLS reads %q, %v", data, err)
	}
	accepted, _ := d.Accept(&ring.Event{Slot: ring.Slot{Index: 1, Gen: 1}, Peer: from})
	if accepted.State() != conn.Handshake || table.TLS(1) == nil || table.CanSpeak(1) {
		t.Error("a connection that was accepted begins without TLS")
	}
}

// TestHandles proves that the name of a connection for TLS stands for one generation of one slot.
func TestHandles(t *testing.T) {
	for _, slot := range []ring.Slot{{}, {Index: 1}, {Gen: 1}, {Index: 1<<32 - 1}, {Gen: 1<<32 - 1}, {Index: 5, Gen: 6}} {
		if got := SlotOf(Handle(slot)); got != slot {
			t.Errorf("the handle of %+v is that of %+v", slot, got)
		}
	}
}

// TestRefused proves that the door counts the connections that do not get in, and that a closed door says so and still
// lets in those that the ring has accepted.
func TestRefused(t *testing.T) {
	r := newRig(0, nil)
	r.Refused(&ring.Event{Kind: ring.EventRefused, N: 3})
	r.Refused(&ring.Event{Kind: ring.EventAcceptFailed, Errno: 24})
	r.Refused(&ring.Event{Kind: ring.EventRefused, N: 2})
	if st := r.Stats(); st.Refused != 5 || st.AcceptFailed != 1 || st.LastAcceptError != 24 || st.Accepted != 0 {
		t.Errorf("the counters are %+v", st)
	}
	open := r.Closed()
	r.Close()
	if c := r.accept("192.0.2.7:1"); open || !r.Closed() || c.State() != conn.Handshake {
		t.Errorf("closed before %v, after %v, a connection is %s", open, r.Closed(), c.State())
	}
}

// TestListenerKinds proves that a socket may be plain although the shard speaks TLS, that the clients of a unix socket are
// proxies whose words are believed, in fields or in a header, and that a connection keeps the ways of its socket when those of
// the number change.
func TestListenerKinds(t *testing.T) {
	var turn conn.Turn
	turn.Begin(41*time.Second, nil)
	o := Options{SourceSeed: seed, Listeners: Listeners{1: {Plain: true}, 2: {Plain: true, Local: true},
		3: {Local: true, ProxyProtocol: true}}}
	table := conn.NewTable(0, 8, true)
	d := New(o, table, &turn, tlstest.New(t).Engine)
	const outside = "192.0.2.9:1"
	f := func(n uint8, peer, header string, secure bool, client string) {
		t.Helper()
		e := &ring.Event{Slot: ring.Slot{Index: uint32(n), Gen: 1}, Listener: n}
		if peer != "" {
			e.Peer = netip.MustParseAddrPort(peer)
		}
		d.Change(o)
		c, verdict := d.Accept(e)
		d.Change(Options{HandshakeTimeout: 1})
		if verdict != guard.Admitted || table.Secure(uint32(n)) != secure || c.Flags.Has(conn.Encrypted) != secure {
			t.Errorf("listener %d: %v, flags %b", n, verdict, c.Flags)
		}
		if c.Flags.Has(conn.Proxied) != (header != "") {
			t.Errorf("listener %d: flags %b", n, c.Flags)
		}
		if header != "" {
			if _, _, err := d.ProxyHeader(uint32(n), c, []byte(header)); err != nil {
				t.Error(err)
			}
		}
		d.ForwardedFor(uint32(n), c, request(t, "X-Forwarded-For: 198.51.100.1\r\n"))
		if got := c.Client().String(); got != client {
			t.Errorf("listener %d: the client is %s, want %s", n, got, client)
		}
	}
	f(0, outside, "", true, outside)
	f(1, outside, "", false, outside)
	f(2, "", "", false, "198.51.100.1:0")
	f(3, "", line("192.0.2.7"), true, "192.0.2.7:4711")
}
