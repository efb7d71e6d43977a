package e2e

// This file shows whose address counts behind a proxy.

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

const addressTimeout = 20 * time.Second

// asClient returns the header fields with which the tests tell a proxy that a
// client has the address ip.
type asClient func(ip netip.Addr) http.Header

// TestClientAddress shows that the address which a trusted proxy tells decides
// the swarm, where IPv4 and IPv6 clients are kept apart, and that nobody else
// can choose it. The proxies have a proxy before them: the test,
// which is one of this machine too.
func TestClientAddress(t *testing.T) {
	f := func(name string, s setting, front proxy, as asClient, test func(*testing.T, string, asClient)) {
		t.Helper()
		t.Run(name, func(t *testing.T) { test(t, front(t, startTracker(t, s)), as) })
	}
	apart := twoShards
	apart.tables = "[protocol]\nshare_swarms_across_ip_versions = false\n"
	trusting, proxied, others := trustProxies(apart), proxyProtocol(apart), apart
	others.network = "trusted_proxies = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n"

	f("nginx, X-Forwarded-For", trusting, nginxHTTP("ws"), xForwardedFor, testApart)
	f("HAProxy, X-Forwarded-For", trusting, haproxyHTTP("option forwardfor", ""), xForwardedFor, testApart)
	f("HAProxy, Forwarded", trusting, haproxyHTTP(addForwarded, ""), forwarded, testApart)
	f("HAProxy, PROXY version 1", proxied, haproxyHTTP(sourceFromTest, "send-proxy"), toHAProxy, testApart)
	f("HAProxy, PROXY version 2", proxied, haproxyHTTP(sourceFromTest, "send-proxy-v2"), toHAProxy, testApart)

	f("nginx, X-Forwarded-For, not trusted", others, nginxHTTP("ws"), xForwardedFor, testTogether)
	f("HAProxy, Forwarded, not trusted", others, haproxyHTTP("", ""), forwarded, testTogether)
	f("HAProxy, X-Forwarded-For beside PROXY", proxied, haproxyHTTP("", "send-proxy-v2"), xForwardedFor, testTogether)
}

func xForwardedFor(ip netip.Addr) http.Header {
	return http.Header{"X-Forwarded-For": {ip.String()}}
}

func forwarded(ip netip.Addr) http.Header {
	if ip.Is6() {
		return http.Header{"Forwarded": {`for="[` + ip.String() + `]"`}}
	}
	return http.Header{"Forwarded": {"for=" + ip.String()}}
}

// addForwarded makes HAProxy add Forwarded, as "option forwardfor" adds
// X-Forwarded-For.
const addForwarded = "http-request add-header Forwarded for=%[src]"

// sourceFromTest makes HAProxy take a connection for one from the address that
// toHAProxy tells. A PROXY header has two addresses of one IP version.
const sourceFromTest = `http-request set-dst req.hdr(client)
	http-request set-src req.hdr(client)`

func toHAProxy(ip netip.Addr) http.Header { return http.Header{"Client": {ip.String()}} }

var (
	ipv4First  = netip.MustParseAddr("192.0.2.1")
	ipv4Second = netip.MustParseAddr("192.0.2.2")
	ipv6First  = netip.MustParseAddr("2001:db8::1")
	ipv6Second = netip.MustParseAddr("2001:db8::2")
)

// testApart shows that a seeder with an IPv4 address and two leechers with
// IPv6 addresses are counted apart, in announce replies and scrapes.
func testApart(t *testing.T, trackerURL string, as asClient) {
	c := newClients(t, trackerURL, as)
	c.announce(ipv4First, 0, swarmSize{Complete: 1})
	c.announce(ipv6First, 1, swarmSize{Incomplete: 1})
	c.announce(ipv6Second, 1, swarmSize{Incomplete: 2})
	c.scrape(ipv4Second, swarmSize{Complete: 1})
	c.scrape(ipv6First, swarmSize{Incomplete: 2})
}

// testTogether shows that all of them are in one swarm.
func testTogether(t *testing.T, trackerURL string, as asClient) {
	c := newClients(t, trackerURL, as)
	c.announce(ipv4First, 0, swarmSize{Complete: 1})
	c.announce(ipv6First, 1, swarmSize{Complete: 1, Incomplete: 1})
	c.announce(ipv6Second, 1, swarmSize{Complete: 1, Incomplete: 2})
	c.scrape(ipv4Second, swarmSize{Complete: 1, Incomplete: 2})
	c.scrape(ipv6First, swarmSize{Complete: 1, Incomplete: 2})
}

// clients are connections of clients to one tracker, about one torrent.
type clients struct {
	t          *testing.T
	ctx        context.Context
	trackerURL string
	as         asClient
	infoHash   [20]byte
}

func newClients(t *testing.T, trackerURL string, as asClient) *clients {
	ctx, cancel := context.WithTimeout(t.Context(), addressTimeout)
	t.Cleanup(cancel)
	return &clients{t: t, ctx: ctx, trackerURL: trackerURL, as: as, infoHash: randomID()}
}

// announce joins the swarm on a new connection, which stays open, and requires
// the counts in the reply.
func (c *clients) announce(ip netip.Addr, left int, want swarmSize) {
	c.t.Helper()
	o := newObserverAs(c.ctx, c.t, c.as(ip), c.trackerURL, c.infoHash)
	got, err := o.announce(c.ctx, randomID(), left)
	if err != nil {
		c.t.Fatalf("announce as %v: %v", ip, err)
	}
	if got != want {
		c.t.Errorf("the announce reply to %v has the counts %+v, want %+v", ip, got, want)
	}
}

func (c *clients) scrape(ip netip.Addr, want swarmSize) {
	c.t.Helper()
	got, err := newObserverAs(c.ctx, c.t, c.as(ip), c.trackerURL, c.infoHash).scrape(c.ctx)
	if err != nil {
		c.t.Fatalf("scrape as %v: %v", ip, err)
	}
	if got != want {
		c.t.Errorf("the scrape reply to %v has the counts %+v, want %+v", ip, got, want)
	}
}

func randomID() (id [20]byte) {
	rand.Read(id[:])
	return id
}
