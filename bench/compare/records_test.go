package main

// This file tests that records are read as they were written.

import (
	"bytes"
	"strings"
	"testing"

	"millrace/bench/load"
)

// TestRecords proves that written records are read again, and that only a long histogram, the points of plots and the
// time series are left out, in the record alone.
func TestRecords(t *testing.T) {
	result := &load.Result{Problems: []string{"a sentence"}}
	result.Latency.Reply.Encoded, result.Latency.Answer.Encoded = "short", strings.Repeat("A", longHistogram+1)
	result.Latency.Reply.Points, result.Series = []load.Point{{Share: 1, Latency: 2}}, []load.Interval{{Length: 1}}
	records := []record{
		{Kind: "environment", Environment: &environment{Commit: "0123", Sysctls: map[string]string{"a.b": "1"}}},
		{Kind: "missing", Missing: &missing{"peertube", "npm is not installed"}},
		{Kind: "run", Run: &run{Workload: heavyWS, Tracker: millrace, Round: 2, Result: result}},
		{Kind: "run", Run: &run{Workload: heavyWS, Tracker: millrace, Round: 2, Failed: "it takes too long"}},
	}
	var b bytes.Buffer
	for _, r := range records {
		if err := appendRecord(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := parseRecords(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if result.Latency.Answer.Encoded == "" || len(result.Series) != 1 || len(result.Latency.Reply.Points) != 1 {
		t.Errorf("the result itself has lost something: %+v", result)
	}
	if r := got[2].Run.Result; len(r.Series) > 0 || len(r.Latency.Reply.Points) > 0 {
		t.Errorf("on record are %v and %v", r.Series, r.Latency.Reply.Points)
	}
	if d := got[2].Run.Result.Latency; d.Answer.Encoded != "" || d.Reply.Encoded != "short" {
		t.Errorf("the histograms on record are %q and %q", d.Answer.Encoded, d.Reply.Encoded)
	}
	var again bytes.Buffer
	for _, r := range got {
		if err := appendRecord(&again, r); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != len(records) || again.String() != b.String() {
		t.Errorf("written and read again the records are\n%s, want\n%s", again.String(), b.String())
	}
}

// TestParseRecords proves that a line which is no record gives an error with its number.
func TestParseRecords(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := parseRecords([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", text, err, want)
		}
	}
	const good = `{"kind":"missing","missing":{"Name":"a","Reason":"b"}}` + "\n"
	f(good+"x\n", "line 2 is not a record")
	f(good+good+`{"kind":"run"}`, "line 3: a record of kind \"run\" lacks")
	f(`{"kind":"run","run":{"Workload":"a"}}`, "lacks its field")
	f(`{"kind":"surprise"}`, "line 1: a record of kind \"surprise\"")
}
