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

// limitLocked gives this process and its thread the locked memory of an ordinary user.
func limitLocked(t *testing.T, limit uint64) {
	t.Helper()
	runtime.LockOSThread() // capabilities are the thread's
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

// TestMemlockShared proves that a ring gets a smaller plan where others of the user leave it less than the limit, the plan
// itself where they do not, and the error of its own plan where not even the least finds room.
func TestMemlockShared(t *testing.T) {
	if os.Getenv("RING_TEST_CHILD") == "" {
		child(t, "TestMemlockShared")
		return
	}
	p, err := Choose(Probe(), testOptions(Want{}))
	if err != nil {
		t.Fatal(err)
	}
	p.SendMemory = 1 << 20
	limitLocked(t, p.LockedBytes()*3/2)
	first, err := OpenWithin(p)
	if err != nil || first.Plan() != p {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := OpenWithin(p)
	if err != nil {
		t.Fatal(err)
	}
	if locked := second.Plan().LockedBytes(); locked > p.LockedBytes()/2 || second.Pool().Size() != second.Plan().SendMemory {
		t.Errorf("the second ring locks %d bytes, %d of them to send", locked, second.Pool().Size())
	}
	var more []*Ring
	for err == nil && len(more) < 100 {
		var r *Ring
		if r, err = OpenWithin(second.Plan()); err == nil {
			more = append(more, r)
		}
	}
	if err == nil || !strings.Contains(err.Error(), "LimitMEMLOCK=infinity") {
		t.Errorf("%d rings more, error %v", len(more), err)
	}
	for _, r := range append(more, first, second) {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMemlockLimit proves, in a process without CAP_IPC_LOCK and with a small limit, that the limit is read, that a
// ring over it is refused with the remedy and leaves nothing open, and that a plan fitted to it opens.
func TestMemlockLimit(t *testing.T) {
	if os.Getenv("RING_TEST_CHILD") == "" {
		child(t, "TestMemlockLimit")
		return
	}
	features := Probe()
	const limit = 2 << 20
	limitLocked(t, limit)
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
		_, err = Open(p)
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
		r, err := Open(small)
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
