package shard

import (
	"testing"
	"time"

	"millrace/cmd/internal/shard/tlstest"
)

// This file tests how handshakes share the Steps of a shard with the messages of its clients.

// tlsWorld is a shard that speaks TLS, and a clock that goes on by tick with each look.
type tlsWorld struct {
	*world
	clock, tick time.Duration
	began       int // clients that have sent their ClientHello
}

func newTLSWorld(t *testing.T) *tlsWorld {
	x := &tlsWorld{}
	x.world = newWorld(t, 1, func(o *Options) {
		o.TLS = &TLSOptions{
			Certificates: tlstest.Certificates(t), MaxInFlight: 8, MaxFresh: 1 << 20, MaxBuffered: 1 << 20, MaxExpanded: 8,
			FirstFlight: 3,
		}
		o.Clock = func() time.Duration { x.clock += x.tick; return x.clock }
	})
	return x
}

// begin has n clients send their ClientHellos.
func (x *tlsWorld) begin(n int) {
	for range n {
		x.accept(0, "192.0.2.2").send(tlstest.Hello())
		x.began++
	}
}

// want fails unless n handshakes have begun to compute.
func (x *tlsWorld) want(n int) {
	x.t.Helper()
	if got := x.began - x.shards[0].secure.engine.Fresh(); got != n {
		x.t.Errorf("%d handshakes have begun to compute, want %d", got, n)
	}
}

// TestHandshakesHaveTheirShare proves that where Steps are short one full handshake computes in each, and that more do where
// Steps are long, up to a bound.
func TestHandshakesHaveTheirShare(t *testing.T) {
	x := newTLSWorld(t)
	x.begin(8)
	x.clock, x.tick = time.Hour, mostHandshakes/2 // the first Step in a long time
	x.step(0)
	x.want(2)
	f := func(rest time.Duration, n int) {
		t.Helper()
		x.clock += rest
		x.step(0)
		x.want(n)
	}
	x.tick = leastHandshakes
	f(0, 3)
	f(handshakeShare*leastHandshakes/2, 4)
	f(handshakeShare*leastHandshakes, 6)
	f(0, 7)
}

// TestHandshakesGiveWay proves that a Step which has replies to announces leaves handshakes to the next one, that they go on
// then although there are replies again, and that a Step in which they have used up their time computes one.
func TestHandshakesGiveWay(t *testing.T) {
	w := newTLSWorld(t)
	c := w.accept(0, "192.0.2.1")
	exchange := func(sent []byte) []byte {
		c.send(sent)
		w.run()
		got := c.inbox
		c.inbox = nil
		return got
	}
	peer := tlstest.Shake(t, exchange)
	exchange(peer.Send([]byte(testHead)))

	w.begin(5)
	w.tick = leastHandshakes
	f := func(announces bool, want int) {
		t.Helper()
		if announces {
			c.send(peer.Send(clientFrame(0x81, `{"action":"announce","info_hash":"`+id("torrent")+`","peer_id":"`+id("peer")+
				`","left":1,"offers":[]}`)))
		}
		c.inbox = nil
		w.step(0)
		if replied := len(c.inbox) > 0; replied != announces {
			t.Errorf("a reply was sent: %v", replied)
		}
		w.want(want)
		if !w.shards[0].Busy() {
			t.Error("the shard would sleep, but handshakes can go on")
		}
	}
	f(true, 0)
	f(true, 1)
	f(true, 1)
	f(false, 2)
	f(false, 3)
	f(true, 3)
	f(false, 4)
}
