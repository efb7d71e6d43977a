package config

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
)

// This file owns the sections [[listen]]: the listening sockets beside the one of [network].

// Listen is a section [[listen]], or the first listening socket, which [network] describes.
type Listen struct {
	Address       string `toml:"address"`        // IP address and port, or the path of a unix socket after "unix:"
	OnlyIPv6      bool   `toml:"only_ipv6"`      // an IPv6 address takes no IPv4 clients
	TLS           bool   `toml:"tls"`            // wss instead of ws
	ProxyProtocol bool   `toml:"proxy_protocol"` // connections from trusted proxies begin with a PROXY header
	UnixMode      int    `toml:"unix_mode"`      // permissions of a unix socket
}

const (
	listenSection = "listen"
	// MaxListen bounds the sections [[listen]]: a ring has 16 listening sockets.
	MaxListen = 15

	defaultUnixMode = 0o660
	unixPrefix      = "unix:"
	longestUnixPath = 107 // unix(7): sun_path has 108 bytes, the last of them NUL
)

// Listeners returns the listening sockets, that of [network] first.
func (c *Config) Listeners() []Listen {
	n := &c.Network
	first := Listen{
		Address: n.Address.String(), OnlyIPv6: n.OnlyIPv6, TLS: n.EnableTLS, ProxyProtocol: n.ProxyProtocol,
		UnixMode: defaultUnixMode,
	}
	return append([]Listen{first}, c.Listen...)
}

// NeedsTLS reports whether a listening socket speaks TLS.
func (c *Config) NeedsTLS() bool { return c.firstTLS() != "" }

// firstTLS returns the name of the first key that asks for TLS; empty where none does.
func (c *Config) firstTLS() string {
	if c.Network.EnableTLS {
		return "network.enable_tls"
	}
	for i := range c.Listen {
		if c.Listen[i].TLS {
			return listenName(i, "tls")
		}
	}
	return ""
}

// Unix returns the path of a unix socket; empty for an IP address.
func (l Listen) Unix() string {
	path, ok := strings.CutPrefix(l.Address, unixPrefix)
	if !ok {
		return ""
	}
	return path
}

// Mode returns the permissions of a unix socket.
func (l Listen) Mode() os.FileMode { return os.FileMode(l.UnixMode) }

// SameSocket reports whether both are of the same socket, also where something else is spoken on it.
func (l Listen) SameSocket(m Listen) bool {
	return l.Address == m.Address && l.OnlyIPv6 == m.OnlyIPv6
}

// listenKeys returns the names of the keys of a section [[listen]] and the fields that they set.
func listenKeys(l *Listen) map[string]reflect.Value {
	keys := make(map[string]reflect.Value)
	v := reflect.ValueOf(l).Elem()
	for i := range v.NumField() {
		keys[v.Type().Field(i).Tag.Get("toml")] = v.Field(i)
	}
	return keys
}

// listenName returns the name of a key of section [[listen]] number i, from 0.
func listenName(i int, key string) string { return fmt.Sprintf("%s[%d].%s", listenSection, i, key) }

// checkListen returns the mistakes in the sections [[listen]].
func (c *Config) checkListen() (found []finding) {
	for i := range c.Listen {
		l := &c.Listen[i]
		blame := func(key, format string, args ...any) {
			name := listenName(i, key)
			found = append(found, finding{[]string{name}, name + " " + fmt.Sprintf(format, args...)})
		}
		address, problem := parseListen(l)
		switch {
		case problem != "":
			blame("address", "%s", problem)
		case l.OnlyIPv6 && !address.Addr().Is6():
			blame("only_ipv6", "is true, but the address is %s", l.Address)
		case l.UnixMode < 0 || l.UnixMode > 0o777:
			blame("unix_mode", "is %d, but must be from 0o000 to 0o777: write permissions with 0o before them, such as 0o660", l.UnixMode)
		}
		if m := &c.Metrics; m.RunPrometheusEndpoint && sameEndpoint(address, m.PrometheusEndpointAddress) {
			blame("address", "is %s, but metrics.prometheus_endpoint_address is %s: give one of them another port",
				l.Address, m.PrometheusEndpointAddress)
		}
		for _, other := range c.Listeners()[:i+1] {
			before, _ := netip.ParseAddrPort(other.Address)
			if other.Address == l.Address && address.Port() != 0 || l.Unix() != "" && l.Address == other.Address ||
				sameEndpoint(address, before) {
				blame("address", "is %s, but the tracker listens on %s already", l.Address, other.Address)
				break
			}
		}
	}
	return found
}

// parseListen returns the address of a section [[listen]], zero for a unix socket, or the problem with it.
func parseListen(l *Listen) (address netip.AddrPort, problem string) {
	if path := l.Unix(); path != "" {
		return address, unixProblem(path)
	}
	address, err := netip.ParseAddrPort(l.Address)
	if err != nil {
		return address, fmt.Sprintf("must be an IP address and a port, such as \"[::]:443\", or the path of a unix socket, such as "+
			"\"unix:/run/millrace/ws.sock\", but %q is neither", short(l.Address))
	}
	return address, ""
}

// unixProblem returns what is wrong with the path of a unix socket; empty if nothing is.
func unixProblem(path string) string {
	if path == "" || path[0] != '/' || len(path) > longestUnixPath {
		return fmt.Sprintf("is %q, but the path of a unix socket must begin with / and have %d bytes at most",
			short(unixPrefix+path), longestUnixPath)
	}
	return ""
}

// AppendListen appends the sections [[listen]] as TOML, each after an empty line.
func (c *Config) AppendListen(dst []byte) []byte {
	for i := range c.Listen {
		dst = append(dst, "\n[["+listenSection+"]]\n"...)
		v := reflect.ValueOf(&c.Listen[i]).Elem()
		for k := range v.NumField() {
			name := v.Type().Field(k).Tag.Get("toml")
			if name == "unix_mode" {
				dst = fmt.Appendf(dst, "%s = 0o%03o\n", name, c.Listen[i].UnixMode)
				continue
			}
			dst = append(appendValue(append(dst, name+" = "...), v.Field(k)), '\n')
		}
	}
	return dst
}
