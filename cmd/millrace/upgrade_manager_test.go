package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file proves what a service manager hears of hand-overs.

// hear reads what a service manager is told, up to a message that has a word, and returns the words of all messages.
func hear(t *testing.T, l *net.UnixConn, word string) (all [][]string) {
	t.Helper()
	l.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 1000)
	for {
		n, err := l.Read(b)
		if err != nil {
			t.Fatalf("never heard %q but %q: %v", word, all, err)
		}
		all = append(all, strings.Split(string(b[:n]), "\n"))
		if slices.Contains(all[len(all)-1], word) {
			return all
		}
	}
}

// unheard reads what a service manager was told before and has not heard.
func unheard(l *net.UnixConn) (all [][]string) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil
	}
	b := make([]byte, 1000)
	_ = raw.Control(func(fd uintptr) { // the descriptor does not block
		for n, err := syscall.Read(int(fd), b); err == nil; n, err = syscall.Read(int(fd), b) {
			all = append(all, strings.Split(string(b[:n]), "\n"))
		}
	})
	return all
}

// TestUpgradeManager proves that a service manager hears of another process when that serves, and not before: it would believe no other one
// then, and the old process may still go on. It hears of both at once that it is ready, since it may hear neither alone.
func TestUpgradeManager(t *testing.T) {
	l, name := manager(t)
	heirs, s := newHeirs(t, settings{env: []string{"NOTIFY_SOCKET=" + name}})
	tr := start(t, s)
	hear(t, l, "READY=1")
	heirs.stand(tr, heirMine)
	hear(t, l, "RELOADING=1")
	for _, words := range hear(t, l, "READY=1") {
		for _, w := range words {
			if strings.HasPrefix(w, "MAINPID=") {
				t.Errorf("heard %q of a process that does not go on", w)
			}
		}
	}
	relay(t, tr)
	heirs.none()
	tr.upgrade()
	all := hear(t, l, fmt.Sprintf("MAINPID=%d", tr.heir.Pid))
	if last := all[len(all)-1]; !slices.Contains(last, "READY=1") {
		t.Errorf("heard %q of the new process", last)
	}
	tr.stop()
}

// TestUpgradeTwice proves that a service manager hears nothing of a hand-over that does not begin because another one is under way: it would
// believe that this one has ended.
func TestUpgradeTwice(t *testing.T) {
	l, name := manager(t)
	heirs, s := newHeirs(t, settings{env: []string{"NOTIFY_SOCKET=" + name}})
	tr := start(t, s)
	pid := heirs.stand(tr, heirEnd)
	hear(t, l, "RELOADING=1")
	tr.signal(syscall.SIGUSR2)
	tr.logged("a hand-over is under way already: another one was not begun", 1)
	syscall.Kill(pid, syscall.SIGKILL)
	tr.logged("cannot hand over to a new process: this one goes on", 1)
	tr.signal(syscall.SIGTERM)
	told := map[string]int{}
	for _, words := range hear(t, l, "STOPPING=1") {
		told[words[0]]++
	}
	if told["RELOADING=1"] != 0 || told["READY=1"] != 1 {
		t.Errorf("heard %v", told)
	}
}
