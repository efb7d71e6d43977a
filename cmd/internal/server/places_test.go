package server

import (
	"os"
	"testing"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
)

// This file proves that no inherited connection is lost while a shard has a place for it.

// TestPlaces proves that a connection goes to its home while that has a place and less than its share, else to the shard with fewest; that
// every place is taken in the end; and that a place which is given back is there for another one.
func TestPlaces(t *testing.T) {
	var p places
	p.start(3, 4)
	f := func(home, share, want int) {
		t.Helper()
		if k, ok := p.take(home, share); ok != (want >= 0) || ok && k != want {
			t.Errorf("shard %d, %v, want %d: %v", k, ok, want, p.counts)
		}
	}
	for range 3 {
		f(1, 3, 1)
	}
	f(1, 3, 0)
	f(1, 100, 1)
	for _, want := range []int{2, 0, 2, 0, 2, 0, 2} { // the home is full
		f(1, 100, want)
	}
	f(1, 100, -1)
	f(-1, 100, -1)
	p.decided(2, shard.Inherited{Err: os.ErrInvalid})
	f(1, 100, 2)
	f(1, 100, -1)
}

// TestRefusedPlaces proves that a connection for which a shard has no memory is offered to each other one that has a place, once, and that
// one which no shard can take in is not.
func TestRefusedPlaces(t *testing.T) {
	var p places
	p.start(4, 1)
	p.take(1, 1)
	p.take(2, 1)
	r := refused{Inherited: shard.Inherited{Old: handover.Name{Index: 1}, Err: os.ErrInvalid, Elsewhere: true}, by: 2}
	for _, want := range []int{3, 0} {
		p.decided(r.by, r.Inherited)
		k, ok := p.next(&p.takeRefused()[0])
		if !ok || k != want {
			t.Fatalf("it is offered to %d, %v, want %d", k, ok, want)
		}
		r.by = k
	}
	p.decided(r.by, r.Inherited)
	if k, ok := p.next(&p.takeRefused()[0]); ok {
		t.Errorf("all have refused it, and it is offered to %d", k)
	}
	r.Old.Index, r.Elsewhere = 2, false
	if k, ok := p.next(&r); ok {
		t.Errorf("nobody can take it in, and it is offered to %d", k)
	}
}
