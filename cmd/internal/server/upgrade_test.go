package server

import (
	"bytes"
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
	return standIn(file, func(link *handover.Link) {
		defer link.Close()
		h.play(link)
	})
}

// standIn starts a process that stands for a successor and does nothing. What it would do is done by play, with the link, beside it; the
// process ends behind that.
func standIn(file *os.File, play func(*handover.Link)) (*exec.Cmd, error) {
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
		play(link)
	}()
	return idle, idle.Start()
}

func (h heirTest) play(link *handover.Link) {
	link.SetDeadline(time.Now().Add(patience))
	link.Send(handover.KindHello, &handover.Hello{Format: handover.Version, Program: "test", Answers: true}, -1)
	for {
		r, err := link.Receive()
		if err != nil || r.Kind == h.last {
			link.Send(handover.KindFailed, &handover.Failed{Why: "the disk is full"}, -1)
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

// TestFailedHandOver proves that a tracker says why and goes on, serves its metrics, counts the failure, and can be stopped, when its successor ends at
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
		Successor: func(_ string, link *os.File) (*exec.Cmd, error) { return heir.start(link) },
	})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	steps := []handover.Kind{handover.KindListener, handover.KindListeners, handover.KindState, handover.KindEnd, handover.KindYours}
	for k, kind := range steps {
		heir.last = kind
		if err := s.Upgrade(); err == nil || !strings.Contains(err.Error(), "the disk is full") {
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

// predecessor plays the process that hands sockets over, and nothing else. It returns the successor's link, and the way on which the reason
// comes for which it has failed. last is called when the successor has everything, with a descriptor of this side of the link.
func predecessor(t *testing.T, sockets []handover.Listener, fds []int, last func(fd int) error) (*handover.Link, <-chan error) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	own, err := syscall.Dup(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	var links [2]*handover.Link
	for k, fd := range pair {
		if links[k], err = handover.Open(os.NewFile(uintptr(fd), "hand-over")); err != nil {
			t.Fatal(err)
		}
	}
	old := links[0]
	old.SetDeadline(time.Now().Add(patience))
	failed := make(chan error, 1)
	go func() {
		defer syscall.Close(own)
		defer old.Close()
		_, err := old.Want(handover.KindHello, nil)
		for k := range sockets {
			if err == nil {
				err = old.Send(handover.KindListener, &sockets[k], fds[k])
			}
		}
		for _, step := range []func() error{
			func() error { return old.Send(handover.KindListeners, nil, -1) },
			func() error { _, err := old.Want(handover.KindReady, nil); return err },
			func() error { return old.Send(handover.KindState, &handover.State{Second: 1, Shards: 1}, -1) },
			func() error { return old.Send(handover.KindEnd, &handover.End{}, -1) },
			func() error { _, err := old.Want(handover.KindMine, nil); return err },
			func() error { return last(own) },
			func() error { return old.Send(handover.KindYours, nil, -1) },
		} {
			if err == nil {
				err = step()
			}
		}
		failed <- err
	}()
	return links[1], failed
}

// successorOf starts a tracker of a configuration that takes over, and returns its log.
func successorOf(t *testing.T, cfg string, link *handover.Link, failed <-chan error) (*Server, *bytes.Buffer) {
	t.Helper()
	c, err := config.Load("test", []byte(cfg))
	if err != nil {
		t.Fatal(err)
	}
	c.IOUring.Entries, c.IOUring.ReceiveBuffers, c.IOUring.SendMemory = 256, 64, 1<<20
	log := &bytes.Buffer{}
	s, err := Start(c, Process{
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), log), nil)), Lost: func() uint64 { return 0 }, Predecessor: link,
	})
	if err := <-failed; err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.LogStart()
	return s, log
}

// TestOlderPredecessor proves that a tracker goes on when its predecessor has let everything go and does not hear that it does: an older
// version is gone by then.
func TestOlderPredecessor(t *testing.T) {
	link, failed := predecessor(t, nil, nil, func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_RD) })
	s, _ := successorOf(t, "[network]\naddress = '127.0.0.1:0'\n", link, failed)
	s.Stop()
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// TestBeginBehindFailure proves that a hand-over which is asked for while the successor of a failed one still has to end begins behind that,
// and that none begins beside one that is under way, or when the tracker ends.
func TestBeginBehindFailure(t *testing.T) {
	f := func(fails, ends bool, want error) {
		t.Helper()
		var u upgrades
		first, second := &handOver{over: make(chan struct{})}, &handOver{over: make(chan struct{})}
		if err := u.begin(first); err != nil {
			t.Fatal(err)
		}
		if fails {
			u.fail(first)
			if before, err := u.tryBegin(second); before != first || err != nil {
				t.Errorf("it does not wait for the failed one, but: %v", err)
			}
		}
		u.ending = ends
		began := make(chan error)
		go func() { began <- u.begin(second) }()
		if fails {
			u.end(first)
		}
		if err := <-began; err != want || err == nil && u.now != second {
			t.Errorf("fails %t, ends %t: %v, want %v", fails, ends, err, want)
		}
	}
	f(false, false, errUnderWay)
	f(true, false, nil)
	f(true, true, errEnding)
}
