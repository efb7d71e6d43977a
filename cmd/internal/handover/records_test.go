package handover

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// This file proves that records are read as they were written, by this version and by its neighbours.

// empty returns an empty record of each kind that has fields.
func empty() map[string]record {
	return map[string]record{
		"hello": &Hello{}, "listener": &Listener{}, "state": &State{}, "connection": &Connection{}, "end": &End{}, "address": &Address{},
		"peer": &Peer{}, "failed": &Failed{}, "mine": &Mine{},
	}
}

// fillValue gives every field of a struct a value, from rng.
func fillValue(v reflect.Value, rng *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for k := range v.NumField() {
			fillValue(v.Field(k), rng)
		}
	case reflect.Array:
		for k := range v.Len() {
			fillValue(v.Index(k), rng)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+rng.IntN(20), 20))
		for k := range v.Len() {
			fillValue(v.Index(k), rng)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Int64:
		v.SetInt(rng.Int64())
	default:
		v.SetUint(rng.Uint64()>>1&(1<<(v.Type().Bits()-1)-1) | 1)
	}
}

// TestRecords proves that every field of every record comes through; that a record of an older version, which ends before a field, has
// zeros there; that one of a newer version, which has more, is read; and that one that ends within a field is refused.
func TestRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, r := range empty() {
		fillValue(reflect.ValueOf(r).Elem(), rng)
		b := Append(nil, r)
		f := func(b []byte, same bool) error {
			t.Helper()
			got := reflect.New(reflect.TypeOf(r).Elem()).Interface().(record)
			err := Read(b, got)
			if err == nil && same != reflect.DeepEqual(got, r) {
				t.Errorf("%s: %+v is read as %+v", name, r, got)
			}
			return err
		}
		if err := f(b, true); err != nil {
			t.Error(err)
		}
		if err := f(append(bytes.Clone(b), "more"...), true); err != nil {
			t.Error(err)
		}
		read, refused := 0, 0
		for n := range b {
			if f(b[:n], false) == nil {
				read++
			} else {
				refused++
			}
		}
		if read == 0 || len(b) > 16 && refused == 0 {
			t.Errorf("%s: %d beginnings are read, %d refused", name, read, refused)
		}
	}
}

// TestSamples proves that records as they were written when Version was set are read today, and are written so. A sample that fails
// must not be replaced: then Version has to change.
func TestSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"hello", "listener", "state", "connection", "end", "failed", "address", "peer", "mine"} {
		r := empty()[name]
		fillValue(reflect.ValueOf(r).Elem(), rng)
		file := filepath.Join("testdata", "version1-"+name+".hex")
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(Append(nil, r))+"\n"), 0o644); err != nil {
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
		got := empty()[name]
		if err := Read(old, got); err != nil {
			t.Fatal(err)
		}
		if b := Append(nil, got); !bytes.HasPrefix(b, old) {
			t.Errorf("%s is written as %x", file, b)
		}
	}
}

// TestNothingStaysBehind proves that a record which outgrows its memory, in which there may be keys, leaves nothing there, while it is written
// and while it comes in pieces; and that peers are written without garbage.
func TestNothingStaysBehind(t *testing.T) {
	state := &State{Owner: [16]byte{1}, Source: [32]byte{1}, Tickets: bytes.Repeat([]byte{1}, 5000), Done: 1}
	for n := range 300 {
		memory := bytes.Repeat([]byte{1}, 16*n)
		if b := Append(memory[:n], state); len(memory) < len(b) && bytes.IndexByte(memory, 1) >= 0 {
			t.Fatalf("%d bytes of memory are not clear", len(memory))
		}
	}
	a, b := links(t)
	go func() {
		a.Send(KindConnection, &Connection{TLS: bytes.Repeat([]byte{1}, 7*maxMessage)}, -1)
		a.Send(KindMine, nil, -1)
	}()
	b.whole = bytes.Repeat([]byte{1}, 2*maxMessage)
	before := b.whole
	r, err := b.Receive()
	if err != nil || len(r.Fields) < 7*maxMessage || bytes.IndexByte(before, 1) >= 0 {
		t.Fatalf("%d bytes, %v, or the memory before is not clear", len(r.Fields), err)
	}
	if _, err := b.Want(KindMine, nil); err != nil || bytes.IndexByte(r.Fields, 1) >= 0 {
		t.Errorf("%v, or a record that was read is not clear", err)
	}
	list, p := make([]byte, 0, 1000), &Peer{Offers: make([]Offer, 3)}
	if n := testing.AllocsPerRun(100, func() { list = AppendPeer(list[:0], p) }); n > 0 {
		t.Errorf("a peer is written with %v allocations", n)
	}
}

// FuzzRead proves that no bytes make a reader fail but with an error.
func FuzzRead(f *testing.F) {
	f.Add(Append(nil, &Connection{Unread: []byte("unread")}))
	f.Add(Append(nil, &State{Program: "1"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range empty() {
			if Read(b, r) == nil {
				Append(nil, r)
			}
		}
	})
}
