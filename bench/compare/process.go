package main

// This file starts and stops trackers and load testers as processes on chosen CPUs.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs beside us: a tracker or a load tester.
type process struct {
	cmd    *exec.Cmd
	said   *lastWords
	exited chan struct{} // closed when it has ended and err is set
	err    error
}

// startProcess starts a program on some CPUs ("0" or "0,1"), in a folder. taskset(1) becomes the program itself, so the
// pid is the program's. The kernel ends the program if this one ends first (prctl(2), PR_SET_PDEATHSIG). In a process
// group of its own it does not get the terminal's Ctrl-C.
func startProcess(dir, cpus string, stdout io.Writer, argv ...string) (*process, error) {
	p := &process{said: &lastWords{}, exited: make(chan struct{})}
	p.cmd = exec.Command("taskset", append([]string{"-c", cpus}, argv...)...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = stdout, p.said
	if stdout == nil {
		p.cmd.Stdout = p.said
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", filepath.Base(argv[0]), err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop kills the process and waits until it has ended.
func (p *process) stop() {
	p.cmd.Process.Kill() // an error means that it has ended already
	<-p.exited
}

// wait waits until the process ends by itself. If the context ends first, it ends the process.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.err
	case <-ctx.Done():
		p.stop()
		return context.Cause(ctx)
	}
}

// ready waits until the process accepts connections on a port of 127.0.0.1.
func (p *process) ready(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("it accepts no connection"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it has ended: %v: %s", p.err, p.said)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready after %v: %w: %s", startTimeout, context.Cause(ctx), p.said)
		case <-tick.C:
		}
	}
}

// startTimeout bounds the start of a tracker.
const startTimeout = 20 * time.Second

// A process has settled when so many readings of its memory, one each settlePeriod, are the same, or after
// mostReadings.
const (
	settlePeriod   = 50 * time.Millisecond
	equalReadings  = 5
	mostReadings   = 60
	residentNumber = 1 // of the numbers in /proc/PID/statm: resident pages
)

// settle waits until the process is as large as it is without clients: a tracker of several shards accepts connections
// before the last shard has its memory. Memory that it takes later would be counted as that of its connections.
func (p *process) settle(ctx context.Context) {
	tick := time.NewTicker(settlePeriod)
	defer tick.Stop()
	settled(func() string {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid()))
		if numbers := strings.Fields(string(text)); len(numbers) > residentNumber {
			return numbers[residentNumber]
		}
		return "" // it has ended: the load tester will say so
	})
}

// settled takes readings until they stay the same or are too many, and returns how many it took.
func settled(read func() string) (n int) {
	last, equal := "", 0
	for n < mostReadings && equal < equalReadings {
		now := read()
		n++
		if now != last {
			last, equal = now, 0
		}
		equal++
	}
	return n
}

// lastWords keeps the end of a process's output.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// maxWords is the size of the kept end, in bytes.
const maxWords = 1000

func (w *lastWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, b...)
	w.text = w.text[max(0, len(w.text)-maxWords):]
	return len(b), nil
}

// String returns the kept end as one line.
func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(strings.Fields(string(bytes.ToValidUTF8(w.text, []byte("?")))), " ")
}

// startTracker starts a tracker in a folder of its own below dir and waits until it is ready. The caller stops it.
func startTracker(ctx context.Context, t *tracker, prog program, pl place, dir, cpus string) (
	*process, *serverInfo, error,
) {
	args, files := t.configure(pl)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, nil, fmt.Errorf("cannot write the configuration: %w", err)
		}
	}
	argv := append(append([]string{}, prog.argv...), args...)
	shown := make([]string, len(argv))
	for k, arg := range argv {
		shown[k] = arg
		if filepath.IsAbs(arg) {
			shown[k] = filepath.Base(arg)
		}
	}
	about := &serverInfo{Tracker: t.name, Title: t.title, Version: prog.version, Build: prog.build,
		Command: strings.Join(shown, " "), Config: files[configFile], CPUs: cpus}
	p, err := startProcess(dir, cpus, nil, argv...)
	if err != nil {
		return nil, nil, err
	}
	if err := p.ready(ctx, pl.port); err != nil {
		p.stop()
		return nil, nil, fmt.Errorf("cannot start %s: %w", t.title, err)
	}
	p.settle(ctx)
	return p, about, nil
}

// wantedFiles is the limit of open files that the largest workload needs, with room to spare.
const wantedFiles = 600_000

// raiseFileLimit raises the limit of open files for this process and its children to the hard limit, which root can
// raise too. It returns the limit.
func raiseFileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	higher := syscall.Rlimit{Cur: wantedFiles, Max: wantedFiles}
	if limit.Max < wantedFiles && syscall.Setrlimit(syscall.RLIMIT_NOFILE, &higher) == nil {
		return higher.Cur, nil
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot raise the limit of open files to %d: %w", limit.Max, err)
	}
	return limit.Cur, nil
}
