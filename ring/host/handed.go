package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// This file owns the listening sockets that a process hands on to its successor. Their queues are shared from then on, so that
// no client is refused while either of the two accepts.

// Handed is a listening socket on its way to another process.
type Handed struct {
	Address string // as in ListenOptions: by it the other process finds the socket, whatever port it has
	FD      int    // a duplicate, which belongs to the holder
	Kept    bool   // the service manager has opened the socket: see Passed
}

// HandOn returns a duplicate of fd, which is a descriptor of the listener or of another one at its address: the ring that has
// taken the listener over tells it. A socket that has a duplicate must not be shut down.
func (l *Listener) HandOn(fd int) (Handed, error) {
	address := l.asked
	if address == "" {
		address = l.String()
	}
	fd, err := duplicate(fd)
	if err != nil {
		return Handed{}, fmt.Errorf("cannot hand on the socket of %s: %w", address, err)
	}
	return Handed{Address: address, FD: fd, Kept: l.kept}, nil
}

// Close closes the duplicate.
func (h Handed) Close() { unix.Close(h.FD) }

func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// HandedSockets takes over the sockets that another process has handed on; several descriptors of one socket count once. If it
// fails, all of them are closed.
func HandedSockets(handed []Handed) (*Passed, error) {
	p := &Passed{}
	known := make(map[uint64]bool)
	for i, h := range handed {
		cookie, err := unix.GetsockoptUint64(h.FD, unix.SOL_SOCKET, unix.SO_COOKIE) // since 4.12
		if err == nil && known[cookie] {
			h.Close()
			continue
		}
		var l *Listener
		if err == nil {
			l, err = adopt(h.FD)
		}
		if err != nil {
			p.Close()
			for _, rest := range handed[i:] {
				rest.Close()
			}
			return nil, fmt.Errorf("cannot take over the socket of %s that was handed on: %w", h.Address, err)
		}
		known[cookie] = true
		l.asked, l.kept = h.Address, h.Kept
		p.listeners = append(p.listeners, l)
	}
	return p, nil
}

// Claim says that the process which has handed a unix socket on leaves its path to this one: Remove removes it from now on, and it gets
// the permissions that are configured here. It does nothing for other listeners, and for a socket of the service manager.
func (l *Listener) Claim(mode os.FileMode) error {
	if !l.leaves() {
		return nil
	}
	if err := l.own(); err != nil {
		return err
	}
	if l.made.Mode().Perm() == mode.Perm() {
		return nil
	}
	if err := os.Chmod(l.path, mode); err != nil {
		return fmt.Errorf("cannot change the permissions of a unix socket that was handed on: %w", err)
	}
	return nil
}

// leaves reports whether the path of a unix socket is still left to this process.
func (l *Listener) leaves() bool { return l.path != "" && !l.kept && l.made == nil }

// own takes it.
func (l *Listener) own() (err error) {
	if l.made, err = os.Lstat(l.path); err != nil {
		l.made = nil
		return fmt.Errorf("cannot find a unix socket that was handed on: it keeps its permissions, and is not removed: %w", err)
	}
	return nil
}

// End closes the sockets for good and removes their paths, which the process that has handed them on leaves to this one.
func (p *Passed) End() (err error) {
	for _, l := range p.all() {
		if !l.leaves() {
			continue
		}
		claimErr := l.own()
		err = errors.Join(err, claimErr, l.Remove())
	}
	p.Close()
	return err
}

// Kept reports whether a service manager has opened the socket, whose properties are its own.
func (l *Listener) Kept() bool { return l.kept }

// ListenAgain changes how many connections may wait to be accepted.
func ListenAgain(fd, backlog int) error {
	if err := unix.Listen(fd, backlog); err != nil {
		return fmt.Errorf("cannot change the backlog of a listening socket: %w", err)
	}
	return nil
}

// TakesIPv4 reports whether a socket of all addresses, [::], takes IPv4 clients too. That cannot be changed any more.
func TakesIPv4(fd int) bool {
	only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return err == nil && only == 0
}
