// Package pool is an allocator of pieces of one block of memory that lies outside the Go heap: frames on their way out,
// messages that are not yet whole. It owns the bookkeeping; the memory is the caller's ([New]) or its own ([Map]).
package pool

import (
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"
)

// Buf names a piece of a Pool. Zero is none.
type Buf uint32

// Granule is the size of the smallest piece, in bytes.
const Granule = 1 << granuleShift

const (
	granuleShift = 9

	// The first granule of a piece carries its order (the log2 of its granules) and whether it is handed out; every
	// other granule carries inside.
	used   = 0x80
	inside = 0x7f
	orders = 24 // pieces of up to 512 B << 23 = 4 GiB
	none   = ^uint32(0)
)

// Pool hands out pieces of one block of memory. The size of each is a power of two and at least [Granule]. It is a
// buddy allocator whose bookkeeping lies beside the memory, in arrays without pointers; Get and Put take O(log size)
// steps and never allocate. It is used by one goroutine.
type Pool struct {
	mem    []byte
	state  []uint8  // per granule
	next   []uint32 // per granule: free list of its order
	prev   []uint32
	free   [orders]uint32 // heads of the free lists
	inUse  int
	size   int
	top    int // largest order there is
	mapped bool
}

// New makes a pool over mem, which stays the caller's. Only a multiple of [Granule] bytes of it is used.
func New(mem []byte) *Pool {
	granules := len(mem) >> granuleShift
	p := &Pool{
		mem:   mem,
		state: make([]uint8, granules),
		next:  make([]uint32, granules),
		prev:  make([]uint32, granules),
		size:  granules << granuleShift,
	}
	for i := range p.state {
		p.state[i] = inside
	}
	for i := range p.free {
		p.free[i] = none
	}
	// The memory is cut into the largest pieces that are aligned to their own size, so that any size of memory works.
	for at := 0; at < granules; {
		order := bits.Len(uint(granules-at)) - 1
		if at > 0 {
			order = min(order, bits.TrailingZeros(uint(at)))
		}
		order = min(order, orders-1)
		p.push(uint32(at), order)
		p.top = max(p.top, order)
		at += 1 << order
	}
	return p
}

// Map makes a pool over size bytes of private anonymous memory outside the Go heap. The memory is not locked, and it
// takes physical pages only where it is touched. Unmap gives it back. It is an error if size is less than [Granule] or
// the system has no such memory.
func Map(size int) (*Pool, error) {
	if size < Granule {
		return nil, fmt.Errorf("cannot map a pool of %d bytes: the least is %d", size, Granule)
	}
	mem, err := Reserve(size)
	if err != nil {
		return nil, err
	}
	p := New(mem)
	p.mapped = true
	return p, nil
}

// Unmap gives the memory of Map back to the system; every piece becomes invalid. On other pools it does nothing.
func (p *Pool) Unmap() error {
	if !p.mapped {
		return nil
	}
	mem := p.mem
	*p = *New(nil)
	return Release(mem)
}

// Reserve returns size bytes of private anonymous memory outside the Go heap, which takes physical pages only where it is
// touched. Release gives it back.
func Reserve(size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("cannot reserve %d bytes: %w", size, err)
	}
	return mem, nil
}

// Release gives memory of Reserve back to the system.
func Release(mem []byte) error {
	if len(mem) == 0 {
		return nil
	}
	return unix.Munmap(mem)
}

// Get hands out a piece of at least n bytes, or 0 when no such piece is free. It still holds the bytes of its last
// user.
func (p *Pool) Get(n int) Buf {
	if n > p.size {
		return 0
	}
	want := orderFor(n)
	order := want
	for order <= p.top && p.free[order] == none {
		order++
	}
	if order > p.top {
		return 0
	}
	at := p.free[order]
	p.remove(at, order)
	for order > want {
		order--
		p.push(at+1<<order, order)
	}
	p.state[at] = used | uint8(want)
	p.inUse += Granule << want
	return Buf(at + 1)
}

// Bytes returns the whole piece, which may be larger than was asked for. The bytes belong to the caller until Put.
func (p *Pool) Bytes(b Buf) []byte {
	at, order := p.find(b)
	from := int(at) << granuleShift
	to := from + Granule<<order
	return p.mem[from:to:to]
}

// Put takes a piece back and joins it with its free neighbours.
func (p *Pool) Put(b Buf) {
	at, order := p.find(b)
	p.inUse -= Granule << order
	p.state[at] = inside
	for order < p.top {
		buddy := at ^ 1<<order
		if int(buddy) >= len(p.state) || p.state[buddy] != uint8(order) {
			break
		}
		p.remove(buddy, order)
		at = min(at, buddy)
		order++
	}
	p.push(at, order)
}

// InUse returns the bytes handed out, in whole pieces.
func (p *Pool) InUse() int { return p.inUse }

// Size returns the bytes the pool manages.
func (p *Pool) Size() int { return p.size }

// Largest returns the size of the largest piece that Get can hand out now; 0 when the pool is exhausted.
func (p *Pool) Largest() int {
	for order := p.top; order >= 0; order-- {
		if p.free[order] != none {
			return Granule << order
		}
	}
	return 0
}

func orderFor(n int) int {
	if n <= Granule {
		return 0
	}
	return bits.Len(uint(n-1) >> granuleShift)
}

func (p *Pool) find(b Buf) (at uint32, order int) {
	at = uint32(b) - 1
	if b == 0 || int(at) >= len(p.state) || p.state[at]&used == 0 {
		panic("BUG: pool: a piece is used that is not handed out")
	}
	return at, int(p.state[at] &^ used)
}

func (p *Pool) push(at uint32, order int) {
	head := p.free[order]
	p.state[at] = uint8(order)
	p.next[at], p.prev[at] = head, none
	if head != none {
		p.prev[head] = at
	}
	p.free[order] = at
}

func (p *Pool) remove(at uint32, order int) {
	next, prev := p.next[at], p.prev[at]
	if prev == none {
		p.free[order] = next
	} else {
		p.next[prev] = next
	}
	if next != none {
		p.prev[next] = prev
	}
	p.state[at] = inside
}
