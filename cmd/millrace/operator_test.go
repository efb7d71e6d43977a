package main

import (
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// get fetches a page of the tracker's.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// A health check is answered with 200 where it is switched on, and is a request like any other where it is not.
func TestHealthCheck(t *testing.T) {
	tr := start(t, settings{network: "enable_http_health_checks = true"})
	if status, body := get(t, "http://"+tr.addr+"/health"); status != 200 || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, "http://"+tr.addr+"/healthy"); status != 426 {
		t.Errorf("another path: %d", status)
	}
	relay(t, tr)
	tr = start(t, settings{})
	if status, _ := get(t, "http://"+tr.addr+"/health"); status != 426 {
		t.Errorf("switched off: %d", status)
	}
}

// The Prometheus endpoint counts what has happened, under the names that aquatic_ws has with our prefix, and every line
// is one that Prometheus can read.
func TestMetrics(t *testing.T) {
	tr := start(t, settings{
		top:   "socket_workers = 2",
		other: "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'",
	})
	relay(t, tr)
	stays := tr.dial()
	stays.send(announce(id("hash"), id("peer"), 0, nil))
	stays.receive()
	stays.send("not JSON")
	stays.send(announce(id("hash"), id("peer"), 0, nil))
	stays.receive()
	url := regexp.MustCompile(`msg="serving metrics" url=(\S+)`).FindStringSubmatch(tr.log.String())
	if url == nil {
		t.Fatal("the log does not say where the metrics are")
	}
	// The connections of relay have ended when the shards have seen it: the counts are read until they have.
	var page string
	for deadline := time.Now().Add(patience); ; {
		_, page = get(t, url[1])
		if total(t, page, `millrace_active_connections\{`) == 1 && total(t, page, `millrace_connections\{`) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("connections do not end:\n%s", page)
		}
	}
	f := func(series string, want float64) {
		t.Helper()
		if got := total(t, page, series); got != want {
			t.Errorf("%s: %v, want %v", series, got, want)
		}
	}
	f(`millrace_requests_total\{type="announce",ip_version="4"`, 8*3+8+2) // an answer is an announce in aquatic_ws
	f(`millrace_requests_total\{type="scrape"`, 8)
	f(`millrace_responses_total\{type="announce"`, 8*3+2)
	f(`millrace_responses_total\{type="offer",ip_version="4"`, 8)
	f(`millrace_responses_total\{type="offer_answer"`, 8)
	f(`millrace_responses_total\{type="scrape"`, 8)
	f(`millrace_responses_total\{type="error"`, 0)
	f(`millrace_torrents\{ip_version="4"`, 1)
	f(`millrace_peers\{`, 1)
	f(`millrace_messages_rejected_total\{reason="not_JSON"`, 1)
	f(`millrace_connections_accepted_total\{`, 17)
	f(`millrace_connections_closed_total\{`, 16)
	f(`millrace_frames_dropped_total\{`, 0)
	f(`millrace_shards`, 2)
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "millrace_loop_turns_total"} {
		if !strings.Contains(page, name) {
			t.Errorf("no series %s", name)
		}
	}
	line := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_]\w*="[^"\\\n]*"(, ?[a-zA-Z_]\w*="[^"\\\n]*")*\})? [-+0-9.eEInfNa]+$`)
	for _, l := range strings.Split(strings.TrimSpace(page), "\n") {
		if !line.MatchString(l) && !strings.HasPrefix(l, "#") {
			t.Errorf("Prometheus cannot read %q", l)
		}
	}
}

// total adds up the series whose lines begin with a pattern.
func total(t *testing.T, page, pattern string) float64 {
	t.Helper()
	sum := 0.0
	for _, m := range regexp.MustCompile(`(?m)^`+pattern+`.*? ([0-9.e+]+)$`).FindAllStringSubmatch(page, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
