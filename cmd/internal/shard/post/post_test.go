package post

// This file tests the records and the ways that they take between shards, one thread after the other and on several at
// once.

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/mailbox"
	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// node is the post of one shard with its Turn.
type node struct {
	*Post
	turn conn.Turn
}

// newNodes returns the posts of n shards with boxes of so many bytes.
func newNodes(n, size int) []*node {
	var all []*node
	for self, boxes := range Wire(n, size) {
		x := &node{}
		x.Post = New(self, boxes, &x.turn)
		all = append(all, x)
	}
	return all
}

// step begins a Step, calls do, and publishes. It returns the Step's ops.
func (n *node) step(do func()) []ring.Op {
	n.turn.Begin(0, nil)
	n.FlushBacklog()
	do()
	n.Publish()
	return n.turn.End()
}

// read is a Step that reads all that Next gives, each as the sender's number and a copy of the record.
func (n *node) read() (all []letter) {
	n.step(func() {
		for from, rec := n.Next(); rec != nil; from, rec = n.Next() {
			all = append(all, letter{from, bytes.Clone(rec)})
		}
	})
	return all
}

// letter is a record that has arrived.
type letter struct {
	from int
	rec  []byte
}

// addrOf returns connection k of a shard.
func addrOf(shard, k int) swarm.Addr {
	return swarm.Addr{Shard: uint16(shard), Index: uint32(k), Gen: uint32(k) * 3}
}

// filled returns an id of n different bytes from first on.
func filled(first byte) (id swarm.ID) {
	for i := range id {
		id[i] = first + byte(i)
	}
	return id
}

// codec is one kind of record for the tests: send mails a value to a shard, read decodes it into a used value.
type codec struct {
	kind Kind
	make func(r *source) any
	send func(p *Post, to int, v any) bool
	read func(self int, rec []byte) any
}

// source makes values of bytes that a fuzzer chooses. It gives zeros when they are used up.
type source struct{ data []byte }

func (s *source) byte() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *source) uint32() uint32 {
	return uint32(s.byte()) | uint32(s.byte())<<8 | uint32(s.byte())<<16 | uint32(s.byte())<<24
}

func (s *source) id() (id swarm.ID) {
	for i := range id {
		id[i] = s.byte()
	}
	return id
}

// text returns up to 255 bytes, and now and then a repetition of them that is longer.
func (s *source) text() []byte {
	b := make([]byte, s.byte())
	for i := range b {
		b[i] = s.byte()
	}
	if s.byte() == 7 {
		b = bytes.Repeat(b, 40)
	}
	return b
}

// addr returns a connection of the given shard.
func (s *source) addr(shard int) swarm.Addr {
	return swarm.Addr{Index: s.uint32(), Gen: s.uint32(), Shard: uint16(shard)}
}

// relay returns an offer or an answer.
func (s *source) relay() *Relay {
	return &Relay{Hash: s.id(), Peer: s.id(), Offer: s.id(), Origin: s.uint32(), SDP: s.text()}
}

// sender and reader are the shards between which records go in the tests of their layout.
const sender, reader = 1, 2

// codecs are all kinds but Ended, which goes by a mask of shards.
var codecs = []codec{
	{
		KindAnnounce,
		func(s *source) any {
			a := &Announce{}
			a.Key.Family, a.Left, a.Event = s.byte(), swarm.Left(s.byte()), swarm.Event(s.byte())
			a.Key.Hash, a.Peer = s.id(), s.id()
			a.Hold, a.Number = Hold(s.byte()), s.uint32()
			a.From, a.Source = s.addr(int(s.byte())), uint64(s.uint32())<<32|uint64(s.uint32())
			for range s.byte() {
				a.SDPs = append(a.SDPs, wsproto.Offer{ID: s.id(), SDP: s.text()})
			}
			return a
		},
		func(p *Post, to int, v any) bool { return p.Announce(to, v.(*Announce)) },
		func(_ int, rec []byte) any {
			a := Announce{SDPs: make([]wsproto.Offer, 3)}
			a.Key.Family, a.Peer, a.Source = 9, filled(9), 9
			ReadAnnounce(rec, &a)
			return &a
		},
	},
	{
		KindAnswer,
		func(s *source) any {
			a := &Answer{SDP: s.text()}
			a.Key.Family, a.Key.Hash = s.byte(), s.id()
			a.Peer, a.To, a.Offer, a.From = s.id(), s.id(), s.id(), s.addr(int(s.byte()))
			return a
		},
		func(p *Post, to int, v any) bool { return p.Answer(to, v.(*Answer)) },
		func(_ int, rec []byte) any {
			var a Answer
			ReadAnswer(rec, &a)
			return &a
		},
	},
	{
		KindScrape,
		func(s *source) any {
			r := &Scrape{Family: s.byte(), From: s.addr(int(s.byte()))}
			for range s.byte() {
				r.Files = append(r.Files, wsproto.ScrapeFile{
					Hash: s.id(), Complete: s.uint32(), Incomplete: s.uint32(), Downloaded: s.uint32(),
				})
				r.Filled = append(r.Filled, s.byte()&1 != 0)
			}
			return r
		},
		func(p *Post, to int, v any) bool { return p.Scrape(to, v.(*Scrape)) },
		func(_ int, rec []byte) any {
			r := Scrape{Family: 9, Files: make([]wsproto.ScrapeFile, 2), Filled: []bool{true, true}}
			ReadScrape(rec, &r)
			return &r
		},
	},
	{
		KindReply,
		func(s *source) any {
			return &told[Reply]{s.addr(reader), Reply{Hash: s.id(), Complete: s.uint32(), Incomplete: s.uint32()}}
		},
		func(p *Post, _ int, v any) bool { return p.Reply(v.(*told[Reply]).to, &v.(*told[Reply]).payload) },
		func(self int, rec []byte) any {
			got := told[Reply]{to: ReadAddr(rec, self)}
			ReadReply(rec, &got.payload)
			return &got
		},
	},
	{
		KindFailure,
		func(s *source) any {
			f := Failure{Action: wsproto.Action(s.byte()), HasHash: s.byte()&1 != 0, Hash: s.id(), Why: wsproto.Failure(s.byte())}
			return &told[Failure]{s.addr(reader), f}
		},
		func(p *Post, _ int, v any) bool { return p.Failure(v.(*told[Failure]).to, &v.(*told[Failure]).payload) },
		func(self int, rec []byte) any {
			got := told[Failure]{to: ReadAddr(rec, self)}
			ReadFailure(rec, &got.payload)
			return &got
		},
	},
	{
		KindOffer,
		func(s *source) any { return &told[Relay]{s.addr(reader), *s.relay()} },
		func(p *Post, _ int, v any) bool { return p.Offer(v.(*told[Relay]).to, &v.(*told[Relay]).payload) },
		readRelay,
	},
	{
		KindAnswered,
		func(s *source) any { return &told[Relay]{s.addr(reader), *s.relay()} },
		func(p *Post, _ int, v any) bool { return p.Answered(v.(*told[Relay]).to, &v.(*told[Relay]).payload) },
		readRelay,
	},
	{
		KindMove,
		func(s *source) any {
			m := &Move{Flags: s.uint32(), FD: int32(s.uint32()), Port: uint16(s.uint32()), Unread: s.text()}
			copy(m.Addr[:], s.text())
			return m
		},
		func(p *Post, to int, v any) bool { return p.Move(to, v.(*Move)) },
		func(_ int, rec []byte) any {
			var m Move
			ReadMove(rec, &m)
			return &m
		},
	},
	{
		KindYield,
		func(s *source) any { return s.addr(int(s.byte())) },
		func(p *Post, to int, v any) bool { return p.Yield(v.(swarm.Addr), 1<<to) },
		func(_ int, rec []byte) any { return ReadSender(rec) },
	},
	{
		KindChallenge,
		func(s *source) any { return s.addr(reader) },
		func(p *Post, _ int, v any) bool { return p.Challenge(v.(swarm.Addr)) },
		func(self int, rec []byte) any { return ReadAddr(rec, self) },
	},
	{
		KindReturn,
		func(s *source) any { return &back{s.id(), s.uint32()} },
		func(p *Post, to int, v any) bool { return p.Return(to, &v.(*back).hash, v.(*back).seen) },
		func(_ int, rec []byte) any {
			var got back
			got.hash, got.seen = ReadReturn(rec)
			return &got
		},
	},
}

// back is the return of a torrent.
type back struct {
	hash swarm.ID
	seen uint32
}

// told is a payload and the connection that it is for.
type told[T any] struct {
	to      swarm.Addr
	payload T
}

func readRelay(self int, rec []byte) any {
	got := told[Relay]{to: ReadAddr(rec, self)}
	ReadRelay(rec, &got.payload)
	return &got
}

// same reports whether two values are equal but for nil and empty slices, and for memory that is not part of a record.
func same(a, b any) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// carry sends a value and returns its record, as it arrives.
func (c *codec) carry(t *testing.T, nodes []*node, v any) []byte {
	t.Helper()
	nodes[sender].step(func() {
		if !c.send(nodes[sender].Post, reader, v) {
			t.Fatalf("an empty box has no room for %s", c.kind)
		}
	})
	got := nodes[reader].read()
	if len(got) != 1 || got[0].from != sender || KindOf(got[0].rec) != c.kind {
		t.Fatalf("a record of %s arrives as %v", c.kind, got)
	}
	return got[0].rec
}

// TestRecords proves that each kind of record says to its reader the value that was sent, also over another one,
// without offers and with as many as there can be, without text and with long ones.
func TestRecords(t *testing.T) {
	nodes := newNodes(3, 1<<20)
	for _, c := range codecs {
		for seed := range uint64(100) {
			rng := rand.New(rand.NewPCG(seed, uint64(c.kind)))
			data := make([]byte, rng.IntN(1<<(seed%17)))
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			v := c.make(&source{data})
			if got := c.read(reader, c.carry(t, nodes, v)); !same(got, v) {
				t.Fatalf("%s: sent %+v, read %+v", c.kind, v, got)
			}
		}
	}
}

// FuzzRecords proves the same for values that the fuzzer finds.
func FuzzRecords(f *testing.F) {
	for k := range codecs {
		f.Add(byte(k), []byte(nil))
		f.Add(byte(k), bytes.Repeat([]byte{1, 2, 3, 255}, 500))
	}
	nodes := newNodes(3, 1<<20)
	f.Fuzz(func(t *testing.T, k byte, data []byte) {
		if len(data) > 1<<12 {
			return // no box takes it
		}
		c := codecs[int(k)%len(codecs)]
		v := c.make(&source{data})
		if got := c.read(reader, c.carry(t, nodes, v)); !same(got, v) {
			t.Fatalf("%s: sent %+v, read %+v", c.kind, v, got)
		}
	})
}

// TestOffers proves that an announce arrives with all of its offers up to as many as one byte counts, and that others
// are left out and not counted wrong.
func TestOffers(t *testing.T) {
	nodes := newNodes(3, 1<<16)
	f := func(n, want int) {
		t.Helper()
		a := Announce{SDPs: make([]wsproto.Offer, n)}
		for k := range a.SDPs {
			a.SDPs[k] = wsproto.Offer{ID: filled(byte(k)), SDP: fmt.Appendf(nil, "%d", k)}
		}
		got := codecs[0].read(reader, codecs[0].carry(t, nodes, &a)).(*Announce)
		if len(got.SDPs) != want || !same(got.SDPs, a.SDPs[:want]) {
			t.Errorf("%d offers arrive as %d", n, len(got.SDPs))
		}
	}
	f(0, 0)
	f(1, 1)
	f(maxOffers, maxOffers)
	f(maxOffers+1, maxOffers)
	f(2*maxOffers+3, maxOffers)
}

// layout returns the bytes that a text describes: hexadecimal digits, id10 for an id whose bytes count from 0x10 on,
// and words in quotes.
func layout(t *testing.T, text string) (b []byte) {
	t.Helper()
	for _, word := range strings.Fields(text) {
		quoted, isQuoted := strings.CutPrefix(word, "'")
		first, isID := strings.CutPrefix(word, "id")
		digits, err := hex.DecodeString(strings.TrimPrefix(word, "id"))
		switch {
		case isQuoted:
			b = append(b, strings.TrimSuffix(quoted, "'")...)
		case err != nil:
			t.Fatal(first, err)
		case isID:
			id := filled(digits[0])
			b = append(b, id[:]...)
		default:
			b = append(b, digits...)
		}
	}
	return b
}

// TestLayouts proves that records are laid out as records.go says: shards of one process agree anyway, but a change of
// the layout must be meant.
func TestLayouts(t *testing.T) {
	nodes := newNodes(3, mailbox.MinSize)
	f := func(kind Kind, v any, want string) {
		t.Helper()
		i := slices.IndexFunc(codecs, func(c codec) bool { return c.kind == kind })
		if got := codecs[i].carry(t, nodes, v); !bytes.Equal(got, layout(t, want)) {
			t.Errorf("%s is %x, want %s", kind, got, want)
		}
	}
	key := swarm.Key{Hash: filled(0x10), Family: 6}
	from := swarm.Addr{Index: 0x0102, Gen: 0x030405, Shard: sender}
	to := swarm.Addr{Index: 0x0102, Gen: 0x030405, Shard: reader}
	f(KindAnnounce, &Announce{
		Announce: swarm.Announce{
			Key: key, Peer: filled(0x30), From: from, Source: 0x0102030405060708, Origin: 10, Full: true,
			Left: swarm.LeftMore, Event: swarm.EventCompleted,
		},
		Hold: Held, Number: 11, Came: 12,
		SDPs: []wsproto.Offer{{ID: filled(0x50), SDP: []byte("sdp")}, {ID: filled(0x70)}},
	}, "01 06 02 02 02 02010000 05040300 0100 0807060504030201 0a000000 01 02 0b000000 0c00000000000000 id10 id30 id50 03000000 'sdp' id70 00000000")
	f(KindAnswer, &Answer{
		Answer: swarm.Answer{Key: key, Peer: filled(0x30), From: from, To: filled(0x50), Offer: filled(0x70)},
		SDP:    []byte("sdp"),
	}, "02 06 02010000 05040300 0100 id10 id30 id50 id70 'sdp'")
	f(KindScrape, &Scrape{
		From: from, Family: 4, Filled: []bool{true, false},
		Files: []wsproto.ScrapeFile{{Hash: filled(0x10), Complete: 1, Incomplete: 2, Downloaded: 3}, {Hash: filled(0x30)}},
	}, "03 04 0100 02010000 05040300 id10 01000000 02000000 03000000 01 id30 00000000 00000000 00000000 00")
	f(KindReply, &told[Reply]{to, Reply{Hash: filled(0x10), Complete: 1, Incomplete: 2, Came: 3}},
		"05 02010000 05040300 id10 01000000 02000000 0300000000000000")
	f(KindFailure, &told[Failure]{to, Failure{
		Action: wsproto.ActionScrape, HasHash: true, Hash: filled(0x10), Why: wsproto.FailureTableFull,
	}},
		"06 02010000 05040300 03 01 0b id10")
	relay := Relay{Hash: filled(0x10), Peer: filled(0x30), Offer: filled(0x50), Origin: 9, SDP: []byte("sdp")}
	f(KindOffer, &told[Relay]{to, relay}, "07 02010000 05040300 id10 id30 id50 09000000 'sdp'")
	f(KindAnswered, &told[Relay]{to, relay}, "08 02010000 05040300 id10 id30 id50 09000000 'sdp'")
	f(KindMove, &Move{Flags: 0x0102, FD: -2, Addr: [16]byte{15: 9}, Port: 4711, Guard: guard.RefOf(7<<32 | 5), Used: Used{1, 2, 3, 4, 5}, Unread: []byte("GET")},
		"09 02010000 feffffff 00000000000000000000000000000009 6712 0500000007000000 01000000 0200000000000000 0300000000000000 04000000 05000000 'GET'")

	nodes[sender].step(func() { nodes[sender].Ended(from, 1<<reader) })
	got := nodes[reader].read()
	if len(got) != 1 || !bytes.Equal(got[0].rec, layout(t, "04 02010000 05040300 0100")) ||
		ReadSender(got[0].rec) != from {
		t.Errorf("an end is %v", got)
	}
}

// TestNames proves that each kind of record has a name of its own.
func TestNames(t *testing.T) {
	names := make(map[string]bool)
	for kind := Kind(1); kind < Kinds; kind++ {
		names[kind.String()] = true
	}
	if len(names) != int(Kinds)-1 || names[""] {
		t.Errorf("the names are %v", names)
	}
}

// note is a record of the tests of order: its kind and its number.
type note struct {
	kind Kind
	n    int
}

// send sends a note to a shard, and reports whether there was room.
func (n *node) send(to int, x note) bool {
	var hash swarm.ID
	le.PutUint32(hash[:], uint32(x.n))
	switch x.kind {
	case KindReply:
		return n.Reply(addrOf(to, x.n), &Reply{Hash: hash})
	case KindFailure:
		return n.Failure(addrOf(to, x.n), &Failure{Hash: hash})
	case KindOffer:
		return n.Offer(addrOf(to, x.n), &Relay{Hash: hash, SDP: make([]byte, x.n%700)})
	case KindMove:
		return n.Move(to, &Move{FD: int32(x.n), Unread: make([]byte, x.n%300)})
	case KindEnded:
		n.Ended(addrOf(n.self, x.n), 1<<(to%64))
	}
	return true
}

// noteOf returns the note that a letter is.
func noteOf(l letter) note {
	x := note{kind: KindOf(l.rec)}
	if x.kind == KindMove {
		var m Move
		ReadMove(l.rec, &m)
		x.n = int(m.FD)
	} else {
		x.n = int(ReadAddr(l.rec, 0).Index)
	}
	return x
}

var noteKinds = []Kind{KindReply, KindFailure, KindOffer, KindMove, KindEnded}

// TestOrder proves that each record that was taken arrives once, between two shards in the order in which they were
// sent; that the end of a connection is always taken, and nothing sent after it arrives before it, however full the
// boxes are.
func TestOrder(t *testing.T) {
	var backlogged, refused uint64
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		nodes := newNodes(3, mailbox.MinSize)
		var wait [3][3][]note // by sender and reader: taken and not yet read
		read := func(k int) {
			for _, l := range nodes[k].read() {
				w := &wait[l.from][k]
				if got := noteOf(l); len(*w) == 0 || (*w)[0] != got {
					t.Fatalf("seed %d: shard %d got %+v from %d, want the first of %v", seed, k, got, l.from, *w)
				}
				*w = (*w)[1:]
			}
		}
		for n := 0; n < 3000; {
			from := rng.IntN(3)
			nodes[from].step(func() {
				for range rng.IntN(10) {
					n++
					to := (from + 1 + rng.IntN(2)) % 3
					if x := (note{noteKinds[rng.IntN(len(noteKinds))], n}); nodes[from].send(to, x) {
						wait[from][to] = append(wait[from][to], x)
					} else {
						refused++
					}
					if rng.IntN(80) == 0 {
						read(to) // it may read in the middle of a Step of the sender
					}
				}
			})
		}
		for _, n := range nodes {
			backlogged += n.Stats().Backlogged
		}
		for range 100 {
			for k := range nodes {
				read(k)
			}
		}
		for k, n := range nodes {
			if st := n.Stats(); st.Backlog != 0 || st.MailDepth != 0 || len(slices.Concat(wait[k][:]...)) != 0 {
				t.Fatalf("seed %d: shard %d has not got rid of %v, %+v", seed, k, wait[k], st)
			}
		}
	}
	if backlogged == 0 || refused == 0 {
		t.Errorf("%d ends had to wait, %d records were refused: the boxes were never full", backlogged, refused)
	}
}

// TestEndedMask proves that the end of a connection is told to the shards of the mask and never to the sender, and that
// of more than 64 shards those that share a bit are all told.
func TestEndedMask(t *testing.T) {
	nodes := newNodes(66, mailbox.MinSize)
	f := func(from int, mask uint64, want ...int) {
		t.Helper()
		nodes[from].step(func() { nodes[from].Ended(addrOf(from, 7), mask) })
		var told []int
		for k, n := range nodes {
			for _, l := range n.read() {
				if KindOf(l.rec) != KindEnded || ReadSender(l.rec) != addrOf(from, 7) {
					t.Errorf("shard %d is told %v", k, l)
				}
				told = append(told, k)
			}
		}
		if !slices.Equal(told, want) {
			t.Errorf("shard %d with mask %x tells %v, want %v", from, mask, told, want)
		}
	}
	f(0, 0)
	f(0, 1, 64)
	f(0, 1<<1|1<<5, 1, 5, 65)
	f(1, 1<<1, 65)
	f(65, 1<<1|1<<63, 1, 63)
	f(3, 1<<3)
}

// TestBacklogGoesInSteps proves that a Step mails only so many ends of connections from a long backlog even if there is room
// for more, that the loop then goes on before it sleeps, and that all arrive in order.
func TestBacklogGoesInSteps(t *testing.T) {
	const ends, perStep = 100_000, maxFlushPerStep / 2
	nodes := newNodes(2, 1<<20)
	nodes[0].step(func() {
		for k := range ends {
			nodes[0].Ended(addrOf(0, k), 1<<1)
		}
	})
	if waiting := nodes[0].Stats().Backlog; waiting < 10*perStep {
		t.Fatalf("%d ends wait: the box is too large", waiting)
	}
	next := 0
	for steps := 0; next < ends; steps++ {
		if steps > ends/perStep*2+1<<8 {
			t.Fatalf("only %d of %d ends have come", next, ends)
		}
		for _, l := range slices.Concat(nodes[1].read(), nodes[1].read(), nodes[1].read()) {
			if addr := ReadSender(l.rec); addr != addrOf(0, next) {
				t.Fatalf("end %d is of %+v", next, addr)
			}
			next++
		}
		before := nodes[0].Stats()
		nodes[0].step(func() {})
		after := nodes[0].Stats()
		mailed := before.Backlog - after.Backlog
		if mailed > perStep || after.MailOut-before.MailOut != uint64(mailed) {
			t.Fatalf("a Step mailed %d ends", mailed)
		}
		if cut := mailed == perStep && after.Backlog > 0; nodes[0].turn.More != cut {
			t.Fatalf("%d mailed, %d wait, but More is %v", mailed, after.Backlog, nodes[0].turn.More)
		}
	}
}

// TestPassEnded proves that the ends that a home passes on wait as others do, but only so many of them, and that others
// still wait behind them.
func TestPassEnded(t *testing.T) {
	const over = 7
	nodes := newNodes(2, mailbox.MinSize)
	room := 0
	nodes[0].step(func() {
		for k := 0; nodes[0].Stats().Backlog < maxPassedOn; k++ {
			nodes[0].PassEnded(addrOf(3, k), 1<<0|1<<1)
			room = k + 1 - nodes[0].Stats().Backlog
		}
		for range over {
			nodes[0].PassEnded(addrOf(3, 0), 1<<1)
		}
		nodes[0].Ended(addrOf(0, 5), 1<<1)
	})
	if st := nodes[0].Stats(); st.EndsLost != over || st.Backlog != maxPassedOn+1 {
		t.Fatalf("%d lost, %d wait", st.EndsLost, st.Backlog)
	}
	next := 0
	for next <= room+maxPassedOn {
		got := nodes[1].read()
		if len(got) == 0 && nodes[0].Stats().Backlog == 0 {
			t.Fatalf("only %d ends have come", next)
		}
		for _, l := range got {
			want := addrOf(3, next)
			if next == room+maxPassedOn {
				want = addrOf(0, 5)
			}
			if addr := ReadSender(l.rec); addr != want {
				t.Fatalf("end %d is of %+v", next, addr)
			}
			next++
		}
		nodes[0].step(func() {})
	}
}

// TestUrgent proves that requests, relayed messages and moves leave a quarter of a box to replies, to scrapes on their
// way home, and to ends; and that those can have all of it.
func TestUrgent(t *testing.T) {
	const size = 1 << 14
	f := func(name string, urgent bool, send func(p *Post) bool) {
		t.Helper()
		nodes := newNodes(3, size)
		nodes[0].step(func() {
			for n := 0; nodes[0].send(1, note{KindOffer, n % 50}); n++ {
			}
		})
		if depth := nodes[1].Stats().MailDepth; depth > size/4*3 || depth < size/2 {
			t.Errorf("offers take %d bytes of %d", depth, size)
		}
		n := 0
		nodes[0].step(func() {
			for ; n < size && send(nodes[0].Post) && nodes[0].Stats().Backlog == 0; n++ {
			}
		})
		if depth := nodes[1].Stats().MailDepth; urgent != (n > 0) || urgent && depth < size-256 {
			t.Errorf("%s: %d more fit, %d bytes of %d", name, n, depth, size)
		}
	}
	reader, home := addrOf(1, 5), []wsproto.ScrapeFile{{}}
	f("announce", false, func(p *Post) bool { return p.Announce(1, &Announce{SDPs: make([]wsproto.Offer, 9)}) })
	f("answer", false, func(p *Post) bool { return p.Answer(1, &Answer{SDP: make([]byte, 300)}) })
	f("offer", false, func(p *Post) bool { return p.Offer(reader, &Relay{SDP: make([]byte, 300)}) })
	f("relayed answer", false, func(p *Post) bool { return p.Answered(reader, &Relay{SDP: make([]byte, 300)}) })
	f("move", false, func(p *Post) bool { return p.Move(1, &Move{Unread: make([]byte, 300)}) })
	f("scrape on its way", false, func(p *Post) bool {
		return p.Scrape(1, &Scrape{From: addrOf(2, 5), Files: make([]wsproto.ScrapeFile, 9), Filled: make([]bool, 9)})
	})
	f("scrape going home", true, func(p *Post) bool {
		return p.Scrape(1, &Scrape{From: reader, Files: home, Filled: []bool{true}})
	})
	f("reply", true, func(p *Post) bool { return p.Reply(reader, &Reply{}) })
	f("failure", true, func(p *Post) bool { return p.Failure(reader, &Failure{}) })
	f("ended", true, func(p *Post) bool {
		p.Ended(addrOf(0, 5), 1<<1)
		return true
	})
}

// TestNextIsFair proves that a Step reads from each box in turn and no more than its share, so that a shard that floods
// another one keeps no mail of the others from it, that it says when it leaves some, and that all of it comes in later
// Steps.
func TestNextIsFair(t *testing.T) {
	nodes := newNodes(4, 1<<18)
	const flood, share = 2500, maxReadPerStep / 4
	for from, n := range []int{1: flood, 2: flood, 3: 5} {
		nodes[from].step(func() {
			for k := range n {
				nodes[from].send(0, note{KindEnded, k})
			}
		})
	}
	f := func(more bool, want ...int) {
		t.Helper()
		depth := nodes[0].Stats().MailDepth
		var got []int
		last := 0
		for _, l := range nodes[0].read() {
			if l.from != last {
				got, last = append(got, 0), l.from
			}
			got[len(got)-1]++
		}
		if !slices.Equal(got, want) || nodes[0].turn.More != more {
			t.Errorf("read %v from the boxes, more %v, want %v", got, nodes[0].turn.More, want)
		}
		if less := depth - nodes[0].Stats().MailDepth; len(want) > 0 && less < 24*slices.Max(want) {
			t.Errorf("the senders have %d bytes back for %v records", less, want)
		}
	}
	f(true, share, share, 5)
	f(true, share, share)
	f(false, flood-2*share, flood-2*share)
	f(false)
	if st := nodes[0].Stats(); st.MailIn != 2*flood+5 || st.MailDepth != 0 {
		t.Errorf("the counters are %+v", st)
	}
}

// TestWakes proves that of all shards that write to one that sleeps, one wakes it, and once; and that one with mail to
// read does not go to sleep.
func TestWakes(t *testing.T) {
	nodes := newNodes(3, 1<<14)
	f := func(from, to int, want int) {
		t.Helper()
		ops := nodes[from].step(func() {
			nodes[from].send(to, note{KindEnded, 1})
			nodes[from].send(to, note{KindEnded, 2})
		})
		if len(ops) != want || want > 0 && (ops[0].Kind != ring.OpWake || int(ops[0].Target) != to) {
			t.Errorf("shard %d sends to %d: %+v, want %d", from, to, ops, want)
		}
		if idle := nodes[from].step(func() {}); len(idle) > 0 {
			t.Errorf("a Step without mail wakes: %+v", idle)
		}
	}
	sleeps := func(want bool) {
		t.Helper()
		if got := nodes[0].PrepareToSleep(); got != want {
			t.Errorf("goes to sleep: %v", got)
		}
	}
	f(1, 0, 0)
	sleeps(false)
	f(1, 0, 0)
	nodes[0].read()
	sleeps(true)
	f(1, 0, 1)
	f(2, 0, 0)
	f(1, 0, 0)
	nodes[0].AwakeAgain()
	nodes[0].read()
	sleeps(true)
	nodes[0].AwakeAgain()
	f(2, 0, 0)
	f(0, 1, 0)
	if nodes[1].Stats().Wakes != 1 || nodes[1].Stats().MailOut != 8 {
		t.Errorf("the counters are %+v", nodes[1].Stats())
	}
}

// TestNextMove proves that after the end of all loops the connections that nobody has taken in are found among all
// other mail, in every box.
func TestNextMove(t *testing.T) {
	nodes := newNodes(3, 1<<14)
	for from := 1; from < 3; from++ {
		nodes[from].step(func() {
			for k, kind := range []Kind{KindReply, KindMove, KindMove, KindEnded, KindMove, KindOffer} {
				nodes[from].send(0, note{kind, 10*from + k})
			}
		})
	}
	var got []int32
	for m := (Move{}); nodes[0].NextMove(&m); {
		got = append(got, m.FD)
	}
	if !slices.Equal(got, []int32{11, 12, 14, 21, 22, 24}) {
		t.Errorf("the connections are %v", got)
	}
}

// TestThreads proves that shards on threads of their own, which sleep when they have nothing to do, get all of their
// mail in order, and that none of them sleeps for ever while there is mail for it.
func TestThreads(t *testing.T) {
	const shards, each = 3, 3000
	nodes := newNodes(shards, mailbox.MinSize)
	var bells [shards]chan struct{}
	for k := range bells {
		bells[k] = make(chan struct{}, 1)
	}
	var all sync.WaitGroup
	for self, n := range nodes {
		all.Go(func() {
			var sent, got [shards]int
			sent[self], got[self] = each, each
			for slices.Min(sent[:]) < each || slices.Min(got[:]) < each || n.stats.Backlog > 0 {
				n.turn.Begin(time.Duration(0), n.turn.End()[:0])
				n.FlushBacklog()
				for to := range shards {
					for burst := 0; burst < 10 && sent[to] < each; burst++ {
						if !n.send(to, note{noteKinds[sent[to]%len(noteKinds)], sent[to]}) {
							break
						}
						sent[to]++
					}
				}
				for from, rec := n.Next(); rec != nil; from, rec = n.Next() {
					if x := noteOf(letter{from, rec}); x != (note{noteKinds[got[from]%len(noteKinds)], got[from]}) {
						t.Errorf("shard %d got %+v as number %d from %d", self, x, got[from], from)
						got[from] = each
						break
					}
					got[from]++
				}
				n.Publish()
				for _, op := range n.turn.Ops {
					select {
					case bells[op.Target] <- struct{}{}:
					default:
					}
				}
				if slices.Min(sent[:]) < each || n.stats.Backlog > 0 {
					runtime.Gosched() // as a loop that is woken by its tick
				} else if slices.Min(got[:]) < each && n.PrepareToSleep() {
					<-bells[self]
				}
				n.AwakeAgain()
			}
		})
	}
	all.Wait()
}
