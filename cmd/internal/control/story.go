package control

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
)

// This file tells the story of a client, of a torrent, and the last events.

// Bounds of an answer.
const (
	mostConnections = 100 // that are shown of a client
	mostSwarms      = 20  // that are shown of a hash
	storyEvents     = 30  // that are shown of a client
	traceEvents     = 200 // that are shown where the request does not say it
	defaultRows     = 20  // that are shown where the request does not say it
)

func (h *Handler) client(ctx context.Context, r *http.Request) (any, error) {
	p, err := addressOf(r, true)
	if err != nil {
		return nil, err
	}
	looks, err := ask(ctx, h.Shards, shard.LookConnections{Client: p, Most: mostConnections})
	if err != nil {
		return nil, err
	}
	out := &ctl.Client{Address: nameOf(p), Connections: []ctl.Connection{}}
	var of []swarm.Addr
	for _, l := range looks {
		out.All += l.All
		for _, c := range l.Found[:min(len(l.Found), mostConnections-len(of))] {
			of = append(of, c.Addr)
			out.Connections = append(out.Connections, connection(&c))
		}
	}
	if err := h.seats(ctx, of, out.Connections); err != nil {
		return nil, err
	}
	if table := h.Addresses(); table != nil && p.IsSingleIP() {
		if u, ok := table.Usage(p.Addr(), h.Clock()); ok {
			out.Usage = &ctl.Usage{
				Connections: u.Connections, Peers: u.Peers, Handshakes: u.Handshakes, HalfBuilt: u.HalfBuilt, Unsent: u.Unsent,
				Offences: u.Offences, Banned: u.Banned.Seconds(),
			}
		}
	}
	copies, silent := h.traces(ctx)
	records := trace.Select(trace.Merge(copies...), trace.Filter{Client: p}, storyEvents)
	out.Events = append(linesOf(records, copies), silent...)
	return out, nil
}

// connection returns the words about a connection.
func connection(c *shard.Connection) ctl.Connection {
	remarks := []string{}
	for _, r := range []struct {
		flag conn.Flags
		text string
	}{
		{conn.Held, "held back: it does not read"}, {conn.Throttled, "held back: it sends too fast"},
		{conn.Crowded | conn.Postponed, "waits for its turn"}, {conn.Pinged, "pinged"}, {conn.HungUp, "has ended its side"},
		{conn.Challenged, "challenged: another connection has its peer id"}, {conn.Moved, "came from another shard"},
	} {
		if c.Flags.Has(r.flag) {
			remarks = append(remarks, r.text)
		}
	}
	return ctl.Connection{
		Name: connectionName(c.Addr), Client: c.Client.String(), State: c.State.String(), TLS: c.Flags.Has(conn.Encrypted),
		Remarks: remarks, Since: int(c.Since), Silent: int(c.LastSeen), Messages: uint64(c.Messages), Received: c.BytesIn,
		Sent: c.BytesOut, Dropped: uint64(c.Dropped), Waiting: c.Waiting, HalfBuilt: c.HalfBuilt, Torrents: []ctl.Peer{},
	}
}

// seats fills in the torrents of connections, which any shard may hold.
func (h *Handler) seats(ctx context.Context, of []swarm.Addr, to []ctl.Connection) error {
	looks, err := ask(ctx, h.Shards, shard.LookSeats{Of: of})
	if err != nil {
		return err
	}
	for _, l := range looks {
		for _, s := range l.Found {
			k := slices.Index(of, s.From)
			to[k].Torrents = append(to[k].Torrents, h.peer(&s, l.Now))
		}
	}
	return nil
}

// peer returns the words about a peer, at the second now of the shard that holds it. The peer may have announced before the
// clock began, when another process had it: only the difference counts.
func (h *Handler) peer(s *swarm.Seat, now uint32) ctl.Peer {
	return ctl.Peer{
		InfoHash: hex.EncodeToString(s.Key.Hash[:]), PeerID: hex.EncodeToString(s.Peer[:]), Software: h.Software(s.Peer[:]),
		Seeder: s.Seeder, Quiet: s.Quiet, Waits: s.Successor, Announced: int(max(int32(now-s.Seen), 0)),
	}
}

// ipVersions are the names of swarm.Key.Family.
var ipVersions = map[uint8]string{4: "4", 6: "6", 0: "both"}

func (h *Handler) torrent(ctx context.Context, r *http.Request) (any, error) {
	hash, err := hex.DecodeString(r.FormValue("hash"))
	if err != nil || len(hash) < 1 || len(hash) > len(swarm.ID{}) {
		return nil, fmt.Errorf("the hash is %q, but must be an even number of up to 40 hex digits", r.FormValue("hash"))
	}
	n, err := numberOf(r, "n", defaultRows, ctl.MaxRows)
	if err != nil {
		return nil, err
	}
	looks, err := ask(ctx, h.Shards, shard.LookTorrents{Hash: hash, Most: mostSwarms, Peers: n})
	if err != nil {
		return nil, err
	}
	out := &ctl.Torrent{Swarms: []ctl.Swarm{}, Peers: []ctl.Peer{}}
	var of []swarm.Addr
	for k, l := range looks {
		out.All += l.All
		for _, s := range l.Seats[:min(len(l.Seats), n-len(of))] {
			of, out.Peers = append(of, s.From), append(out.Peers, h.peer(&s, l.Now))
		}
		for _, t := range l.Found {
			out.Swarms = append(out.Swarms, ctl.Swarm{
				InfoHash: hex.EncodeToString(t.Key.Hash[:]), IPVersion: ipVersions[t.Key.Family], Shard: k,
				Seeders: int(t.Seeders), Leechers: int(t.Leechers), Downloaded: int(t.Downloaded),
			})
		}
	}
	if out.All == 0 {
		return nil, fmt.Errorf("no torrent with peers has an info hash that begins with %x", hash)
	}
	out.Swarms = out.Swarms[:min(len(out.Swarms), mostSwarms)]
	return out, h.addresses(ctx, of, out.Peers)
}

// addresses fills in the addresses of the clients of peers.
func (h *Handler) addresses(ctx context.Context, of []swarm.Addr, to []ctl.Peer) error {
	looks, err := ask(ctx, h.Shards, shard.LookClients{Of: of})
	if err != nil {
		return err
	}
	for k := range of {
		for _, l := range looks {
			if client, ok := l.Found[of[k]]; ok {
				to[k].Address = client.String()
			}
		}
	}
	return nil
}

// traces asks all shards for their last events, and returns a line for each that does not answer: somebody who looks for the
// reason needs to see what the others say.
func (h *Handler) traces(ctx context.Context) (copies []trace.Copy, silent []string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	copies, errs := trace.Take(ctx, h.Shards)
	for k, err := range errs {
		if err != nil {
			silent = append(silent, fmt.Sprintf("shard %d does not answer: %v", k, err))
		}
	}
	return copies, silent
}

// linesOf returns a line for each record.
func linesOf(records []trace.Record, copies []trace.Copy) []string {
	if len(records) == 0 {
		return []string{}
	}
	text := string(trace.AppendText(nil, records, trace.NamesOf(copies)))
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func (h *Handler) trace(ctx context.Context, r *http.Request) (any, error) {
	var filter trace.Filter
	var err error
	if r.FormValue("address") != "" {
		if filter.Client, err = addressOf(r, true); err != nil {
			return nil, err
		}
	}
	n, err := numberOf(r, "n", traceEvents, ctl.MaxRows)
	if err != nil {
		return nil, err
	}
	copies, silent := h.traces(ctx)
	out := &ctl.Trace{}
	if since := r.FormValue("since"); since != "" {
		if out.Missed, err = cutTo(copies, since); err != nil {
			return nil, err
		}
		n = ctl.MaxRows
	}
	out.Lines = append(linesOf(trace.Select(trace.Merge(copies...), filter, n), copies), silent...)
	var next []string
	for k := range copies {
		next = append(next, fmt.Sprint(copies[k].Added))
	}
	out.Next = strings.Join(next, ",")
	return out, nil
}

// cutTo leaves the records in copies that were added after an earlier question, of which since is the ctl.Trace.Next. It
// returns how many more there were.
func cutTo(copies []trace.Copy, since string) (missed uint64, err error) {
	before := strings.Split(since, ",")
	if len(before) != len(copies) {
		return 0, errors.New("since is of another tracker: ask without it")
	}
	for k := range copies {
		var added uint64
		if _, err := fmt.Sscan(before[k], &added); err != nil || added > copies[k].Added {
			return 0, errors.New("since is of another tracker: ask without it")
		}
		fresh, gone := copies[k].Since(added)
		copies[k].Records, missed = fresh, missed+gone
	}
	return missed, nil
}
