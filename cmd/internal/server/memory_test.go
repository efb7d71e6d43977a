package server

import "testing"

// This file proves when memory is given back to the kernel, and when the collector is started.

// Memory is given back once after a storm and now and then in an even load, but not for a little garbage; with many
// connections more garbage counts as little.
func TestHeapDue(t *testing.T) {
	f := func(name string, live uint64, allocated, want []int) {
		t.Helper()
		h := heap{}
		var sum uint64
		next := 0
		for i, n := range allocated {
			sum += uint64(n) << 20
			wanted := next < len(want) && want[next] == i
			if wanted {
				next++
			}
			if got := h.due(sum, live<<20); got != wanted {
				t.Errorf("%s: look %d: %v, want %v", name, i, got, wanted)
			}
		}
	}
	even := func(n, looks int) (all []int) {
		for range looks {
			all = append(all, n)
		}
		return all
	}
	f("a start", 4, []int{3, 0, 0, 0}, nil)
	f("a storm", 4, []int{0, 100, 50, 0, 0, 0}, []int{3})
	f("a storm that ends slowly", 4, []int{100, 80, 30, 10, 6, 0}, []int{4})
	f("an even load", 4, even(10, 70), []int{31, 63})
	f("little in many looks", 4, even(1, 70), []int{31, 63})
	f("little for so many connections", 400, []int{20, 0, 0, 20, 0, 0, 20, 0, 0}, []int{7})
}

// The collector is started when half of the room to its goal is used, but not before the first collection, which says how
// much is in use, nor when the goal leaves no room: then it would run at every look.
func TestHeapSoon(t *testing.T) {
	f := func(live, goal, objects uint64, want bool) {
		t.Helper()
		if got := soon(live, goal, objects); got != want {
			t.Errorf("%d of %d, %d after the last collection: %v, want %v", objects, goal, live, got, want)
		}
	}
	f(100, 200, 100, false)
	f(100, 200, 150, false)
	f(100, 200, 151, true)
	f(100, 200, 250, true)
	f(0, 4, 4, false)
	f(100, 100, 120, false)
	f(100, 90, 120, false)
	f(100, 90, 80, false)
}
