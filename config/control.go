package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// This file owns the section [control]: the listener for `millrace ctl`.

// Control is the section [control].
type Control struct {
	Listen       string `toml:"listen"`        // an IP address of loopback and a port, or a path after "unix:"; empty: none
	DrainSeconds int    `toml:"drain_seconds"` // over which a drain sends the clients away
}

// checkControl returns the mistakes in the section.
func (c *Config) checkControl() (found []finding) {
	const key = "control.listen"
	blame := func(format string, args ...any) {
		found = append(found, finding{[]string{key}, key + " " + fmt.Sprintf(format, args...)})
	}
	text := c.Control.Listen
	if text == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(text, unixPrefix); ok {
		for _, l := range c.Listeners() {
			if l.Address == text {
				blame("is %s, but clients come there", text)
			}
		}
		if problem := unixProblem(path); problem != "" {
			blame("%s", problem)
		}
		return found
	}
	address, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		blame("must be the path of a unix socket, such as \"unix:/run/millrace/control.sock\", or an IP address and a port, such as "+
			"\"127.0.0.1:3001\", but %q is neither", short(text))
	case address.Port() == 0:
		blame("is %s, but must have a port, by which commands find the tracker", text)
	case !address.Addr().Unmap().IsLoopback():
		blame("is %s, but must be an address of loopback, such as 127.0.0.1: commands need no password", text)
	default:
		for _, l := range c.Listeners() {
			if other, err := netip.ParseAddrPort(l.Address); err == nil && sameEndpoint(address, other) {
				blame("is %s, but clients come to that port of the address (%s): give it another port", text, l.Address)
			}
		}
		if m := &c.Metrics; m.RunPrometheusEndpoint && sameEndpoint(address, m.PrometheusEndpointAddress) {
			blame("is %s, but metrics.prometheus_endpoint_address is %s: give one of them another port", text, m.PrometheusEndpointAddress)
		}
	}
	return found
}
