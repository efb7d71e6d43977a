package main

// This file starts and stops the tracker as a process.

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// tracker is a running millrace.
type tracker struct {
	cmd       *exec.Cmd
	addr      string // host:port
	listening chan string
	exited    chan struct{}
	lines     []string // its output; complete once exited is closed
}

// settings are the configuration, the user and the limit of a run of the tracker.
type settings struct {
	config  string // lines of the configuration file
	uid     uint32 // user, 0: root
	memlock uint64 // limit of locked memory in bytes
}

const unlimited = ^uint64(0)

var listeningLine = regexp.MustCompile(`msg=listening url=ws://(\S+)`)

// launch starts the tracker. The tracker listens when listening has a value, and has ended when exited is closed.
func launch(s settings) (*tracker, error) {
	file := filepath.Join(os.TempDir(), "millrace.toml")
	if err := os.WriteFile(file, []byte(s.config), 0o644); err != nil {
		return nil, err
	}
	// A child inherits this process's limits.
	const rlimitMemlock = 8
	if err := syscall.Setrlimit(rlimitMemlock, &syscall.Rlimit{Cur: s.memlock, Max: s.memlock}); err != nil {
		return nil, fmt.Errorf("cannot set the limit of locked memory: %w", err)
	}
	tr := &tracker{cmd: exec.Command("/millrace", "-c", file), listening: make(chan string, 1),
		exited: make(chan struct{})}
	tr.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: s.uid, Gid: s.uid}}
	out, err := tr.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := tr.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			tr.lines = append(tr.lines, lines.Text())
			if m := listeningLine.FindStringSubmatch(lines.Text()); m != nil {
				tr.listening <- m[1]
			}
		}
		tr.cmd.Wait()
		close(tr.exited)
	}()
	return tr, nil
}

// start starts the tracker and waits until it listens.
func start(s settings) (*tracker, error) {
	tr, err := launch(s)
	if err != nil {
		return nil, err
	}
	select {
	case tr.addr = <-tr.listening:
		return tr, nil
	case <-tr.exited:
		return nil, fmt.Errorf("the tracker ended at once with %d:\n%s", tr.cmd.ProcessState.ExitCode(), tr.log())
	case <-time.After(patience):
		tr.kill()
		return nil, fmt.Errorf("the tracker does not listen:\n%s", tr.log())
	}
}

// stop ends the tracker by SIGTERM, which must give exit code 0.
func (tr *tracker) stop() error {
	tr.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-tr.exited:
		if code := tr.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("exit code %d after SIGTERM:\n%s", code, tr.log())
		}
		return nil
	case <-time.After(patience):
		tr.cmd.Process.Signal(syscall.SIGQUIT) // ends it with the stacks of its threads
		select {
		case <-tr.exited:
		case <-time.After(patience):
			tr.kill()
		}
		return fmt.Errorf("the tracker does not end after SIGTERM:\n%s", tr.log())
	}
}

func (tr *tracker) kill() {
	tr.cmd.Process.Kill()
	<-tr.exited
}

// log returns the tracker's output, once it has ended.
func (tr *tracker) log() string { return "\t" + strings.Join(tr.lines, "\n\t") }

func appendUint32(b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}
