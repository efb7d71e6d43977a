package ring

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"millrace/ring/internal/sockaddr"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the real kernel: the system calls of a ring.

// sysKernel is the real Kernel: Linux.
type sysKernel struct {
	fd         int // of the ring, -1 before Setup
	enterFD    uintptr
	enterFlags uintptr
	rings      []byte // both queues (IORING_FEAT_SINGLE_MMAP, 5.4)
	entries    []byte // the submission entries
	arena      []byte
	wakeFD     int
	tries      int        // of Setup
	features   uint32     // IORING_FEAT_*
	args       *enterArgs // one page outside the Go heap
	argsPage   []byte
	idle       parking
	cqHead     *uint32 // of Memory
	cqTail     *uint32
	sqFlags    *uint32 // IORING_SQ_*
}

// enterArgs is read and written by system calls, by its address. It lies outside the Go heap, where nothing moves.
type enterArgs struct {
	arg     getEventsArg
	ts      [2]int64
	name    unix.RawSockaddrAny
	nameLen uint32
}

// getEventsArg is struct io_uring_getevents_arg. Before 6.12 the kernel insists that minWait is 0.
type getEventsArg struct {
	sigMask   uint64
	sigMaskSz uint32
	minWait   uint32 // µs
	ts        uint64
}

// setupParams is struct io_uring_params; giouring's has no exported fields.
type setupParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	resv                                                                   [3]uint32
	sq                                                                     sqOffsets
	cq                                                                     cqOffsets
}

type sqOffsets struct {
	head, tail, mask, entries, flags, dropped, array, resv uint32
	userAddr                                               uint64
}

type cqOffsets struct {
	head, tail, mask, entries, overflow, cqes, flags, resv uint32
	userAddr                                               uint64
}

const (
	offSQRing  = 0          // IORING_OFF_SQ_RING
	offEntries = 0x10000000 // IORING_OFF_SQES
	sqeSize    = int(unsafe.Sizeof(SQE{}))
	cqeSize    = int(unsafe.Sizeof(CQE{}))
)

func newSysKernel() *sysKernel { return &sysKernel{fd: -1, wakeFD: -1, tries: lockTries} }

// setupFlags: without SINGLE_ISSUER the kernel refuses DEFER_TASKRUN; Choose keeps to that.
func setupFlags(u Use) uint32 {
	flags := giouring.SetupCQSize | giouring.SetupClamp
	if u[CoopTaskrun] {
		flags |= giouring.SetupCoopTaskrun
	}
	if u[SingleIssuer] {
		flags |= giouring.SetupSingleIssuer
	}
	if u[DeferTaskrun] {
		flags |= giouring.SetupDeferTaskrun | giouring.SetupTaskrunFlag // see parking
	}
	return flags
}

// The kernel tears rings down in the background, and their locked memory stays charged to the user until then: that of
// the scratch rings of Probe, and of a tracker that has just ended and is started again. So a ring that finds no room
// below the memlock limit is tried again for about two seconds, with pauses in which a failed try is given back.
const (
	lockTries    = 20
	lockPause    = 100 * time.Millisecond
	smallerTries = 2 // of a plan that was made smaller because these did not help
)

// Setup implements Kernel.
func (k *sysKernel) Setup(p Plan) (mem Memory, err error) {
	for try := 1; ; try++ {
		mem, err = k.setup(p)
		if !noRoom(err) || try >= k.tries {
			return mem, err
		}
		time.Sleep(lockPause)
	}
}

func (k *sysKernel) setup(p Plan) (mem Memory, err error) {
	defer func() {
		if err != nil {
			_ = k.Teardown()
		}
	}()
	params := setupParams{cqEntries: p.CQEntries, flags: setupFlags(p.Use)}
	k.idle.failed = !p.Use[DeferTaskrun]
	if mem, err = k.setupQueues(p.Entries, &params); err != nil {
		if errors.Is(err, unix.ENOMEM) {
			return mem, lockError(p, "lock", Errno(unix.ENOMEM))
		}
		return mem, err
	}
	if err = k.mapArena(p); err != nil {
		return mem, err
	}
	mem.Arena = k.arena
	mem.Base = uint64(uintptr(unsafe.Pointer(&k.arena[0])))
	// A blocking eventfd: io_uring answers a READ of a non-blocking one with EAGAIN.
	if k.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return mem, fmt.Errorf("cannot make an eventfd: %w", err)
	}
	mem.WakeFD = int32(k.wakeFD)
	if p.Use[RegisteredRing] {
		err = k.registerRing()
	}
	return mem, err
}

// setupQueues makes the ring and maps its queues.
func (k *sysKernel) setupQueues(entries uint32, p *setupParams) (mem Memory, err error) {
	if k.argsPage, err = mapAnonymous(pageSize); err != nil {
		return mem, fmt.Errorf("cannot map a page: %w", err)
	}
	k.args = (*enterArgs)(unsafe.Pointer(&k.argsPage[0]))
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	if errno != 0 {
		return mem, fmt.Errorf("cannot make an io_uring ring: %w", errno)
	}
	k.fd, k.enterFD, k.features = int(fd), fd, p.features
	size := max(int(p.sq.array)+int(p.sqEntries)*4, int(p.cq.cqes)+int(p.cqEntries)*cqeSize)
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if k.rings, err = unix.Mmap(k.fd, offSQRing, size, prot, flags); err != nil {
		return mem, fmt.Errorf("cannot map the queues of a ring: %w", err)
	}
	if k.entries, err = unix.Mmap(k.fd, offEntries, int(p.sqEntries)*sqeSize, prot, flags); err != nil {
		return mem, fmt.Errorf("cannot map the entries of a ring: %w", err)
	}
	word := func(at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&k.rings[at])) }
	mem = Memory{
		SQHead:     word(p.sq.head),
		SQTail:     word(p.sq.tail),
		CQHead:     word(p.cq.head),
		CQTail:     word(p.cq.tail),
		CQOverflow: word(p.cq.overflow),
		SQEs:       unsafe.Slice((*SQE)(unsafe.Pointer(&k.entries[0])), p.sqEntries),
		CQEs:       unsafe.Slice((*CQE)(unsafe.Pointer(&k.rings[p.cq.cqes])), p.cqEntries),
	}
	k.cqHead, k.cqTail, k.idle.flags = mem.CQHead, mem.CQTail, word(p.cq.flags)
	k.sqFlags = word(p.sq.flags)
	// The queue is an array of indices into the entries. It stays the identity.
	for i, array := uint32(0), unsafe.Slice(word(p.sq.array), p.sqEntries); i < p.sqEntries; i++ {
		array[i] = i
	}
	return mem, nil
}

// register is io_uring_register(2), always on the plain descriptor: kernels before 6.3 know no registered one here.
func (k *sysKernel) register(op uint32, arg unsafe.Pointer, n int) Errno {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(k.fd), uintptr(op), uintptr(arg), uintptr(n), 0, 0)
	return Errno(errno)
}

// registerRing spares every enter the lookup of the descriptor (IORING_REGISTER_RING_FDS, 5.18).
func (k *sysKernel) registerRing() error {
	update := giouring.RsrcUpdate{Offset: ^uint32(0), Data: uint64(k.fd)}
	if errno := k.register(giouring.RegisterRingFDs, unsafe.Pointer(&update), 1); errno != 0 {
		return fmt.Errorf("cannot register the descriptor of a ring: %w", errno)
	}
	k.enterFD = uintptr(update.Offset)
	k.enterFlags = uintptr(giouring.EnterRegisteredRing)
	return nil
}

// unregisterRing frees the thread's place for the descriptor, of which it has 16; it would also keep the ring from going.
func (k *sysKernel) unregisterRing() {
	if k.enterFlags&uintptr(giouring.EnterRegisteredRing) != 0 {
		update := giouring.RsrcUpdate{Offset: uint32(k.enterFD)}
		k.register(giouring.UnregisterRingFDs, unsafe.Pointer(&update), 1) // it fails on another thread only
		k.enterFlags = 0
	}
}

// Enter implements Kernel. It always asks for completions, which flushes those that overflowed and runs the deferred
// work of DEFER_TASKRUN.
func (k *sysKernel) Enter(submit, wait uint32, h Hold) (submitted uint32, e Errno) {
	if h.Park && wait > 0 {
		return k.park(submit)
	}
	flags := k.enterFlags | uintptr(giouring.EnterGetEvents)
	var arg, size uintptr
	if h.Timeout > 0 {
		k.args.ts = [2]int64{int64(h.Timeout / time.Second), int64(h.Timeout % time.Second)}
		k.args.arg = getEventsArg{
			minWait: uint32(h.MinWait / time.Microsecond),
			ts:      uint64(uintptr(unsafe.Pointer(&k.args.ts))),
		}
		arg, size = uintptr(unsafe.Pointer(&k.args.arg)), unsafe.Sizeof(k.args.arg)
		flags |= uintptr(giouring.EnterExtArg)
	}
	var n uintptr
	var errno syscall.Errno
	if h.GiveUpP {
		n, _, errno = unix.Syscall6(unix.SYS_IO_URING_ENTER, k.enterFD, uintptr(submit), uintptr(wait), flags, arg, size)
	} else {
		n, _, errno = unix.RawSyscall6(unix.SYS_IO_URING_ENTER, k.enterFD, uintptr(submit), uintptr(wait), flags, arg, size)
	}
	if errno != 0 {
		return 0, Errno(errno)
	}
	return uint32(n), 0
}

// Socket implements Kernel. It is a blocking socket, as accepted ones are.
func (k *sysKernel) Socket(local, remote netip.AddrPort) (int32, Errno) {
	family := unix.AF_INET
	if remote.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, errnoIn(err)
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err == nil && local.IsValid() {
		// The port is chosen when connecting, so that it may serve several remote addresses (4.2).
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err == nil {
			err = unix.Bind(fd, sockaddr.Of(local))
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, errnoIn(err)
	}
	return int32(fd), 0
}

// PeerName implements Kernel.
func (k *sysKernel) PeerName(fd int32) (netip.AddrPort, Errno) {
	name := &k.args.name
	k.args.nameLen = uint32(unsafe.Sizeof(*name))
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd),
		uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&k.args.nameLen)))
	if errno != 0 {
		return netip.AddrPort{}, Errno(errno)
	}
	if a, ok := sockaddr.Get(name); ok {
		return a, 0
	}
	if name.Addr.Family == unix.AF_UNIX { // the far end has no name
		return netip.AddrPort{}, 0
	}
	return netip.AddrPort{}, Errno(unix.EAFNOSUPPORT)
}

// Shutdown implements Kernel.
func (k *sysKernel) Shutdown(fd int32, how int) Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
	return Errno(errno)
}

// Reset implements Kernel. Connecting a TCP socket to AF_UNSPEC disconnects it: the peer gets a reset, calls
// that wait on the socket end with ECONNRESET, and later ones fail (tcp_disconnect). Unix sockets know no such thing: they are
// shut down in both directions.
func (k *sysKernel) Reset(fd int32) Errno {
	k.args.name.Addr.Family = unix.AF_UNSPEC
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&k.args.name)), 16)
	if errno == unix.EINVAL {
		return k.Shutdown(fd, unix.SHUT_RDWR)
	}
	return Errno(errno)
}

// CloseFD implements Kernel.
func (k *sysKernel) CloseFD(fd int32) {
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// Notify implements Kernel. Its one shared word, 1, is only ever read.
func (k *sysKernel) Notify() {
	unix.RawSyscall(unix.SYS_WRITE, uintptr(k.wakeFD), uintptr(unsafe.Pointer(&wakeOne)), 8)
	k.idle.wake()
}

var wakeOne uint64 = 1

// RingFD implements Kernel.
func (k *sysKernel) RingFD() int32 { return int32(k.fd) }

// Teardown implements Kernel. The ring is closed before its memory goes.
func (k *sysKernel) Teardown() error {
	var first error
	note := func(err error) {
		if err != nil && first == nil {
			first = fmt.Errorf("cannot close a ring: %w", err)
		}
	}
	note(k.idle.close())
	k.unregisterRing()
	for _, fd := range []*int{&k.fd, &k.wakeFD} {
		if *fd >= 0 {
			note(unix.Close(*fd))
			*fd = -1
		}
	}
	for _, mem := range []*[]byte{&k.entries, &k.rings, &k.arena, &k.argsPage} {
		if *mem != nil {
			note(unix.Munmap(*mem))
			*mem = nil
		}
	}
	k.args = nil
	return first
}
