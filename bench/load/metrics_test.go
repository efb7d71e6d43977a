package load

// This file tests the reading of a Prometheus page.

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestParsePage proves that exactly the known series are added up, of all shards and reasons.
func TestParsePage(t *testing.T) {
	f := func(page, want string) {
		t.Helper()
		p, err := parsePage(strings.NewReader(page))
		if got := fmt.Sprint(p, err); got != want {
			t.Errorf("%s\ngot %s, want %s", page, got, want)
		}
	}
	f("", "{0 0 0 0} <nil>")
	f(`# HELP something
go_goroutines 9
millrace_frames_sent_total{type="offer",ip_version="4",worker_index="0"} 1000
millrace_frames_dropped_total{type="offer",reason="slow_consumer",worker_index="0"} 1
millrace_frames_dropped_total{type="offer",reason="mailbox",worker_index="1"} 20
millrace_frames_dropped_total{type="answer",reason="gone",worker_index="0"} 300
millrace_frames_dropped_total{type="announce",reason="gone",worker_index="0"} 4000
millrace_requests_overloaded_total{type="announce",worker_index="0"} 50000
millrace_requests_overloaded_total{type="answer",worker_index="0"} 2
millrace_answers_total{result="relay",worker_index="0"} 600000
millrace_answers_total{result="no_such_offer",worker_index="0"} 70
millrace_answers_total{result="no_such_peer",worker_index="1"} 8000
aquatic_responses_total{type="offer",ip_version="4",worker_index="0"} 5
millrace_requests_by_owner_total{owner="own_shard",worker_index="0"} 90
millrace_requests_by_owner_total{owner="own_shard",worker_index="1"} 900
millrace_requests_by_owner_total{owner="other_shard",worker_index="1"} 10
`, "{21 8372 990 10} <nil>")
	f(`millrace_frames_dropped_total{type="offer"} many`,
		`{0 0 0 0} the line "millrace_frames_dropped_total{type=\"offer\"} many" does not end with a counter`)
}

// TestReadPage proves that a page is read over HTTP, and that its mistakes are reported in a sentence.
func TestReadPage(t *testing.T) {
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			fmt.Fprintln(w, `millrace_frames_dropped_total{type="offer",reason="gone"} 3`)
		case "/wrong":
			fmt.Fprintln(w, `millrace_frames_dropped_total{type="offer",reason="gone"} -`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer pages.Close()
	f := func(url string, wantOffers uint64, wantErr string) {
		t.Helper()
		p, err := readPage(context.Background(), url)
		if p.offers != wantOffers || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: %d, %v, want %q", url, p.offers, err, wantErr)
		}
	}
	f(pages.URL+"/metrics", 3, "")
	f(pages.URL+"/none", 0, "answers 404 Not Found")
	f(pages.URL+"/wrong", 0, "cannot understand")
	f("http://127.0.0.1:1/", 0, "cannot read the tracker's metrics")
	f("::", 0, "cannot ask for the metrics")
}
