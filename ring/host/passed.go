package host

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// This file owns the listening sockets that a service manager has opened and passed to the process: socket activation.
// Clients that come while the process restarts wait in them.

// Passed holds them for as long as the process runs. Those that [HandedSockets] has taken over, and that no service manager
// keeps, it holds until Listen returns them. A nil Passed holds none.
type Passed struct {
	listeners []*Listener
}

// mostPassed bounds the sockets that may be passed.
const mostPassed = 64

// PassedSockets takes the sockets over and takes the variables that tell of them out of the environment. A process calls it
// once. It returns nil where there are none, and an error where one is no listening stream socket.
//
// sd_listen_fds(3): «$LISTEN_FDS […] $LISTEN_PID», the number of descriptors and the process that they are for.
func PassedSockets() (*Passed, error) {
	count, pid := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID")
	for _, key := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(key) // it never fails
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > mostPassed {
		return nil, fmt.Errorf("cannot take over the sockets that were passed: LISTEN_FDS is %q, not a number up to %d",
			count, mostPassed)
	}
	p := &Passed{}
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		l, err := adopt(fd)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("cannot take over descriptor %d that was passed: %w", fd, err)
		}
		l.kept = true
		p.listeners = append(p.listeners, l)
	}
	return p, nil
}

// adopt makes a listener of a descriptor and gives its socket the properties that [Listen] gives.
func adopt(fd int) (*Listener, error) {
	unix.CloseOnExec(fd)
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, err
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, err
	}
	if kind != unix.SOCK_STREAM || listening == 0 {
		return nil, fmt.Errorf("it is not a listening stream socket; use ListenStream= in the socket unit, without Accept=")
	}
	l := &Listener{fd: fd, shared: true}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		l.addr = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		l.addr = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	case *unix.SockaddrUnix:
		if l.path = a.Name; !strings.HasPrefix(a.Name, "/") {
			return nil, fmt.Errorf("its address is %q: a unix socket must have a path", a.Name)
		}
		return l, unix.SetNonblock(fd, false)
	default:
		return nil, fmt.Errorf("its address family is none of IPv4, IPv6 and unix")
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return nil, err
	}
	return l, unix.SetNonblock(fd, false)
}

// Listen returns so many listeners, which have all the sockets that were passed for an address of [ListenOptions]; nil where
// none was. Where there are more listeners than sockets, several have the same one; where there are fewer, some have several.
func (p *Passed) Listen(address string, sockets int) ([]*Listener, error) {
	var passed []*Listener
	for _, l := range p.all() {
		if l.at(address) {
			passed = append(passed, l)
		}
	}
	if passed == nil {
		return nil, nil
	}
	listeners := make([]*Listener, sockets)
	for i := range max(sockets, len(passed)) {
		from, to := passed[i%len(passed)], &listeners[i%sockets]
		fd, err := duplicate(from.fd)
		switch {
		case err != nil:
			for _, l := range listeners[:min(i, sockets)] {
				l.Close()
			}
			return nil, fmt.Errorf("cannot listen on %s, a socket that was passed: %w", address, err)
		case *to == nil:
			*to = &Listener{addr: from.addr, path: from.path, asked: from.asked, fd: fd, shared: true, kept: from.kept}
		default:
			(*to).more = append((*to).more, fd)
		}
	}
	p.listeners = slices.DeleteFunc(p.listeners, func(l *Listener) bool {
		gone := !l.kept && slices.Contains(passed, l)
		if gone {
			l.Close()
		}
		return gone
	})
	return listeners, nil
}

// at reports whether the listener is at an address of [ListenOptions].
func (l *Listener) at(address string) bool {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return l.path == path
	}
	addr, err := netip.ParseAddrPort(address)
	return err == nil && addr == l.addr || address == l.asked
}

// Missing returns the first socket that none of these addresses is of; nil where there is none.
func (p *Passed) Missing(addresses []string) *Listener {
next:
	for _, l := range p.all() {
		for _, address := range addresses {
			if l.at(address) {
				continue next
			}
		}
		return l
	}
	return nil
}

func (p *Passed) all() []*Listener {
	if p == nil {
		return nil
	}
	return p.listeners
}

// Close closes the descriptors that the process still holds by itself.
func (p *Passed) Close() {
	for _, l := range p.all() {
		l.Close()
	}
}
