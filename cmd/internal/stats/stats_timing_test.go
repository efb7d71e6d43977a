package stats

// This file measures what a scrape and a total cost for each figure.

import "testing"

func BenchmarkAdd(b *testing.B) {
	var sum, one whole
	for b.Loop() {
		Add(&sum, &one)
	}
}

func BenchmarkWalk(b *testing.B) {
	list, err := New[whole](wholeTables)
	if err != nil {
		b.Fatal(err)
	}
	all := []*whole{{}}
	sum := 0.0
	for b.Loop() {
		list.Walk(all, func(_ *Family, _ *Series, _ int, value float64) { sum += value })
	}
}
