package server

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/page"
	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring"
	"millrace/tlsconn"
)

// This file proves what a tracker has that has taken over from another one in this process.

// A loop keeps a P while it waits. In a process with several trackers there must be one more than all their loops.
func init() {
	runtime.GOMAXPROCS(16)
	setProcs = func(int) int { return 0 }
}

// succeed hands a tracker over to another one, which has the same configuration but for changes.
func succeed(t *testing.T, old *Server, change func(*config.Config)) *Server {
	t.Helper()
	cfg := *old.Config()
	change(&cfg)
	var heir *Server
	started := make(chan error, 1)
	old.process.Successor = func(_ string, file *os.File) (*exec.Cmd, error) {
		return standIn(file, func(link *handover.Link) {
			var err error
			heir, err = Start(&cfg, Process{
				Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Lost: func() uint64 { return 0 }, Predecessor: link,
			})
			started <- err
		})
	}
	if err := old.Upgrade(); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		heir.Stop()
		if err := heir.Err(); err != nil {
			t.Errorf("the tracker failed: %v", err)
		}
	})
	select {
	case <-old.Done():
	case <-time.After(patience):
		t.Fatal("the old tracker does not end")
	}
	return heir
}

// count gives all figures of a struct a value.
func count(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[netip.AddrPort]() {
			return
		}
		for k := range v.NumField() {
			count(v.Field(k))
		}
	case reflect.Array:
		for k := range v.Len() {
			count(v.Index(k))
		}
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Int64, reflect.Int:
		v.SetInt(int64(3 * time.Second))
	}
}

// counted returns figures in which every one has a value.
func counted[T any]() (f T) {
	count(reflect.ValueOf(&f).Elem())
	return f
}

// countersOf returns the counters on a metrics page, histograms included, without those of the Go runtime.
func countersOf(t *testing.T, page string) map[string]float64 {
	t.Helper()
	all, kind := map[string]float64{}, ""
	for line := range strings.Lines(page) {
		if _, text, ok := strings.Cut(line, "# TYPE "); ok {
			_, kind, _ = strings.Cut(strings.TrimSpace(text), " ")
		}
		series, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(series, metricPrefix) || kind != "counter" && kind != "histogram" {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatal(err)
		}
		all[series] = value
	}
	return all
}

// TestCountersGoOn proves that no counter of the metrics page is lower behind a hand-over, to as many shards or, all shards together, to
// fewer; nor behind another one, by a process that does not show all of them.
func TestCountersGoOn(t *testing.T) {
	certificate, key := writeCertificate(t)
	s := startTest(t, func(c *config.Config) {
		c.SocketWorkers, c.Network.EnableTLS = 2, true
		c.Network.TLSCertificatePath, c.Network.TLSPrivateKeyPath = certificate, key
	})
	for _, c := range s.controls {
		p := shard.Published{Shard: counted[shard.Stats](), Ring: counted[ring.Stats](), Loop: counted[shard.LoopStats]()}
		totals := p.Totals()
		c.GoOnFrom(&totals)
	}
	s.past = counted[past]()
	s.past = *s.processTotals()
	s.upgrades.failed.Store(7)
	s.upgrades.done = 7
	before := countersOf(t, scrapeTest(t, s))
	for series, value := range before {
		if value == 0 {
			t.Errorf("%s is 0 before, so the test cannot see it fall", series)
		}
	}
	compare := func(step string) {
		t.Helper()
		after := countersOf(t, scrapeTest(t, s))
		for series, value := range before {
			if now, ok := after[series]; !ok || now < value {
				t.Errorf("%s: %s is %v, and was %v", step, series, now, value)
			}
		}
		before = after
	}
	s = succeed(t, s, func(*config.Config) {})
	compare("as many shards")
	s = succeed(t, s, func(c *config.Config) { c.Network.EnableTLS, c.Limits.Active = false, false })
	s = succeed(t, s, func(c *config.Config) { c.Network.EnableTLS, c.Limits.Active = true, true })
	compare("behind a process that does not show all")
	sums := map[string]float64{}
	for series, value := range before {
		sums[withoutShard(series)] += value
	}
	before = sums
	s = succeed(t, s, func(c *config.Config) { c.SocketWorkers = 1 })
	after := map[string]float64{}
	for series, value := range countersOf(t, scrapeTest(t, s)) {
		after[withoutShard(series)] += value
	}
	for series, value := range before {
		if after[series] < value {
			t.Errorf("fewer shards: %s is %v, and was %v", series, after[series], value)
		}
	}
}

// withoutShard returns the name of a series without the label of the shard.
func withoutShard(series string) string {
	return regexp.MustCompile(`[,{]?worker_index="\d+"`).ReplaceAllString(series, "")
}

// TestFiguresGoOn proves that a tracker knows as soon as it serves how many clients and peers it has, in its status and on its pages, and
// has the last hour of the one before.
func TestFiguresGoOn(t *testing.T) {
	s := startTest(t, func(c *config.Config) {
		c.SocketWorkers, c.HTTP.Page, c.HTTP.Stats, c.Metrics.PeerClients = 2, true, true, true
	})
	for k := range 9 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", masked(0x81, fmt.Sprintf(
			`{"action":"announce","info_hash":"torrent-%012d","peer_id":"peer----%012d","left":1,"offers":[]}`, k%4, k)))
		c.SetDeadline(time.Now().Add(patience))
		for got, b := "", make([]byte, 1000); !strings.Contains(got, "}"); {
			n, err := c.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got += string(b[:n])
		}
	}
	for k := range 3 {
		s.pages.hour.Add(page.Sample{Clients: 1000 + k, Names: []page.Name{{Name: "WebTorrent", Peers: 5}}})
	}
	hour := s.pages.hour.Samples()
	s = succeed(t, s, func(*config.Config) {})
	if connections, peers := s.Clients(); connections != 9 || peers != 9 {
		t.Errorf("%d connections, %d peers", connections, peers)
	}
	stats, _ := s.pages.answer([]byte("/stats.json"), nil)
	for _, want := range []string{`"clientsCount":9,`, `"peersCount":9,`, `"torrents":4,`, `"announcesTotal":9,`, `"clients":{"unknown":{"":9}}`} {
		if !strings.Contains(string(stats), want) {
			t.Errorf("the statistics lack %s: %s", want, stats)
		}
	}
	if strings.Contains(string(stats), `"rss":0`) {
		t.Error("the statistics do not know the memory")
	}
	if html, _ := s.pages.answer([]byte("/"), nil); !strings.Contains(string(html), "in this hour at most 1.0k") {
		t.Errorf("the page has no plots: %s", html)
	}
	if now := s.pages.hour.Samples(); len(now) < len(hour) || !reflect.DeepEqual(now[:len(hour)], hour) {
		t.Errorf("the hour is %+v, and was %+v", now, hour)
	}
}

// TestKeysStayNowhere proves that no text of the keys of session tickets is left in memory by a hand-over, on either side.
func TestKeysStayNowhere(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // garbage stays as it is
	certificate, key := writeCertificate(t)
	tls := func(c *config.Config) {
		c.Network.EnableTLS, c.Network.TLSCertificatePath, c.Network.TLSPrivateKeyPath = true, certificate, key
	}
	s := startTest(t, func(c *config.Config) { c.SocketWorkers = 1; tls(c) })
	now := time.Now()
	keys := []tlsconn.TicketKey{{Key: [32]byte{1, 2, 3, 31: 4}, Made: now.Add(-time.Hour)}}
	for k := range 7 {
		keys = append(keys, tlsconn.TicketKey{Key: [32]byte{byte(k)}, Made: now.Add(-time.Duration(k+2) * time.Hour)})
	}
	s.tls.certificates.UseTicketKeys(keys, now)
	secret := s.tls.certificates.TicketKeys()[0].Key
	for _, change := range []func(*config.Config){func(*config.Config) {}, func(c *config.Config) { c.Network.EnableTLS = false }} {
		if s = succeed(t, s, change); s.tls != nil && s.tls.certificates.TicketKeys()[0].Key != secret {
			t.Fatal("the key has not come")
		}
	}
	if n := copiesOf(t, fmt.Sprintf("%p", s), &secret); n > 0 {
		t.Errorf("there are %d copies of a key", n)
	}
	text := hex.AppendEncode(nil, secret[:]) // the test can see one
	if n := copiesOf(t, fmt.Sprintf("%p", s), &secret); n != 1 {
		t.Errorf("the test sees %d copies where there is one, as long as %d bytes", n, len(text))
	}
}

// copiesOf returns how many texts of a key, as hexadecimal digits, are in the memory that an address lies in. It makes none itself.
func copiesOf(t *testing.T, address string, secret *[32]byte) (n int) {
	t.Helper()
	at, err := strconv.ParseUint(strings.TrimPrefix(address, "0x"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	digit := func(k int) byte { return "0123456789abcdef"[secret[k/2]>>(4*(1-k%2))&15] }
	piece, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(piece)
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil || at < from || at >= to {
			continue
		}
		for ; from < to; from += uint64(len(piece)) - 63 {
			m, _ := memory.ReadAt(piece, int64(from))
			for i := 0; i+64 <= m; i++ {
				same := 0
				for same < 64 && piece[i+same] == digit(same) {
					same++
				}
				if same == 64 {
					n++
				}
			}
		}
	}
	return n
}
