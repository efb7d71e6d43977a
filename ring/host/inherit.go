package host

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// This file owns the descriptors that a parent process has left open.

const (
	firstInherited = 3       // after the standard streams; sd_listen_fds(3) counts from here too
	mostInherited  = 1 << 16 // descriptors that are looked at without /proc
)

// CloseInherited closes the descriptors that were open when the program began, but for the standard streams and those
// that systemd has passed, and returns how many there were. A descriptor of a directory, for one, would be a way out of
// a new root directory. Only one without FD_CLOEXEC can have been there before the program; the Go runtime and this module
// open all of theirs with it. Call it before anything is opened by a library that does not.
//
// sd_listen_fds(3): «$LISTEN_FDS […] $LISTEN_PID», the number of descriptors and the process that they are for.
func CloseInherited() (closed int) {
	passed := firstInherited
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		n, _ := strconv.ParseUint(os.Getenv("LISTEN_FDS"), 10, 16)
		passed += int(n)
	}
	for _, fd := range openDescriptors() {
		if fd < passed {
			continue
		}
		// Between the list and here nobody closes one of these but us.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 &&
			unix.Close(fd) == nil {
			closed++
		}
	}
	return closed
}

// openDescriptors returns the numbers of descriptors that may be open.
func openDescriptors() (all []int) {
	entries, err := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, fd)
		}
	}
	if err == nil {
		return all
	}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		l.Cur = mostInherited
	}
	for fd := range int(min(l.Cur, mostInherited)) {
		all = append(all, fd)
	}
	return all
}
