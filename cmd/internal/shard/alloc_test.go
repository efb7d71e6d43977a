package shard

import (
	"encoding/json"
	"testing"
)

// In the steady state a Step allocates nothing: an announce with ten offers, their relay, and the sends' completions.
func TestStepDoesNotAllocate(t *testing.T) {
	step := announceStep(t)
	for range 1000 { // tables and slices reach their size
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations in a Step with one announce", n)
	}
}

// clientText returns the frame of a text message with the JSON of v.
func clientText(tb testing.TB, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return clientFrame(0x81, string(b))
}
