package ctl

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"
)

// This file proves how answers look, by a file with one of each.

var update = flag.Bool("update", false, "write the golden file again")

// TestText proves the text of each answer, with and without its parts.
func TestText(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var b []byte
	title := func(name string) { b = append(append(append(b, "== "...), name...), '\n') }
	title("status")
	b = AppendStatus(b, &Status{
		Version: "v1.2.0", Kernel: "6.1.0", PID: 321, Uptime: 7300, Configuration: "/etc/millrace/millrace.toml",
		ReadAt: now.Add(-3 * time.Hour), Listening: []string{"wss://[::]:443", "ws://[::]:80"}, Clients: 10021, ClientsIPv4: 9000,
		ClientsIPv6: 1021, MostClients: 19000, Peers: 42123, Seeders: 1200, MostPeers: 10_000_000, Torrents: 3300,
		Rates:  Rates{Announces: 351.2, Offers: 1234, Answers: 0.4, Received: 1.2e6, Sent: 9.9e9},
		Memory: 123e6, MemoryLimit: 18e9, Descriptors: 10040, MostDescr: 20000, Banned: 2,
		Shards: []Shard{{5000, 21000, 1600, 0.123, 0.0021, 0.4}, {5021, 21123, 1700, 0.99, 12, 75}},
		Certificates: []Certificate{
			{"a.example", now.Add(40 * 24 * time.Hour), ""}, {"b.example", now.Add(-time.Hour), "the last try failed: no"},
			{"c.example", time.Time{}, ""},
		},
		Cluster: &Cluster{Connected: true, Nodes: []Node{{"b", "[::]:443", 12000}, {"c", "[::]:443", 1}}},
		Drain:   &Drain{312, 44}, Problems: []string{"shard 1 stands still for 75 s", "another"},
	}, now)
	title("status of a small one")
	b = AppendStatus(b, &Status{Version: "v1", Kernel: "5.10", PID: 1, Listening: []string{"ws://0.0.0.0:3000"}, Shards: []Shard{{}}}, now)
	for _, c := range []*Cluster{{}, {Connected: true}} {
		title("status of a node that is alone")
		b = AppendStatus(b, &Status{Version: "v1", Kernel: "5.10", PID: 1, Listening: []string{"ws://0.0.0.0:3000"}, Shards: []Shard{{}}, Cluster: c}, now)
	}
	title("top")
	b = AppendTop(b, &Top{Seconds: 2.04,
		Addresses: []UsageRow{{Client: "192.0.2.1", Connections: 12, Messages: 55.51, Received: 1234, Sent: 2e6, Dropped: 3}, {Client: "2001:db8::/64"}},
		Clients:   []UsageRow{{Client: "[2001:db8:1:2:3:4:5:6]:50123", Connection: "0/17.3", Connections: 1, Messages: 5}, {}},
		Torrents:  []TorrentRow{{"6f2a00000000000000000000000000000000cafe", 4, 17, 12.4}},
	})
	title("client")
	b = AppendClient(b, &Client{
		Address: "192.0.2.1", Usage: &Usage{2, 3, 1, 400, 5000, 6, 3600}, All: 7,
		Connections: []Connection{{
			Name: "0/17.3", Client: "192.0.2.1:50123", State: "open", TLS: true, Remarks: []string{"held back: it does not read"},
			Since: 4000, Silent: 3, Messages: 120, Received: 130000, Sent: 1, Dropped: 1, Waiting: 9000, HalfBuilt: 1,
			Torrents: []Peer{
				{InfoHash: "6f2a00000000000000000000000000000000cafe", PeerID: "2d5757", Software: "WebTorrent 2.5", Announced: 60},
				{InfoHash: "6f2a00000000000000000000000000000000beef", PeerID: "2d5757", Software: "unknown", Seeder: true, Quiet: true, Waits: true},
			},
		}, {Name: "1/2.1", Client: "192.0.2.1:1", State: "handshake"}},
		Events: []string{"12.003417s shard 0 …"},
	})
	title("client that is not there")
	b = AppendClient(b, &Client{Address: "192.0.2.0/24"})
	title("torrent")
	b = AppendTorrent(b, &Torrent{
		Swarms: []Swarm{{"6f2a00000000000000000000000000000000cafe", "both", 1, 2, 1, 3}, {"6f2b", "4", 0, 0, 1, 1}}, All: 4,
		Peers: []Peer{{PeerID: "2d5757", Software: "WebTorrent 2.5", Address: "192.0.2.1:50123", Announced: 7200}},
	})
	title("reload")
	b = AppendReloaded(b, &Reloaded{[]ReloadedFile{{Key: "configuration"}, {Key: "access_list.path", Error: "line 3: no info hash"}, {Key: "configuration", Note: ", but for keys that change with a restart only: socket_workers"}}})
	title("screen")
	b = append(b, bytes.ReplaceAll(appendScreen(nil, []byte("a\nb\n")), []byte("\x1b"), []byte("ESC"))...)
	const name = "testdata/text.txt"
	if *update {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(b, want) {
		t.Errorf("%v; the text is not that of %s:\n%s", err, name, b)
	}
}
