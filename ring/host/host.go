// Package host asks Linux for the things that a server needs besides a ring: listening sockets, a CPU for each thread,
// and the limits of open files and of locked memory. It owns the listening sockets until they are handed over, and
// knows nothing of io_uring.
package host

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// This file owns the CPUs of threads and the limits of the process.

// AllowedCPUs returns the numbers of the CPUs this process may run on, in ascending order.
func AllowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("cannot read the CPU affinity of the process: %w", err)
	}
	cpus := make([]int, 0, set.Count())
	for cpu := 0; len(cpus) < cap(cpus); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// PinThread keeps the calling thread on one CPU. The caller must have locked its goroutine to the thread.
func PinThread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("cannot pin a thread to CPU %d: %w", cpu, err)
	}
	return nil
}

// RaiseFileLimit raises the soft limit of open files to the hard limit and returns the limit that is then in force;
// 0 when it cannot be read.
func RaiseFileLimit() (limit uint64) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	if l.Cur < l.Max {
		raised := unix.Rlimit{Cur: l.Max, Max: l.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			return raised.Cur
		}
	}
	return l.Cur
}

// MemlockLimit returns the soft limit of locked memory in bytes, and whether there is none: because it is infinite or
// because the process has CAP_IPC_LOCK.
func MemlockLimit() (soft uint64, unlimited bool) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) != nil {
		return 0, false
	}
	return l.Cur, l.Cur == unix.RLIM_INFINITY || hasIPCLock()
}

func hasIPCLock() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0
}

// Monotonic returns the time of CLOCK_MONOTONIC, by which other processes of this machine may set theirs.
func Monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it never fails
	return time.Duration(now.Nano())
}
