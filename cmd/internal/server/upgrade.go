package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/ring"
	"millrace/ring/host"
)

// This file owns the hand-over to a successor, another process that takes over all that this one has: see package handover. inherit.go
// is the successor's side.

// The patience with each step of a hand-over. While connections are frozen nobody is served.
const (
	startPatience     = 30 * time.Second // until the successor could serve
	handshakePatience = 2 * time.Second  // until TLS handshakes that are under way have ended
	freezePatience    = 5 * time.Second  // until nothing is under way any more
	carryPatience     = 30 * time.Second // until the successor has everything
	silencePatience   = 10 * time.Second // until it takes the next record, or says that it has everything
	servingPatience   = 5 * time.Second  // until the successor goes on
	heirPatience      = 5 * time.Second  // until a successor that has failed has ended by itself
	lookEvery         = time.Millisecond // at shards that come to rest
)

// upgrades are the hand-overs of a process.
type upgrades struct {
	sync.Mutex        // held by the one under way
	done       uint64 // with the one by which this process came
	failed     atomic.Uint64
	gone       atomic.Int64 // the process to which everything has gone; 0: none
}

// Upgrade starts a successor and hands it everything. When it returns nil, the tracker stops, and Done follows soon. After an error it
// goes on as if nothing had happened.
func (s *Server) Upgrade() error {
	if !s.upgrades.TryLock() {
		s.log.Warn("a hand-over is under way already: another one was not begun")
		return errors.New("cannot hand over: a hand-over is under way already")
	}
	defer s.upgrades.Unlock()
	began := time.Now()
	h := &handOver{server: s, ctx: context.Background(), listening: *s.served.Load()}
	pid, err := h.run()
	if err != nil {
		s.upgrades.failed.Add(1)
		s.log.Error("cannot hand over to a new process: this one goes on", "error", err)
		return err
	}
	s.upgrades.gone.Store(int64(pid))
	for _, a := range []*adminServer{s.admin, s.control} {
		a.leave()
	}
	s.log.Info("handed over to a new process", "pid", pid, "connections", h.sent.Connections, "peers", h.sent.Peers,
		"without_place", len(h.mine.Left), "nobody_served_ms", h.frozenFor.Milliseconds(), "took_ms", time.Since(began).Milliseconds())
	h.goAway() // from here on the process may end at any time
	return nil
}

// handOver is one of them.
type handOver struct {
	server *Server
	ctx    context.Context

	listening listenTable
	link      *handover.Link
	child     *exec.Cmd
	ended     chan struct{} // closed when the child has ended
	answers   bool          // the successor says that it goes on

	sent      handover.End
	mine      handover.Mine
	frozenAt  time.Time
	carryEnd  time.Time // by which the successor must have everything
	frozenFor time.Duration
}

// run hands over. It returns the successor's number.
func (h *handOver) run() (pid int, err error) {
	if err := h.check(); err != nil {
		return 0, err
	}
	if err := h.start(); err != nil {
		return 0, err
	}
	if err = h.give(); err != nil {
		h.giveUp(err)
		return 0, err
	}
	h.link.Close()
	return h.child.Process.Pid, nil
}

// check says why there can be no hand-over now.
func (h *handOver) check() error {
	s := h.server
	switch {
	case s.process.Successor == nil:
		return errors.New("cannot hand over: this process does not know its program")
	case os.Getpid() == 1:
		return errors.New("cannot hand over: this process is number 1, with which its container ends; start the tracker by a small " +
			"init, such as docker run --init")
	case s.stopping.Load():
		return errors.New("cannot hand over: the tracker stops, or is drained")
	}
	return nil
}

// start starts the successor.
func (h *handOver) start() error {
	link, theirs, err := handover.Pair()
	if err != nil {
		return err
	}
	h.link = link
	h.child, err = h.server.process.Successor(theirs)
	theirs.Close()
	if err != nil {
		link.Close()
		return fmt.Errorf("cannot start the new process: %w", err)
	}
	h.ended = make(chan struct{})
	go func() {
		_ = h.child.Wait() // its exit code is in its log
		close(h.ended)
	}()
	return nil
}

// giveUp ends a successor that did not get everything.
func (h *handOver) giveUp(why error) {
	h.link.Fail(why)
	select {
	case <-h.ended:
	case <-time.After(heirPatience):
		_ = h.child.Process.Kill() // it may have ended meanwhile
	}
}

// give carries everything over. Until it returns nil nothing has changed that cannot be taken back.
func (h *handOver) give() (err error) {
	h.link.SetDeadline(time.Now().Add(startPatience))
	if err := h.introduce(); err != nil {
		return err
	}
	undo := h.stand()
	defer func() {
		if err != nil {
			undo()
		}
	}()
	if err := h.freeze(); err != nil {
		return err
	}
	h.carryEnd = time.Now().Add(carryPatience)
	if err := h.carry(); err != nil {
		return h.lastWord(err)
	}
	h.wait()
	if _, err := h.link.Want(handover.KindMine, &h.mine); err != nil {
		return fmt.Errorf("the new process has not got everything: %w", err)
	}
	if err := h.letGo(); err != nil {
		return err
	}
	h.frozenFor = time.Since(h.frozenAt)
	h.tellManager()
	return nil
}

// wait gives the successor time for its next step.
func (h *handOver) wait() {
	next := time.Now().Add(silencePatience)
	if next.After(h.carryEnd) {
		next = h.carryEnd
	}
	h.link.SetDeadline(next)
}

// lastWord returns the reason that a successor gave before it ended, so that nothing could be sent to it any more; else err.
func (h *handOver) lastWord(err error) error {
	if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	if _, word := h.link.Want(handover.KindMine, nil); word != nil {
		return fmt.Errorf("the new process has not got everything: %w", word)
	}
	return err
}

// tellManager says which process serves now. A service manager may believe no other one from then on, so this one must not go on.
func (h *handOver) tellManager() {
	if h.server.process.HandedOver != nil {
		h.server.process.HandedOver(h.child.Process.Pid)
	}
}

// letGo lets the successor go on, and waits until it says that it does. One that says nothing is killed, so that no two processes serve the
// same clients.
func (h *handOver) letGo() error {
	h.link.SetDeadline(time.Now().Add(servingPatience))
	err := h.link.Send(handover.KindYours, nil, -1)
	if err == nil && !h.answers {
		return nil // an older version, which serves without a word
	}
	if err == nil {
		_, err = h.link.Want(handover.KindServing, nil)
	}
	if err == nil {
		return nil
	}
	_ = h.child.Process.Kill() // it may have ended
	<-h.ended
	return fmt.Errorf("the new process does not go on: %w", err)
}

// introduce gives the successor the listening sockets and waits until it could serve.
func (h *handOver) introduce() error {
	var hello handover.Hello
	if _, err := h.link.Want(handover.KindHello, &hello); err != nil {
		return fmt.Errorf("the new process has not started: %w", err)
	}
	if hello.Format != handover.Version {
		return fmt.Errorf("the new process (%s) speaks version %d of the hand-over, this one version %d: restart instead", hello.Program,
			hello.Format, handover.Version)
	}
	h.answers = hello.Answers
	if err := h.sendListeners(); err != nil {
		return h.lastWord(err)
	}
	if _, err := h.link.Want(handover.KindReady, nil); err != nil {
		return fmt.Errorf("the new process cannot serve: %w", err)
	}
	return nil
}

// sendListeners sends the listening sockets of all shards, and those of operators.
func (h *handOver) sendListeners() (err error) {
	s := h.server
	h.each(func(_ int, _ *shard.Shard, r *ring.Ring) {
		for n, l := range h.listening {
			if l == nil {
				continue
			}
			for _, fd := range r.ListenerFDs(n) {
				if err == nil {
					err = h.sendListener(listenerTracker, l.first, fd)
				}
			}
		}
	})
	for name, a := range map[string]*adminServer{listenerMetrics: s.admin, listenerControl: s.control} {
		if a == nil || err != nil {
			continue
		}
		err = h.sendAdmin(name, a)
	}
	if err == nil {
		err = h.link.Send(handover.KindListeners, nil, -1)
	}
	return err
}

// sendAdmin sends the listening socket of a server for operators. The descriptor is borrowed where it is: os.File.Fd would have the socket
// block from then on, in this process too, and an Accept that blocks cannot be ended.
func (h *handOver) sendAdmin(name string, a *adminServer) error {
	c, err := a.listener.(syscall.Conn).SyscallConn()
	if err == nil {
		controlErr := c.Control(func(fd uintptr) {
			err = h.link.Send(handover.KindListener, &handover.Listener{Name: name, Address: a.address}, int(fd))
		})
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		return fmt.Errorf("cannot pass the listener for %s on: %w", a.name, err)
	}
	return nil
}

// sendListener sends a descriptor of a listening socket.
func (h *handOver) sendListener(name string, l *host.Listener, fd int) error {
	handed, err := l.HandOn(fd)
	if err != nil {
		return err
	}
	defer handed.Close()
	return h.link.Send(handover.KindListener, &handover.Listener{Name: name, Address: handed.Address, Kept: handed.Kept}, handed.FD)
}

// What listening sockets are for.
const (
	listenerTracker = "tracker"
	listenerMetrics = "metrics"
	listenerControl = "control"
)

// each calls f for all shards, one after the other, by their loops' threads.
func (h *handOver) each(f func(k int, sh *shard.Shard, r *ring.Ring)) {
	for k, c := range h.server.controls {
		_ = c.Do(h.ctx, func(sh *shard.Shard, r *ring.Ring) { f(k, sh, r) }) // a loop that has ended has failed, and says so
	}
}

// all reports whether something holds of all shards.
func (h *handOver) all(f func(sh *shard.Shard, r *ring.Ring) bool) bool {
	yes := true
	h.each(func(_ int, sh *shard.Shard, r *ring.Ring) { yes = f(sh, r) && yes })
	return yes
}

// until waits until something holds, and reports whether it does.
func until(patience time.Duration, f func() bool) bool {
	for end := time.Now().Add(patience); !f(); time.Sleep(lookEvery) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// stand stops accepting, and lets handshakes end that are under way. The function that it returns has all shards go on.
func (h *handOver) stand() (undo func()) {
	h.each(func(_ int, _ *shard.Shard, r *ring.Ring) { r.Submit([]ring.Op{{Kind: ring.OpHoldAccept}}) })
	until(handshakePatience, func() bool {
		return h.all(func(sh *shard.Shard, r *ring.Ring) bool { return r.AcceptHeld() && sh.TLSHandshakes() == 0 })
	})
	return func() {
		if !h.frozenAt.IsZero() {
			_ = h.server.thaw(h.ctx) // a loop that has ended has failed, and says so
		}
		h.each(func(_ int, _ *shard.Shard, r *ring.Ring) { r.Submit([]ring.Op{{Kind: ring.OpGoAccept}}) })
	}
}

// freeze has all shards stand still, and waits until nothing is under way in them or between them.
func (h *handOver) freeze() error {
	h.frozenAt = time.Now()
	h.each(func(_ int, sh *shard.Shard, r *ring.Ring) { r.Submit(sh.Freeze()) })
	type mail struct{ sent, read uint64 }
	var before mail
	still := until(freezePatience, func() bool {
		var now mail
		quiet := h.all(func(sh *shard.Shard, r *ring.Ring) bool {
			sent, read := sh.Mail()
			now.sent, now.read = now.sent+sent, now.read+read
			return r.AcceptHeld() && sh.Still(r.Quiet)
		})
		same := now == before
		before = now
		return quiet && same && now.sent == now.read
	})
	if !still {
		return fmt.Errorf("cannot hand over: the shards have not come to rest within %v", freezePatience)
	}
	return nil
}

// goAway lets go of all that the successor has now, and ends the connections that it has not.
func (h *handOver) goAway() {
	left := make(map[handover.Name]bool, len(h.mine.Left))
	for _, name := range h.mine.Left {
		left[name] = true
	}
	h.each(func(_ int, sh *shard.Shard, r *ring.Ring) {
		r.Submit(sh.GiveAway(r.FD, func(fd int32) { _ = syscall.Close(int(fd)) }, func(n handover.Name) bool { return left[n] }))
	})
}

// leave ends the listener for operators here, and has the path of a unix socket stay: another process listens there, and has the figures
// that are true.
func (a *adminServer) leave() {
	if a == nil {
		return
	}
	a.remove = nil
	if l, ok := a.listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
	}
	_ = a.listener.Close() // it is closed again at the end
	a.http.SetKeepAlivesEnabled(false)
}
