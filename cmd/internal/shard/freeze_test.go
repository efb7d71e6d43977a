package shard

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/tlstest"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/ring/ringtest"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file proves what a shard does that stands still. Package simulation has whole hand-overs.

// still is one shard whose events the test makes, and whose ops it looks at.
type still struct {
	*Shard
	t    *testing.T
	now  time.Duration
	send *pool.Pool
}

// newStill returns the first of n shards.
func newStill(t *testing.T, n int, frozen bool) *still {
	o := testOptions(0, n)
	o.Frozen = frozen
	return newStillOf(t, n, o)
}

func newStillOf(t *testing.T, n int, o Options) *still {
	send := pool.New(make([]byte, 1<<20))
	return &still{t: t, send: send, Shard: New(o, send, pool.New(make([]byte, 1<<20)), Wire(n, 1<<16)[0])}
}

// step lets a second pass and gives the shard events.
func (s *still) step(events ...ring.Event) []ring.Op {
	s.now += time.Second
	return s.Step(s.now, events, nil)
}

// seat is the place of the only connection.
var seat = ring.Slot{Index: 3, Gen: 1}

// client lets one in that has sent its upgrade request and something behind it.
func (s *still) client(sent string) []ring.Op {
	return s.step(
		ring.Event{Kind: ring.EventAccept, Slot: seat, Peer: netip.MustParseAddrPort("192.0.2.1:1000")},
		ring.Event{Kind: ring.EventRecv, Slot: seat, Data: []byte(testHead + sent)})
}

// thaw lets all connections go on.
func (s *still) thaw() []ring.Op {
	ops, more := s.Thaw(1 << 20)
	if more {
		s.t.Error("a million were not all")
	}
	return ops
}

// find returns the op of a kind, which must be there once or not at all.
func (s *still) find(ops []ring.Op, kind ring.OpKind, want bool) (op ring.Op) {
	s.t.Helper()
	n := 0
	for _, o := range ops {
		if o.Kind == kind {
			op = o
			n++
		}
	}
	if n > 1 || want != (n == 1) {
		s.t.Errorf("%d ops of kind %d, want one: %t", n, kind, want)
	}
	return op
}

// TestFrozenNewcomer proves that a client is not refused that comes while a shard, frozen from the start, has had no whole Step.
func TestFrozenNewcomer(t *testing.T) {
	s := newStill(t, 1, true)
	s.find(s.client(""), ring.OpClose, false)
	s.find(append(s.thaw(), s.step()...), ring.OpSend, true)
}

// TestFrozenEnd proves that a connection which ends while its shard stands still sends the rest of a send that was cancelled, and
// waits for its client; and that one which fails gives that rest back.
func TestFrozenEnd(t *testing.T) {
	f := func(errno ring.Errno, sends bool) {
		t.Helper()
		s := newStill(t, 1, false)
		op := s.find(s.client(""), ring.OpSend, true)
		s.Freeze()
		s.step(ring.Event{Kind: ring.EventSent, Slot: seat, N: 1})
		ops := s.step(ring.Event{Kind: ring.EventHangup, Slot: seat, Errno: errno})
		s.find(ops, ring.OpSend, sends)
		s.find(ops, ring.OpResume, sends)
		if sends {
			ops = s.step(ring.Event{Kind: ring.EventSent, Slot: seat, N: uint32(len(op.Data) - 1)})
		}
		s.find(ops, ring.OpClose, true)
		s.step(ring.Event{Kind: ring.EventClosed, Slot: seat})
		if n := s.send.InUse(); n != 0 {
			t.Errorf("%d bytes of send memory are left", n)
		}
	}
	f(0, true)
	f(104, false)
}

// TestFrozenMove proves that a connection which was about to go to another shard stays when this one is to stand still, and that its
// announce is read, so that the end of its client does not lose it.
func TestFrozenMove(t *testing.T) {
	s := newStill(t, 2, false)
	hash := wsproto.ID{}
	for k := 0; swarm.Owner(s.opt.OwnerSeed, &hash, 2) == 0; k++ {
		hash = wsproto.ID([]byte(id("%d", k)))
	}
	s.find(s.client(string(clientFrame(0x81, `{"action":"announce","info_hash":"`+string(hash[:])+
		`","peer_id":"`+id("peer")+`","left":1,"offers":[]}`))), ring.OpPause, true)
	if sent, _ := s.Mail(); sent != 0 {
		t.Fatal("the connection does not move")
	}
	s.Freeze()
	if sent, _ := s.Mail(); sent != 1 {
		t.Errorf("%d records went to the other shard, want the announce", sent)
	}
}

// TestFrozenHello proves that a client goes to another process that has connected and sent nothing, a part of the header of a proxy, a part of
// its ClientHello, or all of it while its shard came to rest; that the time in which it has to send all of it goes on; and that it is
// answered there.
func TestFrozenHello(t *testing.T) {
	o := testOptions(0, 1)
	o.TLS = &TLSOptions{
		Certificates: tlstest.Certificates(t), MaxInFlight: 8, MaxFresh: 1 << 20, MaxBuffered: 1 << 20, MaxExpanded: 8, FirstFlight: 3,
	}
	o.Clock = func() time.Duration { return 0 }
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	hello := string(tlstest.Hello())
	f := func(proxy, before, meanwhile, rest string, late bool) {
		t.Helper()
		o.Listeners[0].ProxyProtocol = proxy != ""
		recv := func(s *still, sent string) (ops []ring.Op) {
			if sent == "" {
				return s.step()
			}
			return s.step(ring.Event{Kind: ring.EventRecv, Slot: seat, Data: []byte(sent)})
		}
		o.Frozen, o.Awake = false, 0
		s := newStillOf(t, 1, o)
		s.step(ring.Event{Kind: ring.EventAccept, Slot: seat, Peer: netip.MustParseAddrPort("192.0.2.1:1000")})
		s.find(recv(s, before), ring.OpClose, false)
		s.find(s.Freeze(), ring.OpClose, false)
		s.find(recv(s, meanwhile), ring.OpClose, false)
		o.Frozen, o.Awake = true, time.Duration(s.Second()-1)*time.Second
		next := newStillOf(t, 1, o)
		next.now = s.now
		next.step()
		var in Inherited
		err := s.SaveConnections(s.Second(), func(ring.Slot) int32 { return 7 }, func(r *handover.Connection, fd int32) error {
			got := &handover.Connection{}
			if err := handover.Read(handover.Append(nil, r), got); err != nil {
				return err
			}
			op := s.find(next.Inherit([]Heir{{Record: got, FD: fd}}, func(i Inherited) { in = i }), ring.OpAdopt, true)
			next.step(ring.Event{Kind: ring.EventAdopted, Slot: seat, Tag: op.Tag})
			return nil
		})
		if st := next.Snapshot(); err != nil || in.Err != nil || st.Table.Conns[conn.Handshake] != 1 {
			t.Fatalf("%v, %v, %d connections", err, in.Err, st.Open())
		}
		next.find(next.thaw(), ring.OpClose, false)
		if late {
			var ops []ring.Op
			for range o.TLS.FirstFlight + 2 {
				ops = append(ops, next.step()...)
			}
			next.find(ops, ring.OpClose, true)
		} else if op := next.find(recv(next, rest), ring.OpSend, true); len(op.Data) < 100 || op.Data[0] != 22 {
			t.Errorf("the answer is %x", op.Data)
		}
		s.Close()
		next.Close()
	}
	const proxy = "PROXY TCP4 198.51.100.1 198.51.100.2 1 2\r\n"
	f("", "", "", hello, false)
	f(proxy, proxy[:20], "", proxy[20:]+hello, false)
	f(proxy, proxy+hello[:3], "", hello[3:], false)
	f("", hello[:1], "", hello[1:], false)
	f("", hello[:200], "", hello[200:], false)
	f("", hello[:100], hello[100:200], hello[200:], false)
	f("", hello[:200], "", "", true)
	f("", hello[:100], hello[100:], "", false)
	f("", "", hello, "", false)
}

// TestFrozenTime proves that the time in which a shard stands still is nobody's silence: half a request may go on as long as before.
func TestFrozenTime(t *testing.T) {
	s := newStill(t, 1, false)
	s.step(ring.Event{Kind: ring.EventAccept, Slot: seat, Peer: netip.MustParseAddrPort("192.0.2.1:1000")})
	s.Freeze()
	for range 100 {
		s.step()
	}
	s.thaw()
	for range s.opt.HandshakeTimeout / 2 {
		s.find(s.step(), ring.OpSend, false)
	}
	if st := s.Snapshot(); st.Table.Conns[conn.Handshake] != 1 {
		t.Error("the connection has ended")
	}
}

// TestHeirThatFails proves that a connection which cannot be taken in is not harmed, since the process that has it may go on, that it
// comes back to the caller as it was, and that it takes no place and no memory from others.
func TestHeirThatFails(t *testing.T) {
	f := func(r handover.Connection, elsewhere bool) {
		t.Helper()
		s := newStill(t, 1, true)
		var in Inherited
		op := s.find(s.Inherit([]Heir{{Record: &r, FD: 7}}, func(i Inherited) { in = i }), ring.OpAdopt, true)
		ops := s.step(ring.Event{Kind: ring.EventAdopted, Slot: seat, Tag: op.Tag})
		s.find(ops, ring.OpClose, false)
		s.find(ops, ring.OpRelease, true)
		if in.Err == nil || in.Heir.FD != 7 || in.Heir.Record != &r || in.Elsewhere != elsewhere {
			t.Errorf("it comes back as %+v", in)
		}
		if st := s.Snapshot(); s.send.InUse() != 0 || st.Open() != 0 {
			t.Errorf("%d connections, %d bytes in use", st.Open(), s.send.InUse())
		}
	}
	f(handover.Connection{Open: true, MessageSize: 1}, false)                                           // makes no sense
	f(handover.Connection{Open: true, Unread: make([]byte, 2<<20)}, true)                               // no memory
	f(handover.Connection{Open: true, Flight: make([]byte, 1<<19), Waiting: make([]byte, 1<<20)}, true) // the same
	f(handover.Connection{Open: true, TLS: []byte{1}}, false)                                           // no TLS

	s := newStill(t, 1, true)
	var in Inherited
	op := s.find(s.Inherit([]Heir{{Record: &handover.Connection{}, FD: 7}}, func(i Inherited) { in = i }), ring.OpAdopt, true)
	s.step(ring.Event{Kind: ring.EventAdopted, Errno: 23, Tag: op.Tag})
	if in.Err == nil || in.Heir.FD != -1 {
		t.Errorf("one that the ring has closed comes back as %+v", in)
	}
}

// TestJobSeesAllEvents proves that a job of a loop finds no event that the ring has reported and the shard has not seen: a ring
// is quiet then, and the shard is not.
func TestJobSeesAllEvents(t *testing.T) {
	plan, err := ring.Choose(ring.Features{}, ring.Options{
		Entries: 64, ReceiveBuffers: 4, ReceiveBufferSize: 512, SendMemory: 64 << 10, MaxConnections: 8, Tick: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	k := ringtest.New(1, ringtest.Faults{})
	r := k.Open(plan)
	o := testOptions(0, 1)
	l := &loop{ring: r, control: NewControl(), shard: New(o, r.Pool(), pool.New(make([]byte, 1<<20)), Wire(1, 1<<16)[0])}
	clock := func() time.Duration { return time.Second }
	c := k.Dial(r, netip.MustParseAddrPort("192.0.2.1:1000"))
	c.Write([]byte(testHead))
	for accepted := false; !accepted; {
		if l.events, err = r.Wait(l.events[:0], ring.Window{}); err != nil {
			t.Fatal(err)
		}
		accepted = slices.ContainsFunc(l.events, func(e ring.Event) bool { return e.Kind == ring.EventRecv })
		if !accepted {
			l.turn(0, clock)
		}
	}
	open := 0
	l.control.jobs = []job{{func(s *Shard, _ *ring.Ring) {
		st := s.Snapshot()
		open = st.Table.Conns[conn.Open]
	}, make(chan struct{})}}
	l.round(bitDo, 0, clock)
	if open != 1 {
		t.Error("a job came before the request that the ring had reported")
	}
}

// TestThawInPortions proves that no more connections than asked go on at once, that their clients are answered then, and that at the end
// all are, each once.
func TestThawInPortions(t *testing.T) {
	w := newWorld(t, 1, func(*Options) {})
	var clients []*client
	for range 5 {
		clients = append(clients, w.dial(0, "192.0.2.1"))
	}
	w.run()
	order := func(ops []ring.Op) {
		for k := range ops {
			w.do(0, &ops[k])
		}
	}
	order(w.shards[0].Freeze())
	w.run()
	for k, c := range clients {
		c.text(announce(id("torrent %d", k), id("peer %d", k), 0, nil))
	}
	w.run()
	answered, before := 0, 0
	for k := 0; ; k++ {
		for _, c := range clients {
			answered += len(c.messages())
		}
		if answered-before > 2 || k == 0 && answered > 0 {
			t.Fatalf("portion %d: %d replies, and %d before", k, answered, before)
		}
		before = answered
		if k == 3 {
			break
		}
		ops, more := w.shards[0].Thaw(2)
		order(ops)
		if w.run(); more != (k < 2) {
			t.Fatalf("portion %d: more is %v", k, more)
		}
	}
	if answered != 5 {
		t.Errorf("%d of 5 clients are answered", answered)
	}
}

// TestGiveAway proves that all goes to another process but what that has no place for: such a client is told so and may come back, its
// descriptor stays, and the shard waits for the end of it, as long as close_timeout lets it.
func TestGiveAway(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := newStill(t, 1, false)
		s.client("")
		s.step(ring.Event{Kind: ring.EventSent, Slot: seat, N: uint32(len(s.send.Bytes(s.table.At(seat.Index).Flight)))})
		other := ring.Slot{Index: 4, Gen: 1}
		s.step(ring.Event{Kind: ring.EventAccept, Slot: other, Peer: netip.MustParseAddrPort("192.0.2.2:1000")})
		s.Freeze()
		s.step()
		var given []int32
		ops := s.GiveAway(func(slot ring.Slot) int32 { return int32(slot.Index) }, func(fd int32) { given = append(given, fd) },
			func(n handover.Name) bool { return n == handover.Name{Index: seat.Index, Gen: seat.Gen} })
		if released := s.find(ops, ring.OpRelease, true); released.Slot != other || !slices.Equal(given, []int32{4}) {
			t.Fatalf("%+v is released, given up are %d", released, given)
		}
		ops = s.step()
		said := s.find(ops, ring.OpSend, true)
		if code := int(said.Data[2])<<8 | int(said.Data[3]); said.Data[0] != 0x88 || code != 1012 || s.Stopped() {
			t.Fatalf("%x is sent, and the shard has stopped: %t", said.Data, s.Stopped())
		}
		if late {
			ops = nil
			for range 2 * s.opt.CloseTimeout {
				ops = append(ops, s.step()...)
			}
		} else {
			ops = s.step(ring.Event{Kind: ring.EventSent, Slot: seat, N: uint32(len(said.Data))}, ring.Event{Kind: ring.EventHangup, Slot: seat})
		}
		s.find(ops, ring.OpClose, true)
		if late {
			s.step(ring.Event{Kind: ring.EventSent, Slot: seat, Errno: 104})
		}
		s.step(ring.Event{Kind: ring.EventClosed, Slot: seat})
		if st := s.Snapshot(); st.Table.Closed[conn.ReasonNoPlace] != 1 || !s.Stopped() || s.send.InUse() != 0 {
			t.Errorf("closed %v, stopped %t, %d bytes of send memory are left", st.Table.Closed, s.Stopped(), s.send.InUse())
		}
	}
}
