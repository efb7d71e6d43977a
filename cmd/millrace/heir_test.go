package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"millrace/cmd/internal/handover"
)

// This file owns a successor that comes to a step of a hand-over and stands still there, until it is told to go on.

// heirFile names, in the environment, the file that has the step. Without the file a successor is a tracker.
const heirFile = "MILLRACE_TEST_HEIR"

// The steps.
const (
	heirStarted = "started" // it has said nothing
	heirReady   = "ready"   // it could serve
	heirEnd     = "end"     // it has got everything
	heirMine    = "mine"    // it has said so
	heirYours   = "yours"   // it has been let go
)

// heir is a process that plays the successor.
type heir struct {
	link    *handover.Link
	step    string
	signals chan os.Signal
}

// playHeir is the life of a process that a tracker has started as its successor, where a test has asked for that.
func playHeir() {
	step, err := os.ReadFile(os.Getenv(heirFile))
	if err != nil || os.Getenv(handover.Variable) == "" {
		return
	}
	h := &heir{step: string(step), signals: make(chan os.Signal, 4)}
	signal.Notify(h.signals, syscall.SIGUSR1, syscall.SIGTERM)
	if err := h.play(); err != nil {
		fmt.Fprintln(os.Stderr, "heir:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (h *heir) play() (err error) {
	if h.link, err = handover.FromEnvironment(); err != nil {
		return err
	}
	h.at(heirStarted)
	if err := h.link.Send(handover.KindHello, &handover.Hello{Format: handover.Version, Program: "heir", Answers: true}, -1); err != nil {
		return err
	}
	for {
		r, err := h.link.Receive()
		if err != nil {
			return err
		}
		if r.FD >= 0 {
			syscall.Close(r.FD)
		}
		switch r.Kind {
		case handover.KindListeners:
			err = h.link.Send(handover.KindReady, nil, -1)
			h.at(heirReady)
		case handover.KindEnd:
			h.at(heirEnd)
			err = h.link.Send(handover.KindMine, nil, -1)
			h.at(heirMine)
		case handover.KindYours:
			h.at(heirYours)
			err = h.link.Send(handover.KindServing, nil, -1)
			<-h.signals
			fmt.Fprintln(os.Stderr, "heir: told to stop")
			return err
		case handover.KindFailed:
			return r.As(handover.KindListener, nil)
		}
		if err != nil {
			return err
		}
	}
}

// at stands still if this is the step, until SIGUSR1 comes. It listens to nobody else.
func (h *heir) at(step string) {
	if step != h.step {
		return
	}
	fmt.Fprintf(os.Stderr, "heir: pid=%d stands at %s\n", os.Getpid(), step)
	for s := range h.signals {
		if s == syscall.SIGUSR1 {
			return
		}
	}
}

// heirs are the successors of a tracker that come to a step.
type heirs struct {
	t     *testing.T
	file  string
	stood int // so many have stood at theirs
}

// newHeirs returns them, and settings of trackers that have them. Their file is not there yet.
func newHeirs(t *testing.T, s settings) (*heirs, settings) {
	h := &heirs{t: t, file: filepath.Join(t.TempDir(), "step")}
	s.env = append(s.env, heirFile+"="+h.file)
	return h, s
}

// stand begins a hand-over, and waits until its successor stands at a step.
func (h *heirs) stand(tr *tracker, step string) (pid int) {
	h.t.Helper()
	if err := os.WriteFile(h.file, []byte(step), 0o600); err != nil {
		h.t.Fatal(err)
	}
	tr.signal(syscall.SIGUSR2)
	tr.logged("stands at ", h.stood+1)
	all := regexp.MustCompile(`heir: pid=(\d+) stands at `).FindAllStringSubmatch(tr.log.String(), -1)
	pid, _ = strconv.Atoi(all[len(all)-1][1])
	h.stood++
	h.t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) }) // before the tracker's end is awaited, whose log it may hold open
	return pid
}

// none has the next successor be a tracker.
func (h *heirs) none() {
	h.t.Helper()
	if err := os.Remove(h.file); err != nil {
		h.t.Fatal(err)
	}
}
