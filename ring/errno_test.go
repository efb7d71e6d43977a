package ring

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// This file owns the test of error numbers.

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
