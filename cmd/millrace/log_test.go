package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file proves that nothing but the log suffers when the reader of the log goes away or stands still.

// startWithLog starts a tracker whose log goes to a pipe, and reads the pipe until the tracker listens. The test owns
// both ends then. If the settings send the log elsewhere, it waits until the tracker takes a connection.
func startWithLog(t *testing.T, s settings) (tr *tracker, read, write *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	s.network += "\naddress = '" + free.Addr().String() + "'\n"
	tr = &tracker{t: t, scheme: "ws", addr: free.Addr().String(), cmd: command(&s, "-c", s.configFile(t)), exited: make(chan struct{})}
	if strings.Contains(s.network, "enable_tls") {
		tr.scheme = "wss"
	}
	tr.cmd.Stderr = write
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		tr.cmd.Wait()
		tr.code = tr.cmd.ProcessState.ExitCode()
		close(tr.exited)
	}()
	t.Cleanup(func() {
		tr.cmd.Process.Kill()
		<-tr.exited
		read.Close()
		write.Close()
	})
	if s.shell == "" {
		readLog(t, read, "msg=listening")
		return tr, read, write
	}
	eventually(t, "the tracker listens", func() bool {
		c, err := net.Dial("tcp", tr.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return tr, read, write
}

// readLog reads a pipe up to the end of the line that has a text in it, and nothing after it.
func readLog(t *testing.T, read *os.File, text string) {
	t.Helper()
	read.SetReadDeadline(time.Now().Add(patience))
	for line := ""; !strings.Contains(line, text); {
		line = readUntil(t, read, "\n")
	}
}

// fill fills a pipe by a description of its own, which does not block.
func fill(t *testing.T, pipe *os.File) {
	t.Helper()
	fd, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", pipe.Fd()), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = syscall.Write(fd, make([]byte, size))
		}
		if err != syscall.EAGAIN {
			t.Fatal(err)
		}
	}
}

// A tracker whose log has no reader, or one that stands still, serves clients, takes over a list and a certificate on a
// signal, tells clients 1001 at the stop, and ends with exit code 0. So does one whose stderr was closed from the start,
// or is a file that is full.
func TestLogIsNotRead(t *testing.T) {
	f := func(name string, shell string, hinder func(t *testing.T, read, write *os.File)) {
		t.Run(name, func(t *testing.T) {
			p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
			list := filepath.Join(t.TempDir(), "list.txt")
			write := func(text string) { p.replace(t, list, []byte(text)) }
			write(fmt.Sprintf("%x\n", id("bad")))
			tr, reader, writer := startWithLog(t, settings{
				// Lines about every message: the queue has work while the reader does not.
				top: "socket_workers = 2\nlog_level = 'trace'", network: p.settings(), shell: shell,
				other: "[access_list]\nmode = 'deny'\npath = '" + list + "'",
			})
			tr.client = p.client(tls.VersionTLS13, nil)
			hinder(t, reader, writer)
			relay(t, tr)

			write(fmt.Sprintf("%x\n", id("other")))
			p.write(t, "ecdsa", 2, time.Now().Add(24*time.Hour))
			tr.signal(syscall.SIGUSR1)
			c := tr.dial()
			eventually(t, "the list is in force", func() bool {
				c.send(announce(id("bad"), id("peer"), 0, nil))
				return c.receive()["failure reason"] == nil
			})
			eventually(t, "the certificate is in force", func() bool {
				c, err := tls.Dial("tcp", tr.addr, &tls.Config{RootCAs: p.pool, ServerName: "127.0.0.1"})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
			})
			relay(t, tr)
			c.conn.CloseNow() // nobody reads from it, so the stop would wait for it
			tr.stop()
		})
	}
	f("gone", "", func(t *testing.T, read, write *os.File) {
		read.Close()
		write.Close()
	})
	f("stands still", "", func(t *testing.T, _, write *os.File) { fill(t, write) })
	f("closed at the start", "exec 2>&-", func(*testing.T, *os.File, *os.File) {})
	f("full", "exec 2>/dev/full", func(*testing.T, *os.File, *os.File) {})
}

// When the reader of the log reads again, the lines come that have waited for it, and the last lines of a tracker come
// before its end.
func TestLogIsReadLater(t *testing.T) {
	tr, read, write := startWithLog(t, settings{})
	fill(t, write)
	tr.signal(syscall.SIGUSR1)
	readLog(t, read, "configuration read again")
	tr.stop()
	write.Close()
	text, err := io.ReadAll(read)
	for _, want := range []string{"shutting down", "msg=stopped"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log does not say %q: %q, %v", want, text, err)
		}
	}
}
