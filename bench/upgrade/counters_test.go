package main

import (
	"slices"
	"testing"
)

// This file proves that the program reads what the tracker says.

// TestCounters proves that a counter which is lower after a hand-over is found, one that has gone from one shard to another is not, and
// that gauges may do what they like.
func TestCounters(t *testing.T) {
	const before = `# TYPE millrace_messages_total counter
millrace_messages_total{type="announce",ip_version="4",worker_index="0"} 5
millrace_messages_total{type="announce",ip_version="4",worker_index="1"} 6
millrace_messages_total{type="answer",ip_version="4",worker_index="1"} 7
millrace_peers{worker_index="0"} 9
millrace_handovers_total{result="ok"} 1
millrace_sent_bytes_total{worker_index="0"} 1e+07
`
	const after = `millrace_messages_total{type="announce",ip_version="4",worker_index="0"} 11
millrace_messages_total{type="answer",ip_version="4",worker_index="0"} 6
millrace_peers{worker_index="0"} 1
millrace_sent_bytes_total{worker_index="0"} 1.1e+07
`
	was, err := parseCounters(before)
	if err != nil {
		t.Fatal(err)
	}
	is, err := parseCounters(after)
	if err != nil {
		t.Fatal(err)
	}
	got := is.wentBack(was)
	want := []string{
		`millrace_handovers_total{result="ok"} was 1 before the hand-over and is 0 after it`,
		`millrace_messages_total{type="answer",ip_version="4"} was 7 before the hand-over and is 6 after it`,
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if _, err := parseCounters("millrace_messages_total{} many\n"); err == nil {
		t.Error("a counter that is no number is read")
	}
}

// TestFields proves how values are taken out of a line of the log.
func TestFields(t *testing.T) {
	line := `level=INFO msg="handed over to a new process" pid=12 connections=3 error="it has ended"`
	if field(line, "error") != "it has ended" || number(line, "pid") != 12 || number(line, "peers") != -1 || field(line, "none") != "" {
		t.Errorf("%q, %d", field(line, "error"), number(line, "pid"))
	}
}
