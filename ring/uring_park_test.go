package ring

import (
	"net"
	"testing"
	"time"
)

// This file proves on the real kernel that an idle ring wakes up.

// TestIdleRingWakes proves that a ring that sleeps in the runtime's poller hears its timer after hundreds of its sockets have
// changed at once without completing anything: since Linux 6.13 a look at a ring leaves work behind, for which no signal comes.
func TestIdleRingWakes(t *testing.T) {
	eachPlan(t, func(t *testing.T, p Plan) {
		s := startEchoThat(t, p, Window{Min: 1}, true)
		for range 250 {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		for n := 0; n < 250; {
			s.do(func(s *echoServer) { n = s.counts[EventAccept] })
		}
		awake := make(chan struct{})
		go func() {
			defer close(awake)
			s.later(func(s *echoServer) {
				for slot := range s.conns {
					s.ops = append(s.ops, Op{Kind: OpShutdown, Slot: slot})
				}
			})
			for range 4 {
				s.later(func(*echoServer) {})
			}
		}()
		select {
		case <-awake:
		case <-time.After(30 * time.Second):
			t.Fatal("the ring does not wake up")
		}
		s.close()
	})
}
