package record

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"millrace/swarm"
)

// This file proves that records are read as they were written, by this version and by its neighbours, and that nothing else is read.

// record is what all records have.
type record interface {
	Size() int
	Append(dst []byte) []byte
	Read(b []byte) bool
}

// fresh returns an empty record of each type.
func fresh() map[string]record {
	return map[string]record{
		"hello": &Hello{}, "presence": &Presence{}, "others": &Others{}, "relay": &Relay{}, "answer": &Answer{}, "ask": &Ask{},
		"told": &Told{}, "arrived": &Arrived{}, "seek": &Seek{}, "routed": &Routed{}, "answering": &Answering{}, "scrape": &Scrape{},
		"nodes": &Nodes{}, "known": &Known{}, "scraped": &Scraped{}, "resend": &Resend{},
	}
}

// samples returns a record of each type that means something, every field with another value.
func samples(seed uint64) map[string]record {
	rng := rand.New(rand.NewPCG(seed, 2))
	id := func() (id swarm.ID) {
		for k := range id {
			id[k] = byte(rng.Uint32())
		}
		return id
	}
	n := func() uint32 { return 1 + rng.Uint32N(1<<20) }
	counts := func() Counts {
		s, l := 100+n(), 100+n()
		return Counts{Seeders: s, Leechers: l, FreshSeeders: s - 1 - rng.Uint32N(50), FreshLeechers: l - 1 - rng.Uint32N(50), Downloaded: rng.Uint32()}
	}
	key := func() swarm.Key { return swarm.Key{Hash: id(), Family: []uint8{4, 6}[rng.IntN(2)]} }
	addr := func() swarm.Addr { return swarm.Addr{Index: n(), Gen: n(), Shard: uint16(1 + rng.IntN(100))} }
	sdp := func() []byte { return []byte(`"v=0\r\n` + strings.Repeat("a", rng.IntN(100)) + `"`) }
	incarnation := func() (i Incarnation) { a := id(); copy(i[:], a[:]); return i }
	relay := func() Relay {
		return Relay{Key: key(), Peer: id(), Seeder: true, From: addr(), Offers: []Offer{{ID: id(), SDP: sdp()}, {ID: id(), SDP: sdp()}}}
	}
	files := func() []File { return []File{{id(), n(), n(), n()}, {id(), n(), n(), n()}} }
	presence := func() Presence { return Presence{key(), counts(), true} }
	seek := Seek{presence(), relay()}
	seek.Relay.Key = seek.Presence.Key
	answer := func() Answer { return Answer{addr(), id(), id(), id(), sdp()} }
	p := presence()
	return map[string]record{
		"hello":     &Hello{"node-1.example", 1, 2, "192.0.2.1:80 here", n(), n(), rng.Uint64(), SwarmsApart},
		"presence":  &p,
		"others":    &Others{key(), []Elsewhere{{incarnation(), counts()}, {incarnation(), counts()}}},
		"relay":     func() *Relay { r := relay(); return &r }(),
		"answer":    func() *Answer { r := answer(); return &r }(),
		"ask":       &Ask{rng.Uint64(), 4, []swarm.ID{id(), id()}},
		"told":      &Told{rng.Uint64(), 6, files()},
		"arrived":   &Arrived{key(), id(), true},
		"seek":      &seek,
		"routed":    &Routed{uint16(n()) | 1, relay()},
		"answering": &Answering{uint16(n()) | 1, answer()},
		"scrape":    &Scrape{4, addr(), []swarm.ID{id(), id()}, []byte("kept")},
		"nodes":     &Nodes{[]uint16{1, 2, 65535}},
		"known":     &Known{key(), []Other{{1, counts()}, {2, counts()}}},
		"scraped":   &Scraped{addr(), files(), []byte("kept")},
		"resend":    &Resend{n()},
	}
}

// late is how many bytes of fields a record may lack, since earlier versions of it did not have them.
var late = map[string]int{"hello": 1}

// TestRecords proves that every field of every record comes through, in so many bytes as Size says; that a record of a newer version,
// which has more, is read; and that one which ends early is refused, but for fields that have come late.
func TestRecords(t *testing.T) {
	for name, r := range samples(1) {
		if v := reflect.ValueOf(r).Elem(); hasZero(v) {
			t.Errorf("%s: the sample %+v has a field without a value", name, r)
		}
		b := r.Append([]byte("before"))[len("before"):]
		if len(b) != r.Size() {
			t.Errorf("%s has %d bytes, and Size says %d", name, len(b), r.Size())
		}
		for _, more := range []string{"", "more"} {
			if got := fresh()[name]; !got.Read(append(bytes.Clone(b), more...)) || !reflect.DeepEqual(got, r) {
				t.Errorf("%s: %+v is read as %+v", name, r, got)
			}
		}
		for n := range b {
			if read := fresh()[name].Read(b[:n]); read != (n >= len(b)-late[name]) {
				t.Errorf("%s: of its first %d of %d bytes Read says %v", name, n, len(b), read)
			}
		}
	}
}

// hasZero reports whether a field of a struct, or of one inside it, has no value. The number of a node is left out: addresses may have one,
// and only mail says it.
func hasZero(v reflect.Value) bool {
	if v.Kind() != reflect.Struct {
		return v.IsZero()
	}
	for k := range v.NumField() {
		if v.Type().Field(k).Name != "Node" && hasZero(v.Field(k)) {
			return true
		}
	}
	return false
}

// TestReadsAgain proves that a record is used again for another one: nothing of the old one is left, and its lists cost no memory.
func TestReadsAgain(t *testing.T) {
	one, two := samples(1), samples(2)
	for name, r := range fresh() {
		b := two[name].Append(nil)
		if !r.Read(one[name].Append(nil)) || !r.Read(b) || !reflect.DeepEqual(r, two[name]) {
			t.Errorf("%s: %+v is read as %+v over another one", name, two[name], r)
		}
	}
	var relay Routed
	b, dst := two["routed"].Append(nil), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		relay.Read(b)
		dst = relay.Append(dst[:0])
		dst = dst[:relay.Size()]
	}); n != 0 {
		t.Errorf("a relay that is read and written costs %v allocations", n)
	}
}

// TestRefused proves that a record whose fields have the right lengths is refused if it cannot mean what it says.
func TestRefused(t *testing.T) {
	f := func(why, name string, change func(r record)) {
		t.Helper()
		r := samples(3)[name]
		change(r)
		if fresh()[name].Read(r.Append(nil)) {
			t.Errorf("%s: %+v is read", why, r)
		}
	}
	presence := func(change func(r *Presence)) func(record) { return func(r record) { change(r.(*Presence)) } }
	hello := func(change func(r *Hello)) func(record) { return func(r record) { change(r.(*Hello)) } }
	sdp := func(text string) func(record) { return func(r record) { r.(*Answer).SDP = []byte(text) } }

	f("a family that there is not", "presence", presence(func(r *Presence) { r.Key.Family = 5 }))
	f("more fresh seeders than seeders", "presence", presence(func(r *Presence) { r.FreshSeeders = r.Seeders + 1 }))
	f("more fresh leechers than leechers", "presence", presence(func(r *Presence) { r.FreshLeechers = r.Leechers + 1 }))
	f("more seeders than there are", "presence", presence(func(r *Presence) { r.Seeders = MaxPeers + 1 }))
	f("more leechers than there are", "presence", presence(func(r *Presence) { r.Leechers = MaxPeers + 1 }))
	f("one node twice", "others", func(r record) { n := r.(*Others).Nodes; n[1].Incarnation = n[0].Incarnation })
	f("too many nodes", "others", func(r record) {
		r.(*Others).Nodes = make([]Elsewhere, MaxNodes+1)
		for k := range r.(*Others).Nodes {
			r.(*Others).Nodes[k].Incarnation[0] = byte(k)
		}
	})
	f("no node", "hello", hello(func(r *Hello) { r.Node = "" }))
	f("a long node", "hello", hello(func(r *Hello) { r.Node = strings.Repeat("n", MaxNode+1) }))
	for _, bad := range []string{"a b", "a*", "a>", "a\n", "ä", "a@", "a["} {
		f("a node with "+bad, "hello", hello(func(r *Hello) { r.Node = bad }))
	}
	f("a long address", "hello", hello(func(r *Hello) { r.Address = strings.Repeat("a", MaxAddress+1) }))
	f("an address of two lines", "hello", hello(func(r *Hello) { r.Address = "a\nb" }))
	f("no version", "hello", hello(func(r *Hello) { r.Least, r.Most = 2, 1 }))
	for _, bad := range []string{``, `"`, `a`, `"a`, `a"`, `"a"b"`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\n\"", "\"\xff\"", `{}`, `""}`} {
		f("the sdp "+bad, "answer", sdp(bad))
	}
	f("a long sdp", "answer", sdp(`"`+strings.Repeat("a", MaxSDP)+`"`))
	f("no node", "routed", func(r record) { r.(*Routed).Node = 0 })
	f("no node", "answering", func(r record) { r.(*Answering).Node = 0 })
	f("no node", "nodes", func(r record) { r.(*Nodes).Live[1] = 0 })
	f("no node", "known", func(r record) { r.(*Known).Others[1].Node = 0 })
	f("too many offers", "relay", func(r record) {
		r.(*Relay).Offers = make([]Offer, MaxOffers+1)
		for k := range r.(*Relay).Offers {
			r.(*Relay).Offers[k].SDP = []byte(`""`)
		}
	})
	f("too many torrents", "ask", func(r record) { r.(*Ask).Hashes = make([]swarm.ID, MaxHashes+1) })
	f("too many seeders", "told", func(r record) { r.(*Told).Files[1].Seeders = MaxNodes*MaxPeers + 1 })
	f("too many leechers", "told", func(r record) { r.(*Told).Files[1].Leechers = MaxNodes*MaxPeers + 1 })
	f("too much kept", "scrape", func(r record) { r.(*Scrape).Kept = make([]byte, MaxKept+1) })

	for _, good := range []string{`""`, `"a"`, `"\"\\\/\b\f\n\r\t\u00fF"`, `"ä"`} {
		r := samples(3)["answer"].(*Answer)
		r.SDP = []byte(good)
		if !new(Answer).Read(r.Append(nil)) {
			t.Errorf("the sdp %s is refused", good)
		}
	}
	b := (&Arrived{Onward: true}).Append(nil)
	if b[len(b)-1] = 2; new(Arrived).Read(b) {
		t.Error("a bool of 2 is read")
	}
}

// TestSamples proves that records as they were written when Version was set are read today, and are written so. A sample that fails
// must not be replaced: then Version has to change. Mail stays within a process, so it needs none.
func TestSamples(t *testing.T) {
	f := func(name string, got, want record) {
		t.Helper()
		file := filepath.Join("testdata", "version1-"+name+".hex")
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(want.Append(nil))+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Fatalf("%s is new: look at it and commit it", file)
		}
		if err != nil {
			t.Fatal(err)
		}
		old, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !got.Read(old) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v", file, got)
		}
		if b := got.Append(nil); !bytes.HasPrefix(b, old) {
			t.Errorf("%s is written as %x", file, b)
		}
	}
	all := samples(4)
	f("hello-swarms", &Hello{}, all["hello"])
	all["hello"].(*Hello).Swarms = SwarmsUnsaid // it has come later
	for _, name := range []string{"hello", "presence", "others", "relay", "answer", "ask", "told", "arrived"} {
		f(name, fresh()[name], all[name])
	}
}

// TestMessage proves that headers and the records of a message come through, that a kind that is not known is left to the caller, and
// that a message which ends within a record has no record there.
func TestMessage(t *testing.T) {
	h := Header{Version: 3, From: Incarnation{1, 2}, Number: 1<<40 + 5}
	b := h.Append(nil)
	var got Header
	if !got.Read(b) || got != h || len(b) != HeaderSize {
		t.Errorf("%+v is read as %+v", h, got)
	}
	if got.Read(b[:HeaderSize-1]) || got.Read(append([]byte("x"), b...)) {
		t.Error("what is no header is read")
	}
	a := samples(5)["arrived"].(*Arrived)
	b = a.Append(AppendFrame(nil, KindArrived, a.Size()))
	b = append(AppendFrame(b, 200, 3), "new"...)
	kind, fields, rest, ok := Next(b)
	if !ok || kind != KindArrived || !bytes.Equal(fields, a.Append(nil)) {
		t.Errorf("the first record is %v, %v: %x", ok, kind, fields)
	}
	kind, fields, end, ok := Next(rest)
	if !ok || kind != 200 || kind.String() != "unknown" || string(fields) != "new" || len(end) != 0 {
		t.Errorf("the second record is %v, %v: %x, and behind it %x", ok, kind, fields, end)
	}
	for n := range rest {
		if _, _, _, ok := Next(rest[:n]); ok {
			t.Errorf("%d bytes of a record of %d are one", n, len(rest))
		}
	}
	if _, _, _, ok := Next(make([]byte, 8)); ok {
		t.Error("a record without a kind is one")
	}
}

// FuzzRead proves that no bytes make a reader fail but with false; that it holds little more memory than the record; and that what it
// reads is written as it came.
func FuzzRead(f *testing.F) {
	for seed := range uint64(3) {
		for _, r := range samples(seed) {
			f.Add(r.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, r := range fresh() {
			ok := r.Read(b)
			for _, n := range lists(reflect.ValueOf(r).Elem()) {
				if n > len(b) {
					t.Errorf("%s: a list of %d elements from %d bytes", name, n, len(b))
				}
			}
			if !ok {
				continue
			}
			if again := r.Append(nil); !bytes.HasPrefix(b, again) || len(again) != r.Size() {
				t.Errorf("%s: %x is written as %x", name, b, again)
			}
		}
		for rest, ok := b, true; ok; {
			_, _, rest, ok = Next(rest)
		}
		new(Header).Read(b)
	})
}

// lists returns the lengths of all lists in a struct.
func lists(v reflect.Value) (n []int) {
	for k := range v.NumField() {
		switch f := v.Field(k); f.Kind() {
		case reflect.Struct:
			n = append(n, lists(f)...)
		case reflect.Slice:
			n = append(n, f.Cap()*int(f.Type().Elem().Size())/4)
		}
	}
	return n
}
