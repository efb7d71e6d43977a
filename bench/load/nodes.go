package load

// This file knows the nodes of a tracker: their addresses, and which client is at which. Most trackers are one node.

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxNodes bounds the nodes of a tracker.
const maxNodes = 16

// How clients are spread over several nodes.
const (
	spreadClients  = "clients"
	spreadTorrents = "torrents"
)

// addresses are those that a key lists.
func addresses(list string) []string {
	all := strings.Split(list, ",")
	for k := range all {
		all[k] = strings.TrimSpace(all[k])
	}
	return all
}

// nodeURLs are the addresses of the nodes.
func (c *Config) nodeURLs() []string { return addresses(c.URL) }

// Place says for people where the tracker is.
func (c *Config) Place() string {
	all := c.nodeURLs()
	if len(all) == 1 {
		return c.URL
	}
	return fmt.Sprintf("%d nodes: %s", len(all), strings.Join(all, " "))
}

// nodes checks the addresses of the nodes.
func (v *validator) nodes() {
	c := v.config
	all := c.nodeURLs()
	v.report(len(all) <= maxNodes, "url has %d addresses, but there may be at most %d", len(all), maxNodes)
	var first *url.URL
	for k, text := range all {
		u, err := url.Parse(text)
		ok := err == nil && (u.Scheme == "ws" || u.Scheme == "wss") && u.Hostname() != "" && u.User == nil
		v.report(ok, "url is %q, but must be like ws://127.0.0.1:3000/ or wss://tracker.example/announce", text)
		v.report(!slices.Contains(all[:k], text), "url has %s more than once: each address is a node", text)
		if !ok {
			continue
		}
		if first == nil {
			first = u
		}
		v.report(u.Scheme == first.Scheme, "url has ws:// and wss:// addresses, but must have one kind")
	}
	v.report(c.Spread == spreadClients || c.Spread == spreadTorrents, `spread is %q, but must be "clients" or "torrents"`, c.Spread)
}

// node is a tracker, or one of several that are one tracker together.
type node struct {
	target
	remote netip.AddrPort
	locals []netip.AddrPort // source addresses; empty: the kernel chooses
}

// locate finds the addresses of the nodes.
func (s *site) locate(ctx context.Context) error {
	s.nodes = nil
	for _, text := range s.config.nodeURLs() {
		n, err := locateNode(ctx, text, s.config)
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	s.encrypted = s.nodes[0].secure
	return nil
}

func locateNode(ctx context.Context, text string, c *Config) (n node, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return n, fmt.Errorf("cannot read the url: %w", err)
	}
	n.target = target{name: u.Hostname(), host: u.Host, path: u.RequestURI(), secure: u.Scheme == "wss", deflate: offerOf(c)}
	port := u.Port()
	if port == "" {
		port = "80"
		if n.secure {
			port = "443"
		}
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return n, fmt.Errorf("cannot read the port of %s: %w", text, err)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return n, fmt.Errorf("cannot find the tracker of %s: %w", text, err)
	}
	n.remote = netip.AddrPortFrom(found[0].Unmap(), uint16(number))
	n.locals = sources(n.remote, c.Sources, c.Connections)
	return n, nil
}

// nodeOf returns the node of a client. It has the same one all the time.
func (s *site) nodeOf(connection uint32) *node {
	if s.books.homes == nil {
		return &s.nodes[0]
	}
	return &s.nodes[s.books.homes[connection]]
}

// node returns the node of one of the worker's clients.
func (w *worker) node(i uint32) *node { return w.nodeOf(w.global(i)) }

// newHomes returns the number of the node of each client; nil if there is one only. The same seed gives the same.
func newHomes(c *Config, places *placement, nodes int) []uint8 {
	if nodes < 2 {
		return nil
	}
	homes := make([]uint8, c.Connections)
	if c.Spread == spreadTorrents {
		homesByTorrent(homes, places, nodes)
		return homes
	}
	// In turn, and shuffled: torrents are placed in turn too, and so all peers of one could be on one node.
	for i := range homes {
		homes[i] = uint8(i % nodes)
	}
	random := rand.New(rand.NewPCG(c.Seed, 0x6e6f646573))
	random.Shuffle(len(homes), func(i, j int) { homes[i], homes[j] = homes[j], homes[i] })
	return homes
}

// homesByTorrent puts clients whose first torrent is the same on the same node: the largest swarms first, each on the
// node that has the fewest clients.
func homesByTorrent(homes []uint8, places *placement, nodes int) {
	peers := make([]int, places.torrents)
	for i := range homes {
		peers[places.of(uint32(i))[0]]++
	}
	order := make([]uint32, places.torrents)
	for t := range order {
		order[t] = uint32(t)
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(peers[b], peers[a]) })
	byTorrent, clients := make([]uint8, places.torrents), make([]int, nodes)
	for _, t := range order {
		least := slices.Index(clients, slices.Min(clients))
		byTorrent[t] = uint8(least)
		clients[least] += peers[t]
	}
	for i := range homes {
		homes[i] = byTorrent[places.of(uint32(i))[0]]
	}
}
