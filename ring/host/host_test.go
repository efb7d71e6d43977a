package host

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// This file owns the tests of CPUs and limits.

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
