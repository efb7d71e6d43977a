package ring

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"time"

	"millrace/ring/host"

	"golang.org/x/sys/unix"
)

// This file owns the tests of OpCancelSend on the real kernel. Package ringtest has those in which a cancel misses.

// cancelWalk is a connection over which a pattern is sent to a client.
type cancelWalk struct {
	endWalk
	sent   []byte // of which the kernel has said that it took them
	data   []byte // buffer of the pool
	sents  int    // events of that kind
	closed bool
}

// startCancel opens a ring and gives it one end of a connection: of TCP, or of a pair of unix sockets.
func startCancel(t *testing.T, p Plan, tcp bool) *cancelWalk {
	runtime.LockOSThread() // a subtest has a goroutine of its own
	r, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	w := &cancelWalk{endWalk: endWalk{t: t, r: r}}
	w.data = r.Pool().Bytes(r.Pool().Get(64 << 10))
	if !tcp {
		w.take()
		return w
	}
	ls, err := host.Listen(host.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer ls[0].Close()
	w.far = connect(t, ls[0].Addr())
	fd, _, err := unix.Accept(ls[0].FD())
	if err != nil {
		t.Fatal(err)
	}
	w.op(Op{Kind: OpAdopt, FD: int32(fd)})
	w.slot = w.await(EventAdopted).Slot
	return w
}

// send starts to send what comes next in the pattern.
func (w *cancelWalk) send() {
	for i := range w.data {
		w.data[i] = patternAt(len(w.sent) + i)
	}
	w.op(Op{Kind: OpSend, Data: w.data})
}

func patternAt(i int) byte { return byte(i ^ i>>8 ^ i>>16) }

// round waits for so many completions and takes account of the sends that have ended. It returns how many did.
func (w *cancelWalk) round(least int) (n int) {
	events, err := w.r.Wait(nil, Window{Min: least})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		switch e.Kind {
		case EventSent:
			if e.Errno != 0 {
				w.t.Errorf("a send that was cancelled looks like a broken connection: %v", e.Errno)
			}
			w.sent = append(w.sent, w.data[:e.N]...)
			w.sents++
			n++
		case EventClosed:
			w.closed = true
		}
	}
	return n
}

// stick sends until the client has no room any more, and leaves a send outstanding.
func (w *cancelWalk) stick() {
	for {
		w.send()
		if w.round(0) == 0 {
			return
		}
	}
}

// end closes the ring and the client.
func (w *cancelWalk) end() {
	if err := w.r.Close(); err != nil {
		w.t.Error(err)
	}
	_ = unix.Close(w.far)
}

// readAll returns so many bytes of the client's.
func readAll(t *testing.T, fd, n int) []byte {
	got := make([]byte, 0, n)
	for len(got) < n {
		k, err := unix.Read(fd, got[len(got):n])
		if err != nil || k == 0 {
			t.Errorf("the client read %d, %v after %d bytes of %d", k, err, len(got), n)
			return got
		}
		got = got[:len(got)+k]
	}
	return got
}

// eachCancel runs f under every plan with both kinds of sockets. With a tick of an hour no cancel is repeated.
func eachCancel(t *testing.T, tick time.Duration, f func(t *testing.T, w *cancelWalk)) {
	eachPlan(t, func(t *testing.T, p Plan) {
		p.Tick = tick
		for _, tcp := range []bool{false, true} {
			w := startCancel(t, p, tcp)
			f(t, w)
			w.end()
		}
	})
}

// TestCancelSend proves that a send for which the client makes no room comes back at once when it is cancelled, that the client
// then gets no byte of it, and that the connection goes on.
func TestCancelSend(t *testing.T) {
	eachCancel(t, time.Hour, func(t *testing.T, w *cancelWalk) {
		for range 3 {
			// The send that stuck may have found room after all: then it has taken bytes.
			for before := -1; before != len(w.sent); {
				w.stick()
				before = len(w.sent)
				w.op(Op{Kind: OpCancelSend})
				w.op(Op{Kind: OpCancelSend}) // does nothing
				for w.round(1) == 0 {
				}
			}
			w.op(Op{Kind: OpCancelSend}) // does nothing, and none of them harms the sends that follow
			sent := len(w.sent)
			if got := readAll(t, w.far, sent); !bytes.Equal(got, w.sent) {
				t.Error("the client read other bytes than were sent")
			}
			if n, _, err := unix.Recvfrom(w.far, make([]byte, 1), unix.MSG_DONTWAIT); err != unix.EAGAIN {
				t.Errorf("the client read %d, %v after the last byte that was sent", n, err)
			}
			w.sent = w.sent[:0]
		}
		w.send()
		for w.round(1) == 0 {
		}
		if len(w.sent) == 0 {
			t.Error("nothing was sent after a cancel")
		}
	})
}

// TestCancelSendMeets proves that no byte is lost or doubled where a client reads while its sends are cancelled, so that
// either may be first.
func TestCancelSendMeets(t *testing.T) {
	const rounds = 300
	eachCancel(t, 20*time.Millisecond, func(t *testing.T, w *cancelWalk) {
		var got []byte
		var wg sync.WaitGroup
		wg.Go(func() {
			b := make([]byte, 100_000)
			for {
				n, err := unix.Read(w.far, b)
				if n <= 0 || err != nil {
					return
				}
				got = append(got, b[:n]...)
			}
		})
		for i := range rounds {
			w.send()
			if i%2 == 0 {
				w.round(0)
			}
			w.op(Op{Kind: OpCancelSend})
			for w.sents <= i {
				w.round(1)
			}
		}
		w.op(Op{Kind: OpShutdown})
		wg.Wait()
		if !bytes.Equal(got, w.sent) {
			t.Errorf("the client read %d bytes, %d were sent, or others", len(got), len(w.sent))
		}
	})
}

// TestCancelSendThenClose proves that a connection whose send is cancelled can be closed at the same moment: the send comes
// back, and then the end.
func TestCancelSendThenClose(t *testing.T) {
	eachCancel(t, time.Hour, func(t *testing.T, w *cancelWalk) {
		w.stick()
		sents := w.sents
		w.r.Submit([]Op{{Kind: OpCancelSend, Slot: w.slot}})
		w.r.Submit([]Op{{Kind: OpClose, Slot: w.slot, Abort: true}})
		for !w.closed {
			events, err := w.r.Wait(nil, Window{Min: 1})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				switch e.Kind {
				case EventSent:
					w.sents++
				case EventClosed:
					w.closed = true
				}
			}
		}
		if w.sents != sents+1 {
			t.Errorf("%d sends came back", w.sents-sents)
		}
	})
}

// TestAdoptPaused proves that nothing is received on a connection that was adopted at rest, that it sends, and that it can be
// resumed, released and closed as one that was paused.
func TestAdoptPaused(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		runtime.LockOSThread()
		r, err := Open(p)
		if err != nil {
			t.Fatal(err)
		}
		w := &endWalk{t: t, r: r}
		adopt := func(fd int) {
			w.op(Op{Kind: OpAdopt, FD: int32(fd), Paused: true})
			w.slot = w.await(EventAdopted).Slot
			if !r.Quiet(w.slot) || r.FD(w.slot) != int32(fd) {
				t.Errorf("quiet %v, descriptor %d", r.Quiet(w.slot), r.FD(w.slot))
			}
		}
		fresh := func() (fd int) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			w.far = fds[1]
			_, _ = unix.Write(w.far, []byte("early"))
			adopt(fds[0])
			return fds[0]
		}
		fd := fresh()
		data := r.Pool().Bytes(r.Pool().Get(1))[:1]
		w.op(Op{Kind: OpSend, Data: data})
		if r.Quiet(w.slot) {
			t.Error("a connection with a send is quiet")
		}
		events, err := r.Wait(nil, Window{Min: 1})
		if err != nil || len(events) != 1 || events[0].Kind != EventSent {
			t.Errorf("events %+v, %v, want the end of the send alone", events, err)
		}
		w.op(Op{Kind: OpRelease})
		adopt(fd) // into the same place, with another name
		w.op(Op{Kind: OpResume})
		if e := w.await(EventRecv); string(e.Data) != "early" || r.Quiet(w.slot) {
			t.Errorf("received %q, quiet %v", e.Data, r.Quiet(w.slot))
		}
		w.op(Op{Kind: OpPause})
		w.await(EventPaused)
		if !r.Quiet(w.slot) {
			t.Error("a paused connection is not quiet")
		}
		_ = unix.Close(w.far)
		w.op(Op{Kind: OpResume})
		w.await(EventHangup)
		w.op(Op{Kind: OpPause})
		w.op(Op{Kind: OpRelease}) // its EventPaused is due: it does not come
		w.op(Op{Kind: OpAdopt, FD: int32(fd), Paused: true, Tag: 7})
		if events, err = r.Wait(nil, Window{}); err != nil || len(events) == 0 || events[0].Tag != 7 {
			t.Fatalf("events %+v, %v", events, err)
		}
		w.slot = events[0].Slot
		for _, e := range events {
			if e.Kind == EventPaused {
				t.Error("EventPaused for a connection that was released")
			}
		}
		w.op(Op{Kind: OpClose})
		w.await(EventClosed)
		fresh() // Close has to end it
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		_ = unix.Close(w.far)
	})
}
