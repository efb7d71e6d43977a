package ringtest

import (
	"net/netip"

	"millrace/ring"

	"golang.org/x/sys/unix"
)

// This file owns the descriptors and the connections behind them.

type fileKind uint8

const (
	fileListener fileKind = iota
	fileSocket
	fileEvent
	fileRing
)

// file stands behind a descriptor of a ring's side.
type file struct {
	kind   fileKind
	port   *port   // of the ring that uses it; nil: it is on its way to one
	door   *door   // fileListener
	socket *socket // fileSocket
	flight int     // fileSocket: requests by this descriptor whose completion is not in the queue yet
	count  uint64  // fileEvent
}

// door is a listening socket.
type door struct {
	listening   bool
	queue       []*socket // connected, not yet accepted
	descriptors int       // that are open
}

// socket is a connection: bytes on their way to the ring's side (in) and to the client (out).
type socket struct {
	peer      netip.AddrPort
	in, out   []byte
	inEOF     bool // the client sends no more
	reset     bool
	told      bool // the reset has been reported once; reads then give the end
	shutRead  bool
	shutWrite bool
	receives  int // requests whose completion is not in the queue yet
	sends     int
	polls     int

	descriptors int // that are open
}

func (s *socket) resetByPeer() {
	s.reset, s.in, s.out = true, nil, nil
}

// readable reports whether a receive would complete.
func (s *socket) readable() bool { return len(s.in) > 0 || s.inEOF || s.reset || s.shutRead }

// install gives a file the next descriptor.
func (k *Kernel) install(f *file) int32 {
	switch f.kind {
	case fileListener:
		f.door.descriptors++
	case fileSocket:
		f.socket.descriptors++
	}
	k.lastFD++
	k.fds[k.lastFD] = f
	return k.lastFD
}

// lookup returns the file of a descriptor that a request or a call names.
func (k *Kernel) lookup(fd int32, kind fileKind, what string) *file {
	f := k.fds[fd]
	if f == nil || f.kind != kind {
		k.violate("%s on descriptor %d, which is closed or not of that kind", what, fd)
		return nil
	}
	return f
}

// unlisten refuses new clients and resets those that wait.
func (d *door) unlisten() {
	d.listening = false
	for _, s := range d.queue {
		s.resetByPeer()
	}
	d.queue = nil
}

// Socket implements ring.Kernel. Rings of memory open no connections.
func (p *port) Socket(_, _ netip.AddrPort) (int32, ring.Errno) {
	return -1, ring.Errno(unix.ENETUNREACH)
}

// PeerName implements ring.Kernel.
func (p *port) PeerName(fd int32) (netip.AddrPort, ring.Errno) {
	f := p.k.lookup(fd, fileSocket, "getpeername")
	if f == nil {
		return netip.AddrPort{}, ring.Errno(unix.EBADF)
	}
	if f.socket.reset {
		return netip.AddrPort{}, ring.Errno(unix.ENOTCONN)
	}
	return f.socket.peer, 0
}

// Shutdown implements ring.Kernel.
func (p *port) Shutdown(fd int32, how int) ring.Errno {
	if f := p.k.fds[fd]; f != nil && f.kind == fileListener {
		f.door.unlisten()
		return 0
	}
	f := p.k.lookup(fd, fileSocket, "shutdown")
	if f == nil {
		return ring.Errno(unix.EBADF)
	}
	if f.socket.reset {
		return ring.Errno(unix.ENOTCONN)
	}
	f.socket.shutWrite = true
	f.socket.shutRead = f.socket.shutRead || how == unix.SHUT_RDWR
	return 0
}

// Reset implements ring.Kernel.
func (p *port) Reset(fd int32) ring.Errno {
	f := p.k.lookup(fd, fileSocket, "reset")
	if f == nil {
		return ring.Errno(unix.EBADF)
	}
	f.socket.resetByPeer()
	return 0
}

// CloseFD implements ring.Kernel.
func (p *port) CloseFD(fd int32) {
	f := p.k.fds[fd]
	if f == nil {
		p.k.violate("close of descriptor %d, which is closed", fd)
		return
	}
	for _, other := range p.k.ports {
		for _, r := range other.pending {
			if r.fd == fd {
				p.k.violate("close of descriptor %d while a request of kind %d is in flight on it", fd, r.sqe.OpCode)
			}
		}
	}
	delete(p.k.fds, fd)
	switch f.kind {
	case fileListener:
		if f.door.descriptors--; f.door.descriptors == 0 {
			f.door.unlisten()
		}
	case fileSocket:
		s := f.socket
		if f.flight > 0 {
			p.k.violate("close of descriptor %d before its completions were delivered", fd)
		}
		if s.descriptors--; s.descriptors > 0 {
			return
		}
		s.shutRead, s.shutWrite = true, true
		if len(s.in) > 0 {
			s.reset = true // TCP answers a close with unread data by a reset
		}
		p.k.forget(s)
	}
}

func (k *Kernel) forget(s *socket) {
	for i, l := range k.live {
		if l == s {
			k.live = append(k.live[:i], k.live[i+1:]...)
			return
		}
	}
}

// Notify implements ring.Kernel.
func (p *port) Notify() { p.event.count++ }

// RingFD implements ring.Kernel.
func (p *port) RingFD() int32 { return p.fd }
