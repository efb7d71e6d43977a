package config

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// This file tests Load and the prints with right files: the defaults, every key, and a file of aquatic_ws.

// mustLoad loads a file without mistakes.
func mustLoad(t *testing.T, data []byte) *Config {
	t.Helper()
	c, err := Load("test.toml", data)
	if err != nil {
		t.Fatalf("unexpected error:\n%s", err)
	}
	return c
}

// TestDefault proves that the annotated file and the defaults of the program are the same.
func TestDefault(t *testing.T) {
	c := mustLoad(t, DefaultTOML())
	for key := range c.fields() {
		if !c.IsSet(key) {
			t.Errorf("default.toml has no key %s", key)
		}
	}
	c.set = nil
	if want := Default(); !reflect.DeepEqual(c, want) {
		t.Errorf("default.toml differs from Default():\n got %+v\nwant %+v", *c, *want)
	}
	if c := mustLoad(t, nil); string(c.AppendTOML(nil)) != strings.Replace(string(DefaultTOML()), headOfDefaults, headOfValues, 1) {
		t.Error("an empty file does not give the defaults")
	}
	if !bytes.HasPrefix(DefaultTOML(), []byte(headOfDefaults)) {
		t.Error("the first line is another one")
	}
}

// TestDefaultTOMLIsCopied proves that DefaultTOML returns a copy: its caller may change the bytes.
func TestDefaultTOMLIsCopied(t *testing.T) {
	clear(DefaultTOML())
	mustLoad(t, DefaultTOML())
	if DefaultTOML()[0] != '#' {
		t.Error("DefaultTOML returned its own memory")
	}
}

// TestPrintParsePrint proves that printing, parsing and printing again gives the same bytes, with the defaults and with
// odd text, and that a print is appended to its argument.
func TestPrintParsePrint(t *testing.T) {
	c := Default()
	c.AccessList.Path = "a \"quoted\" \\path\\ with\ttab, \x01, \x7f, newline\n, é and 🦀"
	c.Network.Address = netip.MustParseAddrPort("[fe80::1%eth0]:3000")
	c.Limits.MaxPeers = 123
	for _, c := range []*Config{Default(), c} {
		once := c.AppendTOML(nil)
		again := mustLoad(t, once).AppendTOML([]byte("before\n"))
		if string(again) != "before\n"+string(once) {
			t.Errorf("second print differs:\n%s\nfirst:\n%s", again, once)
		}
	}
}

// other returns an allowed value of the key, other than its default, as TOML.
func other(key string, field reflect.Value) string {
	special := map[string]string{
		"network.only_ipv6":                   "true", // with the IPv6 address below
		"network.address":                     `"[::1]:0"`,
		"metrics.prometheus_endpoint_address": `"127.0.0.1:9100"`,
		"log_level":                           `"trace"`,
		"tls.acme_email":                      `"admin@a.example"`,
		"tls.acme_directory":                  `"https://127.0.0.1:14000/dir"`,
		"tls.acme_storage":                    `"/else"`,
		"control.listen":                      `"unix:/else"`,
		"cluster.nats_url":                    `"tls://127.0.0.1:4222"`,
	}
	if value, ok := special[key]; ok {
		return value
	}
	switch v := field.Interface().(type) {
	case bool:
		return fmt.Sprint(!v)
	case string:
		return `"else"`
	case Tri:
		return `"require"`
	case AccessListMode:
		return `"deny"`
	case Compression:
		return `"auto"`
	case Domains:
		return `["a.example", "localhost"]`
	case []netip.Prefix:
		return `["10.0.0.0/8", "::1/128"]`
	}
	if _, isList := field.Interface().([]string); isList {
		return `["https://example.org", "null"]`
	}
	i := slices.IndexFunc(ranges, func(r rangeOf) bool { return r.key == key })
	value := ranges[i].max
	if key == "network.ping_interval" || key == "cleaning.max_peer_age" {
		value = ranges[i].min
	}
	return fmt.Sprint(value)
}

// TestEveryKey proves that every key can be set to another value than its default, is read back from the print, and is
// known to be set.
func TestEveryKey(t *testing.T) {
	fields := Default().fields()
	together := map[string]string{ // other keys that such a value needs
		"network.only_ipv6":         "network.address = '[::]:3000'",
		"network.enable_tls":        "network.tls_certificate_path = 'c'\nnetwork.tls_private_key_path = 'k'",
		"tls.acme_domains":          "network.enable_tls = true",
		"limits.max_peers":          "socket_workers = 256",
		"limits.max_pending_offers": "socket_workers = 256",
		"cluster.nats_url":          "cluster.secret_file = 's'",
		"io_uring.send_memory":      "io_uring.receive_buffers = 16\nio_uring.receive_buffer_size = 1024",
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := other(key, fields[key])
		file := key + " = " + value
		file += "\n" + together[key]
		c := mustLoad(t, []byte(file))
		_, last, _ := strings.Cut("."+key, ".")
		last = last[strings.LastIndexByte(last, '.')+1:]
		if printed := string(c.AppendTOML(nil)); !strings.Contains(printed, "\n"+last+" = "+value+"\n") {
			t.Errorf("%s: the print has no line %s = %s", key, last, value)
		}
		again := mustLoad(t, c.AppendTOML(nil))
		if got := string(appendValue(nil, again.fields()[key])); got != value {
			t.Errorf("%s: read back as %s, want %s", key, got, value)
		}
		if !c.IsSet(key) || c.IsSet("network.tcp_backlog") != (key == "network.tcp_backlog") {
			t.Errorf("%s: IsSet is wrong", key)
		}
	}
}

// TestAquatic proves that the file of aquatic_ws 0.9 loads unchanged and has the same meaning here.
func TestAquatic(t *testing.T) {
	data, err := os.ReadFile("testdata/aquatic_ws-0.9.toml")
	if err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, data)
	want := Default()
	want.SocketWorkers, want.LogLevel = 1, LogWarn
	want.Protocol.ShareSwarmsAcrossIPVersions = false
	want.Network.WebsocketMaxMessageSize, want.Network.WebsocketMaxFrameSize = 65536, 16384
	if got := string(c.AppendTOML(nil)); got != string(want.AppendTOML(nil)) {
		t.Errorf("the file was read as\n%s", got)
	}
	for _, key := range []string{"swarm_workers", "network.address", "metrics.peer_id_prefixes"} {
		if !c.IsSet(key) {
			t.Errorf("IsSet(%q) is false", key)
		}
	}
	if c.IsSet("limits.max_peers") || c.IsSet("network") {
		t.Error("IsSet is true for a key that the file does not have")
	}
}

// TestShareSwarms proves that IPv4 and IPv6 clients are in one swarm, but not by a file of aquatic_ws, which is told by a key
// that only such files have, and that the file's own word counts in any case.
func TestShareSwarms(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if got := mustLoad(t, []byte(text)).Protocol.ShareSwarmsAcrossIPVersions; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	const key = "protocol.share_swarms_across_ip_versions = "
	f("", true)
	f("socket_workers = 2", true)
	f("swarm_workers = 1", false)
	f(key+"false", false)
	f(key+"true\nswarm_workers = 1", true)
	f(key+"false\nswarm_workers = 1", false)
}

// TestFitDefaults proves that the defaults of missing keys follow the keys in the file, and that a key in the file
// keeps its value.
func TestFitDefaults(t *testing.T) {
	c := mustLoad(t, []byte(`
network.websocket_max_message_size = 1000000
cleaning = { max_connection_idle = 40, max_peer_age = 4000 }
protocol.max_offers = 100`))
	got := []int{c.Network.PingInterval, c.Cleaning.MaxQuietPeerAge, c.Limits.PendingOffersPerPeer, c.IOUring.MailboxSize}
	if want := []int{20, 4000, 100, 4 << 20}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
	mustLoad(t, c.AppendTOML(nil))

	interval := func(file string, interval, age, quiet int) {
		t.Helper()
		c := mustLoad(t, []byte(file))
		got := []int{c.Protocol.PeerAnnounceInterval, c.Cleaning.MaxPeerAge, c.Cleaning.MaxQuietPeerAge}
		if want := []int{interval, age, quiet}; !slices.Equal(got, want) {
			t.Errorf("%s: interval and ages are %d, want %d", file, got, want)
		}
	}
	interval("protocol.peer_announce_interval = 600", 600, 900, 1800)
	interval("protocol.peer_announce_interval = 2_147_483", 2_147_483, 3_221_224, 3_221_224)
	interval("cleaning.max_peer_age = 60", 40, 60, 1800)
	interval("cleaning.max_peer_age = 2", 1, 2, 1800)
	interval("cleaning.max_peer_age = 121\nprotocol.peer_announce_interval = 120", 120, 121, 1800)
	c = mustLoad(t, []byte("[limits]\ntorrents_per_connection = 65_535\nbytes_per_connection_turn = 10_000_000"))
	if l := &c.Limits; l.PeersPerAddress != 65_535 || l.BytesPerConnectionBurst != 10_000_000 {
		t.Errorf("peers_per_address is %d, bytes_per_connection_burst %d", l.PeersPerAddress, l.BytesPerConnectionBurst)
	}
	if c := mustLoad(t, []byte("limits.bad_messages_per_connection = 0")); c.Limits.BadMessagesPerConnection != 0 {
		t.Errorf("bad_messages_per_connection is %d, want 0 as in the file", c.Limits.BadMessagesPerConnection)
	}
	c = mustLoad(t, []byte("network.ping_interval = 30\ncleaning.max_connection_idle = 40"))
	if c.Network.PingInterval != 30 {
		t.Errorf("ping_interval is %d, want 30 as in the file", c.Network.PingInterval)
	}
}

// TestOrigins proves that origins are read in the form in which browsers send them.
func TestOrigins(t *testing.T) {
	c := mustLoad(t, []byte(`network.origins = ["HTTPS://Example.org:443", "http://a:80", "http://a:443", "https://[::1]:8443",
		# pages without an address
		"null"]`))
	want := []string{"https://example.org", "http://a", "http://a:443", "https://[::1]:8443", "null"}
	if !slices.Equal(c.Network.Origins, want) {
		t.Errorf("got %q, want %q", c.Network.Origins, want)
	}
}

// TestWords proves that the words of the enumerations stand for their constants.
func TestWords(t *testing.T) {
	c := mustLoad(t, []byte("log_level = 'trace'\n[io_uring]\nmin_wait = 'off'\nbuffer_ring='require'"))
	u := &c.IOUring
	if c.LogLevel != LogTrace || u.MinWait != Off || u.BufferRing != Require || u.FixedSend != Auto {
		t.Errorf("got %v, %v, %v, %v", c.LogLevel, u.MinWait, u.BufferRing, u.FixedSend)
	}
	got := fmt.Sprint(AccessListOff, AccessListAllow, AccessListDeny, LogOff, LogError, LogWarn, LogInfo, LogDebug, Tri(9))
	if want := "off allow deny off error warn info debug invalid(9)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
