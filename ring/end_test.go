package ring

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"millrace/ring/host"

	"golang.org/x/sys/unix"
)

// This file owns the tests of the end of a connection: the drawn table is the one that the code runs on, and real
// connections walk every pair of state and event that it allows.

// TestEndTableIsDrawn proves that the table in the first comment of end.go is endTable.
func TestEndTableIsDrawn(t *testing.T) {
	text, err := os.ReadFile("end.go")
	if err != nil {
		t.Fatal(err)
	}
	_, drawn, _ := strings.Cut(string(text), "//\tstate ")
	drawn, _, _ = strings.Cut(drawn, "\n//\n")
	lines := strings.Split(drawn, "\n//")
	if got := strings.Fields(lines[0]); strings.Join(got, " ") != strings.Join(eventNames[:], " ") {
		t.Errorf("the events are drawn as %q, but are %q", got, eventNames)
	}
	if len(lines) != int(connStates) {
		t.Fatalf("%d states are drawn, but there are %d", len(lines)-1, connStates-1)
	}
	for state := connFree; state < connStates; state++ {
		want := []string{stateNames[state]}
		for _, next := range endTable[state] {
			want = append(want, stateNames[next])
		}
		if got := strings.Fields(lines[state]); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("drawn is %q,\nbut the table has %q", got, want)
		}
	}
}

// endWalk is one connection of a ring that is brought from state to state.
type endWalk struct {
	t    *testing.T
	r    *Ring
	slot Slot
	far  int // the client's end of the socket
}

// await waits for an event of a kind.
func (w *endWalk) await(kind EventKind) Event {
	for {
		events, err := w.r.Wait(nil, Window{Min: 1})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == kind {
				return e
			}
		}
	}
}

// take brings a connection into the table as OpAdopt.
func (w *endWalk) take() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.far = fds[1]
	w.op(Op{Kind: OpAdopt, FD: int32(fds[0])})
	w.slot = w.await(EventAdopted).Slot
}

func (w *endWalk) op(op Op) {
	op.Slot = w.slot
	w.r.Submit([]Op{op})
}

// TestEndWalk proves that ops, completions and waits bring a connection through endTable and through nothing else: the
// walks below take every step that the table allows, on a ring of the kernel; every other step panics.
func TestEndWalk(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	listeners, err := host.Listen(host.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer listeners[0].Close()
	o := testOptions(Want{})
	o.Outgoing, o.MaxConnections = true, 1
	p, err := Choose(Probe(), o)
	if err != nil {
		t.Fatal(err)
	}
	var walked [connStates][endEvents]bool
	f := func(steps string) {
		t.Helper()
		r, err := Open(p)
		if err != nil {
			t.Fatal(err)
		}
		w := &endWalk{t: t, r: r, far: -1}
		state := connFree
		for _, names := range strings.Fields(steps) {
			w.step(names, listeners[0])
			for name := range strings.SplitSeq(names, "+") {
				event := eventNamed(name)
				walked[state][event] = true
				state = endTable[state][event]
			}
			if got := r.conns[0].state; got != state {
				t.Fatalf("%s: after %s the connection is %s, want %s", steps, names, stateNames[got], stateNames[state])
			}
		}
		if state != connFree || r.Stats().Connections != 0 {
			t.Errorf("%s: ends with %d connections", steps, r.Stats().Connections)
		}
		_ = unix.Close(w.far)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	// Steps that are joined by + are one op or one wait.
	f("take close join+report")
	f("take hangup close+join report")
	f("take shutdown close join+report")
	f("take shutdown hangup close+join report")
	f("take hangup shutdown close+join report")
	f("take release")
	f("take hangup release")
	f("connect connected close join+report")
	f("connect fail")
	f("connect close join+report")
	for state := connFree; state < connStates; state++ {
		for event := range endEvents {
			step := eventNames[event] + " of " + stateNames[state]
			if allowed := endTable[state][event] != connNever; allowed != walked[state][event] {
				t.Errorf("%s: allowed %v, walked %v", step, allowed, walked[state][event])
			} else if !allowed {
				mustPanic(t, step, func() { (&conn{state: state}).endStep(event) })
			}
		}
	}
}

// step brings about one or more events by the means of a caller, a client or the kernel.
func (w *endWalk) step(names string, l *host.Listener) {
	switch names {
	case "take":
		w.take()
	case "connect":
		w.op(Op{Kind: OpConnect, Remote: l.Addr()})
		w.slot = Slot{Index: 0, Gen: w.r.conns[0].gen}
	case "connected":
		w.await(EventConnect)
	case "fail":
		// The socket is one that cannot connect: it listens.
		if err := unix.Listen(int(w.r.conns[0].fd), 1); err != nil {
			w.t.Fatal(err)
		}
		if e := w.await(EventConnect); e.Errno == 0 {
			w.t.Error("a listening socket is connected")
		}
	case "shutdown":
		w.op(Op{Kind: OpShutdown})
	case "hangup":
		_ = unix.Shutdown(w.far, unix.SHUT_WR)
		w.await(EventHangup)
	case "close", "close+join":
		if w.r.conns[0].state == connConnecting {
			w.r.endAll() // nobody has the slot yet
			return
		}
		w.op(Op{Kind: OpClose})
	case "report", "join+report":
		w.await(EventClosed)
	case "release":
		w.op(Op{Kind: OpPause})
		fd := w.await(EventPaused).FD
		w.op(Op{Kind: OpRelease})
		_ = unix.Close(int(fd))
	default:
		w.t.Fatalf("BUG: no step %q", names)
	}
}

func eventNamed(name string) endEvent {
	for e, n := range eventNames {
		if n == name {
			return endEvent(e)
		}
	}
	panic("BUG: no event " + name)
}

// TestEndMistakes proves that a caller that ends a connection in the wrong order is stopped at once.
func TestEndMistakes(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := Choose(Probe(), testOptions(Want{}))
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, kinds ...OpKind) {
		t.Helper()
		r, err := Open(p)
		if err != nil {
			t.Fatal(err)
		}
		w := &endWalk{t: t, r: r}
		w.take()
		defer unix.Close(w.far)
		last := len(kinds) - 1
		for _, kind := range kinds[:last] {
			w.op(Op{Kind: kind})
		}
		mustPanic(t, what, func() { w.op(Op{Kind: kinds[last], Data: r.Pool().Bytes(r.Pool().Get(1))}) })
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	f("closed twice", OpClose, OpClose)
	f("shut down twice", OpShutdown, OpShutdown)
	f("shut down after close", OpClose, OpShutdown)
	f("sent after shutdown", OpShutdown, OpSend)
	f("sent after close", OpClose, OpSend)
	f("paused after shutdown", OpShutdown, OpPause)
	f("released without a pause", OpRelease)
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}
