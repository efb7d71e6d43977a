package human

import "testing"

// This file proves how numbers, bytes and times are written for people.

// TestNumbers proves the units and the rounding of each.
func TestNumbers(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(Short(0), "0")
	f(Short(0.44), "0.4")
	f(Short(9.94), "9.9")
	f(Short(9.96), "10")
	f(Short(999.4), "999")
	f(Short(999.6), "1.0k")
	f(Short(1e15), "1000T")
	f(Bytes(12), "12 B")
	f(Bytes(1200), "1.2 kB")
	f(Bytes(3e9), "3 GB")
	f(Span(-1), "0 s")
	f(Span(119), "119 s")
	f(Span(120), "2 min")
	f(Span(7170), "2 h")
	f(Span(48*3600), "2 days")
	f(Count(1, "peer"), "1 peer")
	f(Count(0, "peer"), "0 peers")
}
