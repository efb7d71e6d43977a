package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestErrno proves that errors have names and sentences and compare as the system's own do.
func TestErrno(t *testing.T) {
	f := func(e Errno, short, long string) {
		t.Helper()
		if e.String() != short || (e != 0 && e.Error() != long) {
			t.Errorf("%d: %q, %q", e, e.String(), e.Error())
		}
	}
	f(0, "OK", "")
	f(Errno(unix.ECONNRESET), "ECONNRESET", "connection reset by peer (ECONNRESET)")
	f(Errno(unix.ENOBUFS), "ENOBUFS", "no buffer space available (ENOBUFS)")
	f(4000, "errno 4000", "errno 4000 (errno 4000)")
	if !errors.Is(Errno(unix.EMFILE), unix.EMFILE) || errors.Is(Errno(unix.EMFILE), unix.ENFILE) {
		t.Error("errors.Is does not work")
	}
}

// TestBufRingWraps proves that the largest buffer ring is filled to its last entry and over its end: no entry lands on
// another, and the tail, which shares entry 0, is kept. (An offset counted in 16 bits writes entry 4096 over entry 0.)
func TestBufRingWraps(t *testing.T) {
	const entries = maxReceiveBuffers
	mem := make([]byte, entries*bufRingEntry)
	b := newBufRing(mem)
	for round := range uint64(3) {
		for i := range entries {
			b.add(round<<32|uint64(i), 100+int(round), uint16(entries-1-i))
		}
		b.publish()
		for i := range entries {
			e := mem[i*bufRingEntry:]
			if binary.NativeEndian.Uint64(e) != round<<32|uint64(i) || binary.NativeEndian.Uint32(e[8:]) != 100+uint32(round) ||
				binary.NativeEndian.Uint16(e[12:]) != uint16(entries-1-i) {
				t.Fatalf("round %d: entry %d is % x", round, i, e[:bufRingEntry])
			}
		}
		if tail := binary.NativeEndian.Uint16(mem[14:]); tail != uint16((round+1)*entries) {
			t.Fatalf("round %d: the tail is %d", round, tail)
		}
	}
}

// TestPreemptionOff proves which GODEBUG settings are recognised.
func TestPreemptionOff(t *testing.T) {
	f := func(godebug string, want bool) {
		t.Helper()
		if got := preemptionOff(godebug); got != want {
			t.Errorf("%q: %v", godebug, got)
		}
	}
	f("", false)
	f("asyncpreemptoff=1", true)
	f("gctrace=1,asyncpreemptoff=1", true)
	f("asyncpreemptoff=1,asyncpreemptoff=0", false)
	f("xasyncpreemptoff=1", false)
}

// TestAllowedCPUs proves that pinning to a CPU that is allowed works and is seen, and that an impossible one is named.
func TestAllowedCPUs(t *testing.T) {
	cpus, err := AllowedCPUs()
	if err != nil || len(cpus) == 0 || !slices.IsSorted(cpus) {
		t.Fatal(cpus, err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, and its affinity with it
		if err := PinThread(cpus[len(cpus)-1]); err != nil {
			done <- err
			return
		}
		now, err := AllowedCPUs()
		if err == nil && !slices.Equal(now, cpus[len(cpus)-1:]) {
			err = fmt.Errorf("pinned to %d, allowed %v", cpus[len(cpus)-1], now)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := PinThread(1023); err == nil {
		t.Fatal("pinned to a CPU that does not exist")
	}
	if RaiseFileLimit() == 0 {
		t.Fatal("the limit of open files is unknown")
	}
}

// TestProbe proves that every feature of this kernel has an answer, that failures are sorted by their error, and that
// trying leaves no descriptor open.
func TestProbe(t *testing.T) {
	before := openFiles(t)
	f := Probe()
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if f.IOUring.Outcome != Available {
		t.Fatalf("the tests need io_uring: %s", f.IOUring.Reason)
	}
	if p := outcome(fmt.Errorf("cannot: %w", Errno(unix.EINVAL))); p.Outcome != NotSupported || p.Reason == "" {
		t.Errorf("EINVAL: %+v", p)
	}
	if p := outcome(unix.ENOMEM); p.Outcome != Inconclusive || p.Reason == "" {
		t.Errorf("ENOMEM: %+v", p)
	}
	if p := outcome(nil); p != (Probed{}) {
		t.Errorf("success: %+v", p)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
