package tlsconn

// This file owns the life of a connection and each of its ends: the states, the events, the table of which event leads
// to which state, and every function that makes a connection fail, sends or obeys close_notify or an alert, gives up a
// handshake or closes. Nothing outside this file sets Conn.state or Conn.err. A connection begins in New, or in the state in
// which it was saved: see Start and Restore.
//
//	New ──hello──► Hello ──wait──► Waiting     also New ──wait──► Waiting; begin, refuse and close come in all three
//	 │               │                │
//	 └─────begin─────┼────────────────┘
//	                 ▼
//	refuse     Handshaking ──establish──► Established ──their close_notify──► PeerEnded
//	 │               │                      │    │                               │
//	 │        refuse, or crypto/tls         │   our close_notify                our close_notify
//	 │            has failed                │    ▼                               ▼
//	 │               │                      │   OursEnded ──their close_notify──► BothEnded
//	 │               │                      │    │
//	 │               │             fatal alert    fatal alert
//	 ▼               ▼                      ▼    ▼
//	 └─────────► Failed ◄───────────────────┴────┘                  every state ──close──► Closed
//
// The client's data is read in Established and OursEnded. Ours is written in Established and PeerEnded.
//
// Nobody waits for anybody. A handshake exists exactly in Handshaking. Its stack is a coroutine of the event loop's thread
// and computes in [Engine.Compute] alone. A handshake that is to end before its time gets an error where crypto/tls reads
// next, at once: when endHandshake or Close returns, its stack is free. Two ends come later. A handshake that gives its
// place to a newcomer ends in its next turn, so that Compute tells the event loop of it. One that is late ends when the
// event loop asks: see [Conn.Expire].

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
)

// Errors that end a connection, besides [ClientError], [AlertError] and the errors of crypto/tls.
var (
	ErrNotTLS   = errors.New("the client's first bytes are not TLS")
	ErrPoolFull = errors.New("too many TLS handshakes at the same time")

	// ErrPlainHTTP ends a connection whose first bytes are an HTTP request. The caller may answer it without TLS.
	ErrPlainHTTP = errors.New("the client's first bytes are HTTP without TLS")

	ErrTimeout = errors.New("the TLS handshake took too long")
	ErrBacklog = errors.New("the client sent too much before the TLS handshake was complete")
	ErrClosed  = errors.New("the TLS connection was closed")
	ErrFlood   = errors.New("the client changed its keys, or asked for renegotiation, too often")

	// ErrNoMemory ends a connection whose record arrived in part while [EngineOptions.MaxBuffered] was used up.
	ErrNoMemory = errors.New("no buffer left for a TLS record that arrived in part")
)

// errHandshaking reports a mistake of the caller: nothing can be written before the handshake is complete.
var errHandshaking = errors.New("BUG: data written during the TLS handshake")

// state is where a connection is in its life. [Phase] is the caller's coarser view of it.
type state uint8

const (
	never            state = iota // in the table: the event cannot come
	stateNew                      // no byte has come
	stateHello                    // a part of the ClientHello has come
	stateWaiting                  // the ClientHello is whole and not admitted
	stateHandshaking              // crypto/tls is at work
	stateEstablished              // data flows in both directions
	statePeerEnded                // the client's close_notify has come: it can still receive
	stateOursEnded                // our close_notify is sent: the client can still send
	stateBothEnded                // close_notify went both ways
	stateFailed                   // Conn.err says why
	stateClosed                   // by the caller
	states
)

var stateNames = [states]string{
	"never", "new", "in its ClientHello", "waiting for admission", "handshaking",
	"established", "ended by the client", "ended by us", "ended by both",
	"failed", "closed",
}

func (s state) String() string { return stateNames[s] }

// phases holds the phase of each state.
var phases = [states]Phase{
	stateNew:         Handshaking,
	stateHello:       Handshaking,
	stateWaiting:     Handshaking,
	stateHandshaking: Handshaking,
	stateEstablished: Established,
	statePeerEnded:   Established,
	stateOursEnded:   Established,
	stateBothEnded:   Established,
	stateFailed:      Failed,
	stateClosed:      Failed,
}

// reads reports whether records of the client are opened.
func (s state) reads() bool { return s == stateEstablished || s == stateOursEnded }

// writes reports whether anything may still be sent.
func (s state) writes() bool { return s == stateEstablished || s == statePeerEnded }

// event is something that changes the state of a connection.
type event uint8

const (
	eventHello         event = iota // a part of the ClientHello has come
	eventWait                       // the ClientHello is whole, and the caller does not admit it now
	eventBegin                      // the ClientHello is whole, and there is a place
	eventRefuse                     // the event loop does not let the handshake begin, or go on
	eventEstablish                  // the handshake is complete
	eventHandshakeFail              // crypto/tls has failed
	eventPeerNotify                 // the client's close_notify has come
	eventPeerAlert                  // a fatal alert of the client has come
	eventOurNotify                  // our close_notify is sent
	eventFail                       // the client broke TLS, or memory is missing: the record layer cannot go on
	eventClose                      // the caller closes
	events
)

var eventNames = [events]string{
	"hello", "wait", "begin", "refuse", "establish", "handshake failed", "client's close_notify", "client's alert",
	"our close_notify",
	"fail", "close",
}

func (e event) String() string { return eventNames[e] }

// transitions gives the next state for each state and event. A pair that is not listed cannot come.
var transitions = [states][events]state{
	stateNew: {
		eventHello:  stateHello,
		eventWait:   stateWaiting,
		eventBegin:  stateHandshaking,
		eventRefuse: stateFailed,
		eventClose:  stateClosed,
	},
	stateHello: {
		eventWait:   stateWaiting,
		eventBegin:  stateHandshaking,
		eventRefuse: stateFailed,
		eventClose:  stateClosed,
	},
	stateWaiting: {
		eventBegin:  stateHandshaking,
		eventRefuse: stateFailed,
		eventClose:  stateClosed,
	},
	stateHandshaking: {
		eventRefuse:        stateFailed,
		eventEstablish:     stateEstablished,
		eventHandshakeFail: stateFailed,
		eventClose:         stateClosed,
	},
	stateEstablished: {
		eventPeerNotify: statePeerEnded,
		eventPeerAlert:  stateFailed,
		eventOurNotify:  stateOursEnded,
		eventFail:       stateFailed,
		eventClose:      stateClosed,
	},
	statePeerEnded: {
		eventOurNotify: stateBothEnded,
		eventClose:     stateClosed,
	},
	stateOursEnded: {
		eventPeerNotify: stateBothEnded,
		eventPeerAlert:  stateFailed,
		eventFail:       stateFailed,
		eventClose:      stateClosed,
	},
	stateBothEnded: {eventClose: stateClosed},
	stateFailed:    {eventClose: stateClosed},
	stateClosed:    {eventClose: stateClosed},
}

// step moves the connection to the next state. The first reason to fail or close stays its error. A state that does not
// read holds no input.
func (c *Conn) step(e event, why error) {
	next := transitions[c.state][e]
	if next == never {
		panic(fmt.Sprintf("BUG: the event %q came to a TLS connection that is %s", e, c.state))
	}
	if c.state == stateHandshaking {
		c.ended()
	}
	c.state = next
	if phases[next] == Failed && c.err == nil {
		c.err = why
	}
	if !next.writes() {
		c.owed = false
	}
	if !next.reads() && next != stateHello && next != stateWaiting {
		c.fed = nil
		c.release()
	}
}

// endRefused ends a connection whose handshake the event loop does not let begin.
func (c *Conn) endRefused(why error) { c.step(eventRefuse, why) }

// endHandshake ends a connection in its handshake.
func (c *Conn) endHandshake(why error) {
	c.engine.abandon(c.hs, why)
	c.hs = nil
	c.step(eventRefuse, why)
}

// endHandshakeFailed ends a connection whose handshake has failed.
func (c *Conn) endHandshakeFailed(why error) { c.step(eventHandshakeFail, why) }

// endViolation ends the connection because the client broke TLS. It is sent the alert.
func (c *Conn) endViolation(what alert) { c.endFatal(what, clientErrors[what]) }

// endNoMemory ends the connection because there is no buffer for a record that arrived in part.
func (c *Conn) endNoMemory() { c.endFatal(alertInternalError, ErrNoMemory) }

// endFatal ends the connection with a fatal alert, which is not sent behind our close_notify.
func (c *Conn) endFatal(what alert, why error) {
	if c.state.writes() {
		c.pend = c.seal(c.pend, typeAlert, []byte{levelFatal, byte(what)})
	}
	c.step(eventFail, why)
}

// endByAlert obeys an alert of the client. Some alerts end nothing.
func (c *Conn) endByAlert(content []byte) {
	if len(content) != 2 {
		c.endViolation(alertDecodeError)
		return
	}
	level, what := content[0], alert(content[1])
	switch {
	case what == alertCloseNotify:
		c.step(eventPeerNotify, nil)
	case c.info.Version == tls.VersionTLS12 && level == levelWarning:
		// RFC 5246 §7.2.2: «If an alert with a level of warning is sent and received, generally the connection can
		// continue normally.»
	case c.info.Version == tls.VersionTLS13 && what == alertUserCanceled:
		// RFC 8446 §6: «All the alerts listed in Section 6.2 [...] MUST be treated as error alerts when received
		// regardless of the AlertLevel in the message.» This one is listed elsewhere. RFC 8446 §6.1: «This alert SHOULD
		// be followed by a "close_notify".»
	default:
		c.step(eventPeerAlert, alertError(byte(what)))
	}
}

// endOfInput returns the error of Next when there is nothing to read: io.EOF behind the client's close_notify, the
// reason of a connection that failed or was closed, else nil.
func (c *Conn) endOfInput() error {
	if c.state == statePeerEnded || c.state == stateBothEnded {
		return io.EOF
	}
	return c.err
}

// endOfOutput returns why nothing can be written in a state that does not write.
func (c *Conn) endOfOutput() error {
	switch c.state {
	case stateNew, stateHello, stateWaiting, stateHandshaking:
		return errHandshaking
	case stateOursEnded, stateBothEnded:
		return ErrClosed
	}
	return c.err
}

// CloseNotify appends to dst the pending bytes and the alert that says that we send no more: at most RecordOverhead(2)
// + 2 + Pending() bytes. dst does not overlap them. The alert is sent once. A connection that is not established, or
// has failed, sends none.
func (c *Conn) CloseNotify(dst []byte) []byte {
	dst = append(dst, c.pend...)
	c.pend = nil
	if !c.state.writes() {
		return dst
	}
	dst = c.seal(dst, typeAlert, []byte{levelWarning, byte(alertCloseNotify)})
	c.step(eventOurNotify, nil)
	return dst
}

// Close gives back what the connection holds, overwrites its keys and abandons a handshake in flight. It sends nothing. It
// may be called twice.
func (c *Conn) Close() {
	if c.hs != nil {
		c.engine.abandon(c.hs, ErrClosed)
		c.hs = nil
	}
	if c.engine == nil { // detached: its buffer is no engine's
		c.held = nil
	}
	c.step(eventClose, ErrClosed)
	c.pend = nil
	if c.engine != nil {
		c.engine.dismiss(c)
	}
	c.wipe()
}
