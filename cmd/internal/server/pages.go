package server

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/page"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/outbox"
)

// This file owns the pages that the listeners serve. They are made outside the loops: every watchPeriod, and where somebody asks at
// most once a second, so that a flood of requests makes no more of them.

// pages are the responses by path. A loop reads them; the goroutine of watch makes them.
type pages struct {
	current atomic.Pointer[map[string]*response]
	madeAt  atomic.Int64 // Unix nanoseconds
	asked   chan struct{}
	hour    page.Hour
	own     []byte // the operator's file; nil: the tracker's page
}

// response is a whole response.
type response struct {
	full      []byte
	head      int    // bytes of its head
	etag      string // quoted
	unchanged []byte // the response to a client that has it
}

// pageLife is the time for which pages are as good as new.
const pageLife = time.Second

// answer returns the response for a path. Any loop may ask.
func (p *pages) answer(path, known []byte) (full []byte, head int) {
	all := p.current.Load()
	if all == nil {
		return nil, 0
	}
	r := (*all)[string(path)]
	if r == nil {
		return nil, 0
	}
	if time.Since(time.Unix(0, p.madeAt.Load())) > pageLife {
		select {
		case p.asked <- struct{}{}:
		default:
		}
	}
	if len(known) > 0 && bytes.Contains(known, []byte(r.etag)) {
		return r.unchanged, len(r.unchanged)
	}
	return r.full, r.head
}

// makePages makes the pages that the configuration asks for.
func (s *Server) makePages() {
	c := &s.config.Load().HTTP
	all := make(map[string]*response)
	f := s.figures()
	const html = "text/html; charset=utf-8"
	var figures *response
	if c.Stats || c.Page && s.pages.own == nil {
		figures = newResponse(html, page.Policy, "", page.AppendHTML(nil, f, &s.pages.hour))
	}
	switch {
	case c.Page && s.pages.own != nil:
		all["/"] = newResponse(html, ownPolicy, "", s.pages.own)
	case c.Page:
		all["/"] = figures
	}
	if c.Stats {
		all["/stats"] = figures
		// The figures are public, and pages of others may show them.
		all["/stats.json"] = newResponse("application/json", "default-src 'none'", "Access-Control-Allow-Origin: *\r\n",
			page.AppendJSON(nil, f))
	}
	if c.Page || c.Stats {
		all["/robots.txt"] = newResponse("text/plain; charset=utf-8", "default-src 'none'", "",
			[]byte("User-agent: *\nDisallow: /stats\n"))
	}
	s.pages.current.Store(&all)
	s.pages.madeAt.Store(time.Now().UnixNano())
}

// ownPolicy is the Content-Security-Policy of an operator's own file: all that it needs is in it.
const ownPolicy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newResponse returns the response with a body.
func newResponse(kind, policy, fields string, body []byte) *response {
	sum := sha256.Sum256(body)
	etag := fmt.Sprintf("\"%x\"", sum[:8])
	common := "Connection: close\r\nETag: " + etag + "\r\nCache-Control: no-cache\r\n" + fields
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\nContent-Security-Policy: %s\r\n"+
		"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n%s\r\n", kind, len(body), policy, common)
	return &response{
		full: append([]byte(head), body...), head: len(head), etag: etag,
		unchanged: []byte("HTTP/1.1 304 Not Modified\r\n" + common + "\r\n"),
	}
}

// mostPage bounds the file of an operator's own page, in bytes.
const mostPage = 64 << 10

// readPage reads the operator's own page; nil where there is none.
func readPage(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read http.page_path: %w", err)
	}
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, mostPage+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read http.page_path: %w", err)
	}
	if len(body) > mostPage {
		return nil, fmt.Errorf("cannot use http.page_path %s: it has more than %d bytes", path, mostPage)
	}
	return body, nil
}

// sampleOf returns what the plots need of all shards' figures.
func sampleOf(t *shard.Stats) page.Sample {
	return page.Sample{
		Clients: t.Table.ByIP[0].Open + t.Table.ByIP[1].Open, Peers: t.Torrents.Swarm.Peers, Torrents: t.Torrents.Swarm.Torrents,
		Announces: sum(t.Messages.Announces[:]), Offers: framesOut(t, outbox.Offer), Answers: framesOut(t, outbox.Answer),
		SentByte: t.Outbox.BytesOut,
	}
}

// framesOut returns how many frames of a kind were sent.
func framesOut(t *shard.Stats, kind outbox.Kind) (n uint64) {
	for v := range t.Outbox.ByIP {
		n += t.Outbox.ByIP[v].FramesOut[kind]
	}
	return n
}

// figures returns the figures of this moment.
func (s *Server) figures() *page.Figures {
	t := s.total()
	sample := sampleOf(&t)
	f := &page.Figures{
		Clients: sample.Clients, ClientsIPv4: t.Table.ByIP[0].Open, ClientsIPv6: t.Table.ByIP[1].Open,
		Peers: sample.Peers, Seeders: t.Torrents.Swarm.Seeders, Torrents: sample.Torrents,
		Uptime: time.Since(s.start), Memory: s.memory.resident.Load(),
		Announces: sample.Announces, Offers: sample.Offers, Answers: sample.Answers,
		Received: t.Messages.BytesIn, Sent: sample.SentByte,
	}
	for _, l := range s.config.Load().Listeners() {
		if l.Unix() == "" {
			f.Listeners = append(f.Listeners, l.Address)
		}
	}
	f.Peer = s.peersByClient()
	return f
}

// peersByClient returns the peers by client and version; nil where they are not counted.
func (s *Server) peersByClient() map[string]map[string]uint64 {
	if !s.config.Load().Metrics.PeerClients {
		return nil
	}
	all := make(map[string]map[string]uint64)
	for _, c := range s.controls {
		last := c.Last()
		if last.Census == nil {
			continue
		}
		for prefix, n := range last.Census.Peers {
			name, version, _ := strings.Cut(clientOf(prefix), " ")
			if all[name] == nil {
				all[name] = make(map[string]uint64)
			}
			all[name][version] += n
		}
	}
	return all
}
