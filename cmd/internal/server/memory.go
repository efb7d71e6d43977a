package server

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// This file owns the looks at the memory of the process, and the settings of the garbage collector. A tracker at work
// makes no garbage and keeps its data in large tables. TLS handshakes are the exception: each leaves about 75 KB. During a
// storm of them the collector must not run all the time, and afterwards their garbage must not stay.
//
// The goroutine whose allocation meets the collector's trigger starts it, which takes 0.1 to 0.3 ms. While tables grow that
// would be a loop in a turn. So the collector is started here a little before.

// headroom is the size of a block that is never touched, so that the kernel gives no memory for it. The collector
// counts it: the heap of a small tracker may grow by more than this before the collector runs, and that of a large one
// by hardly more than without. A percentage (GOGC) with the first effect would let the heap of a large tracker grow by
// gigabytes. Less of it leaves less garbage behind a storm of handshakes (bench/results/tried.md).
const headroom = 4 << 20

// The memory is looked at every lookPeriod, which is the time after which a storm is over. Where next to nothing is
// allocated and there is plenty of memory, looks are rare: an idle process sleeps.
const (
	lookPeriod = time.Second
	idlePeriod = 3 * time.Second
	idleBytes  = 64 << 10 // allocated between two looks: less than one handshake
)

// watchMemory looks at the memory until the server is over.
func (s *Server) watchMemory() {
	defer s.memory.close()
	heap, looks := newHeap(), time.NewTimer(0)
	defer looks.Stop()
	for {
		select {
		case <-s.over:
			return
		case <-looks.C:
			// The collector waits for every loop, and everything for the collector: it is not started while a loop stands still.
			if s.longestSilence() >= freshBeat {
				looks.Reset(lookPeriod)
				continue
			}
			looks.Reset(min(s.memory.look(), heap.tend()))
		}
	}
}

// leastGarbage is the least number of allocated bytes for which memory is given back: about 60 handshakes.
const leastGarbage = 4 << 20

// calm is the share of the garbage that the last look may have brought for a storm to be over.
const calm = 32

// early is the part of the room between the heap that is in use and the collector's goal after which the collector is
// started: half of it. The runtime does so after seven tenths at the earliest.
const early = 2

// heap starts the collector beside the loops, and gives the memory of garbage back to the kernel. The runtime collects it
// only when as much has been allocated again, which after a storm of handshakes is never.
type heap struct {
	samples  [4]metrics.Sample
	room     []byte
	returned uint64 // bytes allocated from the start of the process up to the last time that memory was given back
	before   uint64 // and up to the last call of due
	recent   uint64 // bytes allocated between the last two calls of due
}

func newHeap() *heap {
	h := &heap{room: make([]byte, headroom)}
	h.samples[0].Name = "/gc/heap/allocs:bytes"
	h.samples[1].Name = "/gc/heap/live:bytes"
	h.samples[2].Name = "/gc/heap/goal:bytes"
	h.samples[3].Name = "/memory/classes/heap/objects:bytes"
	return h
}

// tend gives memory back when it is time, or starts the collector when it soon would start by itself, and returns the time
// until the next call. The collector runs beside the loops.
func (h *heap) tend() (next time.Duration) {
	metrics.Read(h.samples[:])
	live := h.samples[1].Value.Uint64()
	switch {
	case h.due(h.samples[0].Value.Uint64(), live):
		debug.FreeOSMemory()
	case soon(live, h.samples[2].Value.Uint64(), h.samples[3].Value.Uint64()):
		runtime.GC()
	}
	return h.next()
}

func (h *heap) next() time.Duration {
	if h.recent < idleBytes {
		return idlePeriod
	}
	return lookPeriod
}

// soon reports whether a heap is about to meet the collector's trigger: live bytes were in use after the last collection,
// objects are there now, and there should not be more than goal.
func soon(live, goal, objects uint64) bool {
	return live > 0 && goal > live && objects > live+(goal-live)/early
}

// due reports whether it is time, by the bytes allocated since the start of the process and those in use. There must be
// enough garbage, more with a large heap. And most of it must be older than the last call: then a storm is over, and
// with an even rate of handshakes it is time now and then.
func (h *heap) due(allocated, live uint64) bool {
	garbage := allocated - h.returned
	h.recent, h.before = allocated-h.before, allocated
	if garbage < max(leastGarbage, live/8) || h.recent > garbage/calm {
		return false
	}
	h.returned = allocated
	return true
}
