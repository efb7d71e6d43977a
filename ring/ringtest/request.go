package ringtest

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"millrace/ring"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// This file owns the requests: how each kind is checked, waits, and completes.

// request is a submitted entry that has not completed.
type request struct {
	sqe      ring.SQE
	key      uint64
	fd       int32 // -1 when the entry names none
	file     *file // nil when the entry names no connection
	socket   *socket
	linked   *request // started when this one succeeds
	waiting  bool     // linked behind another one, not started
	sum      uint64   // of a send's bytes
	late     bool     // a cancel that waits for another Enter
	bid      int      // buffer that a receive holds while it waits (kernels before 5.18); -1 none
	deadline time.Duration
}

const (
	more       = giouring.CQEFMore
	bufferFlag = giouring.CQEFBuffer
)

var sumSeed = maphash.MakeSeed()

// submit takes one entry in. The next one is only looked at to check a link.
func (p *port) submit(e ring.SQE, next *ring.SQE) {
	k := p.k
	k.requests++
	r := &request{sqe: e, key: k.requests, fd: -1, bid: -1}
	if e.Addr3 != 0 || e.SpliceFdIn != 0 || e.Personality != 0 {
		k.violate("an entry of kind %d carries the rest of another one", e.OpCode)
	}
	if n := len(p.pending); n > 0 && p.pending[n-1].linked == nil && p.pending[n-1].sqe.Flags&giouring.SqeIOLink != 0 {
		before := p.pending[n-1]
		before.linked, r.waiting, r.key = r, true, before.key
	}
	if e.Flags&giouring.SqeIOLink != 0 && (next == nil || next.OpCode != giouring.OpRecv) {
		k.violate("a linked poll without its receive")
	}
	p.pending = append(p.pending, r)
	if errno := p.prepare(r); errno != 0 {
		p.drop(r)
		p.finish(r, -int32(errno), 0)
	}
}

// prepare checks an entry and fills in the request.
func (p *port) prepare(r *request) unix.Errno {
	e := &r.sqe
	switch e.OpCode {
	case giouring.OpAccept:
		r.fd = e.Fd
		if p.k.lookup(e.Fd, fileListener, "accept") == nil {
			return unix.EBADF
		}
		return p.must(e.IoPrio&giouring.AcceptMultishot == 0 || p.plan.Use[ring.MultishotAccept], "multishot accept")
	case giouring.OpRecv, giouring.OpPollAdd, giouring.OpSend, giouring.OpWriteFixed:
		return p.prepareSocket(r)
	case giouring.OpTimeout:
		ts := p.memory(e.Addr, 16)
		if ts == nil || e.Len != 1 || e.Off != 0 {
			return unix.EINVAL
		}
		seconds, nanos := binary.NativeEndian.Uint64(ts), binary.NativeEndian.Uint64(ts[8:])
		r.deadline = p.k.now + time.Duration(seconds)*time.Second + time.Duration(nanos)
	case giouring.OpRead:
		r.fd = e.Fd
		if p.k.lookup(e.Fd, fileEvent, "read") == nil || p.memory(e.Addr, 8) == nil {
			return unix.EBADF
		}
	case giouring.OpMsgRing:
		return p.must(p.plan.Use[ring.MessageRing], "message to a ring")
	case giouring.OpAsyncCancel:
		r.late = p.k.chance(p.k.faults.LateCancel)
	case giouring.OpProvideBuffers:
	default:
		return p.must(false, "unknown kind")
	}
	return 0
}

func (p *port) must(ok bool, what string) unix.Errno {
	if ok {
		return 0
	}
	p.k.violate("%s: a request that the plan leaves out", what)
	return unix.EINVAL
}

func (p *port) prepareSocket(r *request) unix.Errno {
	e := &r.sqe
	f := p.k.lookup(e.Fd, fileSocket, "request")
	if f == nil {
		return unix.EBADF
	}
	r.fd, r.file, r.socket = e.Fd, f, f.socket
	f.flight++
	if f.port != p { // the first request of a ring that has adopted the connection
		if s := f.socket; s.receives+s.sends+s.polls > 0 {
			p.k.violate("a request on descriptor %d while another ring has one in flight on it", e.Fd)
		}
		f.port = p
	}
	switch e.OpCode {
	case giouring.OpPollAdd:
		r.socket.polls++
	case giouring.OpRecv:
		if r.socket.receives++; r.socket.receives > 1 {
			p.k.violate("a second receive in flight on descriptor %d", e.Fd)
		}
		if e.Flags&giouring.SqeBufferSelect == 0 {
			return p.must(false, "receive without buffer selection")
		}
		return p.must(e.IoPrio&giouring.RecvMultishot == 0 || p.plan.Use[ring.MultishotReceive], "multishot receive")
	default:
		if r.socket.sends++; r.socket.sends > 1 {
			p.k.violate("a second send in flight on descriptor %d", e.Fd)
		}
		if e.OpCode == giouring.OpWriteFixed && !p.plan.Use[ring.FixedSend] {
			return p.must(false, "fixed send")
		}
		data := p.memory(e.Addr, int(e.Len))
		if data == nil {
			return unix.EFAULT
		}
		r.sum = maphash.Bytes(sumSeed, data)
	}
	return 0
}

// delivered runs when a completion of the request reaches the queue.
func (r *request) delivered(p *port, flags uint32) {
	if r.socket == nil || flags&more != 0 {
		return
	}
	r.file.flight--
	switch r.sqe.OpCode {
	case giouring.OpPollAdd:
		r.socket.polls--
	case giouring.OpRecv:
		r.socket.receives--
	default:
		r.socket.sends--
		if maphash.Bytes(sumSeed, p.memory(r.sqe.Addr, int(r.sqe.Len))) != r.sum {
			p.k.violate("the bytes of a send changed before its completion")
		}
	}
}

func (p *port) drop(r *request) {
	if i := slices.Index(p.pending, r); i >= 0 {
		p.pending = slices.Delete(p.pending, i, i+1)
	}
}

// complete ends a request for good, and starts or cancels the request linked behind it.
func (p *port) complete(r *request, res int32, flags uint32) {
	p.drop(r)
	p.finish(r, res, flags)
	if r.linked == nil {
		return
	}
	if res < 0 {
		p.complete(r.linked, -int32(unix.ECANCELED), 0)
		return
	}
	r.linked.waiting = false
}

// progress completes the requests that can. One request may enable others, so it goes round until nothing moves.
func (p *port) progress() {
	for moved := true; moved; {
		moved = false
		for _, r := range slices.Clone(p.pending) {
			if !r.waiting && slices.Contains(p.pending, r) && r.runnable(p) {
				p.run(r)
				moved = true
			}
		}
	}
}

// runnable reports whether a request can complete now.
func (r *request) runnable(p *port) bool {
	if r.waiting {
		return false
	}
	switch r.sqe.OpCode {
	case giouring.OpAccept:
		f := p.k.fds[r.fd]
		return f == nil || !f.door.listening || len(f.door.queue) > 0
	case giouring.OpPollAdd:
		return r.socket.readable()
	case giouring.OpRecv:
		return r.socket.readable() || (!p.plan.Use[ring.BufferRing] && r.bid < 0)
	case giouring.OpSend, giouring.OpWriteFixed:
		return r.socket.reset || r.socket.shutWrite || len(r.socket.out) < p.k.faults.SocketBuffer
	case giouring.OpTimeout:
		return p.k.now >= r.deadline
	case giouring.OpRead:
		return p.event.count > 0
	case giouring.OpAsyncCancel:
		return !r.late
	}
	return true
}

func (p *port) run(r *request) {
	switch r.sqe.OpCode {
	case giouring.OpAccept:
		p.runAccept(r)
	case giouring.OpPollAdd:
		p.complete(r, unix.POLLIN, 0)
	case giouring.OpRecv:
		p.runReceive(r)
	case giouring.OpSend, giouring.OpWriteFixed:
		p.runSend(r)
	case giouring.OpTimeout:
		p.complete(r, -int32(unix.ETIME), 0)
	case giouring.OpRead:
		binary.NativeEndian.PutUint64(p.memory(r.sqe.Addr, 8), p.event.count)
		p.event.count = 0
		p.complete(r, 8, 0)
	case giouring.OpMsgRing:
		p.runMessage(r)
	case giouring.OpProvideBuffers:
		p.runProvide(r)
	case giouring.OpAsyncCancel:
		p.runCancel(r)
	}
}

func (p *port) runAccept(r *request) {
	f := p.k.fds[r.fd]
	if f == nil || !f.door.listening {
		p.complete(r, -int32(unix.EINVAL), 0)
		return
	}
	if p.k.chance(p.k.faults.AcceptError) {
		errs := []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ECONNABORTED}
		p.complete(r, -int32(errs[p.k.rng.IntN(len(errs))]), 0)
		return
	}
	s := f.door.queue[0]
	f.door.queue = f.door.queue[1:]
	fd := p.k.install(&file{kind: fileSocket, port: p, socket: s})
	p.k.live = append(p.k.live, s)
	p.result(r, fd, 0, giouring.AcceptMultishot)
}

// result completes a request that may be a multishot one, which then goes on.
func (p *port) result(r *request, res int32, flags uint32, multishot uint16) {
	if r.sqe.IoPrio&multishot == 0 || len(p.overflow) > 0 || p.k.chance(p.k.faults.EndMultishot) {
		p.complete(r, res, flags)
		return
	}
	p.finish(r, res, flags|more)
}

func (p *port) runReceive(r *request) {
	s := r.socket
	if len(s.in) == 0 && s.readable() {
		res := int32(0)
		if s.reset && !s.told {
			s.told, res = true, -int32(unix.ECONNRESET)
		}
		flags := uint32(0)
		if r.bid >= 0 {
			flags = p.fill(r, nil)
		}
		p.complete(r, res, flags)
		return
	}
	if r.bid < 0 {
		if len(p.provided) == 0 || p.k.chance(p.k.faults.NoBuffers) {
			p.complete(r, -int32(unix.ENOBUFS), 0)
			return
		}
		r.bid = int(p.provided[0])
		p.provided = p.provided[1:]
	}
	if len(s.in) == 0 {
		return // a kernel before 5.18: the receive keeps its buffer while it waits
	}
	n := min(len(s.in), p.plan.ReceiveBufferSize)
	if p.k.chance(p.k.faults.ShortSend) {
		n = 1 + p.k.rng.IntN(n)
	}
	flags := p.fill(r, s.in[:n])
	if s.in = s.in[n:]; len(s.in) > 0 {
		flags |= giouring.CQEFSockNonempty
	}
	p.result(r, int32(n), flags, giouring.RecvMultishot)
}

// fill hands the request's buffer out with data in it.
func (p *port) fill(r *request, data []byte) (flags uint32) {
	bid := r.bid
	r.bid = -1
	p.owned[bid] = false
	copy(p.mem.Arena[p.lay.Receive+bid*p.plan.ReceiveBufferSize:], data)
	return bufferFlag | uint32(bid)<<giouring.CQEBufferShift
}

func (p *port) runSend(r *request) {
	s := r.socket
	switch {
	case s.reset && !s.told:
		s.told = true
		p.complete(r, -int32(unix.ECONNRESET), 0)
		return
	case s.reset || s.shutWrite:
		p.complete(r, -int32(unix.EPIPE), 0)
		return
	}
	n := min(int(r.sqe.Len), p.k.faults.SocketBuffer-len(s.out))
	if p.k.chance(p.k.faults.ShortSend) {
		n = 1 + p.k.rng.IntN(n)
	}
	s.out = append(s.out, p.memory(r.sqe.Addr, n)...)
	p.complete(r, int32(n), 0)
}

func (p *port) runMessage(r *request) {
	f := p.k.fds[r.sqe.Fd]
	switch {
	case f == nil || f.kind != fileRing:
		p.complete(r, -int32(unix.EBADFD), 0)
	case p.k.chance(p.k.faults.MessageError):
		p.complete(r, -int32(unix.EOVERFLOW), 0)
	default:
		p.k.requests++
		f.port.ready = append(f.port.ready, completion{
			cqe: ring.CQE{UserData: r.sqe.Off, Res: int32(r.sqe.Len)},
			key: p.k.requests,
		})
		p.complete(r, 0, 0)
	}
}

func (p *port) runProvide(r *request) {
	if p.k.chance(p.k.faults.ProvideError) {
		p.complete(r, -int32(unix.ENOMEM), 0)
		return
	}
	e := &r.sqe
	for i := range int(e.Fd) {
		p.provide(e.Addr+uint64(i)*uint64(e.Len), e.Len, uint16(int(e.Off)+i))
	}
	p.complete(r, 0, 0)
}

func (p *port) runCancel(r *request) {
	for _, other := range p.pending {
		if other != r && !other.waiting && other.sqe.UserData == r.sqe.Addr {
			if other.mayBeBusy() && p.k.chance(p.k.faults.BusyCancel) {
				p.complete(r, -int32(unix.EALREADY), 0)
				return
			}
			p.complete(other, -int32(unix.ECANCELED), 0)
			p.complete(r, 0, 0)
			return
		}
	}
	p.complete(r, -int32(unix.ENOENT), 0)
}

// mayBeBusy reports whether a worker thread of the kernel may be at work on a request.
func (r *request) mayBeBusy() bool {
	switch r.sqe.OpCode {
	case giouring.OpAccept, giouring.OpRecv, giouring.OpSend, giouring.OpWriteFixed:
		return true
	}
	return false
}

// hurry decides again which of the cancels that are late still are.
func (p *port) hurry() {
	for _, r := range p.pending {
		r.late = r.late && p.k.chance(p.k.faults.LateCancel)
	}
}
