package control

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
)

// This file finds out who uses the tracker most. Connections only count up, so rates are the difference of two looks at all
// connections; the last look is kept for the next question.

// Times of looks.
const (
	freshLook = time.Second     // a look that is younger is not taken again
	staleLook = 5 * time.Second // one that is older says little about now, and is forgotten
)

// usage is the use of all connections at the last two looks.
type usage struct {
	mu     sync.Mutex
	at     time.Time
	last   map[swarm.Addr]shard.Connection
	rates  []rate        // by connection, from the look before to the last one
	period time.Duration // between both
	forget *time.Timer
}

// rate is what a connection used each second.
type rate struct {
	addr                              swarm.Addr
	client                            netip.AddrPort
	messages, received, sent, dropped float64
}

// measure returns the rates of all connections, and over which time they hold.
func (u *usage) measure(ctx context.Context, shards []*shard.Control) ([]rate, time.Duration, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil || time.Since(u.at) > staleLook {
		if err := u.look(ctx, shards); err != nil {
			return nil, 0, err
		}
		u.rates = nil
	}
	if wait := freshLook - time.Since(u.at); u.rates == nil && wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	if u.rates == nil || time.Since(u.at) >= freshLook {
		if err := u.look(ctx, shards); err != nil {
			return nil, 0, err
		}
	}
	return u.rates, u.period, nil
}

// look looks at all connections.
func (u *usage) look(ctx context.Context, shards []*shard.Control) error {
	looks, err := ask(ctx, shards, shard.LookConnections{})
	if err != nil {
		return err
	}
	now := time.Now()
	seconds := max(now.Sub(u.at), time.Millisecond).Seconds()
	all := make(map[swarm.Addr]shard.Connection)
	u.rates = make([]rate, 0, len(u.last))
	for _, l := range looks {
		for _, c := range l.Found {
			all[c.Addr] = c
			before := u.last[c.Addr] // all zero for one that has come since
			u.rates = append(u.rates, rate{
				addr: c.Addr, client: c.Client,
				messages: float64(c.Messages-before.Messages) / seconds, dropped: float64(c.Dropped-before.Dropped) / seconds,
				received: float64(c.BytesIn-before.BytesIn) / seconds, sent: float64(c.BytesOut-before.BytesOut) / seconds,
			})
		}
	}
	u.period, u.last, u.at = now.Sub(u.at), all, now
	if u.forget == nil {
		u.forget = time.AfterFunc(staleLook, u.drop)
	}
	u.forget.Reset(staleLook)
	return nil
}

// drop gives the memory of the last look back.
func (u *usage) drop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last, u.rates = nil, nil
}

// top answers with the addresses, clients and torrents that use the tracker most.
func (h *Handler) top(ctx context.Context, r *http.Request) (any, error) {
	n, err := numberOf(r, "n", defaultRows, ctl.MaxRows)
	if err != nil {
		return nil, err
	}
	by := cmp.Or(r.FormValue("by"), "messages")
	order, ok := orders[by]
	if !ok {
		return nil, fmt.Errorf("by is %q, but must be messages, bytes, drops or peers", by)
	}
	rates, period, err := h.usage.measure(ctx, h.Shards)
	if err != nil {
		return nil, err
	}
	out := ctl.Top{Seconds: period.Seconds(), Addresses: largest(byAddress(rates), n, order), Clients: largest(byConnection(rates), n, order)}
	out.Torrents, err = h.topTorrents(ctx, n, by)
	return out, err
}

// orders are the ways to sort by, as --by names them.
var orders = map[string]func(r *ctl.UsageRow) float64{
	"messages": func(r *ctl.UsageRow) float64 { return r.Messages },
	"bytes":    func(r *ctl.UsageRow) float64 { return r.Received + r.Sent },
	"drops":    func(r *ctl.UsageRow) float64 { return r.Dropped },
	"peers":    func(r *ctl.UsageRow) float64 { return r.Messages }, // for torrents
}

// largest returns the first n rows by an order.
func largest(rows []ctl.UsageRow, n int, by func(*ctl.UsageRow) float64) []ctl.UsageRow {
	slices.SortFunc(rows, func(a, b ctl.UsageRow) int {
		return cmp.Or(cmp.Compare(by(&b), by(&a)), cmp.Compare(b.Sent, a.Sent), cmp.Compare(b.Connections, a.Connections),
			cmp.Compare(a.Client, b.Client))
	})
	return rows[:min(len(rows), n)]
}

func byConnection(rates []rate) []ctl.UsageRow {
	rows := make([]ctl.UsageRow, 0, len(rates))
	for k := range rates {
		row := rates[k].row()
		row.Client, row.Connection = rates[k].client.String(), connectionName(rates[k].addr)
		rows = append(rows, row)
	}
	return rows
}

func (r *rate) row() ctl.UsageRow {
	return ctl.UsageRow{Connections: 1, Messages: r.messages, Received: r.received, Sent: r.sent, Dropped: r.dropped}
}

func byAddress(rates []rate) []ctl.UsageRow {
	sums := make(map[netip.Prefix]*ctl.UsageRow)
	for k := range rates {
		ip := rates[k].client.Addr()
		key := networkOf(netip.PrefixFrom(ip, ip.BitLen()))
		row := rates[k].row()
		sum := sums[key]
		if sum == nil {
			row.Client = nameOf(key)
			sums[key] = &row
			continue
		}
		sum.Connections++
		sum.Messages += row.Messages
		sum.Received += row.Received
		sum.Sent += row.Sent
		sum.Dropped += row.Dropped
	}
	rows := make([]ctl.UsageRow, 0, len(sums))
	for _, row := range sums {
		rows = append(rows, *row)
	}
	return rows
}

// connectionName returns the name of a connection in traces.
func connectionName(a swarm.Addr) string { return fmt.Sprintf("%d/%d.%d", a.Shard, a.Index, a.Gen) }

// topTorrents returns the torrents with most peers and with most messages.
func (h *Handler) topTorrents(ctx context.Context, n int, by string) ([]ctl.TorrentRow, error) {
	copies, _ := h.traces(ctx)
	messages := torrentRates(copies, h.Clock())
	named := mostFrequent(messages, n)
	looks, err := ask(ctx, h.Shards, shard.LookTorrents{Most: n, Also: named})
	if err != nil {
		return nil, err
	}
	found := make(map[swarm.Key]swarm.Torrent)
	for _, l := range looks {
		for _, t := range append(l.Found, l.Named...) {
			found[t.Key] = t
		}
	}
	sums := make(map[swarm.ID]*ctl.TorrentRow)
	for key, t := range found { // the two swarms of a torrent are one row
		row := sums[key.Hash]
		if row == nil {
			row = &ctl.TorrentRow{InfoHash: hex.EncodeToString(key.Hash[:]), Messages: messages[[8]byte(key.Hash[:])]}
			sums[key.Hash] = row
		}
		row.Seeders += int(t.Seeders)
		row.Leechers += int(t.Leechers)
	}
	rows := make([]ctl.TorrentRow, 0, len(sums))
	for _, row := range sums {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, func(a, b ctl.TorrentRow) int {
		peers := cmp.Compare(b.Seeders+b.Leechers, a.Seeders+a.Leechers)
		if by == "peers" {
			return cmp.Or(peers, cmp.Compare(a.InfoHash, b.InfoHash))
		}
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), peers, cmp.Compare(a.InfoHash, b.InfoHash))
	})
	return rows[:min(len(rows), n)], nil
}

// torrentRates estimates the messages a second by the first bytes of the torrents' info hashes, from the last events of each
// shard. A message to another shard's torrent is an event here and mail there: it counts where it came.
func torrentRates(copies []trace.Copy, now time.Duration) map[[8]byte]float64 {
	rates := make(map[[8]byte]float64)
	for _, c := range copies {
		if len(c.Records) == 0 {
			continue
		}
		seconds := max(now-c.Records[0].At, 100*time.Millisecond).Seconds()
		for k := range c.Records {
			if r := &c.Records[k]; r.Hash != [8]byte{} && (r.Event == trace.Announce || r.Event == trace.Answer) {
				rates[r.Hash] += 1 / seconds
			}
		}
	}
	return rates
}

// mostFrequent returns the n keys with the greatest rates.
func mostFrequent(rates map[[8]byte]float64, n int) map[[8]byte]bool {
	keys := make([][8]byte, 0, len(rates))
	for key := range rates {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b [8]byte) int { return cmp.Compare(rates[b], rates[a]) })
	named := make(map[[8]byte]bool)
	for _, key := range keys[:min(len(keys), n)] {
		named[key] = true
	}
	return named
}
