package main

// This file owns the tracker's process: its configuration, its start and stop, its memory and descriptors.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millrace/bench/certificate"
)

// settings are keys of a configuration file by their section; the section "" has those above all sections.
type settings map[string]map[string]string

// set sets one key to a value in TOML.
func (s settings) set(section, key, value string) {
	if s[section] == nil {
		s[section] = make(map[string]string)
	}
	s[section][key] = value
}

// text returns the configuration file.
func (s settings) text() string {
	var b strings.Builder
	for _, section := range slices.Sorted(maps.Keys(s)) { // "" comes first
		if section != "" {
			fmt.Fprintf(&b, "\n[%s]\n", section)
		}
		for _, key := range slices.Sorted(maps.Keys(s[section])) {
			fmt.Fprintf(&b, "%s = %s\n", key, s[section][key])
		}
	}
	return b.String()
}

// configFile is the name of the configuration in the tracker's folder.
const configFile = "millrace.toml"

// tracker is a running tracker.
type tracker struct {
	cmd     *exec.Cmd
	address string // of its clients
	metrics string // of its metrics page
	exited  chan struct{}
}

// startTimeout bounds the start of a tracker.
const startTimeout = 20 * time.Second

var (
	listeningLine = regexp.MustCompile(`msg=listening url=wss?://(\S+)`)
	metricsLine   = regexp.MustCompile(`url=http://(\S+?)/`)
)

// baseSettings returns the keys that every run sets. Attackers and honest clients are on this machine, so this machine
// is not exempt from the limits, if the binary knows limits.
func baseSettings(binary string, shards int, secure bool) (settings, error) {
	known, err := exec.Command(binary, "-P").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration that %s -P prints: %w", binary, err)
	}
	s := make(settings)
	s.set("", "socket_workers", strconv.Itoa(shards))
	s.set("", "log_level", `"info"`)
	s.set("network", "address", `"127.0.0.1:0"`)
	s.set("metrics", "run_prometheus_endpoint", "true")
	s.set("metrics", "prometheus_endpoint_address", `"127.0.0.1:0"`)
	if regexp.MustCompile(`(?m)^exempt = `).Match(known) {
		s.set("limits", "exempt", "[]")
	}
	if secure {
		s.set("network", "enable_tls", "true")
		s.set("network", "tls_certificate_path", strconv.Quote(certificate.File))
		s.set("network", "tls_private_key_path", strconv.Quote(certificate.KeyFile))
	}
	return s, nil
}

// startTracker starts a tracker in a folder. The kernel ends it if this program ends first (prctl(2),
// PR_SET_PDEATHSIG).
func startTracker(binary, dir string, s settings) (*tracker, error) {
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte(s.text()), 0o600); err != nil {
		return nil, fmt.Errorf("cannot write the configuration: %w", err)
	}
	if err := certificate.Write(dir); err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	t := &tracker{cmd: exec.Command(binary, "-c", configFile), exited: make(chan struct{})}
	t.cmd.Dir = dir
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	log, err := t.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", binary, err)
	}
	listening, said := make(chan string, 1), new(bytes.Buffer)
	go func() {
		t.readLog(log, said, listening)
		t.cmd.Wait()
		close(t.exited)
	}()
	select {
	case t.address = <-listening:
		return t, nil
	case <-t.exited:
		return nil, fmt.Errorf("the tracker has ended at its start: %s", said)
	case <-time.After(startTimeout):
		t.stop()
		return nil, fmt.Errorf("the tracker does not listen after %v: %s", startTimeout, said)
	}
}

// readLog reads the log to its end, since a full pipe would hold the tracker up. It sends the address of the clients
// once; lines up to then are kept.
func (t *tracker) readLog(log io.Reader, said *bytes.Buffer, listening chan<- string) {
	lines := bufio.NewScanner(log)
	for sent := false; lines.Scan(); {
		if sent {
			continue
		}
		fmt.Fprintln(said, lines.Text())
		if m := metricsLine.FindStringSubmatch(lines.Text()); m != nil {
			t.metrics = m[1]
		}
		if m := listeningLine.FindStringSubmatch(lines.Text()); m != nil {
			listening <- m[1]
			sent = true
		}
	}
}

// stop kills the tracker and waits for its end.
func (t *tracker) stop() {
	t.cmd.Process.Kill() // an error means that it has ended already
	<-t.exited
}

func (t *tracker) clientAddress() string  { return t.address }
func (t *tracker) metricsAddress() string { return t.metrics }

func (t *tracker) signal(sig os.Signal) { t.cmd.Process.Signal(sig) } // an error means that it has ended

// alive reports whether the tracker runs.
func (t *tracker) alive() bool {
	select {
	case <-t.exited:
		return false
	default:
		return true
	}
}

// resident returns the resident memory of the tracker in bytes, 0 if it has ended (proc_pid_statm(5)).
func (t *tracker) resident() int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", t.cmd.Process.Pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// descriptors returns how many descriptors the tracker has open.
func (t *tracker) descriptors() int {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", t.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return len(names)
}
