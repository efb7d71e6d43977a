package e2e

// This file plays the faults of an operator's day on purpose, and holds the
// table in OPERATING.md that says where each of them shows.

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// row is a row of the table: where a fault shows.
type row struct{ fault, status, health, log, metric, alert string }

// readTable returns the rows by their faults.
func readTable(t *testing.T) map[string]row {
	t.Helper()
	text, err := os.ReadFile("../../config/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Where a fault shows\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := make(map[string]row)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 {
			continue
		}
		for k := range cells {
			cells[k] = strings.Trim(strings.TrimSpace(cells[k]), "`…")
		}
		rows[cells[0]] = row{cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]}
	}
	return rows
}

// sick is a tracker with a fault.
type sick struct {
	t       *testing.T
	log     lockedBuffer
	server  *server
	dir     string
	config  string
	address string
	metrics string
	tls     bool
	before  map[string]float64 // its figures before the fault
}

// startSick starts a tracker of two shards that takes commands and serves
// metrics. Further TOML follows; within it, DIR is the folder of its files. A
// shell runs the words before in the same process.
func startSick(t *testing.T, network, tables string, before ...string) *sick {
	t.Helper()
	dir, err := os.MkdirTemp("", "millrace-e2e") // that of the test may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &sick{t: t, dir: dir, config: filepath.Join(dir, "millrace.toml"), address: freeAddress(t), metrics: freeAddress(t),
		tls: strings.Contains(network, "enable_tls")}
	text := fmt.Sprintf("socket_workers = 2\n[network]\naddress = %q\nenable_http_health_checks = true\n%s\n[control]\nlisten = 'unix:DIR/c'\n"+
		"[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = %q\n%s", s.address, network, s.metrics, tables)
	s.write("millrace.toml", strings.ReplaceAll(text, "DIR", dir))
	s.write("list.txt", "")
	s.server = startLoggedServer(t, &s.log, func(state *os.ProcessState) {
		if state.ExitCode() != 0 {
			t.Errorf("the tracker ended with %v, want exit code 0", state)
		}
	}, "/bin/sh", "-c", strings.Join(append(before, `exec "$0" -c "$1"`), "; "), trackerProgram(t), s.config)
	s.eventually("the tracker takes commands", func() bool {
		return exec.Command(trackerProgram(t), "ctl", "-c", s.config, "status").Run() == nil
	})
	s.before = s.figures()
	return s
}

func (s *sick) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// eventually waits until something is so.
func (s *sick) eventually(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("not after a minute: %s", what)
		case <-retry.C:
		}
	}
}

// status returns what `millrace ctl status` prints.
func (s *sick) status() string {
	out, _ := exec.Command(trackerProgram(s.t), "ctl", "-c", s.config, "status").CombinedOutput()
	return string(out)
}

// health returns the answer to a health check: its status, or "no answer".
func (s *sick) health() string {
	asks := &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	scheme := "http"
	if s.tls {
		scheme = "https"
		asks.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	}
	r, err := asks.Get(scheme + "://" + s.address + "/health")
	if err != nil {
		return "no answer"
	}
	r.Body.Close()
	return strconv.Itoa(r.StatusCode)
}

var figureLine = regexp.MustCompile(`(?m)^([a-z_0-9]+(?:\{[^}]*\})?) (\S+)$`)

// page returns the metrics page.
func (s *sick) page() string {
	r, err := http.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// figures returns the figures of the metrics page by their series.
func (s *sick) figures() map[string]float64 {
	all := make(map[string]float64)
	for _, m := range figureLine.FindAllStringSubmatch(s.page(), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		all[m[1]] = v
	}
	return all
}

// shows requires that a fault shows everywhere where its row of the table says.
func (s *sick) shows(r row) {
	s.t.Helper()
	if r.fault == "" {
		s.t.Fatal("the table has no row for this fault")
	}
	s.eventually("the status says: "+r.status, func() bool { return strings.Contains(s.status(), r.status) })
	s.eventually("the log says: "+r.log, func() bool { return strings.Contains(s.log.String(), r.log) })
	s.eventually("a health check has: "+r.health, func() bool { return s.health() == r.health })
	now := s.figures()
	changed := false
	for series, v := range now {
		name, _, _ := strings.Cut(series, "{")
		changed = changed || name == r.metric && v != s.before[series]
	}
	if !changed {
		s.t.Errorf("%s has not changed", r.metric)
	}
	s.fires(r.alert, now)
}

// fires requires that an alert fires when things go on for three hours as they
// went from the first look to this one: counters grow by as much every minute,
// gauges stay.
func (s *sick) fires(alert string, now map[string]float64) {
	s.t.Helper()
	page := s.page()
	var b bytes.Buffer
	fmt.Fprintf(&b, "rule_files: [millrace.rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n")
	for series, v := range now {
		name, labels, _ := strings.Cut(series, "{")
		before := s.before[series]
		values := fmt.Sprintf("%v %vx180", before, v)
		if strings.HasSuffix(name, "_total") || regexp.MustCompile(`(?m)^# TYPE `+name+` counter$`).MatchString(page) {
			values = fmt.Sprintf("%v+%vx180", before, v-before)
		}
		if strings.HasSuffix(name, "_timestamp_seconds") || name == "process_start_time_seconds" { // the clock of the test begins at 0
			values = fmt.Sprintf("%vx180", v-float64(time.Now().Unix()))
		}
		labels = strings.TrimSuffix(strings.TrimSuffix(labels, "}")+`,job="millrace",instance="a"`, ",")
		fmt.Fprintf(&b, "      - {series: '%s{%s}', values: '%s'}\n", name, strings.TrimPrefix(labels, ","), values)
	}
	fmt.Fprintf(&b, "    promql_expr_test:\n      - expr: count(count by (alertname) (ALERTS{alertname=%q,alertstate=\"firing\"}))\n"+
		"        eval_time: 2h\n        exp_samples: [{labels: '{}', value: 1}]\n", alert)
	s.write("case.yml", b.String())
	rules, err := os.ReadFile("../../config/deploy/prometheus/millrace.rules.yml")
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("millrace.rules.yml", string(rules))
	check := exec.Command("promtool", "test", "rules", "case.yml")
	check.Dir = s.dir
	if out, err := check.CombinedOutput(); err != nil {
		s.t.Errorf("%s does not fire: %v\n%s", alert, err, out)
	}
}

// TestFaults shows that each fault of the table in OPERATING.md is seen where
// the table says: in the status, in health checks, in the log, in the metrics,
// and by the alert. Each is played for real.
func TestFaults(t *testing.T) {
	rows := readTable(t)
	played := map[string]func(*testing.T, row){
		"a certificate that ends within a week": faultCertificate,
		"a list that cannot be read":            faultList,
		"an event loop that stands still":       faultLoop,
		"a flood from one address":              faultFlood,
		"no descriptor left for a client":       faultDescriptors,
		"no memory left":                        faultMemory,
	}
	for fault := range rows {
		if played[fault] == nil && !strings.HasPrefix(fault, "-") && fault != "fault" {
			t.Errorf("nobody plays the fault %q of the table", fault)
		}
	}
	for fault, play := range played {
		t.Run(fault, func(t *testing.T) { play(t, rows[fault]) })
	}
}

func faultCertificate(t *testing.T, r row) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tracker"}, DNSNames: []string{"tracker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(72 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"c": {Type: "CERTIFICATE", Bytes: der}, "k": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startSick(t, fmt.Sprintf("enable_tls = true\ntls_certificate_path = %q\ntls_private_key_path = %q\n",
		filepath.Join(dir, "c"), filepath.Join(dir, "k")), "")
	s.before = map[string]float64{} // it is so from the start
	s.shows(r)
}

func faultList(t *testing.T, r row) {
	s := startSick(t, "", "[access_list]\nmode = 'deny'\npath = 'DIR/list.txt'\n")
	s.write("list.txt", "nonsense\n")
	s.server.cmd.Process.Signal(syscall.SIGHUP)
	s.shows(r)
}

// A debugger holds the thread of a loop, which is pinned to a CPU of its own.
func faultLoop(t *testing.T, r row) {
	s := startSick(t, "shutdown_timeout = 1\n", "", "export GOGC=off") // a collection would wait for the thread
	runtime.LockOSThread()                                             // the debugger is this thread
	defer runtime.UnlockOSThread()
	threads := fmt.Sprintf("/proc/%d/task", s.server.cmd.Process.Pid)
	all, err := os.ReadDir(threads)
	if err != nil {
		t.Fatal(err)
	}
	thread := 0
	for _, e := range all {
		text, err := os.ReadFile(filepath.Join(threads, e.Name(), "status"))
		if err == nil && regexp.MustCompile(`(?m)^Cpus_allowed_list:\s*\d+$`).Match(text) {
			thread, _ = strconv.Atoi(e.Name())
		}
	}
	s.eventually("the start is over", func() bool { return regexp.MustCompile(`up for ([4-9]|\d\d) s`).MatchString(s.status()) })
	if err := syscall.PtraceAttach(thread); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(thread, &status, syscall.WALL, nil); err != nil || !status.Stopped() {
		t.Fatalf("the thread does not stand still: %v, %v", status, err)
	}
	defer func() {
		if err := syscall.PtraceDetach(thread); err != nil {
			t.Error(err)
		}
		s.eventually("the problem is over", func() bool { return strings.Contains(s.log.String(), `msg="a problem is over" which="shard`) })
	}()
	// The metrics page asks the Go runtime too, and that waits for every loop, until the silence is noticed.
	s.eventually("the status has it", func() bool { return strings.Contains(s.status(), r.status) })
	s.eventually("the loop is silent for long enough", func() bool {
		for series, v := range s.figures() {
			if strings.HasPrefix(series, r.metric) && v > 10 {
				return true
			}
		}
		return false
	})
	s.shows(r)
}

func faultFlood(t *testing.T, r row) {
	s := startSick(t, "", "[limits]\nexempt = []\nconnections_per_address = 4\n")
	// Another address than that of the health checks.
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for range 5000 {
		if c, err := from.Dial("tcp", s.address); err == nil { // it may be refused at once
			c.Close()
		}
	}
	s.shows(r)
}

func faultDescriptors(t *testing.T, r row) {
	s := startSick(t, "", "", "ulimit -n 120")
	for range 150 {
		if c, err := net.Dial("tcp", s.address); err == nil {
			defer c.Close()
		}
	}
	s.shows(r)
}

func faultMemory(t *testing.T, r row) {
	s := startSick(t, "", "")
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.write("millrace.toml", string(text)+"[limits]\nmemory_limit = 33554432\n")
	s.server.cmd.Process.Signal(syscall.SIGHUP)
	s.shows(r)
}
