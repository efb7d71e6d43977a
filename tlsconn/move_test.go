package tlsconn

// This file tests the move of a connection between two engines.

import (
	"bytes"
	"errors"
	"testing"
)

// A connection that changes its engine at any byte between two records, or within one, goes on as if nothing had
// happened, in both directions, and leaves nothing in the engine that it came from.
func TestDetachAndAttach(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		r := newRig(t, version, 0, nil)
		here := r.engine
		there := testEngine(t, here.opt.Certificates, nil)
		payload := bytes.Repeat([]byte("to and fro "), 100)
		size := len(payload) + maxOverhead
		for cut := 0; cut < size; cut += 1 + cut/20 {
			rec := r.record(typeData, payload)
			k := min(cut, len(rec)-1)
			if data, err := r.read(rec[:k], 1<<20); len(data) > 0 || err != nil {
				t.Fatalf("cut at %d: %d bytes of a part, %v", k, len(data), err)
			}
			r.conn.Detach()
			if n := len(here.expanded) - len(here.vacant); n != 0 {
				t.Fatalf("the engine left still has %d connections", n)
			}
			there.Attach(r.conn, 7)
			here, there = there, here
			if data, err := r.read(rec[k:], 1<<20); !bytes.Equal(data, payload) || err != nil {
				t.Fatalf("cut at %d: %d bytes, %v", k, len(data), err)
			}
			b, err := r.conn.Write(nil, payload)
			if all := r.open(b); err != nil || len(all) != 1 || all[0].content != string(payload) {
				t.Fatalf("cut at %d: sent %d records, %v", k, len(all), err)
			}
		}
	})
}

// An engine whose buffers are used up fails a connection that comes with a part of a record, and takes one without.
func TestAttachWithoutMemory(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		for _, k := range []int{0, 3, 100} {
			r := newRig(t, version, 0, nil)
			full := testEngine(t, r.engine.opt.Certificates, nil)
			for full.get(bufferSizes[len(bufferSizes)-1]) != nil || full.get(1) != nil {
			}
			if _, err := r.read(r.record(typeData, make([]byte, 200))[:k], 1<<20); err != nil {
				t.Fatal(err)
			}
			r.conn.Detach()
			full.Attach(r.conn, 7)
			if err := r.conn.Err(); errors.Is(err, ErrNoMemory) != (k > headerLen) || err != nil && r.conn.Pending() == 0 {
				t.Errorf("a part of %d bytes: %v, %d bytes pending", k, err, r.conn.Pending())
			}
		}
	})
}

// A connection that is closed on its way holds nothing, and can be closed again.
func TestCloseDetached(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		r := newRig(t, version, 0, nil)
		if _, err := r.read(r.record(typeData, make([]byte, 200))[:100], 1<<20); err != nil {
			t.Fatal(err)
		}
		r.conn.Detach()
		r.conn.Close()
		r.conn.Close()
		if r.conn.Err() != ErrClosed || r.conn.held != nil {
			t.Errorf("after Close: %v, %d bytes held", r.conn.Err(), len(r.conn.held))
		}
	})
}
