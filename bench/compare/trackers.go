package main

// This file holds the trackers that take part: how each is installed, configured and started.

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"

	"millrace/bench/certificate"
)

// tracker is a server that takes part in the comparison.
type tracker struct {
	name  string // in flags and records
	title string // in tables and plots
	tls   bool   // it speaks wss
	drops bool   // it has a page of metrics that counts drops
	cores int    // CPUs that it is pinned to

	// install makes the program ready, or says why that is not possible.
	install func(context.Context, *installer) (program, error)
	// configure returns the arguments of the program and the files that it reads, by name; the program finds the files
	// in its working directory.
	configure func(place) (args []string, files map[string]string)
}

// program is an installed tracker.
type program struct {
	version string
	build   string   // how it was built
	argv    []string // program and first arguments; those of configure follow
}

// place is the place of a tracker's run.
type place struct {
	port, metricsPort int
	cores             int  // CPUs that it may use
	tls               bool // speak wss, with certificateFile and keyFile
	forForeign        bool // the client is aquatic_ws_load_test
	limits            bool // it is a millrace that knows limits for addresses
}

// Names of the files that a tracker finds in its working directory.
const (
	configFile      = "config.toml"
	certificateFile = certificate.File
	keyFile         = certificate.KeyFile
)

// Names of trackers.
const (
	millrace        = "millrace"
	millrace2       = "millrace-2"
	millraceClassic = "millrace-classic"
	millraceNoDelay = "millrace-nodelay"
	millracePlain   = "millrace-plain"
	millraceBase    = "millrace-base"
	millraceBase2   = "millrace-base-2"
	aquatic         = "aquatic"
	aquaticCurrent  = "aquatic-current"
	aquaticNoMetric = "aquatic-nometrics"
	floorServer     = "floor"
	reference       = aquatic // the others are compared to it
)

// trackers returns all known trackers. base is the commit of millrace-base and millrace-base-2; "": there are none.
func trackers(base string) []tracker {
	all := []tracker{
		{millrace, "millrace", true, true, 1, installMillrace, configureMillrace},
		{millrace2, "millrace, 2 shards", true, true, 2, installMillrace, configureMillrace},
		{millraceClassic, "millrace without ML-KEM", true, true, 1, installMillrace, configureClassic},
		{millraceNoDelay, "millrace without a window", true, true, 1, installMillrace, configureNoDelay},
		{millracePlain, "millrace without compression", true, true, 1, installMillrace, configurePlain},
		{floorServer, "floor", false, true, 1, installFloor, configureFloor},
		{aquatic, "aquatic_ws 0.9.0", true, false, 1, installAquatic("0.9.0", true), configureAquatic},
		{aquaticCurrent, "aquatic_ws, latest", true, false, 1, installAquaticLatest, configureAquatic},
		{aquaticNoMetric, "aquatic_ws 0.9.0 without metrics", true, false, 1, installAquatic("0.9.0", false),
			configureAquatic},
		{"bittorrent-tracker", "bittorrent-tracker (npm)", false, false, 1, installNode("bittorrent-tracker"), configureNode},
		{"peertube", "PeerTube's tracker (npm)", false, false, 1, installNode("@peertube/bittorrent-tracker-server"),
			configureNode},
	}
	if base != "" {
		all = append(all,
			tracker{millraceBase, "millrace at " + base, true, true, 1, installBase(base), configureMillrace},
			tracker{millraceBase2, "millrace at " + base + ", 2 shards", true, true, 2, installBase(base), configureMillrace})
	}
	return all
}

// ours reports whether a tracker is a build of millrace.
func (t *tracker) ours() bool { return isOurs(t.name) }

func isOurs(name string) bool {
	return slices.Contains([]string{millrace, millrace2, millraceClassic, millraceNoDelay, millracePlain, millraceBase, millraceBase2}, name)
}

// titleOf returns a tracker's name as tables show it.
func titleOf(name string) string {
	for _, t := range trackers("its base") {
		if t.name == name {
			return t.title
		}
	}
	return name
}

// configureMillrace runs one shard for each CPU. The metrics page is served because the load tester counts drops by it.
func configureMillrace(p place) ([]string, map[string]string) { return millraceConfig(p, "") }

// configureClassic leaves ML-KEM out of the key exchange of TLS. aquatic_ws cannot do that.
func configureClassic(p place) ([]string, map[string]string) {
	return millraceConfig(p, "tls_post_quantum = false\n")
}

// configurePlain compresses no messages, also with clients that offer it.
func configurePlain(p place) ([]string, map[string]string) {
	return millraceConfig(p, "compression = \"off\"\n")
}

// configureNoDelay answers every event at once, however much of its CPU a shard needs.
func configureNoDelay(p place) ([]string, map[string]string) {
	args, files := configureMillrace(p)
	files[configFile] += "\n[io_uring]\nmax_batch_delay_us = 0\n"
	return args, files
}

// millraceConfig is configureMillrace with more keys in the section [network].
func millraceConfig(p place, more string) ([]string, map[string]string) {
	text := fmt.Sprintf("socket_workers = %d\nlog_level = \"warn\"\n\n%s%s", p.cores, networkSection(p), more)
	switch {
	case p.forForeign:
		text += patience
	case p.limits:
		text += raisedLimits
	}
	text += fmt.Sprintf("\n[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = \"127.0.0.1:%d\"\n",
		p.metricsPort)
	return []string{"-c", configFile}, map[string]string{configFile: text}
}

// patience follows the section [network] of millrace for aquatic_ws_load_test. That client reads one message for each
// that it sends, while every announce brings it a reply and others up to ten offers. So its unread messages grow for
// ever. It also uses thousands of torrents on a connection. By its defaults millrace closes such clients.
const patience = `websocket_write_buffer_size = 1048576
send_timeout = 3600

[protocol]
reply_to_answers = true

[limits]
torrents_per_connection = 20000

[io_uring]
send_memory = 268435456
`

// raisedLimits follows the section [network] of millrace for its own load tester, all clients of which are on this machine:
// the limits are active, and so high that no load meets one.
const raisedLimits = `
[limits]
exempt = []
connections_per_address = 1000000
connections_per_address_rate = 1000000
connections_per_address_burst = 1000000
tls_handshakes_per_address = 1000000
tls_handshakes_per_address_rate = 1000000
tls_handshakes_per_address_burst = 1000000
peers_per_address = 100000000
assembly_bytes_per_address = 1000000000
send_bytes_per_address = 1000000000
offers_to_receiver_rate = 1000000
offers_to_receiver_burst = 1000000
messages_per_connection_rate = 1000000
messages_per_connection_burst = 1000000
bytes_per_connection_rate = 1000000000
bytes_per_connection_burst = 1000000000
control_frames_per_connection_rate = 1000000
control_frames_per_connection_burst = 1000000
`

// knowsLimits reports whether a build of millrace has limits for addresses: those before them refuse the keys.
func knowsLimits(p program) bool {
	defaults, err := exec.Command(p.argv[0], "-P").Output()
	return err == nil && bytes.Contains(defaults, []byte("\nexempt = "))
}

// configureAquatic runs one socket worker and one swarm worker, its minimum, and leaves all else at its default. Its
// limit for a frame would refuse an announce with ten offers of more than 1.6 kB. No profile has those.
func configureAquatic(p place) ([]string, map[string]string) {
	text := fmt.Sprintf("socket_workers = %d\nswarm_workers = 1\nlog_level = \"error\"\n\n%s", p.cores, networkSection(p))
	return []string{"-c", configFile}, map[string]string{configFile: text}
}

// networkSection returns the section [network], which millrace and aquatic_ws have in common.
func networkSection(p place) string {
	text := fmt.Sprintf("[network]\naddress = \"127.0.0.1:%d\"\n", p.port)
	if p.tls {
		text += fmt.Sprintf("enable_tls = true\ntls_certificate_path = %q\ntls_private_key_path = %q\n",
			certificateFile, keyFile)
	}
	return text
}

func configureFloor(p place) ([]string, map[string]string) {
	return []string{"-address", fmt.Sprintf("127.0.0.1:%d", p.port), "-metrics",
		fmt.Sprintf("127.0.0.1:%d", p.metricsPort)}, nil
}

func configureNode(p place) ([]string, map[string]string) {
	return []string{fmt.Sprint(p.port)}, nil
}

// freePort returns a port of 127.0.0.1 that nobody listens on now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("cannot find a free port on 127.0.0.1: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
