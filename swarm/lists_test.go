package swarm

// This file proves that lists hold the same as slices, and that their pool loses and leaks no memory.

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Lists of all lengths, up to a directory of several blocks, hold the same as slices, share no memory, and
// give every block back.
func TestListsAgainstSlices(t *testing.T) {
	var p pool
	random := rand.New(rand.NewPCG(1, 1))
	limits := []uint32{1, 3, 9, 40, 300, 4200, 20_000}
	lists := make([]list, len(limits)*3)
	want := make([][]uint32, len(lists))
	for step := range 400_000 {
		i := random.IntN(len(lists))
		l := &lists[i]
		// A list grows and shrinks over its whole range in turns, with steps back at every length.
		growing := step/130_000%2 == 0
		burst := 1 + int(limits[i%len(limits)])/2000
		for range burst {
			switch grow := random.IntN(4) > 0 == growing; {
			case grow && l.n < limits[i%len(limits)]:
				v := random.Uint32()
				p.push(l, v)
				want[i] = append(want[i], v)
			case !grow && l.n > 0:
				p.pop(l)
				want[i] = want[i][:l.n]
			}
			if l.n > 0 {
				k, v := random.Uint32N(l.n), random.Uint32()
				*p.entry(l, k) = v
				want[i][k] = v
			}
		}
		if step%10_000 == 0 {
			compareLists(t, &p, lists, want)
		}
	}
	compareLists(t, &p, lists, want)
	for i := range lists {
		for lists[i].n > 0 {
			p.pop(&lists[i])
		}
	}
	for i, info := range p.infos {
		if info.used != 0 {
			t.Fatalf("page %d still has %d blocks in use", i, info.used)
		}
	}
	if p.open != [blockSizes]uint32{} {
		t.Fatalf("an empty pool has open pages: %v", p.open)
	}
}

func compareLists(t *testing.T, p *pool, lists []list, want [][]uint32) {
	t.Helper()
	for i := range lists {
		var got []uint32
		for k := range lists[i].n {
			got = append(got, *p.entry(&lists[i], k))
		}
		if !slices.Equal(got, want[i]) {
			t.Fatalf("list %d of %d entries differs", i, lists[i].n)
		}
	}
}

// Block sizes rise, have at most a quarter to spare, and their indexes are dense.
func TestBlockSizes(t *testing.T) {
	last := -1
	for n := uint32(2); n <= poolPageLen; n++ {
		size, index := blockSize(n)
		if size < n || size > n+n/4 || index < last || index > last+1 {
			t.Fatalf("block of %d entries: %d, index %d after %d", n, size, index, last)
		}
		if s, i := blockSize(size); s != size || i != index {
			t.Fatalf("block of %d entries has size %d, but that has size %d", n, size, s)
		}
		last = index
	}
	if last != blockSizes-1 {
		t.Fatalf("the last index is %d, want %d", last, blockSizes-1)
	}
}

// Many lists that grow in step leave no memory behind in the sizes that they have outgrown.
func TestPoolReusesOutgrownPages(t *testing.T) {
	const count, length = 20_000, 10
	var p pool
	lists := make([]list, count)
	for range length {
		for i := range lists {
			p.push(&lists[i], 1)
		}
	}
	if got, most := p.bytes(), count*length*4*21/10; got > most {
		t.Fatalf("%d lists of %d take %d bytes, want at most %d", count, length, got, most)
	}
}
