package main

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// This file proves, from outside, what comes of an order to stop or to drain that comes during a hand-over.

// TestStopDuringUpgrade proves that a stop gives a hand-over up at every step, also while the shards stand still: clients are told to go,
// and no successor is left that could hold the listening sockets, although it does not listen to anybody.
func TestStopDuringUpgrade(t *testing.T) {
	for _, step := range []string{heirStarted, heirReady, heirEnd} {
		t.Run(step, func(t *testing.T) {
			heirs, s := newHeirs(t, settings{top: "socket_workers = 2"})
			tr := start(t, s)
			last := tr.dial()
			pid := heirs.stand(tr, step)
			tr.signal(syscall.SIGTERM)
			if code := last.closeCode(); code != 1001 {
				t.Errorf("closed with %d", code)
			}
			tr.logged("given up: the tracker is told to stop", 1)
			if code := tr.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if alive(pid) {
				t.Error("the successor has outlived the tracker")
			}
		})
	}
}

// TestDrainDuringUpgrade proves that a drain gives a hand-over up, and begins when clients are served again.
func TestDrainDuringUpgrade(t *testing.T) {
	s, _ := controlled(t, "")
	heirs, s := newHeirs(t, s)
	tr := start(t, s)
	last := tr.dial()
	closed := make(chan int, 1)
	go func() {
		defer close(closed)
		closed <- last.closeCode()
	}()
	pid := heirs.stand(tr, heirEnd)
	tr.expect(`(?s)^draining: 1 clients? left, 1 s to go\n.*the tracker has ended\n$`, "drain", "1")
	if code := <-closed; code != 1001 {
		t.Errorf("closed with %d", code)
	}
	if code := tr.wait(); code != 0 || alive(pid) {
		t.Errorf("exit code %d, the successor runs: %v", code, alive(pid))
	}
	_, after, ok := strings.Cut(tr.log.String(), "given up: the tracker is told to drain")
	if !ok || !strings.Contains(after, `msg="draining: no new clients`) {
		t.Errorf("the drain began before the hand-over was given up")
	}
}

// TestUpgradeDuringDrain proves that no hand-over begins while the tracker is drained, and that a service manager hears of neither: with the
// word for a stop it would give a drain no more time than a stop has.
func TestUpgradeDuringDrain(t *testing.T) {
	l, name := manager(t)
	s, _ := controlled(t, "")
	s.top, s.env = "socket_workers = 1", []string{"NOTIFY_SOCKET=" + name}
	tr := start(t, s)
	last := tr.dial()
	tr.drains(600)
	tr.signal(syscall.SIGUSR2)
	tr.logged("cannot hand over: the tracker stops, or is drained", 1)
	last.send(announce(id("torrent"), id("peer"), 0, nil))
	last.receive()
	told := append(hear(t, l, "READY=1"), unheard(l)...)
	tr.signal(syscall.SIGTERM)
	if slices.ContainsFunc(told, func(words []string) bool { return words[0] == "STOPPING=1" }) {
		t.Errorf("heard %q", told)
	}
	for _, words := range append(told[1:], hear(t, l, "STOPPING=1")...) {
		if words[0] == "RELOADING=1" || words[0] == "READY=1" {
			t.Errorf("heard %q", words)
		}
	}
	last.closeCode()
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// drains begins a drain, and leaves its command alone.
func (tr *tracker) drains(seconds int) {
	cmd := command(&settings{}, "ctl", "-c", tr.config, "drain", strconv.Itoa(seconds))
	if err := cmd.Start(); err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	tr.logged("msg=\"draining: no new clients", 1)
}

// TestStopBehindUpgrade proves that an order that comes when the successor has been let go already reaches the process that serves: a stop is
// passed on, and a drain is refused, with the remedy.
func TestStopBehindUpgrade(t *testing.T) {
	s, _ := controlled(t, "")
	heirs, s := newHeirs(t, s)
	tr := start(t, s)
	pid := heirs.stand(tr, heirYours)
	refused := make(chan string, 1)
	go func() {
		_, trouble, _ := tr.ctl("drain", "1")
		refused <- trouble
	}()
	tr.logged("the end of the tracker waits for it\" given_up=false", 1)
	tr.signal(syscall.SIGTERM)
	tr.logged("the end of the tracker waits for it\" given_up=false", 2)
	syscall.Kill(pid, syscall.SIGUSR1)
	if trouble := <-refused; !strings.Contains(trouble, "everything has gone to a new process, "+strconv.Itoa(pid)) {
		t.Errorf("a drain is answered with %q", trouble)
	}
	tr.logged("the process that has taken over is told to stop", 1)
	tr.logged("heir: told to stop", 1)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestSecondSignalDuringUpgrade proves that the tracker which ends at once leaves no successor behind that may not have taken over.
func TestSecondSignalDuringUpgrade(t *testing.T) {
	heirs, s := newHeirs(t, settings{top: "socket_workers = 1"})
	tr := start(t, s)
	pid := heirs.stand(tr, heirYours)
	eventually(t, "a second signal comes later than the first", func() bool {
		tr.signal(syscall.SIGTERM)
		return strings.Contains(tr.log.String(), "second signal: stopped without waiting for clients")
	})
	if code := tr.wait(); code != 1 || alive(pid) {
		t.Errorf("exit code %d, the successor runs: %v", code, alive(pid))
	}
}
