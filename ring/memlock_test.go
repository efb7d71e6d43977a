package ring

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"millrace/ring/host"

	"golang.org/x/sys/unix"
)

// This file owns the tests under a small limit of locked memory.

// TestMemlockLimit proves, in a process without CAP_IPC_LOCK and with a small limit, that the limit is read, that a
// ring over it is refused with the remedy and leaves nothing open, and that a plan fitted to it opens.
func TestMemlockLimit(t *testing.T) {
	if os.Getenv("RING_TEST_CHILD") == "" {
		child(t, "TestMemlockLimit")
		return
	}
	features := Probe()
	runtime.LockOSThread() // capabilities are the thread's
	const limit = 2 << 20
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	if soft, unlimited := host.MemlockLimit(); soft != limit || unlimited {
		t.Fatalf("the limit is %d, unlimited %v", soft, unlimited)
	}
	for _, registered := range []Tri{Auto, Off} {
		o := testOptions(Want{RegisteredBuffers: registered})
		o.SendMemory = 8 << 20
		p, err := Choose(features, o)
		if err != nil {
			t.Fatal(err)
		}
		before := openFiles(t)
		_, err = Open(p, nil)
		if err == nil || !strings.Contains(err.Error(), "memlock limit is 2097152 bytes") ||
			!strings.Contains(err.Error(), "LimitMEMLOCK=infinity") || strings.Contains(err.Error(), "\n") {
			t.Fatalf("error %v", err)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
		small, shrunk, err := Fit(p, limit/2)
		if err != nil || !shrunk {
			t.Fatal(shrunk, err)
		}
		r, err := Open(small, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingMayBeLocked proves that a limit of 0, which mlock answers with EPERM, is not taken for a policy that
// forbids io_uring, and that such a policy still is.
func TestNothingMayBeLocked(t *testing.T) {
	f := func(err error, outcome Outcome, words string) {
		t.Helper()
		got := judgeIOUring(err)
		if got.Outcome != outcome || !strings.Contains(got.Reason, words) || strings.Contains(got.Reason, "\n") {
			t.Errorf("%v: got %+v", err, got)
		}
	}
	f(nil, Available, "")
	f(lockError(scratchPlan(Use{}), "lock", Errno(unix.EPERM)), Inconclusive, "LimitMEMLOCK=infinity")
	f(lockError(scratchPlan(Use{}), "lock", Errno(unix.ENOMEM)), Inconclusive, "LimitMEMLOCK=infinity")
	f(unix.EPERM, NotSupported, "cannot use io_uring: it is ")
	f(unix.ENOSYS, NotSupported, "Linux 5.8 or later")
}
