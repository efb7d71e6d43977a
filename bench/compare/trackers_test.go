package main

// This file tests the configurations that trackers get, the certificate, and the text of failed installations.

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/bench/certificate"
)

// TestConfigure proves the configuration of each tracker, word for word: the comparison depends on these lines.
func TestConfigure(t *testing.T) {
	f := func(tr string, p place, wantArgs, wantFile string) {
		t.Helper()
		for _, known := range trackers("HEAD") {
			if known.name != tr {
				continue
			}
			args, files := known.configure(p)
			if got := strings.Join(args, " "); got != wantArgs {
				t.Errorf("%s is called with %q, want %q", tr, got, wantArgs)
			}
			if got := files[configFile]; got != wantFile {
				t.Errorf("%s is configured by\n%s\nwant\n%s", tr, got, wantFile)
			}
			return
		}
		t.Errorf("there is no tracker %s", tr)
	}
	const network = "[network]\naddress = \"127.0.0.1:3001\"\n"
	const secure = network + "enable_tls = true\ntls_certificate_path = \"certificate.pem\"\ntls_private_key_path = \"key.pem\"\n"
	const metrics = "\n[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = \"127.0.0.1:3002\"\n"
	plain := place{port: 3001, metricsPort: 3002, cores: 1}
	f(millrace, plain, "-c config.toml", "socket_workers = 1\nlog_level = \"warn\"\n\n"+network+metrics)
	f(millraceBase, plain, "-c config.toml", "socket_workers = 1\nlog_level = \"warn\"\n\n"+network+metrics)
	two := plain
	two.cores, two.tls = 2, true
	f(millrace2, two, "-c config.toml", "socket_workers = 2\nlog_level = \"warn\"\n\n"+secure+metrics)
	f(millraceClassic, plain, "-c config.toml", "socket_workers = 1\nlog_level = \"warn\"\n\n"+network+
		"tls_post_quantum = false\n"+metrics)
	f(millracePlain, plain, "-c config.toml", "socket_workers = 1\nlog_level = \"warn\"\n\n"+network+
		"compression = \"off\"\n"+metrics)
	f(millraceNoDelay, plain, "-c config.toml", "socket_workers = 1\nlog_level = \"warn\"\n\n"+network+metrics+
		"\n[io_uring]\nmax_batch_delay_us = 0\n")
	f(aquatic, plain, "-c config.toml", "socket_workers = 1\nswarm_workers = 1\nlog_level = \"error\"\n\n"+network)
	over := plain
	over.tls = true
	f(aquaticNoMetric, over, "-c config.toml", "socket_workers = 1\nswarm_workers = 1\nlog_level = \"error\"\n\n"+secure)
	over.forForeign = true
	f(millrace, over, "-c config.toml", "socket_workers = 1\nlog_level = \"warn\"\n\n"+secure+patience+metrics)
	limited := plain
	limited.limits = true
	f(millrace, limited, "-c config.toml", "socket_workers = 1\nlog_level = \"warn\"\n\n"+network+raisedLimits+metrics)
	f(floorServer, plain, "-address 127.0.0.1:3001 -metrics 127.0.0.1:3002", "")
	f("bittorrent-tracker", plain, "3001", "")
}

// TestCertificate proves that certificate and key belong together and are in the form that all trackers read.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	if err := certificate.Write(dir); err != nil {
		t.Fatal(err)
	}
	certificate, key := filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile)
	if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(key)
	if err != nil || !strings.HasPrefix(string(text), "-----BEGIN PRIVATE KEY-----\n") {
		t.Errorf("the key is not in PKCS#8 form: %v", err)
	}
}

// TestLatestVersion proves that the version is found in cargo's output.
func TestLatestVersion(t *testing.T) {
	f := func(about, want string) {
		t.Helper()
		got, err := latestVersion(about)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("latestVersion(%q) = %q, %v; want %q", about, got, err, want)
		}
	}
	f("aquatic_ws #webtorrent\nHigh-performance\nversion: 0.9.0\nlicense: Apache-2.0\nrust-version: 1.70\n", "0.9.0")
	f("x\nversion: 0.9.0 (latest 0.10.1)\n", "0.10.1")
	f("rust-version: 1.70\n", "")
}

// TestReason proves that the reason for a missing program can be published: it holds no folders and no addresses.
func TestReason(t *testing.T) {
	in := &installer{root: "/home/somebody/millrace", dir: "/home/somebody/millrace/bench/compare/.trackers"}
	err := errors.New("cannot fetch `https://registry.example/x` into " + in.dir + "/x of " + in.root)
	if got, want := in.reason(err), "cannot fetch `(address)` into TRACKERS_DIR/x of ."; got != want {
		t.Errorf("the reason is %q, want %q", got, want)
	}
}
