package server

import (
	"runtime/debug"
	"runtime/metrics"
)

// This file keeps the garbage collector's part small. A tracker at work makes no garbage, and what it needs lies in large
// tables. The exception are TLS handshakes: each leaves about 75 KB. While they come the collector must not run all the
// time, and when they have come their garbage must not stay.

// headroom is a block of memory that is never touched and so is not there for the kernel. The collector counts it: with it
// the heap of a small tracker may grow by more than that before the collector runs, and that of a large one by hardly more
// than without. A percentage (GOGC) that did the first would let the second grow by gigabytes.
const headroom = 16 << 20

// leastGarbage is how much must have been allocated before it is worth giving memory back: about 60 handshakes.
const leastGarbage = 4 << 20

// heap gives the memory of garbage back to the kernel. The runtime collects it only when as much has been allocated
// again, which after a storm of handshakes is never.
type heap struct {
	samples  [2]metrics.Sample
	room     []byte
	returned uint64 // bytes allocated since the start of the process when memory was given back last
	before   uint64 // and when this was looked at last
}

func newHeap() *heap {
	h := &heap{room: make([]byte, headroom)}
	h.samples[0].Name = "/gc/heap/allocs:bytes"
	h.samples[1].Name = "/gc/heap/live:bytes"
	return h
}

// tend gives memory back where it is time. It is to be called every few seconds. It runs the collector, beside the loops.
func (h *heap) tend() {
	metrics.Read(h.samples[:])
	if h.due(h.samples[0].Value.Uint64(), h.samples[1].Value.Uint64()) {
		debug.FreeOSMemory()
	}
}

// due decides that, of the bytes that have been allocated since the start and those that live: there has to be garbage
// worth it, which with many connections is more, and most of it must not be of these last seconds: a storm is to be over,
// and where handshakes come evenly it is due now and then.
func (h *heap) due(allocated, live uint64) bool {
	garbage, recent := allocated-h.returned, allocated-h.before
	h.before = allocated
	if garbage < max(leastGarbage, live/8) || recent > garbage/8 {
		return false
	}
	h.returned = allocated
	return true
}
