package pool

import "testing"

// This file owns the benchmark of the allocator.

// BenchmarkPool measures one piece taken and given back.
func BenchmarkPool(b *testing.B) {
	p := New(make([]byte, 8<<20))
	b.ReportAllocs()
	for b.Loop() {
		p.Put(p.Get(1500))
	}
}
