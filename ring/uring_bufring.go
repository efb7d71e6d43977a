package ring

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"unsafe"
)

// This file owns the receive buffers while no event points into them. They are given to the kernel in one of two ways:
// through a buffer ring (5.19), memory that it reads by itself, or through PROVIDE_BUFFERS requests (5.7).

// bufRingEntry is the size of struct io_uring_buf: addr u64, len u32, bid u16, resv u16. The resv of entry 0 is the
// ring's tail.
const bufRingEntry = 16

// bufRing is the writing side of a buffer ring.
type bufRing struct {
	mem  []byte // entries x bufRingEntry
	word *uint32
	mask uint16
	tail uint16
}

func newBufRing(mem []byte) bufRing {
	return bufRing{
		mem: mem,
		// The kernel loads the tail with acquire semantics. Go has no 16-bit atomic store, so the 32-bit word that
		// holds the tail and the bid of entry 0 is stored; both are only ever written by us.
		word: (*uint32)(unsafe.Pointer(&mem[12])),
		mask: uint16(len(mem)/bufRingEntry - 1),
	}
}

// add puts a buffer behind the tail; the kernel sees it after publish.
func (b *bufRing) add(addr uint64, size int, bid uint16) {
	// The product needs more than 16 bits: entry 4096 begins at byte 65536.
	e := b.mem[int(b.tail&b.mask)*bufRingEntry:]
	binary.NativeEndian.PutUint64(e, addr)
	binary.NativeEndian.PutUint32(e[8:], uint32(size))
	binary.NativeEndian.PutUint16(e[12:], bid)
	b.tail++
}

func (b *bufRing) publish() {
	var w [4]byte
	copy(w[:2], b.mem[12:])
	binary.NativeEndian.PutUint16(w[2:], b.tail)
	atomic.StoreUint32(b.word, binary.NativeEndian.Uint32(w[:]))
}

// giveBack returns the buffers of the last round to the kernel, each exactly once.
func (r *Ring) giveBack() {
	if len(r.lent) == 0 {
		return
	}
	size := r.plan.ReceiveBufferSize
	if r.plan.Use[BufferRing] {
		for _, bid := range r.lent {
			r.ring.add(r.bufferAddr(bid), size, bid)
		}
		r.ring.publish()
		r.lent = r.lent[:0]
		return
	}
	// A request takes a run of neighbouring buffers. The sorted list is cut into runs.
	slices.Sort(r.lent)
	for from := 0; from < len(r.lent); {
		to := from + 1
		for to < len(r.lent) && r.lent[to] == r.lent[to-1]+1 {
			to++
		}
		first, count := r.lent[from], to-from
		e := r.entry(userData(kindProvide, 0, uint32(first)|uint32(count)<<16))
		fillProvide(e, r.bufferAddr(first), size, int(first), count)
		r.provides++
		from = to
	}
	r.lent = r.lent[:0]
}

// onProvide sees to it that buffers which the kernel did not take (ENOMEM) are offered again.
func (r *Ring) onProvide(c CQE) {
	if c.Res >= 0 {
		return
	}
	first, count := uint16(c.UserData), uint16(c.UserData>>16)
	for i := range count {
		r.lent = append(r.lent, first+i)
	}
}

func (r *Ring) bufferAddr(bid uint16) uint64 {
	return r.mem.Base + uint64(r.lay.Receive+int(bid)*r.plan.ReceiveBufferSize)
}

func (r *Ring) buffer(bid uint16, n int) []byte {
	from := r.lay.Receive + int(bid)*r.plan.ReceiveBufferSize
	return r.mem.Arena[from : from+n : from+n]
}
