package shard

import (
	"testing"
	"time"

	"millrace/cmd/internal/shard/tlstest"
)

// This file tests how handshakes share the Steps of a shard with the messages of its clients.

// TestHandshakesGiveWay proves that a Step which has replies to announces leaves handshakes to the next one, that they go on
// then although there are replies again, and that a Step in which they have used up their time computes one.
func TestHandshakesGiveWay(t *testing.T) {
	var now, tick time.Duration
	w := newWorld(t, 1, func(o *Options) {
		o.TLS = &TLSOptions{
			Certificates: tlstest.Certificates(t), MaxInFlight: 8, MaxFresh: 1 << 20, MaxBuffered: 1 << 20, MaxExpanded: 8,
			FirstFlight: 3,
		}
		o.Clock = func() time.Duration { now += tick; return now }
	})
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

	engine, began := w.shards[0].secure.engine, 0
	for range 5 {
		w.accept(0, "192.0.2.2").send(tlstest.Hello())
		began++
	}
	tick = handshakeTime
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
		if got := began - engine.Fresh(); got != want {
			t.Errorf("%d handshakes have begun to compute, want %d", got, want)
		}
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
