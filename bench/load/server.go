package load

// This file measures the tracker's process and the kernel's memory, by /proc.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millrace/ring/host"
)

// processSample holds the figures of a process, and of the kernel's memory, at one moment.
type processSample struct {
	cpu          time.Duration // of all threads, those that have ended included
	user, system time.Duration // the same in ticks of 10 ms
	rss          uint64        // bytes
	threads      int

	sockets uint64 // bytes of the kernel's memory for all TCP sockets of the machine
	slab    uint64 // bytes of the kernel's slab that it cannot reclaim, of the whole machine
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// sampleProcess reads the figures of a process. For a process that has ended, as a zombie too, it returns an error.
func sampleProcess(pid int) (processSample, error) { return sampleProc("/proc", pid) }

// sampleProc is sampleProcess with the place of /proc as an argument.
func sampleProc(proc string, pid int) (s processSample, err error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err == nil {
		err = s.parseStat(string(stat))
	}
	var status []byte
	if err == nil {
		status, err = os.ReadFile(filepath.Join(dir, "status"))
	}
	if err == nil {
		s.rss, err = kilobytes(string(status), "VmRSS:")
	}
	var ran time.Duration
	if err == nil {
		ran, err = threadTime(filepath.Join(dir, "task"))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, errEnded):
		return s, fmt.Errorf("the process %d of the tracker has ended: look at its last lines", pid)
	case err != nil:
		return s, fmt.Errorf("cannot read the figures of process %d: %w", pid, err)
	}
	s.cpu = max(ran, s.user+s.system)
	if err := s.readKernel(proc); err != nil {
		return s, fmt.Errorf("cannot read the kernel's memory: %w", err)
	}
	return s, nil
}

// readKernel reads the figures of the machine.
func (s *processSample) readKernel(proc string) error {
	sockstat, err := os.ReadFile(filepath.Join(proc, "net/sockstat"))
	if err != nil {
		return err
	}
	if s.sockets, err = tcpMemory(string(sockstat)); err != nil {
		return err
	}
	meminfo, err := os.ReadFile(filepath.Join(proc, "meminfo"))
	if err != nil {
		return err
	}
	s.slab, err = kilobytes(string(meminfo), "SUnreclaim:")
	return err
}

// errEnded says that a process is a zombie: it has ended, and its parent has not waited for it yet.
var errEnded = errors.New("the process is a zombie")

// parseStat takes state, times and number of threads from the text of /proc/PID/stat. The name of the program in
// parentheses may itself hold spaces and parentheses, so fields are counted from the last one (proc_pid_stat(5)).
func (s *processSample) parseStat(text string) error {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 18 { // state is field 3 of the manual page and fields[0] here
		return fmt.Errorf("%q is not the text of a stat file", text)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return errEnded
	}
	user, err1 := strconv.ParseInt(fields[14-3], 10, 64)
	system, err2 := strconv.ParseInt(fields[15-3], 10, 64)
	threads, err3 := strconv.Atoi(fields[20-3])
	s.user, s.system, s.threads = time.Duration(user)*clockTick, time.Duration(system)*clockTick, threads
	return errors.Join(err1, err2, err3)
}

// threadTime adds up the time that the live threads of a process have run, to the nanosecond. Threads that end while
// it reads are left out. It is 0 where the kernel does not count it.
func threadTime(tasks string) (sum time.Duration, err error) {
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(tasks, entry.Name(), "schedstat"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return 0, err
		}
		ran, _, ok := host.ParseSchedstat(text)
		if !ok {
			return 0, fmt.Errorf("%q is not the text of a schedstat file", text)
		}
		sum += ran
	}
	return sum, nil
}

// kilobytes finds a line such as "VmRSS:  1616 kB" and returns it in bytes.
func kilobytes(text, name string) (uint64, error) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name && fields[2] == "kB" {
			n, err := strconv.ParseUint(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("there is no line %s in it", name)
}

// tcpMemory returns the bytes of memory of all TCP sockets: the field mem of /proc/net/sockstat, which counts pages.
func tcpMemory(sockstat string) (uint64, error) {
	for line := range strings.Lines(sockstat) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TCP:" {
			continue
		}
		for k := 1; k+1 < len(fields); k += 2 {
			if fields[k] == "mem" {
				pages, err := strconv.ParseUint(fields[k+1], 10, 64)
				return pages * uint64(os.Getpagesize()), err
			}
		}
	}
	return 0, errors.New("there is no mem of TCP in the socket statistics")
}

// sampleProcs adds up the figures of several processes. Those of the kernel are of the machine, and count once.
func sampleProcs(proc string, pids PIDs) (sum processSample, err error) {
	for _, pid := range pids {
		s, err := sampleProc(proc, pid)
		if err != nil {
			return processSample{}, err
		}
		s.cpu, s.user, s.system = s.cpu+sum.cpu, s.user+sum.user, s.system+sum.system
		s.rss, s.threads = s.rss+sum.rss, s.threads+sum.threads
		sum = s
	}
	return sum, nil
}

// processSampler follows the processes of a tracker through a run: empty before the first connection, then begin and end
// around the measurement with observe in between. The nil sampler follows none.
type processSampler struct {
	proc                         string // where /proc is
	pids                         PIDs
	empty, atBegin, atEnd, worst processSample
	last                         processSample
}

// newProcessSampler takes the figures of the empty tracker. For no process it returns nil.
func newProcessSampler(pids PIDs) (*processSampler, error) {
	if len(pids) == 0 {
		return nil, nil
	}
	return newSamplerIn("/proc", pids)
}

// newSamplerIn is newProcessSampler with the place of /proc as an argument.
func newSamplerIn(proc string, pids PIDs) (*processSampler, error) {
	empty, err := sampleProcs(proc, pids)
	if err != nil {
		return nil, err
	}
	return &processSampler{proc: proc, pids: pids, empty: empty, atBegin: empty, atEnd: empty, worst: empty, last: empty}, nil
}

// begin marks the start of the measurement.
func (p *processSampler) begin() error { return p.take(func(s processSample) { p.atBegin = s }) }

// observe looks for a new peak of memory; call it about once a second.
func (p *processSampler) observe() error { return p.take(func(processSample) {}) }

// end marks the end of the measurement.
func (p *processSampler) end() error { return p.take(func(s processSample) { p.atEnd = s }) }

// take reads the figures and hands them on.
func (p *processSampler) take(to func(processSample)) error {
	if p == nil {
		return nil
	}
	s, err := sampleProcs(p.proc, p.pids)
	if err != nil {
		return err
	}
	p.worst.rss = max(p.worst.rss, s.rss)
	p.last = s
	to(s)
	return nil
}

// latest returns the figures that were read last: zeros for the nil sampler.
func (p *processSampler) latest() processSample {
	if p == nil {
		return processSample{}
	}
	return p.last
}

// ownTime is the CPU time of this process.
func ownTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// figures returns the cost of the measurement for the tracker, given the messages in both directions and the signalling
// cycles within it, and the connections that were open at its end.
func (p *processSampler) figures(messages, cycles, connections uint64) ServerFigures {
	if p == nil {
		return ServerFigures{}
	}
	cpu := max(p.atEnd.cpu-p.atBegin.cpu, 0)
	f := ServerFigures{
		PID:          p.pids[0],
		CPU:          cpu.Seconds(),
		RSSEmpty:     p.empty.rss,
		RSSPeak:      p.worst.rss,
		RSSEnd:       p.atEnd.rss,
		SocketMemory: p.atEnd.sockets,
		SlabGrowth:   int64(p.atEnd.slab) - int64(p.empty.slab),
		Threads:      p.atEnd.threads,
	}
	// The kernel keeps the sum exactly and the two parts of it in ticks: their ratio divides the sum.
	user, system := p.atEnd.user-p.atBegin.user, p.atEnd.system-p.atBegin.system
	if user+system > 0 {
		f.User = f.CPU * float64(user) / float64(user+system)
		f.System = f.CPU * float64(system) / float64(user+system)
	}
	f.CPUPerMessage = per(f.CPU*1e6, messages)
	f.CPUPerCycle = per(f.CPU*1e6, cycles)
	f.RSSPerConnection = per(float64(f.RSSEnd)-float64(f.RSSEmpty), connections)
	return f
}

// per divides; a sum per nothing is 0.
func per(sum float64, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
