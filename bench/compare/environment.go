package main

// This file describes the machine, so that a reader can judge the figures.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// environment describes the place of a comparison, so that a reader can judge the figures and set up the like.
type environment struct {
	Commit      string            // of millrace, with "-dirty" if files differ from it
	Kernel      string            // release and version
	CPUModel    string            // as /proc/cpuinfo names it
	CPUs        int               // that this process may use
	Hypervisor  bool              // the CPU says that it is a virtual machine's
	Memory      uint64            // bytes
	OpenFiles   uint64            // limit
	Sysctls     map[string]string // those that matter
	Mitigations map[string]string // of the vulnerabilities of the CPU
	Versions    map[string]string // of the tools that built the trackers
	Options     string            // command line of the comparison
}

// sysctls are the settings of the kernel that change the cost of a connection or a wake-up.
var sysctls = []string{
	"net/core/somaxconn", "net/core/rmem_max", "net/core/wmem_max", "net/core/busy_poll",
	"net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_mem", "net/ipv4/tcp_congestion_control",
	"net/ipv4/ip_local_port_range", "net/ipv4/tcp_tw_reuse", "net/ipv4/tcp_max_syn_backlog",
	"kernel/io_uring_disabled", "kernel/sched_autogroup_enabled", "kernel/numa_balancing",
	"vm/overcommit_memory", "vm/swappiness", "fs/nr_open",
}

// readEnvironment reads the description of the machine. Unknown values are left out.
func readEnvironment(ctx context.Context, in *installer, options []string) *environment {
	e := &environment{CPUs: runtime.NumCPU(), Options: withoutOutput(options), Sysctls: map[string]string{},
		Mitigations: map[string]string{}, Versions: map[string]string{"go": runtime.Version()}}
	e.Commit, _ = in.run(ctx, in.root, nil, "git", "describe", "--tags", "--always", "--dirty", "--abbrev=12")
	e.Kernel = readLine("/proc/sys/kernel/osrelease") + " " + readLine("/proc/sys/kernel/version")
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	e.CPUModel = field(string(cpu), "model name")
	e.Hypervisor = strings.Contains(" "+field(string(cpu), "flags")+" ", " hypervisor ")
	memory, _ := os.ReadFile("/proc/meminfo")
	if kb, _, ok := strings.Cut(field(string(memory), "MemTotal"), " "); ok {
		n, _ := strconv.ParseUint(kb, 10, 64)
		e.Memory = n << 10
	}
	for _, name := range sysctls {
		if value := readLine("/proc/sys/" + name); value != "" {
			e.Sysctls[strings.ReplaceAll(name, "/", ".")] = value
		}
	}
	const vulnerabilities = "/sys/devices/system/cpu/vulnerabilities/"
	entries, _ := os.ReadDir(vulnerabilities)
	for _, entry := range entries {
		if state := readLine(vulnerabilities + entry.Name()); state != "Not affected" {
			e.Mitigations[entry.Name()] = state
		}
	}
	e.Sysctls["transparent_hugepage"] = readLine("/sys/kernel/mm/transparent_hugepage/enabled")
	for _, tool := range []string{"node", "rustc"} {
		if _, err := exec.LookPath(tool); err == nil {
			e.Versions[tool], _ = in.run(ctx, os.TempDir(), nil, tool, "--version")
		}
	}
	return e
}

// withoutOutput returns a command line without the flag that names the results file: its folder is not recorded.
func withoutOutput(options []string) string {
	var kept []string
	for k := 0; k < len(options); k++ {
		switch name, _, hasValue := strings.Cut(strings.TrimLeft(options[k], "-"), "="); {
		case name != "o" || !strings.HasPrefix(options[k], "-"):
			kept = append(kept, options[k])
		case !hasValue:
			k++ // the value follows
		}
	}
	return strings.Join(kept, " ")
}

// readLine returns the text of a small file with its white space made even: "" where it cannot be read.
func readLine(name string) string {
	text, _ := os.ReadFile(name)
	return strings.Join(strings.Fields(string(text)), " ")
}

// field returns the value of the first line "name: value" of a file in /proc.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// processCPU returns the CPU time of a process, to the tick (proc_pid_stat(5)): 0 if it has ended.
func processCPU(pid int) time.Duration {
	text := readLine(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

// clockTick is the unit of CPU times in /proc: USER_HZ, which is 100 wherever Go runs.
const clockTick = 10 * time.Millisecond

// machineCPU is the CPU time of the whole machine since its start.
type machineCPU struct{ busy, stolen time.Duration }

// readMachineCPU adds up the times of all processes, and those that the host of a virtual machine took away
// (proc_stat(5)). Interrupts are left out: the kernel may count their work for a process in either place.
func readMachineCPU() machineCPU {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return machineCPU{}
	}
	ticks := func(k int) time.Duration {
		n, _ := strconv.ParseInt(fields[k], 10, 64)
		return time.Duration(n) * clockTick
	}
	return machineCPU{ticks(1) + ticks(2) + ticks(3), ticks(8)}
}
