package inbox

// This file tests the inbox against plain slices of bytes: the bytes that it keeps, their cost, and that it gives all
// memory back.

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"millrace/cmd/internal/shard/conn"
	"millrace/ring/pool"
)

// newInbox returns an inbox with so many bytes of memory, its pool and its Turn, at the second 1.
func newInbox(size int) (*Inbox, *pool.Pool, *conn.Turn) {
	pool, turn := pool.New(make([]byte, size)), &conn.Turn{}
	turn.Begin(0, nil)
	return New(pool, turn, nil), pool, turn
}

// piece is how many bytes of a pool a buffer of n bytes takes.
func piece(n int) int { return max(512, 1<<bits.Len(uint(n-1))) }

// use takes n bytes of a pool, a multiple of 1024.
func use(pool *pool.Pool, n int) {
	for range n >> 10 {
		pool.Get(1 << 10)
	}
}

// sender is a connection of TestAgainstModel.
type sender struct {
	conn.Conn
	unread []byte // sent and not consumed
	most   int    // the most bytes that lay in the buffer at once, since it was taken
	since  uint32
}

// receive gives the inbox the next bytes, consumes some of all that is unread, as receive.go does, and keeps the rest.
// It reports whether there was memory.
func (s *sender) receive(t *testing.T, b *Inbox, now uint32, data []byte, consume int) bool {
	t.Helper()
	kept := bytes.Clone(s.unread)
	s.unread = append(s.unread, data...)
	received := bytes.Clone(data)
	buf, ok := b.Join(&s.Conn, received)
	if !ok {
		if s.Asm == 0 || !bytes.Equal(b.Bytes(&s.Conn), kept) {
			t.Fatal("a Join without memory has changed the kept bytes")
		}
		return false
	}
	if !bytes.Equal(buf, s.unread) {
		t.Fatalf("%d bytes are unread, want %d", len(buf), len(s.unread))
	}
	if s.Asm != 0 {
		s.most = max(s.most, len(buf))
	}
	if consume = min(consume, len(buf)); consume > 0 {
		buf = b.Shift(&s.Conn, buf, consume)
		s.unread, s.since = s.unread[consume:], 0
	}
	fresh := s.Asm == 0
	if !b.Keep(&s.Conn, buf, consume*1000) {
		return false
	}
	clear(received) // its owner uses it again
	if fresh {
		s.most = len(s.unread)
	}
	switch {
	case len(s.unread) == 0:
		s.since = 0
	case s.since == 0:
		s.since = now
	}
	return true
}

// TestAgainstModel proves that however a client's bytes are cut and consumed, the unread ones are exactly those that
// were sent and not consumed, also where memory runs out; that a buffer is never much larger than the bytes that have
// arrived; that the time of a message begins with its first bytes; and that all memory comes back.
func TestAgainstModel(t *testing.T) {
	refused := uint64(0)
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b, pool, turn := newInbox(32 << 10)
		senders, full := make([]sender, 6), uint64(0)
		for range 300 {
			turn.Begin(time.Duration(turn.Nanos)+time.Duration(rng.IntN(2))*time.Second, nil)
			s := &senders[rng.IntN(len(senders))]
			data := make([]byte, 1+rng.IntN(1<<rng.IntN(12)))
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			consume := 0
			if rng.IntN(2) == 0 {
				consume = rng.IntN(len(s.unread) + len(data) + 1)
			}
			if !s.receive(t, b, turn.Now, data, consume) {
				full++
				b.Free(&s.Conn) // the connection ends, and another one takes its place
				*s = sender{}
			}
			if (s.Asm != 0) != (len(s.unread) > 0) || int(s.AsmLen) != len(s.unread) || s.AsmSince != s.since {
				t.Fatalf("seed %d: %d unread bytes since %d, want %d since %d",
					seed, s.AsmLen, s.AsmSince, len(s.unread), s.since)
			}
			memory := 0
			for i := range senders {
				if s := &senders[i]; s.Asm != 0 {
					memory += len(pool.Bytes(s.Asm))
					if !bytes.Equal(b.Bytes(&s.Conn), s.unread) {
						t.Fatalf("seed %d: other bytes are kept than were sent", seed)
					}
					if len(pool.Bytes(s.Asm)) > piece(max(minBuffer, 4*s.most)) {
						t.Fatalf("seed %d: a buffer of %d bytes for %d", seed, len(pool.Bytes(s.Asm)), s.most)
					}
				}
			}
			if st := b.Stats(); st.AssemblyMemory != memory || st.AssemblyFull != full {
				t.Fatalf("seed %d: %+v, want %d bytes and %d times full", seed, st, memory, full)
			}
		}
		for i := range senders {
			b.Free(&senders[i].Conn)
		}
		if pool.InUse() != 0 {
			t.Fatalf("seed %d: %d bytes are not given back", seed, pool.InUse())
		}
		refused += full
	}
	if refused == 0 {
		t.Error("memory never ran out")
	}
}

// TestGrowth proves that the first buffer follows the bytes that have come, at most four times as many where the header
// promises more, and not more than they are where half of the memory is in use.
func TestGrowth(t *testing.T) {
	f := func(inUse, n, need, want int) {
		t.Helper()
		b, pool, _ := newInbox(64 << 10)
		use(pool, inUse)
		var c conn.Conn
		if !b.Keep(&c, make([]byte, n), need) || len(pool.Bytes(c.Asm)) != want {
			t.Errorf("%d bytes of %d with %d in use: a buffer of %d, want %d",
				n, need, inUse, len(pool.Bytes(c.Asm)), want)
		}
	}
	f(0, 1, 0, minBuffer)
	f(0, 1, 1<<30, minBuffer)
	f(0, 1000, 1<<30, 4096)
	f(0, 1000, 2100, 4096)
	f(0, 1500, 1600, 2048)
	f(0, 4096, 0, 4096)
	f(0, 4096, 1<<30, 16384)
	f(32<<10, 4096, 1<<30, 16384) // exactly half
	f(33<<10, 4096, 1<<30, 4096)
}

// TestPatience proves that a message may take as long as the caller allows, and three seconds at most where more than
// three quarters of the memory are in use.
func TestPatience(t *testing.T) {
	f := func(inUse int, most, want uint32) {
		t.Helper()
		b, pool, _ := newInbox(64 << 10)
		use(pool, inUse)
		if got := b.Patience(most); got != want {
			t.Errorf("%d bytes in use: patience of %d seconds for %d, want %d", inUse, got, most, want)
		}
	}
	f(0, 20, 20)
	f(48<<10, 20, 20)
	f(49<<10, 20, scarcePatience)
	f(49<<10, 2, 2)
}

// TestTimeOfMessage proves that a message's time begins once, begins again only if there is one, and ends with it.
func TestTimeOfMessage(t *testing.T) {
	b, _, turn := newInbox(4 << 10)
	var c conn.Conn
	f := func(now uint32, do func(*conn.Conn), want uint32) {
		t.Helper()
		turn.Begin(time.Duration(now-1)*time.Second, nil)
		turn.Now = uint32(now)
		if do(&c); c.AsmSince != want {
			t.Errorf("at %d the message is there since %d, want %d", now, c.AsmSince, want)
		}
	}
	f(5, b.Restart, 0)
	f(6, b.Began, 6)
	f(7, b.Began, 6)
	f(8, b.Restart, 8)
	f(9, b.Between, 0)
	f(9, b.Free, 0)
	f(10, func(c *conn.Conn) { b.Keep(c, []byte("GET"), 0) }, 10)
	f(11, func(c *conn.Conn) {
		buf, _ := b.Join(c, []byte(" /"))
		b.Keep(c, buf, 0)
	}, 10)
	f(12, func(c *conn.Conn) {
		buf, _ := b.Join(c, []byte(" HTTP"))
		b.Keep(c, b.Shift(c, buf, 4), 0)
	}, 12)
	f(13, func(c *conn.Conn) { b.Keep(c, nil, 0) }, 0)
}

// TestParcels proves that the bytes of a connection that arrives are those that were packed; that a
// parcel for which there was no memory says so; and that each way gives the memory back.
func TestParcels(t *testing.T) {
	f := func(n int) {
		t.Helper()
		b, pool, _ := newInbox(8 << 10)
		unread := bytes.Repeat([]byte("x"), n)
		want, fits := bytes.Clone(unread), n <= 8<<10
		p, kept := b.Pack(unread), 0
		if fits {
			kept = piece(max(minBuffer, n))
		}
		clear(unread) // they lay in a mailbox
		var c conn.Conn
		if pool.InUse() != kept || b.Unpack(&c, p) != fits {
			t.Fatalf("%d bytes: %d in use", n, pool.InUse())
		}
		if fits && !bytes.Equal(b.Bytes(&c), want) {
			t.Errorf("%d bytes: unpacked %q", n, b.Bytes(&c))
		}
		if full := b.Stats().AssemblyFull; fits != (full == 0) {
			t.Errorf("%d bytes: counted %d times", n, full)
		}
		b.Free(&c)
		b.Discard(b.Pack(want))
		if pool.InUse() != 0 {
			t.Errorf("%d bytes: %d are not given back", n, pool.InUse())
		}
	}
	f(0)
	f(1)
	f(minBuffer)
	f(minBuffer + 1)
	f(8 << 10)
	f(8<<10 + 1)
}
