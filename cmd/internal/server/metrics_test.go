package server

// This file holds the metrics page against a list of its series that no code derives.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/wsproto"
)

var update = flag.Bool("update", false, "write the list of series and the documentation of the metrics anew")

// The page of a tracker with TLS and two shards has exactly the series that testdata/series.txt lists, each with its
// labels in the listed order. Dashboards and alerts depend on them: a series that goes is a change of behaviour.
func TestMetricsSeries(t *testing.T) {
	certificate, key := writeCertificate(t)
	s := startTest(t, func(c *config.Config) {
		c.SocketWorkers, c.Network.EnableTLS = 2, true
		c.Network.TLSCertificatePath, c.Network.TLSPrivateKeyPath = certificate, key
	})
	got := seriesOf(scrapeTest(t, s))
	if second := slices.DeleteFunc(slices.Clone(got), func(series string) bool {
		first := strings.Replace(series, `worker_index="1"`, `worker_index="0"`, 1)
		return first == series || slices.Contains(got, first)
	}); len(second) > 0 {
		t.Errorf("only the second shard has %q", second)
	}
	got = slices.DeleteFunc(got, func(series string) bool { return strings.Contains(series, `worker_index="1"`) })
	compareFile(t, "testdata/series.txt", strings.Join(got, "\n")+"\n")
}

// The page gives each family its text and type once, before all of its series, writes counters without an exponent, and
// derives the series of aquatic_ws.
func TestMetricsText(t *testing.T) {
	all := make([]shard.Published, 2)
	all[0].Shard.Door.Accepted, all[0].Loop.Busy = 1<<50+1, 1500*time.Millisecond
	sent, by := &all[1].Shard.Outbox.ByIP[1].FramesOut, &all[1].Shard.Messages.ByIP[1]
	for k := range sent {
		sent[k] = uint64(k) * 10
	}
	by.MessagesIn[wsproto.ActionAnnounce], by.MessagesIn[wsproto.ActionAnswer] = 10, 200
	by.MessagesIn[wsproto.ActionScrape] = 3000
	var b bytes.Buffer
	s := &Server{process: Process{Version: "v1", Lost: func() uint64 { return 0 }}, memory: &pressure{}}
	s.setup.kernel = "6.1"
	s.config.Store(config.Default())
	s.writePage(&b, all, &config.Metrics{PeerClients: true, PeerIDPrefixes: true})
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for _, want := range []string{
		`millrace_connections_accepted_total{worker_index="0"} 1125899906842625`,
		`millrace_loop_busy_seconds_total{worker_index="0"} 1.5`,
		`millrace_requests_total{type="announce",ip_version="6",worker_index="1"} 210`,
		`millrace_requests_total{type="scrape",ip_version="6",worker_index="1"} 3000`,
		`millrace_responses_total{type="announce",ip_version="6",worker_index="1"} 20`,
		`millrace_responses_total{type="offer_answer",ip_version="6",worker_index="1"} 40`,
		`millrace_responses_total{type="error",ip_version="6",worker_index="1"} 60`,
		`millrace_build_info{version="v1",goversion="` + runtime.Version() + `",kernel="6.1"} 1`,
		`# TYPE go_goroutines gauge`,
		"# HELP millrace_peer_clients Peers by client and version, with metrics.peer_clients.",
		"# TYPE millrace_peer_id_prefixes gauge",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q", want)
		}
	}
	family, seen := "", make(map[string]bool)
	for k, line := range lines {
		if text, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(text, " ")
			if seen[family] || !strings.HasPrefix(lines[k+1], "# TYPE "+family+" ") {
				t.Errorf("%s is explained twice or without its type", family)
			}
			seen[family] = true
			continue
		}
		if name := line[:strings.IndexAny(line+" ", "{ ")]; name != family && runtimeFamily(name) != family &&
			!isHistogramSeries(name, family) && !strings.HasPrefix(line, "# TYPE "+family+" ") {
			t.Errorf("%q is among the series of %s", line, family)
		}
	}
}

// isHistogramSeries reports whether a series is one of a histogram.
func isHistogramSeries(name, family string) bool {
	suffix, ok := strings.CutPrefix(name, family)
	return ok && slices.Contains([]string{"_bucket", "_sum", "_count"}, suffix)
}

// scrapeTest returns the metrics page.
func scrapeTest(t *testing.T, s *Server) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.scrape(w, httptest.NewRequest("GET", "/metrics", nil), &config.Metrics{})
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// seriesOf returns the names and labels of the page's own series, sorted, without those of the Go runtime and of versions.
func seriesOf(page string) (all []string) {
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "millrace_") && !strings.HasPrefix(line, "millrace_build_info{") {
			all = append(all, line[:strings.LastIndexByte(line, ' ')])
		}
	}
	slices.Sort(all)
	return all
}

// compareFile fails if a file does not have the text, or writes it with -update.
func compareFile(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	has, want := strings.Split(got, "\n"), strings.Split(string(data), "\n")
	for _, line := range has {
		if !slices.Contains(want, line) {
			t.Errorf("%s does not have the line %q; if it is meant, write it with -update", name, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(has, line) {
			t.Errorf("%s has the line %q, the code does not; if it is meant, write it with -update", name, line)
		}
	}
	if !t.Failed() && got != string(data) {
		t.Errorf("%s has the right lines in another order, or one of them twice; write it with -update", name)
	}
}

// writeCertificate writes a certificate that is signed by itself, and its key.
func writeCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"x"}}
	signed, err := x509.CreateCertificate(rand.Reader, form, form, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("certificate.pem", "CERTIFICATE", signed), write("key.pem", "PRIVATE KEY", secret)
}
