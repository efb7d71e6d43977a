package server

import (
	"os"
	"testing"
	"testing/fstest"
)

// This file proves, on made-up files, which limits the tracker finds in its cgroups.

// files makes a root directory of pairs of name and text.
func files(pairs ...string) fstest.MapFS {
	root := fstest.MapFS{}
	for k := 0; k < len(pairs); k += 2 {
		root[pairs[k]] = &fstest.MapFile{Data: []byte(pairs[k+1])}
	}
	return root
}

// TestCPUQuota proves that the least quota of all cgroups around the process is found, in both versions, and no limit
// where there is none.
func TestCPUQuota(t *testing.T) {
	f := func(want float64, pairs ...string) {
		t.Helper()
		if got := cpuQuota(files(pairs...)); got != want {
			t.Errorf("%q: got %v, want %v", pairs, got, want)
		}
	}
	const list, two, one = "proc/self/cgroup", "0::/a/b\n", "9:memory:/m\n4:cpu,cpuacct:/a/b\n3:cpuset:/c\n"
	f(0)
	f(0, list, two)
	f(0, list, two, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
	f(1.5, list, two, "sys/fs/cgroup/a/b/cpu.max", "150000 100000\n")
	f(0.5, list, two, "sys/fs/cgroup/a/b/cpu.max", "150000 100000\n", "sys/fs/cgroup/a/cpu.max", "50000 100000\n")
	f(2, list, two, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n", "sys/fs/cgroup/cpu.max", "20000 10000\n")
	f(2, list, "0::/../../other\n", "sys/fs/cgroup/cpu.max", "20000 10000\n") // outside the namespace of the container
	f(0, list, two, "sys/fs/cgroup/a/b/cpu.max", "150000\n")
	f(0, list, two, "sys/fs/cgroup/a/b/cpu.max", "150000 0\n")
	f(0, list, two, "sys/fs/cgroup/a/b/cpu.max", "lots of it\n")
	f(0, list, "nonsense\n:\n", "sys/fs/cgroup/cpu.max", "20000 10000\n")

	const dir = "sys/fs/cgroup/cpu,cpuacct/a/"
	f(0, list, one, dir+"b/cpu.cfs_quota_us", "-1\n", dir+"b/cpu.cfs_period_us", "100000\n")
	f(2.5, list, one, dir+"b/cpu.cfs_quota_us", "250000\n", dir+"b/cpu.cfs_period_us", "100000\n")
	f(1, list, one, dir+"b/cpu.cfs_quota_us", "-1\n", dir+"b/cpu.cfs_period_us", "100000\n",
		dir+"cpu.cfs_quota_us", "100000\n", dir+"cpu.cfs_period_us", "100000\n")
	f(0, list, one, dir+"b/cpu.cfs_quota_us", "250000\n")
	f(0, list, "3:cpuset:/c\n", "sys/fs/cgroup/cpuset/c/cpu.cfs_quota_us", "1", "sys/fs/cgroup/cpuset/c/cpu.cfs_period_us", "1")
}

// TestMachineMemory proves that the least of the machine's memory and the limits of all cgroups is found.
func TestMachineMemory(t *testing.T) {
	f := func(want uint64, pairs ...string) {
		t.Helper()
		if got := machineMemory(files(pairs...)); got != want {
			t.Errorf("%q: got %v, want %v", pairs, got, want)
		}
	}
	const list, two, one = "proc/self/cgroup", "0::/a/b\n", "9:memory:/m\n4:cpu,cpuacct:/a/b\n"
	const info, machine = "proc/meminfo", "MemTotal:       1000 kB\nMemFree:        500 kB\n"
	f(0)
	f(0, info, "MemFree: 1 kB\n")
	f(0, info, "MemTotal:")
	f(1024000, info, machine)
	f(1024000, info, machine, list, two, "sys/fs/cgroup/a/b/memory.max", "max\n")
	f(4096, info, machine, list, two, "sys/fs/cgroup/a/b/memory.max", "4096\n")
	f(4096, info, machine, list, two, "sys/fs/cgroup/a/b/memory.max", "8192\n", "sys/fs/cgroup/memory.max", "4096\n")
	f(8192, list, two, "sys/fs/cgroup/a/b/memory.max", "8192\n")
	f(1024000, info, machine, list, one, "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n")
	f(8192, info, machine, list, one, "sys/fs/cgroup/memory/memory.limit_in_bytes", "8192\n")
}

// TestThisMachine proves that the files of a real system are understood.
func TestThisMachine(t *testing.T) {
	if n := machineMemory(os.DirFS("/")); n < 64<<20 {
		t.Errorf("this machine has %d bytes of memory", n)
	}
	if n := cpuQuota(os.DirFS("/")); n < 0 {
		t.Errorf("this process may use %v CPUs", n)
	}
}
