package ring

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// This file owns the test of probing on the kernel that runs the tests.

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
