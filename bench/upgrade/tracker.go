package main

// This file owns the tracker's processes: the first one, and those to which it hands over.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"millrace/bench/certificate"
)

// Names of files in the tracker's folder.
const (
	configFile  = "millrace.toml"
	programFile = "millrace" // what the path of the tracker's program names
)

// patience bounds every wait for a process. It is longer than any patience of the tracker with its successor.
const patience = 90 * time.Second

// tracker is a tracker that is replaced by other processes from time to time.
type tracker struct {
	dir     string
	secure  bool
	address string // of its clients
	metrics string // of its metrics page
	log     *trackerLog
	serves  *os.Process // the process that serves now
	extra   string      // more keys of the configuration
}

// startTracker starts a tracker of some shards in a folder. The kernel ends that process if this program ends first (prctl(2),
// PR_SET_PDEATHSIG), but not those that follow it: stop does.
func startTracker(program, dir string, secure bool, shards int, extra string) (*tracker, error) {
	t := &tracker{dir: dir, secure: secure, extra: extra}
	var err error
	if t.address, t.metrics, err = freeAddresses(); err != nil {
		return nil, err
	}
	if err := errors.Join(certificate.Write(dir), t.configure(shards), t.install(program)); err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	cmd := exec.Command(filepath.Join(dir, programFile), "-c", configFile)
	cmd.Dir, cmd.Stderr = dir, write // which all processes inherit
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		read.Close()
		return nil, fmt.Errorf("cannot start %s: %w", program, err)
	}
	t.serves, t.log = cmd.Process, follow(read)
	if _, err := t.log.wait("msg=listening ", 1); err != nil {
		t.stop()
		return nil, err
	}
	return t, nil
}

// freeAddresses returns two addresses whose ports were free a moment ago.
func freeAddresses() (a, b string, err error) {
	first, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("cannot find a free port: %w", err)
	}
	defer first.Close()
	second, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("cannot find a free port: %w", err)
	}
	defer second.Close()
	return first.Addr().String(), second.Addr().String(), nil
}

// url is where clients connect.
func (t *tracker) url() string { return transport(t.secure) + "://" + t.address + "/" }

// transport names a transport.
func transport(secure bool) string {
	if secure {
		return "wss"
	}
	return "ws"
}

// configure writes the configuration that the next process reads.
func (t *tracker) configure(shards int) error {
	text := fmt.Sprintf("socket_workers = %d\n[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = %q\n"+
		"[network]\naddress = %q\n", shards, t.metrics, t.address)
	if t.secure {
		text += fmt.Sprintf("enable_tls = true\ntls_certificate_path = %q\ntls_private_key_path = %q\n", certificate.File, certificate.KeyFile)
	}
	if err := os.WriteFile(filepath.Join(t.dir, configFile), []byte(text+t.extra), 0o600); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	return nil
}

// install has the path of the tracker's program name another program, which the next process is.
func (t *tracker) install(program string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	fresh := filepath.Join(t.dir, programFile+".new")
	if err := errors.Join(os.Symlink(program, fresh), os.Rename(fresh, filepath.Join(t.dir, programFile))); err != nil {
		return fmt.Errorf("cannot put a program in the tracker's place: %w", err)
	}
	return nil
}

// handOver is what the log says about a hand-over.
type handOver struct {
	Shards      int `json:"shards"`
	Connections int `json:"connections"`
	Peers       int `json:"peers"`
	Lost        int `json:"lost"` // connections and peers for which there was no place
	Frozen      int `json:"nobody_served_ms"`
	Took        int `json:"took_ms"`
	Refused     int `json:"refused"` // requests, since a mailbox to another shard was full, around the hand-over
}

const (
	handedOver = `msg="handed over to a new process"`
	tookOver   = `msg="took over from another process"`
	cannotGive = `msg="cannot hand over to a new process: this one goes on"`
)

// handOver has another process of some shards take over, and waits until it has and the old one has ended.
func (t *tracker) handOver(shards int) (h handOver, err error) {
	if err := t.configure(shards); err != nil {
		return h, err
	}
	times := t.log.count(handedOver) + 1
	failures := t.log.count(cannotGive)
	if err := t.serves.Signal(syscall.SIGUSR2); err != nil {
		return h, fmt.Errorf("cannot signal process %d: %w", t.serves.Pid, err)
	}
	line, err := t.log.waitOr(handedOver, times, cannotGive, failures+1)
	if err != nil {
		return h, err
	}
	old := t.serves
	if t.serves, err = os.FindProcess(number(line, "pid")); err != nil {
		return h, err
	}
	if state, err := waitFor(old); err != nil || state.ExitCode() != 0 {
		return h, fmt.Errorf("process %d has handed over and ended with %v, %w", old.Pid, state, err)
	}
	taken, err := t.log.wait(tookOver, times)
	if err != nil {
		return h, err
	}
	return handOver{
		Shards: shards, Connections: number(line, "connections"), Peers: number(line, "peers"), Frozen: number(line, "nobody_served_ms"),
		Took: number(line, "took_ms"), Lost: number(taken, "connections_lost") + number(taken, "peers_lost"),
	}, nil
}

// failToHandOver has a hand-over fail, and returns the log's line about that. The process that serves stays.
func (t *tracker) failToHandOver() (line string, err error) {
	failures := t.log.count(cannotGive)
	if err := t.serves.Signal(syscall.SIGUSR2); err != nil {
		return "", fmt.Errorf("cannot signal process %d: %w", t.serves.Pid, err)
	}
	return t.log.waitOr(cannotGive, failures+1, handedOver, t.log.count(handedOver)+1)
}

// end has the process that serves end as usual.
func (t *tracker) end() error {
	if err := t.serves.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("cannot signal process %d: %w", t.serves.Pid, err)
	}
	if state, err := waitFor(t.serves); err != nil || state.ExitCode() != 0 {
		return fmt.Errorf("the last process has ended with %v, %w", state, err)
	}
	return t.log.ended()
}

// stop ends the process that serves, if it still runs, and one to which it may be handing over.
func (t *tracker) stop() {
	t.serves.Kill() // an error means that it has ended already
	for _, pid := range children() {
		if p, err := os.FindProcess(pid); err == nil {
			p.Kill()
			p.Wait()
		}
	}
}

// children returns the processes whose parent is this one: the tracker, and those that it has left behind.
func children() (pids []int) {
	var text []byte
	all, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range all {
		more, _ := os.ReadFile(name) // the thread may have ended
		text = append(append(text, ' '), more...)
	}
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// subreaper has the kernel make this process the parent of those whose own has ended (prctl(2), PR_SET_CHILD_SUBREAPER).
func subreaper() error {
	const set = 36
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, set, 1, 0); errno != 0 {
		return fmt.Errorf("cannot become the parent of the tracker's successors: %w", errno)
	}
	return nil
}

// waitFor waits until a child has ended, and kills it if it does not.
func waitFor(p *os.Process) (*os.ProcessState, error) {
	late := time.AfterFunc(patience, func() { p.Kill() })
	defer late.Stop()
	return p.Wait()
}

// resident returns the resident memory of the process that serves in bytes (proc_pid_statm(5)).
func (t *tracker) resident() int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", t.serves.Pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// trackerLog is what all processes have logged.
type trackerLog struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed when there are more lines
	over  bool          // no process can log any more
}

// follow reads a log up to its end.
func follow(r io.ReadCloser) *trackerLog {
	l := &trackerLog{more: make(chan struct{})}
	go func() {
		defer r.Close()
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			l.add(lines.Text(), false)
		}
		l.add("", true)
	}()
	return l
}

func (l *trackerLog) add(line string, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over = over; !over {
		l.lines = append(l.lines, line)
	}
	close(l.more)
	l.more = make(chan struct{})
}

// find returns the nth line that has a text, how many have it, and a channel that closes when there are more lines.
func (l *trackerLog) find(text string, n int) (line string, have int, more <-chan struct{}, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.lines {
		if strings.Contains(s, text) {
			if have++; have == n {
				line = s
			}
		}
	}
	return line, have, l.more, l.over
}

// count returns how many lines have a text.
func (l *trackerLog) count(text string) int {
	_, n, _, _ := l.find(text, 0)
	return n
}

// wait waits for the nth line that has a text.
func (l *trackerLog) wait(text string, n int) (string, error) { return l.waitOr(text, n, "", 0) }

// waitOr is wait, but fails at once when there is the mth line of another text.
func (l *trackerLog) waitOr(text string, n int, bad string, m int) (string, error) {
	late := time.After(patience)
	for {
		line, have, more, over := l.find(text, n)
		if have >= n {
			return line, nil
		}
		if bad != "" {
			if line, have, _, _ := l.find(bad, m); have >= m {
				return "", fmt.Errorf("the log says: %s", line)
			}
		}
		if over {
			return "", fmt.Errorf("all processes have ended, and none has logged %s:\n%s", text, l.tail())
		}
		select {
		case <-more:
		case <-late:
			return "", fmt.Errorf("nobody has logged %s in %v:\n%s", text, patience, l.tail())
		}
	}
}

// ended waits until no process is left that can log.
func (l *trackerLog) ended() error {
	late := time.After(patience)
	for {
		_, _, more, over := l.find("", 0)
		if over {
			return nil
		}
		select {
		case <-more:
		case <-late:
			return fmt.Errorf("the last process has ended, but after %v another one still runs", patience)
		}
	}
}

// tail returns the last lines.
func (l *trackerLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(len(l.lines)-20, 0):], "\n")
}

// field returns the value of a key in a line of the log.
func field(line, key string) string {
	m := regexp.MustCompile(` ` + key + `=("[^"]*"|\S+)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return strings.Trim(m[1], `"`)
}

// number is a field that is a number; -1 where it is none.
func number(line, key string) int {
	n, err := strconv.Atoi(field(line, key))
	if err != nil {
		return -1
	}
	return n
}
