package ring

import (
	"fmt"
	"unsafe"

	"millrace/ring/host"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the arena. It is all memory that the kernel reads or writes for connections: one anonymous mapping per
// ring, outside the Go heap, since the kernel uses it while Go code runs and the collector must neither see nor move
// it.

// mapArena maps and locks the arena. Registering it as a fixed buffer pins it already; mlock as well would be charged
// a second time (measured: 8 MB then need a limit of 16), so it is one or the other.
func (k *sysKernel) mapArena(p Plan) error {
	mem, err := mapAnonymous(p.arenaSize())
	if err != nil {
		return fmt.Errorf("cannot map %d bytes for a ring: %w", p.arenaSize(), err)
	}
	k.arena = mem
	if _, unlimited := host.MemlockLimit(); unlimited {
		// Fewer misses of the TLB (measured: 0.96 of the CPU per message). A page that two arenas share would be
		// charged to both, so not where a limit counts. A kernel that has none to give refuses, or leaves it at small
		// ones.
		unix.Madvise(mem, unix.MADV_HUGEPAGE)
	}
	if p.Use[RegisteredBuffers] {
		iov := unix.Iovec{Base: &mem[0]}
		iov.SetLen(len(mem))
		if errno := k.register(giouring.RegisterBuffers, unsafe.Pointer(&iov), 1); errno != 0 {
			return lockError(p, "register", errno)
		}
	} else if err := unix.Mlock(mem); err != nil {
		return lockError(p, "lock", Errno(err.(unix.Errno)))
	}
	if !p.Use[BufferRing] {
		return nil
	}
	at := p.Layout().BufferRing
	reg := giouring.BufReg{
		RingAddr:    uint64(uintptr(unsafe.Pointer(&mem[at]))),
		RingEntries: uint32(p.ReceiveBuffers),
		Bgid:        bufferGroup,
	}
	if errno := k.register(giouring.RegisterPbufRing, unsafe.Pointer(&reg), 1); errno != 0 {
		return fmt.Errorf("cannot register a buffer ring of %d entries: %w", p.ReceiveBuffers, errno)
	}
	return nil
}

// lockError turns the errors by which the kernel says "over the limit" into the sentence about the limit.
// With a limit of 0 mlock says EPERM (can_do_mlock); it becomes ENOMEM, since EPERM reads as a policy that forbids
// io_uring. Kernels that do not charge the queues show it, as those from 5.12 to 6.1 do.
func lockError(p Plan, what string, errno Errno) error {
	if unix.Errno(errno) == unix.EPERM {
		errno = Errno(unix.ENOMEM)
	}
	switch unix.Errno(errno) {
	case unix.ENOMEM, unix.EAGAIN:
		soft, _ := host.MemlockLimit()
		return fmt.Errorf("cannot %s %d bytes of memory for a ring: "+
			"the memlock limit is %d bytes for all rings together (%w); %s",
			what, p.LockedBytes(), soft, errno, memlockRemedy)
	}
	return fmt.Errorf("cannot %s %d bytes of memory for a ring: %w", what, p.arenaSize(), errno)
}

// noRoom reports whether an error of setting a ring up says "over the limit".
func noRoom(err error) bool { return errnoIn(err) == Errno(unix.ENOMEM) }

// mapAnonymous maps zeroed pages outside the Go heap.
func mapAnonymous(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
}
