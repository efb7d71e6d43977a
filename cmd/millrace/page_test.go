package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// This file proves, from outside, what people and programs without WebSocket get.

// TestPages proves that the page and the statistics tell of a client that has come, over ws and wss, and can be turned off by a
// reload.
func TestPages(t *testing.T) {
	tr := start(t, settings{top: "socket_workers = 2", network: "shutdown_timeout = 1"})
	p := tr.dial()
	p.send(announce(id("hash"), id("peer"), 0, nil))
	p.receive()
	eventually(t, "the statistics tell of the client", func() bool {
		_, text := get(t, "http://"+tr.addr+"/stats.json")
		var got struct{ PeersAll, TorrentsCount, ClientsCount int }
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return got.PeersAll == 1 && got.TorrentsCount == 1 && got.ClientsCount == 1
	})
	for _, path := range []string{"/", "/stats"} {
		if status, page := get(t, "http://"+tr.addr+path); status != 200 || !strings.Contains(page, "<dt>Torrents</dt><dd>1 ") {
			t.Errorf("%s: %d %s", path, status, page)
		}
	}
	if strings.Contains(tr.log.String(), "level=WARN") {
		t.Errorf("a start without a mistake warns")
	}
	tr.rewrite(settings{top: "socket_workers = 2", network: "shutdown_timeout = 1", other: "[http]\npage = false\nstats = false\n"})
	tr.logged("changed=http.page,http.stats", 1)
	eventually(t, "the pages are gone", func() bool { status, _ := get(t, "http://"+tr.addr+"/"); return status == 426 })
	tr.stop()
}
