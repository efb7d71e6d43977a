package tlsconn

// This file fuzzes the three ways in for bytes of a client: records, the handshake, the pipe below it.

import (
	"bytes"
	"crypto/tls"
	"testing"
)

// FuzzRecords feeds arbitrary bytes to an established connection, behind a good record. The connection reads the data
// of that record and no other, ends in the same way for every cut of the bytes, and holds nothing at the end.
func FuzzRecords(f *testing.F) {
	f.Add(false, uint16(3), []byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	f.Add(true, uint16(0), []byte{22, 3, 3, 0, 0})
	f.Add(true, uint16(1000), []byte{20, 3, 3, 0, 1, 1})
	f.Add(false, uint16(1), []byte{23, 3, 3, 0x41})
	f.Add(true, uint16(2), []byte("GET / HTTP/1.1\r\n\r\n"))
	rigs := map[bool]*rig{true: newRig(f, tls.VersionTLS12, 0, nil), false: newRig(f, tls.VersionTLS13, 0, nil)}
	starts := map[bool]Conn{true: *rigs[true].conn, false: *rigs[false].conn}
	f.Fuzz(func(t *testing.T, v12 bool, chop uint16, b []byte) {
		r := rigs[v12]
		r.tb = t
		ends := map[int]string{}
		for _, chop := range []int{len(b) + 100, int(chop) + 1} {
			c := starts[v12]
			out := r.out
			r.conn = &c
			data, err := r.read(append(r.record(typeData, []byte("good")), b...), chop)
			r.out = out
			if string(data) != "good" {
				t.Fatalf("read %q", data)
			}
			if err != nil {
				ends[chop] = err.Error()
				if c.held != nil {
					t.Fatal("a buffer is held after the end")
				}
			} else if c.Partial() != (len(b) > 0) {
				t.Fatalf("%d bytes are left and Partial is %v", len(b), c.Partial())
			}
			c.Close()
		}
		if len(ends) == 2 && ends[len(b)+100] != ends[int(chop)+1] || len(ends) == 1 && int(chop)+1 != len(b)+100 {
			t.Fatalf("the end depends on the cut: %v", ends)
		}
	})
}

// FuzzHandshake feeds arbitrary bytes where a ClientHello is expected: the handshake waits for more or fails.
func FuzzHandshake(f *testing.F) {
	hello := clientHello(f)
	f.Add(uint16(10), hello)
	f.Add(uint16(1), hello[:100])
	f.Add(uint16(50), append(hello[:len(hello):len(hello)], hello...))
	f.Add(uint16(5), []byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Add(uint16(5), []byte{22, 3, 1, 0, 0, 22, 3, 1, 0, 0, 21, 3, 1, 0, 2, 2, 0})
	certs := testCerts(f, "ecdsa")
	f.Fuzz(func(t *testing.T, chop uint16, b []byte) {
		e := testEngine(t, certs, nil)
		c := e.Start(1)
		failed := false
		for rest := b; len(rest) > 0 && !failed; {
			n := min(len(rest), int(chop)+1)
			failed = c.Feed(rest[:n]) != nil
			rest = rest[n:]
		}
		phase := c.Phase()
		if data, err := c.Next(); len(data) > 0 || err == nil && phase == Failed || phase == Established {
			t.Fatalf("%q, %v in the phase %v", data, err, phase)
		}
		if computeAll(e); c.Phase() == Established {
			t.Fatal("established")
		}
		if c.Close(); e.InFlight() != 0 || e.Fresh() != 0 || e.turns.bytes != 0 {
			t.Fatal("a place is taken, or bytes are")
		}
	})
}

// FuzzPipe proves that crypto/tls gets the client's bytes unchanged, and never bytes of two records in one read.
func FuzzPipe(f *testing.F) {
	f.Add(uint8(3), uint8(7), []byte{22, 3, 1, 0, 3, 1, 2, 3, 23, 3, 3, 0, 0, 23, 3, 3, 0, 1, 9})
	f.Add(uint8(200), uint8(200), []byte{22, 3, 1, 0, 3, 1, 2, 3, 23, 3, 3, 0, 0, 23, 3, 3, 0, 1, 9})
	f.Fuzz(func(t *testing.T, chop, size uint8, b []byte) {
		if len(b) > maxBacklog {
			return
		}
		var p pipe
		for rest := b; len(rest) > 0; {
			n := min(len(rest), int(chop)+1)
			if err := p.feed(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		var all []byte
		next := 0 // where the record that was read last ends
		for len(all) < len(b) {
			buf := make([]byte, int(size)+1)
			n, err := p.Read(buf)
			if n == 0 || err != nil {
				t.Fatalf("Read: %d, %v", n, err)
			}
			for len(all) >= next {
				if len(b) < next+headerLen {
					next = len(b)
					break
				}
				next += headerLen + int(b[next+3])<<8 + int(b[next+4])
			}
			if all = append(all, buf[:n]...); len(all) > next {
				t.Fatalf("Read went to %d, the record ends at %d", len(all), next)
			}
		}
		if !bytes.Equal(all, b) || len(p.in) != 0 {
			t.Fatalf("read %x of %x, %d remain", all, b, len(p.in))
		}
	})
}
