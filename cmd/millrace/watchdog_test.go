package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file proves that a service manager learns of an event loop that stands still.

// loopThread returns the thread of one of the tracker's loops: each is pinned to a CPU of its own.
func loopThread(t *testing.T, tr *tracker) int {
	t.Helper()
	threads := fmt.Sprintf("/proc/%d/task", tr.cmd.Process.Pid)
	all, err := os.ReadDir(threads)
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`(?m)^Cpus_allowed_list:\s*\d+$`)
	for _, e := range all {
		status, err := os.ReadFile(filepath.Join(threads, e.Name(), "status"))
		if tid, _ := strconv.Atoi(e.Name()); err == nil && pinned.Match(status) {
			return tid
		}
	}
	t.Fatal("no thread is pinned to one CPU")
	return 0
}

// TestWatchdog proves that the watchdog is fed while all loops turn, no more while one of two stands still, and again when it
// goes on. A debugger that holds its thread stops the loop.
func TestWatchdog(t *testing.T) {
	l, name := manager(t)
	tr := start(t, settings{top: "socket_workers = 2", network: "enable_http_health_checks = true\nshutdown_timeout = 1",
		env: []string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=300000"}})
	// fed reads what has come and reports whether the watchdog was fed.
	b := make([]byte, 1000)
	fed := func(wait time.Duration) (yes bool) {
		for l.SetReadDeadline(time.Now().Add(wait)); ; {
			n, err := l.Read(b)
			if err != nil {
				return yes
			}
			yes = yes || strings.Contains(string(b[:n]), "WATCHDOG=1")
		}
	}
	// A client of the loop that stands still gets no answer, so each asks for a short time only.
	asks := &http.Client{Timeout: 200 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	health := func(want int) func() bool {
		return func() bool {
			r, err := asks.Get("http://" + tr.addr + "/health")
			if err != nil {
				return false
			}
			r.Body.Close()
			return r.StatusCode == want
		}
	}
	const soon = 200 * time.Millisecond // it is fed every 100 ms
	eventually(t, "the watchdog is fed", func() bool { return fed(soon) })

	runtime.LockOSThread() // the debugger is this thread
	defer runtime.UnlockOSThread()
	thread := loopThread(t, tr)
	if err := syscall.PtraceAttach(thread); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(thread, &status, syscall.WALL, nil); err != nil || !status.Stopped() {
		t.Fatalf("the thread does not stand still: %v, %v", status, err)
	}
	// The rest of the process may stand still too, at the next collection of garbage: it is silence that tells.
	eventually(t, "the watchdog is fed no more", func() bool {
		for range 10 {
			if fed(soon) {
				return false
			}
		}
		return true
	})
	if err := syscall.PtraceDetach(thread); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the watchdog is fed again", func() bool { return fed(soon) })
	eventually(t, "all is well again", health(200))
	tr.stop()
}
