package tlsconn

// This file tests the memory that connections share: no garbage, bounded buffers, bounded places for expanded keys.

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
)

// Reading and writing messages makes no garbage, whole or in pieces.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		for _, size := range []int{300, 2048, 14000} {
			r := newRig(t, version, 0, nil)
			payload := make([]byte, size)
			rec := make([]byte, 0, size+maxOverhead)
			dst := make([]byte, 0, size+RecordOverhead(size))
			n := testing.AllocsPerRun(100, func() {
				rec = seal(&r.mem, &r.out, r.conn.suite, version, rec[:0], typeData, payload)
				for rest := rec; len(rest) > 0; {
					n := min(4096, len(rest))
					r.conn.Feed(rest[:n])
					rest = rest[n:]
					for data, _ := r.conn.Next(); len(data) > 0; data, _ = r.conn.Next() {
					}
				}
				dst, _ = r.conn.Write(dst[:0], payload)
			})
			if n != 0 || r.conn.Phase() != Established {
				t.Errorf("%d bytes: %v allocations per message read and written", size, n)
			}
		}
	})
}

// RecordOverhead is enough for every size of data, a change of keys included, and Write makes as few records as
// possible.
func TestRecordOverhead(t *testing.T) {
	both(t, func(t *testing.T, version uint16) {
		r := newRig(t, version, 0, nil)
		for _, n := range []int{0, 1, maxPlaintext - 1, maxPlaintext, maxPlaintext + 1, 5*maxPlaintext + 7} {
			r.engine.rekeyAfter = 10
			for r.conn.out.seq < 10 {
				b, _ := r.conn.Write(nil, []byte("x"))
				r.open(b)
			}
			b, err := r.conn.Write(nil, make([]byte, n))
			if err != nil || len(b) > n+RecordOverhead(n) {
				t.Errorf("%d bytes became %d, at most %d are promised (%v)", n, len(b), n+RecordOverhead(n), err)
			}
			records, data := 0, 0
			for _, g := range r.open(b) {
				if g.typ == typeData {
					records++
					data += len(g.content)
				}
			}
			if data != n || records != (n+maxPlaintext-1)/maxPlaintext {
				t.Errorf("%d bytes were sent as %d in %d records", n, data, records)
			}
		}
	})
}

// A connection changes its key after a number of records, and a client of crypto/tls follows.
func TestOurKeyChanges(t *testing.T) {
	l := newLoop(t, testCerts(t, "ecdsa"), echo)
	l.engine.rekeyAfter = 3
	client, err := tls.Dial("tcp", l.addr, clientConfig(tls.VersionTLS13))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 50 {
		sent := bytes.Repeat([]byte{byte(i)}, 100)
		client.Write(sent)
		got := make([]byte, 100)
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	l.do(func() {
		for _, p := range l.conns {
			if p.conn.out.seq > 3 {
				t.Errorf("%d records have one key", p.conn.out.seq)
			}
		}
	})
}

// Buffers for records that arrived in part are bounded, grow with the bytes that have arrived, and come back when the
// record is complete or the connection ends. A connection that gets none fails; the others go on.
func TestBuffers(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxBuffered = 1 << 16 })
	var all []*rig
	for range 8 {
		all = append(all, newRigIn(t, e, tls.VersionTLS13, 0))
	}
	payload := make([]byte, maxPlaintext)
	failed := 0
	var rest [][]byte
	for _, r := range all {
		b := r.record(typeData, payload)
		if _, err := r.read(b[:6], 6); err != nil {
			t.Fatal(err)
		}
		if n := cap(r.conn.held); n != bufferSizes[0] || !r.conn.Partial() {
			t.Fatalf("6 bytes are held in %d", n)
		}
		_, err := r.read(b[6:10000], 1<<20)
		if errors.Is(err, ErrNoMemory) {
			failed++
			b = nil
		} else if err != nil {
			t.Fatal(err)
		}
		rest = append(rest, b)
		if e.Buffered() > 1<<16 {
			t.Fatalf("%d bytes are allocated, the limit is %d", e.Buffered(), 1<<16)
		}
	}
	if failed != 5 {
		t.Errorf("%d of 8 connections failed, want 5", failed)
	}
	for i, r := range all {
		if rest[i] == nil {
			r.conn.Close()
			continue
		}
		if data, err := r.read(rest[i][10000:], 1<<20); err != nil || len(data) != len(payload) {
			t.Errorf("connection %d read %d bytes, %v", i, len(data), err)
		}
		if r.conn.held != nil || r.conn.Partial() {
			t.Errorf("connection %d holds a buffer at rest", i)
		}
	}
	r := all[0]
	r.read(r.record(typeData, payload)[:100], 100)
	r.conn.Close()
	r.conn.Close()
	free := 0
	for class, buffers := range e.free {
		free += len(buffers) * bufferSizes[class]
	}
	if free != e.Buffered() {
		t.Errorf("%d of %d bytes have come back", free, e.Buffered())
	}
}

// Buffers in reserve make way for one of another size, and the count of bytes stays right.
func TestBuffersOfOtherSizes(t *testing.T) {
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxBuffered = 1 << 16 })
	for round := range 10 {
		for _, size := range bufferSizes {
			var taken [][]byte
			for b := e.get(size); b != nil; b = e.get(size) {
				if len(b) != 0 || cap(b) != size {
					t.Fatalf("a buffer of %d bytes with room for %d", len(b), cap(b))
				}
				taken = append(taken, b)
			}
			if want := (1 << 16) / size; len(taken) != want || e.Buffered() != want*size {
				t.Fatalf("round %d: %d buffers of %d bytes, want %d; %d bytes in all", round, len(taken), size, want,
					e.Buffered())
			}
			for _, b := range taken {
				e.put(b)
			}
		}
	}
}

// Connections that share few places for expanded keys work like connections with a place each, in any order of use,
// opening and closing. They never take more than these places.
func TestExpandedKeys(t *testing.T) {
	const places = 5
	e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxExpanded = places })
	rng := rand.New(rand.NewPCG(1, 2))
	var all []*rig
	for step := range 2000 {
		switch {
		case len(all) < 3 || len(all) < 20 && step%100 == 0:
			version := uint16(tls.VersionTLS12 + rng.IntN(2))
			all = append(all, newRigIn(t, e, version, 0))
		case step%157 == 0:
			i := rng.IntN(len(all))
			all[i].conn.Close()
			all = append(all[:i], all[i+1:]...)
		default:
			r := all[rng.IntN(len(all))]
			if step%3 == 0 {
				b, _ := r.conn.Write(nil, []byte("to the client"))
				if got := r.open(b); len(got) != 1 || got[0].content != "to the client" {
					t.Fatalf("step %d: the client got %q", step, got)
				}
			} else if data, err := r.read(r.record(typeData, []byte("hello")), 100); string(data) != "hello" || err != nil {
				t.Fatalf("step %d: read %q, %v", step, data, err)
			}
		}
		checkPlaces(t, e, all, places)
	}
}

func checkPlaces(t *testing.T, e *Engine, all []*rig, places int) {
	t.Helper()
	taken := 0
	for _, r := range all {
		c := r.conn
		if c.place != 0 {
			taken++
			if e.expanded[c.place-1] != c {
				t.Fatal("a connection's place is another's")
			}
		} else if c.in.aead != nil || c.out.aead != nil {
			t.Fatal("a connection without a place has expanded keys")
		}
	}
	if taken > places || taken+len(e.vacant) != len(e.expanded) {
		t.Fatalf("%d places are taken, %d vacant, %d in all", taken, len(e.vacant), len(e.expanded))
	}
}

// A connection at rest takes less than a kilobyte, and its expanded keys one and a half more, after a long message in
// both directions. crypto/tls keeps 18.
func TestIdleMemory(t *testing.T) {
	f := func(expanded int, limit uint64) {
		t.Helper()
		const n = 200
		e := testEngine(t, testCerts(t, "ecdsa"), func(o *EngineOptions) { o.MaxExpanded = expanded })
		message := make([]byte, 14000)
		all := make([]*Conn, 0, n)
		connect := func() *Conn {
			r := newRigIn(t, e, tls.VersionTLS13, 0)
			if data, err := r.read(r.record(typeData, message), 4096); err != nil || len(data) != len(message) {
				t.Fatalf("read %d bytes, %v", len(data), err)
			}
			if _, err := r.conn.Write(nil, message); err != nil {
				t.Fatal(err)
			}
			return r.conn
		}
		connect() // makes the first, shared allocations
		before := heapInUse()
		for range n {
			all = append(all, connect())
		}
		if each := (heapInUse() - before) / n; each > limit {
			t.Errorf("%d bytes for each connection at rest, want at most %d", each, limit)
		}
		runtime.KeepAlive(all)
	}
	f(1, 1000)
	f(1000, 2500)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
