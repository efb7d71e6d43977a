package host

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file owns the bell at the door between the thread of a ring and the goroutines of the process.

// Doorbell wakes a goroutine from the thread of a ring. A channel would do it too, but dearer: the goroutine then stands in the queue of the
// ring's thread, which does not serve it, and another thread is woken that has to take it from there. Here the thread that waits in the
// runtime's poller is woken, and serves it.
type Doorbell struct {
	Rung <-chan struct{} // a token when it has rung since the last one was taken

	file *os.File // an eventfd. Nobody reads it: the runtime's epoll is edge-triggered and sees each write.
	fd   atomic.Int32
	done chan struct{}
}

// NewDoorbell makes one, which holds a descriptor and a goroutine until Close.
func NewDoorbell() (*Doorbell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot make an eventfd: %w", err)
	}
	rung := make(chan struct{}, 1)
	d := &Doorbell{Rung: rung, file: os.NewFile(uintptr(fd), "doorbell"), done: make(chan struct{})}
	conn, err := d.file.SyscallConn()
	if err != nil {
		d.file.Close()
		return nil, fmt.Errorf("cannot wait for an eventfd: %w", err)
	}
	d.fd.Store(int32(fd) + 1)
	go d.listen(conn, rung)
	return d, nil
}

// listen passes on what rings, until Close.
func (d *Doorbell) listen(conn syscall.RawConn, rung chan<- struct{}) {
	defer close(d.done)
	_ = conn.Read(func(uintptr) bool {
		select {
		case rung <- struct{}{}:
		default:
		}
		return false // so it waits for the next one, and ends by Close
	})
}

// one is what a ring adds to an eventfd.
var one = uint64(1)

// Ring may be called from any thread, and does not wait. It must not be called at the time of Close, or behind it.
func (d *Doorbell) Ring() {
	if fd := d.fd.Load(); fd != 0 {
		unix.RawSyscall(unix.SYS_WRITE, uintptr(fd-1), uintptr(unsafe.Pointer(&one)), 8)
	}
}

// Close ends it. There are no tokens any more.
func (d *Doorbell) Close() {
	d.fd.Store(0)
	d.file.Close()
	<-d.done
}
