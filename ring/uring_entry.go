package ring

import (
	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the submission entries: how each kind of request is written, and the names that requests carry.

// The kinds of requests, in the top byte of user_data. Requests on a connection carry its generation in the next 24
// bits and its index in the low 32; the others carry a number of their own in the low bits.
const (
	kindAccept  = iota + 1 // low bits: number of listener and accept
	kindReceive            // connection
	kindPoll               // connection
	kindSend               // connection
	kindCancel             // result of an ASYNC_CANCEL, not looked at
	kindTick
	kindWakeRead // READ of the eventfd
	kindMessage  // arrived from another ring; not a request of ours
	kindNotify   // result of our MSG_RING; low bits: its target
	kindProvide  // result of PROVIDE_BUFFERS; low bits: first buffer | count << 16
	kindConnect  // connection

	kindShift = 56
	genShift  = 32
	genMask   = 1<<24 - 1

	bufferGroup = 0 // the only group of receive buffers
	fixedBuffer = 0 // the arena's index among the registered buffers
)

func userData(kind uint64, gen, index uint32) uint64 {
	return kind<<kindShift | uint64(gen&genMask)<<genShift | uint64(index)
}

// fillAccept: sockets stay blocking, since io_uring answers EAGAIN on a non-blocking one instead of waiting.
func fillAccept(e *SQE, listener int32, multishot bool) {
	e.OpCode = giouring.OpAccept
	e.Fd = listener
	e.OpcodeFlags = unix.SOCK_CLOEXEC
	if multishot {
		e.IoPrio = giouring.AcceptMultishot
	}
}

// fillReceive lets the kernel choose a buffer of the group when data is there. A multishot receive must have length 0.
func fillReceive(e *SQE, fd int32, size int, multishot bool) {
	e.OpCode = giouring.OpRecv
	e.Fd = fd
	e.Flags = giouring.SqeBufferSelect
	e.BufIG = bufferGroup
	if multishot {
		e.IoPrio = giouring.RecvMultishot
		return
	}
	e.Len = uint32(size)
}

// fillPoll waits for data and starts the next entry of the queue when it is there. POLLHUP and POLLERR are implied.
func fillPoll(e *SQE, fd int32) {
	e.OpCode = giouring.OpPollAdd
	e.Fd = fd
	e.OpcodeFlags = unix.POLLIN | unix.POLLRDHUP
	e.Flags = giouring.SqeIOLink
}

func fillSend(e *SQE, fd int32, addr uint64, n int, fixed bool) {
	e.Fd = fd
	e.Addr = addr
	e.Len = uint32(n)
	if fixed {
		e.OpCode = giouring.OpWriteFixed
		e.BufIG = fixedBuffer
		return
	}
	e.OpCode = giouring.OpSend
	e.OpcodeFlags = unix.MSG_NOSIGNAL
}

// fillConnect: the kernel reads the name, of n bytes, when the entry is submitted.
func fillConnect(e *SQE, fd int32, name uint64, n int) {
	e.OpCode = giouring.OpConnect
	e.Fd = fd
	e.Addr = name
	e.Off = uint64(n)
}

// fillTimeout: a pure timer, which completions of other requests do not end early.
func fillTimeout(e *SQE, timespec uint64) {
	e.OpCode = giouring.OpTimeout
	e.Fd = -1
	e.Addr = timespec
	e.Len = 1
}

func fillCancel(e *SQE, target uint64) {
	e.OpCode = giouring.OpAsyncCancel
	e.Fd = -1
	e.Addr = target
}

func fillRead(e *SQE, fd int32, addr uint64, n int) {
	e.OpCode = giouring.OpRead
	e.Fd = fd
	e.Addr = addr
	e.Len = uint32(n)
}

// fillMessage posts a completion with the given user data on another ring (MSG_RING: it travels in off).
func fillMessage(e *SQE, ringFD int32, data uint64) {
	e.OpCode = giouring.OpMsgRing
	e.Fd = ringFD
	e.Off = data
}

// fillProvide gives count buffers of size bytes, the first of them named first, to the group.
func fillProvide(e *SQE, addr uint64, size, first, count int) {
	e.OpCode = giouring.OpProvideBuffers
	e.Fd = int32(count)
	e.Addr = addr
	e.Len = uint32(size)
	e.Off = uint64(first)
	e.BufIG = bufferGroup
}
