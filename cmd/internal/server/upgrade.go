package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
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
	hurriedPatience   = time.Second      // the same while the end of the tracker waits for it
	lookEvery         = time.Millisecond // at shards that come to rest
)

// handOver is one of the process's.
type handOver struct {
	server *Server
	ctx    context.Context // ends when the hand-over is given up by order
	giveUp context.CancelCauseFunc
	over   chan struct{} // closed when nothing of it is left

	// Guarded by the mutex of upgrades.
	child     *exec.Cmd
	committed bool     // it cannot be given up any more
	failed    bool     // its successor only has to end
	settled   bool     // it is clear which process goes on
	orders    []func() // that wait for that

	listening listenTable
	link      *handover.Link
	ended     chan struct{} // closed when the child has ended
	answers   bool          // the successor says that it goes on

	sent      handover.End
	mine      handover.Mine
	frozenAt  time.Time
	carryEnd  time.Time // by which the successor must have everything
	frozenFor time.Duration
}

// run hands over. After an error the tracker goes on, and endHeir has to be called.
func (h *handOver) run() error {
	if err := h.start(); err != nil {
		return err
	}
	context.AfterFunc(h.ctx, func() { h.link.SetDeadline(time.Unix(1, 0)) })
	if err := h.give(); err != nil {
		return err
	}
	h.link.Close()
	return nil
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
	h.ended = make(chan struct{})
	h.server.upgrades.mu.Lock()
	defer h.server.upgrades.mu.Unlock()
	child, err := h.server.process.Successor(h.server.user.newRoot(), theirs)
	theirs.Close()
	if err != nil {
		return fmt.Errorf("cannot start the new process: %w", err)
	}
	h.child = child
	go func() {
		_ = child.Wait() // its exit code is in its log
		close(h.ended)
	}()
	return nil
}

// endHeir ends a successor that did not get everything, and waits for that.
func (h *handOver) endHeir(why error) {
	h.link.Fail(why)
	if h.child == nil {
		return
	}
	patience := heirPatience
	if h.ctx.Err() != nil {
		patience = hurriedPatience
	}
	select {
	case <-h.ended:
	case <-time.After(patience):
		_ = h.child.Process.Kill() // it may have ended meanwhile
		<-h.ended
	}
}

// give carries everything over. Until it returns nil nothing has changed that cannot be taken back.
func (h *handOver) give() (err error) {
	defer func() {
		if why := context.Cause(h.ctx); err != nil && why != nil {
			err = why // the link has failed because of it
		}
	}()
	h.patience(startPatience)
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
	if err := h.server.upgrades.commit(h); err != nil {
		return err
	}
	if err := h.letGo(); err != nil {
		return err
	}
	h.frozenFor = time.Since(h.frozenAt)
	h.server.bridge.goodbye() // before the link ends, for which the successor waits: it has the same name
	return nil
}

// patience gives the successor time for its next step, unless the hand-over is given up: that has ended the time, or ends it now.
func (h *handOver) patience(d time.Duration) {
	h.link.SetDeadline(time.Now().Add(d))
	if h.ctx.Err() != nil {
		h.link.SetDeadline(time.Unix(1, 0))
	}
}

// wait gives it time for one of the steps of carry.
func (h *handOver) wait() { h.patience(min(silencePatience, time.Until(h.carryEnd))) }

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

// letGo lets the successor go on, and waits until it says that it does. One that says nothing is killed, so that no two processes serve the
// same clients.
func (h *handOver) letGo() error {
	h.patience(servingPatience)
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
		err = h.link.Send(handover.KindListeners, s.user.record(), -1)
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
		_ = c.Do(context.Background(), func(sh *shard.Shard, r *ring.Ring) { f(k, sh, r) }) // a loop that has ended has failed, and says so
	}
}

// all reports whether something holds of all shards.
func (h *handOver) all(f func(sh *shard.Shard, r *ring.Ring) bool) bool {
	yes := true
	h.each(func(_ int, sh *shard.Shard, r *ring.Ring) { yes = f(sh, r) && yes })
	return yes
}

// until waits until something holds, and reports whether it does.
func (h *handOver) until(patience time.Duration, f func() bool) bool {
	for end := time.Now().Add(patience); !f(); time.Sleep(lookEvery) {
		if time.Now().After(end) || h.ctx.Err() != nil {
			return false
		}
	}
	return true
}

// stand stops accepting, and lets handshakes end that are under way. The function that it returns has all shards go on.
func (h *handOver) stand() (undo func()) {
	h.each(func(_ int, _ *shard.Shard, r *ring.Ring) { r.Submit([]ring.Op{{Kind: ring.OpHoldAccept}}) })
	h.until(handshakePatience, func() bool {
		return h.all(func(sh *shard.Shard, r *ring.Ring) bool { return r.AcceptHeld() && sh.TLSHandshakes() == 0 })
	})
	return func() {
		if !h.frozenAt.IsZero() {
			_ = h.server.thaw(context.Background()) // a loop that has ended has failed, and says so
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
	still := h.until(freezePatience, func() bool {
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
