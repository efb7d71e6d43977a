package host

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This file owns the tests of a thread's demand.

// TestDemand proves that work of the thread is counted, with the file of the kernel and without it, and that the work of
// other threads is not CPU time of this one.
func TestDemand(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const work = 60 * time.Millisecond
	spin := func() {
		var ts unix.Timespec
		for start := int64(-1); ; {
			unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
			if start < 0 {
				start = ts.Nano()
			} else if ts.Nano()-start >= int64(work) {
				return
			}
		}
	}
	f := func(d *Demand) {
		t.Helper()
		before := d.Read()
		spin()
		if got := d.Read() - before; got < work/2 {
			t.Errorf("%v of work count as %v", work, got)
		}
		before = d.Read()
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // a thread of its own, since this one is locked
			spin()
		}()
		<-done
		// With the file a wait for the CPU, which the other thread may have, counts too.
		if got := d.Read() - before; d.file == 0 && got > work/2 {
			t.Errorf("%v of another thread's work count as %v", work, got)
		}
	}
	f(&Demand{})
	var d Demand
	d.Open()
	defer d.Close()
	f(&d)
}

// TestParseSchedstat proves that the two times are read and that anything else is refused.
func TestParseSchedstat(t *testing.T) {
	f := func(text string, ran, waited time.Duration, ok bool) {
		t.Helper()
		if a, b, good := ParseSchedstat([]byte(text)); good != ok || ok && (a != ran || b != waited) {
			t.Errorf("%q: %v %v %v", text, a, b, good)
		}
	}
	f("1205 37 4\n", 1205, 37, true)
	f("0 0 0", 0, 0, true)
	f("", 0, 0, false)
	f("12\n", 0, 0, false)
	f("a 1 1\n", 0, 0, false)
	f("1 b 1\n", 0, 0, false)
}
