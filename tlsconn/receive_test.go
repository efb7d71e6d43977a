package tlsconn

// This file tests the client's records after the handshake: good ones in every cut, and each violation with its alert.

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

var keyUpdate = []byte{messageKeyUpdate, 0, 0, 1, 0}
var keyUpdateAsk = []byte{messageKeyUpdate, 0, 0, 1, 1}

// both runs f for both versions.
func both(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) { f(t, v) })
	}
}

// stream returns one record of each kind that a client may send without ending the connection, the data in them, and
// the number of our records that answer them.
func (r *rig) stream(version uint16) (b, data []byte, answers int) {
	add := func(p string) {
		b = append(b, r.record(typeData, []byte(p))...)
		data = append(data, p...)
	}
	add("first")
	add("")
	add("x")
	if version == tls.VersionTLS12 {
		b = append(b, r.record(typeAlert, []byte{levelWarning, byte(alertUserCanceled)})...)
		b = append(b, r.record(typeHandshake, []byte{1, 0, 0, 0})...) // wants to renegotiate
		add("after renegotiation was refused")
		return b, data, 1
	}
	b = append(b, r.raw13([]byte("padded\x17\x00\x00\x00"))...)
	data = append(data, "padded"...)
	b = append(b, r.raw13([]byte{byte(typeData), 0, 0})...) // padding only
	b = append(b, r.record(typeHandshake, keyUpdate)...)
	r.updateOut()
	add("new key")
	b = append(b, r.record(typeHandshake, keyUpdateAsk[:2])...) // in two records
	b = append(b, r.record(typeHandshake, keyUpdateAsk[2:])...)
	r.updateOut()
	add(strings.Repeat("newest key ", 60))
	return b, data, 1
}

// For every cut of a client's records the same data comes out and the same answers go back, and nothing is held at the
// end.
func TestEveryChop(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		start := newRig(t, version, 0, nil)
		conn, out, in := *start.conn, start.out, start.in
		f := func(what string, feed func(r *rig, b []byte) ([]byte, error)) {
			t.Helper()
			start.engine.dismiss(start.conn)
			*start.conn, start.out, start.in = conn, out, in
			b, want, answers := start.stream(version)
			data, err := feed(start, b)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if !bytes.Equal(data, want) {
				t.Fatalf("%s: read %q, want %q", what, data, want)
			}
			if n := len(start.drained()); n != answers {
				t.Fatalf("%s: %d answers, want %d", what, n, answers)
			}
			c := start.conn
			if c.held != nil || c.fed != nil || c.pend != nil || c.Partial() {
				t.Fatalf("%s: something is held at the end: %+v", what, c)
			}
		}
		b, _, _ := start.stream(version)
		for at := 1; at < len(b); at++ {
			f(fmt.Sprintf("cut at %d", at), func(r *rig, b []byte) ([]byte, error) {
				first, err := r.read(b[:at], len(b))
				second, err2 := r.read(b[at:], len(b))
				return append(first, second...), errors.Join(err, err2)
			})
		}
		for chop := 1; chop < 40; chop++ {
			f(fmt.Sprintf("pieces of %d", chop), func(r *rig, b []byte) ([]byte, error) { return r.read(b, chop) })
		}
	})
}

// Each violation by a client ends the connection with the alert that the RFC names, and nothing is read or written
// after it.
func TestViolations(t *testing.T) {
	f := func(name string, version uint16, want alert, bytesOf func(r *rig) []byte) {
		t.Helper()
		for _, chop := range []int{1 << 20, 1, 7} {
			r := newRig(t, version, 0, nil)
			good := r.record(typeData, []byte("good"))
			data, err := r.read(append(good, bytesOf(r)...), chop)
			var bad *ClientError
			if !errors.As(err, &bad) || alert(bad.Alert) != want {
				t.Fatalf("%s: the error %v, want the alert %d", name, err, want)
			}
			if string(data) != "good" {
				t.Errorf("%s: read %q before it", name, data)
			}
			if got := r.drained(); len(got) != 1 || got[0].content != string([]byte{levelFatal, byte(want)}) {
				t.Errorf("%s: the client was sent %q", name, got)
			}
			if r.conn.Phase() != Failed || r.conn.Err() != err {
				t.Errorf("%s: phase %v, error %v", name, r.conn.Phase(), r.conn.Err())
			}
			if _, err := r.conn.Write(nil, []byte("x")); err == nil {
				t.Errorf("%s: data can still be written", name)
			}
			if b := r.conn.CloseNotify(nil); len(b) != 0 {
				t.Errorf("%s: close_notify after a fatal alert", name)
			}
			if r.conn.held != nil {
				t.Errorf("%s: a buffer is held", name)
			}
			r.conn.Close()
		}
	}
	const v12, v13 = tls.VersionTLS12, tls.VersionTLS13
	for _, v := range []uint16{v12, v13} {
		f("changed content", v, alertBadRecordMAC, func(r *rig) []byte {
			b := r.record(typeData, []byte("hello"))
			b[headerLen+8] ^= 1
			return b
		})
		f("a record twice", v, alertBadRecordMAC, func(r *rig) []byte {
			b := r.record(typeData, []byte("hello"))
			r.out.seq--
			b = b[:len(b):len(b)]
			first := append([]byte(nil), b...)
			r.out.seq += 2
			return append(r.record(typeData, nil), first...)
		})
		f("shorter than its tag", v, alertBadRecordMAC, func(*rig) []byte {
			return []byte{byte(typeData), 3, 3, 0, 1, 0}
		})
		f("empty", v, alertBadRecordMAC, func(*rig) []byte { return []byte{byte(typeData), 3, 3, 0, 0} })
		f("length over the limit", v, alertRecordOverflow, func(*rig) []byte {
			return []byte{byte(typeData), 3, 3, 0x48, 1}
		})
		f("content over the limit", v, alertRecordOverflow, func(r *rig) []byte {
			if v == v13 {
				return r.raw13(append(make([]byte, maxPlaintext+1), byte(typeData)))
			}
			return r.record(typeData, make([]byte, maxPlaintext+1))
		})
		f("unknown type", v, alertUnexpectedMessage, func(r *rig) []byte {
			if v == v13 {
				return r.record(99, []byte("x"))
			}
			return []byte{99, 3, 3, 0, 100}
		})
		f("empty handshake record", v, alertUnexpectedMessage, func(r *rig) []byte {
			return r.record(typeHandshake, nil)
		})
		f("protected change_cipher_spec", v, alertUnexpectedMessage, func(r *rig) []byte {
			return r.record(typeChangeCipherSpec, []byte{1})
		})
		f("alert of one byte", v, alertDecodeError, func(r *rig) []byte { return r.record(typeAlert, []byte{1}) })
		f("alerts in one record", v, alertDecodeError, func(r *rig) []byte {
			return r.record(typeAlert, []byte{1, 90, 1, 0})
		})
		f("records without data for ever", v, alertUnexpectedMessage, func(r *rig) (b []byte) {
			for range maxIdle + 1 {
				b = append(b, r.record(typeData, nil)...)
			}
			return b
		})
	}
	f("empty alert", v12, alertUnexpectedMessage, func(r *rig) []byte { return r.record(typeAlert, nil) })
	f("empty alert", v13, alertUnexpectedMessage, func(r *rig) []byte { return r.raw13([]byte{byte(typeAlert), 0}) })
	f("version", v12, alertProtocolVersion, func(*rig) []byte { return []byte{byte(typeData), 3, 4, 0, 100} })
	f("late change_cipher_spec", v13, alertUnexpectedMessage, func(*rig) []byte {
		return []byte{byte(typeChangeCipherSpec), 3, 3, 0, 1, 1}
	})
	f("length over 2^14+256", v13, alertRecordOverflow, func(*rig) []byte { return []byte{byte(typeData), 3, 3, 0x41, 1} })
	f("no type", v13, alertUnexpectedMessage, func(r *rig) []byte { return r.raw13(make([]byte, 10)) })
	f("no inner plaintext", v13, alertUnexpectedMessage, func(r *rig) []byte { return r.raw13(nil) })
	message := func(name string, want alert, payloads ...[]byte) {
		t.Helper()
		f(name, v13, want, func(r *rig) (b []byte) {
			for _, p := range payloads {
				b = append(b, r.record(typeHandshake, p)...)
			}
			return b
		})
	}
	message("another message", alertUnexpectedMessage, []byte{11, 0, 0, 0})
	message("KeyUpdate with a third value", alertIllegalParameter, []byte{24, 0, 0, 1, 2})
	message("KeyUpdate of two bytes", alertDecodeError, []byte{24, 0, 0, 2, 0, 0})
	message("a message behind KeyUpdate", alertUnexpectedMessage, append(keyUpdate, keyUpdate...))
	f("old key after KeyUpdate", v13, alertBadRecordMAC, func(r *rig) []byte {
		return append(r.record(typeHandshake, keyUpdate), r.record(typeData, []byte("x"))...)
	})
	f("data inside a message", v13, alertUnexpectedMessage, func(r *rig) []byte {
		return append(r.record(typeHandshake, keyUpdate[:2]), r.record(typeData, []byte("x"))...)
	})
	f("key updates for ever", v13, alertUnexpectedMessage, func(r *rig) (b []byte) {
		for range maxIdle + 1 {
			b = append(b, r.record(typeHandshake, keyUpdate)...)
			r.updateOut()
		}
		return b
	})
}

// The client's close_notify ends its data and not ours; its fatal alerts end the connection without an answer.
func TestAlerts(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		r := newRig(t, version, 0, nil)
		b := append(r.record(typeData, []byte("last")), r.record(typeAlert, []byte{levelWarning, 0})...)
		b = append(b, "these bytes are not even a record"...)
		data, err := r.read(b, 1)
		if string(data) != "last" || err != io.EOF {
			t.Fatalf("read %q, %v", data, err)
		}
		if err := r.conn.Feed([]byte("more")); err != nil {
			t.Errorf("Feed after close_notify: %v", err)
		}
		if _, err := r.conn.Next(); err != io.EOF || r.conn.Phase() != Established || r.conn.Err() != nil {
			t.Errorf("after close_notify: %v, %v, %v", err, r.conn.Phase(), r.conn.Err())
		}
		out, err := r.conn.Write(nil, []byte("answer"))
		if err != nil {
			t.Fatal(err)
		}
		out = r.conn.CloseNotify(out)
		want := []got{{typeData, "answer"}, {typeAlert, "\x01\x00"}}
		if all := r.open(out); fmt.Sprint(all) != fmt.Sprint(want) {
			t.Errorf("sent %q, want %q", all, want)
		}
		if b := r.conn.CloseNotify(nil); len(b) != 0 {
			t.Error("close_notify was sent twice")
		}
		if _, err := r.conn.Write(nil, []byte("x")); err != ErrClosed {
			t.Errorf("Write after close_notify: %v", err)
		}

		r = newRig(t, version, 0, nil)
		_, err = r.read(r.record(typeAlert, []byte{levelFatal, 40}), 100)
		var ended *AlertError
		if !errors.As(err, &ended) || ended.Alert != 40 || r.conn.Phase() != Failed {
			t.Errorf("a fatal alert: %v, %v", err, r.conn.Phase())
		}
		if r.conn.Pending() != 0 || len(r.conn.CloseNotify(nil)) != 0 {
			t.Error("a fatal alert was answered")
		}
	})
}

// A request for our key update is answered once, before the next data; data written meanwhile stays readable.
func TestKeyUpdateAnswer(t *testing.T) {
	r := newRig(t, tls.VersionTLS13, 0, nil)
	before, _ := r.conn.Write(nil, []byte("old key"))
	if _, err := r.read(r.record(typeHandshake, keyUpdateAsk), 3); err != nil {
		t.Fatal(err)
	}
	r.updateOut()
	pending := r.conn.Pending()
	if pending != keyUpdateLen {
		t.Errorf("%d bytes are pending, want %d", pending, keyUpdateLen)
	}
	dst := make([]byte, 0, 100+RecordOverhead(100)+pending)
	after, _ := r.conn.Write(dst, make([]byte, 100))
	if &after[0] != &dst[:1][0] {
		t.Error("the room that RecordOverhead and Pending ask for did not suffice")
	}
	all := r.open(append(before, after...))
	want := []got{{typeData, "old key"}, {typeHandshake, string(keyUpdate)}, {typeData, string(make([]byte, 100))}}
	if fmt.Sprint(all) != fmt.Sprint(want) {
		t.Errorf("sent %q, want %q", all, want)
	}
	if r.conn.Pending() != 0 {
		t.Error("the answer is pending for a second time")
	}
	if data, err := r.read(r.record(typeData, []byte("hi")), 9); string(data) != "hi" || err != nil {
		t.Errorf("after the updates: %q, %v", data, err)
	}
}

// A client may change its key as often as 32 times a minute as long as it sends data as well. Requests that we answer
// late get one answer for all of them, which takes no memory before it is sent; once more ends the connection.
func TestKeyUpdateFlood(t *testing.T) {
	r := newRig(t, tls.VersionTLS13, 0, nil)
	now := 7 * time.Second
	ask := func() error {
		b := r.record(typeHandshake, keyUpdateAsk)
		r.updateOut()
		data, err := r.read(append(b, r.record(typeData, []byte("x"))...), 100)
		if err == nil && string(data) != "x" {
			t.Fatalf("read %q", data)
		}
		return err
	}
	for minute := range 4 {
		r.engine.SetTime(now)
		for i := range 32 {
			if err := ask(); err != nil || r.conn.Pending() != keyUpdateLen || cap(r.conn.pend) != 0 {
				t.Fatalf("minute %d, after %d requests: %v, %d bytes are pending in %d", minute, i+1, err,
					r.conn.Pending(), cap(r.conn.pend))
			}
		}
		now += time.Minute
		b, _ := r.conn.Write(nil, []byte("answer"))
		if all := r.open(b); len(all) != 2 || all[0].content != string(keyUpdate) || all[1].content != "answer" {
			t.Fatalf("sent %q", all)
		}
	}
	if err := ask(); err != ErrFlood {
		t.Fatalf("the 33rd request in a minute: %v", err)
	}
	if got := r.drained(); len(got) != 1 || got[0].content != string([]byte{levelFatal, byte(alertUnexpectedMessage)}) {
		t.Errorf("the client was sent %q", got)
	}
}

// A client of TLS 1.2 that asks for renegotiation without end, and does not read, holds little memory and is ended.
func TestRenegotiationFlood(t *testing.T) {
	r := newRig(t, tls.VersionTLS12, 0, nil)
	var err error
	asked := 0
	for ; err == nil; asked++ {
		b := append(r.record(typeHandshake, []byte{1, 0, 0, 0}), r.record(typeData, []byte("x"))...)
		if _, err = r.read(b, 100); r.conn.Pending() > maxUnsent+2*(maxOverhead+2) {
			t.Fatalf("%d bytes are pending", r.conn.Pending())
		}
	}
	if err != ErrFlood || asked != 33 {
		t.Errorf("after %d requests: %v", asked, err)
	}
}

// Behind our close_notify nothing is sent: no answer to a request for a key update or to renegotiate, and no alert.
func TestSilenceAfterCloseNotify(t *testing.T) {
	r := newRig(t, tls.VersionTLS13, 0, nil)
	r.open(r.conn.CloseNotify(nil))
	b := r.record(typeHandshake, keyUpdateAsk)
	r.updateOut()
	if data, err := r.read(append(b, r.record(typeData, []byte("late"))...), 100); string(data) != "late" || err != nil {
		t.Errorf("after close_notify: %q, %v", data, err)
	}
	if _, err := r.read([]byte("not a record"), 100); err == nil {
		t.Error("bytes that are no record were read")
	}
	if got := r.drained(); len(got) != 0 {
		t.Errorf("sent behind close_notify: %q", got)
	}
	r = newRig(t, tls.VersionTLS12, 0, nil)
	r.open(r.conn.CloseNotify(nil))
	if _, err := r.read(r.record(typeHandshake, []byte{1, 0, 0, 0}), 100); err != nil {
		t.Errorf("a request to renegotiate: %v", err)
	}
	if got := r.drained(); len(got) != 0 {
		t.Errorf("sent behind close_notify: %q", got)
	}
}

// Bytes that are fed before Next has returned everything keep their order, and a record that arrives whole takes no
// buffer.
func TestFeedTwice(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		r := newRig(t, version, 0, nil)
		r.conn.Feed(r.record(typeData, []byte("one,")))
		r.conn.Feed(r.record(typeData, []byte("two,")))
		data, err := r.read(r.record(typeData, []byte("three")), 1<<20)
		if string(data) != "one,two,three" || err != nil {
			t.Errorf("read %q, %v", data, err)
		}
		if n := r.engine.Buffered(); n != 0 {
			t.Errorf("%d bytes of buffers were taken for whole records", n)
		}
		b := r.record(typeData, []byte("in two"))
		r.conn.Feed(b[:10])
		if data, err := r.conn.Next(); data != nil || err != nil || !r.conn.Partial() {
			t.Errorf("a part of a record: %q, %v, Partial is %v", data, err, r.conn.Partial())
		}
		r.conn.Feed(b[10:])
		if data, err := r.conn.Next(); string(data) != "in two" || err != nil || r.conn.Partial() {
			t.Errorf("the rest of a record: %q, %v, Partial is %v", data, err, r.conn.Partial())
		}
	})
}
