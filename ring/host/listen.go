package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"millrace/ring/internal/sockaddr"

	"golang.org/x/sys/unix"
)

// This file owns the listening sockets until a ring takes them over.

// ListenOptions say where to listen.
type ListenOptions struct {
	Address  string      // "0.0.0.0:3000", "[::]:3000", port 0 takes a free one; "unix:/run/millrace.sock"
	OnlyIPv6 bool        // an IPv6 address takes no IPv4 clients
	Mode     os.FileMode // permissions of a unix socket
	Backlog  int         // connections waiting to be accepted; default 1024, capped by net.core.somaxconn
	Sockets  int         // how many sockets share the address, one per ring; default 1
	Once     bool        // an address that is in use is not tried again
}

// Listener is a listening socket that is one ring's. Several share a TCP address by SO_REUSEPORT, and the kernel spreads the
// clients over them; those of a unix socket, or of one that was passed to the process, are descriptors of the same socket.
// It is a blocking socket. A ring takes its descriptor over. Where a process with more rings has passed its sockets, a Listener
// has several of them, since clients wait in each.
type Listener struct {
	addr   netip.AddrPort // zero: a unix socket
	path   string         // of a unix socket
	asked  string         // the address as it was asked for; "": unknown
	made   os.FileInfo    // of the path, where Listen has made it
	fd     int            // -1 once closed or taken over
	more   []int          // descriptors of further sockets
	shared bool
	kept   bool // by the service manager
}

const (
	defaultBacklog = 1024
	portAttempts   = 20
	portPause      = 50 * time.Millisecond
)

// Listen opens o.Sockets listening sockets on one address. TCP connections accepted from them have TCP_NODELAY. A port
// that another program listens on is an error, although SO_REUSEPORT would share it with another process of the same
// user; it is retried for about a second, because the ring of a process that has just ended can hold its port for a
// moment.
func Listen(o ListenOptions) ([]*Listener, error) {
	if o.Backlog <= 0 {
		o.Backlog = defaultBacklog
	}
	if path, ok := strings.CutPrefix(o.Address, unixPrefix); ok {
		return listenUnix(path, o)
	}
	addr, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: it is not an IP address with a port, such as 0.0.0.0:3000 or [::]:3000, "+
			"nor the path of a unix socket, such as unix:/run/millrace/http.sock", o.Address)
	}
	if o.OnlyIPv6 && !addr.Addr().Is6() {
		return nil, fmt.Errorf("cannot listen on %s for IPv6 only: it is an IPv4 address", addr)
	}
	for attempt := 1; ; attempt++ {
		listeners, err := listenAll(addr, o)
		if err == nil {
			return listeners, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) || attempt == portAttempts || o.Once {
			return nil, listenError(addr, err)
		}
		time.Sleep(portPause)
	}
}

func listenError(addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program listens there already: %w", addr, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("cannot listen on %s: "+
			"ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE: %w", addr, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: no interface of this machine has that address: %w", addr, err)
	}
	return fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// listenAll makes one attempt. The address is bound once without SO_REUSEPORT, which fails if anyone listens there and
// finds a free port if none was named; then the real sockets share it.
func listenAll(addr netip.AddrPort, o ListenOptions) (listeners []*Listener, err error) {
	fd, err := bound(addr, o.OnlyIPv6, false)
	if err != nil {
		return nil, err
	}
	addr, err = localAddr(fd, addr)
	if err == nil {
		// Only listening shows a listener of another address family or a wildcard that took the port meanwhile.
		err = unix.Listen(fd, 1)
	}
	unix.Close(fd)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			listeners = nil
		}
	}()
	for range max(o.Sockets, 1) {
		fd, err := bound(addr, o.OnlyIPv6, true)
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, &Listener{addr: addr, asked: o.Address, fd: fd})
		if err := unix.Listen(fd, o.Backlog); err != nil {
			return listeners, err
		}
	}
	return listeners, nil
}

// bound returns a bound socket. It is a blocking one: io_uring answers requests on a non-blocking socket with EAGAIN
// instead of waiting for it.
func bound(addr netip.AddrPort, onlyIPv6, share bool) (fd int, err error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	set := func(level, option, value int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, option, value)
		}
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if share {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if family == unix.AF_INET6 {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, boolInt(onlyIPv6))
	}
	if err == nil {
		err = unix.Bind(fd, sockaddr.Of(addr))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// localAddr returns addr with the port that the socket really has.
func localAddr(fd int, addr netip.AddrPort) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return addr, err
	}
	port := addr.Port()
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		port = uint16(a.Port)
	case *unix.SockaddrInet6:
		port = uint16(a.Port)
	}
	return netip.AddrPortFrom(addr.Addr(), port), nil
}

// Addr returns the address with the port that was really taken; zero for a unix socket.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// String returns the address, or the path of a unix socket after "unix:".
func (l *Listener) String() string {
	if l.path != "" {
		return unixPrefix + l.path
	}
	return l.addr.String()
}

// Shared reports whether other descriptors are of the same socket, so that shutting it down would end those too.
func (l *Listener) Shared() bool { return l.shared }

// FD returns the descriptor, the first one where there are several; -1 once it is closed or taken over.
func (l *Listener) FD() int { return l.fd }

// FDs returns all descriptors; none once they are closed or taken over.
func (l *Listener) FDs() []int {
	if l.fd < 0 {
		return nil
	}
	return append([]int{l.fd}, l.more...)
}

// Release hands the descriptors over: the caller closes them from now on, and Close does nothing.
func (l *Listener) Release() { l.fd, l.more = -1, nil }

// Close closes the sockets, unless they have been taken over. Closing twice does nothing.
func (l *Listener) Close() {
	for _, fd := range l.FDs() {
		unix.Close(fd)
	}
	l.Release()
}
