package main

// This file tests the wait for a process that has its memory.

import (
	"slices"
	"testing"
)

// TestSettled proves that the wait lasts until a process no longer grows, and that it ends for a process that never
// rests.
func TestSettled(t *testing.T) {
	f := func(want int, readings ...string) {
		t.Helper()
		k := 0
		n := settled(func() string {
			k++
			return readings[min(k, len(readings))-1]
		})
		if n != want {
			t.Errorf("%q: %d readings, want %d", readings, n, want)
		}
	}
	f(equalReadings, "7")
	f(3+equalReadings, "1", "2", "3", "7")
	f(4+equalReadings, "1", "1", "1", "1", "7")
	f(equalReadings, "")
	f(mostReadings, slices.Repeat([]string{"1", "2"}, mostReadings)...)
}
