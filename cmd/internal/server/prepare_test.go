package server

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"millrace/config"
)

// This file proves the decisions about CPUs and connections for machines of any size.

// Each shard gets a CPU of its own out of those that the process may use, from the offset on and counted round. None is
// pinned where pinning is switched off, or where there are fewer CPUs than shards; the latter is logged.
func TestAssignCPUs(t *testing.T) {
	f := func(p config.CPUPinning, shards int, allowed, want []int, warns bool) {
		t.Helper()
		var log bytes.Buffer
		got := assignCPUs(p, shards, allowed, slog.New(slog.NewTextHandler(&log, nil)))
		if !slices.Equal(got, want) || strings.Contains(log.String(), "not pinned") != warns {
			t.Errorf("%+v, %d shards on %v: %v, want %v; logged %q", p, shards, allowed, got, want, log.String())
		}
	}
	f(config.CPUPinning{Active: true}, 2, []int{0, 1, 2, 3}, []int{0, 1}, false)
	f(config.CPUPinning{Active: true, Offset: 1}, 2, []int{4, 6, 9}, []int{6, 9}, false)
	f(config.CPUPinning{Active: true, Offset: 2}, 3, []int{4, 6, 9}, []int{9, 4, 6}, false)
	f(config.CPUPinning{Active: false, Offset: 1}, 2, []int{0, 1}, nil, false)
	f(config.CPUPinning{Active: true}, 3, []int{0, 1}, nil, true)
}

// TestShardsFor proves that a CPU quota gives fewer shards, rounded up and at least one, and that the log says so.
func TestShardsFor(t *testing.T) {
	f := func(cpus int, quota float64, want int) {
		t.Helper()
		var log bytes.Buffer
		got := shardsFor(cpus, quota, slog.New(slog.NewTextHandler(&log, nil)))
		if got != want || strings.Contains(log.String(), "quota") != (want < cpus) {
			t.Errorf("%d CPUs, quota %v: %d shards, want %d; logged %q", cpus, quota, got, want, log.String())
		}
	}
	f(4, 0, 4)
	f(4, 4, 4)
	f(4, 64, 4)
	f(4, 3.1, 4)
	f(4, 3, 3)
	f(4, 1.5, 2)
	f(4, 0.1, 1)
	f(1, 0.1, 1)
}

// The connections of all shards together stay within the limit of file descriptors, with a warning where more were
// asked for.
func TestConnections(t *testing.T) {
	f := func(wanted, shards int, limit uint64, want int, warns bool) {
		t.Helper()
		var log bytes.Buffer
		got := connections(wanted, shards, limit, slog.New(slog.NewTextHandler(&log, nil)))
		if got != want || (log.Len() > 0) != warns {
			t.Errorf("%d wanted, %d shards, limit %d: %d, want %d; logged %q", wanted, shards, limit, got, want, log.String())
		}
	}
	f(0, 2, 20_000, 9964, false)
	f(1000, 2, 20_000, 500, false)
	f(1001, 2, 20_000, 501, false)
	f(50_000, 2, 20_000, 9964, true)
	f(0, 1, 1<<30, maxConnections-descriptorsKept(1), false)
	f(0, 4, 10, 1, true)
	f(0, 1, 1024, 1024-descriptorsKept(1), true)
	f(10, 1, 1024, 10, false)
}
