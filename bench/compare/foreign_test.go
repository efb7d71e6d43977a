package main

// This file tests the reading of aquatic_ws_load_test's output.

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// TestForeignOutput proves that rates and CPU time are taken from the output of aquatic_ws_load_test between its two
// marks, in pieces of any size.
func TestForeignOutput(t *testing.T) {
	text, err := os.ReadFile("testdata/aquatic_ws_load_test.txt")
	if err != nil {
		t.Fatal(err)
	}
	f := func(text string, piece int, want foreignRun, wantErr string) {
		t.Helper()
		samples := 0
		o := &foreignOutput{sample: func() (time.Duration, time.Time) {
			samples++
			return time.Duration(samples) * 4 * time.Second, time.Unix(int64(samples)*10, 0)
		}}
		for len(text) > 0 {
			n := min(piece, len(text))
			if written, err := o.Write([]byte(text[:n])); written != n || err != nil {
				t.Fatalf("Write = %d, %v", written, err)
			}
			text = text[n:]
		}
		var got foreignRun
		err := o.fill(&got)
		if wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), wantErr) {
				t.Errorf("fill = %v, want an error with %q", err, wantErr)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got.CPU = math.Round(got.CPU*1000) / 1000
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	// 4 s of CPU in 10 s, at 25,612.00 responses per second.
	want := foreignRun{Responses: 25612, Busy: 0.4, CPU: 15.618, ErrorsPerSec: 3}
	f(string(text), 1, want, "")
	f(string(text), 7, want, "")
	f(string(text), 1<<20, want, "")
	head, _, _ := strings.Cut(string(text), "# aquatic load test report")
	f(head, 100, foreignRun{}, "has printed no report")
	_, tail, _ := strings.Cut(string(text), "Max connections reached")
	f(tail, 100, foreignRun{}, "has printed no report")
	f(strings.ReplaceAll(string(text), "second: 25612.00", "second: 0.00"), 100, foreignRun{}, "got no responses")
}

// TestForeignRatios proves that only runs of the same round are compared, and no failed ones.
func TestForeignRatios(t *testing.T) {
	runs := []foreignRun{
		{Tracker: millrace, Round: 1, Responses: 30}, {Tracker: reference, Round: 1, Responses: 10},
		{Tracker: millrace, Round: 2, Failed: "it takes too long"}, {Tracker: reference, Round: 2, Responses: 10},
		{Tracker: millrace, Round: 3, Responses: 40}, {Tracker: reference, Round: 3, Failed: "it takes too long"},
		{Tracker: millrace, Round: 4, Responses: 50}, {Tracker: reference, Round: 4, Responses: 20},
	}
	got := foreignRatios(runs, millrace)
	if len(got) != 2 || got[0] != 3 || got[1] != 2.5 {
		t.Errorf("foreignRatios = %v, want [3 2.5]", got)
	}
}
