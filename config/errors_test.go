package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// This file tests the errors of Load: their words, their places, and that each mistake has one.

// loads loads a file, and checks that its first mistake begins as wanted; "": that it has none. It returns the error.
func loads(t *testing.T, file, want string) error {
	t.Helper()
	_, err := Load("f", []byte(file))
	switch {
	case want == "" && err != nil, want != "" && err == nil:
		t.Errorf("%q: %v", file, err)
	case want != "" && !strings.HasPrefix(err.Error(), "f:"+want):
		t.Errorf("%q:\n%v\nwant\n%s", file, err, want)
	}
	return err
}

// TestMistakes proves that each kind of mistake gives one sentence, in the expected words and at the expected place,
// and nothing else.
func TestMistakes(t *testing.T) {
	f := func(file string, want ...string) {
		t.Helper()
		_, err := Load("f", []byte(file))
		got := fmt.Sprint(err)
		if err != nil {
			got = "f:" + strings.ReplaceAll(strings.TrimPrefix(got, "f:"), "\nf:", "\n")
		}
		if want := "f:" + strings.Join(want, "\n"); got != want {
			t.Errorf("in the file\n%s\ngot\n%s\nwant\n%s", file, got, want)
		}
	}

	// Names.
	f("[network]\nadress = 1", `2:1: unknown key "network.adress": did you mean "network.address"?`)
	f("address = 1", `1:1: unknown key "address": did you mean "network.address"?`)
	f("[protocol]\nmax_peer_age = 1", `2:1: unknown key "protocol.max_peer_age": did you mean "cleaning.max_peer_age"?`)
	f("nonsense = 1", `1:1: unknown key "nonsense": no known name is similar, -p prints them all`)
	f(strings.Repeat("x", 99)+" = 1",
		`1:1: unknown key "`+strings.Repeat("x", 60)+`…": no known name is similar, -p prints them all`)
	f("\"network.address\" = 1",
		`1:1: unknown key "\"network.address\"": did you mean "network.address"?`)
	f("[netwrk]\naddress = 1\n[cleanin]", `1:2: unknown section [netwrk]: did you mean [network]?`,
		`3:2: unknown section [cleanin]: did you mean [cleaning]?`)
	f("[network.address]", `1:2: network.address is a key and not a section: write network.address = …`)
	f("[[network]]", "1:3: there is one section [network]: write it with single brackets")
	f("network = 1", "1:1: network is a section and not a key: write [network] and its keys below")
	f("swarm_workers = 1\nswarm_workers = 2", "2:1: swarm_workers has been set in line 1 already")
	f("network.only_ipv6 = false\n[network]\n only_ipv6 = true", "3:2: network.only_ipv6 has been set in line 1 already")
	f("[network]\n[protocol]\n[network]", "3:2: the section [network] has begun in line 1 already: put its keys there")

	// Types.
	f("[network]\ntcp_backlog  =  'é'", `2:17: network.tcp_backlog must be a whole number, not "é"`)
	f("access_list = { path = 'éé', mode = 1 }", `1:37: access_list.mode must be one of "off", "allow", "deny", not 1`)
	f("socket_workers = 1.5", "1:18: socket_workers must be a whole number, not 1.5")
	f("socket_workers = 2026-01-01", "1:18: socket_workers must be a whole number, not 2026-01-01")
	f("socket_workers = [1]", "1:18: socket_workers must be a whole number, not a list")
	f("socket_workers = {}", "1:18: socket_workers must be a whole number, not a table")
	f("socket_workers = 007", "1:18: the line is not TOML: integers cannot have leading zeroes")
	f("socket_workers = 1__0", "1:19: the line is not TOML: number must have at least one digit between underscores")
	f("socket_workers = 99999999999999999999",
		"1:18: socket_workers must be a whole number, but 99999999999999999999 is too large")
	f("cpu_pinning.active = 'yes'", `1:22: cpu_pinning.active must be true or false, not "yes"`)
	f("network.trusted_proxies = ['10.0.0.0/8', 'proxy']",
		`1:27: network.trusted_proxies must be a list of networks, such as ["127.0.0.1", "10.0.0.0/8", "fd00::/8"], `+
			`but "proxy" is not one`)
	f("network.trusted_proxies = '10.0.0.0/8'",
		`1:27: network.trusted_proxies must be a list of networks, such as ["127.0.0.1", "10.0.0.0/8", "fd00::/8"], `+
			`not "10.0.0.0/8"`)
	f("access_list.path = 1", "1:20: access_list.path must be text in quotes, not 1")
	f("io_uring.min_wait = 'on'", `1:21: io_uring.min_wait must be one of "auto", "off", "require", not "on"`)
	f("io_uring.min_wait = true", `1:21: io_uring.min_wait must be one of "auto", "off", "require", not true`)
	f("log_level = 'INFO'",
		`1:13: log_level must be one of "off", "error", "warn", "info", "debug", "trace", not "INFO"`)
	const address = `network.address must be an IP address and a port, such as "0.0.0.0:3000" or "[::]:3000", `
	for _, bad := range []string{"localhost:3000", "0.0.0.0", ":3000", "::1:3000", "1.2.3.4:65536", ""} {
		f("network.address = '"+bad+"'", fmt.Sprintf("1:19: %sbut %q is not one", address, bad))
	}
	f("network.address = 3000", "1:19: "+address+"not 3000")

	// Text that is not TOML.
	f("socket_workers 1\nswarm_workers = ''", "1:16: the line is not TOML: expected '=' after key",
		`2:17: swarm_workers must be a whole number, not ""`)
	f("[network\naddress = 1\n[cleaning]\nmax_offer_age = 0",
		"1:9: the line is not TOML: expected ']' to close table name",
		"4:17: cleaning.max_offer_age is 0, but must be from 1 to 100000000")
	f("network.only_ipv6 = false\n[network]\ntcp_backlog = 1",
		"2:2: the line is not TOML: table network already exists as defined by a dotted key")
	f("swarm_workers = ", "1:16: the line is not TOML: expected value, not end of input")
	f("a = \"\xff\"", "1:6: the line is not TOML: invalid UTF-8 character in basic string")
}

// TestWrongValues proves that a value out of range, or in contradiction to another key, is refused.
func TestWrongValues(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		if _, err := Load("f", []byte(file)); fmt.Sprint(err) != "f:"+want {
			t.Errorf("in the file\n%s\ngot\n%v\nwant\nf:%s", file, err, want)
		}
	}
	f("socket_workers = 257", "1:18: socket_workers is 257, but must be from 0 to 256")
	f("socket_workers = -1", "1:18: socket_workers is -1, but must be from 0 to 256")
	f("io_uring.entries = 5000", "1:20: io_uring.entries is 5000, but must be a power of two from 64 to 32768")
	f("cleaning.max_connection_idle = 0",
		"1:32: cleaning.max_connection_idle is 0, but must be from 2 to 100000000")
	f("protocol.max_offers = 100_000", "1:23: protocol.max_offers is 100000, but must be from 0 to 1024")
	f("network.websocket_max_message_size = 1_000_000_000",
		"1:38: network.websocket_max_message_size is 1000000000, but must be from 1024 to 16777216")

	f("protocol.max_scrape_torrents = 4097", "1:32: protocol.max_scrape_torrents is 4097, but must be from 0 to 4096")
	f("limits.torrents_per_connection = 65536",
		"1:34: limits.torrents_per_connection is 65536, but must be from 1 to 65535")
	f("limits.bad_messages_per_connection = 65535",
		"1:38: limits.bad_messages_per_connection is 65535, but must be from 0 to 65534")

	const origins = `1:19: network.origins must be a list of origins, such as ["https://example.org", ` +
		`"http://localhost:8080"], `
	f("network.origins = 'https://example.org'", origins+`not "https://example.org"`)
	f("network.origins = [1]", origins+"but 1 is not one")
	for _, bad := range []string{"", "*", "example.org", "https://", "https://example.org/", "https://user@example.org",
		"https://example.org:", "https://example.org?q", "https://a b", "Null"} {
		f("network.origins = ['https://example.org', '"+bad+"']", fmt.Sprintf("%sbut %q is not one", origins, bad))
	}
	f("limits.memory_limit = 16_777_215",
		"1:23: limits.memory_limit is 16777215, but must be 0 or at least 16777216 bytes")
	f("limits.connections_per_address = 0",
		"1:34: limits.connections_per_address is 0, but must be from 1 to 16777216")
	f("limits.exempt = ['campus']", `1:17: limits.exempt must be a list of networks, such as `+
		`["127.0.0.1", "10.0.0.0/8", "fd00::/8"], but "campus" is not one`)
	f("limits.peers_per_address = 8191", "1:28: limits.peers_per_address is 8191, but must be at least 8192, "+
		"as much as limits.torrents_per_connection")
	f("limits.bytes_per_connection_burst = 16_383", "1:37: limits.bytes_per_connection_burst is 16383, "+
		"but must be at least 16384, as much as limits.bytes_per_connection_turn")

	f("network.ping_interval = 180", "1:25: cleaning.max_connection_idle is 180, but must be at least 181, "+
		"one more than network.ping_interval")
	f("cleaning.max_quiet_peer_age = 179", "1:31: cleaning.max_quiet_peer_age is 179, but must be at least 180, "+
		"as much as cleaning.max_peer_age")
	f("cleaning.max_peer_age = 120\nprotocol.peer_announce_interval = 120", "1:25: cleaning.max_peer_age is 120, "+
		"but must be at least 121, one more than protocol.peer_announce_interval")
	f("[protocol]\npeer_announce_interval = 2000\n[cleaning]\nmax_quiet_peer_age = 1800", "4:22: "+
		"cleaning.max_quiet_peer_age is 1800, but must be at least 3000, as much as cleaning.max_peer_age")
	f("protocol.peer_announce_interval = 2_147_484",
		"1:35: protocol.peer_announce_interval is 2147484, but must be from 1 to 2147483")
	f("limits.pending_offers_per_peer = 9", "1:34: limits.pending_offers_per_peer is 9, but must be at least 10, "+
		"as much as protocol.max_offers")
	f("io_uring.mailbox_size = 262144", "1:25: io_uring.mailbox_size is 262144, but must be at least 524288, "+
		"a power of two that holds four times network.websocket_max_message_size")
	const ring = "io_uring.receive_buffers times io_uring.receive_buffer_size and io_uring.send_memory " +
		"come to %d bytes, but must be at most 1072693248 together"
	f("io_uring.send_memory = 1_068_498_945", "1:24: "+fmt.Sprintf(ring, 1072693249))
	f("[io_uring]\nreceive_buffers = 16_384\nreceive_buffer_size = 65_536", "2:19: "+fmt.Sprintf(ring, 1082130432))
	const busy = "clients come to that port of the address (network.address is 0.0.0.0:3000): give it another port"
	const metrics = "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = "
	f(metrics+`"0.0.0.0:3000"`, "3:31: metrics.prometheus_endpoint_address is 0.0.0.0:3000, but "+busy)
	f(metrics+`"127.0.0.1:3000"`, "3:31: metrics.prometheus_endpoint_address is 127.0.0.1:3000, but "+busy)
	f("network.only_ipv6 = true", "1:21: network.only_ipv6 is true, but network.address is the IPv4 address 0.0.0.0")
	f("network.only_ipv6 = true\nnetwork.address = '[::ffff:10.0.0.1]:1'",
		"1:21: network.only_ipv6 is true, but network.address is the IPv4 address 10.0.0.1")
	f("network.enable_tls = true\nnetwork.tls_private_key_path = 'k'",
		"1:22: network.enable_tls is true, but needs network.tls_certificate_path, which is empty, or tls.acme_domains")
	f("network.tls_certificate_path = 'c'\nnetwork.enable_tls = true",
		"2:22: network.enable_tls is true, but needs network.tls_private_key_path, which is empty")
	for need, needed := range map[string]string{
		"multishot_receive": "buffer_ring", "defer_taskrun": "single_issuer",
		"fixed_send": "registered_buffers", "min_wait": "timed_wait",
	} {
		f(fmt.Sprintf("[io_uring]\n%s = 'off'\n%s = 'require'", needed, need),
			fmt.Sprintf(`3:%d: io_uring.%s is "require", but needs io_uring.%s, which is "off"`, len(need)+4, need, needed))
	}
}

// TestTLSPaths proves that a path may be set while TLS is off, that one error asks for both paths, and that a path of a
// wrong type is not called empty as well.
func TestTLSPaths(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		if _, err := Load("f", []byte(file)); err != nil && err.Error() != want || (err == nil) != (want == "") {
			t.Errorf("in the file\n%s\ngot\n%v\nwant\n%s", file, err, want)
		}
	}
	f("network.tls_certificate_path = 'c'", "")
	f("network.tls_private_key_path = 'k'\nnetwork.enable_tls = false", "")
	f("network = { enable_tls = true, tls_certificate_path = 'c', tls_private_key_path = 'k' }", "")
	f("network.enable_tls = true",
		"f:1:22: network.enable_tls is true, but needs network.tls_certificate_path, which is empty, or tls.acme_domains\n"+
			"f:1:22: network.enable_tls is true, but needs network.tls_private_key_path, which is empty")
	f("[network]\nenable_tls = true\ntls_certificate_path = 1\ntls_private_key_path = 'k'",
		"f:3:24: network.tls_certificate_path must be text in quotes, not 1")
}

// TestACME proves that each mistake in [tls] is reported, and that certificates come from files or from a server.
func TestACME(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		if _, err := Load("f", []byte(file)); err != nil && err.Error() != want || (err == nil) != (want == "") {
			t.Errorf("in the file\n%s\ngot\n%v\nwant\n%s", file, err, want)
		}
	}
	const on = "network.enable_tls = true\n[tls]\nacme_domains = ['A.example']\n"
	f(on, "")
	f(on+"acme_email = ''\nacme_directory = 'https://127.0.0.1:14000/dir'", "")
	f("tls.acme_domains = ['a.example']", "f:1:20: tls.acme_domains has names, but no listener speaks TLS: set network.enable_tls = true")
	f("tls.acme_domains = ['a.example']\ntls.acme_http_port = 0\n[[listen]]\naddress = '[::]:443'\ntls = true",
		"f:2:22: tls.acme_http_port is 0, but must be from 1 to 65535")
	f("network.tls_private_key_path = 'k'\n"+on, "f:4:16: tls.acme_domains has the tracker get its certificates, but "+
		"network.tls_private_key_path names one: leave one of them out")
	f(on+"acme_email = 'admin'", `f:4:14: tls.acme_email must be an address such as "admin@example.org", but is "admin"`)
	f(on+"acme_directory = 'http://a/dir'",
		`f:4:18: tls.acme_directory must be the https:// address of an ACME directory, but is "http://a/dir"`)
	f(on+"acme_storage = 'certs'", `f:4:16: tls.acme_storage must be the whole path of a folder, but is "certs"`)
	const want = `f:1:20: tls.acme_domains must be a list of host names, such as ["tracker.example.org"], `
	f("tls.acme_domains = 'a.example'", want+`not "a.example"`)
	f("tls.acme_domains = ['192.0.2.1']", want+`but "192.0.2.1" is not one`)
	f("tls.acme_domains = ['-a.example']", want+`but "-a.example" is not one`)
	f("tls.acme_domains = ['a.example:443']", want+`but "a.example:443" is not one`)
	f("tls.acme_domains = [1]", want+"but 1 is not one")
	f("tls.acme_domains = ['a.example', 'A.example']", `f:1:20: tls.acme_domains has "A.example" twice`)
	f("tls.acme_domains = ['*.a.example']", `f:1:20: tls.acme_domains must not have "*.a.example": certificates for wildcards `+
		`need records in the DNS; get it with another ACME client, and name its files in [network]`)
}

// TestLimitsPerShard proves that a limit for all shards together is accepted up to the capacity of the shards in the
// file, and refused above it: no table lowers it later.
func TestLimitsPerShard(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		if _, err := Load("f", []byte(file)); err != nil && err.Error() != want || (err == nil) != (want == "") {
			t.Errorf("in the file\n%s\ngot\n%v\nwant\n%s", file, err, want)
		}
	}
	f("limits.max_peers = 16_777_216", "")
	f("limits.max_peers = 16_777_217", "f:1:20: limits.max_peers is 16777217, but must be at most 16777216, "+
		"as much as one shard can hold: for more, set socket_workers")
	f("socket_workers = 1\nlimits.max_peers = 16_777_216", "")
	f("socket_workers = 3\nlimits.max_peers = 50_331_648", "")
	f("socket_workers = 3\nlimits.max_peers = 50_331_649", "f:2:20: limits.max_peers is 50331649, "+
		"but must be at most 50331648, 16777216 for each shard of socket_workers")
	f("socket_workers = 256\nlimits.max_peers = 4_294_967_297",
		"f:2:20: limits.max_peers is 4294967297, but must be from 1 to 4294967296")
	f("socket_workers = 'x'\nlimits.max_peers = 50_331_649",
		`f:1:18: socket_workers must be a whole number, not "x"`)

	f("limits.max_pending_offers = 67_108_862", "")
	f("limits.max_pending_offers = 67_108_863", "f:1:29: limits.max_pending_offers is 67108863, "+
		"but must be at most 67108862, as much as one shard can hold: for more, set socket_workers")
	f("socket_workers = 2\nlimits.max_pending_offers = 134_217_724", "")
	f("socket_workers = 2\nlimits.max_pending_offers = 134_217_725", "f:2:29: limits.max_pending_offers is "+
		"134217725, but must be at most 134217724, 67108862 for each shard of socket_workers")
}

// TestMemoryNeeds proves, to the byte, that a size of memory in the file must suffice for the other keys, and that a
// missing one follows them.
func TestMemoryNeeds(t *testing.T) {
	f := func(key, others string, least int, why string) {
		t.Helper()
		file := func(size int) []byte { return fmt.Appendf(nil, "%s = %d\n%s", key, size, others) }
		mustLoad(t, file(least))
		want := fmt.Sprintf("f:1:%d: %s is %d, but must be at least %d, %s", len(key)+4, key, least-1, least, why)
		if _, err := Load("f", file(least-1)); fmt.Sprint(err) != want {
			t.Errorf("with %s: got\n%v\nwant\n%s", others, err, want)
		}
		c := mustLoad(t, []byte(others))
		if got, want := int(c.fields()[key].Int()), max(least, int(Default().fields()[key].Int())); got != want {
			t.Errorf("with %s, %s is %d where it is not set, want %d", others, key, got, want)
		}
		mustLoad(t, c.AppendTOML(nil))
	}
	const message, head = "network.websocket_max_message_size", "network.max_request_head"
	const assembly = "four buffers, each a power of two, for "
	f("io_uring.assembly_memory", "", 4*262144, assembly+message)
	f("io_uring.assembly_memory", message+" = 65_522", 4*65536, assembly+message) // 14 bytes less than 64 KiB
	f("io_uring.assembly_memory", message+" = 65_523", 4*131072, assembly+message)
	f("io_uring.assembly_memory", message+" = 16_777_216", 4*33554432, assembly+message)
	f("io_uring.assembly_memory", message+" = 1024\n"+head+" = 100_000", 4*131072, assembly+head)
	f("io_uring.assembly_memory", message+" = 1024\nio_uring.receive_buffer_size = 65_536", 4*65536,
		assembly+"io_uring.receive_buffer_size")

	const growing = "three halves of a power of two that holds "
	f("limits.assembly_bytes_per_address", "", 3*131072, growing+message)
	f("limits.assembly_bytes_per_address", message+" = 1024\n"+head+" = 100_000", 3*65536, growing+head)

	const scrape = "protocol.max_scrape_torrents"
	const send = "a frame for " + message + " or " + scrape + " and twelve times network.websocket_write_buffer_size"
	f("io_uring.send_memory", "", 262144+12*8192, send)
	f("io_uring.send_memory", message+" = 64_512", 65536+12*8192, send) // 1024 bytes less than 64 KiB
	f("io_uring.send_memory", message+" = 64_513", 131072+12*8192, send)
	f("io_uring.send_memory", "network.websocket_write_buffer_size = 4_194_304", 262144+12*4194304, send)
	f("io_uring.send_memory", scrape+" = 4096", 1048576+12*8192, send)
	f("limits.send_bytes_per_address", message+" = 8_380_000", 8388608+12*8192, "as much as io_uring.send_memory must be")
	const tls = "\nnetwork.enable_tls = true\nnetwork.tls_certificate_path = 'c'\nnetwork.tls_private_key_path = 'k'"
	f("io_uring.send_memory", message+" = 16_777_216"+tls, 2*33554432+12*8192, send)
	f("io_uring.send_memory", message+" = 8_380_000", 8388608+12*8192, send)
	f("io_uring.send_memory", message+" = 8_380_000"+tls, 2*16777216+12*8192, send) // the records are longer than 8 MiB
}

// TestAllMistakesAtOnce proves that the error lists all mistakes in the order of the file, and that a wrong value
// causes no report about other keys.
func TestAllMistakesAtOnce(t *testing.T) {
	file, err := os.ReadFile("testdata/mistakes.toml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load("mistakes.toml", file)
	if got := fmt.Sprint(err) + "\n"; got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestManyMistakes proves that neither the error nor the work grows without bound.
func TestManyMistakes(t *testing.T) {
	for _, line := range []string{"a = \"\"\"\n", "swarm_workers = 1\n", "x = 1\n", "[a]\n", "[network]\n"} {
		_, err := Load("f", []byte(strings.Repeat(line, maxFileSize/len(line))))
		if lines := strings.Count(fmt.Sprint(err), "\n"); lines > maxMistakes {
			t.Errorf("%q many times: the error has %d lines more than one", line, lines)
		}
	}
	_, err := Load("f", make([]byte, maxFileSize+1))
	want := "f:1:1: the file has 1048577 bytes, but a configuration has at most 1048576"
	if fmt.Sprint(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzLoad proves that no file makes Load panic, and that Load returns either an error with a place in each line, or a
// configuration that prints, loads and prints as the same bytes.
func FuzzLoad(f *testing.F) {
	f.Add(defaultTOML)
	for _, name := range []string{"testdata/aquatic_ws-0.9.toml", "testdata/mistakes.toml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("network = { address = \"[::1]:1\", # comment\n }\r\n[io_uring]\nentries = 0x40\n"))
	f.Add([]byte("a.\"b\".'c' = [1, {d = 1979-05-27T07:32:00Z}]\n[[network]]\n[network.x]\n\"\" = '''\n'''"))
	f.Add([]byte("access_list.path = \"\\u00e9\\n\\\"\\\\\"\nprivileges.user = \"\"\"a\nb\"\"\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Load("f", data)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "f:") {
					t.Fatalf("a line without a place: %q", line)
				}
			}
			return
		}
		once := c.AppendTOML(nil)
		again, err := Load("printed", once)
		if err != nil {
			t.Fatalf("the print is wrong: %s\n%s", err, once)
		}
		if string(again.AppendTOML(nil)) != string(once) {
			t.Fatalf("the second print differs from\n%s", once)
		}
	})
}
