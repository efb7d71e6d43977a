package server

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// This file owns the limits that a cgroup sets to the process: CPU time and memory. Containers set them, and the kernel
// enforces them by throttling and by killing. The files are read through an [fs.FS] of the root directory. A file that
// is missing or not understood sets no limit.

// cgroupDirs returns the directories in which a controller's limits for this process are, its own cgroup and all around
// it: each of them counts. In a container without a namespace of cgroups some do not exist; the outermost always does,
// and has the container's limits then.
//
// cgroups(7): «/proc/pid/cgroup […] has one entry for each cgroup hierarchy: hierarchy-ID:controller-list:cgroup-path».
// The list is empty for version 2.
func cgroupDirs(root fs.FS, controller string) (dirs []string) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || fields[1] != "" && !slices.Contains(strings.Split(fields[1], ","), controller) {
			continue
		}
		base := path.Join("sys/fs/cgroup", fields[1])
		for own := path.Clean("/" + fields[2]); ; own = path.Dir(own) {
			dirs = append(dirs, path.Join(base, own))
			if own == "/" {
				break
			}
		}
	}
	return dirs
}

// cpuQuota returns how many CPUs' time the cgroups of the process may use; 0 where there is no limit.
func cpuQuota(root fs.FS) (cpus float64) {
	for _, dir := range cgroupDirs(root, "cpu") {
		fields := readFields(root, path.Join(dir, "cpu.max")) // version 2: quota and period
		if len(fields) == 0 {
			fields = append(readFields(root, path.Join(dir, "cpu.cfs_quota_us")), readFields(root, path.Join(dir, "cpu.cfs_period_us"))...)
		}
		if len(fields) != 2 {
			continue
		}
		quota, period := positive(fields[0]), positive(fields[1])
		if n := float64(quota) / float64(max(period, 1)); quota > 0 && period > 0 && (cpus == 0 || n < cpus) {
			cpus = n
		}
	}
	return cpus
}

// machineMemory returns the bytes of memory that the process may use: the machine's, or less by the cgroups; 0 where it
// cannot be found out.
func machineMemory(root fs.FS) (bytes uint64) {
	least := func(n uint64) {
		if n > 0 && (bytes == 0 || n < bytes) {
			bytes = n
		}
	}
	info := readFields(root, "proc/meminfo")
	if at := slices.Index(info, "MemTotal:"); at >= 0 && at+1 < len(info) {
		least(positive(info[at+1]) << 10) // proc_meminfo(5): in kB
	}
	for _, dir := range cgroupDirs(root, "memory") {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} { // of version 2 and 1
			if fields := readFields(root, path.Join(dir, name)); len(fields) == 1 {
				least(positive(fields[0]))
			}
		}
	}
	return bytes
}

// readFields returns the words of a file.
func readFields(root fs.FS, name string) []string {
	text, _ := fs.ReadFile(root, name)
	return strings.Fields(string(text))
}

// positive returns the value of a number, and 0 for everything that means no limit: max, -1, 0.
func positive(text string) uint64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return uint64(n)
}
