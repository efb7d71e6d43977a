package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/cmd/internal/handover"
	"millrace/config"
)

// This file proves that a tracker in this process goes on when its successor fails. The successor is a goroutine here, beside a process
// that does nothing.

// heirTest is a successor that gets up to a kind of record, and ends there without an answer.
type heirTest struct {
	last handover.Kind
}

// start plays the successor on a link, and ends the process.
func (h heirTest) start(file *os.File) (*exec.Cmd, error) {
	idle := exec.Command("cat")
	input, err := idle.StdinPipe()
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	link, err := handover.Open(os.NewFile(uintptr(fd), "hand-over"))
	if err != nil {
		return nil, err
	}
	go func() {
		defer input.Close()
		defer link.Close()
		h.play(link)
	}()
	return idle, idle.Start()
}

func (h heirTest) play(link *handover.Link) {
	link.SetDeadline(time.Now().Add(patience))
	link.Send(handover.KindHello, &handover.Hello{Format: handover.Version, Program: "test", Answers: true}, -1)
	for {
		r, err := link.Receive()
		if err != nil || r.Kind == h.last {
			return
		}
		if r.FD >= 0 {
			syscall.Close(r.FD)
		}
		switch r.Kind {
		case handover.KindListeners:
			link.Send(handover.KindReady, nil, -1)
		case handover.KindEnd:
			link.Send(handover.KindMine, nil, -1)
		}
	}
}

// TestFailedHandOver proves that a tracker goes on, serves its metrics, counts the failure, and can be stopped, when its successor ends at
// one of the steps: also when it has said that it has everything, and has been let go.
func TestFailedHandOver(t *testing.T) {
	heir := heirTest{}
	cfg, err := config.Load("test", []byte("[network]\naddress = '127.0.0.1:0'\n[metrics]\nrun_prometheus_endpoint = true\n"+
		"prometheus_endpoint_address = '127.0.0.1:0'\n"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.IOUring.Entries, cfg.IOUring.ReceiveBuffers, cfg.IOUring.SendMemory = 256, 64, 1<<20
	s, err := Start(cfg, Process{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Lost: func() uint64 { return 0 },
		Successor: func(link *os.File) (*exec.Cmd, error) { return heir.start(link) },
	})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	steps := []handover.Kind{handover.KindListener, handover.KindListeners, handover.KindState, handover.KindEnd, handover.KindYours}
	for k, kind := range steps {
		heir.last = kind
		if err := s.Upgrade(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a successor that ends at %d: %v", kind, err)
		}
		for range 3 { // so that the listener accepts again
			r, err := client.Get("http://" + s.admin.listener.Addr().String() + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(r.Body)
			r.Body.Close()
			if want := `millrace_handovers_total{result="failed"} ` + string(rune('1'+k)); err != nil || !strings.Contains(string(page), want) {
				t.Fatalf("a successor that ended at %d: the metrics lack %q, %v", kind, want, err)
			}
		}
	}
	if st := s.state(0); st.Failed != uint64(len(steps)) {
		t.Errorf("a successor would count %d failures", st.Failed)
	}
	s.Stop()
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("the tracker does not stop")
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}
