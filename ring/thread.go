package ring

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// How a loop waits decides its cost in Go. The loop's goroutine is locked to its thread and enters the kernel by
// RawSyscall6, blocking: the runtime does not learn that the thread sleeps, and so does not take its P away and give
// it back around every wait (measured: 1.3 to 2.3 times the CPU per message otherwise). Three rules follow.
//
//   - GOMAXPROCS must be at least the number of rings plus one. With as many Ps as rings the garbage collector finds no
//     P to start a worker on, and the process hangs.
//   - The runtime interrupts a thread that should stop by a signal, which ends the wait with EINTR; Wait then calls
//     runtime.Gosched, the safe point. When nothing has happened since the last interruption, the ring is idle and the
//     next wait gives its P up (Syscall6).
//   - GODEBUG=asyncpreemptoff=1 turns that signal off. Then every wait gives the P up.

// preemptionOff reports whether a GODEBUG setting turns the runtime's preemption signal off. The last value counts.
func preemptionOff(godebug string) bool {
	off := false
	for _, setting := range strings.Split(godebug, ",") {
		if v, ok := strings.CutPrefix(setting, "asyncpreemptoff="); ok {
			off = v == "1"
		}
	}
	return off
}

func environmentPreemptionOff() bool { return preemptionOff(os.Getenv("GODEBUG")) }

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
