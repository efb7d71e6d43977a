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
