// Package notify tells a service manager about the process, as sd_notify(3) describes it. The socket is opened once, at the
// start: after a change of the root directory its path leads nowhere.
package notify

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Manager is the service manager that started this process. A nil Manager is none: nobody hears.
type Manager struct {
	fd    int
	every time.Duration
}

// Words of sd_notify(3) for [Manager.Tell].
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// defaultPeriod is the time between two words where the manager has no watchdog: its status need not be fresher.
const defaultPeriod = 30 * time.Second

// Open reads NOTIFY_SOCKET, and WATCHDOG_USEC where WATCHDOG_PID is this process or missing. It takes them out of the
// environment. It returns nil where there is no manager.
func Open() (*Manager, error) {
	name, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(key) // it never fails
	}
	if name == "" {
		return nil, nil
	}
	fd, err := connect(name)
	if err != nil {
		return nil, fmt.Errorf("cannot tell the service manager anything: the socket %q in NOTIFY_SOCKET: %w", name, err)
	}
	m := &Manager{fd: fd, every: defaultPeriod}
	if limit, err := strconv.ParseInt(usec, 10, 64); err == nil && limit > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.every = max(time.Duration(limit)*time.Microsecond/3, time.Millisecond)
	}
	return m, nil
}

// connect opens a socket to a path, or with @ as its first letter to an abstract name.
func connect(name string) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: name}); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Every returns how often the manager wants to hear that the process is alive: a third of its watchdog's patience, so that
// one late word does not end the process. 0: there is no manager.
func (m *Manager) Every() time.Duration {
	if m == nil {
		return 0
	}
	return m.every
}

// Ticker returns a channel that tells when the manager wants to hear something, and a function that ends it. Without a manager the channel
// is nil.
func (m *Manager) Ticker() (words <-chan time.Time, stop func()) {
	every := m.Every()
	if every == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(every)
	return t.C, t.Stop
}

// Tell sends words, each a NAME=value. It never waits: a manager that does not read for long misses some.
func (m *Manager) Tell(words ...string) {
	if m != nil {
		_, _ = syscall.Write(m.fd, []byte(strings.Join(words, "\n")))
	}
}

// MainPID says which process the service is from now on: only the one that was so far may say it.
func MainPID(pid int) string { return "MAINPID=" + strconv.Itoa(pid) }

// Reloading returns the words for the begin of a reload at a time of CLOCK_MONOTONIC. Ready ends it.
func Reloading(now time.Duration) []string {
	return []string{"RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Microseconds())}
}

// Status returns the word for a line that the manager shows.
func Status(format string, args ...any) string { return "STATUS=" + fmt.Sprintf(format, args...) }
