package ring

import (
	"net/netip"
	"time"

	"millrace/ring/internal/sockaddr"

	"github.com/pawelgaczynski/giouring"
)

// This file owns the contract between a ring and its kernel: the calls, and the memory that both use.

// SQE is a submission queue entry (struct io_uring_sqe, 64 bytes).
type SQE = giouring.SubmissionQueueEntry

// CQE is a completion queue entry (struct io_uring_cqe, 16 bytes).
type CQE = giouring.CompletionQueueEvent

// Kernel is all that a Ring asks of the operating system. The real one is behind Open; ringtest has one of plain
// memory. A Kernel serves one ring, and but for Notify it is called by the ring's thread only.
type Kernel interface {
	// Setup makes the ring of the plan: its queues, and the arena of p.Layout, locked, registered as fixed buffer 0
	// and with its buffer ring registered as group 0 where the plan says so.
	Setup(p Plan) (Memory, error)

	// Enter is io_uring_enter(2): it submits entries, flushes completions that overflowed and, with wait > 0, blocks
	// until so many completions are there. A kernel that cannot block answers ETIME instead.
	Enter(submit, wait uint32, h Hold) (submitted uint32, e Errno)

	// Pending reports whether the kernel has work or completions that only another Enter brings. It may say no.
	Pending() bool

	// Socket makes a TCP socket for a connection to remote, bound to local where that is valid.
	Socket(local, remote netip.AddrPort) (fd int32, e Errno)

	// PeerName is getpeername(2).
	PeerName(fd int32) (netip.AddrPort, Errno)

	// Shutdown is shutdown(2). On a listening socket it ends the waiting accepts.
	Shutdown(fd int32, how int) Errno

	// Reset ends a connection at once: its peer gets a reset and every request on it completes.
	Reset(fd int32) Errno

	// CloseFD is close(2).
	CloseFD(fd int32)

	// Notify adds 1 to the eventfd Memory.WakeFD. It may be called from any thread until Teardown.
	Notify()

	// RingFD is the descriptor that MSG_RING requests of other rings name.
	RingFD() int32

	// Teardown closes the ring and unmaps its memory. No request may be in flight.
	Teardown() error
}

// Hold says how long Enter may block.
type Hold struct {
	Timeout time.Duration // end of the wait (IORING_ENTER_EXT_ARG, 5.11); 0: none
	MinWait time.Duration // how long to insist on the whole number of completions (min_wait_usec, 6.12); 0: for ever
	GiveUpP bool          // tell the Go runtime that the thread sleeps
	Park    bool          // sleep in the Go runtime itself, without Timeout and MinWait
}

// Memory is shared by a ring and its kernel.
type Memory struct {
	Arena      []byte
	Base       uint64 // the address of Arena[0], as requests name it
	SQHead     *uint32
	SQTail     *uint32
	CQHead     *uint32
	CQTail     *uint32
	CQOverflow *uint32
	SQEs       []SQE // power of two; entry i of the queue is SQEs[i & mask]
	CQEs       []CQE
	WakeFD     int32
}

// Layout says where things lie in the arena, in bytes from its start. It begins with one page of control words that the
// kernel reads or writes: timer periods, the count read from the eventfd.
type Layout struct {
	Tick       int // struct __kernel_timespec of the housekeeping timer
	WakeCount  int // 8 bytes, target of the eventfd's READ
	Receive    int // ReceiveBuffers x ReceiveBufferSize
	Send       int // SendMemory
	BufferRing int // ReceiveBuffers x 16 bytes, page aligned; only with Use[BufferRing]
	Names      int // Entries x sockaddr.Size bytes, the addresses that CONNECT requests name; only with Outgoing
	Size       int
}

// Layout returns the layout of the plan's arena.
func (p Plan) Layout() Layout {
	l := Layout{Tick: 0, WakeCount: 16, Receive: pageSize}
	l.Send = int(pages(uint64(l.Receive + p.ReceiveBuffers*p.ReceiveBufferSize)))
	l.BufferRing = int(pages(uint64(l.Send + p.SendMemory)))
	l.Size = l.BufferRing
	if p.Use[BufferRing] {
		l.Size += int(pages(uint64(p.ReceiveBuffers * bufRingEntry)))
	}
	l.Names = l.Size
	if p.Outgoing {
		l.Size += int(pages(uint64(int(p.Entries) * sockaddr.Size)))
	}
	return l
}

func (p Plan) arenaSize() int { return p.Layout().Size }
