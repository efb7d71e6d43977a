package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// This file tests the sections [[listen]].

const twoListeners = `network.address = "[::]:80"
network.tls_certificate_path = "c"
network.tls_private_key_path = "k"
[[listen]]
address = "[::]:443"
tls = true
[[listen]]
address = "unix:/run/s"
unix_mode = 0o600
proxy_protocol = true
`

// TestListen proves that sections [[listen]] are read in order behind the address of [network], and read back from the print.
func TestListen(t *testing.T) {
	want := []Listen{
		{Address: "[::]:80", UnixMode: 0o660},
		{Address: "[::]:443", TLS: true, UnixMode: 0o660},
		{Address: "unix:/run/s", ProxyProtocol: true, UnixMode: 0o600},
	}
	c := mustLoad(t, []byte(twoListeners))
	for _, c := range []*Config{c, mustLoad(t, c.AppendTOML(nil))} {
		if got := c.Listeners(); !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
		if !c.NeedsTLS() || c.Listen[1].Unix() != "/run/s" || c.Listen[0].Unix() != "" {
			t.Error("TLS or the path of the unix socket is wrong")
		}
	}
	if d := Default(); d.NeedsTLS() || len(d.Listeners()) != 1 {
		t.Error("the default has TLS or several listeners")
	}
}

// TestListenMistakes proves that each mistake in a section [[listen]] is reported at its place.
func TestListenMistakes(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		if _, err := Load("f", []byte(file)); err == nil || err.Error() != "f:"+want {
			t.Errorf("%s\ngot %v, want\nf:%s", file, err, want)
		}
	}
	const tcp = "[[listen]]\naddress = '127.0.0.1:80'\n"
	f("[listen]\naddress = 1", "1:2: there may be several sections [[listen]]: write it with double brackets")
	f("listen = []", "1:1: listen is a section and not a key: write [[listen]] and its keys below")
	f("[[lisen]]", "1:3: unknown section [lisen]: did you mean [[listen]]?")
	f("[listen[0]]", "1:8: the line is not TOML: expected ']' to close table name")
	f(tcp+"tsl = true", `3:1: unknown key "listen[0].tsl": did you mean "listen[0].tls"?`)
	f(tcp+"tls = 1", "3:7: listen[0].tls must be true or false, not 1")
	f("[[listen]]", `1:3: listen[0].address must be an IP address and a port, such as "[::]:443", or the path of a unix socket, `+
		`such as "unix:/run/millrace/ws.sock", but "" is neither`)
	f("[[listen]]\naddress = 'unix:s'", `2:11: listen[0].address is "unix:s", but the path of a unix socket must begin with / `+
		`and have 107 bytes at most`)
	f(tcp+"only_ipv6 = true", "3:13: listen[0].only_ipv6 is true, but the address is 127.0.0.1:80")
	f(tcp+"unix_mode = 0o1000", "3:13: listen[0].unix_mode is 512, but must be from 0o000 to 0o777: write permissions with 0o "+
		"before them, such as 0o660")
	f(tcp+tcp, "4:11: listen[1].address is 127.0.0.1:80, but the tracker listens on 127.0.0.1:80 already")
	f("[[listen]]\naddress = '127.0.0.1:3000'", "2:11: listen[0].address is 127.0.0.1:3000, but the tracker listens on "+
		"0.0.0.0:3000 already")
	const local = "[[listen]]\naddress = 'unix:/s'\n"
	f(local+local, "4:11: listen[1].address is unix:/s, but the tracker listens on unix:/s already")
	f("metrics.run_prometheus_endpoint = true\n[[listen]]\naddress = '127.0.0.1:9000'", "3:11: listen[0].address is "+
		"127.0.0.1:9000, but metrics.prometheus_endpoint_address is 0.0.0.0:9000: give one of them another port")
	f(tcp+"tls = true\n[network]\ntls_private_key_path = 'k'",
		"3:7: listen[0].tls is true, but needs network.tls_certificate_path, which is empty, or tls.acme_domains")
	f(strings.Repeat("[[listen]]\naddress = '127.0.0.1:0'\n", 16), "31:3: there are more than 15 sections [[listen]]")
}

// TestNextListen proves that listeners count as changed when one comes, goes or speaks otherwise.
func TestNextListen(t *testing.T) {
	now := mustLoad(t, []byte(twoListeners))
	f := func(next *Config, want ...string) {
		t.Helper()
		merged, changed, kept, err := now.Next(next)
		if err != nil || !slices.Equal(changed, want) || len(kept) > 0 || !slices.Equal(merged.Listen, next.Listen) {
			t.Errorf("changed %v, kept %v, %v, want %v", changed, kept, err, want)
		}
	}
	f(mustLoad(t, []byte(twoListeners)))
	f(mustLoad(t, []byte(strings.Replace(twoListeners, "tls = true", "tls = false", 1))), "listen")
	f(mustLoad(t, []byte(twoListeners+"[[listen]]\naddress = '127.0.0.1:1'")), "listen")
	f(mustLoad(t, []byte(strings.Replace(twoListeners, "[::]:80", "[::]:81", 1))), "network.address")
}
