package queue

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// This file proves a queue against a slice, and how much memory it takes.

// A queue gives back what a slice would, whether it grows or shrinks, and over the ends of pages.
func TestQueueAgainstSlice(t *testing.T) {
	f := func(seed uint64, longest int) {
		t.Helper()
		r := rand.New(rand.NewPCG(seed, 1))
		var q Queue[int]
		var want []int
		growing := true
		for step := range 50_000 {
			if growing = len(want) == 0 || growing && len(want) < longest; r.IntN(4) == 0 != growing || len(want) == 0 {
				q.Push(step)
				want = append(want, step)
			} else {
				if got := q.Front(); got != want[0] {
					t.Fatalf("seed %d, step %d: the oldest is %d, want %d", seed, step, got, want[0])
				}
				if got := q.Pop(); got != want[0] {
					t.Fatalf("seed %d, step %d: got %d, want %d", seed, step, got, want[0])
				}
				want = want[1:]
			}
			if q.Len() != len(want) {
				t.Fatalf("seed %d, step %d: %d values, want %d", seed, step, q.Len(), len(want))
			}
		}
	}
	for seed := range uint64(5) {
		f(seed, 1)
		f(seed, 10)
		f(seed, pageLen)
		f(seed, pageLen+1)
		f(seed, 10*pageLen)
	}
}

// A queue that grows copies nothing: all that it ever allocates is its pages. A slice would allocate four times as much.
func TestQueueGrowsWithoutCopies(t *testing.T) {
	const n = 1 << 20
	var q Queue[[3]uint32]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range uint32(n) {
		q.Push([3]uint32{i})
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(n*12*9/8); got > most {
		t.Errorf("%d values took %d bytes, want at most %d", n, got, most)
	}
	for i := range uint32(n) {
		if v := q.Pop(); v[0] != i {
			t.Fatalf("value %d is %d", i, v[0])
		}
	}
}

// A queue that is not longer than a page allocates nothing once it has been used.
func TestQueueAllocatesNothing(t *testing.T) {
	f := func(n int) {
		t.Helper()
		var q Queue[uint32]
		round := func() {
			for i := range n {
				q.Push(uint32(i))
			}
			for range n {
				q.Pop()
			}
		}
		between := func() {
			q.Push(1)
			q.Pop()
		}
		round()
		if allocs := testing.AllocsPerRun(100, round); allocs != 0 {
			t.Errorf("%d values: %v allocations", n, allocs)
		}
		for range n {
			q.Push(0)
		}
		if allocs := testing.AllocsPerRun(1000, between); allocs != 0 {
			t.Errorf("one of %d values comes and one goes: %v allocations", n, allocs)
		}
	}
	f(1)
	f(pageLen)
	f(2 * pageLen)
}
