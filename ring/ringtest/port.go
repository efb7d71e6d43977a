package ringtest

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"millrace/ring"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the kernel's side of a ring: its queues, its arena and its receive buffers.

// arenaBase is the address at which rings are told their arena lies. Only the kernel of memory ever looks there.
const arenaBase = 0x10_0000_0000

// port is the kernel's side of one ring. It implements ring.Kernel.
type port struct {
	k       *Kernel
	plan    ring.Plan
	lay     ring.Layout
	ring    *ring.Ring
	door    *door // the ring's own listener
	event   *file
	eventFD int32
	fd      int32
	closed  bool
	mem     ring.Memory

	pending  []*request   // accepted, not complete
	ready    []completion // complete, not yet in the queue
	overflow []completion // found no room in the queue
	choked   bool         // fault: the queue takes nothing for the rest of this Enter
	left     bool         // fault: the last Enter left ready completions

	provided []uint16 // receive buffers the kernel may fill, in order
	owned    []bool   // per buffer: whether the kernel has it
	ringHead uint16   // entries of the buffer ring seen
}

// completion is a CQE and the function to call when it reaches the queue. Those with the same key keep their order.
type completion struct {
	cqe       ring.CQE
	key       uint64
	delivered func() // nil for a message of another ring
}

// Setup implements ring.Kernel.
func (p *port) Setup(plan ring.Plan) (ring.Memory, error) {
	p.lay = plan.Layout()
	p.owned = make([]bool, plan.ReceiveBuffers)
	p.event = &file{kind: fileEvent, port: p}
	p.eventFD = p.k.install(p.event)
	p.fd = p.k.install(&file{kind: fileRing, port: p})
	words := make([]uint32, 5)
	p.mem = ring.Memory{
		Arena:      make([]byte, p.lay.Size+8),
		Base:       arenaBase,
		SQHead:     &words[0],
		SQTail:     &words[1],
		CQHead:     &words[2],
		CQTail:     &words[3],
		CQOverflow: &words[4],
		SQEs:       make([]ring.SQE, plan.Entries),
		CQEs:       make([]ring.CQE, plan.CQEntries),
		WakeFD:     p.eventFD,
	}
	return p.mem, nil
}

// Enter implements ring.Kernel.
func (p *port) Enter(submit, wait uint32, h ring.Hold) (uint32, ring.Errno) {
	p.check(submit, wait, h)
	p.takeBufferRing()
	p.choked = false
	if !p.flushOverflow() && !p.plan.Use[ring.MultishotAccept] {
		return 0, ring.Errno(unix.EBUSY) // as kernels before 5.19 do
	}
	if p.k.chance(p.k.faults.Reset) && len(p.k.live) > 0 {
		p.k.live[p.k.rng.IntN(len(p.k.live))].resetByPeer()
	}
	if submit == 0 && wait > 0 && p.k.chance(p.k.faults.Interrupt) {
		return 0, ring.Errno(unix.EINTR)
	}
	p.hurry()
	for range submit {
		head := atomic.LoadUint32(p.mem.SQHead)
		atomic.StoreUint32(p.mem.SQHead, head+1)
		p.submit(p.mem.SQEs[head&uint32(len(p.mem.SQEs)-1)], p.after(head))
	}
	p.choked = p.k.chance(p.k.faults.Overflow)
	p.progress()
	p.deliver(wait)
	if wait > 0 && atomic.LoadUint32(p.mem.CQTail)-atomic.LoadUint32(p.mem.CQHead) < wait {
		return submit, ring.Errno(unix.ETIME)
	}
	return submit, 0
}

// check proves that the call itself is one that the plan's kernel understands, and that it is sure to return.
func (p *port) check(submit, wait uint32, h ring.Hold) {
	k := p.k
	if p.closed {
		k.violate("enter of a ring that is torn down")
	}
	if queued := atomic.LoadUint32(p.mem.SQTail) - atomic.LoadUint32(p.mem.SQHead); submit > queued {
		k.violate("%d entries submitted of %d", submit, queued)
	}
	if (h.Timeout > 0 && !p.plan.Use[ring.TimedWait]) || (h.MinWait > 0 && !p.plan.Use[ring.MinWait]) {
		k.violate("a wait with an argument that the plan leaves out")
	}
	// Only its own timeout surely ends a wait for several completions. A timer's completion does so when it comes
	// during the wait; a thread that is late finds it in the queue already, and waits for the rest of the number for
	// ever.
	if atOnce := p.atOnce(submit); h.Timeout == 0 && wait > atOnce+1 {
		k.violate("a wait without a timeout for %d completions, of which only %d are sure to come", wait, atOnce)
	}
}

// atOnce returns how many completions are in the queue, or come as soon as the next entries are submitted.
func (p *port) atOnce(submit uint32) uint32 {
	n := atomic.LoadUint32(p.mem.CQTail) - atomic.LoadUint32(p.mem.CQHead)
	head := atomic.LoadUint32(p.mem.SQHead)
	for i := range submit {
		if p.mem.SQEs[(head+i)&uint32(len(p.mem.SQEs)-1)].OpCode == giouring.OpProvideBuffers {
			n++
		}
	}
	return n
}

// after returns the entry behind head, which a link at head would start; nil if there is none.
func (p *port) after(head uint32) *ring.SQE {
	if head+1 == atomic.LoadUint32(p.mem.SQTail) {
		return nil
	}
	return &p.mem.SQEs[(head+1)&uint32(len(p.mem.SQEs)-1)]
}

// finish makes a request's completion ready.
func (p *port) finish(r *request, res int32, flags uint32) {
	p.ready = append(p.ready, completion{
		cqe:       ring.CQE{UserData: r.sqe.UserData, Res: res, Flags: flags},
		key:       r.key,
		delivered: func() { r.delivered(p, flags) },
	})
}

// pieces is how many completions a piecemeal Enter moves, or as many as it waits for.
const pieces = 20

// deliver moves completions into the queue, some of them late or out of order.
func (p *port) deliver(wait uint32) {
	var late []completion
	held := map[uint64]bool{}
	least := max(len(p.ready)-max(pieces, int(wait)), 0)
	if p.left = least > 0 && p.k.chance(p.k.faults.Piecemeal); !p.left {
		least = 0
	}
	for len(p.ready) > least {
		i := 0
		if p.k.chance(p.k.faults.Reorder) {
			key := p.ready[p.k.rng.IntN(len(p.ready))].key
			i = slices.IndexFunc(p.ready, func(c completion) bool { return c.key == key })
		}
		c := p.ready[i]
		p.ready = slices.Delete(p.ready, i, i+1)
		if held[c.key] || p.k.chance(p.k.faults.Delay) {
			held[c.key] = true
			late = append(late, c)
			continue
		}
		p.post(c)
	}
	p.ready = append(late, p.ready...)
}

// Pending implements ring.Kernel.
func (p *port) Pending() bool { return p.left }

func (p *port) post(c completion) {
	if len(p.overflow) > 0 || !p.put(c) {
		p.overflow = append(p.overflow, c)
	}
}

func (p *port) put(c completion) bool {
	tail := atomic.LoadUint32(p.mem.CQTail)
	if p.choked || tail-atomic.LoadUint32(p.mem.CQHead) == uint32(len(p.mem.CQEs)) {
		return false
	}
	p.mem.CQEs[tail&uint32(len(p.mem.CQEs)-1)] = c.cqe
	atomic.StoreUint32(p.mem.CQTail, tail+1)
	if c.delivered != nil {
		c.delivered()
	}
	return true
}

// flushOverflow moves completions that overflowed into the queue and reports whether all of them found room.
func (p *port) flushOverflow() bool {
	for len(p.overflow) > 0 {
		if !p.put(p.overflow[0]) {
			return false
		}
		p.overflow = p.overflow[1:]
	}
	return true
}

// takeBufferRing sees the buffers that were added to the buffer ring since the last look.
func (p *port) takeBufferRing() {
	if !p.plan.Use[ring.BufferRing] {
		return
	}
	entries := p.mem.Arena[p.lay.BufferRing:]
	tail := binary.NativeEndian.Uint16(entries[14:])
	for p.ringHead != tail {
		e := entries[16*(int(p.ringHead)&(p.plan.ReceiveBuffers-1)):]
		p.provide(binary.NativeEndian.Uint64(e), binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint16(e[12:]))
		p.ringHead++
	}
}

// provide takes a buffer back, and scribbles over it so that a late reader notices.
func (p *port) provide(addr uint64, size uint32, bid uint16) {
	want := arenaBase + uint64(p.lay.Receive+int(bid)*p.plan.ReceiveBufferSize)
	if int(bid) >= len(p.owned) || addr != want || int(size) != p.plan.ReceiveBufferSize {
		p.k.violate("buffer %d given back as %d bytes at %#x", bid, size, addr)
		return
	}
	if p.owned[bid] {
		p.k.violate("buffer %d given back twice", bid)
		return
	}
	p.owned[bid] = true
	p.provided = append(p.provided, bid)
	b := p.memory(addr, int(size))
	for i := range b {
		b[i] = 0xdb
	}
}

// memory returns the arena at an address that a request names, or nil.
func (p *port) memory(addr uint64, n int) []byte {
	at := addr - arenaBase
	if n < 0 || at > uint64(len(p.mem.Arena)) || uint64(n) > uint64(len(p.mem.Arena))-at {
		p.k.violate("a request names %d bytes at %#x, outside the arena", n, addr)
		return nil
	}
	return p.mem.Arena[at : at+uint64(n)]
}

// idle reports whether Enter would change nothing.
func (p *port) idle() bool {
	if len(p.ready)+len(p.overflow) > 0 ||
		atomic.LoadUint32(p.mem.CQTail) != atomic.LoadUint32(p.mem.CQHead) ||
		atomic.LoadUint32(p.mem.SQTail) != atomic.LoadUint32(p.mem.SQHead) {
		return false
	}
	return !slices.ContainsFunc(p.pending, func(r *request) bool { return r.late || r.runnable(p) })
}

// Teardown implements ring.Kernel.
func (p *port) Teardown() error {
	unseen := 0
	for _, c := range slices.Concat(p.ready, p.overflow) {
		if c.delivered != nil {
			unseen++
		}
	}
	if n := len(p.pending) + unseen; n > 0 {
		p.k.violate("a ring is torn down with %d requests in flight", n)
	}
	if tail := atomic.LoadUint32(p.mem.CQTail); tail != atomic.LoadUint32(p.mem.CQHead) {
		p.k.violate("a ring is torn down with completions unseen")
	}
	for fd, f := range p.k.fds {
		if f.port == p && f.kind == fileListener { // sockets may be on their way to another ring: see Kernel.Check
			p.k.violate("a ring is torn down with its listener open")
			delete(p.k.fds, fd)
		}
	}
	delete(p.k.fds, p.eventFD)
	delete(p.k.fds, p.fd)
	p.closed = true
	return nil
}
