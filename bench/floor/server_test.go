package floor

// This file tests that a server which cannot start says why.

import (
	"net"
	"strings"
	"testing"
)

// TestStartFails proves that a server which cannot start names the reason and the wrong value.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := func(o Options, want ...string) {
		t.Helper()
		s, err := Start(o)
		if err == nil {
			s.Stop()
			t.Fatalf("%+v: it started", o)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: the error %q does not say %q", o, err, w)
			}
		}
	}
	f(Options{Address: "here"}, `"here"`)
	f(Options{Address: taken.Addr().String()}, taken.Addr().String())
	f(Options{Address: "127.0.0.1:0", MaxConnections: 1 << 30}, "1073741824", "ulimit -n")
}
