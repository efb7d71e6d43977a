package floor

// This file measures the cost of a turn of the floor server without the kernel.

import (
	"testing"

	"millrace/ring"
)

// BenchmarkTurn measures the cost of the floor server itself, without the kernel: one announce with 10 offers of 1.3 kB
// in a swarm of 40, and the 10 answers to as many offers, in a turn each. The frames are made again for each round,
// since they are unmasked in place; the copy is in the figure.
func BenchmarkTurn(b *testing.B) {
	const peers = 40
	w := newWorld(b, peers, Fault{})
	for i := range uint32(peers) {
		w.connect(i)
		w.turn(received(i, announce(i, 0, "started", 0, 0)))
	}
	frame := announce(0, 0, "", 10, 1300)
	back := answer(1, 0, 0, 0, sdpOf(1, 0, 1300))
	run := func(name string, frame []byte, from uint32, count int) {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, len(frame))
			events := make([]ring.Event, count)
			var ops []ring.Op
			var sent []ring.Event
			b.SetBytes(int64(len(frame) * count))
			b.ReportAllocs()
			for b.Loop() {
				for k := range events {
					copy(buf, frame)
					events[k] = received(from, buf)
					ops = w.f.Turn(events[k:k+1], ops[:0])
				}
				for len(ops) > 0 {
					sent = sent[:0]
					for _, op := range ops {
						sent = append(sent, ring.Event{Kind: ring.EventSent, Slot: op.Slot, N: uint32(len(op.Data))})
					}
					ops = w.f.Turn(sent, ops[:0])
				}
			}
		})
	}
	run("announce", frame, 0, 1)
	run("answer", back, 1, 1)
}
