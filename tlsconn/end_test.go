package tlsconn

// This file walks the table of states and events: it brings each pair about by bytes and calls, or proves it refused.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// life is the meaning of a state, told without the table.
type life struct {
	hello, waits, begun, flight, in, out, failed, closed bool
}

var lives = [states]life{
	stateNew:         {},
	stateHello:       {hello: true},
	stateWaiting:     {hello: true, waits: true},
	stateHandshaking: {begun: true, flight: true},
	stateEstablished: {begun: true, in: true, out: true},
	statePeerEnded:   {begun: true, out: true},
	stateOursEnded:   {begun: true, in: true},
	stateBothEnded:   {begun: true},
	stateFailed:      {begun: true, failed: true},
	stateClosed:      {begun: true, closed: true},
}

// after returns the life behind an event, and false if the event cannot come in this life.
func (l life) after(e event) (life, bool) {
	switch e {
	case eventHello:
		return life{hello: true}, !l.hello && !l.begun
	case eventWait:
		return life{hello: true, waits: true}, !l.waits && !l.begun
	case eventBegin:
		return life{begun: true, flight: true}, !l.begun
	case eventRefuse:
		return life{begun: true, failed: true}, !l.begun || l.flight
	case eventEstablish:
		return life{begun: true, in: true, out: true}, l.flight
	case eventHandshakeFail:
		return life{begun: true, failed: true}, l.flight
	case eventPeerNotify:
		return life{begun: true, out: l.out}, l.in
	case eventOurNotify:
		return life{begun: true, in: l.in}, l.out
	case eventPeerAlert, eventFail:
		return life{begun: true, failed: true}, l.in
	case eventClose:
		return life{begun: true, closed: true}, true
	}
	panic("an event without a meaning")
}

// pathTo lists the events that lead from stateNew to each state.
var pathTo = [states][]event{
	stateNew:         {},
	stateHello:       {eventHello},
	stateWaiting:     {eventWait},
	stateHandshaking: {eventBegin},
	stateEstablished: {eventBegin, eventEstablish},
	statePeerEnded:   {eventBegin, eventEstablish, eventPeerNotify},
	stateOursEnded:   {eventBegin, eventEstablish, eventOurNotify},
	stateBothEnded:   {eventBegin, eventEstablish, eventOurNotify, eventPeerNotify},
	stateFailed:      {eventBegin, eventHandshakeFail},
	stateClosed:      {eventClose},
}

// Every event in every state leads to the state that its meaning asks for, and the caller then sees the promises of
// that state. An event that cannot come is a BUG.
func TestEveryEnd(t *testing.T) {
	f := func(t *testing.T, version uint16, flown bool) {
		for from := stateNew; from < states; from++ {
			for e := range events {
				w := newWalk(t, version, flown, pathTo[from])
				if w.conn.state != from {
					t.Fatalf("the path %v leads to %q, want %q", pathTo[from], w.conn.state, from)
				}
				want, possible := lives[from].after(e)
				if !possible {
					if text := refusal(func() { w.conn.step(e, nil) }); !strings.HasPrefix(text, "BUG: ") {
						t.Errorf("%q in the state %q is not refused: %s", e, from, text)
					}
					continue
				}
				w.bringAbout(e)
				if got := lives[w.conn.state]; got != want {
					t.Errorf("%q in the state %q leads to %q", e, from, w.conn.state)
				}
				if problem := w.promise(want); problem != "" {
					t.Errorf("%q in the state %q: %s", e, from, problem)
				}
				if n := w.engine.InFlight() + w.engine.Fresh(); n > 1 || n == 1 != want.flight {
					t.Errorf("%q in the state %q: %d handshakes", e, from, n)
				}
			}
		}
	}
	both(t, func(t *testing.T, version uint16) {
		f(t, version, false)
		f(t, version, true)
	})
}

// refusal returns the text with which f panics.
func refusal(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return
}

// walk is a rig that can also be anywhere in or before its handshake.
type walk struct {
	rig
	version uint16
	flown   bool   // handshakes compute up to our flight as soon as they have begun
	hello   []byte // the rest of the client's ClientHello
	refuse  bool   // what Admit says
}

// newWalk returns a new connection to which the events have come.
func newWalk(tb testing.TB, version uint16, flown bool, path []event) *walk {
	tb.Helper()
	w := &walk{rig: rig{tb: tb}, version: version, flown: flown, hello: clientHello(tb)}
	w.engine = testEngine(tb, testCerts(tb, "ecdsa"), func(o *EngineOptions) {
		o.Admit = func(Handle) bool { return !w.refuse }
	})
	w.conn = w.engine.Start(1)
	for _, e := range path {
		w.bringAbout(e)
	}
	return w
}

// bringAbout makes an event happen, by bytes from the client and calls of the caller.
func (w *walk) bringAbout(e event) {
	w.tb.Helper()
	c := w.conn
	switch e {
	case eventHello:
		c.Feed(w.hello[:10])
		w.hello = w.hello[10:]
	case eventWait:
		w.refuse = true
		c.Feed(w.hello)
	case eventBegin:
		w.refuse = false
		if c.state == stateWaiting {
			c.Retry()
		} else {
			c.Feed(w.hello)
		}
		if w.flown {
			computeAll(w.engine)
		}
	case eventRefuse:
		switch c.state {
		case stateNew:
			c.Feed([]byte("SSH-2.0-OpenSSH_9.2"))
		case stateHello, stateWaiting:
			c.Feed(make([]byte, helloRoom+1))
		default:
			c.Feed(make([]byte, maxBacklog+1))
		}
	case eventEstablish:
		w.establish()
	case eventHandshakeFail:
		c.Feed([]byte{byte(typeHandshake), 3, 3, 0, 4, 99, 0, 0, 0}) // no answer to our flight
		computeAll(w.engine)
	case eventPeerNotify:
		w.read(w.record(typeAlert, []byte{levelWarning, byte(alertCloseNotify)}), 1<<20)
	case eventPeerAlert:
		w.read(w.record(typeAlert, []byte{levelFatal, byte(alertInternalError)}), 1<<20)
	case eventOurNotify:
		w.open(c.CloseNotify(nil))
	case eventFail:
		w.read([]byte("this is no record"), 1<<20)
	case eventClose:
		c.Close()
	}
}

// establish ends the handshake in flight as if crypto/tls had completed it, with the keys of another connection.
func (w *walk) establish() {
	w.tb.Helper()
	c, other := w.conn, newRig(w.tb, w.version, 0, nil)
	hs, from := c.hs, other.conn
	w.engine.abandon(hs, ErrTimeout)
	hs.err, hs.result = nil, session{suite: from.suite, info: from.info, in: from.in, out: from.out}
	hs.pipe.in = nil
	c.adopt()
	c.pend = nil // our flight of the other handshake
	w.out, w.in = other.out, other.in
}

// promise returns a sentence about the first thing that a caller sees and that a life does not promise, else nothing.
func (w *walk) promise(l life) string {
	c := w.conn
	phase := Established
	switch {
	case l.failed || l.closed:
		phase = Failed
	case !l.in && !l.out && l.flight, !l.begun:
		phase = Handshaking
	}
	if c.Phase() != phase || (c.Err() != nil) != (phase == Failed) || (c.hs != nil) != l.flight {
		return fmt.Sprintf("the phase is %v, the error %v, a handshake is in flight: %v", c.Phase(), c.Err(), c.hs != nil)
	}
	if !l.in && !l.hello && (c.held != nil || c.fed != nil || c.Partial()) {
		return "input is held that nobody reads"
	}
	if err := c.Feed(nil); err != c.Err() {
		return fmt.Sprintf("Feed: %v", err)
	}
	_, err := c.Next()
	if want := c.Err(); phase != Established && err != want || phase == Established && (err == io.EOF) == l.in {
		return fmt.Sprintf("Next: %v", err)
	}
	pending := c.Pending()
	b, err := c.Write(nil, []byte("x"))
	if wrote := len(b) > pending; wrote != l.out || (err == nil) != l.out || phase == Failed && err != c.Err() ||
		phase == Handshaking && err != errHandshaking || phase == Established && !l.out && err != ErrClosed {
		return fmt.Sprintf("Write: %d bytes, %v", len(b)-pending, err)
	}
	if l.closed && pending > 0 {
		return fmt.Sprintf("%d bytes are pending after Close", pending)
	}
	if said := len(c.CloseNotify(nil)) > 0; said != l.out {
		return fmt.Sprintf("close_notify is sent: %v", said)
	}
	return ""
}

// The first reason to end stays the error of a connection through all later ends.
func TestFirstReason(t *testing.T) {
	f := func(want error, path ...event) {
		t.Helper()
		for _, flown := range []bool{false, true} {
			w := newWalk(t, tls.VersionTLS13, flown, path)
			if err := w.conn.Err(); !errors.Is(err, want) {
				t.Errorf("after %v: %v, want %v", path, err, want)
			}
		}
	}
	f(ErrNotTLS, eventRefuse, eventClose)
	f(ErrClosed, eventBegin, eventClose, eventClose)
	f(ErrBacklog, eventBegin, eventRefuse, eventClose)
	f(ErrClosed, eventBegin, eventEstablish, eventPeerNotify, eventClose)
	f(clientErrors[alertUnexpectedMessage], eventBegin, eventEstablish, eventFail, eventClose)
}
