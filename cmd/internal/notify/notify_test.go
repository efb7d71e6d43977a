package notify

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// This file proves what a service manager hears.

// A manager hears all words of a call as one message, and its wishes about the watchdog are kept where they are for this
// process. The environment is clean afterwards, so that no other process speaks in this one's name.
func TestManager(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := func(usec, pid string, want time.Duration) {
		t.Helper()
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", usec)
		t.Setenv("WATCHDOG_PID", pid)
		m, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		if m.Every() != want {
			t.Errorf("watchdog %q of process %q: every %v, want %v", usec, pid, m.Every(), want)
		}
		m.Tell(Ready, Status("%d connections", 3))
		b := make([]byte, 1000)
		n, err := l.Read(b)
		if got := string(b[:n]); err != nil || got != "READY=1\nSTATUS=3 connections" {
			t.Errorf("heard %q, %v", got, err)
		}
		for _, key := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
			if v, ok := os.LookupEnv(key); ok {
				t.Errorf("%s is still %q", key, v)
			}
		}
	}
	f("30000000", strconv.Itoa(os.Getpid()), 10*time.Second)
	f("30000000", "", 10*time.Second)
	f("30000000", "1", defaultPeriod)
	f("", "", defaultPeriod)
	f("x", "", defaultPeriod)
	f("0", "", defaultPeriod)
	f("-5", "", defaultPeriod)
	f("1", "", time.Millisecond)
	if words := Reloading(12_345 * time.Microsecond); !slices.Equal(words, []string{"RELOADING=1", "MONOTONIC_USEC=12345"}) {
		t.Errorf("a reload is %q", words)
	}
}

// Without a manager nothing happens, and one that is not there, or does not read, is no trouble.
func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m, err := Open()
	if m != nil || err != nil || m.Every() != 0 {
		t.Fatalf("%v, %v", m, err)
	}
	m.Tell(Ready)
	name := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", name)
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("a socket that is not there: %v", err)
	}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	if m, err = Open(); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // more than the socket holds
		m.Tell(Alive)
	}
	l.Close()
	m.Tell(Alive)
}
