package cluster

import (
	"bytes"
	"testing"

	"millrace/cmd/internal/cluster/record"
)

// This file proves that a message is opened only by those that it is for.

// TestSeal proves that a message is opened with the secret, for its subject and the life of its receiver, and not if anything of it is
// changed; and that no two messages have the same number.
func TestSeal(t *testing.T) {
	secret, from, to := []byte(rigSecret), record.Incarnation{1}, record.Incarnation{2}
	key, err := keyFor(secret, from)
	if err != nil {
		t.Fatal(err)
	}
	s := seal{key: key, from: from}
	first := bytes.Clone(s.close("subject", to, []byte("records")))
	second := bytes.Clone(s.close("subject", to, []byte("records")))
	if bytes.Equal(first, second) {
		t.Error("two messages are the same")
	}
	var h record.Header
	if !h.Read(second) || h.From != from || h.Number != 2 || h.Version != record.Version {
		t.Errorf("the header of the second message is %+v", h)
	}
	var o opener
	open := func(secret []byte, subject string, to record.Incarnation, msg []byte) bool {
		e := envelope{subject: subject, to: to}
		if !e.Header.Read(msg) {
			return false
		}
		key, err := keyFor(secret, e.From)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := o.open(key, &e, msg)
		return ok && string(got) == "records"
	}
	if !open(secret, "subject", to, first) {
		t.Error("a good message is not opened")
	}
	if open([]byte("another secret, as long"), "subject", to, first) {
		t.Error("a message is opened with another secret")
	}
	if open(secret, "another", to, first) {
		t.Error("a message is opened under another subject")
	}
	if open(secret, "subject", record.Incarnation{3}, first) {
		t.Error("a message is opened in another life")
	}
	for k := range first {
		changed := bytes.Clone(first)
		if changed[k] ^= 1; open(secret, "subject", to, changed) {
			t.Errorf("a message is opened whose byte %d is another", k)
		}
		if open(secret, "subject", to, first[:k]) {
			t.Errorf("%d of %d bytes of a message are opened", k, len(first))
		}
	}
}

// TestRefusedMessages proves that each kind of a bad message is refused, counted, and changes nothing.
func TestRefusedMessages(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(3 * a.o.Timeout / 2)
	key := a.keyAt("b")
	a.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(1, 2)})
	r.now += batchTime
	a.Flush(r.now)
	good := a.out[len(a.out)-1]
	r.deliver()
	f := func(flaw Flaw, subject string, msg []byte) {
		t.Helper()
		before := b.Stats()
		b.FromBus(r.now, subject, msg)
		after := b.Stats()
		if after.Flaws[flaw] != before.Flaws[flaw]+1 || after.In != before.In || after.Stays != 1 {
			t.Errorf("%s: %v, then %v", FlawNames[flaw], before, after)
		}
	}
	f(FlawStale, good.subject, good.msg)
	f(FlawForm, "another", good.msg)
	f(FlawForm, good.subject, good.msg[:record.HeaderSize-1])
	f(FlawForm, good.subject, append(bytes.Clone(good.msg), make([]byte, maxMessage+1024)...))
	f(FlawForm, good.subject, append([]byte("xxx"), good.msg[3:]...))
	newer := bytes.Clone(good.msg)
	newer[3]++
	f(FlawVersion, good.subject, newer)
	forged := bytes.Clone(good.msg)
	forged[record.HeaderSize-8] = 1 // a number far ahead
	f(FlawSeal, good.subject, forged)
	stranger := r.add("c", nil)
	stranger.at(r.now)
	f(FlawStranger, good.subject, stranger.seal.close(good.subject, b.seal.from, nil))
	wrong := r.add("d", func(o *Options) { o.Secret = []byte("another secret, as long") })
	b.News()
	for range 2 {
		f(FlawSecret, b.all, wrong.seal.close(b.all, record.Incarnation{}, nil))
	}
	if news := b.News(); len(news) != 1 || news[0].Event != OtherSecret || !b.Stats().Strange {
		t.Errorf("of another secret the news are %+v", news)
	}
	r.now += 2 * sayAgain
	if b.at(r.now); b.Stats().Strange {
		t.Error("another secret is remembered for long")
	}
	r.now -= 2 * sayAgain
	if n := b.Stats().Nodes; n != 1 {
		t.Errorf("there are %d other nodes", n)
	}
	b.FromBus(r.now, b.all, b.seal.close(b.all, record.Incarnation{}, []byte("our own")))
	if b.Stats().BadRecords != 0 {
		t.Error("a node reads its own message")
	}
	a.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(3, 2)})
	r.now += newsTime
	a.Flush(r.now)
	r.deliver()
	if b.directory.index[key].stays[0].Seeders != 3 {
		t.Error("a forged number keeps the next message out")
	}
}

// TestBadRecords proves that a record which means nothing is left out and counted, with the rest of its message read; that one of a kind
// that is not known is left out; and that a record under the wrong subject is not taken.
func TestBadRecords(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(a.o.Timeout)
	p := record.Presence{Key: b.keyAt("b"), Counts: peers(1, 1)}
	good := p.Append(record.AppendFrame(nil, record.KindPresence, p.Size()))
	f := func(what string, bad, unknown uint64, subject string, to record.Incarnation, records []byte, stays int) {
		t.Helper()
		before := b.Stats()
		b.FromBus(r.now, subject, a.seal.close(subject, to, records))
		after := b.Stats()
		if after.BadRecords-before.BadRecords != bad || after.NewRecords-before.NewRecords != unknown || after.Stays != stays {
			t.Errorf("%s: %+v", what, after)
		}
		if stays > 0 { // it goes again
			p := record.Presence{Key: p.Key}
			b.report(a.numberAt(b), &p)
		}
	}
	here, life := b.here, b.seal.from
	f("a good record", 0, 0, here, life, good, 1)
	f("a bad one before it", 1, 0, here, life, append(record.AppendFrame(nil, record.KindPresence, 0), good...), 1)
	f("an unknown one before it", 0, 1, here, life, append(record.AppendFrame(nil, 99, 0), good...), 1)
	f("half a record behind it", 1, 0, here, life, append(bytes.Clone(good), 1, 2, 3), 1)
	f("to all", 1, 0, b.all, record.Incarnation{}, good, 0)
	f("goodbye to one", 1, 0, here, life, record.AppendFrame(nil, record.KindBye, 0), 0)
	answer := record.Answer{To: addrOn(3), SDP: []byte(`""`)}
	f("an answer for a shard that there is not", 1, 0, here, life, answer.Append(record.AppendFrame(nil, record.KindAnswer, answer.Size())), 0)
	h := record.Hello{Node: "another", Most: 1}
	f("a greeting under another id", 1, 0, b.all, record.Incarnation{}, h.Append(record.AppendFrame(nil, record.KindHello, h.Size())), 0)
	if b.numberOf("a") == 0 {
		t.Error("the node is gone")
	}
}
