package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file proves, from outside, that a running tracker takes another configuration.

// rewrite replaces the configuration file of a tracker and tells it.
func (tr *tracker) rewrite(s settings) {
	tr.t.Helper()
	if err := os.WriteFile(tr.config, []byte(s.file()), 0o644); err != nil {
		tr.t.Fatal(err)
	}
	tr.signal(syscall.SIGHUP)
}

// TestReloadConfiguration proves that a tracker under load takes another configuration without losing a connection: limits,
// intervals, access list, level of the log, the listener for metrics and its pages. A key that needs a restart is named and
// keeps its value. A file with a mistake changes nothing, whether the mistake is in the file, in a file that it names, or in
// an address.
func TestReloadConfiguration(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(list, fmt.Appendf(nil, "%x\n", id("bad")), 0o644); err != nil {
		t.Fatal(err)
	}
	tr := start(t, settings{top: "socket_workers = 2"})
	var peers []*peer
	for range 10 {
		peers = append(peers, tr.dial())
	}
	endLoad := busy(t, peers)
	p := tr.dial()
	ask := func(hash string) map[string]any {
		t.Helper()
		p.send(announce(hash, id("asks"), 0, nil))
		return p.receive()
	}
	if m := ask(id("bad")); m["interval"] != 120.0 {
		t.Fatal(m)
	}
	second := settings{
		top: "socket_workers = 1\nlog_level = 'debug'",
		other: "[protocol]\npeer_announce_interval = 100\n[access_list]\nmode = 'deny'\npath = '" + list + "'\n" +
			"[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'",
		network: "enable_http_health_checks = true\nmax_request_head = 512",
	}
	tr.rewrite(second)
	tr.logged("configuration read again", 1)
	tr.logged(`level=WARN msg="these keys change with a restart only: they keep their values" keys=socket_workers`, 1)
	tr.logged("changed=access_list.mode,access_list.path,log_level,metrics.prometheus_endpoint_address,"+
		"metrics.run_prometheus_endpoint,network.enable_http_health_checks,network.max_request_head,"+
		"protocol.peer_announce_interval", 1)
	eventually(t, "the torrent is denied", func() bool { return ask(id("bad"))["failure reason"] != nil })
	if m := ask(id("good")); m["interval"] != 100.0 {
		t.Errorf("reply %v", m)
	}
	if status, _ := get(t, "http://"+tr.addr+"/health"); status != 200 {
		t.Errorf("health check: %d", status)
	}
	tr.logged("serving metrics", 1)
	metrics := regexp.MustCompile(`msg="serving metrics" url=(\S+)`).FindStringSubmatch(tr.log.String())[1]
	if _, page := get(t, metrics); total(t, page, `millrace_shards`) != 2 {
		t.Error("the page does not have two shards")
	}

	f := func(want string, change func(*settings)) {
		t.Helper()
		bad := second
		bad.other = strings.Replace(bad.other, "= 100", "= 90", 1)
		change(&bad)
		times := strings.Count(tr.log.String(), want)
		tr.rewrite(bad)
		tr.logged(want, times+1)
		if m := ask(id("good")); m["interval"] != 100.0 {
			t.Errorf("after a file with a mistake: %v", m)
		}
	}
	f("unknown key", func(s *settings) { s.top += "\nnonsense = 1" })
	f("cannot read access_list.path", func(s *settings) { s.other = strings.Replace(s.other, "list.txt", "none.txt", 1) })
	f("cannot listen on metrics.prometheus_endpoint_address", func(s *settings) {
		s.other = strings.Replace(s.other, "127.0.0.1:0", tr.addr, 1)
	})
	f("network.origins must be a list", func(s *settings) { s.network += "\norigins = ['https://example.org/path']" })
	if err := os.Remove(tr.config); err != nil {
		t.Fatal(err)
	}
	tr.signal(syscall.SIGHUP)
	tr.logged("cannot read the configuration file", 1)

	tr.rewrite(settings{})
	tr.logged("msg=\"configuration read again\"", 2)
	eventually(t, "the torrent is served", func() bool { return ask(id("bad"))["failure reason"] == nil })
	eventually(t, "nobody serves metrics", func() bool { _, err := http.Get(metrics); return err != nil })
	endLoad()
	tr.stop()
}

// TestReloadTLS proves that a tracker takes a certificate from other files, another key exchange and a file for the keys of
// tickets, and keeps the old ones where one of the new files is not there.
func TestReloadTLS(t *testing.T) {
	old, fresh := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour)), newPKI(t, "ecdsa", 2, time.Now().Add(time.Hour))
	tr := start(t, settings{network: old.settings()})
	f := func(by *pki) {
		t.Helper()
		eventually(t, "the certificate is served", func() bool {
			tr.client = by.client(0, nil)
			r, err := tr.client.Get("https://" + tr.addr + "/")
			if err == nil {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			return err == nil
		})
	}
	f(old)
	keys := filepath.Join(t.TempDir(), "keys")
	tr.rewrite(settings{network: strings.Replace(fresh.settings(), fresh.key, fresh.key+".none", 1)})
	tr.logged("cannot read the private key", 1)
	f(old)
	tr.rewrite(settings{network: fresh.settings() + "tls_post_quantum = false\ntls_ticket_keys_path = '" + keys + "'"})
	tr.logged("configuration read again", 1)
	f(fresh)
	if info, err := os.Stat(keys); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}
