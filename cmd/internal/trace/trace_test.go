package trace

import (
	"reflect"
	"slices"
	"testing"
)

// This file proves what a buffer keeps, and that adding and copying allocate nothing.

// TestWrapAround proves that a buffer holds the records that were added last, oldest first, at every fill.
func TestWrapAround(t *testing.T) {
	f := func(size, added int, want ...uint32) {
		t.Helper()
		b := New(7, size, nil)
		for n := range added {
			r := b.Add()
			r.Event, r.N = Accepted, uint32(n)
			if n == 0 {
				r.To, r.Why = 5, 5 // the next user of its place must not see this
			}
		}
		c := b.Copy(nil)
		var got []uint32
		for k, r := range c.Records {
			got = append(got, r.N)
			if want := (Record{Event: Accepted, N: r.N, By: 7}); r.N > 0 && r != want {
				t.Errorf("record %d is %+v, want %+v", k, r, want)
			}
		}
		if !slices.Equal(got, want) || c.Added != uint64(added) {
			t.Errorf("%d of %d: got %d and %d added, want %d", added, size, got, c.Added, want)
		}
	}
	f(4, 0)
	f(4, 1, 0)
	f(4, 3, 0, 1, 2)
	f(4, 4, 0, 1, 2, 3)
	f(4, 5, 1, 2, 3, 4)
	f(4, 7, 3, 4, 5, 6)
	f(4, 8, 4, 5, 6, 7)
	f(4, 4001, 3997, 3998, 3999, 4000)
	f(1, 3, 2)
}

// TestOff proves that the zero Buffer takes records and keeps none.
func TestOff(t *testing.T) {
	var b Buffer
	b.Add().Event = Accepted
	if r := b.Add(); *r != (Record{}) {
		t.Errorf("the second record is %+v", *r)
	}
	if c := b.Copy(nil); len(c.Records) > 0 || c.Added != 0 || b.Size() != 0 {
		t.Errorf("%+v is kept", c)
	}
}

// TestSize proves that a buffer whose mask would not fit is refused.
func TestSize(t *testing.T) {
	f := func(size int) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("a buffer of %d records", size)
			}
		}()
		New(0, size, nil)
	}
	f(0)
	f(-1)
	f(3)
	f(4095)
}

// TestRecord proves that a record is as large as a cache line and that neither Add nor Copy allocates.
func TestRecord(t *testing.T) {
	if size := reflect.TypeFor[Record]().Size(); size != 64 {
		t.Errorf("a record has %d bytes", size)
	}
	b := New(0, 8, nil)
	into := make([]Record, 0, b.Size())
	if n := testing.AllocsPerRun(100, func() {
		b.Add().Event = Accepted
		into = b.Copy(into).Records
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSince proves that a later copy tells which of its records are new, and how many have been overwritten.
func TestSince(t *testing.T) {
	f := func(before, more, fresh, missed int) {
		t.Helper()
		b := New(0, 4, nil)
		for n := range before + more {
			b.Add().N = uint32(n)
		}
		c := b.Copy(nil)
		got, lost := c.Since(uint64(before))
		if len(got) != fresh || int(lost) != missed || fresh > 0 && int(got[0].N) != before+missed {
			t.Errorf("%d and %d more: got %+v and %d missed, want %d and %d", before, more, got, lost, fresh, missed)
		}
	}
	f(0, 0, 0, 0)
	f(0, 3, 3, 0)
	f(3, 0, 0, 0)
	f(3, 3, 3, 0)
	f(6, 4, 4, 0)
	f(6, 5, 4, 1)
	f(0, 100, 4, 96)
}
