package ring

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// This file owns the error numbers in events.

// Errno is a kernel error number; zero means success. It is an error by value, so that events stay plain data.
type Errno uint16

// String returns the short symbolic name ("ECONNRESET"), or "OK" for zero.
func (e Errno) String() string {
	if e == 0 {
		return "OK"
	}
	if name := unix.ErrnoName(unix.Errno(e)); name != "" {
		return name
	}
	return "errno " + strconv.Itoa(int(e))
}

// Error returns the kernel's sentence for the number and its name ("connection reset by peer (ECONNRESET)").
func (e Errno) Error() string {
	return unix.Errno(e).Error() + " (" + e.String() + ")"
}

// Is makes errors.Is work with the unix and syscall values of the same number.
func (e Errno) Is(target error) bool {
	t, ok := target.(unix.Errno)
	return ok && t == unix.Errno(e)
}
