package e2e

// This file starts and stops the servers of a test.

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 20 * time.Second
)

// server is a program that serves until it is told to stop: the tracker, or a
// proxy in front of it.
type server struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the program has ended
}

// startServer starts a program whose output goes to the test's log. It is
// stopped at the end of the test, and then atEnd is called.
func startServer(t *testing.T, atEnd func(*os.ProcessState), program string, args ...string) *server {
	t.Helper()
	return startLoggedServer(t, io.Discard, atEnd, program, args...)
}

// startLoggedServer also copies the output to log.
func startLoggedServer(t *testing.T, log io.Writer, atEnd func(*os.ProcessState), program string, args ...string) *server {
	t.Helper()
	return startCommand(t, filepath.Base(program), log, atEnd, exec.Command(program, args...))
}

// startCommand is startLoggedServer with a command of which more is said, and a name for it.
func startCommand(t *testing.T, name string, log io.Writer, atEnd func(*os.ProcessState), cmd *exec.Cmd) *server {
	t.Helper()
	out := io.MultiWriter(t.Output(), log)
	cmd.Stdout, cmd.Stderr = out, out
	// A test that runs into the time limit of "go test" cleans nothing up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	s := &server{name: name, cmd: cmd, exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", s.name, err)
	}
	go func() {
		cmd.Wait() // its error is the exit code, which stop reads
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.stop(t)
		atEnd(cmd.ProcessState)
	})
	return s
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("cannot send SIGTERM to %s: %v", s.name, err)
	}
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		t.Errorf("%s still runs %v after SIGTERM; it is killed", s.name, stopTimeout)
		s.cmd.Process.Kill()
		<-s.exited
	}
}
