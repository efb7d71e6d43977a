package load

// This file tests the figures of a tracker's process, against a made-up /proc and the real one.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestParseStat proves that the fields of /proc/PID/stat are found behind any name of a program, and that a zombie is
// told from a process that runs.
func TestParseStat(t *testing.T) {
	const rest = " 17407 17407 13176 0 -1 4194304 119 0 0 0 250 75 0 0 20 0 3 0 1145327 3133440 360"
	f := func(text string, want processSample, wantErr string) {
		t.Helper()
		var got processSample
		err := got.parseStat(text)
		if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	running := processSample{user: 2500 * time.Millisecond, system: 750 * time.Millisecond, threads: 3}
	f("17418 (cat) R"+rest, running, "")
	f("17418 (a ) R 1 (b) S"+rest, running, "")
	f("17418 (cat) Z"+rest, processSample{}, "zombie")
	f("17418 (cat) R 1 2", processSample{}, "is not the text of a stat file")
	f("", processSample{}, "is not the text")
}

// TestParseProc proves that single figures are found in the kernel's texts, and that their lack is an error.
func TestParseProc(t *testing.T) {
	f := func(got any, err error, want string) {
		t.Helper()
		if fmt.Sprint(got, err) != want {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
	}
	status := "VmHWM:\t    1700 kB\nVmRSS:\t    1616 kB\nRssAnon:\t     112 kB\n"
	rss, err := kilobytes(status, "VmRSS:")
	f(rss, err, "1654784 <nil>")
	rss, err = kilobytes("Threads:\t1\n", "VmRSS:")
	f(rss, err, "0 there is no line VmRSS: in it")
	memory, err := tcpMemory("sockets: used 16\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 7\nUDP: inuse 0 mem 0\n")
	f(memory, err, fmt.Sprint(7*os.Getpagesize(), " <nil>"))
	memory, err = tcpMemory("sockets: used 16\nUDP: inuse 0 mem 3\n")
	f(memory, err, "0 there is no mem of TCP in the socket statistics")
}

// fakeProc writes a /proc with one process of two threads, and returns it with a function that writes the times anew.
func fakeProc(t *testing.T) (proc string, set func(sched []string, user, system int, rss, slab int)) {
	proc = t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(proc, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return proc, func(sched []string, user, system, rss, slab int) {
		if err := os.RemoveAll(filepath.Join(proc, "7/task")); err != nil {
			t.Fatal(err)
		}
		for k, text := range sched {
			write(fmt.Sprintf("7/task/%d/schedstat", 7+k), text)
		}
		write("7/stat", fmt.Sprintf("7 (tracker) S 1 1 1 0 -1 0 1 0 0 0 %d %d 0 0 20 0 %d 0 1 1 1", user, system, len(sched)))
		write("7/status", fmt.Sprintf("VmRSS:\t %d kB\n", rss))
		write("net/sockstat", "TCP: inuse 1 mem 2\n")
		write("meminfo", fmt.Sprintf("SUnreclaim: %d kB\n", slab))
	}
}

// TestSampleProcess proves that the time of all threads is added up, that the time of threads that have ended is not
// lost, and that a process that is not there is said to have ended.
func TestSampleProcess(t *testing.T) {
	proc, set := fakeProc(t)
	set([]string{"1000000000 1 1\n", "500000000 1 1\n"}, 100, 40, 10, 20)
	want := processSample{
		cpu: 1500 * time.Millisecond, user: time.Second, system: 400 * time.Millisecond, rss: 10 << 10, threads: 2,
		sockets: 2 * uint64(os.Getpagesize()), slab: 20 << 10,
	}
	if got, err := sampleProc(proc, 7); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	set([]string{"1000000000 1 1\n"}, 120, 40, 10, 20) // the other thread has ended: only stat knows of its time
	if got, err := sampleProc(proc, 7); err != nil || got.cpu != 1600*time.Millisecond {
		t.Errorf("after a thread has ended: %v, %v", got.cpu, err)
	}
	if _, err := sampleProc(proc, 8); err == nil || !strings.Contains(err.Error(), "process 8 of the tracker has ended") {
		t.Errorf("a process that is not there: %v", err)
	}
}

// TestSampler proves the use of each sample: the empty tracker's is the first one, the peak of memory is the highest of
// all, and a tracker that ends is noticed in between.
func TestSampler(t *testing.T) {
	proc, set := fakeProc(t)
	at := func(ms, rss int) { set([]string{fmt.Sprintf("%d000000 1 1\n", ms)}, 0, 0, rss<<10, 1) }
	at(100, 10)
	p, err := newSamplerIn(proc, PIDs{7})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		ms, rss int
		take    func() error
	}{{200, 20, p.observe}, {500, 30, p.begin}, {600, 90, p.observe}, {1500, 40, p.end}, {2000, 35, p.observe}} {
		at(step.ms, step.rss)
		if err := step.take(); err != nil {
			t.Fatal(err)
		}
	}
	if f := p.figures(1, 1, 1); f.CPU != 1 || f.RSSEmpty != 10<<20 || f.RSSPeak != 90<<20 || f.RSSEnd != 40<<20 {
		t.Errorf("figures: %+v", f)
	}
	if err := os.RemoveAll(filepath.Join(proc, "7")); err != nil {
		t.Fatal(err)
	}
	if err := p.observe(); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("the process has ended: %v", err)
	}
}

// TestServerFigures proves how the figures of a measurement follow from the samples around it.
func TestServerFigures(t *testing.T) {
	p := &processSampler{
		pids:    PIDs{7},
		empty:   processSample{rss: 10 << 20, slab: 50 << 20},
		atBegin: processSample{cpu: 2 * time.Second, user: time.Second, system: time.Second},
		atEnd: processSample{
			cpu: 5 * time.Second, user: 3 * time.Second, system: 2 * time.Second, rss: 14 << 20, threads: 4,
			sockets: 8 << 20, slab: 40 << 20,
		},
		worst: processSample{rss: 16 << 20},
	}
	want := ServerFigures{
		PID: 7, CPU: 3, User: 2, System: 1, CPUPerMessage: 3, CPUPerCycle: 30,
		RSSEmpty: 10 << 20, RSSPeak: 16 << 20, RSSEnd: 14 << 20, RSSPerConnection: 4096,
		SocketMemory: 8 << 20, SlabGrowth: -10 << 20, Threads: 4,
	}
	if got := p.figures(1e6, 1e5, 1024); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := p.figures(0, 0, 0); got.CPUPerMessage != 0 || got.CPUPerCycle != 0 || got.RSSPerConnection != 0 {
		t.Errorf("figures per nothing: %+v", got)
	}
	var none *processSampler
	if err := none.begin(); err != nil || none.end() != nil || none.figures(1, 1, 1) != (ServerFigures{}) {
		t.Error("the sampler of no process has figures")
	}
}

// TestSampleRealProcess proves that this kernel's /proc is understood: the time and memory of a process of our own grow
// when it works, and its end is noticed.
func TestSampleRealProcess(t *testing.T) {
	if p, err := newProcessSampler(nil); p != nil || err != nil {
		t.Fatalf("no process: %v, %v", p, err)
	}
	p, err := newProcessSampler(PIDs{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.begin(); err != nil {
		t.Fatal(err)
	}
	memory := make([]byte, 32<<20)
	for sum := 0; p.atEnd.cpu < p.atBegin.cpu+20*time.Millisecond; {
		for k := range memory {
			memory[k] += byte(sum + k)
		}
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
	}
	if f := p.figures(10, 1, 1); f.CPU < 0.02 || f.CPUPerMessage < 2000 || f.RSSEnd < 32<<20 || f.Threads < 1 ||
		f.SocketMemory%uint64(os.Getpagesize()) != 0 || p.atEnd.slab == 0 {
		t.Errorf("figures of this process: %+v", f)
	}
	child := exec.Command("sleep", "100")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := sampleProcess(child.Process.Pid); err != nil {
		t.Error(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	if s, err := sampleProcess(child.Process.Pid); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("a process that has ended: %+v, %v", s, err)
	}
}

// TestNote proves that an error of the tracker's figures that comes in every second is told once.
func TestNote(t *testing.T) {
	r := &run{}
	for _, text := range []string{"a", "b", "a", "b"} {
		r.note(errors.New(text))
		r.note(nil)
	}
	if got := strings.Join(r.serverTroubles, " "); got != "a b" {
		t.Errorf("told is %q", got)
	}
}

// TestOwnTime proves that the CPU time of this process grows while it works: else the test does not end.
func TestOwnTime(t *testing.T) {
	before := ownTime()
	if before <= 0 {
		t.Fatalf("the process has used %v", before)
	}
	for ownTime() == before {
	}
}
