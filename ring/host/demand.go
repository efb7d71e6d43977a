package host

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// This file owns the question how much of a CPU a thread needs.

// Demand measures the calling thread. The zero value reads the CPU time that the thread has used; Open adds the time for
// which it waited for a CPU, where the kernel tells.
type Demand struct {
	file int // that of the thread's schedstat, plus one; 0: there is none
	text [64]byte
}

// Open opens the file in which Linux counts both for the calling thread, which no other thread may read by d. It holds
// one descriptor until Close. Without CONFIG_SCHED_INFO, or without /proc, there is no such file.
func (d *Demand) Open() {
	fd, err := unix.Open("/proc/thread-self/schedstat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		d.file = fd + 1
	}
}

// Close closes the file.
func (d *Demand) Close() {
	if d.file != 0 {
		unix.Close(d.file - 1)
		d.file = 0
	}
}

// Read returns the time for which the thread has used a CPU, or was ready to and waited for one. It costs about a
// microsecond, and is exact to a tick of the scheduler (1 to 10 ms).
func (d *Demand) Read() time.Duration {
	if d.file != 0 {
		n, err := unix.Pread(d.file-1, d.text[:], 0)
		if ran, waited, ok := ParseSchedstat(d.text[:max(n, 0)]); err == nil && ok {
			return ran + waited
		}
	}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// ParseSchedstat returns the first two numbers in the text of a thread's schedstat file: the time spent on a CPU, and the
// time spent ready and waiting for one (Documentation/scheduler/sched-stats.rst of Linux). ok is false for another text.
func ParseSchedstat(text []byte) (ran, waited time.Duration, ok bool) {
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, 0, false
	}
	a, err1 := strconv.ParseInt(string(fields[0]), 10, 64)
	b, err2 := strconv.ParseInt(string(fields[1]), 10, 64)
	return time.Duration(a), time.Duration(b), err1 == nil && err2 == nil
}
