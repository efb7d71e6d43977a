package main

// This file tests the command line and the metrics page.

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"millrace/bench/floor"
)

// TestCommandLine proves that a wrong command line is refused with code 2, that help is code 0, and that a server which
// cannot start says why, with code 1.
func TestCommandLine(t *testing.T) {
	f := func(want int, words string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != want || !strings.Contains(errs.String(), words) {
			t.Errorf("%q: code %d, want %d; it says %q", args, code, want, errs.String())
		}
	}
	f(0, "-address", "-h")
	f(2, "no arguments", "now")
	f(2, "-delay", "-delay", "-1")
	f(2, "-delay", "-delay", "1000001")
	f(2, "nothing", "-nothing")
	f(1, `"here"`, "-address", "here")
}

// TestPage proves that the page has the counters that millrace-load looks for.
func TestPage(t *testing.T) {
	s, err := floor.Start(floor.Options{Address: "127.0.0.1:0", MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	w := httptest.NewRecorder()
	page(s)(w, httptest.NewRequest("GET", "/metrics", nil))
	want := "millrace_frames_dropped_total{type=\"offer\"} 0\nmillrace_frames_dropped_total{type=\"answer\"} 0\n"
	if got := w.Body.String(); got != want {
		t.Errorf("the page is %q", got)
	}
}
