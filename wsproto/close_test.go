package wsproto

// This file proves that close frames are read and written as RFC 6455 asks, and pings and pongs with them.

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// The code of every payload is read, and each fault gets the close code that RFC 6455 asks for.
func TestParseClose(t *testing.T) {
	f := func(payload string, code StatusCode, want *CloseError) {
		t.Helper()
		if got, err := ParseClose([]byte(payload)); err != want || err == nil && got != code {
			t.Errorf("%q: code %d, error %v, want %d, %v", payload, got, err, code, want)
		}
	}
	f("", StatusNoStatus, nil)
	f("\x03", 0, errCloseShort)
	f("\x03\xe8", 1000, nil)
	f("\x03\xe9"+strings.Repeat("é", 61), 1001, nil)
	f("\x03\xe8\xff", 0, errCloseReason)
	valid := map[uint16]bool{}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014} {
		valid[code] = true
	}
	for code := range 1 << 16 {
		want := errCloseCode
		if valid[uint16(code)] || code >= 3000 && code <= 4999 {
			want = nil
		}
		f(string(binary.BigEndian.AppendUint16(nil, uint16(code))), StatusCode(code), want)
	}
}

// A close frame holds its code and as much of the reason as fits, cut between characters; without a status it is empty.
func TestAppendClose(t *testing.T) {
	for n := range 200 {
		for _, unit := range []string{"x", "é", "€", "😀"} {
			reason := strings.Repeat(unit, n)
			payload := payloadOf(t, AppendClose(nil, StatusPolicy, reason), ws.OpClose)
			code, err := ParseClose(payload)
			if got := string(payload[2:]); err != nil || code != StatusPolicy || !strings.HasPrefix(reason, got) ||
				!utf8.ValidString(got) || len(got) < min(len(reason), 120) {
				t.Errorf("%d of %q: code %d, reason %q, error %v", n, unit, code, got, err)
			}
		}
	}
	if got := AppendClose(nil, StatusNoStatus, "x"); !bytes.Equal(got, []byte{0x88, 0}) {
		t.Errorf("no status: % x", got)
	}
	for _, e := range []*CloseError{errCloseShort, errCloseCode, errCloseReason, errReserved, errControlSize, errRSV,
		errControlSplit, errUnmasked, errInterleaved, errContinuation, errLengthTopBit, errLengthForm, errFrameTooBig,
		errMessageTooBig, errNotUTF8} {
		payload := payloadOf(t, AppendClose(nil, e.Code, e.Error()), ws.OpClose)
		if code, err := ParseClose(payload); err != nil || code != e.Code || string(payload[2:]) != e.Reason {
			t.Errorf("%v: %q", e, payload)
		}
	}
}

// Pings and pongs carry their payload, up to the 125 bytes that a control frame may have.
func TestAppendPingPong(t *testing.T) {
	for n := range 126 {
		want := bytes.Repeat([]byte("p"), n)
		if got := payloadOf(t, AppendPing(nil, want), ws.OpPing); !bytes.Equal(got, want) {
			t.Errorf("ping %q", got)
		}
		if got := payloadOf(t, AppendPong(nil, want), ws.OpPong); !bytes.Equal(got, want) {
			t.Errorf("pong %q", got)
		}
	}
}
