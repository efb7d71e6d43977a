package deflate

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// This file measures what a message costs, and to what share of its bytes it comes.

// BenchmarkPack compresses offers that look back at the one before, offers that look back at nothing, and short messages behind
// others.
func BenchmarkPack(b *testing.B) {
	f := func(message func(*rand.Rand) string, history bool) func(*testing.B) {
		return func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			r := newRig(1<<16, 1)
			c := r.table.At(0)
			var plain [][]byte
			for range 64 {
				plain = append(plain, frame(message(rng)))
			}
			if history {
				r.Pack(0, c, frame(browserMessage(rng)), false)
			}
			buffer := make([]byte, 0, 2048)
			before, after := 0, 0
			pack := func() int {
				made, _, _ := r.Pack(0, c, buffer, false)
				return len(made)
			}
			b.ReportAllocs()
			for k := 0; b.Loop(); k++ {
				if !history {
					r.Forget(c)
				}
				buffer = append(buffer[:0], plain[k%len(plain)]...)
				before, after = before+len(buffer), after+pack()
			}
			b.ReportMetric(float64(after)/float64(before), "share")
		}
	}
	b.Run("offer with history", f(browserMessage, true))
	b.Run("offer alone", f(browserMessage, false))
	b.Run("reply with history", f(reply, true))
}

// reply returns the reply to an announce.
func reply(rng *rand.Rand) string {
	return fmt.Sprintf(`{"action":"announce","info_hash":"hhhhhhhhhhhhhhhhhhhh","complete":%d,"incomplete":%d,"interval":120}`,
		rng.IntN(100), rng.IntN(30))
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
