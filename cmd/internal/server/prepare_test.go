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
// pinned where pinning is switched off, or where there are fewer CPUs than shards.
func TestAssignCPUs(t *testing.T) {
	f := func(p config.CPUPinning, shards int, allowed, want []int) {
		t.Helper()
		if got := assignCPUs(p, shards, allowed); !slices.Equal(got, want) {
			t.Errorf("%+v, %d shards on %v: %v, want %v", p, shards, allowed, got, want)
		}
	}
	f(config.CPUPinning{Active: true}, 2, []int{0, 1, 2, 3}, []int{0, 1})
	f(config.CPUPinning{Active: true, Offset: 1}, 2, []int{4, 6, 9}, []int{6, 9})
	f(config.CPUPinning{Active: true, Offset: 2}, 3, []int{4, 6, 9}, []int{9, 4, 6})
	f(config.CPUPinning{Active: false, Offset: 1}, 2, []int{0, 1}, nil)
	f(config.CPUPinning{Active: true}, 3, []int{0, 1}, nil)
}

// More shards than CPUs are a warning, which names their memory.
func TestWarnShards(t *testing.T) {
	f := func(shards, cpus int, want string) {
		t.Helper()
		var log bytes.Buffer
		s := setup{shards: shards}
		s.warnShards(cpus, slog.New(slog.NewTextHandler(&log, nil)))
		if got := log.String(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%d shards on %d CPUs: logged %q", shards, cpus, got)
		}
	}
	f(2, 2, "")
	f(3, 2, "shards=3 cpus=2 locked_bytes=")
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
		got := connections(wanted, shards, 1, limit, slog.New(slog.NewTextHandler(&log, nil)))
		if got != want || (log.Len() > 0) != warns {
			t.Errorf("%d wanted, %d shards, limit %d: %d, want %d; logged %q", wanted, shards, limit, got, want, log.String())
		}
	}
	f(0, 2, 20_000, 9964, false)
	f(1000, 2, 20_000, 500, false)
	f(1001, 2, 20_000, 501, false)
	f(50_000, 2, 20_000, 9964, true)
	f(0, 1, 1<<30, maxConnections-descriptorsKept(1, 1), false)
	f(0, 4, 10, 1, true)
	f(0, 1, 1024, 1024-descriptorsKept(1, 1), true)
	f(10, 1, 1024, 10, false)
}
