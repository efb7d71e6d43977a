package shard

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/outbox"
	"millrace/wsproto"
)

// This file proves that compressed messages go in and out of whole shards: package deflate has the compression itself.

const deflateHead = "GET / HTTP/1.1\r\nHost: tracker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

// dialDeflate connects a client to shard k that compresses.
func (w *world) dialDeflate(k int, from string) *client {
	w.t.Helper()
	c := w.accept(k, from)
	c.send([]byte(deflateHead))
	w.run()
	head, rest, _ := bytes.Cut(c.inbox, []byte("\r\n\r\n"))
	if !bytes.Contains(head, []byte("\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")) {
		w.t.Fatalf("the upgrade was answered with %q", head)
	}
	c.inbox = rest
	return c
}

// squeeze returns a compressed message as a client's frame.
func squeeze(t *testing.T, message string) []byte {
	t.Helper()
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, 6)
	io.WriteString(z, message)
	z.Flush()
	return clientFrame(0xc1, string(b.Bytes()[:b.Len()-4]))
}

// expander reads the frames of a connection with all that it has read as the window.
type expander struct{ window []byte }

// texts returns the messages of frames and how many of them were compressed.
func (x *expander) texts(t *testing.T, frames []frame) (all []string, packed int) {
	t.Helper()
	for _, f := range frames {
		if f.op != 0xc1 {
			all = append(all, string(f.payload))
			continue
		}
		stream := append([]byte(f.payload), 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff)
		out, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(stream), x.window))
		if err != nil {
			t.Fatal(err)
		}
		x.window = append(x.window, out...)
		all, packed = append(all, string(out)), packed+1
	}
	return all, packed
}

// TestDeflate proves that a client that compresses and one that does not exchange offers and answers through one shard and
// through two, also when connections move between them, and that the second offer looks back at the first.
func TestDeflate(t *testing.T) {
	for _, follow := range []bool{false, true} {
		for _, shards := range []int{1, 2} {
			w := newWorld(t, shards, func(o *Options) {
				o.Deflate, o.DeflateMemory, o.DeflateLoad, o.FollowTorrents = true, make([]byte, 1<<16), 1, follow
			})
			packer, plain := w.dialDeflate(0, "192.0.2.1"), w.dial(shards-1, "192.0.2.2")
			hash, sdp := id("torrent"), strings.Repeat("candidate ", 40)
			send := func(m map[string]any) { packer.send(squeeze(t, mustJSON(t, m))) }
			offers := func(from string, n int) map[string]any {
				m := announce(hash, from, n, nil)
				for _, o := range m["offers"].([]any) {
					o.(map[string]any)["offer"].(map[string]any)["sdp"] = sdp
				}
				return m
			}
			send(offers(id("packer"), 0))
			w.run()
			plain.text(offers(id("plain"), 1))
			w.run()
			plain.text(offers(id("plain"), 1))
			w.run()
			var x expander
			texts, packed := x.texts(t, packer.frames())
			if len(texts) != 3 || packed < 2 || !strings.Contains(texts[1], sdp) || !strings.Contains(texts[2], sdp) {
				t.Fatalf("follow %v, %d shards: %d packed of %q", follow, shards, packed, texts)
			}
			offer := map[string]any{"info_hash": hash, "peer_id": id("plain"), "offer_id": id("%.8s-%d", id("plain"), 0)}
			send(answer(id("packer"), offer))
			w.run()
			if got := plain.messages(); len(got) != 3 || got[2]["answer"] == nil {
				t.Errorf("follow %v, %d shards: the other client has %v", follow, shards, got)
			}
			var sum Stats
			for _, s := range w.shards {
				st := s.Snapshot()
				sum.Add(&st)
			}
			in, out := &sum.Messages.Expanded, &sum.Outbox.Packed[outbox.Offer]
			if in[wsproto.ActionAnnounce].Messages != 1 || in[wsproto.ActionAnswer].Messages != 1 ||
				in[wsproto.ActionAnswer].Packed >= in[wsproto.ActionAnswer].Plain || out.Messages != 2 || out.Packed >= out.Plain/2 ||
				sum.Packer.Histories != 1 {
				t.Errorf("follow %v, %d shards: %+v, %+v, %+v", follow, shards, in, out, sum.Packer)
			}
			packer.hangUp(0)
			plain.hangUp(0)
			w.run()
			w.checkEmpty()
			for k, s := range w.shards {
				if st := s.Snapshot(); st.Packer.Histories != 0 {
					t.Errorf("shard %d still has %+v", k, st.Packer)
				}
			}
		}
	}
}

// TestDeflateRefusals proves that a broken message ends with 1007, one over the limit with 1009, and a compressed one without an
// agreement with 1002; and that a tracker that does not compress declines.
func TestDeflateRefusals(t *testing.T) {
	w := newWorld(t, 1, func(o *Options) { o.Deflate, o.Limits = true, wsproto.Limits{Message: 4096, Frame: 4096} })
	f := func(c *client, frame []byte, want int) {
		t.Helper()
		c.send(frame)
		w.run()
		if got := c.closeCode(); got != want {
			t.Errorf("closed with %d, want %d", got, want)
		}
	}
	f(w.dialDeflate(0, "192.0.2.1"), clientFrame(0xc1, "\xff\xff\xff"), 1007)
	f(w.dialDeflate(0, "192.0.2.1"), squeeze(t, strings.Repeat("a", 4097)), 1009)
	f(w.dial(0, "192.0.2.1"), squeeze(t, "{}"), 1002)
	off := newWorld(t, 1, nil)
	c := off.accept(0, "192.0.2.1")
	c.send([]byte(deflateHead))
	off.run()
	if !bytes.HasPrefix(c.inbox, []byte("HTTP/1.1 101 ")) || bytes.Contains(c.inbox, []byte("Extensions")) {
		t.Errorf("answered with %q", c.inbox)
	}
}

// TestDeflateAfterLoss proves that a client can go on after frames that were made for it have been left out: what follows looks
// back at nothing that it has not seen.
func TestDeflateAfterLoss(t *testing.T) {
	w := newWorld(t, 1, func(o *Options) { o.Deflate, o.DeflateMemory, o.DeflateLoad = true, make([]byte, 1<<16), 1 })
	c := w.dialDeflate(0, "192.0.2.1")
	s := w.shards[0]
	slot := s.table.At(c.slot.Index)
	long := func(n int) { // an offer
		hash := [20]byte{byte(n)}
		dst := s.outbox.Room(c.slot.Index, slot, 4096, outbox.Offer)
		s.outbox.Commit(wsproto.AppendOffer(dst, &hash, &hash, &hash, []byte(`"`+strings.Repeat("candidate ", 50)+`"`)))
	}
	long(1)
	w.run()
	long(2)
	s.outbox.Discard(slot) // as a flush that finds no memory for TLS does
	long(3)
	w.run()
	var x expander
	if texts, packed := x.texts(t, c.frames()); len(texts) != 2 || packed != 2 {
		t.Errorf("%d packed of %q", packed, texts)
	}
}

// mustJSON returns the JSON of v.
func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDeflateStops proves that nothing is compressed while the shard has no CPU to spare, nor to a client that is there when compression is
// turned off; and that what it sends is read all the same.
func TestDeflateStops(t *testing.T) {
	var o Options
	w := newWorld(t, 1, func(made *Options) {
		made.Deflate, made.DeflateMemory, made.DeflateLoad = true, make([]byte, 1<<16), 0.5
		o = *made
	})
	c, s := w.dialDeflate(0, "192.0.2.1"), w.shards[0]
	var x expander
	f := func(what string, want int) {
		t.Helper()
		c.send(squeeze(t, mustJSON(t, announce(id("torrent"), id("peer"), 0, nil))))
		w.run()
		if texts, packed := x.texts(t, c.frames()); len(texts) != 1 || packed != want {
			t.Errorf("%s: %d of %d replies are compressed, want %d", what, packed, len(texts), want)
		}
	}
	f("idle", 1)
	s.SetLoad(0.6)
	f("busy", 0)
	s.SetLoad(0.4)
	f("idle again", 1)
	o.Deflate = false
	s.Change(o)
	f("off", 0)
	s.SetLoad(0.1)
	f("off and idle", 0)
	o.Deflate = true
	s.Change(o)
	f("on again", 1)
}

// TestDeflateIsPaidFor proves that a client pays for what its messages expand to, or for the time that this takes if it is long, and that
// long messages that expand to nothing are no keepalives.
func TestDeflateIsPaidFor(t *testing.T) {
	now := time.Duration(0)
	slow := time.Duration(0) // how long it takes to expand a message
	limited := func(o *Options) {
		o.Deflate, o.MaxBadMessages = true, 2
		o.Guard = Limits{Active: true, BytesPerConnectionRate: 1000, BytesPerConnectionBurst: 20_000}
		o.Addresses = o.Guard.Addresses(64, guard.Secret{})
		o.Clock = func() time.Duration {
			now += slow
			return now
		}
	}
	f := func(name string, message string, takes time.Duration, want int) {
		t.Helper()
		now, slow = 0, takes
		w := newWorld(t, 1, limited)
		c := w.dialDeflate(0, "192.0.2.1")
		read := 0
		for ; read < 10 && w.shards[0].Snapshot().Meter.Throttled == 0; read++ {
			c.send(squeeze(t, message))
			w.run()
		}
		if read != want {
			t.Errorf("%s: %d messages are read at once, want %d", name, read, want)
		}
	}
	small := mustJSON(t, announce(id("torrent"), id("peer"), 0, nil))
	f("small", small, 0, 10)
	f("large", strings.Repeat(" ", 6000)+small, 0, 4)
	f("small and slow", small, 60*time.Microsecond, 4)
	w := newWorld(t, 1, limited)
	c := w.dialDeflate(0, "192.0.2.1")
	c.send(clientFrame(0xc1, "\x00"))
	w.run()
	for range 3 {
		c.send(clientFrame(0xc1, strings.Repeat("\x00\x00\x00\xff\xff", 10)+"\x00"))
	}
	w.run()
	if got := c.closeCode(); got != 1008 {
		t.Errorf("closed with %d", got)
	}
}
