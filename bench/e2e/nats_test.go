package e2e

// This file starts and stops the NATS server of a cluster. It is the real one, as a process of its own, so that a test can kill or stop it.

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
)

// natsEnvironment names the configuration of a NATS server. The program of the tests is that server where it is set: nothing else has to be
// built or installed.
const natsEnvironment = "MILLRACE_E2E_NATS"

// serveNATS is the life of a NATS server's process. It returns the exit code.
func serveNATS(config string) int {
	opts, err := nats.ProcessConfigFile(config)
	if err == nil {
		var s *nats.Server
		if s, err = nats.NewServer(opts); err == nil {
			s.ConfigureLogger()
			if err = nats.Run(s); err == nil {
				s.WaitForShutdown()
				return 0
			}
		}
	}
	fmt.Fprintln(os.Stderr, "cannot run NATS:", err)
	return 1
}

// natsServer is a NATS server that can go and come back.
type natsServer struct {
	address string
	config  string
	server  *server // of its present life; nil before the first
	log     lockedBuffer
}

// newNATS prepares a NATS server, which does not run yet. More of its configuration may follow.
func newNATS(t *testing.T, more string) *natsServer {
	t.Helper()
	n := &natsServer{address: freeAddress(t), config: filepath.Join(t.TempDir(), "nats.conf")}
	if err := os.WriteFile(n.config, fmt.Appendf(nil, "listen: %q\n%s\n", n.address, more), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// start starts it, and waits until it takes connections.
func (n *natsServer) start(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), natsEnvironment+"="+n.config)
	n.server = startCommand(t, "nats-server", &n.log, func(*os.ProcessState) {}, cmd)
	await(t, "NATS takes connections", func() bool {
		c, err := net.Dial("tcp", n.address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// kill ends it without a word.
func (n *natsServer) kill(t *testing.T) {
	t.Helper()
	n.server.signal(t, syscall.SIGKILL)
	<-n.server.exited
}

// signal sends a signal to a server that runs.
func (s *server) signal(t *testing.T, what syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(what); err != nil {
		t.Fatalf("cannot send %v to %s: %v", what, s.name, err)
	}
}

// freeze stops a server until the function that it returns is called, or the test ends.
func (s *server) freeze(t *testing.T) (thaw func()) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	t.Cleanup(func() { s.cmd.Process.Signal(syscall.SIGCONT) }) // before its end is waited for
	return func() { s.signal(t, syscall.SIGCONT) }
}

// patience is how long a test waits for anything.
const patience = time.Minute

// await waits until something is so, and returns how long that took.
func await(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	over := time.After(patience)
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for !ok() {
		select {
		case <-over:
			t.Fatalf("not after %v: %s", patience, what)
		case <-retry.C:
		}
	}
	return time.Since(began)
}
