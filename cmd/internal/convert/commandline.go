package convert

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// This file reads the command line of bittorrent-tracker, as it stands in a script or in the ExecStart of a unit.

const btPort = 8000 // its default

// isCommandLine reports whether a text is a command line: its first line that is no comment names the program, or begins with
// an option.
func isCommandLine(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		return line[0] == '-' || bytes.Contains(line, []byte("bittorrent-tracker"))
	}
	return false
}

func fromCommandLine(name, text string) (Result, error) {
	var d draft
	host, port := "::", strconv.Itoa(btPort)
	kinds := map[string]bool{}
	words := strings.Fields(strings.ReplaceAll(text, "\\\n", " "))
	for k := 0; k < len(words); k++ {
		option, value, joined := strings.Cut(words[k], "=")
		if !strings.HasPrefix(option, "-") {
			continue // the program, or a comment's word
		}
		// next returns the option's value, which may be the next word.
		next := func() string {
			if !joined && k+1 < len(words) {
				k++
				value = words[k]
			}
			return strings.Trim(value, `"'`)
		}
		switch option {
		case "-p", "--port":
			port = next()
		case "--http-hostname":
			host = next()
		case "--udp-hostname", "--udp6-hostname":
			next()
			d.note("%s has no counterpart: there is no UDP here.", option)
		case "--trust-proxy":
			d.set("network", "trusted_proxies", list([]string{"127.0.0.0/8", "::1/128"}))
			d.note("--trust-proxy believes everybody. Here the networks of the proxies are named: network.trusted_proxies is this " +
				"machine; add others.")
		case "--interval":
			d.interval(next())
		case "--http", "--udp", "--ws":
			kinds[option] = true
		case "-q", "--quiet":
			d.set("", "log_level", quoted("warn"))
		case "-s", "--silent":
			d.set("", "log_level", quoted("off"))
		case "--stats":
			d.note("--stats: the figures are a page for Prometheus here (metrics.run_prometheus_endpoint).")
		default:
			d.note("%s has no counterpart and is left out.", option)
		}
	}
	if len(kinds) == 0 || kinds["--http"] || kinds["--udp"] {
		d.note("Clients over HTTP and UDP are not served here, only those over WebSocket.")
	}
	d.address(host, port)
	return d.finish("bittorrent-tracker", name)
}

// interval sets the announce interval, which is milliseconds there and seconds here.
func (d *draft) interval(text string) {
	ms, err := strconv.Atoi(text)
	if err != nil || ms < 1000 {
		d.note("--interval is %q, not a number of milliseconds: it is left out.", text)
		return
	}
	d.set("protocol", "peer_announce_interval", strconv.Itoa(ms/1000))
}

// address sets the address of the listener.
func (d *draft) address(host, port string) {
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if _, err := netip.ParseAddr(host); err != nil {
		d.note("The host %q is a name, and network.address must be an IP address: all addresses are taken.", host)
		host = "::"
	}
	d.set("network", "address", quoted(net.JoinHostPort(host, port)))
}
