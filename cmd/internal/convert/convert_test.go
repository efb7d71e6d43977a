package convert

import (
	"os"
	"strings"
	"testing"

	"millrace/config"
)

// This file proves what becomes of the settings of other trackers.

// Each setting with a counterpart becomes a key, each other one a note, and the result is a file that loads.
func TestRead(t *testing.T) {
	f := func(text, from, want string, notes ...string) {
		t.Helper()
		got, err := Read("their.conf", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if got.From != from || strings.TrimSpace(string(got.TOML)) != strings.TrimSpace(want) {
			t.Errorf("%s\nis of %s and becomes\n%s\nwant\n%s", text, got.From, got.TOML, want)
		}
		if len(got.Notes) != len(notes) {
			t.Errorf("%s: the notes are %q, want %q", text, got.Notes, notes)
			return
		}
		for k, note := range notes {
			if !strings.Contains(got.Notes[k], note) {
				t.Errorf("%s: note %d is %q, want %q", text, k, got.Notes[k], note)
			}
		}
		if _, err := config.Load("made.toml", got.Append(nil, "their.conf")); err != nil {
			t.Errorf("%s: the file does not load: %v", text, err)
		}
	}
	f(`{}`, "wt-tracker", "[network]\naddress = \"0.0.0.0:8000\"")
	f(`{"servers":[{"server":{"port":8443,"host":"localhost","key_file_name":"k","cert_file_name":"c","passphrase":"1",
		"ssl_ciphers":"x"},"websockets":{"path":"/a","maxPayloadLength":65536,"idleTimeout":240,"compression":1,
		"maxConnections":500}},{"server":{"port":1,"host":"127.0.0.1","key_file_name":"l","cert_file_name":"d"}},
		{"server":{"port":2},"websockets":{"path":"/"}}],"tracker":{"maxOffers":20,"announceInterval":100,"offerSelection":"window"},
		"websocketsAccess":{"allowOrigins":["https://a.example"],"denyOrigins":["https://b.example"],"denyEmptyOrigin":true},
		"workers":2,"reusePort":true}`, "wt-tracker", `socket_workers = 2

[network]
address = "127.0.0.1:8443"
enable_tls = true
tls_certificate_path = "d"
tls_private_key_path = "l"
websocket_max_message_size = 65536
websocket_max_frame_size = 65536
max_connections = 500
origins = ["https://a.example"]
deny_missing_origin = true

[protocol]
max_offers = 20
peer_announce_interval = 100

[cleaning]
max_connection_idle = 240

[[listen]]
address = "127.0.0.1:1"
only_ipv6 = false
tls = true
proxy_protocol = false
unix_mode = 0o660

[[listen]]
address = "0.0.0.0:2"
only_ipv6 = false
tls = false
proxy_protocol = false
unix_mode = 0o660`,
		"passphrase", "servers.server.ssl_ciphers", "path is /a", "compression", "several certificates",
		"servers[2].websockets is left out", "tracker.offerSelection", "denyOrigins",
		"reusePort has no counterpart")
	f(`{"servers":[{"server":{"host":"tracker.example"},"websockets":{"idleTimeout":0,"path":"/*"}}],"tracker":{"maxOffers":1.5}}`,
		"wt-tracker", "[network]\naddress = \"0.0.0.0:8000\"", `"tracker.example" is a name`, "idleTimeout is 0", "1.5, which is not a whole")
	f("bittorrent-tracker --ws", "bittorrent-tracker", "[network]\naddress = \"[::]:8000\"")
	f("# comment\nExecStart=/usr/bin/npx bittorrent-tracker --port 9000 \\\n --http-hostname=10.0.0.1 --interval 120000 --trust-proxy -q -s\n",
		"bittorrent-tracker", `log_level = "off"

[network]
address = "10.0.0.1:9000"
trusted_proxies = ["127.0.0.0/8", "::1/128"]

[protocol]
peer_announce_interval = 120`, "--trust-proxy believes", "HTTP and UDP")
	f("--udp -p 1 --udp-hostname 1.2.3.4 --interval soon --stats --new", "bittorrent-tracker", "[network]\naddress = \"[::]:1\"",
		"no UDP here", `"soon"`, "Prometheus", "--new has no counterpart", "HTTP and UDP")
	f("socket_workers = 3\nswarm_workers = 1\n[network]\naddress = \"127.0.0.1:3000\"\n", "aquatic_ws",
		"socket_workers = 3\n\n[network]\naddress = \"127.0.0.1:3000\"", "swarm_workers", "IPv4 and IPv6")
	f("", "aquatic_ws", "")
	aquatic, err := os.ReadFile("../../../config/testdata/aquatic_ws-0.9.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Read("a.toml", aquatic); err != nil || !strings.Contains(string(got.TOML), "websocket_max_frame_size = 16384\n") ||
		strings.Contains(string(got.TOML), "swarm_workers") {
		t.Errorf("aquatic_ws's own file becomes\n%s, %v", got.TOML, err)
	}
}

// A file that is none of them, or whose values cannot be, is an error that says how it was read.
func TestReadErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, err := Read("their.conf", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || got.TOML != nil {
			t.Errorf("%q: %s, %v", text, got.TOML, err)
		}
	}
	f("{", "read as a file of wt-tracker")
	f(`{"servers": 1}`, "read as a file of wt-tracker")
	f("what is this", "read as a file of aquatic_ws")
	f(`{"servers":[{"server":{"port":"eight"}}]}`, "network.address")
	f(`{"tracker":{"announceInterval":0}}`, "peer_announce_interval is 0")
	f("bittorrent-tracker -p x", "network.address")
}

// No text makes it panic, and all that it makes loads.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"servers":[{"server":{"port":8443,"host":"::1"},"websockets":{"compression":1}}],"workers":2}`))
	f.Add([]byte("bittorrent-tracker --ws -p 9 --interval 1000"))
	f.Add([]byte("socket_workers = 3\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Read("their.conf", text)
		if err != nil {
			return
		}
		made := got.Append(nil, string(text))
		if _, err := config.Load("made.toml", made); err != nil {
			t.Fatalf("%q becomes %q: %v", text, made, err)
		}
	})
}
