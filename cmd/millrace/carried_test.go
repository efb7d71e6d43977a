package main

import (
	"fmt"
	"os"
	"testing"
)

// This file proves, from outside, that a hand-over leaves nothing behind that could have gone over.

// reconfigure writes the configuration anew, for the next process.
func (tr *tracker) reconfigure(s settings) {
	tr.t.Helper()
	if err := os.WriteFile(tr.config, []byte(s.file()), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// TestUpgradeFull proves that all clients go over while there are places for all, though most of them share a torrent whose home has not as
// many: to as many shards, and to more.
func TestUpgradeFull(t *testing.T) {
	const clients = 90
	address := "address = '" + freeAddr(t) + "'\nmax_connections = "
	s := settings{top: "socket_workers = 2", network: address + "1000"} // the kernel shares clients out unevenly
	tr := start(t, s)
	var peers []*peer
	for k := range clients {
		peers = append(peers, tr.dial())
		peers[k].send(announce(id("torrent"), id("%d", k), 0, nil))
		peers[k].receive()
	}
	for _, shards := range []int{2, 3} {
		s.top, s.network = fmt.Sprintf("socket_workers = %d", shards), address+"96"
		tr.reconfigure(s)
		tr.upgrade()
		for k, p := range peers {
			p.send(announce(id("torrent"), id("%d", k), 0, nil))
			if m := p.receive(); m["incomplete"] != float64(clients) {
				t.Fatalf("client %d of %d shards: %v", k, shards, m)
			}
		}
	}
}
