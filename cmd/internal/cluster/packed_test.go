package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/pack"
	"millrace/cmd/internal/cluster/record"
)

// This file proves how messages are made smaller: to the eyes of shards not at all.

// TestPacked proves that offers to a node that reads packed messages take fewer bytes than they have, that those to a node of the version
// before are as they were, and that both get all of them.
func TestPacked(t *testing.T) {
	r := newRig(t)
	a, b, old := r.join("a"), r.join("b"), r.add("old", nil)
	old.speaks = protocolPacked - 1
	old.Connected(r.now, true)
	r.pass(time.Second)
	f := func(to *rigNode, packs bool) {
		t.Helper()
		to.mails = nil
		before, there := a.Stats(), to.Stats()
		relay := record.Routed{Node: a.numberOf(to.o.Node), Relay: sample(a.keyAt("a"), 3, 900)}
		a.tell(record.MailRelay, &relay)
		r.now += batchTime
		a.Flush(r.now)
		after := a.Stats()
		bytesOut := after.BytesOut - before.BytesOut
		if plain := uint64(relay.Relay.Size()); (bytesOut < plain/2) != packs || (after.PackPlain > before.PackPlain) != packs {
			t.Errorf("%d bytes of records took %d to %s", plain, bytesOut, to.o.Node)
		}
		r.deliver()
		relay.Node = to.numberOf("a")
		if got := to.fetch(record.MailVisit); !slices.Equal(got, []string{fmt.Sprintf("%d %+v", to.o.Owner(&relay.Key.Hash), relay)}) {
			t.Errorf("%s got %q", to.o.Node, got)
		}
		now := to.Stats()
		opened, was := now.OpenPlain-there.OpenPlain, after.PackPlain-before.PackPlain
		if opened != was || now.OpenPacked-there.OpenPacked != after.PackPacked-before.PackPacked {
			t.Errorf("%s opened %d of %d bytes", to.o.Node, opened, was)
		}
	}
	f(b, true)
	f(old, false)
	before := a.Stats().PackPlain
	a.tell(record.MailPresence, &record.Presence{Key: a.keyAt("b"), Counts: peers(1, 1)})
	r.pass(10 * time.Millisecond)
	if a.Stats().PackPlain != before {
		t.Error("a short message was packed")
	}
}

// TestBadlyPacked proves that a packed message is one bad record where it cannot be read, is too long, holds another one, or has something
// behind it; and that what is read costs no more than a message.
func TestBadlyPacked(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(a.o.Timeout)
	packed := func(records []byte) []byte {
		p := pack.Append(nil, records)
		return raw(p).Append(record.AppendFrame(nil, record.KindPacked, len(p)))
	}
	f := func(what string, bad uint64, records []byte) {
		t.Helper()
		before := b.Stats()
		b.FromBus(r.now, b.here, a.seal.close(b.here, b.seal.from, records))
		if after := b.Stats(); after.BadRecords-before.BadRecords != bad || after.NewRecords != before.NewRecords || after.Stays != 0 {
			t.Errorf("%s: %+v", what, after)
		}
		if cap(b.packing.open) > maxMessage {
			t.Errorf("%s: %d bytes are held", what, cap(b.packing.open))
		}
	}
	p := record.Presence{Key: b.keyAt("b"), Counts: peers(1, 1)}
	good := p.Append(record.AppendFrame(nil, record.KindPresence, p.Size()))
	whole := packed(good)
	f("nothing in it", 0, packed(nil))
	f("no packed form", 1, append(record.AppendFrame(nil, record.KindPacked, 5), "abcde"...))
	f("half of one", 1, append(record.AppendFrame(nil, record.KindPacked, 20), whole[record.FrameSize:][:20]...))
	f("too many bytes", 1, packed(make([]byte, maxMessage+1)))
	f("one inside another", 1, packed(whole))
	f("bad records in it", 1, packed([]byte("abcde")))
	f("another one behind it", 2, append(bytes.Clone(whole), whole...))
	f("as many bytes as there may be", 1, packed(make([]byte, maxMessage)))
}
