package main

// This file holds many idle connections to the tracker and prints the memory that they take.

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// idleLoad is the load of the machine of run.sh idle. Its values come from the kernel's command line: the kernel hands
// unknown parameters to process 1 as environment variables.
type idleLoad struct {
	connections int
	ramp        int      // seconds
	settings    []string // further settings of the load tester, key=value
}

// idleAsked returns the load, or false if this is a machine of run.sh without idle.
func idleAsked() (l idleLoad, asked bool, err error) {
	text, asked := os.LookupEnv("idle_connections")
	if !asked {
		return l, false, nil
	}
	if l.connections, err = strconv.Atoi(text); err == nil {
		l.ramp, err = strconv.Atoi(os.Getenv("idle_ramp"))
	}
	if err != nil {
		return l, true, fmt.Errorf("cannot read idle_connections or idle_ramp of the kernel's command line: %w", err)
	}
	if text := os.Getenv("idle_settings"); text != "" {
		l.settings = strings.Split(text, ",")
	}
	return l, true, nil
}

// idleConfig is the tracker's configuration. The time limits of clients are longer than usual, since clients and
// tracker are emulated and slow. Pings are fewer.
const idleConfig = `socket_workers = 1
[network]
address = '127.0.0.1:3000'
max_connections = %d
handshake_timeout = 120
send_timeout = 120
ping_interval = 300
[cleaning]
max_connection_idle = 900
max_peer_age = 3600
max_quiet_peer_age = 7200
max_offer_age = 600
[metrics]
run_prometheus_endpoint = true
prometheus_endpoint_address = '127.0.0.1:9000'
`

// metricsURL is where idleConfig serves metrics.
const metricsURL = "http://127.0.0.1:9000/metrics"

// run lets the load tester hold idle connections to one shard of the tracker, and prints their memory.
func (l idleLoad) run() error {
	if err := raiseFileLimit(uint64(l.connections) + 1000); err != nil {
		return err
	}
	fmt.Println("the kernel is up")
	bare, err := readMemory(programs{})
	if err != nil {
		return err
	}
	tr, err := start(settings{config: fmt.Sprintf(idleConfig, l.connections+100), memlock: unlimited})
	if err != nil {
		return err
	}
	empty, err := readMemory(programs{tracker: tr.cmd.Process.Pid})
	if err == nil {
		var full memory
		if full, err = l.drive(tr.cmd.Process.Pid); full != nil {
			printMemory([]string{"bare machine", "empty tracker", "connected"}, []memory{bare, empty, full})
			// The kernel counts inodes and directory entries as reclaimable and so as available, but those of open
			// sockets cannot be reclaimed.
			taken := empty["MemAvailable"] - full["MemAvailable"] + full["SReclaimable"] - empty["SReclaimable"]
			fmt.Printf("of the machine's memory each connection takes %.2f KiB, its client included\n",
				float64(taken)/float64(l.connections))
		}
	}
	if stopErr := tr.stop(); err == nil {
		err = stopErr
	}
	fmt.Println(tr.log())
	return err
}

// drive runs the load tester and returns the memory near the end of its measurement; nil if the measurement did not
// begin.
func (l idleLoad) drive(tracker int) (full memory, err error) {
	args := []string{"-profile", "idle", "-url", "ws://127.0.0.1:3000/", "-pid", strconv.Itoa(tracker),
		"-metrics", metricsURL, "-set", fmt.Sprintf("connections=%d", l.connections),
		"-set", fmt.Sprintf("torrents=%d", max(l.connections/10, 1)), "-set", fmt.Sprintf("ramp=%d", l.ramp)}
	for _, s := range l.settings {
		args = append(args, "-set", s)
	}
	cmd := exec.Command("/millrace-load", args...)
	var report strings.Builder
	cmd.Stdout = &report
	progress, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		fmt.Println(lines.Text())
		if err != nil || !strings.HasPrefix(lines.Text(), "measuring") {
			continue
		}
		if full == nil {
			err = printMetrics()
		}
		var memoryErr error
		full, memoryErr = readMemory(programs{tracker, cmd.Process.Pid})
		err = errors.Join(err, memoryErr)
	}
	err = errors.Join(err, cmd.Wait())
	fmt.Println(report.String())
	return full, err
}

// memory holds figures of the machine and of processes, by name, in KiB.
type memory map[string]int

// memoryNames are the figures, in the order in which they are printed.
var memoryNames = []string{"MemTotal", "MemAvailable", "Slab", "SReclaimable", "SUnreclaim", "PageTables",
	"KernelStack", "TCP sockets", "tracker VmRSS", "tracker VmLck", "tracker VmPin", "load tester VmRSS"}

// programs are the processes whose memory is read, by the names of their figures.
type programs struct{ tracker, loadTester int }

var kilobytes = regexp.MustCompile(`(?m)^(\w+):\s+(\d+) kB$`)

// readMemory reads the figures of the machine and of those programs that run.
func readMemory(p programs) (memory, error) {
	m := make(memory)
	read := func(file, prefix string) error {
		text, err := os.ReadFile(file)
		for _, match := range kilobytes.FindAllStringSubmatch(string(text), -1) {
			m[prefix+match[1]], _ = strconv.Atoi(match[2])
		}
		return err
	}
	err := read("/proc/meminfo", "")
	if p.tracker > 0 {
		err = errors.Join(err, read(fmt.Sprintf("/proc/%d/status", p.tracker), "tracker "))
	}
	if p.loadTester > 0 {
		err = errors.Join(err, read(fmt.Sprintf("/proc/%d/status", p.loadTester), "load tester "))
	}
	sockets, socketsErr := os.ReadFile("/proc/net/sockstat")
	if match := regexp.MustCompile(`TCP: .* mem (\d+)`).FindSubmatch(sockets); match != nil {
		pages, _ := strconv.Atoi(string(match[1]))
		m["TCP sockets"] = pages * os.Getpagesize() >> 10
	}
	return m, errors.Join(err, socketsErr, m.readSlabs())
}

// readSlabs adds the slabs of the kernel.
func (m memory) readSlabs() error {
	text, err := os.ReadFile("/proc/slabinfo")
	for line := range strings.Lines(string(text)) {
		var name string
		var active, objects, size int
		if _, err := fmt.Sscan(line, &name, &active, &objects, &size); err == nil {
			m["slab "+name] = objects * size >> 10
		}
	}
	return err
}

// A slab is printed if it has grown by slabsFrom KiB.
const slabsFrom = 1 << 10

// printMemory prints figures side by side.
func printMemory(heads []string, columns []memory) {
	fmt.Printf("%-28s", "KiB")
	for _, head := range heads {
		fmt.Printf("%16s", head)
	}
	fmt.Println()
	row := func(name string) {
		fmt.Printf("%-28s", name)
		for _, m := range columns {
			fmt.Printf("%16d", m[name])
		}
		fmt.Println()
	}
	for _, name := range memoryNames {
		row(name)
	}
	first, last := columns[0], columns[len(columns)-1]
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if strings.HasPrefix(name, "slab ") && last[name]-first[name] >= slabsFrom {
			row(name)
		}
	}
}

// printMetrics prints the tracker's own metrics about connections, peers and memory, except zeros.
func printMetrics() error {
	client := http.Client{Timeout: patience}
	response, err := client.Get(metricsURL)
	if err != nil {
		return fmt.Errorf("cannot read the tracker's metrics: %w", err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if interestingMetric.MatchString(lines.Text()) && !strings.HasSuffix(lines.Text(), " 0") {
			fmt.Println(lines.Text())
		}
	}
	return nil
}

var interestingMetric = regexp.MustCompile(`^millrace_\w*(connections|peers|torrents|bytes|dropped)`)
