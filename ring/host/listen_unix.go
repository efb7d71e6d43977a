package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// This file owns the listening sockets that have a path.

const (
	unixPrefix      = "unix:"
	longestUnixPath = 107 // unix(7): sun_path has 108 bytes, the last of them NUL
)

// listenUnix opens one listening socket and o.Sockets descriptors of it. A socket that a program which has ended left behind
// is replaced; one that answers is an error, and so is a file that is no socket.
func listenUnix(path string, o ListenOptions) (listeners []*Listener, err error) {
	defer func() {
		if errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("there is no directory %s, make it: %w", filepath.Dir(path), err)
		}
		if err != nil {
			err = fmt.Errorf("cannot listen on %s%s: %w", unixPrefix, path, err)
		}
	}()
	if len(path) == 0 || path[0] != '/' || len(path) > longestUnixPath {
		return nil, fmt.Errorf("the path must begin with / and have %d bytes at most", longestUnixPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	// The mode is set before the socket listens: until then nobody gets in, whatever the umask has left.
	if err = os.Chmod(path, o.Mode); err == nil {
		err = unix.Listen(fd, o.Backlog)
	}
	var made os.FileInfo
	if err == nil {
		made, err = os.Lstat(path)
	}
	if err == nil {
		listeners, err = spread(&Listener{path: path, asked: o.Address, made: made, fd: fd, shared: true}, o.Sockets)
	}
	if err != nil {
		unix.Close(fd)
		_ = os.Remove(path)
	}
	return listeners, err
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return errors.New("there is a file of that name, and it is no socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err {
	case unix.ECONNREFUSED:
		return os.Remove(path)
	case nil, unix.EAGAIN: // EAGAIN: its backlog is full
		return fmt.Errorf("another program listens there already: %w", unix.EADDRINUSE)
	default:
		return err
	}
}

// spread returns n listeners on the socket of l, which is the first of them. If it fails, l stays open and is the caller's.
func spread(l *Listener, n int) ([]*Listener, error) {
	listeners := []*Listener{l}
	for len(listeners) < n {
		fd, err := duplicate(l.fd)
		if err != nil {
			for _, other := range listeners[1:] {
				other.Close()
			}
			return nil, err
		}
		listeners = append(listeners, &Listener{path: l.path, asked: l.asked, fd: fd, shared: true})
	}
	return listeners, nil
}

// Remove removes the path of a unix socket, unless something else has taken it meanwhile. It does nothing for other listeners,
// and for a socket that was passed to the process, unless Claim was called.
func (l *Listener) Remove() error {
	if l.made == nil {
		return nil
	}
	now, err := os.Lstat(l.path)
	// A file system may give the number of a file that has gone to the next one.
	if err != nil || !os.SameFile(now, l.made) || now.Mode().Type() != os.ModeSocket || !now.ModTime().Equal(l.made.ModTime()) {
		return nil
	}
	return os.Remove(l.path)
}
