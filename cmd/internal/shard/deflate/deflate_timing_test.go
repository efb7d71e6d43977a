package deflate

import (
	"math/rand/v2"
	"testing"
)

// This file measures what a message costs, and to what share of its bytes it comes.

// BenchmarkPack compresses offers that look back at the one before, offers that look back at nothing, and short messages behind
// others.
func BenchmarkPack(b *testing.B) {
	f := func(n int, history bool) func(*testing.B) {
		return func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			r := newRig(1<<16, 1)
			c := r.table.At(0)
			var plain [][]byte
			for range 64 {
				plain = append(plain, frame(offer(rng, n)))
			}
			if history {
				r.Pack(0, c, frame(offer(rng, 1100)), false)
			}
			buffer := make([]byte, len(plain[0]))
			before, after := 0, 0
			b.ReportAllocs()
			for k := 0; b.Loop(); k++ {
				if !history {
					r.Forget(c)
				}
				copy(buffer, plain[k%len(plain)])
				before, after = before+len(buffer), after+len(r.Pack(0, c, buffer, false))
			}
			b.ReportMetric(float64(after)/float64(before), "share")
		}
	}
	b.Run("offer with history", f(1100, true))
	b.Run("offer alone", f(1100, false))
	b.Run("reply with history", f(140, true))
}

// BenchmarkExpand expands an announce with five offers.
func BenchmarkExpand(b *testing.B) {
	var x Expander
	packed := pack(b, offer(rand.New(rand.NewPCG(1, 2)), 5500), 6)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Expand(packed, 1<<17); err != nil {
			b.Fatal(err)
		}
	}
}
