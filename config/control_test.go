package config

import "testing"

// This file tests the section [control].

// TestControlListen proves that commands are taken on a unix socket or on loopback only, where no clients come.
func TestControlListen(t *testing.T) {
	f := func(lines, want string) {
		t.Helper()
		loads(t, lines, want)
	}
	f("control.listen = ''", "")
	f("control.listen = 'unix:/run/c.sock'", "")
	f("control.listen = '127.0.0.1:3001'", "")
	f("control.listen = '[::1]:3001'", "")
	f("control.listen = 'x'", `1:18: control.listen must be the path of a unix socket, such as`)
	f("control.listen = 'unix:c'", `1:18: control.listen is "unix:c", but the path of a unix socket must begin with /`)
	f("control.listen = '127.0.0.1:0'", "1:18: control.listen is 127.0.0.1:0, but must have a port, by which")
	f("control.listen = '0.0.0.0:3001'", "1:18: control.listen is 0.0.0.0:3001, but must be an address of loopback, such as")
	f("control.listen = '127.0.0.1:3000'", "1:18: control.listen is 127.0.0.1:3000, but clients come to that port of the address (0.0.0.0:3000)")
	f("control.listen = 'unix:/s'\n[[listen]]\naddress = 'unix:/s'", "1:18: control.listen is unix:/s, but clients come there")
	f("control.listen = '127.0.0.1:9000'\nmetrics.run_prometheus_endpoint = true",
		"1:18: control.listen is 127.0.0.1:9000, but metrics.prometheus_endpoint_address is 0.0.0.0:9000")
	f("control.drain_seconds = 0", "1:25: control.drain_seconds is 0, but must be from 1 to 86400")
}
