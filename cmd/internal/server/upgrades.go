package server

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// This file owns what may happen beside a hand-over (upgrade.go). One at a time is under way. The tracker stops or is drained when it is
// clear which process goes on, and no hand-over begins then. The tracker does not end before its hand-over has.

// upgrades are the hand-overs of a process.
type upgrades struct {
	done   uint64 // with the one by which this process came
	failed atomic.Uint64
	gone   atomic.Pointer[os.Process] // to which everything has gone; nil: none

	mu     sync.Mutex
	now    *handOver // under way; nil: none is
	ending bool      // none may begin any more: the tracker stops, or is drained
}

var (
	errUnderWay = errors.New("cannot hand over: a hand-over is under way already")
	errEnding   = errors.New("cannot hand over: the tracker stops, or is drained")
	errStopped  = errors.New("given up: the tracker is told to stop")
	errDrained  = errors.New("given up: the tracker is told to drain")
	errOver     = errors.New("given up: the tracker ends")
)

// Upgrade starts a successor and hands it everything. When it returns nil, the tracker stops, and Done follows soon. After an error it
// goes on as if nothing had happened.
func (s *Server) Upgrade() error {
	began := time.Now()
	h := &handOver{server: s, listening: *s.served.Load(), over: make(chan struct{})}
	h.ctx, h.giveUp = context.WithCancelCause(context.Background())
	defer h.giveUp(nil)
	err := h.check()
	if err == nil {
		err = s.upgrades.begin(h)
	}
	switch {
	case err == errUnderWay:
		s.log.Warn("a hand-over is under way already: another one was not begun")
		return err
	case err != nil:
		return s.cannotUpgrade(err)
	}
	defer s.upgrades.end(h)
	s.tellHandingOver(0)
	if err := h.run(); err != nil {
		s.upgrades.fail(h)
		s.cannotUpgrade(err)
		s.tellHandingOver(os.Getpid())
		s.upgrades.settle(h)
		h.endHeir(err)
		return err
	}
	heir := h.child.Process
	s.upgrades.gone.Store(heir)
	for _, a := range []*adminServer{s.admin, s.control} {
		a.leave()
	}
	s.tellHandingOver(heir.Pid)
	s.log.Info("handed over to a new process", "pid", heir.Pid, "connections", h.sent.Connections, "peers", h.sent.Peers,
		"without_place", len(h.mine.Left), "nobody_served_ms", h.frozenFor.Milliseconds(), "took_ms", time.Since(began).Milliseconds())
	s.upgrades.settle(h)
	h.goAway()
	return nil
}

// cannotUpgrade counts a hand-over that has failed, and returns the reason.
func (s *Server) cannotUpgrade(why error) error {
	s.upgrades.failed.Add(1)
	s.log.Error("cannot hand over to a new process: this one goes on", "error", why)
	return why
}

// tellHandingOver says how far a hand-over is.
func (s *Server) tellHandingOver(pid int) {
	if s.process.HandingOver != nil {
		s.process.HandingOver(pid)
	}
}

// begin lets a hand-over begin, or says why not. One that has failed may still wait for its successor to end: the next one waits too.
func (u *upgrades) begin(h *handOver) error {
	for {
		before, err := u.tryBegin(h)
		if before == nil || err != nil {
			return err
		}
		<-before.over
	}
}

// tryBegin is begin without the wait: it returns the hand-over whose end has to be awaited.
func (u *upgrades) tryBegin(h *handOver) (before *handOver, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.now != nil && u.now.failed:
		return u.now, nil
	case u.now != nil:
		return nil, errUnderWay
	case u.ending:
		return nil, errEnding
	}
	u.now = h
	return nil, nil
}

// fail says that a hand-over has failed. Its successor may still run.
func (u *upgrades) fail(h *handOver) {
	u.mu.Lock()
	h.failed = true
	u.mu.Unlock()
}

// commit says that the successor is about to be let go: from here on only that can end the hand-over. It returns the reason for which it
// has been given up before.
func (u *upgrades) commit(h *handOver) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	h.committed = true
	return context.Cause(h.ctx)
}

// settle says that it is clear which process goes on, and that it does, and carries the orders out that have waited for that.
func (u *upgrades) settle(h *handOver) {
	u.mu.Lock()
	h.settled = true
	orders := h.orders
	u.mu.Unlock()
	for _, do := range orders {
		do()
	}
}

// end says that nothing of a hand-over is left.
func (u *upgrades) end(h *handOver) {
	u.mu.Lock()
	u.now = nil
	u.mu.Unlock()
	close(h.over)
}

// order has something done that ends the tracker, when it is clear which process goes on: a hand-over that is under way is given up for it,
// unless it is too late for that. No other one begins.
func (s *Server) order(why error, do func()) {
	u := &s.upgrades
	u.mu.Lock()
	u.ending = true
	h := u.now
	waits := h != nil && !h.settled
	if waits {
		h.orders = append(h.orders, do)
		if !h.committed {
			h.giveUp(why)
		}
		s.log.Info("a hand-over is under way: the end of the tracker waits for it", "given_up", !h.committed)
	}
	u.mu.Unlock()
	if !waits {
		do()
	}
}

// Stop begins a graceful stop of the process that goes on: where everything has gone to another one meanwhile, that is told to. args are
// for the log. Done tells when the stop is complete.
func (s *Server) Stop(args ...any) {
	s.order(errStopped, func() {
		if heir := s.upgrades.gone.Load(); heir != nil {
			s.log.Info("the process that has taken over is told to stop", append([]any{"pid", heir.Pid}, args...)...)
			_ = heir.Signal(syscall.SIGTERM) // it may have ended
			return
		}
		s.log.Info("shutting down: closing client connections",
			append(args, "at_most_seconds", s.Config().Network.ShutdownTimeout)...)
		s.tellStopping()
		s.bridge.say()
		for _, c := range s.controls {
			c.Stop()
		}
	})
}

// HandedOver reports whether everything has gone to another process.
func (s *Server) HandedOver() bool { return s.upgrades.gone.Load() != nil }

// tellStopping says that this process stops.
func (s *Server) tellStopping() {
	if s.process.Stopping != nil {
		s.process.Stopping()
	}
}

// finish waits for the end of a hand-over that is under way, when the tracker has ended.
func (s *Server) finish() {
	s.order(errOver, func() {})
	s.upgrades.mu.Lock()
	h := s.upgrades.now
	s.upgrades.mu.Unlock()
	if h != nil {
		<-h.over
	}
}

// Abandon is for a process that ends at once. It ends a successor that has not taken over, and tells one that has to stop.
func (s *Server) Abandon() {
	u := &s.upgrades
	u.mu.Lock()
	u.ending = true
	h := u.now
	var heir *os.Process
	if h != nil && !h.settled && h.child != nil {
		heir = h.child.Process
		_ = heir.Kill() // it may have ended
	}
	u.mu.Unlock()
	if heir != nil {
		<-h.ended
	} else if heir = u.gone.Load(); heir != nil {
		_ = heir.Signal(syscall.SIGTERM) // it may have ended
	}
}
