package server

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/torrents"
)

// This file proves how peers are counted by client.

// TestClientOf proves that the first bytes of peer ids in each of the customary styles, and in none, give the name and
// version that people would expect, and never one that a label cannot hold.
func TestClientOf(t *testing.T) {
	f := func(id, want string) {
		t.Helper()
		if got := clientOf(torrents.Prefix([]byte(id))); got != want {
			t.Errorf("%q is %q, want %q", id, got, want)
		}
	}
	f("-WW0008-", "WebTorrent 0.8")
	f("-WW0205-", "WebTorrent 2.5")
	f("-WW0112-", "WebTorrent 1.12")
	f("-WW1024-", "WebTorrent 10.24")
	f("-WD0024-", "WebTorrent Desktop 0.24")
	f("-PM0201-", "P2P Media Loader 2.1")
	f("-GT0003-", "anacrolix/torrent 0.0.0.3")
	f("-AZ5770-", "Vuze 5.7.7.0")
	f("-BI3500-", "BiglyBT 3.5.0.0")
	f("-LT20B0-", "libtorrent (Rasterbar) 2.0.11")
	f("-lt0D80-", "libTorrent (Rakshasa) 0.13.8")
	f("-qB4650-", "qBittorrent 4.6.5")
	f("-DE13F0-", "Deluge 1.3.15")
	f("-DE211s-", "Deluge 2.1.1")
	f("-TR0006-", "Transmission 0.6")
	f("-TR0072-", "Transmission 0.72")
	f("-TR2940-", "Transmission 2.94")
	f("-TR300Z-", "Transmission 3.00")
	f("-TR4060-", "Transmission 4.0.6")
	f("-UT3550-", "µTorrent 3.5.5")
	f("-UT341B-", "µTorrent 3.4.1 beta")
	f("-UM187A-", "µTorrent Mac 1.8.7 alpha")
	f("-BC0201-", "BitComet 2.01")
	f("-XY1234-", "XY (unknown)")
	f("-WW\x00\"\\\n-", "WebTorrent")

	f("M7-10-5-", "Mainline 7.10.5")
	f("M4-3-6--", "Mainline 4.3.6")
	f("M4-3----", "unknown")
	f("M4--3-6-", "unknown")
	f("T03I----", "BitTornado 0.3.18")
	f("S58B----", "Shadow 5.8.11")
	f("A310--xy", "ABC 3.1.0")
	f("TABC----", "unknown")
	f("T-------", "unknown")
	f("A2-1-37-", "aria2 1.37")
	f("A2-1-8-0", "aria2 1.8.0")
	f("A2-x-8-0", "unknown")

	f("-\"\\0000-", "unknown")
	f("-\n\x000000-", "unknown")
	f("-WW02050", "unknown")
	f("--------", "unknown")
	f("\x00\x00\x00\x00\x00\x00\x00\x00", "unknown")
	f("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "unknown")
	for code := range azureusClients {
		name := clientOf(torrents.Prefix([]byte("-" + code + "1234-")))
		if strings.HasSuffix(name, "(unknown)") || fmt.Sprintf("%q", name) != `"`+name+`"` {
			t.Errorf("%s is %q", code, name)
		}
	}
}

// TestPeerSeries proves that the series are sums over all shards, those of one client together, and that there are no
// more than there may be: the rest is counted in one, together with the peers that the shards could not count.
func TestPeerSeries(t *testing.T) {
	census := func(rest uint64, ids ...string) *torrents.Census {
		c := &torrents.Census{Peers: make(map[torrents.Prefix]uint64), Rest: rest}
		for _, id := range ids {
			c.Peers[torrents.Prefix([]byte(id))]++
		}
		return c
	}
	f := func(want string, all ...*torrents.Census) {
		t.Helper()
		published := make([]shard.Published, len(all))
		for k := range all {
			published[k].Census = all[k]
		}
		var b bytes.Buffer
		peerSeries(&b, "peer_clients", "client", published, clientOf)
		if b.String() != want {
			t.Errorf("got\n%swant\n%s", b.String(), want)
		}
	}
	const series = "millrace_peer_clients{client=\"%s\"} %d\n"
	f("", nil, census(0))
	f(fmt.Sprintf(series+series+series, "WebTorrent 2.5", 3, "µTorrent 3.5.5", 2, "other", 7),
		census(3, "-WW0205-", "-UT3550-", "-UT355W-"), nil, census(4, "-WW0205-"), census(0, "-WW0205-"))

	want, ids := "", []string{}
	for k := range maxClientSeries + 5 {
		id := fmt.Sprintf("-WW%02d%02d-", 10+k/100, k%100)
		ids = append(ids, id)
		if k < maxClientSeries {
			want += fmt.Sprintf("millrace_peer_id_prefixes{prefix_hex=\"%x\"} 1\n", id)
		}
	}
	var b bytes.Buffer
	peerSeries(&b, "peer_id_prefixes", "prefix_hex", []shard.Published{{Census: census(2, ids...)}},
		func(p torrents.Prefix) string { return fmt.Sprintf("%x", p) })
	if want += "millrace_peer_id_prefixes{prefix_hex=\"other\"} 7\n"; b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
