package main

// This file tests the exit codes and the errors of the command.

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommand proves the exit codes, and that each failure is one line with a remedy.
func TestCommand(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results.jsonl")
	if err := os.WriteFile(results, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(args string, want int, says string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := command(strings.Fields(args), &stdout, &stderr); got != want || !strings.Contains(stderr.String(), says) {
			t.Errorf("%q exits with %d and says %q; want %d and %q", args, got, stderr.String(), want, says)
		}
	}
	f("-h", exitOK, "-base")
	f("-what", exitUsage, "flag provided but not defined: -what")
	f("-only heavy", exitUsage, `there is no workload "heavy"`)
	f("-h", exitOK, "\n  heavy-ws ")
	f("ratios", exitUsage, "needs at least one results file")
	f("ratios "+results, exitError, "hold no run of a base")
	f("report", exitUsage, "needs at least one results file")
	f("report no-such-file", exitError, "cannot read the results")
	f("report "+results, exitError, "do not say where they were measured")
	f("figure "+results+" bytes-per-peer", exitUsage, "figure needs FILE NAME VALUE HOW")
	f("figure "+results+" beauty 1 by eye", exitUsage, "the names are bytes-per-peer")
	f("figure "+results+" bytes-per-peer many by eye", exitUsage, `"many" is no number`)
	f("figure "+results+" bytes-per-peer 61.5 a Go benchmark", exitOK, "")
	records, err := readRecords([]string{results})
	if err != nil || len(records[0]) != 1 {
		t.Fatalf("the added figure is read as %v, %v", records, err)
	}
	if got := *records[0][0].Figure; got != (figureInfo{"bytes-per-peer", 61.5, "a Go benchmark"}) {
		t.Errorf("the added figure is %+v", got)
	}
}

// TestWithoutOutput proves that the name of the results file is not recorded.
func TestWithoutOutput(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		if got := withoutOutput(strings.Fields(args)); got != want {
			t.Errorf("withoutOutput(%q) = %q, want %q", args, got, want)
		}
	}
	f("", "")
	f("-quick -o a.jsonl -rounds 3", "-quick -rounds 3")
	f("-quick --o=a.jsonl -only o", "-quick -only o")
	f("-quick -o", "-quick")
}
