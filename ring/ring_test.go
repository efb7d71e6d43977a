package ring

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// This file owns the set-up of all tests of the package, and the echo test that most others vary.

// TestMain gives the scheduler one P more than the most rings a test runs, as uring_wait.go asks for.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(max(3, runtime.GOMAXPROCS(0)))
	os.Exit(m.Run())
}

// roundTrip sends data in pieces, half-closes, and proves that the same bytes come back.
func roundTrip(t *testing.T, addr string, data []byte, seed uint64) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	go func() {
		rng := rand.New(rand.NewPCG(seed, 2))
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(9000))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(data), err)
	}
}

// TestEcho proves that bytes come back whole and in order to many clients at once, small and large, under every plan
// and kind of window, and that everything is joined and counted back to zero.
func TestEcho(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		for _, w := range []Window{{Min: 1}, {Min: 64, Max: time.Millisecond}} {
			s := startEcho(t, p, w)
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					roundTrip(t, s.addr, pattern(1+i*i*97, byte(i)), uint64(i))
					roundTrip(t, s.addr, pattern(100, byte(i)), uint64(i))
				})
			}
			wg.Wait()
			s.waitIdle(t)
			s.close()
		}
	})
}

// waitIdle waits until every connection is gone and proves that nothing is left of them.
func (s *echoServer) waitIdle(t *testing.T) {
	t.Helper()
	for idle := false; !idle; {
		s.do(func(s *echoServer) {
			st := s.r.Stats()
			idle = st.Connections == 0
			if idle && (st.Parked != 0 || s.r.Pool().InUse() != 0 || len(s.conns) != 0 || st.StaleCompletions != 0) {
				t.Errorf("left over: %+v, pool %d, connections %d", st, s.r.Pool().InUse(), len(s.conns))
			}
			if idle && s.counts[EventAccept] != s.counts[EventClosed] {
				t.Errorf("%d accepted, %d closed", s.counts[EventAccept], s.counts[EventClosed])
			}
		})
	}
}

func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7>>3) ^ seed
	}
	return b
}
