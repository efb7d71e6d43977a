package ring

import (
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the sleep of an idle ring in the Go runtime's poller.

// parking has the runtime wait for a ring as it waits for a socket: by epoll, on a thread that serves all of them. The
// loop's goroutine is parked meanwhile and holds no P. A thread that sleeps in a system call costs more where little
// happens: the runtime's monitor looks for its P again and again, 20 µs apart at first, which took 0.5 to 1 ms of CPU
// for each wake.
//
// The ring signals an eventfd (IORING_REGISTER_EVENTFD, 5.2), and only while it is idle (IORING_CQ_EVENTFD_DISABLED,
// 5.8). The ring's own descriptor would not do: with DEFER_TASKRUN it becomes readable only when the ring's thread has
// completed something. Nobody reads the eventfd, since the runtime's epoll is edge-triggered and sees each signal.
//
// A ring without DEFER_TASKRUN (6.1) sleeps in the system call: on Linux 5.10 no signal comes for a socket that becomes
// ready while its ring's thread sleeps elsewhere, and the ring slept for ever.
type parking struct {
	file   *os.File // the eventfd; nil before the first sleep
	failed bool     // there is none, and will be none
	conn   syscall.RawConn
	due    func(uintptr) bool
	flags  *uint32      // of the completion queue
	asleep atomic.Int32 // the eventfd while signals are on, else 0
}

// park submits entries and sleeps until there is a completion. Where that cannot be, the thread sleeps in the system
// call.
func (k *sysKernel) park(submit uint32) (submitted uint32, e Errno) {
	if k.idle.file == nil && !k.idle.failed {
		k.idle.open(k)
	}
	if k.idle.failed {
		return k.Enter(submit, 1, Hold{GiveUpP: true})
	}
	submitted, e = k.Enter(submit, 0, Hold{})
	if e == 0 {
		k.idle.failed = k.idle.conn.Read(k.idle.due) != nil
	}
	return submitted, e
}

// due reports whether there are completions.
func (k *sysKernel) due() bool { return atomic.LoadUint32(k.cqTail) != atomic.LoadUint32(k.cqHead) }

// Pending implements Kernel: work for this thread (IORING_SQ_TASKRUN, 5.19), or completions that found no room.
func (k *sysKernel) Pending() bool {
	return atomic.LoadUint32(k.sqFlags)&(giouring.SQTaskrun|giouring.SQCQOverflow) != 0
}

// open makes the eventfd. The runtime polls descriptors that do not block.
func (p *parking) open(k *sysKernel) {
	p.signals(false, 0)
	p.failed = true
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return
	}
	p.file = os.NewFile(uintptr(fd), "signals of a ring")
	arg := int32(fd)
	if k.register(giouring.RegisterEventFD, unsafe.Pointer(&arg), 1) != 0 {
		return
	}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		return
	}
	// A signal comes also where work is due that only the ring's own thread can complete (DEFER_TASKRUN), so a look runs
	// that work: with the signals off, as its completions would give another one. Then they are on before the last look,
	// so that no completion is missed. Since Linux 6.13 one look runs 20 pieces of work, which need not complete anything, and
	// no signal comes for those that it leaves.
	p.due = func(uintptr) bool {
		for _, on := range [...]bool{false, true} {
			p.signals(on, int32(fd))
			for again := true; again; again = k.Pending() {
				if _, e := k.Enter(0, 0, Hold{}); e != 0 || k.due() {
					p.signals(false, 0)
					return true
				}
			}
		}
		return false
	}
	p.failed = false
}

func (p *parking) signals(on bool, fd int32) {
	if on {
		atomic.StoreUint32(p.flags, 0)
		p.asleep.Store(fd)
		return
	}
	p.asleep.Store(0)
	atomic.StoreUint32(p.flags, giouring.CQEventFdDisabled)
}

// wake ends the sleep, from any thread. The eventfd on which the ring has a READ is not enough: a signal that the write
// to one eventfd brings about on another is put off by the kernel, and Linux 6.18 did so once in the life of a ring and
// then forgot all others.
func (p *parking) wake() {
	if fd := p.asleep.Load(); fd != 0 {
		unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&wakeOne)), 8)
	}
}

func (p *parking) close() error {
	if p.file == nil {
		return nil
	}
	file := p.file
	p.file = nil
	return file.Close()
}
